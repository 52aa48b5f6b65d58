//! Whether the network was what it claimed to be: probed before the run, watched during it.

use crate::html::glue;
use longhaul_record::{Fidelity, NatBehaviour, NatCheck, PathCheck, RunRecord, text};
use maud::{Markup, html};

pub(super) fn calibration(run: &RunRecord) -> Markup {
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
