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

/// What a metric counts for where two versions are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Decides: there is little noise in it, and blocks are run until it is decided.
    First,
    /// Is judged with what was run for those.
    Second,
    /// Says the same as this other metric of the same run, in other words: one question is not asked twice.
    Restated(&'static str),
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
    /// What it counts for where two versions are compared.
    pub standing: Standing,
    /// Of what can be 0: the smallest difference that matters, in the metric's unit, however small the values. Such metrics
    /// are compared by differences, all others by ratios.
    pub least_difference: Option<f64>,
    /// One sentence: what exactly is counted, from when to when.
    pub definition: &'static str,
}

impl Metric {
    /// δ as a share: 0.05 is 5 %.
    pub fn delta(&self) -> f64 {
        f64::from(self.delta_permille) / 1000.0
    }
}

/// Every metric longhaul knows, in display order.
pub const METRICS: &[Metric] = &[
    Metric {
        id: "goodput",
        title: "Goodput",
        unit: Unit::BitsPerSecond,
        direction: Direction::Higher,
        delta_permille: 30,
        standing: Standing::Restated("transfer_time"),
        least_difference: None,
        definition: "Payload bits of all fetchers divided by the transfer time.",
    },
    Metric {
        id: "transfer_time",
        title: "Transfer time",
        unit: Unit::Seconds,
        direction: Direction::Lower,
        delta_permille: 30,
        standing: Standing::Second,
        least_difference: None,
        definition: "From the first fetcher's connection being up to the last payload byte written by any.",
    },
    Metric {
        id: "setup_time",
        title: "Setup time",
        unit: Unit::Seconds,
        direction: Direction::Lower,
        delta_permille: 30,
        standing: Standing::Second,
        least_difference: None,
        definition: "From the start of a fetcher process to its connection being up; of several, the slowest.",
    },
    Metric {
        id: "time_to_first_byte",
        title: "Time to first byte",
        unit: Unit::Seconds,
        direction: Direction::Lower,
        delta_permille: 30,
        standing: Standing::Second,
        least_difference: None,
        definition: "From the start of a fetcher process to its first payload byte; of several, the slowest.",
    },
    Metric {
        id: "total_time",
        title: "Total time",
        unit: Unit::Seconds,
        direction: Direction::Lower,
        delta_permille: 30,
        standing: Standing::Second,
        least_difference: None,
        definition: "From the start of the first fetcher process to the exit of the last, seen from outside.",
    },
    Metric {
        id: "import_time",
        title: "Import time",
        unit: Unit::Seconds,
        direction: Direction::Lower,
        delta_permille: 50,
        standing: Standing::Second,
        least_difference: None,
        definition: "What the slowest provider took to make its payload ready, by its own word; no part of any other time.",
    },
    Metric {
        id: "time_to_direct",
        title: "Time to direct path",
        unit: Unit::Seconds,
        direction: Direction::Lower,
        delta_permille: 50,
        standing: Standing::Second,
        least_difference: None,
        definition: "From the start of a fetcher process to its first path without a relay, by its own word; of several, the slowest.",
    },
    Metric {
        id: "longest_stall",
        title: "Longest stall",
        unit: Unit::Seconds,
        direction: Direction::Lower,
        delta_permille: 100,
        standing: Standing::Second,
        least_difference: Some(0.1),
        definition: "Longest time between a fetcher's first and last byte in which less than 500 IP bytes per 50 ms came, of 200 ms and more.",
    },
    Metric {
        id: "stall_time",
        title: "Stall time",
        unit: Unit::Seconds,
        direction: Direction::Lower,
        delta_permille: 100,
        standing: Standing::First,
        least_difference: Some(0.1),
        definition: "Sum of all stalls of all fetchers.",
    },
    Metric {
        id: "recovery_time",
        title: "Recovery",
        unit: Unit::Seconds,
        direction: Direction::Lower,
        delta_permille: 100,
        standing: Standing::Second,
        least_difference: Some(0.1),
        definition: "From the end of what cut the transfer off to its bytes flowing again; of several fetchers and disturbances, the longest.",
    },
    Metric {
        id: "fairness",
        title: "Fairness",
        unit: Unit::Ratio,
        direction: Direction::Higher,
        delta_permille: 30,
        standing: Standing::Second,
        least_difference: None,
        definition: "Jain's index of the fetchers' goodput: 1 when all got the same, 1/n when one got everything.",
    },
    Metric {
        id: "goodput_share",
        title: "Share beside TCP",
        unit: Unit::Ratio,
        direction: Direction::Higher,
        delta_permille: 30,
        standing: Standing::Second,
        least_difference: None,
        definition: "Goodput divided by the sum of it and the goodput of the TCP flows beside it.",
    },
    Metric {
        id: "utilisation",
        title: "Utilisation",
        unit: Unit::Ratio,
        direction: Direction::Higher,
        delta_permille: 30,
        standing: Standing::Restated("transfer_time"),
        least_difference: None,
        definition: "IP bits handed to the fetchers, divided by what the links could have carried in the transfer time.",
    },
    Metric {
        id: "wire_bytes",
        title: "Bytes on the wire",
        unit: Unit::Bytes,
        direction: Direction::Lower,
        delta_permille: 10,
        standing: Standing::First,
        least_difference: None,
        definition: "IP bytes on the fetchers' access links, both directions, lost packets included.",
    },
    Metric {
        id: "wire_packets",
        title: "Packets on the wire",
        unit: Unit::Count,
        direction: Direction::Lower,
        delta_permille: 10,
        standing: Standing::First,
        least_difference: None,
        definition: "IP packets on the fetchers' access links, both directions, lost packets included.",
    },
    Metric {
        id: "wire_overhead",
        title: "Wire overhead",
        unit: Unit::Ratio,
        direction: Direction::Lower,
        delta_permille: 10,
        standing: Standing::Restated("wire_bytes"),
        least_difference: None,
        definition: "Bytes on the wire divided by payload bytes.",
    },
    Metric {
        id: "packets_per_block",
        title: "Packets per block",
        unit: Unit::Ratio,
        direction: Direction::Lower,
        delta_permille: 10,
        standing: Standing::Restated("wire_packets"),
        least_difference: None,
        definition: "Packets on the wire divided by the payload's blocks of 256 KiB.",
    },
    Metric {
        id: "messages_per_block",
        title: "Messages per block",
        unit: Unit::Ratio,
        direction: Direction::Lower,
        delta_permille: 10,
        standing: Standing::Second,
        least_difference: None,
        definition: "Protocol messages a fetcher sent and got, by its own word, divided by the payload's blocks of 256 KiB.",
    },
    Metric {
        id: "retransmission_estimate",
        title: "Retransmission estimate",
        unit: Unit::Ratio,
        direction: Direction::Lower,
        delta_permille: 20,
        standing: Standing::Second,
        least_difference: Some(0.005),
        definition: "Bytes the providers sent beyond payload and 40 header bytes a packet, by payload: what was sent again, plus framing and encryption.",
    },
    Metric {
        id: "flows",
        title: "Flows",
        unit: Unit::Count,
        direction: Direction::Lower,
        delta_permille: 30,
        standing: Standing::Second,
        least_difference: None,
        definition: "Different transport five-tuples the fetchers' hosts sent packets on.",
    },
    Metric {
        id: "direct_bytes",
        title: "Direct bytes",
        unit: Unit::Bytes,
        direction: Direction::Higher,
        delta_permille: 50,
        standing: Standing::Second,
        least_difference: Some(65_536.0),
        definition: "Payload bytes that came without a relay, by the fetchers' own word.",
    },
    Metric {
        id: "relayed_bytes",
        title: "Relayed bytes",
        unit: Unit::Bytes,
        direction: Direction::Lower,
        delta_permille: 50,
        standing: Standing::Second,
        least_difference: Some(65_536.0),
        definition: "Payload bytes that came through a relay, by the fetchers' own word.",
    },
    Metric {
        id: "lookup_time",
        title: "Lookup time",
        unit: Unit::Seconds,
        direction: Direction::Lower,
        delta_permille: 50,
        standing: Standing::Second,
        least_difference: None,
        definition: "From asking who has a key to the first answer that names somebody: median of the lookups that found one.",
    },
    Metric {
        id: "lookup_time_p95",
        title: "Lookup time, 95th percentile",
        unit: Unit::Seconds,
        direction: Direction::Lower,
        delta_permille: 100,
        standing: Standing::Second,
        least_difference: None,
        definition: "Which of the lookups that found somebody 95 in 100 did not exceed.",
    },
    Metric {
        id: "lookup_success",
        title: "Lookups that found",
        unit: Unit::Ratio,
        direction: Direction::Higher,
        delta_permille: 20,
        standing: Standing::First,
        least_difference: Some(0.02),
        definition: "Lookups that found somebody divided by all lookups.",
    },
    Metric {
        id: "lookup_messages",
        title: "Messages per lookup",
        unit: Unit::Ratio,
        direction: Direction::Lower,
        delta_permille: 30,
        standing: Standing::First,
        least_difference: None,
        definition: "Protocol messages a fetcher sent and got for its lookups, by its own word, divided by the lookups.",
    },
    Metric {
        id: "lookup_packets",
        title: "Packets per lookup",
        unit: Unit::Ratio,
        direction: Direction::Lower,
        delta_permille: 30,
        standing: Standing::First,
        least_difference: None,
        definition: "Packets on the fetchers' access links, both directions, joining included, divided by the lookups.",
    },
    Metric {
        id: "cpu_seconds",
        title: "CPU time",
        unit: Unit::Seconds,
        direction: Direction::Lower,
        delta_permille: 30,
        standing: Standing::First,
        least_difference: None,
        definition: "User plus system time of all processes of one side, of the operating system's own accounting.",
    },
    Metric {
        id: "cpu_per_gib",
        title: "CPU time per GiB",
        unit: Unit::Seconds,
        direction: Direction::Lower,
        delta_permille: 30,
        standing: Standing::Restated("cpu_seconds"),
        least_difference: None,
        definition: "CPU time of one side divided by the payload of all fetchers in GiB.",
    },
    Metric {
        id: "context_switches",
        title: "Context switches",
        unit: Unit::Count,
        direction: Direction::Lower,
        delta_permille: 100,
        standing: Standing::Second,
        least_difference: Some(20.0),
        definition: "How often one side's processes gave the processor up or had it taken away.",
    },
    Metric {
        id: "peak_rss",
        title: "Peak memory",
        unit: Unit::Bytes,
        direction: Direction::Lower,
        delta_permille: 50,
        standing: Standing::Second,
        least_difference: None,
        definition: "Largest resident set of any process of one side.",
    },
    Metric {
        id: "peak_queueing_delay",
        title: "Peak queueing delay",
        unit: Unit::Seconds,
        direction: Direction::Lower,
        delta_permille: 50,
        standing: Standing::Second,
        least_difference: Some(0.002),
        definition: "Longest wait of a packet for its turn on a rate-limited link of the scenario.",
    },
    Metric {
        id: "median_queueing_delay",
        title: "Median queueing delay",
        unit: Unit::Seconds,
        direction: Direction::Lower,
        delta_permille: 50,
        standing: Standing::Second,
        least_difference: Some(0.002),
        definition: "Median over intervals of 50 ms of the longest wait of a packet for any link's turn.",
    },
    Metric {
        id: "instructions",
        title: "Instructions",
        unit: Unit::Count,
        direction: Direction::Lower,
        delta_permille: 10,
        standing: Standing::First,
        least_difference: None,
        definition: "Instructions that one side's processes executed outside the kernel, counted by Valgrind's Callgrind.",
    },
    Metric {
        id: "iteration_time",
        title: "Time per iteration",
        unit: Unit::Seconds,
        direction: Direction::Lower,
        delta_permille: 30,
        standing: Standing::Second,
        least_difference: None,
        definition: "Of a benchmark that another tool ran: the time one iteration takes, by that tool's own estimate.",
    },
    Metric {
        id: "allocated_bytes",
        title: "Allocated bytes",
        unit: Unit::Bytes,
        direction: Direction::Lower,
        delta_permille: 10,
        standing: Standing::First,
        least_difference: Some(1.0),
        definition: "Of a benchmark that another tool ran: the bytes one iteration allocates, by that tool's own count.",
    },
    Metric {
        id: "allocations",
        title: "Allocations",
        unit: Unit::Count,
        direction: Direction::Lower,
        delta_permille: 10,
        standing: Standing::First,
        least_difference: Some(1.0),
        definition: "Of a benchmark that another tool ran: how often one iteration allocates, by that tool's own count.",
    },
    Metric {
        id: "smaller_is_better",
        title: "Smaller is better",
        unit: Unit::Ratio,
        direction: Direction::Lower,
        delta_permille: 30,
        standing: Standing::Second,
        least_difference: None,
        definition: "Of a benchmark that another tool ran: its number, in the unit that the benchmark's name ends with.",
    },
    Metric {
        id: "bigger_is_better",
        title: "Bigger is better",
        unit: Unit::Ratio,
        direction: Direction::Higher,
        delta_permille: 30,
        standing: Standing::Second,
        least_difference: None,
        definition: "Of a benchmark that another tool ran: its number, in the unit that the benchmark's name ends with.",
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

    /// The glossary has each metric's formula; its unit, direction and delta are the ones in use.
    #[test]
    fn the_glossary_has_every_metric() {
        let glossary = include_str!("../../../GLOSSARY.md");
        for metric in METRICS {
            let unit = match metric.unit {
                Unit::BitsPerSecond => "bit/s",
                Unit::Seconds => "s",
                Unit::Bytes => "bytes",
                Unit::Count => "count",
                Unit::Ratio => "ratio",
            };
            let better = if metric.direction == Direction::Lower { "lower" } else { "higher" };
            let delta = f64::from(metric.delta_permille) / 10.0;
            let row = format!("| `{}` | {unit} | {better} | {delta:.1} % | ", metric.id);
            assert!(glossary.contains(&row), "{row}");
        }
        let rows = glossary.lines().filter(|line| line.starts_with("| `")).count();
        assert_eq!(rows, METRICS.len(), "the glossary has metrics that there are not");
    }
}
