//! The one-time ticket.
//!
//! ```text
//! lhb1-tree-1048576-<hash>-<key>-4433-<secret, 32 hex digits>-192.0.2.1+2001:db8::1
//! ```
//!
//! A [ticket](crate::ticket) with another first word, then the secret, then the addresses the sender has. Capital letters
//! are as good as small ones: a QR code takes nearly half the room when all letters are capital.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use crate::keys::{self, Identity, KeyError};
use crate::ticket::{Ticket, TicketError};

const VERSION: &str = "lhb1";

/// The most addresses in a ticket. More would make the QR code unreadable, and no device needs them.
pub(super) const MAX_ADDRESSES: usize = 8;

/// What the key derivation is told, so that the same secret gives other keys for other purposes.
const RECEIVER_CONTEXT: &str = "longhaul-transfer 2026 backup 1: Ed25519 seed of the receiver";

/// 128 random bits that only the two devices know. Its debug output does not show them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret([u8; 16]);

impl Secret {
    /// A new one.
    pub fn fresh() -> Result<Secret, KeyError> {
        let mut bytes = [0; 16];
        keys::random(&mut bytes)?;
        Ok(Secret(bytes))
    }

    /// The identity of whoever knows the secret.
    pub fn receiver(&self) -> Result<Identity, KeyError> {
        Identity::of_seed(&blake3::derive_key(RECEIVER_CONTEXT, &self.0))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Everything a receiver needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupTicket {
    /// What is sent, and the sender's key and port.
    pub ticket: Ticket,
    /// What only the receiver knows.
    pub secret: Secret,
    /// Where the sender may be reached.
    pub addresses: Vec<IpAddr>,
}

impl BackupTicket {
    /// The sender's addresses, each with its port.
    pub fn sockets(&self) -> Vec<SocketAddr> {
        self.addresses.iter().map(|address| (*address, self.ticket.port).into()).collect()
    }
}

impl fmt::Display for BackupTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = self.ticket.to_string();
        let (_, rest) = plain.split_once('-').unwrap_or_default();
        write!(f, "{VERSION}-{rest}-")?;
        self.secret.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        let mut separator = '-';
        for address in &self.addresses {
            write!(f, "{separator}{address}")?;
            separator = '+';
        }
        Ok(())
    }
}

/// Why a text is not a one-time ticket.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BackupTicketError {
    /// The first word is not a known version.
    #[error("not a one-time ticket of this version: it should begin with `{VERSION}-`")]
    Version,
    /// Something is missing.
    #[error("a one-time ticket has 8 parts joined by dashes, this text has {found}: was it cut off?")]
    Parts {
        /// Number of parts found.
        found: usize,
    },
    /// A part of an ordinary ticket.
    #[error(transparent)]
    Ticket(#[from] TicketError),
    /// The secret.
    #[error("the ticket's secret is damaged: it should have 32 hexadecimal digits")]
    Secret,
    /// The addresses.
    #[error("the ticket's addresses are damaged: {text:?}")]
    Addresses {
        /// What was found, shortened.
        text: String,
    },
}

impl FromStr for BackupTicket {
    type Err = BackupTicketError;

    fn from_str(text: &str) -> Result<BackupTicket, Self::Err> {
        let text = text.trim().to_ascii_lowercase();
        let Some(rest) = text.strip_prefix(VERSION).and_then(|rest| rest.strip_prefix('-')) else {
            return Err(BackupTicketError::Version);
        };
        let parts: Vec<&str> = rest.split('-').collect();
        let &[kind, size, hash, key, port, secret, addresses] = parts.as_slice() else {
            return Err(BackupTicketError::Parts { found: parts.len() + 1 });
        };
        let ticket = Ticket::of_parts([kind, size, hash, key, port])?;
        let secret = parse_secret(secret).ok_or(BackupTicketError::Secret)?;
        let damaged = || BackupTicketError::Addresses { text: addresses.chars().take(80).collect() };
        let addresses: Vec<IpAddr> =
            addresses.split('+').map(str::parse).collect::<Result<_, _>>().map_err(|_| damaged())?;
        if addresses.len() > MAX_ADDRESSES { Err(damaged()) } else { Ok(BackupTicket { ticket, secret, addresses }) }
    }
}

fn parse_secret(text: &str) -> Option<Secret> {
    let digits: Vec<u8> = text.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect();
    if digits.len() == 32 { bytes.try_into().ok().map(Secret) } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ticket::{Kind, PeerKey};

    fn sample() -> BackupTicket {
        let ticket =
            Ticket { kind: Kind::Tree, size: 1 << 20, hash: blake3::hash(b"x"), key: PeerKey([0xab; 32]), port: 4433 };
        let addresses = vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
        BackupTicket { ticket, secret: Secret([0xcd; 16]), addresses }
    }

    #[test]
    fn damage_is_named_and_the_secret_is_not_shown() {
        let good = sample().to_string();
        let plain = sample().ticket.to_string();
        let rows = [
            (plain.as_str(), "should begin with `lhb1-`"),
            (&good[..good.len() - 22], "8 parts joined by dashes, this text has 7"),
            (&good.replace("cdcd", "cd"), "the ticket's secret is damaged"),
            (&good.replace("cdcd", "xyxy"), "the ticket's secret is damaged"),
            (&good.replace("192.0.2.1", "192.0.2.256"), "the ticket's addresses are damaged"),
            (&good.replace("192.0.2.1", &["192.0.2.1"; 8].join("+")), "the ticket's addresses are damaged"),
            (&good.replace("4433", "0"), "the ticket's port is damaged"),
        ];
        for (text, expect) in rows {
            let error = text.parse::<BackupTicket>().unwrap_err().to_string();
            assert!(error.contains(expect), "{text:?}: {error:?} should contain {expect:?}");
            assert!(!error.contains("cdcd"), "{error:?}");
        }
        assert!(!format!("{:?}", sample()).contains("205"), "the secret in debug output");
    }

    #[test]
    fn the_secret_alone_makes_the_receiver() {
        let one = Secret::fresh().unwrap();
        let other = Secret::fresh().unwrap();
        assert_eq!(one.receiver().unwrap().public(), one.receiver().unwrap().public());
        assert_ne!(one.receiver().unwrap().public(), other.receiver().unwrap().public());
    }

    proptest! {
        #[test]
        fn text_round_trip_also_in_capital_letters(secret: [u8; 16], v4: Vec<[u8; 4]>, v6: [u8; 16]) {
            let mut addresses: Vec<IpAddr> = v4.into_iter().take(7).map(IpAddr::from).collect();
            addresses.push(v6.into());
            let ticket = BackupTicket { secret: Secret(secret), addresses, ..sample() };
            let text = ticket.to_string();
            prop_assert_eq!(&text.parse::<BackupTicket>().unwrap(), &ticket);
            prop_assert_eq!(text.to_ascii_uppercase().parse::<BackupTicket>().unwrap(), ticket);
        }

        #[test]
        fn any_text_is_refused_or_understood(text in ".{0,300}") {
            let _ = text.parse::<BackupTicket>();
            let _ = format!("lhb1-{text}").parse::<BackupTicket>();
        }
    }
}
