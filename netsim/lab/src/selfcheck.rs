//! What this machine makes of our links, beside a plain wire.
//!
//! [`self_check`] measures the data plane between two hosts of a [`Lab`] and, in turn, the same traffic between two
//! namespaces joined by the kernel's own pair of veth devices. Absolute numbers change from machine to machine and from
//! minute to minute; ratios of one run do so much less. Each figure says what was promised of it and whether that was
//! kept.

mod batch;
mod report;
mod scale;
mod traffic;
mod veth;

pub use report::{Figure, SelfReport, Spread, Target, Unit, Yardstick};
pub use scale::{SCALE, ScalePoint, scale};

use crate::calibrate::{ProbePlan, Train, probe};
use crate::clock;
use crate::device::{DEVICE, ethtool};
use crate::engine::ask_for_realtime;
use crate::lab::{Lab, LabError};
use crate::socket::Socket;
use longhaul_stats::quantile;
use netsim_fabric::{LinkConfig, Loss, Probability, Rate};
use netsim_topology::{Access, HOST_MTU, Host, Plan, Topology, plan};
use nix::sys::socket::{getsockopt, sockopt::TcpCongestion};
use std::collections::BTreeMap;
use std::io;
use std::num::NonZeroU64;
use std::time::Duration;
use traffic::{End, Ends, Sending, Stream, datagrams, nanos, ping_pong};
use veth::PlainWire;

/// How long to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effort {
    /// How often everything is measured, ours and the plain wire in turn.
    pub rounds: u32,
    /// How long bulk traffic is counted, each time.
    pub bulk: Duration,
    /// How long a TCP stream on a lossy path is counted, each time.
    pub lossy: Duration,
    /// How many times one program asks another and waits for the answer, each time.
    pub pings: u32,
    /// How many probes go over an idle, a delayed and a loaded path, each time; one every 2 ms.
    pub probes: u32,
    /// How long a train keeps a rate-limited link busy, each time.
    pub train: Duration,
}

impl Effort {
    /// About a minute and a quarter.
    pub const FULL: Effort = Effort {
        rounds: 5,
        bulk: Duration::from_millis(600),
        lossy: Duration::from_millis(1500),
        pings: 2000,
        probes: 350,
        train: Duration::from_millis(500),
    };
    /// Some seconds: shows that everything works, and little else.
    pub const SMOKE: Effort = Effort {
        rounds: 1,
        bulk: Duration::from_millis(100),
        lossy: Duration::from_millis(300),
        pings: 100,
        probes: 50,
        train: Duration::from_millis(50),
    };
}

/// Why a self check ended early.
#[derive(Debug, thiserror::Error)]
pub enum SelfCheckError {
    /// Our own links do not come up.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// The network that is measured cannot be planned.
    #[error(transparent)]
    Plan(#[from] netsim_topology::PlanError),
    /// Traffic did not get through.
    #[error("cannot measure {figure}")]
    Traffic {
        /// What was to be measured.
        figure: &'static str,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
}

/// What is measured: name, title, unit, target. In the order of the report.
const FIGURES: [(&str, &str, Unit, Target); 17] = [
    ("tcp_throughput", "TCP throughput", Unit::BitsPerSecond, Target::RatioAtLeast(0.9)),
    ("packet_rate", "UDP, 1200-byte datagrams one by one", Unit::PacketsPerSecond, Target::RatioAtLeast(1.0)),
    ("cpu_per_packet", "Emulator CPU per packet", Unit::Seconds, Target::AtMost(3e-6)),
    ("gso_throughput", "UDP with segmentation offload", Unit::BitsPerSecond, Target::RatioAtLeast(0.6)),
    ("idle_rtt_median", "Idle round trip, median", Unit::Seconds, Target::AboveAtMost(30e-6)),
    ("idle_rtt_p99", "Idle round trip, p99", Unit::Seconds, Target::None),
    ("call_median", "Call and answer of two programs, median", Unit::Seconds, Target::AboveAtMost(30e-6)),
    ("call_p99", "Call and answer of two programs, p99", Unit::Seconds, Target::None),
    ("rtt_error_idle_median", "Error of 40 ms round trip, median", Unit::Seconds, Target::AtMost(20e-6)),
    ("rtt_error_idle_p99", "Error of 40 ms round trip, p99", Unit::Seconds, Target::AtMost(250e-6)),
    ("rtt_error_loaded_median", "The same beside a TCP stream, median", Unit::Seconds, Target::None),
    ("rtt_error_loaded_p99", "The same beside a TCP stream, p99", Unit::Seconds, Target::AtMost(1e-3)),
    ("rate_100m", "Rate at 100 Mbit/s", Unit::Share, Target::Within(0.995, 1.005)),
    ("rate_1000m", "Rate at 1000 Mbit/s", Unit::Share, Target::Within(0.995, 1.005)),
    ("tcp_lossy", "TCP, 10 ms round trip, 1 % loss", Unit::BitsPerSecond, Target::RatioWithin(0.9, 1.1)),
    ("lab_up", "Two hosts up", Unit::Seconds, Target::AtMost(50e-3)),
    ("lab_down", "Two hosts down", Unit::Seconds, Target::AtMost(50e-3)),
];
/// Bulk traffic flows this long before it is counted.
const WARM_UP: Duration = Duration::from_millis(150);
/// TCP's start on a path with delay or loss takes longer.
const LONG_WARM_UP: Duration = Duration::from_millis(500);
const MS: u64 = 1_000_000;
/// Delay of each direction where its error is measured.
const DELAY_NS: u64 = 20 * MS;
const PROBE_INTERVAL_NS: u64 = 2 * MS;
/// How long a straggler may take.
const GRACE: Duration = Duration::from_millis(300);
/// Real-time priority of the thread that sends probes, where permitted: below the emulator's.
const PRIORITY: i32 = 40;
/// As scenarios have it.
const COALESCE_NS: u64 = 100_000;

/// Measures our links beside a plain wire. `progress` is told what is being measured.
///
/// Must be called inside the sandbox, see [`crate::enter`]. Takes about as long as `effort` adds up to.
pub fn self_check(effort: &Effort, progress: &mut dyn FnMut(&str)) -> Result<SelfReport, SelfCheckError> {
    let no_veth = PlainWire::up().err().map(|error| longhaul_record::text::chain(&error));
    let mut check = Check { effort, with_veth: no_veth.is_none(), samples: BTreeMap::new(), realtime: false };
    for round in 0..effort.rounds {
        progress(&format!("round {} of {}", round + 1, effort.rounds));
        check.round(round)?;
    }
    let congestion_control = congestion_control().map_err(of("the congestion control"))?;
    let mut figures: Vec<Figure> = Vec::new();
    for (id, title, unit, target) in FIGURES {
        let Some(Samples { ours, yardstick }) = check.samples.get(id) else { continue };
        let Some(ours) = Spread::of(ours) else { continue };
        let kind = if id == "tcp_lossy" { Yardstick::PerSegment } else { Yardstick::PlainVeth };
        let yardstick = Spread::of(yardstick).map(|spread| (kind, spread));
        figures.push(Figure { id, title, unit, ours, yardstick, target });
    }
    Ok(SelfReport { figures, no_veth, realtime: check.realtime, congestion_control })
}

fn of(figure: &'static str) -> impl Fn(io::Error) -> SelfCheckError {
    move |source| SelfCheckError::Traffic { figure, source }
}

/// What TCP sockets use unless told otherwise: it decides how a stream takes losses.
fn congestion_control() -> io::Result<String> {
    let listener = std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0))?;
    Ok(getsockopt(&listener, TcpCongestion)?.to_string_lossy().into_owned())
}

/// One figure's values so far, one a round.
#[derive(Debug, Default)]
struct Samples {
    ours: Vec<f64>,
    yardstick: Vec<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    Ours,
    Yardstick,
}

struct Check<'a> {
    effort: &'a Effort,
    with_veth: bool,
    samples: BTreeMap<&'static str, Samples>,
    realtime: bool,
}

impl Check<'_> {
    fn add(&mut self, id: &'static str, whose: Whose, value: f64) {
        let samples = self.samples.entry(id).or_default();
        match whose {
            Whose::Ours => samples.ours.push(value),
            Whose::Yardstick => samples.yardstick.push(value),
        }
    }

    fn add_quantiles(&mut self, ids: [&'static str; 2], whose: Whose, values: &[f64]) {
        for (id, p) in ids.into_iter().zip([0.5, 0.99]) {
            if let Some(value) = quantile(values, p) {
                self.add(id, whose, value);
            }
        }
    }

    fn round(&mut self, round: u32) -> Result<(), SelfCheckError> {
        self.up_and_down()?;
        let lab = lab(LinkConfig::default(), round)?;
        self.realtime = lab.snapshot()?.realtime;
        let wire = if self.with_veth { PlainWire::up().ok() } else { None };
        let mut order = vec![(Whose::Ours, ends_of(&lab)?)];
        order.extend(wire.as_ref().map(|wire| (Whose::Yardstick, wire.ends())));
        if round % 2 == 1 {
            // So that neither always runs on a machine the other has warmed up.
            order.reverse();
        }
        self.bulk(&lab, &order)?;
        drop((lab, wire));
        self.delay(round)?;
        self.rate(round)?;
        self.loss(round)
    }

    /// How long a network takes to come and to go.
    fn up_and_down(&mut self) -> Result<(), SelfCheckError> {
        let seconds = |from, to: netsim_fabric::Time| to.nanos_since(from) as f64 / 1e9;
        let plan = two_hosts(LinkConfig::default())?;
        let start = clock::now();
        let lab = Lab::up(&plan, 1)?;
        let up = clock::now();
        drop(lab);
        let down = clock::now();
        self.add("lab_up", Whose::Ours, seconds(start, up));
        self.add("lab_down", Whose::Ours, seconds(up, down));
        if self.with_veth {
            let start = clock::now();
            let wire = PlainWire::up();
            let up = clock::now();
            drop(wire);
            self.add("lab_up", Whose::Yardstick, seconds(start, up));
            self.add("lab_down", Whose::Yardstick, seconds(up, clock::now()));
        }
        Ok(())
    }

    /// Everything that is compared on a perfect wire.
    fn bulk(&mut self, lab: &Lab, order: &[(Whose, Ends)]) -> Result<(), SelfCheckError> {
        let &Effort { bulk, pings, .. } = self.effort;
        for (whose, ends) in order {
            let tcp = Stream::open(ends).and_then(|stream| stream.goodput(WARM_UP, bulk));
            self.add("tcp_throughput", *whose, tcp.map_err(of("TCP throughput"))?);
        }
        for (whose, ends) in order {
            let before = lab.snapshot()?;
            let rate = datagrams(ends, Sending::Single, WARM_UP, bulk).map_err(of("the packet rate"))?;
            self.add("packet_rate", *whose, rate);
            let after = lab.snapshot()?;
            let packets = after.links[0].packets - before.links[0].packets;
            if *whose == Whose::Ours && packets > 0 {
                let cpu_s = (after.cpu_ns - before.cpu_ns) as f64 / 1e9;
                self.add("cpu_per_packet", Whose::Ours, cpu_s / packets as f64);
            }
        }
        for (whose, ends) in order {
            let rate = datagrams(ends, Sending::Gso, WARM_UP, bulk).map_err(of("UDP throughput"))?;
            self.add("gso_throughput", *whose, rate * traffic::DATAGRAM as f64 * 8.0);
        }
        for (whose, ends) in order {
            let times = self.probes(ends, 0).map_err(of("idle round trips"))?;
            self.add_quantiles(["idle_rtt_median", "idle_rtt_p99"], *whose, &times);
            if *whose == Whose::Yardstick {
                // What the method itself takes for an error.
                self.add_quantiles(["rtt_error_idle_median", "rtt_error_idle_p99"], *whose, &times);
            }
        }
        for (whose, ends) in order {
            let times = ping_pong(ends, pings).map_err(of("calls"))?;
            self.add_quantiles(["call_median", "call_p99"], *whose, &times);
        }
        Ok(())
    }

    /// By how much round trips are longer than asked, in seconds, by the kernel's own time stamps.
    fn probes(&self, [from, to]: &Ends, asked_ns: u64) -> io::Result<Vec<f64>> {
        let (prober, reflector) = (Socket::new(from.udp()?)?, Socket::new(to.udp()?)?);
        let wait = Duration::from_nanos(asked_ns) + GRACE;
        let plan = ProbePlan { count: self.effort.probes, interval_ns: PROBE_INTERVAL_NS, wait, in_order: true };
        // A thread of its own: real-time priority is not given back.
        let probes = std::thread::scope(|scope| {
            let probing = scope.spawn(|| {
                ask_for_realtime(PRIORITY);
                probe(&prober, &reflector, &plan)
            });
            probing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })?;
        let there: BTreeMap<u32, u64> = probes.there.iter().map(|seen| (seen.sequence, seen.delay_ns)).collect();
        let round_trips = probes.back.iter().filter_map(|back| Some(there.get(&back.sequence)? + back.delay_ns));
        Ok(round_trips.map(|nanos| (nanos as f64 - asked_ns as f64) / 1e9).collect())
    }

    fn delay(&mut self, round: u32) -> Result<(), SelfCheckError> {
        let lab = lab(LinkConfig { delay_ns: DELAY_NS, ..LinkConfig::default() }, round)?;
        let ends = ends_of(&lab)?;
        let idle = self.probes(&ends, 2 * DELAY_NS).map_err(of("round trips"))?;
        self.add_quantiles(["rtt_error_idle_median", "rtt_error_idle_p99"], Whose::Ours, &idle);
        let loaded = Stream::open(&ends)
            .and_then(|stream| stream.in_background(LONG_WARM_UP, || self.probes(&ends, 2 * DELAY_NS)))
            .map_err(of("round trips under load"))?;
        self.add_quantiles(["rtt_error_loaded_median", "rtt_error_loaded_p99"], Whose::Ours, &loaded);
        Ok(())
    }

    fn rate(&mut self, round: u32) -> Result<(), SelfCheckError> {
        for (id, rate) in [("rate_100m", 100_000_000), ("rate_1000m", 1_000_000_000)] {
            let line = NonZeroU64::new(rate).map_or(Rate::Unlimited, Rate::Constant);
            let lab = lab(LinkConfig { rate: line, coalesce_ns: COALESCE_NS, ..LinkConfig::default() }, round)?;
            let [from, to] = ends_of(&lab)?;
            let train = || {
                let (sender, receiver) = (Socket::new(from.udp()?)?, Socket::new(to.udp()?)?);
                let train = Train::new(rate, nanos(self.effort.train), HOST_MTU);
                train.run(&sender, receiver.address()?, &receiver, GRACE)
            };
            if let Some(got) = train().map_err(of("the rate"))? {
                self.add(id, Whose::Ours, got as f64 / rate as f64);
            }
        }
        Ok(())
    }

    fn loss(&mut self, round: u32) -> Result<(), SelfCheckError> {
        let loss = Loss::Bernoulli(Probability::from_ppb(10_000_000).unwrap_or_default());
        let link = LinkConfig { delay_ns: 5 * MS, loss, coalesce_ns: COALESCE_NS, ..LinkConfig::default() };
        for whose in [Whose::Ours, Whose::Yardstick] {
            // Loss on the way there only: a lost acknowledgement does no harm that could be seen.
            let lab = lab_with(link.clone(), LinkConfig { loss: Loss::None, ..link.clone() }, round)?;
            let ends = ends_of(&lab)?;
            let goodput = || {
                if whose == Whose::Yardstick {
                    for end in &ends {
                        end.namespace.run(|| ethtool::segmentation_off(DEVICE))??;
                    }
                }
                Stream::open(&ends)?.goodput(LONG_WARM_UP, self.effort.lossy)
            };
            let goodput = goodput().map_err(of("TCP under loss"))?;
            self.add("tcp_lossy", whose, goodput);
        }
        Ok(())
    }
}

impl PlainWire {
    fn ends(&self) -> Ends<'_> {
        self.ends.each_ref().map(|(namespace, address)| End { namespace, address: *address })
    }
}

fn ends_of(lab: &Lab) -> Result<Ends<'_>, SelfCheckError> {
    let end = |name: &str| -> Result<End<'_>, SelfCheckError> {
        let host = lab.host(name)?;
        Ok(End { namespace: host.namespace(), address: host.addresses()[0] })
    };
    Ok([end("a")?, end("b")?])
}

/// Two public hosts; `link` lies in front of the first, in both directions.
fn lab(link: LinkConfig, seed: u32) -> Result<Lab, SelfCheckError> {
    lab_with(link.clone(), link, seed)
}

fn lab_with(up: LinkConfig, down: LinkConfig, seed: u32) -> Result<Lab, SelfCheckError> {
    Ok(Lab::up(&plan_of(up, down)?, seed.into())?)
}

fn two_hosts(link: LinkConfig) -> Result<Plan, SelfCheckError> {
    plan_of(link.clone(), link)
}

fn plan_of(up: LinkConfig, down: LinkConfig) -> Result<Plan, SelfCheckError> {
    let hosts = vec![Host::new("a", None, Access { up, down }), Host::new("b", None, Access::default())];
    Ok(plan(&Topology { routers: Vec::new(), hosts, ..Topology::default() })?)
}
