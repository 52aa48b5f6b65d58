//! The overview: what got worse, can the newest measurements be used, and what do they say?

use super::matrix::{matrices, pair_of};
use super::{BASELINE, Frame};
use crate::chart::{Ink, Mood, Spark, bar, spark};
use crate::html::{
    badge, commit, commit_link, commit_text, glue, listed, outcome, outcome_words, plural, subject, svg, time,
};
use longhaul_record::{Alert, Outcome, Unit, metric, text};
use longhaul_store::{Commit, ComparisonSummary, OverviewRow, Recent, RunSummary, Tally};
use maud::{Markup, html};

/// What the page shows.
pub(crate) struct Overview {
    /// What is around it.
    pub(crate) frame: Frame,
    /// Ordered by scenario, then subject.
    pub(crate) rows: Vec<OverviewRow>,
    /// Likewise, of what only runs have that found a direct way; of pairs of routers.
    pub(crate) direct: Vec<OverviewRow>,
    /// What got worse on this machine, whatever became of it.
    pub(crate) alerts: Vec<Alert>,
    /// The commits that these may be of.
    pub(crate) commits: Vec<Commit>,
    /// Comparisons of a version with itself.
    pub(crate) canaries: Vec<ComparisonSummary>,
}

/// The metrics that stand for a measurement: of a transfer, and of a benchmark that another tool ran.
pub(crate) const HEADLINES: [&str; 2] = [GOODPUT, ITERATION];
/// What only a run has that found a direct way.
pub(crate) const DIRECT: &str = "time_to_direct";
const GOODPUT: &str = "goodput";
const ITERATION: &str = "iteration_time";

/// The page.
pub(crate) fn overview(page: &Overview) -> Markup {
    // No network was behind a benchmark: nothing that is said of networks may count it.
    let is_benchmark = |row: &OverviewRow| row.metric.as_deref() == Some(ITERATION);
    let (benchmarks, networks): (Vec<OverviewRow>, Vec<OverviewRow>) =
        page.rows.iter().cloned().partition(is_benchmark);
    // Hundreds of pairs of routers are a matrix, not a list.
    let (pairs, single): (Vec<OverviewRow>, Vec<OverviewRow>) =
        networks.iter().cloned().partition(|row| pair_of(&row.scenario).is_some());
    let sound = soundness(&networks, benchmarks.len());
    let open: Vec<&Alert> = page.alerts.iter().filter(|alert| alert.state.is_open()).collect();
    let content = html! {
        @if open.is_empty() {
            h1 { (glue(&sound)) }
        } @else {
            h1 { (glue(&super::alerts::headline(&open))) }
            (since(page, &open))
        }
        @if page.rows.is_empty() {
            p.lead { "Measure something first: " code { "longhaul quickstart" } " takes about three minutes." }
        } @else {
            (lead(&page.rows))
            @if !open.is_empty() { p { (glue(&sound)) } }
            @if !single.is_empty() { (table(page, "Networks", GOODPUT, &single)) }
            @if !pairs.is_empty() { (matrices(&page.frame, &page.direct)) }
            @if !benchmarks.is_empty() { (table(page, "Benchmarks", ITERATION, &benchmarks)) }
            (problems(page))
            @if !networks.is_empty() { (trust(page, &networks)) }
        }
    };
    page.frame.page("Overview", "overview", &content)
}

/// Since which commit the worst of it, and where to look.
fn since(page: &Overview, open: &[&Alert]) -> Markup {
    html! {
        @if let Some(worst) = open.iter().max_by(|a, b| a.size().total_cmp(&b.size())) {
            @let range = &worst.range;
            @let summary = page.commits.iter().find(|one| one.sha.as_deref() == Some(&range.first_after));
            p.lead {
                "First seen at " (commit_link(&page.frame, &range.first_after))
                @if let Some(words) = summary.and_then(|one| one.summary.as_deref()) { " “" (words) "”" }
                @if let Some(at) = summary.and_then(|one| one.authored_ms) { ", " (time(at)) }
                ". " a href=(page.frame.links.compare(&range.last_before, &range.first_after)) { "Compare it with the commit before" }
                " · " a href=(page.frame.links.page("alerts")) { "All that got worse" }
            }
        }
    }
}

/// Whether the newest measurements can be used, in a sentence.
fn soundness(rows: &[OverviewRow], benchmarks: usize) -> String {
    let count = |wanted: fn(&Tally) -> bool| rows.iter().filter(|row| wanted(&row.tally)).count() as u64;
    let failed = count(|tally| tally.failed + tally.setup_failed > 0);
    let untrusted = count(|tally| tally.failed + tally.setup_failed == 0 && tally.untrusted > 0);
    let total = rows.len() as u64;
    let good = total - failed - untrusted;
    let mut bad = Vec::new();
    if failed > 0 {
        bad.push(format!("{failed} of {} had a failed run", plural(total, "measurement")));
    }
    if untrusted > 0 {
        let of = if failed > 0 { String::new() } else { format!(" of {}", plural(total, "measurement")) };
        bad.push(format!("{untrusted}{of} had a run that cannot be trusted"));
    }
    match (total, good) {
        (0, _) if benchmarks > 0 => "No network has been measured yet; there are benchmarks of other tools.".into(),
        (0, _) => "Nothing has been measured yet.".into(),
        (1, 1) => "The newest measurement completed on a network that was what it claimed to be.".into(),
        _ if bad.is_empty() => {
            format!("All {total} newest measurements completed on networks that were what they claimed to be.")
        }
        (_, 0) => format!("{}.", listed(&bad)),
        (_, 1) => format!("{}; the other one is sound.", listed(&bad)),
        _ => format!("{}; the other {good} completed on networks that were what they claimed to be.", bad.join(", ")),
    }
}

/// The run that was started last. Values of other commits than its own are marked.
fn newest(rows: &[OverviewRow]) -> Option<&RunSummary> {
    rows.iter().map(|row| &row.latest).max_by_key(|run| run.started_ms)
}

/// Which code, when, and how it compares.
fn lead(rows: &[OverviewRow]) -> Markup {
    html! {
        @if let Some(run) = newest(rows) {
            p.lead {
                @match &run.commit {
                    Some(_) => {
                        "The newest commit measured is " (commit(run.commit.as_deref(), run.dirty))
                        @if let Some(summary) = &run.commit_summary { " “" (summary) "”" }
                        @if run.dirty { ", with uncommitted changes" }
                        ", "
                    }
                    None => "The newest run was outside a git repository, "
                }
                (time(run.started_ms)) ". " (comparison(rows))
            }
        }
    }
}

/// "Against curl, reference is faster on 3 networks, slower on 2 and within 3 % on 1."
fn comparison(rows: &[OverviewRow]) -> String {
    let mut subjects: Vec<&str> =
        rows.iter().map(|row| row.subject.as_str()).filter(|name| *name != BASELINE).collect();
    subjects.sort_unstable();
    subjects.dedup();
    let one = |name: &str| -> Option<String> {
        let mut counts = [0u64; 3];
        for ratio in rows.iter().filter(|row| row.subject == name).filter_map(|row| against_baseline(row, rows)) {
            counts[Side::of(ratio) as usize] += 1;
        }
        let words = ["faster on", "slower on", "within 3\u{a0}% on"];
        let parts = words.iter().zip(counts).filter(|(_, count)| *count > 0);
        let mut parts: Vec<String> = parts.map(|(words, count)| format!("{words} {count}")).collect();
        let first = parts.first_mut()?;
        first.push_str(if first.ends_with(" 1") { " network" } else { " networks" });
        Some(format!("{name} is {}", listed(&parts)))
    };
    let parts: Vec<String> = subjects.into_iter().filter_map(one).collect();
    if parts.is_empty() { String::new() } else { format!("Against {BASELINE}, {}.", parts.join("; ")) }
}

/// A ratio to the baseline, as far as it means anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Faster = 0,
    Slower = 1,
    Level = 2,
}

impl Side {
    /// Three percent is the smallest change that matters to this metric.
    fn of(ratio: f64) -> Side {
        match ratio {
            r if r >= 1.03 => Side::Faster,
            r if r <= 0.97 => Side::Slower,
            _ => Side::Level,
        }
    }
}

/// The median of the newest run's own commit; none when that commit has no usable run.
fn current(row: &OverviewRow) -> Option<&Recent> {
    row.recent.last().filter(|recent| recent.commit == row.latest.commit && recent.dirty == row.latest.dirty)
}

/// How many times the baseline's value, on the same network at the same commit.
fn against_baseline(row: &OverviewRow, rows: &[OverviewRow]) -> Option<f64> {
    let base = rows.iter().find(|other| {
        other.subject == BASELINE
            && other.scenario == row.scenario
            && other.latest.scenario_hash == row.latest.scenario_hash
            && other.latest.host == row.latest.host
            && other.latest.project == row.latest.project
    })?;
    let (mine, theirs) = (current(row)?, current(base)?);
    (mine.commit == theirs.commit && mine.dirty == theirs.dirty && theirs.median > 0.0)
        .then(|| mine.median / theirs.median)
}

fn table(page: &Overview, heading: &str, id: &str, rows: &[OverviewRow]) -> Markup {
    let (title, unit) = metric(id).map_or((id, Unit::Ratio), |metric| (metric.title, metric.unit));
    let groups = rows.chunk_by(|a, b| a.scenario == b.scenario);
    let compared = rows.iter().any(|row| row.subject == BASELINE);
    html! {
        h2 { (heading) }
        div.table {
            table.overview {
                thead {
                    tr {
                        th.subject { "Subject" }
                        th.spark-column.not-narrow { "Last commits" }
                        th.n.value { (title) ", median" }
                        th.n.since.not-narrow { "Since " (BACK) " commits ago" }
                        th.n.ratio { @if compared { "Against " (subject(BASELINE)) } }
                        th { "Runs" }
                    }
                }
                @for group in groups {
                    tbody {
                        tr.group {
                            th colspan="6" scope="rowgroup" {
                                a href=(page.frame.links.scenario(&group[0].scenario)) { (group[0].scenario) }
                                p.quiet.small { (glue(&group[0].scenario_words)) }
                            }
                        }
                        // The baseline last: it is what the others are read against.
                        @for row in group.iter().filter(|row| row.subject != BASELINE) {
                            (table_row(page, row, group, unit))
                        }
                        @for row in group.iter().filter(|row| row.subject == BASELINE) {
                            (table_row(page, row, group, unit))
                        }
                    }
                }
            }
        }
    }
}

fn table_row(page: &Overview, row: &OverviewRow, group: &[OverviewRow], unit: Unit) -> Markup {
    let ink = Ink::of_subject(&row.subject);
    let medians: Vec<f64> = row.recent.iter().map(|recent| recent.median).collect();
    let largest = group.iter().filter_map(current).map(|recent| recent.median).fold(0.0, f64::max);
    let about = format!("{} on {}", row.subject, row.scenario);
    let alert = worst_of(page, row);
    let begun = alert.and_then(|alert| {
        row.recent.iter().position(|recent| recent.commit.as_deref() == Some(&alert.range.first_after))
    });
    let change = begun.map(|at| (at, Mood::Bad));
    let status = if alert.is_some() { Mood::Bad } else { Mood::Neutral };
    html! {
        tr.mid {
            td { (subject(&row.subject)) }
            td.not-narrow { (svg(spark(&Spark { title: &about, values: &medians, unit, ink, change, status }))) }
            td.n {
                @match (current(row), row.recent.last()) {
                    (Some(now), _) => {
                        (unit.text(now.median))
                        (svg(bar(&about, now.median, largest, ink)))
                        @if newest(&page.rows).is_some_and(|run| run.commit != now.commit || run.dirty != now.dirty) {
                            span.below { "at " (commit_text(now.commit.as_deref(), now.dirty)) }
                        }
                    }
                    (None, Some(old)) => {
                        "–"
                        span.below { (unit.text(old.median)) " at " (commit_text(old.commit.as_deref(), old.dirty)) }
                    }
                    (None, None) => "–"
                }
            }
            td.n.not-narrow { (moved(row)) }
            td.n {
                @if row.subject != BASELINE {
                    @match against_baseline(row, &page.rows) {
                        Some(ratio) => (ratio_text(ratio)),
                        None if group.iter().any(|other| other.subject == BASELINE) => span.quiet { "–" },
                        None => {}
                    }
                }
            }
            td {
                a.quiet href=(page.frame.links.run(&row.latest.id)) { (fared(&row.tally, row.latest.outcome)) }
                @if let Some(alert) = alert { " " a.quiet href=(page.frame.links.alert(&alert.id)) { (badge("bad", "got worse")) } }
            }
        }
    }
}

/// How many commits ago the newest value is read against.
const BACK: usize = 30;

/// The worst of what got worse of a row and is not mended.
fn worst_of<'a>(page: &'a Overview, row: &OverviewRow) -> Option<&'a Alert> {
    let of_row = |alert: &&Alert| {
        let series = &alert.series;
        alert.state.is_open() && series.scenario == row.scenario && series.subject == row.subject
    };
    page.alerts.iter().filter(of_row).max_by(|a, b| a.size().total_cmp(&b.size()))
}

/// The change over the last commits. Without a colour: whether it means anything is what alerts are for.
fn moved(row: &OverviewRow) -> Markup {
    let newest = current(row);
    let old = newest.and_then(|_| row.recent.get(row.recent.len().checked_sub(BACK + 1)?));
    let shift = newest.zip(old).filter(|(_, old)| old.median > 0.0).map(|(new, old)| new.median / old.median - 1.0);
    html! {
        @match shift {
            Some(shift) => span.quiet { (text::change(shift)) },
            None => span.quiet { "–" },
        }
    }
}

/// A ratio in words; only what is more than noise gets a colour.
fn ratio_text(ratio: f64) -> Markup {
    let class = match Side::of(ratio) {
        Side::Faster => "good",
        Side::Slower => "bad",
        Side::Level => "quiet",
    };
    html! { span class=(class) { (text::digits(ratio)) " ×" } }
}

/// How the runs of the newest commit ended.
fn fared(tally: &Tally, latest: Outcome) -> Markup {
    let parts = [
        ("bad", tally.failed, "failed"),
        ("bad", tally.setup_failed, "not set up"),
        ("warn", tally.untrusted, "untrusted"),
    ];
    let total = tally.total();
    html! {
        @if total <= 1 {
            (outcome(latest))
        } @else if tally.ok == total {
            (badge("quiet", &format!("{total} ok")))
        } @else {
            @for (class, count, word) in parts {
                @if count > 0 { (badge(class, &format!("{count}/{total} {word}"))) " " }
            }
        }
    }
}

/// Newest runs that are not `ok`, with their reason.
fn problems(page: &Overview) -> Markup {
    let rows: Vec<&OverviewRow> = page.rows.iter().filter(|row| row.latest.outcome != Outcome::Ok).collect();
    html! {
        @if !rows.is_empty() {
            h2 { "What went wrong" }
            ul {
                @for row in rows {
                    li {
                        a href=(page.frame.links.run(&row.latest.id)) { (row.subject) " on " (row.scenario) }
                        " " span class=(outcome_words(row.latest.outcome).0) { (outcome_words(row.latest.outcome).1) }
                        @if let Some(reason) = &row.latest.reason { ": " (glue(reason)) }
                    }
                }
            }
        }
    }
}

/// The proof behind the newest runs, in numbers.
fn trust(page: &Overview, rows: &[OverviewRow]) -> Markup {
    let proven: Vec<_> =
        rows.iter().filter(|row| row.latest.outcome == Outcome::Ok).map(|row| row.latest.evidence).collect();
    let paths: u64 = proven.iter().map(|evidence| u64::from(evidence.paths)).sum();
    let worst = |of: fn(&longhaul_store::Evidence) -> u64| text::nanoseconds(proven.iter().map(of).max().unwrap_or(0));
    let dropped: u64 = proven.iter().map(|evidence| evidence.unintended_drops).sum();
    let untrusted: u64 = rows.iter().map(|row| row.tally.untrusted).sum();
    html! {
        h2 { "Can these numbers be trusted?" }
        @if proven.is_empty() {
            p { "There are none to trust: no newest run completed on a network that was what it claimed to be." }
        } @else {
            p {
                "Before each run the network itself was probed. Behind the newest ones stand "
                (plural(paths, "probed direction")) ", the one-way delay off by " (glue(&worst(|e| e.delay_error_ns)))
                " at worst. While they ran, the emulator released 99\u{a0}% of the packets within "
                (glue(&worst(|e| e.lateness_p99_ns))) " of their time"
                @if dropped == 0 { " and lost none of its own." } @else { ", and lost " (dropped) " of its own." }
            }
        }
        p { (glue(&super::health::fooled(&page.canaries))) " " a href=(page.frame.links.page("health")) { "How this machine does" } }
        @if untrusted > 0 {
            p {
                (plural(untrusted, "run")) " of these commits did not pass this check. Such a run is kept with its \
                evidence and is part of no number here."
            }
        }
    }
}
