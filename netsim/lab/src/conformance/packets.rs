//! Packets of rows that no kernel is to have a say in: TCP segments one by one, echo, ICMP errors. Built and read byte by
//! byte, the same for the lab's wires and for the reference model.

use netsim_fabric::Proto;
use netsim_fabric::wire::{self, IcmpError, Offload, Quote};
use std::net::{IpAddr, SocketAddr};

/// What a packet is, behind its IP header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Udp,
    /// A segment with these flags (RFC 9293, section 3.1).
    Tcp(u8),
    /// An echo request; its identifier is the sender's port.
    Ask,
    /// An echo reply; its identifier is the receiver's port.
    Answer,
}

/// A packet to be sent, or one that an error quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Letter {
    pub(crate) form: Form,
    pub(crate) src: SocketAddr,
    pub(crate) dst: SocketAddr,
    pub(crate) hop_limit: u8,
}

/// A packet that was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Read {
    /// The number it was sent with, or that of the packet it is about.
    pub(crate) number: u32,
    pub(crate) proto: Proto,
    pub(crate) src: SocketAddr,
    pub(crate) dst: SocketAddr,
    /// What it says is wrong, if it is an ICMP error, and with what.
    pub(crate) about: Option<(Quote, bool)>,
}

/// Hop limit of packets that are to arrive.
pub(crate) const FAR: u8 = 64;
pub(crate) const SYN: u8 = 2;
pub(crate) const SYN_ACK: u8 = 0x12;
pub(crate) const ACK: u8 = 0x10;
pub(crate) const RST: u8 = 0x14;
/// Where every side's sequence numbers start.
const START: u32 = 1000;
const UDP: u8 = 17;
const TCP: u8 = 6;
const ICMP: u8 = 1;
/// Type of the ICMP error that a hop limit ran out (RFC 792).
const TIME_EXCEEDED: u8 = 11;

/// The bytes of `letter`, which carries `number`.
pub(crate) fn write(letter: &Letter, number: u32) -> Vec<u8> {
    let [src, dst] = [letter.src.port(), letter.dst.port()].map(u16::to_be_bytes);
    let number = number.to_be_bytes();
    let (protocol, checksum_at, mut body) = match letter.form {
        Form::Udp => (UDP, 6, [&src[..], &dst, &[0, 12, 0, 0], &number].concat()),
        Form::Tcp(flags) => {
            let seq = if flags & SYN != 0 { START } else { START + 1 };
            let ack = if flags & ACK != 0 { START + 1 } else { 0 };
            let window = [0x50, flags, 0xff, 0xff, 0, 0, 0, 0];
            (TCP, 16, [&src[..], &dst, &seq.to_be_bytes(), &ack.to_be_bytes(), &window, &number].concat())
        }
        Form::Ask => (ICMP, 2, [&[8, 0, 0, 0], &src[..], &[0, 1], &number].concat()),
        Form::Answer => (ICMP, 2, [&[0, 0, 0, 0], &dst[..], &[0, 1], &number].concat()),
    };
    let checksum = checksum(letter.src.ip(), letter.dst.ip(), protocol, &body);
    body[checksum_at..checksum_at + 2].copy_from_slice(&checksum.to_be_bytes());
    let mut packet = header(letter, protocol, body.len() as u16);
    packet.extend(body);
    packet
}

/// The ICMP error "nothing listens at that port" of `from` about `letter`, which had that number.
pub(crate) fn write_error(from: IpAddr, about: &Letter, number: u32) -> Option<Vec<u8>> {
    wire::icmp_error(IcmpError::Port, from, &write(about, number))
}

/// Takes a packet apart; `None` if it is none of ours, or its checksum is wrong.
pub(crate) fn read(packet: &[u8]) -> Option<Read> {
    let parsed = wire::parse(&Offload::default(), packet).ok()?;
    let number = |packet: &[u8], at: u16| Some(u32::from_be_bytes(*packet.get(usize::from(at)..)?.first_chunk()?));
    let head = parsed.head;
    let protocol = if head.src.addr.is_ipv4() { *packet.get(9)? } else { *packet.get(6)? };
    let transport = packet.get(usize::from(parsed.layout.transport)..)?;
    if checksum(head.src.addr, head.dst.addr, protocol, transport) != 0 {
        return None;
    }
    let [src, dst] = [head.src, head.dst].map(|end| SocketAddr::new(end.addr, end.port));
    let Some(quote) = wire::quote(packet) else {
        return Some(Read { number: number(packet, parsed.layout.payload)?, proto: head.proto, src, dst, about: None });
    };
    let quoted = transport.get(8..)?;
    let inner = wire::parse(&Offload::default(), quoted).ok()?.layout;
    let expired = transport[0] == TIME_EXCEEDED;
    Some(Read { number: number(quoted, inner.payload)?, proto: quote.proto, src, dst, about: Some((quote, expired)) })
}

fn header(letter: &Letter, protocol: u8, len: u16) -> Vec<u8> {
    match (letter.src.ip(), letter.dst.ip()) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let total = (20 + len).to_be_bytes();
            let mut header = vec![0x45, 0, total[0], total[1], 0, 0, 0, 0, letter.hop_limit, protocol, 0, 0];
            header.extend([src.octets(), dst.octets()].concat());
            let checksum = !sum(0, &header);
            header[10..12].copy_from_slice(&checksum.to_be_bytes());
            header
        }
        (src, dst) => {
            let len = len.to_be_bytes();
            let mut header = vec![0x60, 0, 0, 0, len[0], len[1], protocol, letter.hop_limit];
            header.extend([octets(src), octets(dst)].concat());
            header
        }
    }
}

/// The internet checksum of `body` (RFC 1071), with its pseudo-header where the protocol has one; 0 if the one in it is
/// right.
fn checksum(src: IpAddr, dst: IpAddr, protocol: u8, body: &[u8]) -> u16 {
    let pseudo = match protocol {
        ICMP => 0,
        _ => sum(sum(body.len() as u16, &[0, protocol]), &[octets(src), octets(dst)].concat()),
    };
    !sum(pseudo, body)
}

fn octets(addr: IpAddr) -> Vec<u8> {
    match addr {
        IpAddr::V4(addr) => addr.octets().to_vec(),
        IpAddr::V6(addr) => addr.octets().to_vec(),
    }
}

fn sum(start: u16, bytes: &[u8]) -> u16 {
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
    let mut sum = bytes.chunks(2).map(word).sum::<u32>() + u32::from(start);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        let end = |text: &str| text.parse::<SocketAddr>().unwrap();
        let (a, x) = (end("192.168.1.10:4000"), end("198.18.0.2:9001"));
        for (form, proto) in [
            (Form::Udp, Proto::Udp),
            (Form::Tcp(SYN), Proto::Tcp),
            (Form::Tcp(RST), Proto::Tcp),
            (Form::Ask, Proto::Echo),
            (Form::Answer, Proto::Echo),
        ] {
            let letter = Letter { form, src: a, dst: x, hop_limit: FAR };
            let bytes = write(&letter, 7);
            let heard = read(&bytes).unwrap();
            assert_eq!((heard.number, heard.proto, heard.about), (7, proto, None), "{form:?}");
            let error = read(&write_error(x.ip(), &letter, 8).unwrap()).unwrap();
            let (quote, expired) = error.about.unwrap();
            assert_eq!((error.number, quote.proto, quote.src.addr, expired), (8, proto, a.ip(), false), "{form:?}");
            let mut damaged = bytes;
            *damaged.last_mut().unwrap() ^= 1;
            assert_eq!(read(&damaged), None, "{form:?}");
        }
    }
}
