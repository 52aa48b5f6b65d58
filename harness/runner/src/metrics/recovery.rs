//! How a transfer came back from what cut it off. Pure.

use super::curves::Stalls;
use netsim_lab::{INTERVAL_NS, Interval};

/// One fetcher's part of the transfer, on the network's clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stretch<'a> {
    pub(crate) timeline: &'a [Interval],
    /// The places of the fetcher's incoming links in the intervals.
    pub(crate) down: &'a [usize],
    /// Its first byte, in seconds; `None` if that is not known.
    pub(crate) first_s: Option<f64>,
    /// Its last.
    pub(crate) last_s: f64,
}

/// What is to be recovered from, in seconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cut {
    pub(crate) from_s: f64,
    pub(crate) until_s: f64,
    /// When the next one begins.
    pub(crate) next_s: f64,
}

/// Why there is no number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoRecovery {
    /// The transfer had not begun.
    NotBegun,
    /// It is not known when it began.
    Unknown,
    /// It was over.
    Ended,
    /// Other traffic comes by the fetcher's link too.
    Shared,
}

impl NoRecovery {
    /// For people.
    pub(crate) fn words(self) -> &'static str {
        match self {
            NoRecovery::NotBegun => "payload was not flowing yet",
            NoRecovery::Unknown => "the subject does not say when payload began to flow",
            NoRecovery::Shared => "other traffic comes by the fetcher's link too",
            NoRecovery::Ended => "the transfer had ended by then",
        }
    }
}

/// What is on its way when it happens still arrives: a silence may begin so much later, in seconds.
const AFTERMATH_S: f64 = 1.0;
/// So many intervals have to bring so much: probes of a path are less, any transfer that goes on is more.
const AHEAD: usize = 10;
const FLOW_BYTES: u64 = 10_000;

impl Stretch<'_> {
    /// Seconds from the cut's end to the end of the last silence that it can have caused; 0 without one.
    pub(crate) fn recovery(&self, cut: Cut) -> Result<f64, NoRecovery> {
        let first_s = self.first_s.ok_or(NoRecovery::Unknown)?;
        // It may have ended while it was cut off, with what was still on its way.
        if self.last_s <= cut.until_s {
            return Err(NoRecovery::Ended);
        }
        if cut.from_s < first_s {
            return Err(NoRecovery::NotBegun);
        }
        let latest = (cut.until_s + AFTERMATH_S).min(cut.next_s);
        let caused = |silence: &(f64, f64)| silence.0 < latest && silence.1 > cut.from_s;
        let last = self.silences(first_s).into_iter().rfind(caused);
        // In whole nanoseconds, as moments are: what binary fractions leave over is no time.
        let seconds = last.map_or(0.0, |(_, end_s)| (end_s - cut.until_s).max(0.0));
        Ok((seconds * 1e9).round() / 1e9)
    }

    /// Beginnings and ends of the silences.
    fn silences(&self, first_s: f64) -> Vec<(f64, f64)> {
        let interval_s = INTERVAL_NS as f64 / 1e9;
        let (from, to) = ((first_s / interval_s).floor() as usize, (self.last_s / interval_s).ceil() as usize);
        let during = self.timeline.get(from..to.min(self.timeline.len())).unwrap_or_default();
        let bytes: Vec<u64> = during.iter().map(|interval| self.delivered(interval)).collect();
        let flows = |n: usize| {
            let ahead = bytes.get(n..n + AHEAD);
            bytes[n] >= Stalls::QUIET_BYTES && ahead.is_none_or(|next| next.iter().sum::<u64>() >= FLOW_BYTES)
        };
        let flows: Vec<bool> = (0..bytes.len()).map(flows).collect();
        let mut silences = Vec::new();
        let mut at = from;
        for run in flows.chunk_by(|a, b| a == b) {
            if !run[0] && run.len() >= Stalls::LEAST {
                let end_s = (at + run.len()) as f64 * interval_s;
                silences.push((at as f64 * interval_s, end_s.min(self.last_s)));
            }
            at += run.len();
        }
        silences
    }

    fn delivered(&self, interval: &Interval) -> u64 {
        self.down.iter().filter_map(|link| interval.links.get(*link)).map(|link| link.delivered_bytes).sum()
    }
}

/// Of all fetchers that were in the middle of it, the slowest one's; if none was, why the first was not.
pub(crate) fn recovery(fetchers: &[Stretch], cut: Cut) -> Result<f64, NoRecovery> {
    let each: Vec<Result<f64, NoRecovery>> = fetchers.iter().map(|one| one.recovery(cut)).collect();
    let slowest = each.iter().filter_map(|one| one.ok()).reduce(f64::max);
    slowest.ok_or_else(|| each.into_iter().find_map(Result::err).unwrap_or(NoRecovery::Unknown))
}

#[cfg(test)]
mod tests {
    use super::*;
    use netsim_lab::LinkInterval;

    /// Intervals of 50 ms, as so many with so many bytes each.
    fn timeline(runs: &[(usize, u64)]) -> Vec<Interval> {
        let one =
            |bytes: u64| Interval { links: vec![LinkInterval { delivered_bytes: bytes, ..LinkInterval::default() }] };
        runs.iter().flat_map(|(count, bytes)| std::iter::repeat_n(one(*bytes), *count)).collect()
    }

    const BUSY: u64 = 60_000;

    fn cut(from_s: f64, until_s: f64) -> Cut {
        Cut { from_s, until_s, next_s: f64::INFINITY }
    }

    #[track_caller]
    fn check(runs: &[(usize, u64)], cut: Cut, expect: Result<f64, NoRecovery>) {
        let timeline = timeline(runs);
        let last_s = timeline.len() as f64 * 0.05;
        let stretch = Stretch { timeline: &timeline, down: &[0], first_s: Some(0.1), last_s };
        match (stretch.recovery(cut), expect) {
            (Ok(got), Ok(expect)) => assert!((got - expect).abs() < 1e-9, "{got} is not {expect}"),
            (got, expect) => assert_eq!(got, expect),
        }
    }

    #[test]
    fn recovery_is_from_the_end_of_the_cut_to_the_end_of_its_silence() {
        // Dead from 1 s to 3 s; back at 3.35 s.
        check(&[(20, BUSY), (47, 0), (20, BUSY)], cut(1.0, 3.0), Ok(0.35));
        // A reboot at 1 s; what was on its way flows until 1.4 s, and again from 2 s on.
        check(&[(28, BUSY), (12, 0), (20, BUSY)], cut(1.0, 1.0), Ok(1.0));
        // It never ceased; and silences of less than 200 ms are a slow link's manner.
        check(&[(60, BUSY)], cut(1.0, 1.0), Ok(0.0));
        check(&[(20, BUSY), (3, 0), (20, BUSY)], cut(1.0, 1.0), Ok(0.0));
        // Back by another way before it is over.
        check(&[(20, BUSY), (10, 0), (60, BUSY)], cut(1.0, 3.0), Ok(0.0));
    }

    #[test]
    fn a_packet_is_not_a_flow() {
        // A probe at 1.5 s, another at 2 s; payload from 2.5 s on.
        let probes = [(20, BUSY), (10, 0), (1, 1_200), (9, 0), (1, 1_200), (9, 60), (20, BUSY)];
        check(&probes, cut(1.0, 1.0), Ok(1.5));
        // One that payload follows at once is its beginning, not one that another silence follows.
        check(&[(20, BUSY), (10, 0), (1, 1_200), (3, 0), (20, BUSY)], cut(1.0, 1.0), Ok(0.5));
        check(&[(20, BUSY), (10, 0), (1, 1_200), (8, 0), (20, BUSY)], cut(1.0, 1.0), Ok(0.95));
        // The last packets of a transfer need nothing after them.
        check(&[(20, BUSY), (10, 0), (2, 3_000)], cut(1.0, 1.0), Ok(0.5));
        // A slow link is no silence: 160 kbit/s.
        check(&[(90, 1_000)], cut(1.0, 1.0), Ok(0.0));
    }

    #[test]
    fn a_silence_counts_for_what_caused_it() {
        let runs = [(20, BUSY), (10, 0), (20, BUSY), (10, 0), (40, BUSY), (10, 0), (20, BUSY)];
        // At 1 s and at 2.5 s; the silence at 5 s is somebody else's.
        check(&runs, Cut { from_s: 1.0, until_s: 1.0, next_s: 2.5 }, Ok(0.5));
        check(&runs, cut(2.5, 2.5), Ok(0.5));
        check(&runs, cut(3.5, 3.5), Ok(0.0));
        // One silence over two: each counts from its own end.
        let long = [(20, BUSY), (40, 0), (20, BUSY)];
        check(&long, Cut { from_s: 1.0, until_s: 1.5, next_s: 2.0 }, Ok(1.5));
        check(&long, cut(2.0, 2.5), Ok(0.5));
        // Two within a second: until it flows for good.
        check(&[(20, BUSY), (6, 0), (6, BUSY), (6, 0), (20, BUSY)], cut(1.0, 1.0), Ok(0.9));
    }

    #[test]
    fn what_was_not_cut_off_has_no_number() {
        let runs = [(40, BUSY)];
        check(&runs, cut(2.0, 2.0), Err(NoRecovery::Ended));
        check(&runs, cut(1.5, 4.0), Err(NoRecovery::Ended));
        check(&runs, cut(0.05, 0.05), Err(NoRecovery::NotBegun));
        let timeline = timeline(&[(20, BUSY), (10, 0), (30, BUSY)]);
        let of = |first_s, last_s| Stretch { timeline: &timeline, down: &[0], first_s, last_s };
        assert_eq!(of(None, 3.0).recovery(cut(1.0, 1.0)), Err(NoRecovery::Unknown));
        // Of several fetchers, those that were in the middle of it.
        let near = |got: Result<f64, NoRecovery>| got.is_ok_and(|got| (got - 0.5).abs() < 1e-9);
        assert!(near(recovery(&[of(Some(0.0), 0.9), of(Some(0.0), 3.0)], cut(1.0, 1.0))));
        assert_eq!(recovery(&[of(Some(0.0), 0.9), of(None, 3.0)], cut(1.0, 1.0)), Err(NoRecovery::Ended));
        assert_eq!(recovery(&[], cut(1.0, 1.0)), Err(NoRecovery::Unknown));
    }
}
