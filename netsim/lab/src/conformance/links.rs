//! What a link must do, row by row. What is random is tested against its distribution, not against loose bounds.

use super::Verdict;
use super::field::FieldError;
use super::train::{self, Outcome, Pace, Train};
use crate::lab::Engines;
use longhaul_record::Fidelity;
use longhaul_stats::{chi_square, kolmogorov_smirnov, median, normal_cdf};
use netsim_fabric::{
    CoDelConfig, Discipline, Jitter, Limit, LinkConfig, LinkState, Loss, Mtu, Outage, Oversize, Probability, Queue,
    Rate, RedConfig, Reorder, Samples, Shift,
};
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
    /// What the link becomes once it has taken in everything.
    then: Option<LinkConfig>,
    train: Train,
    check: Check,
}

impl LinkRow {
    /// Whether the machine's speed shows in it. All else is a matter of counting.
    pub(super) fn is_timed(&self) -> bool {
        self.check.is_timed()
    }
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
    /// Delay differs from its middle as the link's jitter says: Kolmogorov–Smirnov.
    Jitter,
    /// The median delay, in nanoseconds.
    Delay(f64),
    /// Bits per second of IP.
    Rate(f64),
    /// Everything arrives, in order.
    InOrder,
    /// Nothing arrives.
    Nothing,
    /// The first so many arrive, and no more.
    First(u32),
    /// Everything arrives, some of it, but not all, with a mark of congestion.
    Marked,
    /// Some of it arrives, but not all, and nothing with a mark.
    Thinned,
    /// The first packet does not arrive; once its sender has learnt why, it cuts them in pieces, and they do.
    Learnt,
}

impl Check {
    /// Whether the machine's speed shows in it. All else is a matter of counting.
    fn is_timed(self) -> bool {
        matches!(self, Check::Overtaken(_) | Check::Jitter | Check::Delay(_) | Check::Rate(_))
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
    rows.extend(jitters());
    rows.extend(fates());
    rows.extend(queues());
    rows
}

fn row(about: &'static str, terms: &'static str, link: LinkConfig, train: Train, check: Check) -> LinkRow {
    LinkRow { about, terms, link, then: None, train, check }
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
    let fast = Train { count: 20_000, bytes: 32, pace: Pace::Fast, ecn: false };
    let half = Train { count: 10_000, ..fast };
    let packed = Train { bytes: 200, pace: Pace::Super(40), ..half };
    vec![
        row("loss", "1 %, 20,000 packets", loss(0.01), fast, Check::Lost(0.01)),
        row("loss", "5 %, 10,000 packets", loss(0.05), half, Check::Lost(0.05)),
        row("loss", "20 %, 10,000 packets", loss(0.2), half, Check::Lost(0.2)),
        // Seen elsewhere: whole super-packets were lost.
        row("loss", "5 %, super-packets of 40 segments, 10,000 segments", loss(0.05), packed, Check::Lost(0.05)),
        row(
            "loss",
            "Gilbert–Elliott, bursts of 4 on average, 10,000 packets",
            LinkConfig { loss: bursts, ..wire() },
            half,
            Check::Bursts(0.25),
        ),
        row(
            "corruption",
            "2 %, 10,000 packets: checksums catch it",
            LinkConfig { corrupt: probability(0.02), ..wire() },
            // Large ones: netem may damage the Ethernet header too, which nobody would notice.
            Train { bytes: 1000, ..half },
            Check::Lost(0.02),
        ),
        row(
            "duplication",
            "5 %, 10,000 packets",
            LinkConfig { duplicate: probability(0.05), ..wire() },
            half,
            Check::Twice(0.05),
        ),
    ]
}

fn paced(count: u32, gap: u64) -> Train {
    Train { count, bytes: 32, pace: Pace::Every(gap), ecn: false }
}

fn burst(count: u32, bytes: usize) -> Train {
    Train { count, bytes, pace: Pace::Burst, ecn: false }
}

fn mbit(mbit: u64) -> Rate {
    NonZeroU64::new(mbit * 1_000_000).map_or(Rate::default(), Rate::Constant)
}

fn times() -> Vec<LinkRow> {
    let wire = LinkConfig::default;
    let rate = |rate| LinkConfig { rate: mbit(rate), ..wire() };
    vec![
        row("delay", "20 ms", LinkConfig { delay_ns: 20 * MS, ..wire() }, paced(100, 2 * MS), Check::Delay(20e6)),
        row("rate", "10 Mbit/s, a train of 100 packets", rate(10), burst(100, 1000), Check::Rate(10e6)),
        row("rate", "2 Mbit/s, a train of 100 packets", rate(2), burst(100, 1000), Check::Rate(2e6)),
        // Where a frame's header counted, these would be slower by a fifth.
        row("rate", "1 Mbit/s, a train of 200 packets of 60 bytes", rate(1), burst(200, 32), Check::Rate(1e6)),
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

/// Every distribution, in packets that may overtake each other, so that each has its own delay; and one in which none may,
/// but they are so far apart that none would.
fn jitters() -> Vec<LinkRow> {
    let free = |jitter| LinkConfig { delay_ns: 100 * MS, jitter, reorder: Reorder::ByJitter, ..LinkConfig::default() };
    let apart = LinkConfig { delay_ns: 20 * MS, jitter: Jitter::Uniform { ns: 4 * MS }, ..LinkConfig::default() };
    let row = |terms, link, train| row("jitter", terms, link, train, Check::Jitter);
    vec![
        row("20 ms ± 4 ms, evenly, 500 packets", apart, paced(500, 9 * MS)),
        row(
            "100 ms ± 40 ms, evenly, reordering, 1,000 packets",
            free(Jitter::Uniform { ns: 40 * MS }),
            paced(1_000, 2 * MS),
        ),
        row(
            "100 ms, normal with σ = 20 ms, reordering, 1,000 packets",
            free(Jitter::Normal { sigma_ns: 20 * MS }),
            paced(1_000, 2 * MS),
        ),
        row(
            "100 ms, Pareto with scale 20 ms and shape 3, reordering, 1,000 packets",
            free(Jitter::Pareto { scale_ns: 20 * MS, shape_milli: 3000 }),
            paced(1_000, 2 * MS),
        ),
        row(
            "100 ms, from samples: evenly 10 to 30 ms earlier or later, reordering, 1,000 packets",
            free(Samples::new(two_humps()).map_or(Jitter::None, Jitter::Samples)),
            paced(1_000, 2 * MS),
        ),
    ]
}

/// Deviations between [`HUMPS`] and their mirror image, as evenly spread as can be.
fn two_humps() -> Vec<i64> {
    const EACH: i64 = 10_000;
    let (near, far) = HUMPS;
    (0..EACH).map(|n| near + (far - near) * n / EACH).flat_map(|deviation| [deviation, -deviation]).collect()
}

const HUMPS: (i64, i64) = (10 * MS as i64, 30 * MS as i64);

fn fates() -> Vec<LinkRow> {
    let mtu = |oversize| LinkConfig { mtu: Some(Mtu { bytes: 1000, oversize }), ..LinkConfig::default() };
    let of = |bytes| Train { bytes, ..paced(20, MS) };
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

/// Queues, without a look at the time: they fill while the link holds packets, or follow the link's own clock.
fn queues() -> Vec<LinkRow> {
    let down = |outage, limit| LinkConfig {
        state: LinkState::Down(outage),
        queue: Queue { limit, ..Queue::default() },
        ..LinkConfig::default()
    };
    let again = |about, terms, link: LinkConfig, check| LinkRow {
        then: Some(LinkConfig { state: LinkState::Up, ..link.clone() }),
        ..row(about, terms, link, burst(20, 100 - HEADERS), check)
    };
    let managed = |discipline, ecn| LinkConfig {
        rate: mbit(1),
        queue: Queue { discipline, ecn, ..Queue::default() },
        ..LinkConfig::default()
    };
    let red = Discipline::Red(RedConfig {
        min_bytes: 5_000,
        max_bytes: 100_000,
        max_probability: probability(0.5),
        weight_shift: 1,
    });
    let codel = Discipline::CoDel(CoDelConfig::default());
    let capable = Train { ecn: true, ..burst(60, 1000) };
    let hold = |limit| down(Outage::Hold, limit);
    vec![
        again("outage", "20 packets, dropped while down", down(Outage::Drop, Limit::Unbounded), Check::Nothing),
        again("outage", "20 packets, held while down", hold(Limit::Unbounded), Check::InOrder),
        again("queue", "20 packets into 500 bytes, 5 fit", hold(Limit::Bytes(500)), Check::First(5)),
        again("queue", "20 packets into 499 bytes, 4 fit", hold(Limit::Bytes(499)), Check::First(4)),
        again("queue", "20 packets into a queue of 7", hold(Limit::Packets(7)), Check::First(7)),
        row("CoDel", "60 packets at 1 Mbit/s, marked by ECN", managed(codel, true), capable, Check::Marked),
        row("CoDel", "60 packets at 1 Mbit/s, dropped without ECN", managed(codel, false), capable, Check::Thinned),
        row(
            "CoDel",
            "60 packets at 1 Mbit/s, sender without ECN",
            managed(codel, true),
            burst(60, 1000),
            Check::Thinned,
        ),
        row("RED", "60 packets at 1 Mbit/s, marked by ECN", managed(red, true), capable, Check::Marked),
        row("RED", "60 packets at 1 Mbit/s, dropped without ECN", managed(red, false), capable, Check::Thinned),
        row("RED", "60 packets at 1 Mbit/s, sender without ECN", managed(red, true), burst(60, 1000), Check::Thinned),
    ]
}

/// Tries a row.
pub fn try_link(row: &LinkRow, engines: Engines) -> Verdict {
    let mut verdict = Verdict::Busy { why: "not tried".into() };
    for _ in 0..TRIES {
        match once(row, engines) {
            Ok(Verdict::True) => return Verdict::True,
            // The machine may be at fault; what the seed decides stays as it is.
            Ok(found) => verdict = found,
            Err(error) => return super::untried(&error),
        }
    }
    verdict
}

fn once(row: &LinkRow, engines: Engines) -> Result<Verdict, FieldError> {
    let outcome = train::run(&row.link, row.then.as_ref(), row.train, super::SEED, engines)?;
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
        Check::Jitter => {
            let middle = row.link.delay_ns as f64;
            kolmogorov_smirnov(&delays(outcome), |delay| below(&row.link.jitter, delay - middle)).map(Finding::P)
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
        Check::First(count) => {
            Some(Finding::Holds(copies.iter().enumerate().all(|(n, copies)| *copies == u32::from((n as u32) < count))))
        }
        Check::Marked => {
            let marked = outcome.arrived.iter().filter(|arrival| arrival.marked).count();
            Some(Finding::Holds(copies.iter().all(|copies| *copies == 1) && 0 < marked && marked < copies.len()))
        }
        Check::Thinned => {
            let count = outcome.arrived.len();
            Some(Finding::Holds(0 < count && count < copies.len() && !outcome.arrived.iter().any(|a| a.marked)))
        }
    }
}

/// The share of packets whose delay differs by less than so many nanoseconds from the middle.
fn below(jitter: &Jitter, deviation: f64) -> f64 {
    match jitter {
        Jitter::None => f64::from(u8::from(deviation > 0.0)),
        Jitter::Uniform { ns } => ((deviation / *ns as f64 + 1.0) / 2.0).clamp(0.0, 1.0),
        Jitter::Normal { sigma_ns } => normal_cdf(deviation / *sigma_ns as f64),
        Jitter::Pareto { scale_ns, shape_milli } => {
            1.0 - (1.0 + deviation.max(0.0) / *scale_ns as f64).powf(-f64::from(*shape_milli) / 1000.0)
        }
        // The rows' own, see `two_humps`.
        Jitter::Samples(_) => {
            let (near, far) = (HUMPS.0 as f64, HUMPS.1 as f64);
            let beyond = ((deviation.abs() - near) / (far - near)).clamp(0.0, 1.0) / 2.0;
            if deviation < 0.0 { 0.5 - beyond } else { 0.5 + beyond }
        }
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
