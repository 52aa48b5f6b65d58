//! What is drawn over time. Pure.

use longhaul_record::Series;
use netsim_lab::{INTERVAL_NS, Interval};

/// With more fetchers than this a record holds what all of them together got, not what each did.
const MAX_SINGLE: usize = 16;

/// Curves over the run: `wire`, `lost` and `queue` from the network, `payload` from the fetchers' own word where all gave
/// any; of several fetchers also each one's. `progress` is each one's host and word. `access_down` are the places of the fetchers' incoming links in the intervals.
pub(crate) fn series(timeline: &[Interval], access_down: &[usize], progress: &[(&str, &[(f64, u64)])]) -> Vec<Series> {
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
    let interval_ms = u32::try_from(INTERVAL_NS / 1_000_000).unwrap_or(u32::MAX);
    let of = |name: &str, unit: &str, values| Series {
        name: name.to_owned(),
        peer: None,
        unit: unit.to_owned(),
        interval_ms,
        values,
    };
    let mut single = Vec::new();
    if !progress.is_empty() && progress.iter().all(|(_, one)| !one.is_empty()) {
        let each: Vec<Vec<f64>> = progress.iter().map(|(_, one)| rates(one, timeline.len(), interval_s)).collect();
        let sum = |n| each.iter().map(|one| one[n]).sum();
        all.push(of("payload", "bit/s", (0..timeline.len()).map(sum).collect()));
        if (2..=MAX_SINGLE).contains(&each.len()) {
            let hosts = progress.iter().map(|(host, _)| (*host).to_owned());
            let peer = |(host, rates): (String, Vec<f64>)| Series { peer: Some(host), ..of("payload", "bit/s", rates) };
            single.extend(hosts.zip(each).map(peer));
        }
    }
    all.extend([of("wire", "bit/s", wire), of("lost", "packets", lost), of("queue", "s", queue)]);
    all.extend(single);
    all
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

/// When nothing arrived although something should have.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Stalls {
    /// The longest, in seconds.
    pub(crate) longest_s: f64,
    /// All together, in seconds.
    pub(crate) total_s: f64,
}

impl Stalls {
    /// Less than this in an interval is no transfer: acknowledgements, keep-alives.
    pub(crate) const QUIET_BYTES: u64 = 500;
    /// Shorter than this is the burstiness of slow links, in intervals.
    pub(crate) const LEAST: usize = 4;

    /// Of one fetcher, from its first byte to its last, in seconds on the network's clock. `down` are the places of its
    /// incoming links in the intervals.
    pub(crate) fn of(timeline: &[Interval], down: &[usize], first_s: f64, last_s: f64) -> Stalls {
        let spans = Stalls::spans(timeline, down, first_s, last_s).into_iter();
        spans.map(|(from_s, until_s)| until_s - from_s).fold(Stalls::default(), |seen, seconds| Stalls {
            longest_s: seen.longest_s.max(seconds),
            total_s: seen.total_s + seconds,
        })
    }

    /// When each of them began and was over.
    pub(crate) fn spans(timeline: &[Interval], down: &[usize], first_s: f64, last_s: f64) -> Vec<(f64, f64)> {
        let interval_s = INTERVAL_NS as f64 / 1e9;
        // Only intervals that lie in it as a whole.
        let (from, to) = ((first_s / interval_s).ceil() as usize, (last_s / interval_s).floor() as usize);
        let during = timeline.get(from..to.min(timeline.len())).unwrap_or_default();
        let quiet = |interval: &Interval| {
            let bytes: u64 = down.iter().filter_map(|link| interval.links.get(*link)).map(|l| l.delivered_bytes).sum();
            bytes < Stalls::QUIET_BYTES
        };
        let mut at = from;
        let mut spans = Vec::new();
        for run in during.chunk_by(|a, b| quiet(a) == quiet(b)) {
            if run.len() >= Stalls::LEAST && quiet(&run[0]) {
                spans.push((at as f64 * interval_s, (at + run.len()) as f64 * interval_s));
            }
            at += run.len();
        }
        spans
    }

    /// The longest of both; the sum of both.
    pub(crate) fn and(self, other: Stalls) -> Stalls {
        Stalls { longest_s: self.longest_s.max(other.longest_s), total_s: self.total_s + other.total_s }
    }
}

/// Median over the intervals of the longest wait for any link's turn, in seconds.
pub(crate) fn median_queueing_s(timeline: &[Interval]) -> f64 {
    let longest = |interval: &Interval| interval.links.iter().map(|link| link.peak_queueing_ns).max().unwrap_or(0);
    let mut waits: Vec<u64> = timeline.iter().map(longest).collect();
    waits.sort_unstable();
    waits.get(waits.len() / 2).map_or(0.0, |wait| *wait as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;
    use netsim_lab::LinkInterval;

    fn interval(delivered_bytes: u64, dropped: u64, peak_queueing_ns: u64) -> Interval {
        Interval { links: vec![LinkInterval::default(), LinkInterval { delivered_bytes, dropped, peak_queueing_ns }] }
    }

    #[test]
    fn curves_have_the_networks_intervals() {
        let timeline = [interval(1000, 0, 5_000_000), interval(0, 2, 0)];
        let words: [&[(f64, u64)]; 2] = [&[(0.025, 500), (0.1, 2000)], &[(0.05, 100)]];
        let got = series(&timeline, &[1], &[("bob", words[0]), ("carol", words[1])]);
        let values: Vec<(&str, &[f64])> = got.iter().map(|s| (s.name.as_str(), s.values.as_slice())).collect();
        let peers: Vec<Option<&str>> = got.iter().map(|s| s.peer.as_deref()).collect();
        assert_eq!(peers, [None, None, None, None, Some("bob"), Some("carol")]);
        assert_eq!((values[4], values[5].1), (("payload", &[160_000.0, 160_000.0][..]), &[16_000.0, 0.0][..]));
        let many: Vec<(&str, &[(f64, u64)])> = vec![("x", words[0]); MAX_SINGLE + 1];
        assert_eq!(series(&timeline, &[1], &many).len(), 4);
        assert_eq!(series(&timeline, &[1], &many[..1]).len(), 4, "one fetcher is all of them");
        assert_eq!(values[0], ("payload", &[176_000.0, 160_000.0][..]));
        assert_eq!(values[1], ("wire", &[160_000.0, 0.0][..]));
        assert_eq!(values[2], ("lost", &[0.0, 2.0][..]));
        assert_eq!(values[3], ("queue", &[0.005, 0.0][..]));
        let names = |progress: &[(&str, &[(f64, u64)])]| series(&timeline, &[1], progress)[0].name.clone();
        assert_eq!(
            names(&[("bob", &[(0.05, 100)]), ("carol", &[])]),
            "wire",
            "one fetcher's word is not all of them's"
        );
        assert_eq!(median_queueing_s(&timeline), 0.005);
        assert_eq!(median_queueing_s(&[]), 0.0);
    }

    #[test]
    fn stalls_are_silences_between_the_first_and_the_last_byte() {
        // In intervals of 50 ms: 2 busy, 5 quiet, 1 busy, 3 quiet, 1 busy, 4 quiet, 1 busy.
        let runs = [(2, 9_000), (5, 60), (1, 500), (3, 0), (1, 9_000), (4, 499), (1, 9_000)];
        let timeline: Vec<Interval> =
            runs.iter().flat_map(|(count, bytes)| std::iter::repeat_n(interval(*bytes, 0, 0), *count)).collect();
        let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
        let all = Stalls::of(&timeline, &[1], 0.0, 0.85);
        assert!(near(all.longest_s, 0.25) && near(all.total_s, 0.45), "{all:?}");
        let spans = Stalls::spans(&timeline, &[1], 0.0, 0.85);
        assert!(spans.len() == 2 && near(spans[0].0, 0.1) && near(spans[0].1, 0.35), "{spans:?}");
        assert!(near(spans[1].0, 0.6) && near(spans[1].1, 0.8), "{spans:?}");
        // What comes before the first byte and after the last is no stall.
        let part = Stalls::of(&timeline, &[1], 0.21, 0.61);
        assert_eq!(part, Stalls::default());
        assert_eq!(Stalls::of(&timeline, &[1], 5.0, 9.0), Stalls::default());
        assert!(near(all.and(all).total_s, 0.9) && near(all.and(part).longest_s, 0.25));
    }
}
