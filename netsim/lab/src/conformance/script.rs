//! What is done to a router, and what is seen of it, in one line of text each.
//!
//! Sockets inside: `a`, `a2` and `o` on one host, ports 4000, 4100 and 4201; `c` on another, port 4000 too; where there is a
//! second home, `b` in that, port 4000 as well. Outside: `x1` and `x2` on one host, `y` on another. Steps:
//!
//! | Step | What is done | What is seen |
//! |---|---|---|
//! | `a>x1` | `a` sends to `x1` | as which port `x1` saw `a`: see below; `-`: nothing came |
//! | `x1>a` | `x1` sends to where `a` was last seen | which socket heard it; `-`: none |
//! | `c>>a` | `c` sends to where `a` was last seen from outside | who heard it, and whether from `c`'s inside or outside |
//! | `x1!a` | `x1` sends an ICMP error about the latest packet of `a`'s that was seen | `a:error`: who heard it, about its own packet |
//! | `a^x1` | `a` sends to `x1` with a hop limit of 1 | `a:expired`: who is told by the router |
//! | `3.5s` | nothing for so long | |
//! | `reboot`, `renumber` | the router starts anew; gets another address | |
//!
//! What is sent is a datagram, an echo request or its answer, or a TCP segment: a SYN if nothing else is said by `:sa`
//! (SYN and ACK), `:ack` or `:rst`.
//!
//! A port is `own` if it is the socket's own, else a letter, one for each different one in order of appearance; in
//! sequence, `p+1`; `itself` without translation; with several addresses, `own@2` is a port of the second one seen.

use super::packets::{self, ACK, FAR, Form, Letter, RST, Read, SYN, SYN_ACK};
use super::rows::Kind;
use netsim_fabric::{NatConfig, PortAssignment};
use std::net::{IpAddr, SocketAddr};

/// Sockets: name, host, port.
pub(crate) const SOCKETS: [(&str, &str, u16); 8] = [
    ("a", "a", 4000),
    ("a2", "a", 4100),
    ("o", "a", 4201),
    ("c", "c", 4000),
    ("b", "b", 4000),
    ("x1", "x", 9001),
    ("x2", "x", 9002),
    ("y", "y", 9001),
];
/// The first so many are inside.
pub(crate) const INSIDE: usize = 5;
/// The first so many are behind the router itself, not in a second home.
pub(crate) const HOME: usize = 4;

/// One thing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Send { from: usize, to: usize, way: Way, flags: u8 },
    WaitMs(u64),
    Reboot,
    Renumber,
}

/// How something is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// From one side to the other.
    Across,
    /// From inside to an external endpoint.
    Hairpin,
    /// An ICMP error about what came from there.
    Error,
    /// So that the first router is the last one.
    OneHop,
}

fn step(word: &str) -> Option<Step> {
    let socket = |name: &str| SOCKETS.iter().position(|(other, ..)| *other == name);
    match word {
        "reboot" => return Some(Step::Reboot),
        "renumber" => return Some(Step::Renumber),
        _ => {}
    }
    let (sending, flags) = match word.split_once(':') {
        Some((sending, "sa")) => (sending, SYN_ACK),
        Some((sending, "ack")) => (sending, ACK),
        Some((sending, "rst")) => (sending, RST),
        Some(_) => return None,
        None => (word, SYN),
    };
    for (sign, way) in [(">>", Way::Hairpin), (">", Way::Across), ("!", Way::Error), ("^", Way::OneHop)] {
        if let Some((from, to)) = sending.split_once(sign) {
            return Some(Step::Send { from: socket(from)?, to: socket(to)?, way, flags });
        }
    }
    let seconds: f64 = word.strip_suffix('s')?.parse().ok()?;
    Some(Step::WaitMs((seconds * 1000.0) as u64))
}

/// Whether a script needs more than ordinary sockets.
pub(crate) fn is_raw(script: &str) -> bool {
    script.contains(['!', '^'])
}

/// What is to be sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sending {
    /// Which socket sends it.
    pub(crate) from: usize,
    pub(crate) letter: Letter,
    /// Not the letter is sent, but an ICMP error about it, to its sender.
    pub(crate) as_error: bool,
}

impl Sending {
    /// The bytes to be sent by the socket at `own`, with a number to be recognised by.
    pub(crate) fn bytes(&self, own: SocketAddr, number: u32) -> Option<Vec<u8>> {
        match self.as_error {
            true => packets::write_error(own.ip(), &self.letter, number),
            false => Some(packets::write(&self.letter, number)),
        }
    }
}

/// What was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Heard {
    /// By which socket.
    pub(crate) by: usize,
    /// From where.
    pub(crate) from: SocketAddr,
    pub(crate) news: News,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum News {
    /// A packet.
    Packet,
    /// An ICMP error about a packet of one's own to there.
    Error { to: SocketAddr },
    /// The same: its hop limit ran out.
    Expired,
}

/// Which socket a packet is for that reached a host, and what it says.
pub(crate) fn heard(read: &Read, host: &str, own: &[SocketAddr]) -> Option<Heard> {
    let (at, news) = match read.about {
        None => (read.dst, News::Packet),
        Some((quote, true)) => (SocketAddr::new(quote.src.addr, quote.src.port), News::Expired),
        Some((quote, false)) => {
            let to = SocketAddr::new(quote.dst.addr, quote.dst.port);
            (SocketAddr::new(quote.src.addr, quote.src.port), News::Error { to })
        }
    };
    // An echo request is for a host, not for a port.
    let is_for = |own: SocketAddr| own.ip() == at.ip() && (own.port() == at.port() || at.port() == 0);
    let by = (0..SOCKETS.len()).find(|&n| SOCKETS[n].1 == host && is_for(own[n]))?;
    Some(Heard { by, from: read.src, news })
}

/// Where a script is played: a lab, or the fabric in virtual time.
pub(crate) trait Stage {
    /// Why it could not be played.
    type Error;
    /// A socket's own address.
    fn own(&self, socket: usize) -> SocketAddr;
    /// Whether that is the router's address towards its hosts.
    fn is_router(&self, addr: IpAddr) -> bool;
    /// Sends something. `expected`: whether it should be heard, and so is worth waiting for.
    fn send(&mut self, sending: &Sending, expected: bool) -> Result<Option<Heard>, Self::Error>;
    /// Lets time pass.
    fn wait_ms(&mut self, millis: u64) -> Result<(), Self::Error>;
    /// The router starts anew.
    fn reboot(&mut self) -> Result<(), Self::Error>;
    /// The router gets another address.
    fn renumber(&mut self) -> Result<(), Self::Error>;
}

/// What is to be played, beside the script itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms<'a> {
    pub(crate) kind: Kind,
    /// The translation that the outside sees.
    pub(crate) nat: Option<&'a NatConfig>,
}

/// Plays a script; what was seen, a word per sending. `expected` is what should be, in the same words. Words that make no
/// sense are passed over: the rows' own test finds them.
pub(crate) fn play<S: Stage>(
    stage: &mut S,
    script: &str,
    expected: &str,
    terms: Terms<'_>,
) -> Result<String, S::Error> {
    let mut seen = Seen { nat: terms.nat.copied(), latest: [None; INSIDE], ports: Vec::new(), addresses: Vec::new() };
    let mut words: Vec<String> = Vec::new();
    let mut wanted = expected.split(' ');
    for step in script.split(' ').filter_map(step) {
        match step {
            Step::WaitMs(millis) => stage.wait_ms(millis)?,
            Step::Reboot => stage.reboot()?,
            Step::Renumber => stage.renumber()?,
            Step::Send { from, to, way, flags } => {
                let sending = seen.sending(stage, terms.kind, (from, to), way, flags);
                let heard = stage.send(&sending, wanted.next().is_none_or(|word| word != "-"))?;
                words.push(match heard {
                    None => "-".to_owned(),
                    Some(heard) => seen.word(stage, &sending, heard, to, way),
                });
            }
        }
    }
    Ok(seen.summary(words))
}

/// Whether every word of a script is one, and as many are seen as are expected.
#[cfg(test)]
pub(crate) fn is_sound(script: &str, expected: &str) -> bool {
    let steps: Option<Vec<Step>> = script.split(' ').map(step).collect();
    let sent = |steps: Vec<Step>| steps.iter().filter(|step| matches!(step, Step::Send { .. })).count();
    steps.map(sent) == Some(expected.split(' ').count()) || expected == MANY
}

/// What is seen of a router that draws an address per mapping.
pub(crate) const MANY: &str = "several addresses";

/// What has been seen of external endpoints.
struct Seen {
    nat: Option<NatConfig>,
    /// Where each inside socket was last seen, and by whom.
    latest: [Option<(SocketAddr, usize)>; INSIDE],
    ports: Vec<(IpAddr, u16)>,
    addresses: Vec<IpAddr>,
}

impl Seen {
    fn sending(&self, stage: &impl Stage, kind: Kind, ends: (usize, usize), way: Way, flags: u8) -> Sending {
        let (from, to) = ends;
        let latest = if to < INSIDE { self.latest[to] } else { None };
        let own = stage.own(from);
        let (src, dst, asks) = match (way, latest) {
            // What `to` had sent when it was last seen.
            (Way::Error, Some((as_seen, by))) => (as_seen, stage.own(by), true),
            (_, Some((as_seen, _))) => (own, as_seen, from < INSIDE),
            (_, None) => (own, stage.own(to), from < INSIDE),
        };
        let form = match kind {
            Kind::Udp => Form::Udp,
            Kind::Tcp => Form::Tcp(flags),
            Kind::Echo if asks => Form::Ask,
            Kind::Echo => Form::Answer,
        };
        let hop_limit = if way == Way::OneHop { 1 } else { FAR };
        Sending { from, letter: Letter { form, src, dst, hop_limit }, as_error: way == Way::Error }
    }

    fn word(&mut self, stage: &impl Stage, sending: &Sending, heard: Heard, to: usize, way: Way) -> String {
        let (own, by) = (stage.own(sending.from), SOCKETS[heard.by].0);
        match (heard.news, way) {
            (News::Error { to }, _) if is_same(to, sending.letter.dst) => format!("{by}:error"),
            (News::Error { to }, _) => format!("{by}:error about {to}"),
            (News::Expired, _) if stage.is_router(heard.from.ip()) => format!("{by}:expired"),
            (News::Expired, _) => format!("{by}:expired at {}", heard.from.ip()),
            (News::Packet, Way::Hairpin) => {
                let side = if heard.from.ip() == own.ip() { "inside" } else { "outside" };
                format!("{by}:{side}")
            }
            (News::Packet, _) if sending.from < INSIDE && heard.by == to => {
                self.latest[sending.from] = Some((heard.from, heard.by));
                self.name(heard.from, own)
            }
            (News::Packet, _) => by.to_owned(),
        }
    }

    fn name(&mut self, external: SocketAddr, own: SocketAddr) -> String {
        if external == own {
            return "itself".to_owned();
        }
        let Some(nat) = self.nat else { return self.plain_name(external, own, false) };
        let several = nat.addresses.get() > 1;
        if let Some(block) = nat.port_block {
            let block = external.port().saturating_sub(1024) / block.get();
            return letter(b'A', place(&mut self.ports, (external.ip(), block)));
        }
        if nat.parity && external.port() != own.port() {
            return if external.port().is_multiple_of(2) { "even" } else { "odd" }.to_owned();
        }
        let name = self.plain_name(external, own, nat.ports == PortAssignment::Sequential);
        let address = place(&mut self.addresses, external.ip()) + 1;
        if several { format!("{name}@{address}") } else { name }
    }

    fn plain_name(&mut self, external: SocketAddr, own: SocketAddr, in_sequence: bool) -> String {
        if external.port() == own.port() {
            return "own".to_owned();
        }
        let first = self.ports.first().map(|(_, port)| *port);
        let step = first.map_or(0, |first| external.port().wrapping_sub(first));
        match place(&mut self.ports, (external.ip(), external.port())) {
            n if in_sequence && n > 0 && usize::from(step) == n => format!("p+{n}"),
            n => letter(b'p', n),
        }
    }

    fn summary(&self, words: Vec<String>) -> String {
        let arbitrary = |nat: &NatConfig| nat.addresses.get() > 1 && nat.pooling == netsim_fabric::Pooling::Arbitrary;
        if self.nat.as_ref().is_some_and(arbitrary) && self.addresses.len() > 1 {
            return MANY.to_owned();
        }
        words.join(" ")
    }
}

/// Where `item` is in `list`; it is put there if it is not.
fn place<T: PartialEq>(list: &mut Vec<T>, item: T) -> usize {
    list.iter().position(|other| *other == item).unwrap_or_else(|| {
        list.push(item);
        list.len() - 1
    })
}

fn letter(first: u8, n: usize) -> String {
    u8::try_from(n).ok().and_then(|n| first.checked_add(n)).map_or_else(|| "?".to_owned(), |c| char::from(c).into())
}

/// The same, where an echo's other side has no port.
fn is_same(one: SocketAddr, other: SocketAddr) -> bool {
    one == other || (one.ip() == other.ip() && one.port() == 0)
}
