//! Two versions, measured in pairs on the same networks: what changed, and what could have been seen.

use super::Frame;
use super::commits::spreads;
use crate::chart::{Shift, interval};
use crate::html::{commit_link, glue, listed, plural, shell, subject, svg, time, verdict};
use longhaul_record::{Comparison, Direction, End, MetricChange, RanIn, Side, SuccessChange, Verdict, metric, text};
use longhaul_store::CommitValues;
use maud::{Markup, html};

/// The page. `old` and `new` are what was measured of both commits, in these pairs and apart from them.
pub(crate) fn comparison(frame: &Frame, comparison: &Comparison, [old, new]: [&[CommitValues]; 2]) -> Markup {
    let content = html! {
        h1 { (glue(&headline(comparison))) }
        (lead(frame, comparison))
        @if comparison.scenarios.iter().any(|ran| ran.compared.blocks > 0) {
            h2 { "What changed" }
            p.small.quiet { "A shift within the grey is too small to matter to its metric; the line is its 95 % interval." }
            (table(frame, comparison))
            (spread(comparison, old, new))
        }
        (trust(comparison))
        h2 { "Run it yourself" }
        pre { code { (command(comparison)) } }
    };
    frame.page(&title(comparison), "compare", &content)
}

fn title(comparison: &Comparison) -> String {
    let short = crate::html::short;
    format!("{} from {} to {}", comparison.subject, short(&comparison.base.commit), short(&comparison.head.commit))
}

/// Every metric that was called, the largest change of each scenario; or that none was.
fn headline(comparison: &Comparison) -> String {
    if comparison.end == End::SameProgram {
        return "Both versions are the same program: there is nothing to compare.".into();
    }
    let called = |wanted: Verdict| -> Vec<String> {
        let worst = |ran: &RanIn| {
            let changes = ran.compared.metrics.iter().filter(|change| change.verdict == wanted);
            let change = changes.max_by(|a, b| weight(a).total_cmp(&weight(b)));
            let by_success = ran.compared.success.verdict == wanted;
            match (change, by_success) {
                (_, true) => Some(format!("{} {}", ran.scenario, succeeded(&ran.compared.success))),
                (Some(change), _) => {
                    Some(format!("{} on {}, {}", change.name(), ran.scenario, change.moved(change.shift)))
                }
                (None, false) => None,
            }
        };
        comparison.scenarios.iter().filter_map(worst).collect()
    };
    let (worse, better) = (called(Verdict::Regressed), called(Verdict::Improved));
    match (worse.is_empty(), better.is_empty(), comparison.verdict) {
        (false, true, _) => format!("Worse: {}.", listed(&worse)),
        (false, false, _) => format!("Worse: {}. Better: {}.", listed(&worse), listed(&better)),
        (true, false, _) => format!("Better: {}.", listed(&better)),
        (true, true, Some(Verdict::Unchanged)) => "No change that matters.".into(),
        (true, true, Some(Verdict::Untrusted)) => {
            "Nothing can be said: the networks were not what they had to be.".into()
        }
        (true, true, Some(_)) => "No change was shown, and none can be ruled out.".into(),
        (true, true, None) => "Nothing can be said: no pair of runs went well.".into(),
    }
}

fn weight(change: &MetricChange) -> f64 {
    // Deciding metrics come first.
    let size = change.shift.abs() / change.delta.max(f64::MIN_POSITIVE);
    if change.decides { size + 1e9 } else { size }
}

fn succeeded(success: &SuccessChange) -> String {
    format!("went well {} times instead of {}", success.head_ok, success.base_ok)
}

fn lead(frame: &Frame, comparison: &Comparison) -> Markup {
    let Comparison { base, head, scenarios, .. } = comparison;
    let side = |side: &Side| {
        html! {
            (commit_link(frame, &side.commit))
            @if side.detail.dirty { " with changes" }
            @if !side.detail.summary.is_empty() { " “" (side.detail.summary) "”" }
        }
    };
    let blocks: u32 = scenarios.iter().map(|ran| ran.compared.blocks).sum();
    let took = minutes(comparison.ended_ms - comparison.started_ms);
    html! {
        p.lead {
            (subject(&comparison.subject)) " from " (side(base)) " to " (side(head)) ". Both were built and run in turn on the \
            same machine; both runs of a pair met the same losses. "
            (plural(u64::from(blocks), "pair")) " on " (plural(scenarios.len() as u64, "network")) " in " (glue(&took)) ", "
            (time(comparison.started_ms)) "."
        }
        @if let Some(one) = comparison.verdict { p { (verdict(one)) " " span.quiet { (ended(&comparison.end)) } } }
    }
}

/// "9 min 30 s".
fn minutes(ms: i64) -> String {
    match ms / 1000 {
        seconds @ ..120 => format!("{seconds} s"),
        seconds => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

fn ended(end: &End) -> String {
    match end {
        End::Decided => "Everything that decides is decided.".into(),
        End::Blocks => "As many pairs as were allowed were run.".into(),
        End::Budget => "The time was up.".into(),
        End::SameProgram => "Both programs are the same.".into(),
        End::Hopeless => "Too many runs failed or could not be trusted for more to help.".into(),
        End::Interrupted => "It was interrupted.".into(),
        End::Setup { reason } => format!("A run could not be set up: {reason}."),
    }
}

/// How the runs of both commits lie, for what was called.
fn spread(comparison: &Comparison, old: &[CommitValues], new: &[CommitValues]) -> Markup {
    let called = |change: &&MetricChange| matches!(change.verdict, Verdict::Regressed | Verdict::Improved);
    let changes = comparison
        .scenarios
        .iter()
        .flat_map(|ran| ran.compared.metrics.iter().filter(called).map(move |change| (ran.scenario.as_str(), change)));
    let find = |all: &[CommitValues], scenario: &str, change: &MetricChange| -> Option<CommitValues> {
        let of = |one: &&CommitValues| {
            one.scenario == scenario
                && one.subject == comparison.subject
                && one.metric == change.metric
                && one.peer == change.peer
        };
        all.iter().find(of).cloned()
    };
    let pairs: Vec<[CommitValues; 2]> = changes
        .filter_map(|(scenario, change)| Some([find(old, scenario, change)?, find(new, scenario, change)?]))
        .collect();
    let pairs: Vec<[&CommitValues; 2]> = pairs.iter().map(|[old, new]| [old, new]).collect();
    let short = crate::html::short;
    spreads(&pairs, [short(&comparison.base.commit), short(&comparison.head.commit)])
}

/// What was called first, then what decides, then the rest.
fn table(frame: &Frame, comparison: &Comparison) -> Markup {
    let mut rows: Vec<(&RanIn, &MetricChange)> = comparison
        .scenarios
        .iter()
        .flat_map(|ran| ran.compared.metrics.iter().map(move |change| (ran, change)))
        .collect();
    let rank = |change: &MetricChange| match change.verdict {
        Verdict::Regressed => 0,
        Verdict::Improved => 1,
        _ if change.decides => 2,
        _ if change.noisy => 3,
        _ => 4,
    };
    rows.sort_by(|(_, a), (_, b)| rank(a).cmp(&rank(b)).then(weight(b).total_cmp(&weight(a))));
    let (shown, folded): (Vec<_>, Vec<_>) = rows.into_iter().partition(|(_, change)| rank(change) < 4);
    html! {
        (successes(frame, comparison))
        (changes(frame, &shown))
        @if !folded.is_empty() {
            details {
                summary { (plural(folded.len() as u64, "metric")) " more, of which none has changed" }
                (changes(frame, &folded))
            }
        }
    }
}

fn changes(frame: &Frame, rows: &[(&RanIn, &MetricChange)]) -> Markup {
    html! {
        div.table {
            table data-sortable {
                thead {
                    tr {
                        th { "Network" } th { "Metric" } th.n { "Base" } th { "Shift, 95 % interval" }
                        th.n { "Shift" } th.n { "q" } th { "Verdict" } th.n title="The smallest shift that as many pairs would have shown" { "Seen from" }
                        th.n { "Pairs" }
                    }
                }
                tbody {
                    @for (ran, change) in rows {
                        tr.mid {
                            td { a href=(frame.history(&ran.scenario, &change.metric, change.peer.as_deref())) { (ran.scenario) } }
                            td.nowrap title=[metric(&change.metric).map(|metric| metric.definition)] {
                                (change.name())
                                @if change.noisy { span.quiet.small { ", noisy here" } }
                            }
                            td.n data-value=(change.base) { (change.unit().text(change.base)) }
                            td { (drawn(change)) }
                            td.n.nowrap data-value=(change.shift) { span class=(crate::html::verdict_class(change.verdict)) { (change.moved(change.shift)) } }
                            td.n data-value=(change.q) { (text::probability(change.q)) }
                            td { (verdict(change.verdict)) }
                            td.n data-value=(change.detectable.unwrap_or(f64::MAX)) { (change.least().unwrap_or_else(|| "–".into())) }
                            td.n { (change.blocks) }
                        }
                    }
                }
            }
        }
    }
}

/// Better is always the same side of nothing: up is right.
fn drawn(change: &MetricChange) -> Markup {
    let [low, high] = change.interval.unwrap_or([change.shift; 2]);
    let better = match metric(&change.metric).map(|metric| metric.direction) {
        Some(Direction::Higher) => "more is better",
        Some(Direction::Lower) => "less is better",
        None => "",
    };
    let words = match change.interval {
        Some([low, high]) => format!(
            "{}, between {} and {}; {better}",
            change.moved(change.shift),
            change.moved(low),
            change.moved(high)
        ),
        None => format!("{}, without an interval; {better}", change.moved(change.shift)),
    };
    svg(interval(&Shift {
        title: &format!("Shift of {}", change.name()),
        words: &words,
        low,
        middle: change.shift,
        high,
        delta: change.delta,
        class: crate::html::verdict_class(change.verdict),
    }))
}

fn successes(frame: &Frame, comparison: &Comparison) -> Markup {
    let failed = |ran: &&RanIn| {
        let success = &ran.compared.success;
        success.base_ok.min(success.head_ok) < ran.compared.blocks
    };
    let rows: Vec<&RanIn> = comparison.scenarios.iter().filter(failed).collect();
    html! {
        @if !rows.is_empty() {
            div.table.narrow {
                table {
                    thead { tr { th { "Network" } th.n { "Base went well" } th.n { "Head went well" } th.n { "q" } th { "Verdict" } } }
                    tbody {
                        @for ran in rows {
                            @let success = &ran.compared.success;
                            tr {
                                td { a href=(frame.links.scenario(&ran.scenario)) { (ran.scenario) } }
                                td.n { (success.base_ok) " of " (ran.compared.blocks) }
                                td.n { (success.head_ok) " of " (ran.compared.blocks) }
                                td.n { (text::probability(success.q)) }
                                td { (verdict(success.verdict)) }
                            }
                        }
                    }
                }
            }
        } @else {
            p.quiet { "Every run of every pair went well." }
        }
    }
}

/// What has to be known before the table is believed.
fn trust(comparison: &Comparison) -> Markup {
    let untrusted: u32 = comparison.scenarios.iter().map(|ran| ran.compared.untrusted).sum();
    let missing: Vec<String> =
        comparison.scenarios.iter().flat_map(|ran| ran.compared.missing.iter().cloned()).collect();
    let gains =
        comparison.scenarios.iter().flat_map(|ran| ran.compared.metrics.iter().map(move |change| (ran, change)));
    let gains: Vec<String> = gains
        .filter(|(_, change)| change.decides || change.noisy)
        .filter_map(|(ran, change)| {
            let gain = change.seeds?;
            let [ratio, low, high] = [gain.ratio, gain.interval[0], gain.interval[1]].map(text::digits);
            Some(format!("{ratio} times ({low} to {high}) in {} on {}", change.name().to_lowercase(), ran.scenario))
        })
        .collect();
    html! {
        h2 { "Can this be trusted?" }
        @if comparison.is_of_the_same_program() {
            p { "Both programs are the same, byte for byte: whatever is said to have changed has not. Such comparisons show how \
                often this machine is fooled." }
        }
        p {
            "The q-values are corrected for all " (plural(u64::from(comparison.questions), "question")) " of this comparison. "
            @if untrusted > 0 { (plural(u64::from(untrusted), "more pair")) " could not be trusted and count for nothing. " }
            @else { "Every network was what it claimed to be, in every pair. " }
            @if !missing.is_empty() { "Asked for, and in no pair: " (listed(&missing)) ". " }
            @if !gains.is_empty() {
                "With the same losses on both sides, the changes vary less than with losses of their own: the variance is smaller "
                (listed(&gains)) "."
            }
        }
    }
}

fn command(comparison: &Comparison) -> String {
    let mut words = vec!["longhaul".to_owned(), "compare".into(), comparison.base.commit.clone()];
    match comparison.head.detail.dirty {
        true => words.push("--dirty".into()),
        false => words.push(comparison.head.commit.clone()),
    }
    for ran in &comparison.scenarios {
        words.extend(["--scenario".into(), ran.scenario.clone()]);
    }
    words.extend(["--subject".into(), comparison.subject.clone(), "--seed".into(), comparison.seed.to_string()]);
    words.iter().map(|word| shell(word)).collect::<Vec<_>>().join(" ")
}
