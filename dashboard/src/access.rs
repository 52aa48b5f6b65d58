//! Who may change something: tokens, what they allow, and how they are told from guesses.

use longhaul_store::{ReadError, Store, Token};

/// What a token allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Hand over results.
    Ingest,
    /// Say what an alert is.
    Triage,
}

impl Scope {
    /// All of them.
    pub const ALL: [Scope; 2] = [Scope::Ingest, Scope::Triage];

    /// Its name in stores and on command lines.
    pub fn as_str(self) -> &'static str {
        match self {
            Scope::Ingest => "ingest",
            Scope::Triage => "triage",
        }
    }

    /// The inverse of [`Scope::as_str`].
    pub fn parse(text: &str) -> Option<Scope> {
        Scope::ALL.into_iter().find(|scope| scope.as_str() == text)
    }

    /// As a token keeps several.
    pub fn join(scopes: &[Scope]) -> String {
        scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" ")
    }

    fn is_in(self, token: &Token) -> bool {
        token.scope.split(' ').any(|scope| scope == self.as_str())
    }
}

/// A token's text: random bytes, with a beginning that scanners for lost secrets can look for.
pub fn token_text(random: [u8; 32]) -> String {
    let digits: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("longhaul_{digits}")
}

/// What is kept of a token. It has 256 random bits, so its hash needs no salt and no slowness.
pub fn token_hash(text: &str) -> [u8; 32] {
    *blake3::hash(text.trim().as_bytes()).as_bytes()
}

/// Why something is not allowed.
#[derive(Debug, thiserror::Error)]
pub enum Denied {
    /// No token was sent.
    #[error("this needs a token; `longhaul token create` makes one")]
    Missing,
    /// Nobody knows the token, or it was revoked.
    #[error("nobody knows this token, or it was revoked; `longhaul token list` shows those that there are")]
    Unknown,
    /// It is for something else.
    #[error("this token does not allow to {what}; it is for: {scope}")]
    Scope {
        /// What was asked for.
        what: &'static str,
        /// What it allows.
        scope: String,
    },
    /// It is for another project.
    #[error("this token is for the project {project} alone")]
    Project {
        /// That project.
        project: String,
    },
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] ReadError),
}

/// The token of this text, if it allows `scope` for `project`.
pub(crate) async fn allowed(
    store: &dyn Store,
    text: &str,
    scope: Scope,
    project: Option<&str>,
) -> Result<Token, Denied> {
    if text.trim().is_empty() {
        return Err(Denied::Missing);
    }
    let token = store.token(&token_hash(text)).await?.ok_or(Denied::Unknown)?;
    if !scope.is_in(&token) {
        return Err(Denied::Scope { what: scope.as_str(), scope: token.scope });
    }
    match (&token.project, project) {
        (Some(own), Some(wanted)) if own != wanted => Err(Denied::Project { project: own.clone() }),
        _ => Ok(token),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_long_and_only_their_hash_is_kept() {
        let text = token_text([0xab; 32]);
        assert_eq!(text, format!("longhaul_{}", "ab".repeat(32)));
        assert_eq!(token_hash(&text), token_hash(&format!(" {text}\n")));
        assert_ne!(token_hash(&text), token_hash(&token_text([0xac; 32])));
    }

    #[test]
    fn scopes_are_words() {
        for scope in Scope::ALL {
            assert_eq!(Scope::parse(scope.as_str()), Some(scope));
        }
        assert_eq!(Scope::join(&Scope::ALL), "ingest triage");
        assert_eq!(Scope::parse("ingest triage"), None);
    }
}
