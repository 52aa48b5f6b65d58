//! Access links by name.
//!
//! Every value is either backed by the source named beside it or marked **typical**: a round figure that we chose and
//! no measurement stands behind. What a preset's comment does not mention is typical too. Sources were looked up; one
//! marked with * was read as somebody else quotes it. Most of them measure round trips; delays here are one way,
//! between the host and the core of the internet; what lies beyond has delays of its own. Buffers are given as the time
//! they take to drain.
//!
//! Named more than once:
//!
//! - FCC 13: "Thirteenth Measuring Broadband America Fixed Broadband Report", FCC 24-136, appendix C, 2024, of autumn
//!   2022.
//! - Grigorik: I. Grigorik, "High Performance Browser Networking", O'Reilly 2013, <https://hpbn.co>.
//! - Michel: F. Michel et al., "A First Look at Starlink Performance", IMC 2022 (one dish in Belgium), in the author's
//!   words: <https://blog.apnic.net/2022/11/28/fact-checking-starlinks-performance-figures>.

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

/// Typical: one 10 Gbit/s port, two switches, a buffer of 0.4 ms (500 KB, a shallow switch port).
fn datacentre() -> Access {
    let way = LinkConfig { coalesce_ns: 10 * US, ..line(mbit(10_000), 25 * US, 400 * US) };
    Access { up: way.clone(), down: way }
}

/// Delay: from the home to the nearest test server and back in 8 to 14 ms, depending on the tier (FCC 13*, chart 16);
/// ten years before in 18 ms (FCC, February 2013, in Grigorik, chapter 1). Rate, buffer: typical.
fn fibre() -> Access {
    let way = LinkConfig { jitter: Jitter::Uniform { ns: 200 * US }, ..line(mbit(1_000), 4 * MS, 10 * MS) };
    Access { up: way.clone(), down: way }
}

/// Delay: 13 to 22 ms round trip, depending on the tier (FCC 13*, chart 16); ten years before 26 ms (FCC, February
/// 2013, in Grigorik, chapter 1). That such modems are known for their buffers: J. Gettys, K. Nichols, "Bufferbloat:
/// Dark Buffers in the Internet", CACM 55(1), 2012, and RFC 8034, which came to change it. How large they are (250 ms
/// up, 50 ms down), the wait for grants on the way up (jitter) and the rates: typical.
fn cable() -> Access {
    let up = LinkConfig { jitter: Jitter::Uniform { ns: 3 * MS }, ..line(mbit(20), 7 * MS, 250 * MS) };
    let down = LinkConfig { jitter: Jitter::Uniform { ns: MS }, ..line(mbit(200), 7 * MS, 50 * MS) };
    Access { up, down }
}

/// Delay: 20 to 61 ms round trip, depending on the tier, and 23 to 34 ms by provider (FCC 13*, chart 16); ten years
/// before 44 ms (FCC, February 2013, in Grigorik, chapter 1). Rates, buffers and impulse noise (one burst in 100,000
/// packets): typical.
fn dsl() -> Access {
    let with_noise = |link| LinkConfig { loss: bursts(100_000, 8), jitter: Jitter::Uniform { ns: 500 * US }, ..link };
    Access { up: with_noise(line(mbit(10), 15 * MS, 150 * MS)), down: with_noise(line(mbit(50), 15 * MS, 80 * MS)) }
}

/// Typical: 802.11ac in the same room. The medium is shared; retransmission hides loss and shows as jitter with a tail.
fn wifi_good() -> Access {
    let jitter = Jitter::Pareto { scale_ns: 500 * US, shape_milli: 3_000 };
    let way = LinkConfig { jitter, ..line(mbit(200), MS, 30 * MS) };
    Access { up: way.clone(), down: way }
}

/// Typical: a weak signal, so a low rate, heavy-tailed delays from retransmissions, and bursts where they give up.
/// Buffer: queues in Wi-Fi stacks held packets for hundreds of milliseconds*, and a cure made it an order of magnitude
/// less (T. Høiland-Jørgensen et al., "Ending the Anomaly", USENIX ATC 2017, <https://arxiv.org/abs/1703.00064>); 300
/// ms is typical.
fn wifi_bad() -> Access {
    let jitter = Jitter::Pareto { scale_ns: 5 * MS, shape_milli: 2_000 };
    let way = LinkConfig { jitter, loss: bursts(500, 5), ..line(mbit(10), 3 * MS, 300 * MS) };
    Access { up: way.clone(), down: way }
}

/// Delay: 100 to 200 ms over HSPA+, 150 to 400 ms over HSPA, as AT&T had it (Grigorik, table 7-10); below 150 ms with
/// T-Mobile US later (OpenSignal's pings in FierceWireless). Rates: 0.5 to 5 Mbit/s (Grigorik, table 7-2). Buffer:
/// queues of several seconds (K. Winstein et al., "Stochastic Forecasts ...", NSDI 2013), round trips of up to 10 s*
/// (H. Jiang et al., "Tackling Bufferbloat in 3G/4G Networks", IMC 2012); one second is typical, and so is the jitter.
fn mobile_3g() -> Access {
    let way = |rate, sigma_ns| LinkConfig { jitter: Jitter::Normal { sigma_ns }, ..line(mbit(rate), 50 * MS, SECOND) };
    Access { up: way(1, 10 * MS), down: way(4, 8 * MS) }
}

/// Delay: 34 to 50 ms round trip on average in North America in 2019 (FCC 20-188*, figure G-20), 40 to 50 ms as AT&T
/// had it (Grigorik, table 7-10). Rates lie between medians of 13 and 6 Mbit/s in 2012 (J. Huang et al., "A Close
/// Examination of Performance and Power Characteristics of 4G LTE Networks", MobiSys 2012) and of 29.5 and 14 Mbit/s
/// with a good signal (in Michel*); they "change dramatically with time" (Winstein et al., NSDI 2013), here as a model
/// has it whose figures are typical, as are jitter and buffer. No loss: the radio link retransmits.
fn mobile_4g() -> Access {
    let cell = |mean_bps, seed| wandering(Cellular { mean_bps, ..STEADY_CELL }, seed);
    let jitter = Jitter::Uniform { ns: 3 * MS };
    let way = |rate| LinkConfig { jitter: jitter.clone(), ..line(rate, 20 * MS, 500 * MS) };
    Access { up: way(cell(8 * MBIT, 41)), down: way(cell(24 * MBIT, 42)) }
}

/// Delay: 19 to 21 ms round trip on average in Finland, 2021 to 2023 (Ookla in FCC 24-136*, figure III.C.7); elsewhere
/// not better than a good LTE network (M. I. Rochman et al., <https://arxiv.org/abs/2108.00453>, of Chicago, 2021).
/// Rates: medians over the world of 166 and 21 Mbit/s in 2021, 206 and 30 the year before (Ookla, "Growing and Slowing:
/// The State of 5G Worldwide in 2021"). How they wander, jitter, buffer: typical.
fn mobile_5g() -> Access {
    let cell = |mean_bps, seed| wandering(Cellular { mean_bps, memory_ms: 500, ..STEADY_CELL }, seed);
    let jitter = Jitter::Uniform { ns: 2 * MS };
    let way = |rate| LinkConfig { jitter: jitter.clone(), ..line(rate, 10 * MS, 200 * MS) };
    Access { up: way(cell(30 * MBIT, 51)), down: way(cell(150 * MBIT, 52)) }
}

/// LTE in motion, without a rate: on trains round trips and losses grow, throughput falls and transmissions are
/// interrupted ("A Longitudinal Measurement Study of TCP Performance and Behavior in 3G/4G Networks Over High Speed
/// Rails", IEEE/ACM ToN, 2017, of China at up to 310 km/h). All figures, also the 2 s of silence every 20 s: typical.
pub const MOVING_CELL: Cellular = Cellular {
    spread_milli: 900,
    memory_ms: 3_000,
    between_outages_ms: 20_000,
    outage_ms: 2_000,
    duration_ms: 600_000,
    ..STEADY_CELL
};

/// LTE in motion, with a buffer that holds what comes while it is silent. All figures: typical.
fn train() -> Access {
    let cell = |mean_bps, seed| wandering(Cellular { mean_bps, ..MOVING_CELL }, seed);
    let jitter = Jitter::Pareto { scale_ns: 3 * MS, shape_milli: 2_500 };
    let way = |rate| LinkConfig { jitter: jitter.clone(), loss: bursts(2_000, 6), ..line(rate, 30 * MS, 1_500 * MS) };
    Access { up: way(cell(4 * MBIT, 61)), down: way(cell(10 * MBIT, 62)) }
}

/// Starlink. A new assignment of paths every 15 s for everyone at once, with steps in delay and rate and less than a
/// second's disruption: N. Mohan et al., "A Multifaceted Look at Starlink Performance", WWW 2024,
/// <https://arxiv.org/abs/2310.09242>. Delay: 36 to 48 ms round trip from dish to point of presence (Mohan*); to
/// servers in Europe 20 ms at best, 40 to 60 ms in the middle half (Michel). Rates: 178 and 17 Mbit/s (medians,
/// Michel*), 105 and 15 (Ookla*, USA, early 2025). Loss: 0.4 % of packets on a lightly loaded link, in bursts (Michel*,
/// table 2). Gap: 30 to 50 ms more than usual at a change (G. Huston, "A transport protocol's view of Starlink", APNIC
/// 2024); that it takes 60 ms, the steps' sizes, the lengths of bursts, jitter (less than Huston's) and buffer:
/// typical.
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
    let way = |mean| LinkConfig { jitter: jitter.clone(), loss: bursts(600, 5), ..line(rate(mean), 17 * MS, 150 * MS) };
    Access { up: way(15), down: way(150) }
}

/// Delay: 36,000 km up and down again are 240 ms at the speed of light; round trips take 600 ms at least (Michel*),
/// medians were 630 and 724 ms in 2021 (Viasat, HughesNet: Ookla in RCR Wireless, 4 August 2021) and 684 and 683 ms in
/// 2025 (Ookla*), to servers beyond the core. Rates: medians of 49 and 48 Mbit/s down in 2025 (Ookla*), 3.4 and 2.4
/// Mbit/s up in 2021 (Ookla, "How Starlink's Satellite Internet Stacks Up Against HughesNet and Viasat around the
/// Globe"). Jitter, buffer, loss: typical.
fn satellite_geo() -> Access {
    let way = |rate, jitter_ns| LinkConfig {
        jitter: Jitter::Uniform { ns: jitter_ns },
        loss: Loss::Bernoulli(ppm(500)),
        ..line(mbit(rate), 300 * MS, 600 * MS)
    };
    Access { up: way(3, 30 * MS), down: way(50, 10 * MS) }
}

/// Delay: 15,000 km of fibre at 5 us per km (Optelian, "Minimizing Latency in Optical Networks"*), 150 ms there and
/// back; Belgium to San Francisco took about 135 ms beyond the access link (184 ms in all, 42 to 52 ms of it near:
/// Michel*). Rate, jitter, buffer, loss: typical of an uncongested backbone.
fn intercontinental() -> Access {
    let way = LinkConfig {
        jitter: Jitter::Uniform { ns: 300 * US },
        loss: Loss::Bernoulli(ppm(20)),
        ..line(mbit(10_000), 75 * MS, 50 * MS)
    };
    Access { up: way.clone(), down: way }
}
