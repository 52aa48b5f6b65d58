//! What a link must do, row by row. What is random is tested against its distribution, not against loose bounds.

use super::Verdict;
use super::field::FieldError;
use super::train::{self, Outcome, Pace, Train};
use crate::lab::Engines;
use longhaul_record::{Fidelity, text};
use longhaul_stats::{chi_square, kolmogorov_smirnov, median};
use netsim_fabric::{Jitter, LinkConfig, Loss, Mtu, Oversize, Probability, Queue, Rate, Reorder, Shift};
use std::collections::BTreeMap;
use std::num::NonZeroU64;

/// One thing a link must do.
#[derive(Debug, Clone, PartialEq)]
pub struct LinkRow {
    /// What it is about.
    pub about: &'static str,
    /// How the link is configured, and with what it is tried.
    pub terms: &'static str,
    link: LinkConfig,
    train: Train,
    check: Check,
}

/// What must be seen.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Check {
    /// Packets are lost one by one with this probability: pairs of neighbours, χ².
    Lost(f64),
    /// Bursts of loss end with this probability per packet: lengths, χ².
    Bursts(f64),
    /// So many packets arrive twice: χ².
    Twice(f64),
    /// So many packets are overtaken: χ².
    Overtaken(f64),
    /// Delay differs evenly from its middle, by so many nanoseconds at most: Kolmogorov–Smirnov.
    Uniform(f64),
    /// The median delay, in nanoseconds.
    Delay(f64),
    /// Bits per second of IP.
    Rate(f64),
    /// Everything arrives, in order.
    InOrder,
    /// Nothing arrives.
    Nothing,
    /// The first packet does not arrive; once its sender has learnt why, it cuts them in pieces, and they do.
    Learnt,
}

impl Check {
    /// Whether the machine's speed shows in it. All else is a matter of counting.
    fn is_timed(self) -> bool {
        matches!(self, Check::Overtaken(_) | Check::Uniform(_) | Check::Delay(_) | Check::Rate(_))
    }
}

/// What a check has to say.
enum Finding {
    /// A test's probability: below [`ALPHA`] the distribution is another.
    P(f64),
    /// A measured value, by how much it may be off, and what it should be.
    Value {
        got: f64,
        want: f64,
        tolerance: f64,
    },
    Holds(bool),
}

/// How unlikely what was seen must be before it counts as false. Losses follow from the seed, so they are always the same;
/// times are not.
const ALPHA: f64 = 1e-4;
/// A false row is tried again: a busy machine loses packets at sockets, and time.
const TRIES: u32 = 4;
/// An emulator that was away for longer, or late by more for one packet in a hundred, makes other times than a link's.
const LONGEST_GAP_NS: u64 = 2 * MS;
const LATENESS_NS: u64 = MS / 2;
const MS: u64 = 1_000_000;
/// An IP and a UDP header.
const HEADERS: usize = 28;

fn probability(share: f64) -> Probability {
    Probability::from_ppb((share * 1e9) as u32).unwrap_or_default()
}

/// All rows about links.
pub fn link_rows() -> Vec<LinkRow> {
    let mut rows = losses();
    rows.extend(times());
    rows.extend(fates());
    rows
}

fn row(about: &'static str, terms: &'static str, link: LinkConfig, train: Train, check: Check) -> LinkRow {
    LinkRow { about, terms, link, train, check }
}

fn losses() -> Vec<LinkRow> {
    let wire = LinkConfig::default;
    let loss = |share| LinkConfig { loss: Loss::Bernoulli(probability(share)), ..wire() };
    let bursts = Loss::GilbertElliott {
        fail: probability(0.02),
        recover: probability(0.25),
        loss_good: Probability::ZERO,
        loss_bad: Probability::ONE,
    };
    let fast = Train { count: 20_000, bytes: 32, pace: Pace::Fast };
    let packed = Train { count: 20_000, bytes: 200, pace: Pace::Super(40) };
    vec![
        row("loss", "1 %, 20,000 packets", loss(0.01), fast, Check::Lost(0.01)),
        row("loss", "5 %, 20,000 packets", loss(0.05), fast, Check::Lost(0.05)),
        row("loss", "20 %, 20,000 packets", loss(0.2), fast, Check::Lost(0.2)),
        // Seen elsewhere: whole super-packets were lost.
        row("loss", "5 %, super-packets of 40 segments, 20,000 segments", loss(0.05), packed, Check::Lost(0.05)),
        row(
            "loss",
            "Gilbert–Elliott, bursts of 4 on average, 20,000 packets",
            LinkConfig { loss: bursts, ..wire() },
            fast,
            Check::Bursts(0.25),
        ),
        row(
            "corruption",
            "2 %, 10,000 packets: checksums catch it",
            LinkConfig { corrupt: probability(0.02), ..wire() },
            Train { count: 10_000, ..fast },
            Check::Lost(0.02),
        ),
        row(
            "duplication",
            "5 %, 10,000 packets",
            LinkConfig { duplicate: probability(0.05), ..wire() },
            Train { count: 10_000, ..fast },
            Check::Twice(0.05),
        ),
    ]
}

fn times() -> Vec<LinkRow> {
    let wire = LinkConfig::default;
    let paced = |count, gap| Train { count, bytes: 32, pace: Pace::Every(gap) };
    let rate = |mbit: u64| LinkConfig {
        rate: NonZeroU64::new(mbit * 1_000_000).map_or(Rate::default(), Rate::Constant),
        queue: Queue::drop_tail(1_000_000),
        ..wire()
    };
    let train = Train { count: 100, bytes: 1000, pace: Pace::Burst };
    vec![
        row("delay", "20 ms", LinkConfig { delay_ns: 20 * MS, ..wire() }, paced(100, 2 * MS), Check::Delay(20e6)),
        row(
            "jitter",
            "20 ms ± 4 ms, evenly, 500 packets",
            LinkConfig { delay_ns: 20 * MS, jitter: Jitter::Uniform { ns: 4 * MS }, ..wire() },
            paced(500, 9 * MS),
            Check::Uniform(4e6),
        ),
        row("rate", "10 Mbit/s, a train of 100 packets", rate(10), train, Check::Rate(10e6)),
        row("rate", "2 Mbit/s, a train of 100 packets", rate(2), train, Check::Rate(2e6)),
        row(
            "order",
            "20 ms ± 10 ms without reordering, 1,000 packets in 1 s",
            LinkConfig { delay_ns: 20 * MS, jitter: Jitter::Uniform { ns: 10 * MS }, ..wire() },
            paced(1_000, MS),
            Check::InOrder,
        ),
        row(
            "reordering",
            "10 % come 20 ms after their turn, 1,500 packets",
            LinkConfig { reorder: Reorder::Share { share: probability(0.1), shift: Shift::Behind(20 * MS) }, ..wire() },
            paced(1_500, 2 * MS),
            Check::Overtaken(0.1),
        ),
    ]
}

fn fates() -> Vec<LinkRow> {
    let mtu = |oversize| LinkConfig { mtu: Some(Mtu { bytes: 1000, oversize }), ..LinkConfig::default() };
    let of = |bytes| Train { count: 20, bytes, pace: Pace::Every(MS) };
    vec![
        row("MTU", "1000 bytes, packets of 1000", mtu(Oversize::BlackHole), of(1000 - HEADERS), Check::InOrder),
        row(
            "MTU",
            "1000 bytes, packets of 1001: a black hole",
            mtu(Oversize::BlackHole),
            of(1001 - HEADERS),
            Check::Nothing,
        ),
        row(
            "MTU",
            "1000 bytes, packets of 1001: the sender is told and cuts them",
            mtu(Oversize::TooBig),
            of(1001 - HEADERS),
            Check::Learnt,
        ),
    ]
}

/// A row about links and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct TriedLink {
    /// The row.
    pub row: LinkRow,
    /// What carried the packets: a column of the table.
    pub column: String,
    /// What became of it.
    pub verdict: Verdict,
}

/// Tries a row.
pub fn try_link(row: &LinkRow, engines: Engines) -> Verdict {
    let mut verdict = Verdict::Busy { why: "not tried".into() };
    for _ in 0..TRIES {
        match once(row, engines) {
            Ok(Verdict::True) => return Verdict::True,
            // The machine may be at fault; what the seed decides stays as it is.
            Ok(found) => verdict = found,
            Err(error) => return Verdict::Broken { why: text::chain(&error) },
        }
    }
    verdict
}

fn once(row: &LinkRow, engines: Engines) -> Result<Verdict, FieldError> {
    let outcome = train::run(&row.link, row.train, super::SEED, engines)?;
    let finding = find(row, &outcome);
    let holds = match finding {
        Some(Finding::P(p)) => p >= ALPHA,
        Some(Finding::Value { got, want, tolerance }) => (got - want).abs() <= tolerance,
        Some(Finding::Holds(holds)) => holds,
        None => false,
    };
    if holds {
        return Ok(Verdict::True);
    }
    let what = match finding {
        Some(Finding::P(p)) => format!("p = {p:.1e}"),
        Some(Finding::Value { got, want, .. }) => format!("{got:.0} in place of {want:.0}"),
        Some(Finding::Holds(_)) => "another number, or another order".to_owned(),
        None => "too few packets".to_owned(),
    };
    let (arrived, sent) = (outcome.arrived.len(), outcome.sent.len());
    let seen = format!("{what}; {arrived} of {sent} arrived");
    Ok(match disturbance(row.check, &outcome.fidelity) {
        Some(why) => Verdict::Busy { why: format!("{seen}; {why}") },
        None => Verdict::False { seen },
    })
}

/// Why what was seen says nothing about the link.
fn disturbance(check: Check, emulator: &Fidelity) -> Option<String> {
    let lost: u64 = emulator.unintended_drops.values().sum();
    if lost > 0 {
        return Some(format!("{lost} lost by the emulator"));
    }
    let late = emulator.longest_gap_ns > LONGEST_GAP_NS || emulator.lateness_p99_ns > LATENESS_NS;
    (check.is_timed() && late).then(|| {
        let [gap, lateness] = [emulator.longest_gap_ns, emulator.lateness_p99_ns].map(|ns| ns as f64 / 1e6);
        format!("the emulator was away for {gap:.1} ms, and late by {lateness:.1} ms for one packet in a hundred")
    })
}

fn find(row: &LinkRow, outcome: &Outcome) -> Option<Finding> {
    let copies = copies(outcome);
    let lost: Vec<bool> = copies.iter().map(|copies| *copies == 0).collect();
    let n = copies.len() as f64;
    let share = |hits: usize, p: f64| {
        chi_square(&[hits as u64, (copies.len() - hits) as u64], &[n * p, n * (1.0 - p)]).map(Finding::P)
    };
    match row.check {
        Check::Lost(p) => pairs(&lost, p).map(Finding::P),
        Check::Bursts(end) => bursts(&lost, end).map(Finding::P),
        Check::Twice(p) => share(copies.iter().filter(|copies| **copies == 2).count(), p),
        Check::Overtaken(p) => share(overtaken(outcome), p),
        Check::Uniform(half) => {
            let middle = row.link.delay_ns as f64;
            let delays = delays(outcome);
            kolmogorov_smirnov(&delays, |delay| ((delay - middle + half) / (2.0 * half)).clamp(0.0, 1.0))
                .map(Finding::P)
        }
        Check::Delay(want) => {
            let got = median(&delays(outcome))?;
            Some(Finding::Value { got, want, tolerance: 1e6 })
        }
        Check::Rate(want) => {
            let (first, last) = (outcome.arrived.first()?, outcome.arrived.last()?);
            let bits = ((outcome.arrived.len() - 1) * (row.train.bytes + HEADERS) * 8) as f64;
            let got = bits * 1e9 / last.at.nanos_since(first.at) as f64;
            Some(Finding::Value { got, want, tolerance: want * 0.02 })
        }
        Check::InOrder => {
            let in_order = outcome.arrived.is_sorted_by_key(|arrival| arrival.number);
            Some(Finding::Holds(in_order && copies.iter().all(|copies| *copies == 1)))
        }
        Check::Learnt => Some(Finding::Holds(copies.first() == Some(&0) && copies.last() == Some(&1))),
        Check::Nothing => Some(Finding::Holds(outcome.arrived.is_empty())),
    }
}

/// How often each packet arrived.
fn copies(outcome: &Outcome) -> Vec<u32> {
    let mut copies = vec![0; outcome.sent.len()];
    for arrival in &outcome.arrived {
        if let Some(count) = copies.get_mut(arrival.number as usize) {
            *count += 1;
        }
    }
    copies
}

fn delays(outcome: &Outcome) -> Vec<f64> {
    let delay = |arrival: &train::Arrival| {
        outcome.sent.get(arrival.number as usize).map(|sent| arrival.at.nanos_since(*sent) as f64)
    };
    outcome.arrived.iter().filter_map(delay).collect()
}

/// Neighbours, two by two: both the share and the independence of losses.
fn pairs(lost: &[bool], p: f64) -> Option<f64> {
    let mut cells = [0; 4];
    for pair in lost.chunks_exact(2) {
        cells[usize::from(pair[0]) * 2 + usize::from(pair[1])] += 1;
    }
    let n = (lost.len() / 2) as f64;
    chi_square(&cells, &[n * (1.0 - p) * (1.0 - p), n * (1.0 - p) * p, n * p * (1.0 - p), n * p * p])
}

/// Lengths of bursts are geometric; the long ones are one cell.
fn bursts(lost: &[bool], end: f64) -> Option<f64> {
    const LONGEST: usize = 12;
    let mut lengths: BTreeMap<usize, u64> = BTreeMap::new();
    // The last burst may not be over.
    for burst in lost.chunk_by(|a, b| a == b).filter(|run| run[0]) {
        *lengths.entry(burst.len().min(LONGEST)).or_insert(0) += 1;
    }
    let n: u64 = lengths.values().sum();
    let observed: Vec<u64> = (1..=LONGEST).map(|length| lengths.get(&length).copied().unwrap_or(0)).collect();
    let share = |length: usize| {
        let reached = (1.0 - end).powi(length as i32 - 1);
        if length == LONGEST { reached } else { reached * end }
    };
    let expected: Vec<f64> = (1..=LONGEST).map(|length| n as f64 * share(length)).collect();
    chi_square(&observed, &expected)
}

/// Packets that a later one came before.
fn overtaken(outcome: &Outcome) -> usize {
    let mut latest = None;
    let mut count = 0;
    for arrival in &outcome.arrived {
        if latest.is_some_and(|latest| arrival.number < latest) {
            count += 1;
        }
        latest = latest.max(Some(arrival.number));
    }
    count
}
