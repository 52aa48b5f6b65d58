//! What the engine tells of the network and of itself.

use super::fidelity::Watch;
use super::port::PortDrops;
use netsim_fabric::{LinkCounters, RouterDrops, Time};

/// Width of one interval of [`Snapshot::timeline`], in nanoseconds.
pub const INTERVAL_NS: u64 = 50_000_000;

/// What the engine knows, at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// When the counters were last set to 0.
    pub since: Time,
    /// When the snapshot was taken.
    pub at: Time,
    /// Each link's counters, by [`netsim_fabric::LinkId::index`].
    pub links: Vec<LinkCounters>,
    /// Each router's drops, by [`netsim_fabric::NodeId::index`]; empty for hosts.
    pub routers: Vec<RouterDrops>,
    /// Different flows each host sent on, by [`netsim_fabric::NodeId::index`]; 0 for routers.
    pub flows: Vec<u64>,
    /// What each interval since the start saw. The last one ends with the snapshot: nothing came after.
    pub timeline: Vec<Interval>,
    /// How well the engine kept time.
    pub(crate) watch: Watch,
    /// Packets lost at the devices, by [`netsim_fabric::NodeId::index`].
    pub(crate) port_drops: Vec<PortDrops>,
    /// Whether the thread had real-time priority.
    pub realtime: bool,
    /// Processor time the thread has used since the network came up, in nanoseconds; the kernel's work for it included.
    pub cpu_ns: u64,
}

/// What each link saw in one interval of [`INTERVAL_NS`], by [`netsim_fabric::LinkId::index`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interval {
    /// Per link.
    pub links: Vec<LinkInterval>,
}

/// What one link saw in one interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LinkInterval {
    /// Bytes that left at the far end.
    pub delivered_bytes: u64,
    /// Packets dropped.
    pub dropped: u64,
    /// Longest wait for the serialiser, in nanoseconds.
    pub peak_queueing_ns: u64,
}
