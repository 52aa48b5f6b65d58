//! What is behind a run: every number, every link, every process, and how to do it again.

use crate::html::{plural, shell};
use longhaul_record::{ExitState, LinkReport, METRICS, Outcome, ProcessReport, RunRecord, Sample, Unit, metric, text};
use maud::{Markup, html};

pub(super) fn samples(run: &RunRecord) -> Markup {
    // As the metrics are, with what all hosts have together before what each has.
    let mut samples: Vec<&Sample> = run.samples.iter().collect();
    let place = |sample: &Sample| METRICS.iter().position(|metric| metric.id == sample.metric).unwrap_or(usize::MAX);
    samples.sort_by_key(|sample| (place(sample), sample.peer.is_some()));
    let first = |n: usize| n == 0 || samples[n - 1].metric != samples[n].metric;
    let rows = html! {
        div.table.narrow {
            table {
                thead { tr { th { "Metric" } th { "Side" } th.n { "Value" } th.not-narrow { "What it is" } } }
                tbody {
                    @for (n, sample) in samples.iter().enumerate() {
                        @let known = metric(&sample.metric);
                        tr {
                            td { (known.map_or(sample.metric.as_str(), |metric| metric.title)) }
                            td.nowrap { (sample.peer.as_deref().unwrap_or_default()) }
                            td.n { (known.map_or(Unit::Ratio, |metric| metric.unit).text(sample.value)) }
                            td.not-narrow.quiet.small {
                                @if first(n) { (known.map_or("", |metric| metric.definition)) }
                            }
                        }
                    }
                }
            }
        }
    };
    html! {
        @match (run.outcome, run.samples.is_empty()) {
            (_, true) => {}
            (Outcome::Ok, false) => { h2 { "Every number" } (rows) }
            (_, false) => {
                h2 { "Numbers, kept as evidence only" }
                details { summary { "Not to be used: they are part of no median and no chart" } (rows) }
            }
        }
    }
}

pub(super) fn links(run: &RunRecord) -> Markup {
    html! {
        @if !run.links.is_empty() {
            h2 { "What each link carried" }
            div.table {
                table {
                    thead {
                        tr {
                            th { "Link" } th.n { "Packets" } th.n { "Bytes" } th.n { "Delivered" } th.n { "Dropped" }
                            th.n { "Longest wait" } th.not-narrow { "Losses’ fingerprint" }
                        }
                    }
                    tbody { @for link in &run.links { (link_row(link)) } }
                }
            }
        }
    }
}

fn link_row(link: &LinkReport) -> Markup {
    let count = |n: u64| text::count(n as f64);
    let arrow = match link.direction.as_str() {
        "up" => "↑",
        "down" => "↓",
        other => other,
    };
    let dropped: u64 = link.dropped.values().fold(0, |sum, n| sum.saturating_add(*n));
    html! {
        tr {
            td.nowrap title=(link.direction) { (link.link) " " (arrow) }
            td.n { (count(link.packets)) }
            td.n { (text::bytes(link.bytes as f64)) }
            td.n { (count(link.delivered)) }
            td.n {
                (count(dropped))
                @for (cause, n) in &link.dropped { @if *n > 0 { span.below { (cause) " " (count(*n)) } } }
            }
            td.n { (text::nanoseconds(link.peak_queueing_delay_ns)) }
            td.not-narrow.quiet {
                // A link that decided nothing has an empty trace.
                @if link.impairment_trace.bytes().all(|byte| byte == b'0') { "–" } @else {
                    code title="Equal in two runs that lost the same packets" { (link.impairment_trace) }
                }
            }
        }
    }
}

pub(super) fn processes(run: &RunRecord) -> Markup {
    html! {
        @if !run.processes.is_empty() {
            h2 { "Processes" }
            div.table {
                table {
                    thead {
                        tr {
                            th { "Role" } th { "Host" } th { "Ended" } th.n { "User time" } th.n { "System time" }
                            th.n { "Peak memory" }
                        }
                    }
                    tbody {
                        @for process in &run.processes {
                            tr {
                                td { (process.role.as_str()) }
                                td { (process.host) }
                                td { (ended(process.exit)) }
                                td.n { (text::seconds(process.cpu_user_s)) }
                                td.n { (text::seconds(process.cpu_system_s)) }
                                td.n { (text::bytes(process.peak_rss_bytes as f64)) }
                            }
                        }
                    }
                }
            }
            @for process in &run.processes { (output(run, process)) }
        }
    }
}

fn ended(exit: ExitState) -> Markup {
    let (class, words) = match exit {
        ExitState::Code(0) => ("", "exited, status 0".to_string()),
        ExitState::Code(code) => ("bad", format!("exited, status {code}")),
        ExitState::Signal(signal) => ("bad", format!("ended by signal {signal}")),
        ExitState::Stopped => ("", "stopped as planned".into()),
        ExitState::TimedOut => ("bad", "killed at the time limit".into()),
        ExitState::Killed => ("bad", "killed for breaking a rule".into()),
        ExitState::NotStarted => ("bad", "never started".into()),
    };
    html! { span class=(class) { (words) } }
}

/// The command line and the last words. Open where they explain a failure.
fn output(run: &RunRecord, process: &ProcessReport) -> Markup {
    let command: Vec<String> = process.command.iter().map(|word| shell(word)).collect();
    let open = run.outcome != Outcome::Ok && !process.stderr_tail.trim().is_empty();
    html! {
        details open[open] {
            summary { "Command and standard error of the " (process.role.as_str()) }
            pre { code { (command.join(" ")) } }
            @if process.stderr_tail.trim().is_empty() {
                p.small.quiet { "It wrote nothing to standard error." }
            } @else {
                pre { (process.stderr_tail) }
            }
        }
    }
}

pub(super) fn repeat(run: &RunRecord) -> Markup {
    html! {
        h2 { "Repeat it" }
        pre {
            code { "longhaul run " (shell(&run.scenario)) " --subject " (shell(&run.subject)) " --seed " (run.seed) }
        }
        p.small.quiet { "The same seed loses the same packets." }
        @if !run.scenario_resolved.is_empty() {
            details { summary { "The scenario as it was resolved" } pre { (run.scenario_resolved) } }
        }
    }
}

pub(super) fn facts(run: &RunRecord) -> Markup {
    let host = &run.host;
    let cores = plural(u64::from(host.cores), "core");
    let machine = format!("{}, {cores}, {}, Linux {}", host.cpu, text::bytes(host.memory_bytes as f64), host.kernel);
    let detail = run.commit_detail.as_ref();
    let rows = [
        ("Run", run.id.clone()),
        ("Project", run.project.clone()),
        ("Commit", run.commit.clone().unwrap_or("none".into())),
        ("Message", detail.map(|detail| detail.summary.clone()).unwrap_or_default()),
        (
            "Delivered",
            if run.subject_detail.delivers_nothing { "nothing; what arrived is the subject’s own word" } else { "" }
                .to_owned(),
        ),
        ("Payload", format!("{} in {}", text::bytes(run.payload_bytes as f64), plural(run.payload_files, "file"))),
        ("Subject’s version", run.subject_detail.version.clone().unwrap_or_default()),
        ("Subject’s program", run.subject_detail.binary_hash.clone().unwrap_or_default()),
        ("Scenario’s hash", run.scenario_hash.clone()),
        ("Machine", machine),
        ("TCP’s congestion control", host.tcp_congestion_control.clone()),
        ("Fingerprint", host.fingerprint.clone()),
        ("Network plane", host.plane.clone()),
        ("longhaul", host.runner_version.clone()),
    ];
    html! {
        h2 { "Where it comes from" }
        dl.facts.small {
            @for (name, value) in rows {
                @if !value.is_empty() { dt { (name) } dd { (value) } }
            }
        }
    }
}
