//! From what was seen to numbers. Pure.

mod curves;
mod recovery;

use crate::transfer::{FetcherSeen, Lookup};
pub(crate) use curves::{Stalls, median_queueing_s, series};
use longhaul_record::{CrossKind, CrossReport, LinkReport, ProcessReport, Recovery, Role, Sample, text};
use longhaul_scenarios::{Amount, Milestone};
pub(crate) use recovery::{Cut, NoRecovery, Stretch, recovery};
use std::collections::BTreeMap;

/// What the numbers are made of.
pub(crate) struct Facts<'a> {
    pub(crate) fetchers: &'a [FetcherSeen],
    /// What only the providers can count.
    pub(crate) provider_amounts: &'a [BTreeMap<Amount, f64>],
    pub(crate) processes: &'a [ProcessReport],
    pub(crate) network: &'a NetworkFacts<'a>,
    /// The flows beside the transfer.
    pub(crate) cross: &'a [CrossReport],
    /// How the transfer came back from what cut it off.
    pub(crate) recoveries: &'a [Recovery],
}

/// What the network saw.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct NetworkFacts<'a> {
    /// Both directions of the fetchers' access links; `None` where flows beside the transfer start or end there.
    pub(crate) fetchers: Option<Access<'a>>,
    /// What the providers' access links were given; `None` likewise.
    pub(crate) providers_up: Option<&'a [LinkReport]>,
    /// The most that the network could carry from the providers to the fetchers, in bits per second; `None` without a
    /// limit, and where it changed on the way.
    pub(crate) ceiling_bps: Option<u64>,
    /// Longest wait of a packet for any link's turn, in nanoseconds.
    pub(crate) peak_queueing_ns: u64,
    /// The usual one, in seconds.
    pub(crate) median_queueing_s: f64,
}

/// What the fetchers' access links saw.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Access<'a> {
    pub(crate) links: &'a [LinkReport],
    /// IP bytes that were handed to the fetchers.
    pub(crate) delivered_bytes: u64,
    /// Flows the fetchers' hosts sent on.
    pub(crate) flows: u64,
    /// Silences; `None` where it is not known when the transfer began.
    pub(crate) stalls: Option<Stalls>,
}

/// Whose processes are summed up.
const ROLES: [Role; 4] = [Role::Provider, Role::Fetcher, Role::Relay, Role::Node];
/// Bytes of a block, by which messages and packets are counted.
pub(crate) const BLOCK_BYTES: f64 = 262_144.0;
/// Least bytes of IP and transport headers of a packet with payload: IPv4 and TCP without options.
const HEADER_BYTES: u64 = 40;

/// The numbers of a completed and verified transfer.
pub(crate) fn samples(facts: &Facts) -> Vec<Sample> {
    let mut samples = Samples::default();
    if facts.processes.iter().any(|process| process.instructions.is_some()) {
        // Programs whose instructions are counted are slower by far: no time of theirs means anything.
        samples.add_instructions(facts.processes);
        return samples.0;
    }
    let all_bytes: f64 = facts.fetchers.iter().map(|fetcher| fetcher.bytes as f64).sum();
    // Where things are looked up, nothing is transferred.
    let lookups: Vec<Lookup> = facts.fetchers.iter().flat_map(|fetcher| fetcher.lookups.iter().copied()).collect();
    let span = Span::of(facts.fetchers).filter(|_| lookups.is_empty());
    if let Some(span) = &span {
        samples.add("goodput", all_bytes * 8.0 / span.seconds());
        samples.add("transfer_time", span.seconds());
    }
    samples.add_fetchers(facts);
    samples.add("total_time", latest(facts.fetchers, |fetcher| Some(fetcher.ended_s)).unwrap_or(0.0));
    samples.add_some(
        "import_time",
        facts.provider_amounts.iter().filter_map(|own| own.get(&Amount::ImportTime)).copied().reduce(f64::max),
    );
    samples.add_access(facts, all_bytes, span.as_ref());
    samples.add_lookups(facts, &lookups);
    samples.add_surplus(facts, all_bytes);
    samples.add_share(facts, all_bytes, span.as_ref());
    samples.add_recoveries(facts.recoveries);
    samples.add_processes(facts.processes, all_bytes);
    samples.add("peak_queueing_delay", facts.network.peak_queueing_ns as f64 / 1e9);
    samples.add("median_queueing_delay", facts.network.median_queueing_s);
    samples.0
}

/// From the first connection to the last byte of all fetchers.
struct Span {
    connected_s: f64,
    done_s: f64,
}

impl Span {
    /// `None` if one of them did not say when it was connected, or no time passed.
    fn of(fetchers: &[FetcherSeen]) -> Option<Span> {
        let connected = fetchers.iter().map(|fetcher| fetcher.milestones.get(&Milestone::Connected).copied());
        let connected_s = connected.collect::<Option<Vec<f64>>>()?.into_iter().reduce(f64::min)?;
        let done_s = latest(fetchers, |fetcher| Some(done_s(fetcher)))?;
        Some(Span { connected_s, done_s }).filter(|span| span.seconds() > 0.0)
    }

    fn seconds(&self) -> f64 {
        self.done_s - self.connected_s
    }
}

/// Without the subject's own word the transfer ends with its process.
pub(crate) fn done_s(fetcher: &FetcherSeen) -> f64 {
    fetcher.milestones.get(&Milestone::Done).copied().unwrap_or(fetcher.ended_s)
}

/// The latest of all fetchers, if all have it.
fn latest(fetchers: &[FetcherSeen], at: impl Fn(&FetcherSeen) -> Option<f64>) -> Option<f64> {
    fetchers.iter().map(at).collect::<Option<Vec<f64>>>()?.into_iter().reduce(f64::max)
}

/// R. Jain, D. Chiu, W. Hawe, "A Quantitative Measure of Fairness", DEC-TR-301, 1984: 1 when all get the same, 1/n when one
/// gets everything.
fn jain(rates: &[f64]) -> f64 {
    let (sum, squares) = rates.iter().fold((0.0, 0.0), |(sum, squares), rate| (sum + rate, squares + rate * rate));
    sum * sum / (rates.len() as f64 * squares)
}

/// Of sorted values.
fn median(sorted: &[f64]) -> Option<f64> {
    let upper = *sorted.get(sorted.len() / 2)?;
    Some(if sorted.len() % 2 == 1 { upper } else { f64::midpoint(sorted[sorted.len() / 2 - 1], upper) })
}

#[derive(Default)]
struct Samples(Vec<Sample>);

impl Samples {
    /// Moments, of the slowest fetcher; and what tells fetchers apart.
    fn add_fetchers(&mut self, facts: &Facts) {
        let since_start = |milestone: Milestone| {
            latest(facts.fetchers, |fetcher| Some(fetcher.milestones.get(&milestone)? - fetcher.started_s))
        };
        self.add_some("setup_time", since_start(Milestone::Connected));
        self.add_some("time_to_first_byte", since_start(Milestone::FirstByte));
        self.add_some("time_to_direct", since_start(Milestone::Direct));
        let sum = |amount| facts.fetchers.iter().map(|f| f.amounts.get(&amount).copied()).sum::<Option<f64>>();
        self.add_some("direct_bytes", sum(Amount::DirectBytes));
        self.add_some("relayed_bytes", sum(Amount::RelayedBytes));
        let blocks = facts.fetchers.iter().map(|f| (f.bytes as f64 / BLOCK_BYTES).ceil()).sum::<f64>();
        if blocks > 0.0 {
            self.add_some("messages_per_block", sum(Amount::Messages).map(|messages| messages / blocks));
        }
        if facts.fetchers.len() < 2 {
            return;
        }
        let goodput = |fetcher: &FetcherSeen| {
            let span = Span::of(std::slice::from_ref(fetcher))?;
            Some(fetcher.bytes as f64 * 8.0 / span.seconds())
        };
        if let Some(rates) = facts.fetchers.iter().map(goodput).collect::<Option<Vec<f64>>>() {
            for (fetcher, rate) in facts.fetchers.iter().zip(&rates) {
                self.0.push(Sample { metric: "goodput".into(), peer: Some(fetcher.host.clone()), value: *rate });
            }
            if rates.iter().any(|rate| *rate > 0.0) {
                self.add("fairness", jain(&rates));
            }
        }
    }

    /// What the fetchers' access links saw.
    fn add_access(&mut self, facts: &Facts, all_bytes: f64, span: Option<&Span>) {
        let Some(access) = facts.network.fetchers else { return };
        let wire_bytes: u64 = access.links.iter().map(|link| link.bytes).sum();
        let packets: u64 = access.links.iter().map(|link| link.packets).sum();
        self.add("wire_bytes", wire_bytes as f64);
        self.add("wire_packets", packets as f64);
        if all_bytes > 0.0 {
            self.add("wire_overhead", wire_bytes as f64 / all_bytes);
            self.add("packets_per_block", packets as f64 / (all_bytes / BLOCK_BYTES).ceil());
        }
        self.add("flows", access.flows as f64);
        if let Some(stalls) = access.stalls.filter(|_| all_bytes > 0.0) {
            self.add("longest_stall", stalls.longest_s);
            self.add("stall_time", stalls.total_s);
        }
        if let (Some(ceiling), Some(span)) = (facts.network.ceiling_bps, span) {
            self.add("utilisation", access.delivered_bytes as f64 * 8.0 / (ceiling as f64 * span.seconds()));
        }
    }

    /// How fast and at what cost things were found.
    fn add_lookups(&mut self, facts: &Facts, lookups: &[Lookup]) {
        if lookups.is_empty() {
            return;
        }
        let count = lookups.len() as f64;
        let mut found: Vec<f64> = lookups.iter().filter_map(|lookup| lookup.seconds).collect();
        found.sort_by(f64::total_cmp);
        self.add_some("lookup_time", median(&found));
        // The nearest rank: the least that so many do not exceed.
        let rank = (found.len() * 95).div_ceil(100);
        self.add_some("lookup_time_p95", rank.checked_sub(1).map(|rank| found[rank]));
        self.add("lookup_success", found.len() as f64 / count);
        let messages = lookups.iter().map(|lookup| lookup.messages).sum::<Option<u64>>();
        self.add_some("lookup_messages", messages.map(|messages| messages as f64 / count));
        let packets = |access: Access| access.links.iter().map(|link| link.packets).sum::<u64>() as f64;
        self.add_some("lookup_packets", facts.network.fetchers.map(|access| packets(access) / count));
    }

    /// What the providers sent beyond what had to be sent.
    fn add_surplus(&mut self, facts: &Facts, all_bytes: f64) {
        let Some(links) = facts.network.providers_up.filter(|_| all_bytes > 0.0) else { return };
        let carried: u64 = links.iter().map(|link| link.bytes.saturating_sub(link.packets * HEADER_BYTES)).sum();
        self.add("retransmission_estimate", (carried as f64 / all_bytes - 1.0).max(0.0));
    }

    /// How the transfer fared beside TCP.
    fn add_share(&mut self, facts: &Facts, all_bytes: f64, span: Option<&Span>) {
        let rivals = facts.cross.iter().filter(|flow| matches!(flow.kind, CrossKind::Tcp { .. }));
        let rivals: Vec<f64> = rivals.map(|flow| flow.goodput_bps).collect();
        if let (false, Some(span)) = (rivals.is_empty(), span) {
            let own = all_bytes * 8.0 / span.seconds();
            self.add("goodput_share", own / (own + rivals.iter().sum::<f64>()));
        }
    }

    /// Each disturbance's, and the longest where all have one: without the rest it would be another thing in every run.
    fn add_recoveries(&mut self, recoveries: &[Recovery]) {
        for recovery in recoveries {
            let peer = format!("at {}", text::trimmed(text::nanoseconds(recovery.from_ns)));
            let sample = |value| Sample { metric: "recovery_time".into(), peer: Some(peer.clone()), value };
            self.0.extend(recovery.seconds.map(sample));
        }
        let each: Option<Vec<f64>> = recoveries.iter().map(|recovery| recovery.seconds).collect();
        self.add_some("recovery_time", each.and_then(|each| each.into_iter().reduce(f64::max)));
    }

    /// What each side used: times and counts of all its processes, and the largest one's memory.
    fn add_processes(&mut self, processes: &[ProcessReport], all_bytes: f64) {
        const GIB: f64 = 1_073_741_824.0;
        for role in ROLES {
            let own: Vec<&ProcessReport> = processes.iter().filter(|process| process.role == role).collect();
            if own.is_empty() {
                continue;
            }
            let cpu_s: f64 = own.iter().map(|process| process.cpu_user_s + process.cpu_system_s).sum();
            self.add_for(role, "cpu_seconds", cpu_s);
            if all_bytes > 0.0 {
                self.add_for(role, "cpu_per_gib", cpu_s * GIB / all_bytes);
            }
            let rss = own.iter().map(|process| process.peak_rss_bytes).max().unwrap_or(0);
            self.add_for(role, "peak_rss", rss as f64);
            let switches: u64 = own.iter().map(|process| process.context_switches).sum();
            self.add_for(role, "context_switches", switches as f64);
        }
    }

    /// Of each side, unless one of its processes left no count.
    fn add_instructions(&mut self, processes: &[ProcessReport]) {
        for role in ROLES {
            let own = processes.iter().filter(|process| process.role == role);
            match own.map(|process| process.instructions).sum::<Option<u64>>() {
                Some(count) if count > 0 => self.add_for(role, "instructions", count as f64),
                _ => {}
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_record::ExitState;

    fn link(bytes: u64, packets: u64) -> LinkReport {
        LinkReport { bytes, packets, ..LinkReport::default() }
    }

    fn fetcher(host: &str, bytes: u64, started_s: f64, milestones: &[(Milestone, f64)], ended_s: f64) -> FetcherSeen {
        let milestones = milestones.iter().copied().collect();
        FetcherSeen { host: host.into(), bytes, started_s, ended_s, milestones, ..FetcherSeen::default() }
    }

    fn process(role: Role, cpu_user_s: f64, peak_rss_bytes: u64, context_switches: u64) -> ProcessReport {
        ProcessReport {
            role,
            host: "h".into(),
            command: Vec::new(),
            exit: ExitState::Code(0),
            cpu_user_s,
            cpu_system_s: 0.0,
            peak_rss_bytes,
            context_switches,
            instructions: None,
            stderr_tail: String::new(),
        }
    }

    fn facts<'a>(fetchers: &'a [FetcherSeen], network: &'a NetworkFacts<'a>) -> Facts<'a> {
        Facts { fetchers, provider_amounts: &[], processes: &[], network, cross: &[], recoveries: &[] }
    }

    /// All numbers, as `metric` or `metric peer`.
    fn named(facts: &Facts) -> BTreeMap<String, f64> {
        let name = |sample: &Sample| sample.peer.iter().fold(sample.metric.clone(), |name, peer| name + " " + peer);
        samples(facts).into_iter().map(|sample| (name(&sample), sample.value)).collect()
    }

    fn table<const N: usize>(rows: [(&str, f64); N]) -> BTreeMap<String, f64> {
        rows.map(|(name, value)| (name.to_owned(), value)).into()
    }

    #[test]
    fn lookups_are_counted_found_or_not() {
        let lookup = |seconds, messages| Lookup { seconds, messages };
        let of = |lookups: &[Lookup]| {
            let moments = [(Milestone::Connected, 0.5), (Milestone::Done, 9.0)];
            let fetchers = [FetcherSeen { lookups: lookups.to_vec(), ..fetcher("bob", 0, 0.0, &moments, 9.5) }];
            let links = [link(4000, 60), link(2000, 40)];
            let stalls = Some(Stalls { longest_s: 0.25, total_s: 0.5 });
            let access = Access { links: &links, delivered_bytes: 2000, flows: 7, stalls };
            named(&facts(&fetchers, &NetworkFacts { fetchers: Some(access), ..NetworkFacts::default() }))
        };
        let times = [0.4, 0.1, 0.3, 0.2].map(|seconds| lookup(Some(seconds), Some(8)));
        let expect = table([
            ("setup_time", 0.5),
            ("total_time", 9.5),
            ("wire_bytes", 6000.0),
            ("wire_packets", 100.0),
            ("flows", 7.0),
            ("lookup_time", 0.25),
            ("lookup_time_p95", 0.4),
            ("lookup_success", 0.8),
            ("lookup_messages", 10.0),
            ("lookup_packets", 20.0),
            ("peak_queueing_delay", 0.0),
            ("median_queueing_delay", 0.0),
        ]);
        assert_eq!(of(&[&times[..], &[lookup(None, Some(18))]].concat()), expect);
        // Who does not count every lookup's messages has no mean; where nobody is found there is no time.
        let none = of(&[lookup(None, Some(4)), lookup(None, None)]);
        assert_eq!((none.get("lookup_success"), none.get("lookup_time")), (Some(&0.0), None));
        assert_eq!((none.get("lookup_time_p95"), none.get("lookup_messages")), (None, None));
        let twenty: Vec<Lookup> = (1..=20).map(|n| lookup(Some(f64::from(n)), None)).collect();
        let twenty = of(&twenty);
        assert_eq!((twenty["lookup_time"], twenty["lookup_time_p95"]), (10.5, 19.0));
    }

    #[test]
    fn numbers_follow_their_definitions() {
        let moments = [(Milestone::Connected, 0.5), (Milestone::FirstByte, 0.6), (Milestone::Done, 2.5)];
        let fetchers = [fetcher("bob", 400, 0.0, &moments, 2.6)];
        let (links, up) = ([link(900, 3), link(100, 2)], [link(650, 5)]);
        let stalls = Some(Stalls { longest_s: 0.25, total_s: 0.5 });
        let network = NetworkFacts {
            fetchers: Some(Access { links: &links, delivered_bytes: 850, flows: 1, stalls }),
            providers_up: Some(&up),
            ceiling_bps: Some(6_800),
            peak_queueing_ns: 7_000_000,
            median_queueing_s: 0.002,
        };
        let expect = table([
            ("goodput", 1600.0),
            ("transfer_time", 2.0),
            ("setup_time", 0.5),
            ("time_to_first_byte", 0.6),
            ("total_time", 2.6),
            ("wire_bytes", 1000.0),
            ("wire_packets", 5.0),
            ("wire_overhead", 2.5),
            ("packets_per_block", 5.0),
            ("flows", 1.0),
            ("longest_stall", 0.25),
            ("stall_time", 0.5),
            ("utilisation", 0.5),
            ("retransmission_estimate", 0.125),
            ("peak_queueing_delay", 0.007),
            ("median_queueing_delay", 0.002),
        ]);
        assert_eq!(named(&facts(&fetchers, &network)), expect);
        // Nothing that is not the subject's alone.
        let shared = named(&facts(&fetchers, &NetworkFacts { peak_queueing_ns: 7_000_000, ..NetworkFacts::default() }));
        let expect = ["goodput", "median_queueing_delay", "peak_queueing_delay", "setup_time", "time_to_first_byte"];
        assert_eq!(shared.keys().collect::<Vec<_>>(), [&expect[..], &["total_time", "transfer_time"]].concat());
    }

    #[test]
    fn each_disturbance_has_its_recovery_and_all_have_one_if_none_lacks_it() {
        let recovery = |from_ns, seconds: Option<f64>| Recovery {
            from_ns,
            until_ns: from_ns,
            what: String::new(),
            seconds,
            note: None,
        };
        let of = |recoveries: &[Recovery]| {
            let network = NetworkFacts::default();
            let mut got = named(&Facts { recoveries, ..facts(&[], &network) });
            got.retain(|name, _| name.starts_with("recovery_time"));
            got
        };
        let (first, second) = (recovery(1_500_000_000, Some(0.4)), recovery(3_000_000_000, Some(0.1)));
        let each = [("recovery_time at 1.5 s", 0.4), ("recovery_time at 3 s", 0.1), ("recovery_time", 0.4)];
        assert_eq!(of(&[first.clone(), second]), table(each));
        assert_eq!(of(&[first, recovery(3_000_000_000, None)]), table([each[0]]));
        assert_eq!(of(&[]), BTreeMap::new());
    }

    #[test]
    fn several_fetchers_are_one_transfer_from_the_first_connection_to_the_last_byte() {
        let fetchers = [
            fetcher("a", 1000, 0.0, &[(Milestone::Connected, 1.0), (Milestone::Done, 3.0)], 3.1),
            fetcher("b", 1000, 0.5, &[(Milestone::Connected, 2.0), (Milestone::Done, 3.0)], 5.0),
        ];
        let got = named(&facts(&fetchers, &NetworkFacts::default()));
        assert_eq!((got["goodput"], got["transfer_time"], got["total_time"]), (8000.0, 2.0, 5.0));
        assert_eq!((got["goodput a"], got["goodput b"]), (4000.0, 8000.0));
        assert_eq!(got["setup_time"], 1.5, "the slowest one's, from its own start");
        assert!((got["fairness"] - 0.9).abs() < 1e-12);
        assert_eq!((jain(&[1.0, 1.0, 1.0]), jain(&[3.0, 0.0, 0.0])), (1.0, 1.0 / 3.0));
    }

    #[test]
    fn without_the_subjects_word_the_process_end_counts_and_nothing_is_invented() {
        let network = NetworkFacts::default();
        let fetchers = [fetcher("bob", 0, 0.0, &[(Milestone::Connected, 0.6)], 2.6)];
        let got = named(&facts(&fetchers, &network));
        assert_eq!(got["transfer_time"], 2.0);
        assert!(!got.contains_key("time_to_first_byte") && !got.contains_key("wire_overhead"));
        let blind = [fetcher("bob", 0, 0.0, &[], 2.6)];
        assert!(!named(&facts(&blind, &network)).contains_key("goodput"));
    }

    #[test]
    fn sides_and_their_own_words_are_summed_up() {
        let network = NetworkFacts::default();
        let mut bob = fetcher(
            "bob",
            524_288,
            0.0,
            &[(Milestone::Connected, 0.0), (Milestone::Direct, 0.3), (Milestone::Done, 1.0)],
            1.0,
        );
        bob.amounts = [(Amount::Messages, 6.0), (Amount::DirectBytes, 400.0), (Amount::RelayedBytes, 50.0)].into();
        let fetchers = [bob];
        let imports = [BTreeMap::from([(Amount::ImportTime, 0.5)]), BTreeMap::from([(Amount::ImportTime, 0.75)])];
        let processes = [
            process(Role::Provider, 2.0, 100, 7),
            process(Role::Fetcher, 1.0, 50, 1),
            process(Role::Fetcher, 0.5, 70, 2),
        ];
        let tcp = CrossReport {
            kind: CrossKind::Tcp { congestion: "cubic".into() },
            from: "a".into(),
            to: "b".into(),
            asked_start_ns: 0,
            asked_stop_ns: None,
            started_ns: Some(0),
            stopped_ns: None,
            sent_bytes: 0,
            received_bytes: 0,
            lost_packets: 0,
            goodput_bps: 3.0 * 8.0 * 524_288.0,
            failure: None,
        };
        let facts =
            Facts { provider_amounts: &imports, processes: &processes, cross: &[tcp], ..facts(&fetchers, &network) };
        let got = named(&facts);
        let expect = table([
            ("import_time", 0.75),
            ("messages_per_block", 3.0),
            ("direct_bytes", 400.0),
            ("relayed_bytes", 50.0),
            ("time_to_direct", 0.3),
            ("goodput_share", 0.25),
            ("cpu_seconds provider", 2.0),
            ("cpu_seconds fetcher", 1.5),
            ("cpu_per_gib fetcher", 3072.0),
            ("peak_rss fetcher", 70.0),
            ("context_switches fetcher", 3.0),
        ]);
        for (name, value) in expect {
            assert_eq!(got.get(&name), Some(&value), "{name}");
        }
    }
}
