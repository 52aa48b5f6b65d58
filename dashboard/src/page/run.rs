//! A run's page: what happened, second by second, and whether the network was what it claimed.

use super::Frame;
use super::cross::cross;
use crate::chart::{Content, Ink, Lane, Section, Timeline, Trace, timeline};
use crate::html::{commit, glue, outcome, plural, shell, subject, svg, time};
use longhaul_record::{
    ExitState, Fidelity, LinkReport, METRICS, NatBehaviour, NatCheck, Outcome, PathCheck, ProcessReport, Recovery,
    Role, RunRecord, Sample, Trigger, Unit, metric, text,
};
use maud::{Markup, html};

/// The page.
pub(crate) fn run(frame: &Frame, run: &RunRecord) -> Markup {
    let content = html! {
        h1 { (glue(&headline(run))) }
        (who(frame, run))
        @if let Some(reason) = run.reason.as_ref().filter(|_| run.outcome != Outcome::Ok) {
            p.lead { (outcome(run.outcome)) " " (glue(reason)) }
        }
        @if run.trigger == Trigger::Import {
            p { (glue(&run.scenario_words)) }
            (samples(run))
        } @else {
            (over_time(run))
            (calibration(run))
            (samples(run))
            (links(run))
            (cross(&run.cross))
            (processes(run))
            (repeat(run))
        }
        (facts(run))
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
    let [fetcher] = hosts(run, Role::Fetcher)[..] else { return format!(": {text} in all") };
    let rate = run.calibration.paths.iter().filter(|path| path.to == fetcher).find_map(|path| path.rate.as_ref());
    match rate.filter(|rate| rate.asked_bps > 0 && run.changes.is_empty()) {
        Some(rate) => {
            let share = (goodput / rate.asked_bps as f64 * 100.0).round();
            format!(": {text}, {share} % of the line’s rate")
        }
        None => format!(": {text}"),
    }
}

fn who(frame: &Frame, run: &RunRecord) -> Markup {
    let detail = run.commit_detail.as_ref();
    html! {
        p.quiet {
            a href=(frame.links.scenario(&run.scenario)) { (run.scenario) }
            " · " (subject(&run.subject))
            @if run.commit.is_some() { " at " (commit(run.commit.as_deref(), detail.is_some_and(|d| d.dirty))) }
            " · seed " (run.seed) " · " (time(run.started_ms))
            @if run.outcome == Outcome::Ok && is_compared(run) { " · verified byte for byte" }
        }
        p { (glue(&run.scenario_words)) }
    }
}

/// Throughput, queue and losses on one clock.
fn over_time(run: &RunRecord) -> Markup {
    let trace = |name: &str, label: &str, ink: Ink| {
        run.series.iter().find(|series| series.name == name).map(|series| Trace {
            label: label.into(),
            ink,
            interval_s: f64::from(series.interval_ms) / 1000.0,
            values: series.values.clone(),
        })
    };
    let rates = [trace("wire", "on the wire", Ink::Soft), trace("payload", "payload", Ink::of_subject(&run.subject))];
    let lanes = vec![
        Lane::new("Throughput", Unit::BitsPerSecond, Content::Rate(rates.into_iter().flatten().collect())),
        Lane::new(
            "Queueing delay at the slowest link",
            Unit::Seconds,
            Content::Level(trace("queue", "queue", Ink::Queue).into_iter().collect()),
        ),
        Lane::new("Packets lost", Unit::Count, Content::Events(trace("lost", "lost", Ink::Bad).into_iter().collect())),
    ];
    let title = format!("{} on {} over time", run.subject, run.scenario);
    let marks: Vec<f64> = run.changes.iter().map(|change| change.at_ns as f64 / 1e9).collect();
    let runs = [Section { lanes, marks, ..Section::default() }];
    html! {
        h2 { @if run.outcome == Outcome::Ok { "Over time" } @else { "Over time, as far as it came" } }
        figure {
            div.on-wide { (svg(timeline(&Timeline { title: &title, width: 1072, runs: &runs }))) }
            div.on-narrow { (svg(timeline(&Timeline { title: &title, width: 348, runs: &runs }))) }
            figcaption.small {
                "From the start of the fetcher's process."
                @for (n, change) in run.changes.iter().enumerate() {
                    " " b { (n + 1) } " at " (text::nanoseconds(change.at_ns)) ": " (change.what) "."
                }
                @for recovery in &run.recoveries { " " (recovered(recovery)) }
            }
            (twin(run))
        }
    }
}

/// How a disturbance ended for the transfer, in a sentence.
fn recovered(recovery: &Recovery) -> String {
    let Recovery { from_ns, what, seconds, note, .. } = recovery;
    let then = match (seconds, note) {
        (Some(0.0), _) => "payload never ceased to flow, or flowed before it was over".to_owned(),
        (Some(seconds), _) => {
            format!("payload flowed again {} after it was over", text::trimmed(text::seconds(*seconds)))
        }
        (None, Some(note)) => format!("no recovery: {note}"),
        (None, None) => "no recovery".to_owned(),
    };
    format!("From {} on, {what}: {then}.", text::trimmed(text::nanoseconds(*from_ns)))
}

/// The lanes as a table of at most sixty rows; longer series are folded, each row the mean of its intervals.
fn twin(run: &RunRecord) -> Markup {
    let series: Vec<_> = run.series.iter().filter(|series| !series.values.is_empty()).collect();
    let longest = series.iter().map(|series| series.values.len()).max().unwrap_or(0);
    let fold = longest.div_ceil(60).max(1);
    let interval = series.first().map_or(0, |series| series.interval_ms);
    let same = series.iter().all(|series| series.interval_ms == interval);
    html! {
        @if longest > 0 && same {
            details {
                summary { "Over time as a table" }
                div.table.narrow {
                    table {
                        thead { tr { th.n { "From" } @for one in &series { th.n { (one.name) ", " (one.unit) } } } }
                        tbody {
                            @for row in 0..longest.div_ceil(fold) {
                                tr {
                                    td.n { (text::trimmed(text::seconds((row * fold) as f64 * f64::from(interval) / 1e3))) }
                                    @for one in &series { td.n { (folded(&one.values, row * fold, fold)) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn folded(values: &[f64], from: usize, count: usize) -> String {
    let part = values.get(from..(from + count).min(values.len())).unwrap_or_default();
    if part.is_empty() {
        return "–".into();
    }
    let mean = part.iter().sum::<f64>() / part.len() as f64;
    if mean.abs() >= 1000.0 { text::count(mean.round()) } else { text::trimmed(text::digits(mean)) }
}

fn calibration(run: &RunRecord) -> Markup {
    html! {
        h2 { "Was the network what it claimed to be?" }
        @if run.calibration.paths.is_empty() {
            p { "It was not probed, so nothing proves what it was." }
        } @else {
            div.table {
                table {
                    thead {
                        tr {
                            th { "Direction" } th.n { "Delay asked" } th.n { "Got, median" } th.n { "p99" }
                            th.n { "Loss asked" } th.n { "Got" } th.n { "Rate asked" } th.n { "Got" }
                            th.n { "MTU asked" } th.n { "Got" }
                        }
                    }
                    tbody { @for path in &run.calibration.paths { (path_row(path)) } }
                }
            }
        }
        @if !run.calibration.nats.is_empty() { (nats(&run.calibration.nats)) }
        p.quiet { (glue(&fidelity(&run.fidelity))) }
    }
}

/// Each host's way to the internet in RFC 4787's terms: one line of what was asked, one of what was got.
fn nats(checks: &[NatCheck]) -> Markup {
    let cells = |behaviour: &Option<NatBehaviour>| match behaviour {
        Some(behaviour) => html! { @for (_, word) in behaviour.parts() { td { (word) } } },
        None => html! { td colspan="4" { "no UDP gets through" } },
    };
    html! {
        div.table {
            table {
                thead {
                    tr {
                        th { "In front of" } th { "" } th { "Mapping" } th { "Filtering" } th { "Port" } th { "Hairpinning" }
                    }
                }
                tbody {
                    @for check in checks {
                        tr { td.nowrap { (check.host) } td { "asked" } (cells(&check.asked)) }
                        tr { td { "" } td { @if check.got == check.asked { "got" } @else { span.bad { "got" } } } (cells(&check.got)) }
                    }
                }
            }
        }
    }
}

fn path_row(path: &PathCheck) -> Markup {
    let (delay, loss) = (&path.delay, &path.loss);
    let got = |ns: u64| text::seconds(ns as f64 / 1e9);
    let odd =
        [(path.reordered, "out of order", path.reorder_asked), (path.duplicated, "twice", path.duplicate_ppb > 0)];
    html! {
        tr {
            td.nowrap {
                (path.from) " → " (path.to)
                @for (count, word, asked) in odd {
                    @if count > 0 { span.below.bad[!asked] { (count) " " (word) } }
                }
            }
            td.n {
                (text::nanoseconds(delay.asked_ns))
                @if delay.varies { span.below { "at best" } }
                @if delay.jitter_ns > 0 { span.below { "+ up to " (text::nanoseconds(delay.jitter_ns)) } }
            }
            td.n { (got(delay.median_ns)) }
            td.n { (got(delay.p99_ns)) }
            td.n { @if loss.asked_ppb == 0 { "none" } @else { (text::percent(f64::from(loss.asked_ppb) / 1e9)) } }
            td.n {
                @if loss.sent == 0 { "–" }
                @else if loss.lost == 0 { "none" span.below { "of " (text::count(loss.sent as f64)) } }
                @else {
                    (text::percent(loss.lost as f64 / loss.sent as f64))
                    span.below { (loss.lost) " of " (text::count(loss.sent as f64)) }
                }
            }
            @match &path.rate {
                Some(rate) => {
                    td.n {
                        (text::trimmed(text::bits_per_second(rate.asked_bps as f64)))
                        @if rate.varies { span.below { "on average" } }
                    }
                    td.n { (text::bits_per_second(rate.got_bps as f64)) }
                }
                None => { td.n.quiet { "no limit" } td.n.quiet { "–" } }
            }
            @match path.mtu {
                Some(mtu) => { td.n { (mtu.asked) } td.n { (mtu.got) } }
                None => { td.n.quiet { "–" } td.n.quiet { "–" } }
            }
        }
    }
}

/// What the emulator saw of itself, in two sentences.
fn fidelity(fidelity: &Fidelity) -> String {
    if fidelity.released == 0 {
        return "While it ran, the emulator released no packet.".into();
    }
    let ns = text::nanoseconds;
    let drops: Vec<String> = fidelity
        .unintended_drops
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(cause, count)| format!("{count} ({cause})"))
        .collect();
    let waited = match fidelity.backlog_share {
        share if share < 0.005 => "No packet had to wait for it".to_string(),
        share => format!("Packets waited for it {} of the time", text::percent((share * 100.0).round() / 100.0)),
    };
    let drops = if drops.is_empty() {
        "It lost nothing of its own.".to_string()
    } else {
        format!("It lost packets of its own: {}.", crate::html::listed(&drops))
    };
    format!(
        "While it ran, the emulator released packets {} late at the median, {} at the 99th percentile and {} at worst. {drops} \
         {waited}. Its loop stood still for {} at most; it was busy {} of the time, {} real-time priority.",
        ns(fidelity.lateness_p50_ns),
        ns(fidelity.lateness_p99_ns),
        ns(fidelity.lateness_max_ns),
        ns(fidelity.longest_gap_ns),
        text::percent((fidelity.busy_share * 100.0).round() / 100.0),
        if fidelity.realtime { "with" } else { "without" },
    )
}

fn samples(run: &RunRecord) -> Markup {
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

fn links(run: &RunRecord) -> Markup {
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

fn processes(run: &RunRecord) -> Markup {
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

fn repeat(run: &RunRecord) -> Markup {
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

fn facts(run: &RunRecord) -> Markup {
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
