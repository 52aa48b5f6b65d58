//! From what was seen to numbers and curves. Pure.

use longhaul_record::{LinkReport, ProcessReport, Role, Sample, Series};
use longhaul_scenarios::Milestone;
use netsim_lab::{INTERVAL_NS, Interval};
use std::collections::BTreeMap;

/// What the numbers are made of.
pub(crate) struct Facts<'a> {
    pub(crate) payload_bytes: u64,
    /// Seconds since the fetcher's start.
    pub(crate) milestones: &'a BTreeMap<Milestone, f64>,
    /// From the fetcher's start to its end, in seconds.
    pub(crate) total_s: f64,
    pub(crate) processes: &'a [ProcessReport],
    /// Both directions of the fetcher's access links: one link for each interface.
    pub(crate) access: &'a [LinkReport],
    /// Every link.
    pub(crate) links: &'a [LinkReport],
    /// Cross traffic starts or ends at the fetcher: what its access link carried is not the subject's alone.
    pub(crate) access_shared: bool,
    /// Flows the fetcher's host sent on.
    pub(crate) flows: u64,
}

/// The numbers of a completed and verified transfer.
pub(crate) fn samples(facts: &Facts) -> Vec<Sample> {
    let mut samples = Samples::default();
    let at = |milestone| facts.milestones.get(&milestone).copied();
    let connected = at(Milestone::Connected);
    // Without the subject's own word the transfer ends with its process.
    let done = at(Milestone::Done).unwrap_or(facts.total_s);
    if let Some(transfer_s) = connected.map(|connected| done - connected).filter(|seconds| *seconds > 0.0) {
        samples.add("goodput", facts.payload_bytes as f64 * 8.0 / transfer_s);
        samples.add("transfer_time", transfer_s);
    }
    samples.add_some("setup_time", connected);
    samples.add_some("time_to_first_byte", at(Milestone::FirstByte));
    samples.add("total_time", facts.total_s);
    if !facts.access_shared {
        samples.add_wire(facts);
    }
    for process in facts.processes {
        samples.add_for(process.role, "cpu_seconds", process.cpu_user_s + process.cpu_system_s);
        samples.add_for(process.role, "peak_rss", process.peak_rss_bytes as f64);
    }
    let queueing = facts.links.iter().map(|link| link.peak_queueing_delay_ns).max().unwrap_or(0);
    samples.add("peak_queueing_delay", queueing as f64 / 1e9);
    samples.0
}

#[derive(Default)]
struct Samples(Vec<Sample>);

impl Samples {
    /// What the fetcher's access link saw.
    fn add_wire(&mut self, facts: &Facts) {
        let wire_bytes: u64 = facts.access.iter().map(|link| link.bytes).sum();
        self.add("wire_bytes", wire_bytes as f64);
        self.add("wire_packets", facts.access.iter().map(|link| link.packets).sum::<u64>() as f64);
        if facts.payload_bytes > 0 {
            self.add("wire_overhead", wire_bytes as f64 / facts.payload_bytes as f64);
        }
        self.add("flows", facts.flows as f64);
    }

    fn add(&mut self, metric: &str, value: f64) {
        self.0.push(Sample { metric: metric.to_owned(), peer: None, value });
    }

    fn add_some(&mut self, metric: &str, value: Option<f64>) {
        if let Some(value) = value {
            self.add(metric, value);
        }
    }

    fn add_for(&mut self, role: Role, metric: &str, value: f64) {
        self.0.push(Sample { metric: metric.to_owned(), peer: Some(role.as_str().to_owned()), value });
    }
}

/// Curves over the run: `wire`, `lost` and `queue` from the network, `payload` from the fetcher's own word if it gave
/// any. `access_down` are the places of the fetcher's incoming links in the intervals.
pub(crate) fn series(timeline: &[Interval], access_down: &[usize], progress: &[(f64, u64)]) -> Vec<Series> {
    let interval_s = INTERVAL_NS as f64 / 1e9;
    let per_interval = |value: &dyn Fn(&Interval) -> f64| timeline.iter().map(value).collect::<Vec<f64>>();
    let wire = per_interval(&|interval| {
        let links = access_down.iter().filter_map(|link| interval.links.get(*link));
        let bytes: u64 = links.map(|link| link.delivered_bytes).sum();
        bytes as f64 * 8.0 / interval_s
    });
    let lost = per_interval(&|interval| interval.links.iter().map(|link| link.dropped).sum::<u64>() as f64);
    let queue = per_interval(&|interval| {
        interval.links.iter().map(|link| link.peak_queueing_ns).max().unwrap_or(0) as f64 / 1e9
    });
    let mut all = Vec::new();
    if !progress.is_empty() {
        all.push(("payload", "bit/s", rates(progress, timeline.len(), interval_s)));
    }
    all.extend([("wire", "bit/s", wire), ("lost", "packets", lost), ("queue", "s", queue)]);
    let interval_ms = u32::try_from(INTERVAL_NS / 1_000_000).unwrap_or(u32::MAX);
    all.into_iter()
        .map(|(name, unit, values)| Series { name: name.to_owned(), unit: unit.to_owned(), interval_ms, values })
        .collect()
}

/// Mean rate in bit/s per interval, from cumulative byte counts at any times; linear between them.
fn rates(progress: &[(f64, u64)], intervals: usize, interval_s: f64) -> Vec<f64> {
    let bytes_at = |t: f64| -> f64 {
        let after = progress.partition_point(|(at, _)| *at <= t);
        let (from_t, from) = after.checked_sub(1).map_or((0.0, 0), |before| progress[before]);
        match progress.get(after) {
            Some((to_t, to)) if *to_t > from_t => {
                from as f64 + (*to as f64 - from as f64) * (t - from_t) / (to_t - from_t)
            }
            _ => from as f64,
        }
    };
    (0..intervals)
        .map(|n| {
            let (start, end) = (n as f64 * interval_s, (n + 1) as f64 * interval_s);
            (bytes_at(end) - bytes_at(start)).max(0.0) * 8.0 / interval_s
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use netsim_lab::LinkInterval;

    fn link(bytes: u64, packets: u64, queueing: u64) -> LinkReport {
        LinkReport { bytes, packets, peak_queueing_delay_ns: queueing, ..LinkReport::default() }
    }

    #[test]
    fn numbers_follow_their_definitions() {
        let milestones = [(Milestone::Connected, 0.5), (Milestone::FirstByte, 0.6), (Milestone::Done, 2.5)].into();
        let links = [link(900, 3, 0), link(100, 2, 7_000_000)];
        let facts = Facts {
            payload_bytes: 500,
            milestones: &milestones,
            total_s: 2.6,
            processes: &[],
            access: &links,
            links: &links,
            access_shared: false,
            flows: 1,
        };
        let got: BTreeMap<String, f64> = samples(&facts).into_iter().map(|s| (s.metric, s.value)).collect();
        let expect = [
            ("goodput", 2000.0),
            ("transfer_time", 2.0),
            ("setup_time", 0.5),
            ("time_to_first_byte", 0.6),
            ("total_time", 2.6),
            ("wire_bytes", 1000.0),
            ("wire_packets", 5.0),
            ("wire_overhead", 2.0),
            ("flows", 1.0),
            ("peak_queueing_delay", 0.007),
        ];
        assert_eq!(got, expect.map(|(name, value)| (name.to_owned(), value)).into());
        let shared: Vec<String> =
            samples(&Facts { access_shared: true, ..facts }).into_iter().map(|sample| sample.metric).collect();
        let expect = ["goodput", "transfer_time", "setup_time", "time_to_first_byte", "total_time"];
        assert_eq!(shared, [&expect[..], &["peak_queueing_delay"]].concat(), "nothing that is not the subject's alone");
    }

    #[test]
    fn without_the_subjects_word_the_process_end_counts_and_nothing_is_invented() {
        let milestones = [(Milestone::Connected, 0.6)].into();
        let facts = Facts {
            payload_bytes: 0,
            milestones: &milestones,
            total_s: 2.6,
            processes: &[],
            access: &[],
            links: &[],
            access_shared: false,
            flows: 0,
        };
        let got: BTreeMap<String, f64> = samples(&facts).into_iter().map(|s| (s.metric, s.value)).collect();
        assert_eq!(got["transfer_time"], 2.0);
        assert!(!got.contains_key("time_to_first_byte") && !got.contains_key("wire_overhead"));
        let blind = Facts { milestones: &BTreeMap::new(), ..facts };
        assert!(samples(&blind).iter().all(|sample| sample.metric != "goodput"));
    }

    #[test]
    fn curves_have_the_networks_intervals() {
        let interval = |bytes, dropped, peak_queueing_ns| Interval {
            links: vec![LinkInterval::default(), LinkInterval { delivered_bytes: bytes, dropped, peak_queueing_ns }],
        };
        let timeline = [interval(1000, 0, 5_000_000), interval(0, 2, 0)];
        let got = series(&timeline, &[1], &[(0.025, 500), (0.1, 2000)]);
        let values: Vec<(&str, &[f64])> = got.iter().map(|s| (s.name.as_str(), s.values.as_slice())).collect();
        assert_eq!(values[0], ("payload", &[160_000.0, 160_000.0][..]));
        assert_eq!(values[1], ("wire", &[160_000.0, 0.0][..]));
        assert_eq!(values[2], ("lost", &[0.0, 2.0][..]));
        assert_eq!(values[3], ("queue", &[0.005, 0.0][..]));
    }
}
