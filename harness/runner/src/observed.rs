//! What the network saw of a transfer's ends.

use crate::metrics::{self, Access, Cut, NoRecovery, Stalls, Stretch};
use crate::transfer::{FetcherSeen, Seen};
use longhaul_record::{LinkReport, MAX_HAPPENINGS, Recovery, Series, Stall};
use longhaul_scenarios::{Disturbance, Milestone, Scenario};
use netsim_lab::Lab;
use netsim_topology::{Direction, LinkName, ceiling_bps};
use std::num::NonZeroU64;

/// Whether a flow beside the transfer starts or ends at one of the hosts.
pub(crate) fn crossed(scenario: &Scenario, hosts: &[String]) -> bool {
    scenario.cross.iter().any(|flow| hosts.contains(&flow.from) || hosts.contains(&flow.to))
}

/// The most that the network could carry, where nothing happened to it on the way.
pub(crate) fn ceiling(scenario: &Scenario) -> Option<u64> {
    let [from, to] =
        [&scenario.roles.providers, &scenario.roles.fetchers].map(|hosts| hosts.iter().map(String::as_str).collect());
    let (from, to): (Vec<&str>, Vec<&str>) = (from, to);
    let steady = scenario.timeline.is_empty().then(|| ceiling_bps(&scenario.topology, &from, &to));
    steady.flatten().map(NonZeroU64::get)
}

/// What the network saw of the fetchers.
pub(crate) struct Fetchers<'a> {
    lab: &'a Lab,
    seen: &'a Seen,
    /// The places of each one's incoming links in the network's lists.
    down: Vec<Vec<usize>>,
}

impl<'a> Fetchers<'a> {
    pub(crate) fn new(lab: &'a Lab, scenario: &Scenario, seen: &'a Seen) -> Fetchers<'a> {
        let index = |link: String| lab.link_index(&LinkName { link, direction: Direction::Down });
        let down = |host: &String| {
            let names = access_links(scenario, std::slice::from_ref(host));
            names.into_iter().filter_map(index).collect()
        };
        Fetchers { lab, seen, down: scenario.roles.fetchers.iter().map(down).collect() }
    }

    pub(crate) fn series(&self) -> Vec<Series> {
        let word = |one: &'a FetcherSeen| (one.host.as_str(), one.progress.as_slice());
        let progress: Vec<(&str, &[(f64, u64)])> = self.seen.fetchers.iter().map(word).collect();
        metrics::series(&self.seen.snapshot.timeline, &self.down.concat(), &progress)
    }

    pub(crate) fn access(&self, links: &'a [LinkReport]) -> Access<'a> {
        let timeline = &self.seen.snapshot.timeline;
        let intervals =
            timeline.iter().flat_map(|interval| self.down.iter().flatten().filter_map(|n| interval.links.get(*n)));
        let hosts = self.seen.fetchers.iter().filter_map(|fetcher| self.lab.host(&fetcher.host).ok());
        Access {
            links,
            delivered_bytes: intervals.map(|link| link.delivered_bytes).sum(),
            flows: hosts.map(|host| self.lab.flows(&self.seen.snapshot, host)).sum(),
            stalls: self.stalls(),
        }
    }

    /// How the transfer came back from each of the scenario's disturbances.
    pub(crate) fn recoveries(&self, scenario: &Scenario) -> Vec<Recovery> {
        let stretch = |(fetcher, down)| Stretch {
            timeline: &self.seen.snapshot.timeline,
            down,
            first_s: first(fetcher),
            last_s: metrics::done_s(fetcher),
        };
        let fetchers: Vec<Stretch> =
            self.seen.fetchers.iter().zip(self.down.iter().map(Vec::as_slice)).map(stretch).collect();
        let shared = crossed(scenario, &scenario.roles.fetchers);
        let disturbances = scenario.disturbances();
        let seconds = |ns: u64| ns as f64 / 1e9;
        let next = |n: usize| disturbances.get(n + 1).map_or(f64::INFINITY, |next| seconds(next.from_ns));
        let of = |(n, Disturbance { from_ns, until_ns, what }): (usize, &Disturbance)| {
            let cut = Cut { from_s: seconds(*from_ns), until_s: seconds(*until_ns), next_s: next(n) };
            let found = if shared { Err(NoRecovery::Shared) } else { metrics::recovery(&fetchers, cut) };
            let note = found.err().map(|reason| reason.words().to_owned());
            Recovery { from_ns: *from_ns, until_ns: *until_ns, what: what.clone(), seconds: found.ok(), note }
        };
        disturbances.iter().enumerate().map(of).collect()
    }

    /// Every fetcher's silences, from its first byte to its last, or to the end of what did not come so far.
    pub(crate) fn stalls_each(&self) -> Vec<Stall> {
        let timeline = &self.seen.snapshot.timeline;
        let of = |(fetcher, down): (&FetcherSeen, &Vec<usize>)| {
            let done = Some(metrics::done_s(fetcher)).filter(|done| *done > 0.0).unwrap_or(f64::INFINITY);
            let spans = first(fetcher).map(|first| Stalls::spans(timeline, down, first, done)).unwrap_or_default();
            let stall = |(from_s, until_s)| Stall { host: fetcher.host.clone(), from_s, until_s };
            spans.into_iter().map(stall).collect::<Vec<_>>()
        };
        let mut all: Vec<Stall> = self.seen.fetchers.iter().zip(&self.down).flat_map(of).collect();
        all.sort_by(|a, b| a.from_s.total_cmp(&b.from_s));
        all.truncate(MAX_HAPPENINGS);
        all
    }

    fn stalls(&self) -> Option<Stalls> {
        let of = |(fetcher, down): (&FetcherSeen, &Vec<usize>)| {
            Some(Stalls::of(&self.seen.snapshot.timeline, down, first(fetcher)?, metrics::done_s(fetcher)))
        };
        let each = self.seen.fetchers.iter().zip(&self.down).map(of).collect::<Option<Vec<Stalls>>>()?;
        each.into_iter().reduce(Stalls::and)
    }
}

/// When a fetcher's payload began to come.
fn first(fetcher: &FetcherSeen) -> Option<f64> {
    let moments = [Milestone::FirstByte, Milestone::Connected];
    moments.into_iter().find_map(|moment| fetcher.milestones.get(&moment).copied())
}

/// The access links of some hosts: one for each of their interfaces.
pub(crate) fn access_links(scenario: &Scenario, hosts: &[String]) -> Vec<String> {
    let hosts = scenario.topology.hosts.iter().filter(|host| hosts.contains(&host.name));
    hosts.flat_map(|host| host.interfaces.iter().map(|interface| host.link_name(interface))).collect()
}
