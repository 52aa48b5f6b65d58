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

/// Bytes of a seal.
const SEAL_BYTES: usize = 16;

/// Length of a `hello`. Longer than any reply to it, so that nobody can have the server send more than he does.
const HELLO_BYTES: usize = 64;

/// Shows that whoever has it receives at the address it was sent to.
pub type Cookie = [u8; 16];

/// What only a pair of ends and the server know. It travels in introductions alone.
pub type Token = [u8; 16];

/// Names a pair of ends in all other messages. It follows from the token, and the token does not follow from it.
pub type PairId = [u8; 16];

/// Shows that a message comes from the one other who knows the pair's token.
pub type Seal = [u8; SEAL_BYTES];

/// Which end of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Who asks for the other.
    Fetcher,
    /// Who is asked for.
    Provider,
}

/// The name of the pair that has this token.
pub fn pair_id(token: &Token) -> PairId {
    let id = blake3::derive_key("longhaul-transfer rendezvous 1: pair", token);
    std::array::from_fn(|index| id[index])
}

/// What one end of a pair seals its messages with. Each has its own, so that nothing can be thrown back at its sender.
pub fn seal_key(token: &Token, side: Side) -> [u8; 32] {
    let context = match side {
        Side::Fetcher => "longhaul-transfer rendezvous 1: seal of the fetcher",
        Side::Provider => "longhaul-transfer rendezvous 1: seal of the provider",
    };
    blake3::derive_key(context, token)
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// To the server: who am I?
    Hello {
        /// Comes back in the answer.
        nonce: u64,
    },
    /// From the server, to the address it names.
    Cookie {
        /// The hello's.
        nonce: u64,
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
        /// What the receiver last showed to the server: nobody else can introduce.
        cookie: Cookie,
        /// Known to both from now on.
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
        /// The pair.
        pair: PairId,
        /// Tells the answers apart.
        nonce: u64,
        /// By the sender.
        seal: Seal,
    },
    /// Between ends: it does.
    Answer {
        /// The pair.
        pair: PairId,
        /// The probe's.
        nonce: u64,
        /// By the sender.
        seal: Seal,
    },
    /// A QUIC packet by way of the server, to and from it. What follows is not looked at.
    Relay {
        /// The pair.
        pair: PairId,
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
            Message::Hello { nonce } => {
                bytes.extend_from_slice(&nonce.to_le_bytes());
                bytes.resize(HELLO_BYTES, 0);
            }
            Message::Cookie { nonce, cookie, observed } => {
                bytes.extend_from_slice(&nonce.to_le_bytes());
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
            Message::Peer { cookie, token, candidates } => {
                bytes.extend_from_slice(cookie);
                bytes.extend_from_slice(token);
                put_addresses(&mut bytes, candidates);
            }
            Message::Absent { token: name } | Message::Relay { pair: name } => bytes.extend_from_slice(name),
            Message::Probe { pair, nonce, seal } | Message::Answer { pair, nonce, seal } => {
                bytes.extend_from_slice(pair);
                bytes.extend_from_slice(&nonce.to_le_bytes());
                bytes.extend_from_slice(seal);
            }
        }
        bytes
    }

    /// A probe with its seal.
    pub fn probe(pair: PairId, nonce: u64, key: &[u8; 32]) -> Message {
        let unsealed = Message::Probe { pair, nonce, seal: [0; SEAL_BYTES] };
        Message::Probe { pair, nonce, seal: unsealed.seal(key) }
    }

    /// An answer with its seal.
    pub fn answer(pair: PairId, nonce: u64, key: &[u8; 32]) -> Message {
        let unsealed = Message::Answer { pair, nonce, seal: [0; SEAL_BYTES] };
        Message::Answer { pair, nonce, seal: unsealed.seal(key) }
    }

    /// Whether a probe or an answer was sealed with `key`. Others are not.
    pub fn is_sealed(&self, key: &[u8; 32]) -> bool {
        match self {
            // In constant time, as comparing hashes is in this crate.
            Message::Probe { seal, .. } | Message::Answer { seal, .. } => wide(*seal) == wide(self.seal(key)),
            _ => false,
        }
    }

    /// Of everything before the seal, which comes last.
    fn seal(&self, key: &[u8; 32]) -> Seal {
        let bytes = self.encode();
        let hash = blake3::keyed_hash(key, &bytes[..bytes.len() - SEAL_BYTES]);
        std::array::from_fn(|index| hash.as_bytes()[index])
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
                let nonce = u64::from_le_bytes(take(rest)?);
                let padding = rest.split_off(0..)?;
                (padding.len() + 9 == HELLO_BYTES && padding.iter().all(|byte| *byte == 0))
                    .then_some(Message::Hello { nonce })?
            }
            2 => Message::Cookie {
                nonce: u64::from_le_bytes(take(rest)?),
                cookie: take(rest)?,
                observed: take_address(rest)?,
            },
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
            6 => Message::Peer { cookie: take(rest)?, token: take(rest)?, candidates: take_addresses(rest)? },
            7 => Message::Absent { token: take(rest)? },
            8 => Message::Probe { pair: take(rest)?, nonce: u64::from_le_bytes(take(rest)?), seal: take(rest)? },
            9 => Message::Answer { pair: take(rest)?, nonce: u64::from_le_bytes(take(rest)?), seal: take(rest)? },
            _ => Message::Relay { pair: take(rest)? },
        })
    }

    fn kind(&self) -> u8 {
        match self {
            Message::Hello { .. } => 1,
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

/// 16 bytes as a hash, which compares in constant time.
pub(super) fn wide(narrow: [u8; 16]) -> blake3::Hash {
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(&narrow);
    bytes.into()
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
            any::<u64>().prop_map(|nonce| Message::Hello { nonce }),
            (any::<(u64, Cookie)>(), addresses()).prop_map(|((nonce, cookie), observed)| Message::Cookie {
                nonce,
                cookie,
                observed
            }),
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
            (any::<(Cookie, Token)>(), lists()).prop_map(|((cookie, token), candidates)| Message::Peer {
                cookie,
                token,
                candidates
            }),
            any::<Token>().prop_map(|token| Message::Absent { token }),
            any::<(PairId, u64, Seal)>().prop_map(|(pair, nonce, seal)| Message::Probe { pair, nonce, seal }),
            any::<(PairId, u64, Seal)>().prop_map(|(pair, nonce, seal)| Message::Answer { pair, nonce, seal }),
            any::<PairId>().prop_map(|pair| Message::Relay { pair }),
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

    #[test]
    fn only_the_other_end_of_the_same_pair_can_seal() {
        let (token, other) = ([1; 16], [2; 16]);
        let pair = pair_id(&token);
        let [fetcher, provider] = [Side::Fetcher, Side::Provider].map(|side| seal_key(&token, side));
        for message in [Message::probe(pair, 7, &fetcher), Message::answer(pair, 7, &fetcher)] {
            assert!(message.is_sealed(&fetcher));
            for key in [provider, seal_key(&other, Side::Fetcher), [0; 32]] {
                assert!(!message.is_sealed(&key), "{message:?}");
            }
        }
        let Message::Probe { seal, .. } = Message::probe(pair, 7, &fetcher) else { panic!("no probe") };
        let changed = [
            Message::Probe { pair, nonce: 8, seal },
            Message::Probe { pair: pair_id(&other), nonce: 7, seal },
            Message::Answer { pair, nonce: 7, seal },
            Message::Hello { nonce: 7 },
        ];
        for message in changed {
            assert!(!message.is_sealed(&fetcher), "{message:?}");
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
