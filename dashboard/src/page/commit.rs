//! Everything that was measured of a commit.

use super::commits::{Moved, moved, table};
use super::compare::comparisons;
use super::{Frame, health};
use crate::html::{commit_link, glue, outcome, plural, subject, time};
use longhaul_record::{Outcome, text};
use longhaul_store::{Commit, CommitValues, ComparisonSummary, RunSummary};
use maud::{Markup, html};
use std::collections::BTreeMap;

/// What the page shows.
pub(crate) struct CommitPage {
    /// What is around it.
    pub(crate) frame: Frame,
    /// The commit.
    pub(crate) commit: Commit,
    /// Hashes of its parents.
    pub(crate) parents: Vec<String>,
    /// The measured commit it is read against.
    pub(crate) before: Option<Commit>,
    /// Its runs, newest first.
    pub(crate) runs: Vec<RunSummary>,
    /// Its comparisons in pairs.
    pub(crate) comparisons: Vec<ComparisonSummary>,
    /// What was measured of it.
    pub(crate) values: Vec<CommitValues>,
    /// What was measured of the one before.
    pub(crate) old: Vec<CommitValues>,
}

/// The page.
pub(crate) fn commit(page: &CommitPage) -> Markup {
    let CommitPage { frame, commit, .. } = page;
    let sha = commit.sha.as_deref().unwrap_or_default();
    let all = moved(&page.old, &page.values);
    let large: Vec<&Moved<'_>> = all.iter().filter(|one| one.is_large()).collect();
    let content = html! {
        h1 { "“" (commit.summary.as_deref().unwrap_or("A commit")) "”" }
        p.lead {
            code { (sha) }
            @if let Some(branch) = &commit.branch { " on " (branch) }
            @if let Some(at) = commit.authored_ms { ", authored " (time(at)) }
            "."
        }
        p { (glue(&fared(page))) }
        p.quiet {
            @if page.parents.is_empty() { "Its parents are not known." } @else {
                "Parents: " @for parent in &page.parents { (commit_link(frame, parent)) " " }
            }
        }
        @if let Some(before) = page.before.as_ref().and_then(|before| before.sha.as_deref()) {
            h2 { "Against " (commit_link(frame, before)) ", the measured commit before it" }
            @match large.len() {
                0 => p { "Of " (text::count(all.len() as f64)) " series, none lies apart by more than its noise." },
                _ => (table(frame, &large)),
            }
            p { a href=(frame.links.compare(before, sha)) { "Everything of both" } }
        }
        @if !page.comparisons.is_empty() {
            h2 { "Compared in pairs" }
            (comparisons(frame, &page.comparisons))
        }
        h2 { "What was measured" }
        (measured(page))
    };
    frame.page(commit.summary.as_deref().unwrap_or(sha), "compare", &content)
}

fn fared(page: &CommitPage) -> String {
    let all = health::tally(&page.runs);
    let rest =
        [(all.failed, "failed"), (all.setup_failed, "could not be set up"), (all.untrusted, "cannot be trusted")];
    let rest: Vec<String> = rest.iter().filter(|(n, _)| *n > 0).map(|(n, words)| format!("{n} {words}")).collect();
    match (all.total(), rest.is_empty()) {
        (0, _) => "No run of it is in this database.".into(),
        (total, true) => format!("All of its {} went well.", plural(total, "run")),
        (total, false) => format!("Of its {}, {}.", plural(total, "run"), crate::html::listed(&rest)),
    }
}

/// One row for each scenario and subject, with the run that leads furthest.
fn measured(page: &CommitPage) -> Markup {
    let mut cells: BTreeMap<(&str, &str), Vec<&RunSummary>> = BTreeMap::new();
    for run in &page.runs {
        cells.entry((&run.scenario, &run.subject)).or_default().push(run);
    }
    let value = |scenario: &str, subject: &str, id: &str| {
        let of = |one: &&CommitValues| {
            one.scenario == scenario && one.subject == subject && one.metric == id && one.peer.is_none()
        };
        let found = page.values.iter().find(of)?;
        let values: Vec<f64> = found.values.iter().map(|value| value.value).collect();
        let unit = longhaul_record::metric(id)?.unit;
        longhaul_stats::median(&values).map(|median| unit.text(median))
    };
    html! {
        div.table {
            table {
                thead { tr { th { "Network" } th { "Subject" } th.n { "Goodput" } th.n { "Total time" } th { "Runs" } } }
                tbody {
                    @for ((scenario, name), runs) in &cells {
                        tr {
                            td { a href=(page.frame.links.scenario(scenario)) { (scenario) } }
                            td { (subject(name)) }
                            td.n { (value(scenario, name, "goodput").unwrap_or_else(|| "–".into())) }
                            td.n { (value(scenario, name, "total_time").unwrap_or_else(|| "–".into())) }
                            td {
                                @for run in runs.iter().rev() {
                                    a.quiet href=(page.frame.links.run(&run.id)) title={ "seed " (run.seed) } {
                                        @if run.outcome == Outcome::Ok { (text::count(f64::from(run.iteration) + 1.0)) } @else { (outcome(run.outcome)) }
                                    }
                                    " "
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
