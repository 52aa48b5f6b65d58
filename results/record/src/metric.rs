//! What is measured: each metric's unit, direction and the smallest change that matters.

use serde::{Deserialize, Serialize};

/// The unit a metric's value is stored in. Always the base unit; display scales it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Bits per second.
    BitsPerSecond,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// A number of things.
    Count,
    /// A dimensionless quotient.
    Ratio,
}

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Smaller values are better.
    Lower,
    /// Larger values are better.
    Higher,
}

/// One thing that is measured of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metric {
    /// Stable name, as in samples, URLs and policy files.
    pub id: &'static str,
    /// What a chart's title says.
    pub title: &'static str,
    /// Unit of the stored value.
    pub unit: Unit,
    /// Which way is better.
    pub direction: Direction,
    /// δ: the smallest relative change that matters, in thousandths.
    pub delta_permille: u32,
    /// One sentence: what exactly is counted, from when to when.
    pub definition: &'static str,
}

/// Every metric longhaul knows, in display order.
pub const METRICS: &[Metric] = &[
    Metric {
        id: "goodput",
        title: "Goodput",
        unit: Unit::BitsPerSecond,
        direction: Direction::Higher,
        delta_permille: 30,
        definition: "Payload bits divided by the transfer time.",
    },
    Metric {
        id: "transfer_time",
        title: "Transfer time",
        unit: Unit::Seconds,
        direction: Direction::Lower,
        delta_permille: 30,
        definition: "From the connection being up to the last payload byte written by the fetcher.",
    },
    Metric {
        id: "setup_time",
        title: "Setup time",
        unit: Unit::Seconds,
        direction: Direction::Lower,
        delta_permille: 30,
        definition: "From the start of the fetcher process to its connection being up.",
    },
    Metric {
        id: "time_to_first_byte",
        title: "Time to first byte",
        unit: Unit::Seconds,
        direction: Direction::Lower,
        delta_permille: 30,
        definition: "From the start of the fetcher process to the first payload byte.",
    },
    Metric {
        id: "total_time",
        title: "Total time",
        unit: Unit::Seconds,
        direction: Direction::Lower,
        delta_permille: 30,
        definition: "From the start of the fetcher process to its exit, seen from outside.",
    },
    Metric {
        id: "wire_bytes",
        title: "Bytes on the wire",
        unit: Unit::Bytes,
        direction: Direction::Lower,
        delta_permille: 10,
        definition: "IP bytes on the fetcher's access link, both directions, lost packets included.",
    },
    Metric {
        id: "wire_packets",
        title: "Packets on the wire",
        unit: Unit::Count,
        direction: Direction::Lower,
        delta_permille: 10,
        definition: "IP packets on the fetcher's access link, both directions, lost packets included.",
    },
    Metric {
        id: "wire_overhead",
        title: "Wire overhead",
        unit: Unit::Ratio,
        direction: Direction::Lower,
        delta_permille: 10,
        definition: "Bytes on the wire divided by payload bytes.",
    },
    Metric {
        id: "flows",
        title: "Flows",
        unit: Unit::Count,
        direction: Direction::Lower,
        delta_permille: 30,
        definition: "Different transport five-tuples the fetcher's host sent packets on.",
    },
    Metric {
        id: "cpu_seconds",
        title: "CPU time",
        unit: Unit::Seconds,
        direction: Direction::Lower,
        delta_permille: 30,
        definition: "User plus system time of one side's processes, of the operating system's own accounting.",
    },
    Metric {
        id: "peak_rss",
        title: "Peak memory",
        unit: Unit::Bytes,
        direction: Direction::Lower,
        delta_permille: 50,
        definition: "Largest resident set of one side's processes.",
    },
    Metric {
        id: "peak_queueing_delay",
        title: "Peak queueing delay",
        unit: Unit::Seconds,
        direction: Direction::Lower,
        delta_permille: 50,
        definition: "Longest wait of a packet for its turn on a rate-limited link of the scenario.",
    },
];

/// The definition of `id`, or `None` for a metric longhaul does not know.
pub fn metric(id: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| metric.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn ids_are_unique_and_found() {
        let ids: BTreeSet<&str> = METRICS.iter().map(|metric| metric.id).collect();
        assert_eq!(ids.len(), METRICS.len());
        assert!(METRICS.iter().all(|m| metric(m.id) == Some(m)));
        assert_eq!(metric("speed"), None);
    }
}
