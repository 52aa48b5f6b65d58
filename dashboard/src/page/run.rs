//! A run's page: what happened, second by second, and whether the network was what it claimed.

mod calibration;
mod evidence;
mod lanes;
mod over_time;
#[cfg(test)]
mod tests;

use super::cross::cross;
use super::network;
use super::{Frame, Served};
use crate::html::{commit, commit_link, glue, outcome, subject, time};
pub(crate) use lanes::timelines;
use longhaul_record::{Outcome, Role, RunRecord, Trigger, Unit, text};
use longhaul_store::RunSummary;
use maud::{Markup, html};

/// The page. `others` had the same seed on the same network.
pub(crate) fn run(frame: &Frame, run: &RunRecord, others: &[RunSummary]) -> Markup {
    let content = html! {
        h1 { (glue(&headline(run))) }
        (who(frame, run))
        @if let Some(reason) = run.reason.as_ref().filter(|_| run.outcome != Outcome::Ok) {
            p.lead { (outcome(run.outcome)) " " (glue(reason)) }
        }
        @if run.trigger == Trigger::Import {
            p { (glue(&run.scenario_words)) }
            (evidence::samples(run))
        } @else {
            (over_time::over_time(run))
            (network::figure("The network", &run.scenario_resolved))
            (calibration::calibration(run))
            (evidence::samples(run))
            (evidence::links(run))
            (cross(&run.cross))
            (evidence::processes(run))
            (evidence::repeat(run))
        }
        (beside(frame, run, others))
        (downloads(frame, run))
        (evidence::facts(run))
    };
    frame.page(&format!("{} on {}", run.subject, run.scenario), "run", &content)
}

/// What happened, in a sentence. A number only where it may be used.
fn headline(run: &RunRecord) -> String {
    let size = text::bytes(run.payload_bytes as f64);
    let from = match hosts(run, Role::Provider).as_slice() {
        [] => String::new(),
        [provider] => format!(" from {provider}"),
        several => format!(" from {} hosts", several.len()),
    };
    let (fetchers, size) = match hosts(run, Role::Fetcher).as_slice() {
        [] => ("the fetcher".to_owned(), size),
        [fetcher] => ((*fetcher).to_owned(), size),
        several => (format!("{} hosts", several.len()), format!("{size} each")),
    };
    let attempt = format!("{} on {}", run.subject, run.scenario);
    match run.outcome {
        Outcome::Ok if run.trigger == Trigger::Import => format!("{} measured {}.", run.subject, run.scenario),
        Outcome::Ok => {
            let found = run.value("lookup_success", None).map(text::percent);
            let took = run.value("transfer_time", None).or(run.value("total_time", None));
            let took = took.map(|seconds| format!(" in {}", text::seconds(seconds))).unwrap_or_default();
            match found {
                Some(found) => format!("{fetchers} looked keys up{took}, and found {found} of them."),
                None => format!("{fetchers} fetched {size}{from}{took}{}.", reached(run)),
            }
        }
        Outcome::SubjectFailed => format!("{attempt} failed."),
        Outcome::TimedOut => format!("{attempt} did not finish in time."),
        Outcome::Untrusted => format!("This run of {attempt} cannot be trusted."),
        Outcome::SetupFailed => format!("{attempt} could not be set up."),
    }
}

/// Whether what arrived was compared with what was sent: nobody does so where it is the subject's own word.
fn is_compared(run: &RunRecord) -> bool {
    !run.subject_detail.delivers_nothing && run.value("lookup_success", None).is_none()
}

/// The hosts of a role, each once: there may be several processes on one.
fn hosts(run: &RunRecord, role: Role) -> Vec<&str> {
    let hosts = run.processes.iter().filter(|process| process.role == role).map(|process| process.host.as_str());
    let mut hosts: Vec<&str> = hosts.collect();
    hosts.dedup();
    hosts
}

/// Goodput, and its share of the path's rate where one fetcher's path has one and keeps it.
fn reached(run: &RunRecord) -> String {
    let Some(goodput) = run.value("goodput", None) else { return String::new() };
    let text = Unit::BitsPerSecond.text(goodput);
    if hosts(run, Role::Fetcher).len() != 1 {
        return format!(": {text} in all");
    }
    match rate_limit(run) {
        Some(rate) => format!(": {text}, {} % of the line’s rate", (goodput / rate * 100.0).round()),
        None => format!(": {text}"),
    }
}

/// The rate of the way to a single fetcher, in bit/s, where it has one and keeps it.
pub(super) fn rate_limit(run: &RunRecord) -> Option<f64> {
    let [fetcher] = hosts(run, Role::Fetcher)[..] else { return None };
    let rate = run.calibration.paths.iter().filter(|path| path.to == fetcher).find_map(|path| path.rate.as_ref())?;
    (rate.asked_bps > 0 && run.changes.is_empty()).then_some(rate.asked_bps as f64)
}

fn who(frame: &Frame, run: &RunRecord) -> Markup {
    let detail = run.commit_detail.as_ref();
    html! {
        p.quiet {
            a href=(frame.links.scenario(&run.scenario)) { (run.scenario) }
            " · " (subject(&run.subject))
            @match run.commit.as_deref().filter(|_| detail.is_none_or(|detail| !detail.dirty)) {
                Some(sha) => { " at " (commit_link(frame, sha)) }
                None => { @if run.commit.is_some() { " at " (commit(run.commit.as_deref(), true)) } }
            }
            " · seed " (run.seed) " · " (time(run.started_ms))
            @if run.outcome == Outcome::Ok && is_compared(run) { " · verified byte for byte" }
        }
        p { (glue(&run.scenario_words)) }
    }
}

/// Runs that can be laid beside this one, packet by packet.
fn beside(frame: &Frame, run: &RunRecord, others: &[RunSummary]) -> Markup {
    html! {
        @if !others.is_empty() && frame.served != Served::Exported {
            h2 { "Beside another" }
            p { "These met the same losses, packet by packet:" }
            ul {
                @for other in others {
                    li {
                        a href=(frame.links.compare_runs(&other.id, &run.id)) { (other.subject) " at " (commit(other.commit.as_deref(), other.dirty)) }
                        ", " (time(other.started_ms))
                    }
                }
            }
        }
    }
}

/// Everything that there is of the run, for other tools.
fn downloads(frame: &Frame, run: &RunRecord) -> Markup {
    let link = frame.links.run(&run.id);
    let (path, _) = link.split_once('?').unwrap_or((&link, ""));
    html! {
        h2 { "Take it apart" }
        p {
            a href={ (path) "/record.json" } download { "The whole record" } span.quiet { ", as JSON" }
            @if !run.series.is_empty() {
                " · " a href={ (path) "/series.csv" } download { "What is drawn over time" } span.quiet { ", as CSV" }
            }
        }
    }
}
