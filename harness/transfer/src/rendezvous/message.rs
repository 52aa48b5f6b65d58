//! The messages between ends and server, and between ends.
//!
//! The first byte is the kind and is below 64; all integers are little-endian. An address is a byte 4 or 6, the address in
//! network order, and the port (u16). A list of addresses is a byte for their number, then each.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::ticket::PeerKey;

/// The most addresses that an end names.
pub const MAX_CANDIDATES: usize = 8;

/// Bytes before a relayed packet.
pub const RELAY_HEADER_BYTES: usize = 17;

/// Length of a `hello`. Longer than any reply to it, so that nobody can have the server send more than he does.
const HELLO_BYTES: usize = 64;

/// Shows that whoever has it receives at the address it was sent to.
pub type Cookie = [u8; 16];

/// Names a pair of ends.
pub type Token = [u8; 16];

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// To the server: who am I?
    Hello,
    /// From the server, to the address it names.
    Cookie {
        /// To be shown in the next message.
        cookie: Cookie,
        /// Where the hello came from.
        observed: SocketAddr,
    },
    /// To the server: a provider that may be asked for.
    Register {
        /// From the server.
        cookie: Cookie,
        /// The provider's key.
        key: PeerKey,
        /// Ed25519 signature of [`register_text`] by that key.
        signature: [u8; 64],
        /// Addresses of the provider's own interfaces, with ports.
        candidates: Vec<SocketAddr>,
    },
    /// From the server: registered.
    Registered {
        /// For how long, in seconds; to be repeated before that.
        seconds: u16,
        /// Where the provider is seen.
        observed: SocketAddr,
    },
    /// To the server: a fetcher that wants to meet a provider.
    Meet {
        /// From the server.
        cookie: Cookie,
        /// The provider's key.
        key: PeerKey,
        /// Chosen at random by the fetcher; the same again after its addresses have changed.
        token: Token,
        /// Addresses of the fetcher's own interfaces, with ports.
        candidates: Vec<SocketAddr>,
    },
    /// From the server, to both: somebody to meet.
    Peer {
        /// Names the pair from now on.
        token: Token,
        /// Where the peer can be tried: where it is seen first, then its own addresses.
        candidates: Vec<SocketAddr>,
    },
    /// From the server: no such provider has registered.
    Absent {
        /// The token of the fetcher's request.
        token: Token,
    },
    /// Between ends: does this path work?
    Probe {
        /// The pair's.
        token: Token,
        /// Tells the answers apart.
        nonce: u64,
    },
    /// Between ends: it does.
    Answer {
        /// The pair's.
        token: Token,
        /// The probe's.
        nonce: u64,
        /// Where the probe came from, as a further address to be known by.
        observed: SocketAddr,
    },
    /// A QUIC packet by way of the server, to and from it. What follows is not looked at.
    Relay {
        /// The pair's.
        token: Token,
    },
}

/// Why bytes are not a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// No such kind.
    #[error("no message is of kind {kind:?}")]
    Kind {
        /// The first byte, if there was one.
        kind: Option<u8>,
    },
    /// Too short, too long, or an impossible value.
    #[error("a damaged message of kind {kind}")]
    Damaged {
        /// The first byte.
        kind: u8,
    },
}

/// What a provider signs, so that a signature serves for one cookie and nothing else.
pub fn register_text(cookie: &Cookie) -> Vec<u8> {
    [b"longhaul-transfer rendezvous 1: register\0".as_slice(), cookie].concat()
}

impl Message {
    /// The message as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![self.kind()];
        match self {
            Message::Hello => bytes.resize(HELLO_BYTES, 0),
            Message::Cookie { cookie, observed } => {
                bytes.extend_from_slice(cookie);
                put_address(&mut bytes, *observed);
            }
            Message::Register { cookie, key, signature, candidates } => {
                bytes.extend_from_slice(cookie);
                bytes.extend_from_slice(&key.0);
                bytes.extend_from_slice(signature);
                put_addresses(&mut bytes, candidates);
            }
            Message::Registered { seconds, observed } => {
                bytes.extend_from_slice(&seconds.to_le_bytes());
                put_address(&mut bytes, *observed);
            }
            Message::Meet { cookie, key, token, candidates } => {
                bytes.extend_from_slice(cookie);
                bytes.extend_from_slice(&key.0);
                bytes.extend_from_slice(token);
                put_addresses(&mut bytes, candidates);
            }
            Message::Peer { token, candidates } => {
                bytes.extend_from_slice(token);
                put_addresses(&mut bytes, candidates);
            }
            Message::Absent { token } | Message::Relay { token } => bytes.extend_from_slice(token),
            Message::Probe { token, nonce } => {
                bytes.extend_from_slice(token);
                bytes.extend_from_slice(&nonce.to_le_bytes());
            }
            Message::Answer { token, nonce, observed } => {
                bytes.extend_from_slice(token);
                bytes.extend_from_slice(&nonce.to_le_bytes());
                put_address(&mut bytes, *observed);
            }
        }
        bytes
    }

    /// Reads a message. Of a relayed packet, only what comes before it.
    pub fn decode(bytes: &[u8]) -> Result<Message, MessageError> {
        let Some((&kind, body)) = bytes.split_first() else { return Err(MessageError::Kind { kind: None }) };
        if !(1..=10).contains(&kind) {
            return Err(MessageError::Kind { kind: Some(kind) });
        }
        let mut rest = body;
        let message = Message::decode_body(kind, &mut rest).ok_or(MessageError::Damaged { kind })?;
        let whole = rest.is_empty() || matches!(message, Message::Relay { .. });
        if whole { Ok(message) } else { Err(MessageError::Damaged { kind }) }
    }

    fn decode_body(kind: u8, rest: &mut &[u8]) -> Option<Message> {
        Some(match kind {
            1 => {
                let padding = rest.split_off(0..)?;
                (padding.len() + 1 == HELLO_BYTES && padding.iter().all(|byte| *byte == 0)).then_some(Message::Hello)?
            }
            2 => Message::Cookie { cookie: take(rest)?, observed: take_address(rest)? },
            3 => Message::Register {
                cookie: take(rest)?,
                key: PeerKey(take(rest)?),
                signature: take(rest)?,
                candidates: take_addresses(rest)?,
            },
            4 => Message::Registered { seconds: u16::from_le_bytes(take(rest)?), observed: take_address(rest)? },
            5 => Message::Meet {
                cookie: take(rest)?,
                key: PeerKey(take(rest)?),
                token: take(rest)?,
                candidates: take_addresses(rest)?,
            },
            6 => Message::Peer { token: take(rest)?, candidates: take_addresses(rest)? },
            7 => Message::Absent { token: take(rest)? },
            8 => Message::Probe { token: take(rest)?, nonce: u64::from_le_bytes(take(rest)?) },
            9 => Message::Answer {
                token: take(rest)?,
                nonce: u64::from_le_bytes(take(rest)?),
                observed: take_address(rest)?,
            },
            _ => Message::Relay { token: take(rest)? },
        })
    }

    fn kind(&self) -> u8 {
        match self {
            Message::Hello => 1,
            Message::Cookie { .. } => 2,
            Message::Register { .. } => 3,
            Message::Registered { .. } => 4,
            Message::Meet { .. } => 5,
            Message::Peer { .. } => 6,
            Message::Absent { .. } => 7,
            Message::Probe { .. } => 8,
            Message::Answer { .. } => 9,
            Message::Relay { .. } => 10,
        }
    }
}

fn put_address(bytes: &mut Vec<u8>, address: SocketAddr) {
    match address.ip() {
        IpAddr::V4(ip) => {
            bytes.push(4);
            bytes.extend_from_slice(&ip.octets());
        }
        IpAddr::V6(ip) => {
            bytes.push(6);
            bytes.extend_from_slice(&ip.octets());
        }
    }
    bytes.extend_from_slice(&address.port().to_le_bytes());
}

/// The first [`MAX_CANDIDATES`] of them.
fn put_addresses(bytes: &mut Vec<u8>, addresses: &[SocketAddr]) {
    let addresses = &addresses[..addresses.len().min(MAX_CANDIDATES)];
    bytes.push(addresses.len() as u8);
    addresses.iter().for_each(|address| put_address(bytes, *address));
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    rest.split_off(..N)?.try_into().ok()
}

fn take_address(rest: &mut &[u8]) -> Option<SocketAddr> {
    let ip: IpAddr = match take(rest)? {
        [4] => Ipv4Addr::from(take::<4>(rest)?).into(),
        [6] => Ipv6Addr::from(take::<16>(rest)?).into(),
        _ => return None,
    };
    Some((ip, u16::from_le_bytes(take(rest)?)).into())
}

fn take_addresses(rest: &mut &[u8]) -> Option<Vec<SocketAddr>> {
    let [count] = take(rest)?;
    if usize::from(count) > MAX_CANDIDATES {
        return None;
    }
    (0..count).map(|_| take_address(rest)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn addresses() -> impl Strategy<Value = SocketAddr> {
        prop_oneof![
            any::<([u8; 4], u16)>().prop_map(|(ip, port)| (ip, port).into()),
            any::<([u8; 16], u16)>().prop_map(|(ip, port)| (ip, port).into()),
        ]
    }

    fn messages() -> impl Strategy<Value = Message> {
        let lists = || proptest::collection::vec(addresses(), 0..=MAX_CANDIDATES);
        prop_oneof![
            Just(Message::Hello),
            (any::<Cookie>(), addresses()).prop_map(|(cookie, observed)| Message::Cookie { cookie, observed }),
            (any::<(Cookie, [u8; 32], [u8; 32], [u8; 32])>(), lists()).prop_map(|((cookie, key, a, b), candidates)| {
                let mut signature = [0; 64];
                signature[..32].copy_from_slice(&a);
                signature[32..].copy_from_slice(&b);
                Message::Register { cookie, key: PeerKey(key), signature, candidates }
            }),
            (any::<u16>(), addresses()).prop_map(|(seconds, observed)| Message::Registered { seconds, observed }),
            (any::<(Cookie, [u8; 32], Token)>(), lists()).prop_map(|((cookie, key, token), candidates)| {
                Message::Meet { cookie, key: PeerKey(key), token, candidates }
            }),
            (any::<Token>(), lists()).prop_map(|(token, candidates)| Message::Peer { token, candidates }),
            any::<Token>().prop_map(|token| Message::Absent { token }),
            any::<(Token, u64)>().prop_map(|(token, nonce)| Message::Probe { token, nonce }),
            (any::<(Token, u64)>(), addresses()).prop_map(|((token, nonce), observed)| Message::Answer {
                token,
                nonce,
                observed
            }),
            any::<Token>().prop_map(|token| Message::Relay { token }),
        ]
    }

    #[test]
    fn quic_and_garbage_are_told_apart() {
        let rows: [(&[u8], MessageError); 7] = [
            (b"", MessageError::Kind { kind: None }),
            (&[0xc3, 0, 0, 0, 1], MessageError::Kind { kind: Some(0xc3) }),
            (&[0x41; 40], MessageError::Kind { kind: Some(0x41) }),
            (&[1; 64], MessageError::Damaged { kind: 1 }),
            (&[1, 0, 0], MessageError::Damaged { kind: 1 }),
            (&[7; 16], MessageError::Damaged { kind: 7 }),
            (&[7; 18], MessageError::Damaged { kind: 7 }),
        ];
        for (bytes, expect) in rows {
            assert_eq!(Message::decode(bytes), Err(expect), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn round_trip(message in messages()) {
            let bytes = message.encode();
            prop_assert!(bytes[0] < 64, "it would be taken for QUIC");
            prop_assert_eq!(Message::decode(&bytes), Ok(message.clone()));
            if matches!(message, Message::Relay { .. }) {
                prop_assert_eq!(bytes.len(), RELAY_HEADER_BYTES);
                prop_assert_eq!(Message::decode(&[bytes, b"any".into()].concat()), Ok(message));
            } else {
                for length in 0..bytes.len() {
                    prop_assert!(Message::decode(&bytes[..length]).is_err());
                }
                prop_assert!(Message::decode(&[bytes, b"x".into()].concat()).is_err());
            }
        }

        #[test]
        fn any_bytes_are_refused_or_understood(bytes: Vec<u8>) {
            if let Ok(message) = Message::decode(&bytes) {
                prop_assert_eq!(&message.encode()[..], &bytes[..message.encode().len()]);
            }
        }
    }
}
