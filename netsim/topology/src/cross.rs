//! Cross traffic: flows beside the one that is measured, over the same links.
//!
//! What a flow is, who has to open it so that it gets through NATs and filters ([`opening`]), and when a flow of constant
//! rate sends ([`Pacer`]). The sockets are a lab's.

use crate::model::{Gateway, Ipv6, Topology};
use crate::oracle::{Allowed, Expected, Family, Reason, expected, level};
use crate::tree::Tree;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::num::NonZeroU64;
use netsim_fabric::Outbound;

/// A flow between two hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cross {
    /// The host that sends.
    pub from: String,
    /// The host that receives.
    pub to: String,
    /// When it starts, in nanoseconds after the start of the measurement.
    pub start_ns: u64,
    /// When it stops, likewise; absent: at the end of the measurement.
    pub stop_ns: Option<u64>,
    /// What it sends.
    pub traffic: Traffic,
    /// Who opens it.
    pub opening: Opening,
}

/// What a flow sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Traffic {
    /// TCP, as fast as it may.
    Tcp {
        /// The sender's congestion control, by the kernel's name; absent: the machine's own choice.
        congestion: Option<String>,
    },
    /// UDP at a constant rate.
    Udp {
        /// Bits per second of IP packets.
        rate_bps: NonZeroU64,
        /// Size of each IP packet.
        packet_bytes: u32,
    },
}

impl Traffic {
    /// `TCP` or `UDP`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Traffic::Tcp { .. } => "TCP",
            Traffic::Udp { .. } => "UDP",
        }
    }

    /// Whether a router lets a flow of this kind out, to any port.
    fn may_leave(&self, gateway: &Gateway) -> bool {
        match gateway.firewall.outbound {
            Outbound::All => true,
            Outbound::NoUdp => matches!(self, Traffic::Tcp { .. }),
            Outbound::WebOnly { .. } | Outbound::Captive => false,
        }
    }
}

/// The smallest packet: headers (IPv4 with UDP: 28 bytes, IPv6: 48) and a number of eight bytes fit into it.
pub const MIN_CROSS_PACKET: u32 = 60;

/// Who sends first, so that the flow gets through what lies between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// The sender: the receiver can be reached by anyone.
    Sender,
    /// The receiver, which cannot be reached, but can reach the sender.
    Receiver,
    /// Both, by UDP hole punching: neither can be reached by anyone.
    Both,
}

/// Why a flow does not get through.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoWay {
    /// A firewall's policy.
    #[error("`{router}` lets no {kind} to any port out; choose a host that is not behind it")]
    Firewall {
        /// The router.
        router: String,
        /// `TCP` or `UDP`.
        kind: &'static str,
    },
    /// Neither side can be reached, and TCP is not punched through.
    #[error(
        "neither host can be reached by the other: both are behind NATs or filters; \
         let one of them be on the internet, or use kind = \"udp\" if their NATs allow that"
    )]
    BothHidden,
    /// Hole punching fails.
    #[error("neither host can be reached by the other, nor by hole punching: {0}; let one of them be on the internet")]
    NotPunched(&'static str),
    /// A host that does not exist or hangs nowhere, or hosts without a family in common.
    #[error("there is no path between the hosts")]
    NoPath,
}

/// Who has to open a flow of `traffic` from host `from` to host `to`.
pub fn opening(topology: &Topology, from: &str, to: &str, traffic: &Traffic) -> Result<Opening, NoWay> {
    let tree = Tree::new(topology).map_err(|_| NoWay::NoPath)?;
    let chain = |name: &str| {
        let host = topology.hosts.iter().position(|host| host.name == name).ok_or(NoWay::NoPath)?;
        Ok(tree.upwards(tree.host(host)).collect::<Vec<usize>>())
    };
    let (sender, receiver) = (chain(from)?, chain(to)?);
    let shared = sender.iter().rev().zip(receiver.iter().rev()).take_while(|(a, b)| a == b).count();
    let gateway = |router: &usize| tree.routers[*router].gateway;
    let without_v4 = |chain: &[usize]| chain.first().is_some_and(|own| gateway(own).ipv6 == Ipv6::Nat64);
    let has_v6 = |chain: &[usize]| chain.iter().all(|router| gateway(router).ipv6 != Ipv6::None);
    let both_v6 = has_v6(&sender) && has_v6(&receiver);
    let v6 = both_v6 && (without_v4(&sender) || without_v4(&receiver));
    let family = if v6 { Family::V6 } else { Family::V4 };
    // What only one of the hosts is behind is in the way; above that packets turn back.
    let own = |chain: &[usize]| -> Vec<usize> { chain[..chain.len() - shared].to_vec() };
    let (sender, receiver) = (own(&sender), own(&receiver));
    let shut = sender.iter().chain(&receiver).find(|router| !traffic.may_leave(&gateway(router)));
    if let Some(router) = shut {
        return Err(NoWay::Firewall { router: tree.routers[*router].name.clone(), kind: traffic.as_str() });
    }
    let open = |chain: &[usize]| chain.iter().all(|router| level(family, &gateway(router)).is_none());
    match traffic {
        _ if open(&receiver) => Ok(Opening::Sender),
        _ if open(&sender) => Ok(Opening::Receiver),
        Traffic::Tcp { .. } => Err(NoWay::BothHidden),
        Traffic::Udp { .. } => match expected(topology, from, to, Allowed::default()) {
            Some(Expected::Direct) => Ok(Opening::Both),
            Some(Expected::RelayOnly { reason }) => Err(NoWay::NotPunched(reason_words(reason))),
            None => Err(NoWay::NoPath),
        },
    }
}

fn reason_words(reason: Reason) -> &'static str {
    match reason {
        Reason::UdpBlocked => "a firewall lets no UDP out",
        Reason::Hairpin => "the NAT both are behind sends nothing back inside",
        Reason::Filtered => "their NATs' mappings and filters leave no way",
        Reason::Unsettled => "their packets come from another endpoint each time",
    }
}

/// A late sender catches up on so much, in nanoseconds: what it should have sent longer ago is never sent, because a burst
/// is not a constant rate.
pub const CATCH_UP_NS: u64 = 10_000_000;

/// When a flow of constant rate sends: packet n is due n packet times after the flow's start, whatever happened before.
#[derive(Debug, Clone)]
pub struct Pacer {
    rate_bps: NonZeroU64,
    /// Bits of a packet, times nanoseconds of a second.
    scale: u128,
    next: u64,
}

/// What a sender has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Send packet `number` of the schedule.
    Send {
        /// Which, from 0. Numbers that are left out were missed.
        number: u64,
    },
    /// Nothing yet.
    Wait {
        /// When the next packet is due, in nanoseconds after the flow's start.
        until_ns: u64,
    },
}

impl Pacer {
    /// For packets of `packet_bytes` at `rate_bps` together.
    pub fn new(rate_bps: NonZeroU64, packet_bytes: u32) -> Pacer {
        Pacer { rate_bps, scale: u128::from(packet_bytes) * 8_000_000_000, next: 0 }
    }

    /// What to do `elapsed_ns` after the flow's start.
    pub fn turn(&mut self, elapsed_ns: u64) -> Turn {
        let due_ns = self.due_ns(self.next);
        if elapsed_ns < due_ns {
            return Turn::Wait { until_ns: due_ns };
        }
        // The newest is sent however late it is, or a slow flow would send nothing after a stall.
        let newest = self.count(elapsed_ns).saturating_sub(1);
        let in_time = elapsed_ns.checked_sub(CATCH_UP_NS + 1).map_or(0, |too_late| self.count(too_late));
        let number = self.next.max(in_time.min(newest));
        self.next = number + 1;
        Turn::Send { number }
    }

    /// How many packets are due in the first `elapsed_ns`, both ends included.
    pub fn count(&self, elapsed_ns: u64) -> u64 {
        let past = (u128::from(elapsed_ns) + 1) * u128::from(self.rate_bps.get());
        u64::try_from(past.div_ceil(self.scale.max(1))).unwrap_or(u64::MAX)
    }

    fn due_ns(&self, number: u64) -> u64 {
        let due = u128::from(number).saturating_mul(self.scale) / u128::from(self.rate_bps.get());
        u64::try_from(due).unwrap_or(u64::MAX)
    }
}

impl Cross {
    /// `TCP neighbour → server`.
    pub fn label(&self) -> String {
        format!("{} {} → {}", self.traffic.as_str(), self.from, self.to)
    }
}
