//! Tokens: who may hand results to a server.

/// A right to use a server's interface. The token's own text is never stored, only its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Names it in lists.
    pub id: String,
    /// Whose it is, in its owner's words. Untrusted text.
    pub name: String,
    /// What it allows; the words are those of who checks it.
    pub scope: String,
    /// BLAKE3 of its text.
    pub hash: [u8; 32],
    /// Only for this project.
    pub project: Option<String>,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: i64,
    /// When it was last used, in the same unit.
    pub last_used_ms: Option<i64>,
    /// When it ceased to allow anything, in the same unit.
    pub revoked_ms: Option<i64>,
}
