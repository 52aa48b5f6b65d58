//! From a run's record to lanes on one time axis.

use super::rate_limit;
use crate::chart::{Bar, Content, Ink, Lane, Section, Timeline, Trace, timeline};
use longhaul_record::{NatMapping, PathChange, RunRecord, Series, Unit, text};
use std::collections::BTreeMap;

/// More fetchers than this are drawn as the fastest, the middle and the slowest of each moment.
const SINGLE: usize = 8;
/// More hosts or routers than this have no lane for their ways or mappings: the table has them.
const LANES: usize = 6;

/// Runs above each other on one time axis, as the fetchers saw them; with one run its label may be empty. `title` is for
/// those who cannot see it.
pub(crate) fn timelines(title: &str, width: u32, runs: &[(&str, &RunRecord)]) -> String {
    let runs: Vec<Section> = runs.iter().map(|(label, run)| section(label, run)).collect();
    timeline(&Timeline { title, width, runs: &runs })
}

fn section(label: &str, run: &RunRecord) -> Section {
    let own = Ink::of_subject(&run.subject);
    let rates = [trace(run, "wire", "on the wire", Ink::Soft), trace(run, "payload", "payload", own)];
    let throughput = Content::Rate(rates.into_iter().flatten().collect());
    let queue = Content::Level(trace(run, "queue", "queue", Ink::Queue).into_iter().collect());
    let lost = Content::Events(trace(run, "lost", "lost", Ink::Bad).into_iter().collect());
    let mut lanes = vec![Lane { limit: rate_limit(run), ..Lane::new("Throughput", Unit::BitsPerSecond, throughput) }];
    lanes.extend(peers(run));
    lanes.push(Lane::new("Queueing delay at the slowest link", Unit::Seconds, queue));
    lanes.push(Lane::new("Packets lost", Unit::Count, lost));
    lanes.extend(paths(run));
    lanes.extend(mappings(run));
    Section {
        label: label.into(),
        lanes,
        marks: run.changes.iter().map(|change| change.at_ns as f64 / 1e9).collect(),
        stalls: run.stalls.iter().map(|stall| (stall.from_s, stall.until_s)).collect(),
    }
}

fn trace(run: &RunRecord, name: &str, label: &str, ink: Ink) -> Option<Trace> {
    let series = run.series.iter().find(|series| series.name == name && series.peer.is_none())?;
    Some(Trace { label: label.into(), ink, interval_s: interval_s(series), values: series.values.clone() })
}

fn interval_s(series: &Series) -> f64 {
    f64::from(series.interval_ms) / 1000.0
}

/// What each of several fetchers got: a lane each, with one scale; of many the fastest, the middle and the slowest.
fn peers(run: &RunRecord) -> Vec<Lane> {
    let own = Ink::of_subject(&run.subject);
    let each: Vec<(&str, &Series)> = run
        .series
        .iter()
        .filter(|series| series.name == "payload")
        .filter_map(|series| Some((series.peer.as_deref()?, series)))
        .collect();
    if each.len() > SINGLE {
        let series: Vec<&Series> = each.iter().map(|(_, series)| *series).collect();
        let content = Content::Rate(spread(&series, own));
        return vec![Lane::new(format!("Payload of each of {}", each.len()), Unit::BitsPerSecond, content)];
    }
    let lane = |(peer, series): (&str, &Series)| {
        let interval_s = interval_s(series);
        let trace = Trace { label: peer.into(), ink: own, interval_s, values: series.values.clone() };
        let lane = Lane::new(format!("Payload at {peer}"), Unit::BitsPerSecond, Content::Level(vec![trace]));
        Lane { group: "payload at a peer".into(), ..lane }
    };
    each.into_iter().map(lane).collect()
}

/// The largest, the middle and the smallest value of each interval.
fn spread(series: &[&Series], ink: Ink) -> Vec<Trace> {
    let interval_s = series.first().map_or(0.0, |first| interval_s(first));
    let longest = series.iter().map(|series| series.values.len()).max().unwrap_or(0);
    let sorted = |i: usize| {
        let mut values: Vec<f64> = series.iter().filter_map(|series| series.values.get(i).copied()).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let columns: Vec<Vec<f64>> = (0..longest).map(sorted).collect();
    let pick = |label: &str, ink, place: &dyn Fn(usize) -> usize| Trace {
        label: label.into(),
        ink,
        interval_s,
        values: columns.iter().map(|column| column[place(column.len())]).collect(),
    };
    vec![
        pick("fastest", Ink::Soft, &|count| count - 1),
        pick("slowest", Ink::Bad, &|_| 0),
        pick("middle", ink, &|count| count / 2),
    ]
}

/// A lane for each fetcher that had a choice of ways.
fn paths(run: &RunRecord) -> Vec<Lane> {
    let mut hosts: BTreeMap<&str, Vec<&PathChange>> = BTreeMap::new();
    for change in &run.paths {
        hosts.entry(&change.host).or_default().push(change);
    }
    let lane = |(host, changes): (&str, Vec<&PathChange>)| {
        let bar = |(n, change): (usize, &&PathChange)| Bar {
            from: change.at_s,
            to: changes.get(n + 1).map(|next| next.at_s),
            label: change.kind.clone(),
            ink: way_ink(&change.kind),
            detail: format!("{} by {} from {}", change.kind, change.remote, text::seconds(change.at_s)),
        };
        let direct = changes.iter().find(|change| change.kind == "direct");
        let remark = match direct {
            Some(change) => format!("direct after {}", text::trimmed(text::seconds(change.at_s))),
            None => "never direct".into(),
        };
        let bars = changes.iter().enumerate().map(bar).collect();
        Lane { remark: Some(remark), ..Lane::new(format!("Path of {host}"), Unit::Count, Content::Bars(bars)) }
    };
    hosts.into_iter().take(LANES).map(lane).collect()
}

fn way_ink(kind: &str) -> Ink {
    match kind {
        "direct" => Ink::Good,
        "relay" => Ink::Warn,
        _ => Ink::Soft,
    }
}

/// A lane for each router with a NAT that had something to do.
fn mappings(run: &RunRecord) -> Vec<Lane> {
    let mut routers: BTreeMap<&str, Vec<&NatMapping>> = BTreeMap::new();
    for mapping in &run.mappings {
        routers.entry(&mapping.router).or_default().push(mapping);
    }
    let lane = |(router, mappings): (&str, Vec<&NatMapping>)| {
        let bar = |mapping: &&NatMapping| Bar {
            from: mapping.from_s,
            to: mapping.until_s,
            label: format!("{} ↔ {}", mapping.internal, mapping.external),
            ink: Ink::Soft,
            detail: lasted(mapping),
        };
        let ended = mappings.iter().filter(|mapping| mapping.end.is_some()).count();
        let remark = match ended {
            0 => format!("{} made", mappings.len()),
            ended => format!("{} made, {ended} ended", mappings.len()),
        };
        let bars = mappings.iter().map(bar).collect();
        let lane = Lane::new(format!("NAT mappings of {router}"), Unit::Count, Content::Bars(bars));
        Lane { remark: Some(remark), ..lane }
    };
    routers.into_iter().take(LANES).map(lane).collect()
}

/// A mapping in words.
fn lasted(mapping: &NatMapping) -> String {
    let NatMapping { protocol, internal, external, from_s, until_s, end, .. } = mapping;
    let moment = |seconds: f64| text::trimmed(text::seconds(seconds));
    let from = if *from_s < 0.0 { "made before the transfer".into() } else { format!("made at {}", moment(*from_s)) };
    let until = match (until_s, end) {
        (Some(until), Some(end)) => format!("{} at {}", end.as_str(), moment(*until)),
        (Some(until), None) => format!("ended at {}", moment(*until)),
        (None, _) => "there at the end".into(),
    };
    format!("{protocol} {internal} ↔ {external}, {from}, {until}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(values: &[f64]) -> Series {
        Series { name: "payload".into(), peer: None, unit: "bit/s".into(), interval_ms: 50, values: values.into() }
    }

    #[test]
    fn many_peers_are_their_extremes() {
        let all = [series(&[1.0, 5.0]), series(&[2.0]), series(&[3.0, 4.0])];
        let traces = spread(&all.iter().collect::<Vec<_>>(), Ink::Soft);
        let values: Vec<&[f64]> = traces.iter().map(|trace| trace.values.as_slice()).collect();
        assert_eq!(values, [&[3.0, 5.0][..], &[1.0, 4.0], &[2.0, 5.0]]);
        assert!(spread(&[], Ink::Soft).iter().all(|trace| trace.values.is_empty()));
    }
}
