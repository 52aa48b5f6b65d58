//! Access links by name.
//!
//! Every value is either taken from the source named beside it or marked **typical**: a round figure of the right order
//! that no single measurement stands behind. Delays are one way, between the host and the core of the internet; what lies
//! beyond has delays of its own. Buffers are given as the time they take to drain.

use crate::model::Access;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::num::NonZeroU64;
use netsim_fabric::{Cellular, Jitter, Limit, LinkConfig, Loss, Probability, Queue, Rate, Schedule, Step, Trace};

/// An access link that has a name.
#[derive(Debug, Clone, Copy)]
pub struct LinkPreset {
    /// What it is called in files and on the command line.
    pub name: &'static str,
    /// What it is, on one line.
    pub summary: &'static str,
    build: fn() -> Access,
}

impl LinkPreset {
    /// Both directions. The same every time.
    pub fn access(&self) -> Access {
        (self.build)()
    }
}

/// All of them, from the fastest to the most remote.
pub const LINK_PRESETS: &[LinkPreset] = &[
    preset("datacentre", "10 Gbit/s, 25 us: a server in the same building", datacentre),
    preset("fibre", "1 Gbit/s both ways, 4 ms: fibre to the home", fibre),
    preset("cable", "200/20 Mbit/s, 7 ms, a bloated way up: cable television's network (DOCSIS)", cable),
    preset("dsl", "50/10 Mbit/s, 15 ms: VDSL2 with interleaving", dsl),
    preset("wifi-good", "200 Mbit/s, 1 ms: a laptop near its access point", wifi_good),
    preset("wifi-bad", "10 Mbit/s, 3 ms, long tails and bursts of loss: two walls away", wifi_bad),
    preset("3g", "4/1 Mbit/s, 50 ms, a second of buffer: HSPA", mobile_3g),
    preset("4g", "24/8 Mbit/s on average, 20 ms, wandering: LTE, standing still", mobile_4g),
    preset("5g", "150/30 Mbit/s on average, 10 ms, wandering: 5G in mid-band", mobile_5g),
    preset("train", "10/4 Mbit/s on average, 30 ms, silent for seconds: LTE on a train", train),
    preset("satellite-leo", "about 150/15 Mbit/s, 17 to 30 ms, another path every 15 s: low orbit", satellite_leo),
    preset("satellite-geo", "50/3 Mbit/s, 300 ms: geostationary orbit", satellite_geo),
    preset("intercontinental", "10 Gbit/s, 75 ms: a server on another continent", intercontinental),
];

const fn preset(name: &'static str, summary: &'static str, build: fn() -> Access) -> LinkPreset {
    LinkPreset { name, summary, build }
}

/// The link of that name, or `None`.
pub fn link_preset(name: &str) -> Option<Access> {
    LINK_PRESETS.iter().find(|preset| preset.name == name).map(LinkPreset::access)
}

const US: u64 = 1_000;
const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;
const MBIT: u64 = 1_000_000;
/// As scenarios set it: fast links stay cheap to emulate, slow ones are not touched by it.
const COALESCE_NS: u64 = 100_000;

/// A link of `rate` with a drop-tail buffer that takes `buffer_ns` to drain.
fn line(rate: Rate, delay_ns: u64, buffer_ns: u64) -> LinkConfig {
    /// Room for a few full packets, however slow the link.
    const LEAST: u64 = 10 * 1500;
    let bps = rate.mean_bps().map_or(0, NonZeroU64::get);
    let bytes = (u128::from(bps) * u128::from(buffer_ns) / 8 / u128::from(SECOND)) as u64;
    let queue = Queue { limit: Limit::Bytes(bytes.max(LEAST)), ..Queue::default() };
    LinkConfig { delay_ns, queue, rate, coalesce_ns: COALESCE_NS, ..LinkConfig::default() }
}

fn mbit(rate: u64) -> Rate {
    NonZeroU64::new(rate * MBIT).map_or(Rate::Unlimited, Rate::Constant)
}

/// So many parts per million.
fn ppm(parts: u32) -> Probability {
    Probability::from_ppb(parts.saturating_mul(1000)).unwrap_or_default()
}

/// Bursts of so many packets on average (at least 1) in which half of the packets are lost, entered once in `every`.
fn bursts(every: u32, packets: u32) -> Loss {
    Loss::GilbertElliott {
        fail: ppm(1_000_000 / every.max(1)),
        recover: ppm(1_000_000 / packets.max(1)),
        loss_good: Probability::ZERO,
        loss_bad: ppm(500_000),
    }
}

/// A trace, repeated. The same for the same arguments.
fn wandering(model: Cellular, seed: u64) -> Rate {
    // Too many opportunities would be a mistake in this file, which a test would find.
    model.trace(seed).map_or(Rate::Unlimited, |trace: Trace| Rate::Trace(Arc::new(trace)))
}

/// LTE that stands still, without a rate. Figures: typical.
pub const STEADY_CELL: Cellular = Cellular {
    mean_bps: 0,
    spread_milli: 400,
    memory_ms: 1_000,
    between_outages_ms: 0,
    outage_ms: 0,
    duration_ms: 60_000,
};

/// Rate, delay: one 10 Gbit/s port, two switches; buffer of 0.4 ms (512 KB, a shallow switch port). Typical; delays of
/// this order in C. Guo et al., "Pingmesh", SIGCOMM 2015 (medians of 200 to 300 us round trip through host stacks).
fn datacentre() -> Access {
    let way = LinkConfig { coalesce_ns: 10 * US, ..line(mbit(10_000), 25 * US, 400 * US) };
    Access { up: way.clone(), down: way }
}

/// Delay: fibre to the home had 17 ms round trip to the nearest test server in FCC, "Measuring Broadband America" 2011,
/// and about half of that in its later reports. Rate: a common product. Buffer 10 ms: typical.
fn fibre() -> Access {
    let way = LinkConfig { jitter: Jitter::Uniform { ns: 200 * US }, ..line(mbit(1_000), 4 * MS, 10 * MS) };
    Access { up: way.clone(), down: way }
}

/// Delay: some 15 to 28 ms round trip for cable in the FCC's reports. Rates: a common product. The way up waits for grants
/// (a few milliseconds, DOCSIS 3.0) and is known for its buffer: J. Gettys, K. Nichols, "Bufferbloat", CACM 55(1), 2012;
/// 250 ms is typical of modems without active queue management (RFC 8034 came to change that).
fn cable() -> Access {
    let up = LinkConfig { jitter: Jitter::Uniform { ns: 3 * MS }, ..line(mbit(20), 7 * MS, 250 * MS) };
    let down = LinkConfig { jitter: Jitter::Uniform { ns: MS }, ..line(mbit(200), 7 * MS, 50 * MS) };
    Access { up, down }
}

/// Delay: about 44 ms round trip for DSL in FCC 2011, less for VDSL2; interleaving adds a fixed 8 to 16 ms (ITU-T G.993.2).
/// Rates: a common product. Buffers: typical. Impulse noise: one burst in 100,000 packets, typical.
fn dsl() -> Access {
    let with_noise = |link| LinkConfig { loss: bursts(100_000, 8), jitter: Jitter::Uniform { ns: 500 * US }, ..link };
    Access { up: with_noise(line(mbit(10), 15 * MS, 150 * MS)), down: with_noise(line(mbit(50), 15 * MS, 80 * MS)) }
}

/// Typical for 802.11ac in the same room. The medium is shared, retransmission hides loss and shows as jitter with a
/// tail (T. Hoiland-Jorgensen et al., "Ending the Anomaly", USENIX ATC 2017, for delays and buffers).
fn wifi_good() -> Access {
    let jitter = Jitter::Pareto { scale_ns: 500 * US, shape_milli: 3_000 };
    let way = LinkConfig { jitter, ..line(mbit(200), MS, 30 * MS) };
    Access { up: way.clone(), down: way }
}

/// Typical for a weak signal: a low rate, heavy-tailed delays from retransmissions, and bursts where they give up; a
/// buffer sized for the rates of a good signal (Hoiland-Jorgensen et al. measured hundreds of milliseconds).
fn wifi_bad() -> Access {
    let jitter = Jitter::Pareto { scale_ns: 5 * MS, shape_milli: 2_000 };
    let way = LinkConfig { jitter, loss: bursts(500, 5), ..line(mbit(10), 3 * MS, 300 * MS) };
    Access { up: way.clone(), down: way }
}

/// Round trips of 100 ms and more, and buffers of a second and more, over HSPA: H. Jiang et al., "Tackling Bufferbloat in
/// 3G/4G Networks", IMC 2012. Rates: typical.
fn mobile_3g() -> Access {
    let way = |rate, sigma_ns| LinkConfig { jitter: Jitter::Normal { sigma_ns }, ..line(mbit(rate), 50 * MS, SECOND) };
    Access { up: way(1, 10 * MS), down: way(4, 8 * MS) }
}

/// Round trips of 40 to 50 ms, and rates that wander within seconds: K. Winstein et al. ("Sprout"), NSDI 2013; J. Huang et
/// al., "A Close Examination of Performance and Power Characteristics of 4G LTE Networks", MobiSys 2012. Mean rates,
/// buffer: typical. The radio link retransmits: no loss.
fn mobile_4g() -> Access {
    let cell = |mean_bps, seed| wandering(Cellular { mean_bps, ..STEADY_CELL }, seed);
    let jitter = Jitter::Uniform { ns: 3 * MS };
    let way = |rate| LinkConfig { jitter: jitter.clone(), ..line(rate, 20 * MS, 500 * MS) };
    Access { up: way(cell(8 * MBIT, 41)), down: way(cell(24 * MBIT, 42)) }
}

/// Rates and round trips of mid-band 5G: A. Narayanan et al., "A Variegated Look at 5G in the Wild", SIGCOMM 2021, and
/// M. Rochman et al., arXiv 2108.00453 (mid-band near good LTE in delay). As one round set of figures: typical.
fn mobile_5g() -> Access {
    let cell = |mean_bps, seed| wandering(Cellular { mean_bps, memory_ms: 500, ..STEADY_CELL }, seed);
    let jitter = Jitter::Uniform { ns: 2 * MS };
    let way = |rate| LinkConfig { jitter: jitter.clone(), ..line(rate, 10 * MS, 200 * MS) };
    Access { up: way(cell(30 * MBIT, 51)), down: way(cell(150 * MBIT, 52)) }
}

/// LTE in motion: a rate that spans orders of magnitude, and seconds without any (L. Li et al., "A Longitudinal Measurement
/// Study of TCP Performance and Behavior in 3G/4G Networks Over High Speed Rails", IEEE/ACM ToN 25(4), 2017), without a
/// rate. Figures: typical; 2 s of silence every 20 s.
pub const MOVING_CELL: Cellular = Cellular {
    spread_milli: 900,
    memory_ms: 3_000,
    between_outages_ms: 20_000,
    outage_ms: 2_000,
    duration_ms: 600_000,
    ..STEADY_CELL
};

/// LTE in motion, with a buffer that holds what comes while it is silent. Figures: typical.
fn train() -> Access {
    let cell = |mean_bps, seed| wandering(Cellular { mean_bps, ..MOVING_CELL }, seed);
    let jitter = Jitter::Pareto { scale_ns: 3 * MS, shape_milli: 2_500 };
    let way = |rate| LinkConfig { jitter: jitter.clone(), loss: bursts(2_000, 6), ..line(rate, 30 * MS, 1_500 * MS) };
    Access { up: way(cell(4 * MBIT, 61)), down: way(cell(10 * MBIT, 62)) }
}

/// Starlink. A new assignment of paths every 15 s for everyone at once, with steps in delay and rate: N. Mohan et al., "A
/// Multifaceted Look at Starlink Performance", WWW 2024. 20 ms shortest and 50 ms median round trip to European servers,
/// downloads between 100 and 300 Mbit/s: F. Michel et al., "A First Look at Starlink Performance", IMC 2022. The length of
/// the gap (60 ms), the sizes of the steps and the loss: typical.
fn satellite_leo() -> Access {
    const INTERVAL: u64 = 15 * SECOND;
    const GAP: u64 = 60 * MS;
    // (share of the mean rate in percent, what the path takes longer)
    const PATHS: [(u64, u64); 4] = [(120, 0), (80, 8 * MS), (110, 3 * MS), (90, 13 * MS)];
    let rate = |mean: u64| {
        let steps = PATHS.iter().zip(0..).flat_map(|(&(percent, extra_delay_ns), n)| {
            let rate_bps = mean * MBIT * percent / 100;
            let until = (n + 1) * INTERVAL - GAP;
            [
                Step { from_ns: n * INTERVAL, rate_bps, extra_delay_ns },
                Step { from_ns: until, rate_bps: 0, extra_delay_ns },
            ]
        });
        let steps: Vec<Step> = steps.collect();
        let period = NonZeroU64::new(PATHS.len() as u64 * INTERVAL);
        // Steps that are not a schedule would be a mistake in this file, which a test would find.
        Schedule::new(steps, period).map_or(Rate::Unlimited, Rate::Schedule)
    };
    let jitter = Jitter::Pareto { scale_ns: 2 * MS, shape_milli: 3_000 };
    let way =
        |mean| LinkConfig { jitter: jitter.clone(), loss: bursts(5_000, 5), ..line(rate(mean), 17 * MS, 150 * MS) };
    Access { up: way(15), down: way(150) }
}

/// 36,000 km up and down again are 240 ms; with scheduling, 638 ms round trip in FCC, "Measuring Broadband America" 2013.
/// Rates: a common product. Buffer and loss: typical.
fn satellite_geo() -> Access {
    let way = |rate, jitter_ns| LinkConfig {
        jitter: Jitter::Uniform { ns: jitter_ns },
        loss: Loss::Bernoulli(ppm(500)),
        ..line(mbit(rate), 300 * MS, 600 * MS)
    };
    Access { up: way(3, 30 * MS), down: way(50, 10 * MS) }
}

/// 150 ms round trip: Europe to the west of North America or to East Asia, some 15,000 km of fibre at 5 us per km. Rate,
/// jitter, loss: typical of an uncongested backbone.
fn intercontinental() -> Access {
    let way = LinkConfig {
        jitter: Jitter::Uniform { ns: 300 * US },
        loss: Loss::Bernoulli(ppm(20)),
        ..line(mbit(10_000), 75 * MS, 50 * MS)
    };
    Access { up: way.clone(), down: way }
}
