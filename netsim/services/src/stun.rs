//! STUN (RFC 8489) with NAT behaviour discovery (RFC 5780): the server's answers, the client's questions.

use std::net::SocketAddr;
use stun_types::attribute::{AttributeType, MappedSocketAddr, RawAttribute, Software, XorMappedAddress};
use stun_types::message::{
    BINDING, Message, MessageClass, MessageType, MessageWrite, MessageWriteExt, MessageWriteVec, TransactionId,
};

/// What every STUN server listens on.
pub const PORT: u16 = 3478;

/// RFC 5780, section 7.2: 32 bits, of which two have a meaning.
const CHANGE_REQUEST: AttributeType = AttributeType::new(0x0003);
const CHANGE_IP: u8 = 0x04;
const CHANGE_PORT: u8 = 0x02;
/// RFC 5780, section 7.3.
const RESPONSE_ORIGIN: AttributeType = AttributeType::new(0x802b);
/// RFC 5780, section 7.4.
const OTHER_ADDRESS: AttributeType = AttributeType::new(0x802c);
/// RFC 8489, section 14.1: for clients of RFC 3489's age.
const MAPPED_ADDRESS: AttributeType = AttributeType::new(0x0001);

/// The two addresses and two ports of a server: it listens on all four combinations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Server {
    /// Where clients start.
    pub primary: SocketAddr,
    /// An address and a port that both differ from the primary ones.
    pub alternate: SocketAddr,
}

/// A datagram to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Which of the server's endpoints to send from.
    pub from: SocketAddr,
    /// The message.
    pub bytes: Vec<u8>,
}

impl Server {
    /// The endpoints to listen on.
    pub fn endpoints(&self) -> [SocketAddr; 4] {
        let (one, two) = (self.primary, self.alternate);
        [one, SocketAddr::new(one.ip(), two.port()), SocketAddr::new(two.ip(), one.port()), two]
    }

    /// The endpoint that differs from `here` in address, in port, in both or not at all.
    fn other(&self, here: SocketAddr, change: Change) -> SocketAddr {
        let differ = |this, one, two| if this == one { two } else { one };
        let ip = if change.ip { differ(here.ip(), self.primary.ip(), self.alternate.ip()) } else { here.ip() };
        let port = if change.port {
            if here.port() == self.primary.port() { self.alternate.port() } else { self.primary.port() }
        } else {
            here.port()
        };
        SocketAddr::new(ip, port)
    }

    /// The answer to a datagram that `client` sent to the server's endpoint `here`; `None` if it deserves none.
    pub fn answer(&self, request: &[u8], client: SocketAddr, here: SocketAddr) -> Option<Reply> {
        let request = Message::from_bytes(request).ok()?;
        if !request.has_class(MessageClass::Request) || !request.has_method(BINDING) {
            return None;
        }
        if let Some(error) = Message::check_attribute_types(&request, &[CHANGE_REQUEST], &[], MessageWriteVec::new()) {
            return Some(Reply { from: here, bytes: error.finish() });
        }
        let from = self.other(here, Change::of(&request));
        let mut answer = Message::builder_success(&request, MessageWriteVec::new());
        let mapped = XorMappedAddress::new(client, request.transaction_id());
        answer.add_attribute(&mapped).ok()?;
        answer.add_attribute(&address(MAPPED_ADDRESS, client)).ok()?;
        answer.add_attribute(&address(RESPONSE_ORIGIN, from)).ok()?;
        let other = self.other(here, Change { ip: true, port: true });
        answer.add_attribute(&address(OTHER_ADDRESS, other)).ok()?;
        answer.add_attribute(&Software::new("longhaul").ok()?).ok()?;
        Some(Reply { from, bytes: answer.finish() })
    }
}

fn address(kind: AttributeType, address: SocketAddr) -> RawAttribute<'static> {
    MappedSocketAddr::new(address).to_raw(kind).into_owned()
}

/// From where the server is to answer, seen from where it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Change {
    /// From its other address.
    pub ip: bool,
    /// From its other port.
    pub port: bool,
}

impl Change {
    fn of(request: &Message<'_>) -> Change {
        let flags = request.raw_attribute(CHANGE_REQUEST).and_then(|raw| raw.value.get(3).copied()).unwrap_or(0);
        Change { ip: flags & CHANGE_IP != 0, port: flags & CHANGE_PORT != 0 }
    }
}

/// A binding request. `transaction` must differ between questions; 96 bits of it count.
pub fn request(transaction: u128, change: Change) -> Vec<u8> {
    let kind = MessageType::from_class_method(MessageClass::Request, BINDING);
    let mut message = Message::builder(kind, TransactionId::from(transaction), MessageWriteVec::new());
    if change != Change::default() {
        let flags = if change.ip { CHANGE_IP } else { 0 } | if change.port { CHANGE_PORT } else { 0 };
        // A new message has no attribute yet that this one could not follow.
        let _ = message.add_attribute(&RawAttribute::new(CHANGE_REQUEST, &[0, 0, 0, flags]));
    }
    message.finish()
}

/// What a server said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The question's transaction.
    pub transaction: u128,
    /// Where the server saw the client.
    pub mapped: SocketAddr,
    /// The server's endpoint that differs in address and port, if it has one.
    pub other: Option<SocketAddr>,
}

/// Reads a server's answer; `None` for anything else.
pub fn read_answer(bytes: &[u8]) -> Option<Answer> {
    let message = Message::from_bytes(bytes).ok()?;
    if !message.has_class(MessageClass::Success) || !message.has_method(BINDING) {
        return None;
    }
    let transaction = message.transaction_id();
    let mapped = message.attribute::<XorMappedAddress>().ok()?.addr(transaction);
    let other = message.raw_attribute(OTHER_ADDRESS).and_then(|raw| MappedSocketAddr::from_raw(&raw).ok());
    Some(Answer { transaction: transaction.into(), mapped, other: other.map(|other| other.addr()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn endpoint(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn server() -> Server {
        Server { primary: endpoint("198.18.0.1:3478"), alternate: endpoint("198.18.0.2:3479") }
    }

    #[test]
    fn it_answers_from_where_it_is_asked_to() {
        let client = endpoint("198.18.0.9:5000");
        for (ip, port, here, from, other) in [
            (false, false, "198.18.0.1:3478", "198.18.0.1:3478", "198.18.0.2:3479"),
            (true, false, "198.18.0.1:3478", "198.18.0.2:3478", "198.18.0.2:3479"),
            (false, true, "198.18.0.1:3478", "198.18.0.1:3479", "198.18.0.2:3479"),
            (true, true, "198.18.0.1:3478", "198.18.0.2:3479", "198.18.0.2:3479"),
            (true, true, "198.18.0.2:3479", "198.18.0.1:3478", "198.18.0.1:3478"),
            (false, false, "198.18.0.2:3478", "198.18.0.2:3478", "198.18.0.1:3479"),
        ] {
            let asked = request(7, Change { ip, port });
            let reply = server().answer(&asked, client, endpoint(here)).unwrap();
            assert_eq!(reply.from, endpoint(from), "{ip} {port} at {here}");
            let expect = Answer { transaction: 7, mapped: client, other: Some(endpoint(other)) };
            assert_eq!(read_answer(&reply.bytes), Some(expect), "{ip} {port} at {here}");
        }
        assert_eq!(server().endpoints().map(|e| e.port()), [3478, 3479, 3478, 3479]);
    }

    #[test]
    fn a_published_answer_is_read() {
        // RFC 5769, section 2.2: sample IPv4 response, without its integrity and fingerprint.
        let bytes = [
            0x01, 0x01, 0x00, 0x1c, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87,
            0xdf, 0xae, 0x80, 0x22, 0x00, 0x0b, 0x74, 0x65, 0x73, 0x74, 0x20, 0x76, 0x65, 0x63, 0x74, 0x6f, 0x72, 0x20,
            0x00, 0x20, 0x00, 0x08, 0x00, 0x01, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43,
        ];
        let answer = read_answer(&bytes).unwrap();
        assert_eq!(answer.mapped, endpoint("192.0.2.1:32853"));
        assert_eq!(answer.transaction, 0xb7e7_a701_bc34_d686_fa87_dfae);
        assert_eq!(answer.other, None);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let kind = MessageType::from_class_method(MessageClass::Request, BINDING);
        let mut message = Message::builder(kind, TransactionId::from(1), MessageWriteVec::new());
        message.add_attribute(&RawAttribute::new(AttributeType::new(0x0029), &[0; 4])).unwrap();
        let (client, here) = (endpoint("198.18.0.9:5000"), server().primary);
        let reply = server().answer(&message.finish(), client, here).unwrap();
        let reply = Message::from_bytes(&reply.bytes).unwrap();
        assert!(reply.has_class(MessageClass::Error), "{reply}");
        // An answer is not a question.
        let answer = server().answer(&request(1, Change::default()), client, here).unwrap();
        assert_eq!(server().answer(&answer.bytes, client, here), None);
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), flip in 0_usize..160) {
            let (client, here) = (endpoint("[2001:db8::1]:5000"), server().primary);
            let _ = server().answer(&bytes, client, here);
            let _ = read_answer(&bytes);
            let mut damaged = request(9, Change { ip: true, port: false });
            let len = damaged.len();
            damaged[flip / 8 % len] ^= 1 << (flip % 8);
            let _ = server().answer(&damaged, client, here);
        }
    }
}
