//! The proof that the network was what the scenario says.
//!
//! Two kinds of evidence belong to every run: [`Calibration`], probes sent over the actual path before the subject
//! starts, and [`Fidelity`], what the emulator saw of itself while the subject ran.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Probes over the actual path, before the run: one entry per direction between two hosts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Calibration {
    /// Each probed direction.
    pub paths: Vec<PathCheck>,
    /// What lies in front of each host that a router translates or filters for.
    #[serde(default)]
    pub nats: Vec<NatCheck>,
}

/// What lies between a host and the internet, asked and got, as NAT behaviour discovery sees it (RFC 5780). Routers behind
/// each other look like one. Absent behaviour: no UDP gets through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NatCheck {
    /// The host.
    pub host: String,
    /// What its routers' terms come to.
    pub asked: Option<NatBehaviour>,
    /// What its packets met.
    pub got: Option<NatBehaviour>,
}

/// A NAT or firewall in RFC 4787's terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NatBehaviour {
    /// For which destinations a mapping is reused; absent where nothing is translated.
    pub mapping: Option<Dependence>,
    /// Who may answer.
    pub filtering: Dependence,
    /// Whether a socket is seen with its own port.
    pub port_preserved: bool,
    /// What becomes of a packet to an external endpoint of the host's own.
    pub hairpin: Hairpinned,
}

/// What part of the other side's endpoint something depends on (RFC 4787, sections 4.1 and 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Dependence {
    /// None of it.
    EndpointIndependent,
    /// Its address.
    AddressDependent,
    /// All of it.
    AddressAndPortDependent,
}

impl Dependence {
    /// As RFC 4787 writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Dependence::EndpointIndependent => "endpoint-independent",
            Dependence::AddressDependent => "address-dependent",
            Dependence::AddressAndPortDependent => "address-and-port-dependent",
        }
    }
}

/// What becomes of a packet to an external endpoint of one's own (RFC 4787, section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Hairpinned {
    /// It does not come back.
    Nothing,
    /// It comes back with an external source (REQ-9a).
    FromOutside,
    /// It comes back with its own source.
    FromInside,
}

impl Hairpinned {
    /// As it is written in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Hairpinned::Nothing => "nothing",
            Hairpinned::FromOutside => "from outside",
            Hairpinned::FromInside => "from inside",
        }
    }
}

impl NatBehaviour {
    /// `mapping`, `filtering`, `port`, `hairpinning`: each as text, for tables and sentences.
    pub fn parts(&self) -> [(&'static str, &'static str); 4] {
        [
            ("mapping", self.mapping.map_or("none", Dependence::as_str)),
            ("filtering", self.filtering.as_str()),
            ("port", if self.port_preserved { "preserved" } else { "changed" }),
            ("hairpinning", self.hairpin.as_str()),
        ]
    }
}

/// One direction between two hosts, asked and got.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PathCheck {
    /// Sending host.
    pub from: String,
    /// Receiving host.
    pub to: String,
    /// One-way delay.
    pub delay: DelayCheck,
    /// Loss, by count.
    pub loss: LossCheck,
    /// Rate by packet train; absent where no link of the path has a rate.
    pub rate: Option<RateCheck>,
    /// The largest packet that comes through; absent in records from before it was measured.
    #[serde(default)]
    pub mtu: Option<MtuCheck>,
    /// Probes that arrived after a later one.
    pub reordered: u64,
    /// Probes that arrived more than once.
    pub duplicated: u64,
    /// A link is asked to let packets overtake each other.
    #[serde(default)]
    pub reorder_asked: bool,
    /// Share of packets that links are asked to send twice, in parts per billion.
    #[serde(default)]
    pub duplicate_ppb: u32,
}

/// One-way delay, in nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DelayCheck {
    /// Sum of the links' fixed delays and of the probe's own serialisation time.
    pub asked_ns: u64,
    /// Largest deviation from that which the links may add, either way.
    pub jitter_ns: u64,
    /// Median of the probes.
    pub median_ns: u64,
    /// 99th percentile of the probes.
    pub p99_ns: u64,
    /// How much earlier than asked half of the probes may be: jitter by measured deviations, which need not be balanced.
    #[serde(default)]
    pub early_ns: u64,
    /// A link's rate changes by itself, so how long probes wait for it is not asked for.
    #[serde(default)]
    pub varies: bool,
    /// The distribution, by ascending share.
    #[serde(default)]
    pub quantiles: Vec<DelayQuantile>,
}

/// A share of probes, and the one-way delay that it did not exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DelayQuantile {
    /// The share, in thousandths.
    pub permille: u32,
    /// The delay, in nanoseconds.
    pub ns: u64,
}

/// Loss by count.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LossCheck {
    /// Configured probability over the whole path, in parts per billion.
    pub asked_ppb: u32,
    /// Probes sent.
    pub sent: u64,
    /// Probes that never arrived.
    pub lost: u64,
    /// How many thousandths of its variance bursts add to the number of losses; 0 where each packet is lost on its own.
    #[serde(default)]
    pub clumping_permille: u32,
    /// Packets that are lost by a list: so many probes may be among them.
    #[serde(default)]
    pub scripted: u64,
    /// Runs of probes lost one after the other.
    #[serde(default)]
    pub bursts: u64,
}

/// Rate by packet train.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RateCheck {
    /// Smallest configured rate of the path, in bits per second.
    pub asked_bps: u64,
    /// What the train measured, in bits per second.
    pub got_bps: u64,
    /// The rate changes by itself: `asked_bps` is its mean in the long run, and one train proves nothing.
    #[serde(default)]
    pub varies: bool,
    /// How far losses and jitter behind the bottleneck may move the result, in thousandths.
    #[serde(default)]
    pub slack_permille: u32,
}

/// The largest packet that comes through, in bytes of IP.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MtuCheck {
    /// Smallest MTU of the path.
    pub asked: u32,
    /// What came through and was not exceeded.
    pub got: u32,
}

/// What the emulator saw of itself during the run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Fidelity {
    /// Runs of packets handed to a host.
    pub released: u64,
    /// Median of how long after its scheduled time a packet was handed over, in nanoseconds.
    pub lateness_p50_ns: u64,
    /// 99th percentile of the same.
    pub lateness_p99_ns: u64,
    /// 99.9th percentile of the same.
    pub lateness_p999_ns: u64,
    /// Worst of the same.
    pub lateness_max_ns: u64,
    /// The whole distribution, in ascending buckets.
    pub lateness: Vec<LatenessBucket>,
    /// The longest time the emulator's loop did not come round although it meant to, in nanoseconds; of several threads' loops,
    /// the longest.
    pub longest_gap_ns: u64,
    /// Gaps of more than 1 ms.
    pub gaps: u64,
    /// Packets lost to anything but the scenario, by cause (device queue, buffer pool, write error, the way
    /// between the emulator's threads).
    pub unintended_drops: BTreeMap<String, u64>,
    /// Share of the run's time the emulator was busy, 0 to 1; of several threads, the busiest one's.
    pub busy_share: f64,
    /// Share of the run's time, 0 to 1, that the emulator had more packets waiting at its devices than it takes in one
    /// round: near 1, the emulator was the bottleneck and not the network. Of several threads, the largest share. 0 in records from before it was measured.
    #[serde(default)]
    pub backlog_share: f64,
    /// Whether all of the emulator's threads had real-time priority.
    pub realtime: bool,
}

/// One bucket of the lateness distribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LatenessBucket {
    /// Upper edge, inclusive, in nanoseconds.
    pub le_ns: u64,
    /// Releases in this bucket alone.
    pub count: u64,
}

/// One direction of one link during the run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LinkReport {
    /// The link's name, for example `bob.link` or `home.uplink`.
    pub link: String,
    /// `up` (away from the host) or `down`.
    pub direction: String,
    /// Packets that entered.
    pub packets: u64,
    /// IP bytes that entered.
    pub bytes: u64,
    /// Packets that left at the far end.
    pub delivered: u64,
    /// Packets dropped, by cause.
    pub dropped: BTreeMap<String, u64>,
    /// Longest wait for the link's turn, in nanoseconds.
    pub peak_queueing_delay_ns: u64,
    /// Hash of every loss decision, as 16 hexadecimal digits: equal when two runs lost the same packets.
    pub impairment_trace: String,
}

/// How far a measurement may be from what was asked before the run is untrusted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Tolerance {
    /// Allowed error of the median one-way delay, in nanoseconds.
    pub delay_ns: u64,
    /// Allowed error of the median one-way delay, in thousandths of what was asked; the larger of both counts.
    pub delay_permille: u32,
    /// Allowed error of the rate, in thousandths.
    pub rate_permille: u32,
    /// Allowed lateness at the 99th percentile, in nanoseconds.
    pub lateness_p99_ns: u64,
    /// Allowed gap of the emulator's loop, in nanoseconds.
    pub gap_ns: u64,
    /// Allowed share of the run's time that packets wait for the emulator, in thousandths.
    #[serde(default = "backlog_permille")]
    pub backlog_permille: u32,
    /// Share of its packets that the sender of a constant-rate flow may miss to send, in thousandths.
    #[serde(default = "cross_permille")]
    pub cross_permille: u32,
}

/// Ordinary runs stay below 3.
fn backlog_permille() -> u32 {
    50
}

fn cross_permille() -> u32 {
    50
}

impl Default for Tolerance {
    /// Half a millisecond or 2 % of delay, 3 % of rate, 2 ms of lateness at the 99th percentile, no gap of 100 ms, packets
    /// waiting for 5 % of the time, 5 % of a cross flow's packets.
    fn default() -> Tolerance {
        Tolerance {
            delay_ns: 500_000,
            delay_permille: 20,
            rate_permille: 30,
            lateness_p99_ns: 2_000_000,
            gap_ns: 100_000_000,
            backlog_permille: backlog_permille(),
            cross_permille: cross_permille(),
        }
    }
}
