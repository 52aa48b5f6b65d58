//! What got worse and what became of it: the list of alerts, and one alert.

use super::series::{Sheet, charts, wide};
use super::{Frame, Served};
use crate::chart::Scale;
use crate::html::{badge, commit_link, glue, plural, shell, subject, time};
use longhaul_record::{Alert, AlertKind, AlertState, CommitRange, Direction, metric, text};
use longhaul_store::{Commit, SeriesSet};
use maud::{Markup, html};

/// What the list shows.
pub(crate) struct Alerts {
    /// What is around it.
    pub(crate) frame: Frame,
    /// The one found last first.
    pub(crate) alerts: Vec<Alert>,
    /// The commits they may be of.
    pub(crate) commits: Vec<Commit>,
}

/// The list.
pub(crate) fn alerts(page: &Alerts) -> Markup {
    let (open, closed): (Vec<&Alert>, Vec<&Alert>) = page.alerts.iter().partition(|alert| alert.state.is_open());
    let content = html! {
        h1 { (glue(&headline(&open))) }
        @if page.alerts.is_empty() {
            p.lead { "Nobody has looked yet, or there was nothing to see: " code { "longhaul alert update" } " looks for changes." }
        }
        @if !open.is_empty() { (table(page, &open)) }
        @if !closed.is_empty() {
            h2 { "Over and done with" }
            (table(page, &closed))
        }
        p.small.quiet {
            "A change becomes an alert when it is larger than the smallest that matters to its metric, and larger than the \
             series’ own noise explains. How: see " code { "docs/statistics.md" } "."
        }
    };
    page.frame.page("Alerts", "alerts", &content)
}

/// How many, and the worst.
pub(crate) fn headline(open: &[&Alert]) -> String {
    match open.iter().max_by(|a, b| a.size().total_cmp(&b.size())) {
        None => "Nothing is known to have got worse.".into(),
        Some(one) if open.len() == 1 => format!("One measurement got worse: {}.", one.sentence()),
        Some(worst) => {
            format!("{} got worse. The most: {}.", plural(open.len() as u64, "measurement"), worst.sentence())
        }
    }
}

/// Everything that began with the same commit stands together: it has one cause.
fn by_commit<'a>(alerts: &[&'a Alert]) -> Vec<Vec<&'a Alert>> {
    let mut groups: Vec<Vec<&Alert>> = Vec::new();
    for alert in alerts {
        match groups.iter_mut().find(|group| group[0].range == alert.range) {
            Some(group) => group.push(alert),
            None => groups.push(vec![alert]),
        }
    }
    for group in &mut groups {
        group.sort_by(|a, b| {
            (&a.series.scenario, &a.series.subject)
                .cmp(&(&b.series.scenario, &b.series.subject))
                .then(b.size().total_cmp(&a.size()))
        });
    }
    groups
}

fn table(page: &Alerts, alerts: &[&Alert]) -> Markup {
    let frame = &page.frame;
    html! {
        div.table {
            table {
                thead {
                    tr { th { "What" } th.n { "Before" } th.n { "After" } th.n { "Change" } th { "Found" } th { "State" } }
                }
                @for group in by_commit(alerts) {
                    @let range = &group[0].range;
                    tbody {
                        tr.group {
                            th colspan="6" scope="rowgroup" {
                                "Since " (commit_link(frame, &range.first_after))
                                @if let Some(summary) = summary(page, &range.first_after) { " “" (summary) "”" }
                                " " a.small href=(frame.links.compare(&range.last_before, &range.first_after)) { "compare with the one before" }
                            }
                        }
                        @for alert in group { (row(frame, alert)) }
                    }
                }
            }
        }
    }
}

fn summary<'a>(page: &'a Alerts, sha: &str) -> Option<&'a str> {
    let commit = page.commits.iter().find(|commit| commit.sha.as_deref() == Some(sha))?;
    commit.summary.as_deref()
}

fn row(frame: &Frame, alert: &Alert) -> Markup {
    let series = &alert.series;
    html! {
        tr {
            td {
                a href=(frame.links.alert(&alert.id)) { (text::metric_name(&series.metric, series.peer.as_deref())) }
                " of " (subject(&series.subject)) " on " (series.scenario)
            }
            td.n { (alert.value(alert.before)) }
            td.n { (alert.value(alert.after)) }
            td.n { (shift(alert)) }
            td { @if let Some(first) = alert.history.first() { (time(first.at_ms)) } }
            td { (state(alert)) }
        }
    }
}

fn shift(alert: &Alert) -> Markup {
    let class = if alert.state.is_open() { "bad" } else { "quiet" };
    html! { @match alert.shift { Some(shift) => span class=(class) { (text::change(shift)) }, None => "–" } }
}

/// A state as a word in a frame.
pub(crate) fn state(alert: &Alert) -> Markup {
    let class = match alert.state {
        AlertState::New | AlertState::Confirmed => "bad",
        AlertState::Acknowledged => "warn",
        AlertState::Fixed => "good",
        AlertState::Invalid => "quiet",
    };
    html! {
        (badge(class, alert.state.as_str()))
        @if alert.kind == AlertKind::Drift { " " span.quiet.small { "little by little" } }
    }
}

/// What an alert's page shows.
pub(crate) struct AlertPage {
    /// What is around it.
    pub(crate) frame: Frame,
    /// The alert.
    pub(crate) alert: Alert,
    /// Its series across commits; empty where the store has no run of it any more.
    pub(crate) set: SeriesSet,
    /// Why what was sent could not be done.
    pub(crate) refused: Option<String>,
}

/// One alert.
pub(crate) fn alert(page: &AlertPage) -> Markup {
    let AlertPage { frame, alert, .. } = page;
    let CommitRange { last_before, first_after } = &alert.range;
    let sheet = Sheet {
        frame,
        commits: &page.set.commits,
        alerts: std::slice::from_ref(alert),
        scale: Scale::Linear,
        line_rate: None,
    };
    let content = html! {
        h1 { (glue(&alert.sentence())) "." }
        p.lead {
            (state(alert)) " From " (alert.value(alert.before)) " to " (alert.value(alert.after)) ", between "
            (commit_link(frame, last_before)) " and " (commit_link(frame, first_after)) ". "
            a href=(frame.links.compare(last_before, first_after)) { "Compare the two" }
        }
        p.quiet {
            a href=(frame.links.scenario(&alert.series.scenario)) { (alert.series.scenario) }
            " · " (subject(&alert.series.subject)) " · "
            @match metric(&alert.series.metric).map(|metric| metric.direction) {
                Some(Direction::Higher) => "more is better",
                Some(Direction::Lower) => "less is better",
                None => "nobody knows which way is better",
            }
            " · without a change, as much is seen with a probability of " (text::probability(alert.p))
        }
        @if let Some(fixed) = &alert.fixed {
            p { "As good again as before since " (commit_link(frame, &fixed.first_after)) "." }
        }
        @match charts(&page.set).first() {
            Some(chart) => (wide(&sheet, chart)),
            None => p.quiet { "No run of this series is in the database any more." },
        }
        h2 { "Find the commit" }
        p.quiet { "The change lies after the one and not after the other. If there are commits between them that were not \
            measured, this measures as many of them as it needs:" }
        pre { code { (bisect(alert)) } }
        (events(alert))
        @if frame.served == Served::Writable { (triage(page)) }
    };
    frame.page(&alert.subject_matter(), "alerts", &content)
}

fn bisect(alert: &Alert) -> String {
    let CommitRange { last_before, first_after } = &alert.range;
    let series = &alert.series;
    let words = [
        "longhaul",
        "bisect",
        last_before,
        first_after,
        "--scenario",
        &series.scenario,
        "--subject",
        &series.subject,
        "--metric",
        &series.metric,
    ];
    words.map(shell).join(" ")
}

fn events(alert: &Alert) -> Markup {
    html! {
        h2 { "What happened to it" }
        div.table.narrow {
            table {
                thead { tr { th { "When" } th { "Became" } th { "Note" } } }
                tbody {
                    @for event in &alert.history {
                        tr {
                            td { (time(event.at_ms)) }
                            td { (event.state.as_str()) }
                            td { @if event.note.is_empty() { span.quiet { "by longhaul" } } @else { (event.note) } }
                        }
                    }
                }
            }
        }
    }
}

/// Needs a token: what is typed here is sent along, and no browser keeps it.
fn triage(page: &AlertPage) -> Markup {
    html! {
        h2 #triage { "Say what it is" }
        @if let Some(why) = &page.refused { p.bad role="alert" { (why) } }
        form.triage method="post" action={ (page.frame.links.alert(&page.alert.id)) } {
            label { "It is "
                select name="state" {
                    @for (state, words) in [(AlertState::Acknowledged, "known, and somebody looks into it"), (AlertState::Invalid, "none: nothing got worse")] {
                        option value=(state.as_str()) { (words) }
                    }
                }
            }
            label { "Who says so, and why " input name="note" maxlength="500" required; }
            label { "Token " input type="password" name="token" autocomplete="off" required; }
            button { "Keep" }
        }
        p.small.quiet { "A token comes from " code { "longhaul token create --scope triage" } "." }
    }
}
