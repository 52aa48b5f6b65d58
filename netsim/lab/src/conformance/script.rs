//! What is done to a router, and what is seen of it, in one line of text each.
//!
//! Sockets inside: `a`, `a2` and `o` on one host, ports 4000, 4100 and 4201; `c` on another, port 4000 too. Outside: `x1`
//! and `x2` on one host, `y` on another. Steps:
//!
//! | Step | What is done | What is seen |
//! |---|---|---|
//! | `a>x1` | `a` sends to `x1` | as which port `x1` saw `a`: see below; `-`: nothing came |
//! | `x1>a` | `x1` sends to where `a` was last seen | which socket heard it; `-`: none |
//! | `c>>a` | `c` sends to where `a` was last seen from outside | who heard it, and whether from `c`'s inside or outside |
//! | `3.5s` | nothing for so long | |
//! | `reboot`, `renumber` | the router starts anew; gets another address | |
//!
//! A port is `own` if it is the socket's own, else a letter, one for each different one in order of appearance; in
//! sequence, `p+1`; `itself` without translation; with several addresses, `own@2` is a port of the second one seen.

use netsim_fabric::{NatConfig, PortAssignment};
use std::net::{IpAddr, SocketAddr};

/// Sockets: name, host, port.
pub(crate) const SOCKETS: [(&str, &str, u16); 7] = [
    ("a", "a", 4000),
    ("a2", "a", 4100),
    ("o", "a", 4201),
    ("c", "c", 4000),
    ("x1", "x", 9001),
    ("x2", "x", 9002),
    ("y", "y", 9001),
];
/// The first so many are inside.
pub(crate) const INSIDE: usize = 4;

/// One thing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// From one side to the other.
    Send(usize, usize),
    /// From inside to an external endpoint.
    Hairpin(usize, usize),
    WaitMs(u64),
    Reboot,
    Renumber,
}

fn step(word: &str) -> Option<Step> {
    let socket = |name: &str| SOCKETS.iter().position(|(other, ..)| *other == name);
    match word {
        "reboot" => return Some(Step::Reboot),
        "renumber" => return Some(Step::Renumber),
        _ => {}
    }
    if let Some((from, to)) = word.split_once(">>") {
        return Some(Step::Hairpin(socket(from)?, socket(to)?));
    }
    if let Some((from, to)) = word.split_once('>') {
        return Some(Step::Send(socket(from)?, socket(to)?));
    }
    let seconds: f64 = word.strip_suffix('s')?.parse().ok()?;
    Some(Step::WaitMs((seconds * 1000.0) as u64))
}

/// A datagram as it was heard: by which socket, from where.
pub(crate) type Heard = (usize, SocketAddr);

/// Where a script is played: a lab, or the fabric in virtual time.
pub(crate) trait Stage {
    /// Why it could not be played.
    type Error;
    /// A socket's own address.
    fn own(&self, socket: usize) -> SocketAddr;
    /// Sends a datagram. `expected`: whether it should be heard, and so is worth waiting for.
    fn send(&mut self, from: usize, to: SocketAddr, expected: bool) -> Result<Option<Heard>, Self::Error>;
    /// Lets time pass.
    fn wait_ms(&mut self, millis: u64) -> Result<(), Self::Error>;
    /// The router starts anew.
    fn reboot(&mut self) -> Result<(), Self::Error>;
    /// The router gets another address.
    fn renumber(&mut self) -> Result<(), Self::Error>;
}

/// Plays a script; what was seen, a word per sending. `expected` is what should be, in the same words. Words that make no
/// sense are passed over: the rows' own test finds them.
pub(crate) fn play<S: Stage>(
    stage: &mut S,
    script: &str,
    expected: &str,
    nat: Option<&NatConfig>,
) -> Result<String, S::Error> {
    let mut seen = Seen { nat: nat.copied(), latest: [None; INSIDE], ports: Vec::new(), addresses: Vec::new() };
    let mut words: Vec<String> = Vec::new();
    let mut wanted = expected.split(' ');
    for step in script.split(' ').filter_map(step) {
        match step {
            Step::WaitMs(millis) => stage.wait_ms(millis)?,
            Step::Reboot => stage.reboot()?,
            Step::Renumber => stage.renumber()?,
            Step::Send(from, to) | Step::Hairpin(from, to) => {
                let own = stage.own(from);
                let target = if to < INSIDE { seen.latest[to] } else { None }.unwrap_or_else(|| stage.own(to));
                let heard = stage.send(from, target, wanted.next().is_none_or(|word| word != "-"))?;
                words.push(match (step, heard) {
                    (_, None) => "-".to_owned(),
                    (Step::Hairpin(..), Some((by, as_seen))) => {
                        let side = if as_seen.ip() == own.ip() { "inside" } else { "outside" };
                        format!("{}:{side}", SOCKETS[by].0)
                    }
                    (_, Some((by, as_seen))) if from < INSIDE && by == to => {
                        seen.latest[from] = Some(as_seen);
                        seen.name(as_seen, own)
                    }
                    (_, Some((by, _))) => SOCKETS[by].0.to_owned(),
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
    let sent = |steps: Vec<Step>| steps.iter().filter(|s| matches!(s, Step::Send(..) | Step::Hairpin(..))).count();
    steps.map(sent) == Some(expected.split(' ').count()) || expected == MANY
}

/// What is seen of a router that draws an address per mapping.
pub(crate) const MANY: &str = "several addresses";

/// What has been seen of external endpoints.
struct Seen {
    nat: Option<NatConfig>,
    /// Where each inside socket was last seen.
    latest: [Option<SocketAddr>; INSIDE],
    ports: Vec<(IpAddr, u16)>,
    addresses: Vec<IpAddr>,
}

impl Seen {
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
