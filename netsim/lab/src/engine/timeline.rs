//! What links see, interval by interval. All threads count from the same moment, so their intervals are the same.

use super::pool::Buffer;
use super::snapshot::{INTERVAL_NS, Interval, LinkInterval};
use netsim_fabric::{Fabric, LinkCounters, LinkId, Time};

/// An interval of a link nobody asks about costs memory: at most this many are kept (10 minutes).
const MAX_INTERVALS: usize = 12_000;

/// The intervals since the start.
#[derive(Debug)]
pub(super) struct Timeline {
    links: Vec<LinkId>,
    closed: Vec<Interval>,
    /// When the open interval ends.
    end: Time,
    /// Each link's counters when it began.
    before: Vec<LinkCounters>,
    /// Each link's longest wait in it, up to the last snapshot.
    peaks_ns: Vec<u64>,
}

impl Timeline {
    pub(super) fn new(links: Vec<LinkId>, start: Time) -> Timeline {
        Timeline {
            closed: Vec::new(),
            end: start + INTERVAL_NS,
            before: vec![LinkCounters::default(); links.len()],
            peaks_ns: vec![0; links.len()],
            links,
        }
    }

    pub(super) fn restart(&mut self, start: Time) {
        *self = Timeline::new(std::mem::take(&mut self.links), start);
    }

    /// When the open interval ends.
    pub(super) fn end(&self) -> Time {
        self.end
    }

    /// Closes the intervals that have ended by `now`.
    pub(super) fn catch_up(&mut self, now: Time, fabric: &mut Fabric<Buffer>) {
        while self.end <= now {
            let interval = self.open_interval(fabric);
            if self.closed.len() < MAX_INTERVALS {
                self.closed.push(interval);
            }
            self.before = self.links.iter().map(|&link| fabric.link_counters(link)).collect();
            self.peaks_ns.fill(0);
            self.end = self.end + INTERVAL_NS;
        }
    }

    /// All intervals, the open one included.
    pub(super) fn so_far(&mut self, fabric: &mut Fabric<Buffer>) -> Vec<Interval> {
        let open = self.open_interval(fabric);
        self.closed.iter().cloned().chain([open]).collect()
    }

    fn open_interval(&mut self, fabric: &mut Fabric<Buffer>) -> Interval {
        let links = self.links.iter().zip(&self.before).zip(&mut self.peaks_ns).map(|((&link, before), peak_ns)| {
            let now = fabric.link_counters(link);
            *peak_ns = fabric.take_peak_queueing_ns(link).max(*peak_ns);
            LinkInterval {
                delivered_bytes: now.delivered_bytes - before.delivered_bytes,
                dropped: now.dropped() - before.dropped(),
                peak_queueing_ns: *peak_ns,
            }
        });
        Interval { links: links.collect() }
    }
}
