//! Where comparisons begin: what was compared lately, and what can be.

use super::{Frame, Served};
use crate::html::{commit_link, plural, subject, time, verdict};
use longhaul_store::{Commit, ComparisonSummary};
use maud::{Markup, html};

/// What the page shows.
pub(crate) struct Compare {
    /// What is around it.
    pub(crate) frame: Frame,
    /// The newest comparisons in pairs, newest first.
    pub(crate) comparisons: Vec<ComparisonSummary>,
    /// The newest commits, newest first.
    pub(crate) commits: Vec<Commit>,
}

/// The page.
pub(crate) fn compare(page: &Compare) -> Markup {
    let content = html! {
        h1 { "Two versions, side by side." }
        p.lead {
            code { "longhaul compare BASE HEAD" } " runs two versions in turn on the same networks and says with stated confidence \
            what changed. Any two commits that were measured can be looked at here."
        }
        @if page.frame.served != Served::Exported { (form(&page.frame)) }
        h2 { "Compared in pairs" }
        (comparisons(&page.frame, &page.comparisons))
        h2 { "Measured commits" }
        (commits(page))
    };
    page.frame.page("Compare", "compare", &content)
}

fn form(frame: &Frame) -> Markup {
    html! {
        form.compare method="get" action="/compare" {
            (frame.hidden())
            label { "Base " input name="base" required placeholder="commit" list="commits"; }
            label { "Head " input name="head" required placeholder="commit" list="commits"; }
            button { "Compare" }
        }
    }
}

/// A list of comparisons in pairs.
pub(crate) fn comparisons(frame: &Frame, all: &[ComparisonSummary]) -> Markup {
    html! {
        @if all.is_empty() { p.quiet { "None yet." } } @else {
            div.table {
                table {
                    thead { tr { th { "When" } th { "Subject" } th { "From" } th { "To" } th { "Came to" } } }
                    tbody {
                        @for one in all {
                            tr {
                                td { a href=(frame.links.comparison(&one.id)) { (time(one.started_ms)) } }
                                td { (subject(&one.subject)) }
                                td { (commit_link(frame, &one.base)) }
                                td { (commit_link(frame, &one.head)) @if one.dirty { " with changes" } }
                                td {
                                    @match one.verdict { Some(found) => (verdict(found)), None => span.quiet { "nothing" } }
                                    @if one.same_program { " " span.quiet.small { "with itself" } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn commits(page: &Compare) -> Markup {
    let links = &page.frame.links;
    // Changes on top of a commit have no name of their own to compare by.
    let clean: Vec<(&Commit, &str)> = page
        .commits
        .iter()
        .filter(|commit| !commit.dirty)
        .filter_map(|commit| Some((commit, commit.sha.as_deref()?)))
        .collect();
    html! {
        @if clean.is_empty() { p.quiet { "None yet." } } @else {
            p.quiet { "The newest " (plural(clean.len() as u64, "commit")) "." }
            div.table {
                table {
                    thead { tr { th { "Commit" } th { "" } th { "Authored" } th { "Branch" } th { "With the one before" } } }
                    tbody {
                        @for (i, (commit, sha)) in clean.iter().enumerate() {
                            tr {
                                td { (commit_link(&page.frame, sha)) }
                                td { (commit.summary.as_deref().unwrap_or_default()) }
                                td { @if let Some(at) = commit.authored_ms { (time(at)) } }
                                td { (commit.branch.as_deref().unwrap_or_default()) }
                                td { @if let Some((_, before)) = clean.get(i + 1) { a href=(links.compare(before, sha)) { "compare" } } }
                            }
                        }
                    }
                }
            }
            datalist id="commits" { @for (commit, sha) in &clean { option value=(sha) { (commit.summary.as_deref().unwrap_or_default()) } } }
        }
    }
}
