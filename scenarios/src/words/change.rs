//! What happens to the network, in words.

use super::size_words;
use longhaul_record::text;
use netsim_fabric::{
    Discipline, Jitter, Limit, LinkConfig, LinkState, Loss, Manner, Mtu, Outage, Oversize, Probability, Queue, Rate,
    Reorder,
};
use netsim_topology::{Change, Direction, Event, Host, Topology};
use std::fmt::Write;

/// What happens at which time, in nanoseconds: an entry for each moment.
pub(super) fn timeline_words(topology: &Topology, timeline: &[Event]) -> Vec<(u64, String)> {
    let mut network = topology.clone();
    let moments = timeline.chunk_by(|a, b| a.at_ns == b.at_ns);
    moments.map(|events| (events[0].at_ns, moment_words(&mut network, events))).collect()
}

/// Both directions of a link that fare alike are the link.
fn moment_words(network: &mut Topology, events: &[Event]) -> String {
    let mut happens: Vec<(String, String)> = Vec::new();
    for event in events {
        let (who, what) = event_words(network, event);
        let link = who.strip_suffix(" up").or(who.strip_suffix(" down"));
        let other_way = |(other, same): &&mut (String, String)| {
            *same == what && *other != who && link.is_some() && other.rsplit_once(' ').map(|(name, _)| name) == link
        };
        match happens.iter_mut().find(other_way).zip(link) {
            Some(((other, _), link)) => link.clone_into(other),
            None => happens.push((who, what)),
        }
    }
    /// More of which nobody wants to read.
    const MANY: usize = 5;
    let happens: Vec<String> = super::together(happens.into_iter())
        .into_iter()
        .flat_map(|(what, who)| match who.as_slice() {
            [first, .., last] if who.len() >= MANY => {
                vec![format!("each of {} ({first} to {last}) {what}", who.len())]
            }
            few => few.iter().map(|who| format!("{who} {what}")).collect(),
        })
        .collect();
    happens.join("; ")
}

/// To whom what happens. The network is then as it is after it.
pub(crate) fn event_words(network: &mut Topology, event: &Event) -> (String, String) {
    match &event.change {
        Change::Link { name, config } => {
            let way = match name.direction {
                Direction::Up => "up",
                Direction::Down => "down",
            };
            let words = network.access_mut(&name.link).map(|access| {
                let before = match name.direction {
                    Direction::Up => &mut access.up,
                    Direction::Down => &mut access.down,
                };
                let words = change_words(before, config);
                *before = config.as_ref().clone();
                words
            });
            (format!("{} {way}", name.link), words.unwrap_or_default())
        }
        Change::Reboot { router } => (router.clone(), "starts anew and forgets its mappings".into()),
        Change::Renumber { router, .. } => (router.clone(), "gets other addresses and forgets its mappings".into()),
        Change::Interface { host, interface, up } => (host.clone(), switch_words(network, host, interface, *up)),
        Change::Readdress { host, addresses, .. } => {
            let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            (host.clone(), format!("loses its address and gets {}", addresses.join(" and ")))
        }
    }
}

/// An interface goes up or down, and the host goes on by the one that it prefers of those left.
fn switch_words(network: &mut Topology, host: &str, name: &str, up: bool) -> String {
    let Some(host) = network.hosts.iter_mut().find(|other| other.name == host) else { return String::new() };
    let used = |host: &Host| host.interfaces.iter().find(|own| own.up).map(|own| own.name.clone());
    let before = used(host);
    for interface in host.interfaces.iter_mut().filter(|own| own.name == name) {
        interface.up = up;
    }
    let words = format!("{} {name}", if up { "gets" } else { "loses" });
    match used(host) {
        after if after == before => words,
        Some(after) => format!("{words} and goes on by {after}"),
        None => format!("{words} and is cut off"),
    }
}

/// What a direction does that it did not before.
fn change_words(before: &LinkConfig, after: &LinkConfig) -> String {
    let mut words = Vec::new();
    let mut differs = |same: bool, word: String| {
        if !same {
            words.push(word);
        }
    };
    differs(before.manner == after.manner, manner_words(after.manner).into());
    differs(before.delay_ns == after.delay_ns, format!("{} of delay", text::nanoseconds(after.delay_ns)));
    differs(before.jitter == after.jitter, jitter_words(&after.jitter));
    differs(before.loss == after.loss, loss_words(&after.loss));
    differs(before.duplicate == after.duplicate, format!("{} sent twice", share(after.duplicate)));
    differs(before.corrupt == after.corrupt, format!("{} corrupted", share(after.corrupt)));
    differs(before.reorder == after.reorder, reorder_words(after.reorder).into());
    differs(before.rate == after.rate, rate_words(&after.rate));
    differs(before.queue == after.queue, queue_words(&after.queue));
    differs(before.mtu == after.mtu, after.mtu.map_or_else(|| "no MTU".into(), mtu_words));
    let state = match after.state {
        _ if before.state == after.state => None,
        LinkState::Up => Some("comes up"),
        LinkState::Down(Outage::Drop) => Some("goes down"),
        LinkState::Down(Outage::Hold) => Some("goes down and holds what comes"),
    };
    match (state, words.is_empty()) {
        (Some(state), true) => state.into(),
        (Some(state), false) => format!("{state} with {}", words.join(", ")),
        (None, _) => format!("changes to {}", words.join(", ")),
    }
}

/// What a direction does beside delay, jitter, loss, rate and the limit of its queue.
pub(super) fn oddities(config: &LinkConfig) -> Vec<String> {
    let mut words = Vec::new();
    if config.manner == Manner::Netem {
        words.push(manner_words(config.manner).into());
    }
    match &config.loss {
        Loss::GilbertElliott { .. } => words.push("losses in bursts".into()),
        Loss::Scripted(_) => words.push(loss_words(&config.loss)),
        Loss::None | Loss::Bernoulli(_) => {}
    }
    if config.duplicate != Probability::ZERO {
        words.push(format!("{} sent twice", share(config.duplicate)));
    }
    if config.corrupt != Probability::ZERO {
        words.push(format!("{} corrupted", share(config.corrupt)));
    }
    if config.reorder != Reorder::Never {
        words.push(reorder_words(config.reorder).into());
    }
    if config.queue.discipline != Discipline::DropTail {
        words.push(format!("a queue kept short by {}", discipline_words(&config.queue)));
    }
    words.extend(config.mtu.map(mtu_words));
    words
}

fn share(probability: Probability) -> String {
    text::trimmed(text::percent(f64::from(probability.ppb()) / 1e9))
}

fn manner_words(manner: Manner) -> &'static str {
    match manner {
        Manner::Wire => "a wire's rules",
        Manner::Netem => "netem's rules",
    }
}

fn jitter_words(jitter: &Jitter) -> String {
    let ns = text::nanoseconds;
    match jitter {
        Jitter::None => "no jitter".into(),
        Jitter::Uniform { ns: half } => format!("± {} of jitter", ns(*half)),
        Jitter::Normal { sigma_ns } => format!("normal jitter of {}", ns(*sigma_ns)),
        Jitter::Pareto { scale_ns, .. } => format!("Pareto jitter of {}", ns(*scale_ns)),
        Jitter::Samples(_) => "measured jitter".into(),
    }
}

fn loss_words(loss: &Loss) -> String {
    let mean = text::trimmed(text::percent(f64::from(loss.mean_ppb()) / 1e9));
    match loss {
        Loss::None => "no loss".into(),
        Loss::Bernoulli(_) => format!("{mean} loss"),
        Loss::GilbertElliott { .. } => format!("{mean} loss in bursts"),
        Loss::Scripted(script) => match script.numbers() {
            [one] => format!("packet {one} lost"),
            several => format!("{} packets lost by a list", several.len()),
        },
    }
}

fn reorder_words(reorder: Reorder) -> &'static str {
    match reorder {
        Reorder::Never => "packets in order",
        Reorder::ByJitter => "packets overtaking each other by jitter",
        Reorder::Share { .. } => "some packets out of order",
    }
}

/// `24 Mbit/s on average`.
pub(super) fn rate_words(rate: &Rate) -> String {
    let Some(mean) = rate.mean_bps() else { return "no limit of rate".into() };
    let mut words = text::trimmed(text::bits_per_second(mean.get() as f64));
    if rate.varies() {
        words += " on average";
    }
    words
}

fn queue_words(queue: &Queue) -> String {
    let mut words = match queue.limit {
        Limit::Unbounded => "an endless queue".into(),
        Limit::Bytes(bytes) => format!("a queue of {}", size_words(bytes)),
        Limit::Packets(packets) => format!("a queue of {packets} packets"),
    };
    if queue.discipline != Discipline::DropTail {
        // Writing to a string does not fail.
        let _ = write!(words, " kept short by {}", discipline_words(queue));
    }
    words
}

fn discipline_words(queue: &Queue) -> String {
    let name = match queue.discipline {
        Discipline::DropTail => "nothing",
        Discipline::CoDel(_) => "CoDel",
        Discipline::Red(_) => "RED",
    };
    if queue.ecn { format!("{name} with ECN") } else { name.into() }
}

fn mtu_words(mtu: Mtu) -> String {
    match mtu.oversize {
        Oversize::TooBig => format!("an MTU of {} bytes", mtu.bytes),
        Oversize::BlackHole => format!("a black hole for more than {} bytes", mtu.bytes),
    }
}
