//! From one device to another: a payload that exactly one other device can fetch, exactly once.
//!
//! The sender shows a [ticket](BackupTicket), as text and as a QR code. Whoever holds it may fetch; nobody else learns more
//! than that a provider listens. It is the way of backup transfers between a user's own devices: what travels is worth
//! more than a public file, and the one channel between the two that nobody else sees is a screen.
//!
//! **Why that is enough.** The ticket carries the sender's public key, made for this one transfer, and a secret of 128
//! random bits. Both ends derive an Ed25519 key pair from the secret (BLAKE3 in its key derivation mode, with a context
//! string of its own); it is the receiver's identity. The connection is QUIC with TLS 1.3 in which *both* sides present a
//! raw public key (RFC 7250) and each accepts exactly one: the receiver the sender's, the sender the derived one. So there
//! is no protocol here besides TLS's own:
//!
//! - The receiver proves that it knows the secret by signing the handshake's transcript (RFC 8446, section 4.4.3). The sender
//!   has no connection before that signature is verified, and sends nothing but handshake messages until then. The
//!   signature is bound to this handshake's ephemeral keys: recorded or passed on, it is worth nothing.
//! - The sender proves its key likewise. Somebody in the middle holds neither private key, and both ends would notice.
//! - What travels is encrypted by keys from an ephemeral exchange: who finds the ticket later cannot read what was
//!   recorded earlier.
//! - The payload's hash is in the ticket as well, so even the sender's own disk cannot change what arrives unnoticed.
//!
//! Knowing the secret does not help to play the sender: its key does not follow from it. Guessing is hopeless at 128 bits;
//! that a sender gives up after [some wrong tries](crate::gate::MAX_WRONG) only keeps a flood from going unseen. A wrong
//! try does not use the ticket up. It is used up by the first authenticated connection that asks for the payload: from
//! then on all others are refused, and the sender ends with that connection, well or not. What an interrupted transfer has
//! brought is not lost: the next one, with a new ticket, can resume it.

mod show;
mod ticket;

pub use show::{instructions, local_addresses};
pub use ticket::{BackupTicket, Secret};
