//! Cross traffic: flows beside the transfer, and what they did.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One flow of cross traffic: what was asked for, and what came of it. Times are nanoseconds on the transfer's clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CrossReport {
    /// What it sent.
    pub kind: CrossKind,
    /// The host that sent.
    pub from: String,
    /// The host that received.
    pub to: String,
    /// When it was to start.
    pub asked_start_ns: u64,
    /// When it was to stop; absent: at the end of the transfer.
    pub asked_stop_ns: Option<u64>,
    /// When it began to send; absent: it never did.
    pub started_ns: Option<u64>,
    /// When it stopped sending.
    pub stopped_ns: Option<u64>,
    /// Payload bytes given to the sender's socket.
    pub sent_bytes: u64,
    /// Payload bytes that the receiver got, also those that were still under way when it stopped. No byte counts twice.
    pub received_bytes: u64,
    /// UDP: packets that were sent and not received. TCP: segments that its sender sent again.
    pub lost_packets: u64,
    /// Received payload bits per second, from the first packet's sending to the last one's arrival.
    pub goodput_bps: f64,
    /// Why it did not do what was asked; absent: it did, as far as the network let it.
    pub failure: Option<String>,
}

/// What a flow of cross traffic sends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CrossKind {
    /// TCP, as fast as it may.
    Tcp {
        /// The sender's congestion control, as the kernel calls it.
        congestion: String,
    },
    /// UDP at a constant rate.
    Udp {
        /// Bits per second of IP packets, as asked for.
        rate_bps: u64,
        /// Size of an IP packet.
        packet_bytes: u32,
        /// Packets that were due while it ran.
        due_packets: u64,
        /// Packets that its sender sent; fewer where it was too late to keep the rate.
        sent_packets: u64,
    },
}

impl CrossKind {
    /// `TCP` or `UDP`.
    pub fn as_str(&self) -> &'static str {
        match self {
            CrossKind::Tcp { .. } => "TCP",
            CrossKind::Udp { .. } => "UDP",
        }
    }
}

impl CrossReport {
    /// `TCP neighbour → server`.
    pub fn label(&self) -> String {
        format!("{} {} → {}", self.kind.as_str(), self.from, self.to)
    }
}
