//! What a comparison came to, for people: a table in the terminal, and a page of Markdown.

use super::{ended, short};
use crate::error::CliError;
use crate::table;
use longhaul_record::{Comparison, End, MetricChange, RanIn, SeedGain, Side, SuccessChange, Verdict, text};

const HEADER: [&str; 8] = ["Scenario", "Metric", "Base", "Change", "95 % interval", "q", "Seen from", "Verdict"];
const NONE: &str = "\u{2013}";

/// The comparison as JSON.
pub(crate) fn json(comparison: &Comparison) -> Result<serde_json::Value, CliError> {
    serde_json::to_value(comparison)
        .map_err(|error| CliError::Environment { what: "cannot write a comparison as JSON", source: error.into() })
}

/// The table and what has to be said beside it. Without `all`, metrics that neither decide nor have changed are left out.
pub(crate) fn table(comparison: &Comparison, all: bool) -> String {
    let mut page = title(comparison);
    let (rows, left_out) = rows(comparison, all);
    if !rows.is_empty() {
        page += &format!("\n{}", table::plain(&HEADER, rows.into_iter()));
    }
    for sentence in sentences(comparison, left_out) {
        page += &format!("\n{sentence}");
    }
    page
}

/// The same as a page of Markdown.
pub(crate) fn markdown(comparison: &Comparison) -> String {
    let escape = |text: &String| text.replace('|', "\\|").replace('<', "&lt;");
    let (rows, left_out) = rows(comparison, false);
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut page = format!("### {}\n\n{}\n", verdict_words(comparison), escape(&title(comparison)));
    if !rows.is_empty() {
        page += &format!("\n{}", line(HEADER.map(str::to_owned).to_vec()));
        page += &format!("|{}\n", "---|".repeat(HEADER.len()));
        rows.iter().for_each(|row| page += &line(row.iter().map(escape).collect()));
    }
    for sentence in sentences(comparison, left_out).iter().skip(1) {
        page += &format!("\n{}\n", escape(sentence));
    }
    page
}

fn title(comparison: &Comparison) -> String {
    let side = |side: &Side| {
        let changed = if side.detail.dirty { ", with changes" } else { "" };
        format!("{} ({}{changed})", side.revision, short(&side.commit))
    };
    let Comparison { subject, base, head, .. } = comparison;
    table::clean(&format!("{subject}: from {} to {}", side(base), side(head)))
}

/// One row for each scenario's successes and metrics, and how many were left out.
fn rows(comparison: &Comparison, all: bool) -> (Vec<Vec<String>>, usize) {
    let mut rows = Vec::new();
    let mut left_out = 0;
    for ran in comparison.scenarios.iter().filter(|ran| ran.compared.blocks > 0) {
        rows.push(success(ran, &ran.compared.success));
        for change in &ran.compared.metrics {
            let called = matches!(change.verdict, Verdict::Regressed | Verdict::Improved);
            match all || change.decides || change.noisy || called {
                true => rows.push(row(change)),
                false => left_out += 1,
            }
        }
    }
    (rows, left_out)
}

fn success(ran: &RanIn, success: &SuccessChange) -> Vec<String> {
    let blocks = ran.compared.blocks;
    let SuccessChange { base_ok, head_ok, .. } = success;
    let change = if base_ok == head_ok {
        "0".to_owned()
    } else {
        format!("{:+}", i64::from(*head_ok) - i64::from(*base_ok)).replace('-', "\u{2212}")
    };
    let interval =
        success.head_interval.map(|[low, high]| format!("{:.0}\u{2013}{:.0} % ok", low * 100.0, high * 100.0));
    let detectable = success.detectable.map(|share| format!("{:.0} % failing", share * 100.0));
    [
        table::clean(&ran.scenario),
        "went well".to_owned(),
        format!("{base_ok} of {blocks}"),
        change,
        interval.unwrap_or_else(|| NONE.to_owned()),
        text::probability(success.q),
        detectable.unwrap_or_else(|| NONE.to_owned()),
        success.verdict.as_str().to_owned(),
    ]
    .into()
}

fn row(change: &MetricChange) -> Vec<String> {
    let interval = change.interval.map(|[low, high]| match change.difference {
        true => format!("{} to {}", change.moved(low), change.moved(high)),
        // One sign of percent is enough.
        false => format!("{} to {}", text::change(low).trim_end_matches(" %"), text::change(high)),
    });
    let open = !matches!(change.verdict, Verdict::Regressed | Verdict::Improved);
    let verdict = if change.noisy && open {
        format!("{} (noisy)", change.verdict.as_str())
    } else {
        change.verdict.as_str().into()
    };
    [
        String::new(),
        change.name(),
        change.unit().text(change.base),
        change.moved(change.shift),
        interval.unwrap_or_else(|| NONE.to_owned()),
        text::probability(change.q),
        change.least().unwrap_or_else(|| NONE.to_owned()),
        verdict,
    ]
    .map(|text| table::clean(&text))
    .into()
}

/// The verdict in words.
pub(crate) fn verdict_words(comparison: &Comparison) -> String {
    match (comparison.verdict, &comparison.end) {
        (Some(verdict), _) => verdict.as_str().to_owned(),
        (None, End::SameProgram) => "both programs are the same".to_owned(),
        (None, _) => "no verdict: nothing went well".to_owned(),
    }
}

/// The first is the verdict.
fn sentences(comparison: &Comparison, left_out: usize) -> Vec<String> {
    let end = &comparison.end;
    if *end == End::SameProgram {
        let words = "Both programs are the same, byte for byte: there is nothing to compare, and nothing was run. `--aa` runs them \
                     all the same, to see how often this machine is fooled.";
        return vec![words.to_owned()];
    }
    let blocks = comparison.scenarios.iter().map(|ran| format!("{} in {}", ran.compared.blocks, ran.scenario));
    let blocks = blocks.collect::<Vec<_>>().join(", ");
    let mut sentences =
        vec![format!("{}: {}; blocks: {}.", verdict_words(comparison), ended(end), table::clean(&blocks))];
    if comparison.is_of_the_same_program() {
        sentences
            .push("Both programs are the same, byte for byte: whatever is said to have changed has not.".to_owned());
    }
    let noisy: Vec<&MetricChange> = changes(comparison).filter(|change| change.noisy).collect();
    if !noisy.is_empty() {
        let words = "Noisy: there is too much noise here to say that such a metric has not changed, so it does not decide; the \
                     column \u{201c}Seen from\u{201d} says how large a change would have been seen.";
        sentences.push(words.to_owned());
    }
    let missing: Vec<&str> =
        comparison.scenarios.iter().flat_map(|ran| &ran.compared.missing).map(String::as_str).collect();
    if !missing.is_empty() {
        sentences.push(format!("Asked for, and in no pair of runs: {}.", missing.join(", ")));
    }
    let untrusted: u32 = comparison.scenarios.iter().map(|ran| ran.compared.untrusted).sum();
    if untrusted > 0 {
        sentences.push(format!("{untrusted} blocks more could not be trusted and do not count."));
    }
    sentences.push(seeds(comparison));
    if left_out > 0 {
        sentences.push(format!("{left_out} more metrics neither decide nor have changed; `--all` shows them."));
    }
    sentences
}

fn changes(comparison: &Comparison) -> impl Iterator<Item = &MetricChange> {
    comparison.scenarios.iter().flat_map(|ran| &ran.compared.metrics)
}

/// What it was good for that both runs of a block had the same seed.
fn seeds(comparison: &Comparison) -> String {
    let of = |change: &MetricChange, SeedGain { ratio, interval: [low, high], blocks }: SeedGain| {
        let [ratio, low, high] = [ratio, low, high].map(text::digits);
        let peer = change.peer.as_ref().map(|peer| format!(" of the {peer}")).unwrap_or_default();
        format!("{}{peer} {ratio} times ({low} to {high}, {blocks} blocks)", change.metric)
    };
    let measured: Vec<String> = comparison
        .scenarios
        .iter()
        .flat_map(|ran| {
            let deciding = ran.compared.metrics.iter().filter(|change| change.decides || change.noisy);
            deciding
                .filter_map(|change| Some(format!("{}, {}", table::clean(&ran.scenario), of(change, change.seeds?))))
        })
        .collect();
    match measured.is_empty() {
        true => "What shared seeds gain was not measured; `--independent` does.".to_owned(),
        false => format!("Variance with independent seeds, by that with shared ones: {}.", measured.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_store::testing::comparison::comparison;

    #[test]
    fn a_report_says_what_has_changed_and_what_could_have_been_seen() {
        let page = table(&comparison(1, Some(Verdict::Regressed)), false);
        for words in [
            "reference: from main (",
            "20 of 20",
            "\u{2212}1",
            "76–99 % ok",
            "Bytes on the wire",
            "+7.3 %",
            "+6.1 to +8.4 %",
            "0.0006",
            "1.8 %",
            "regressed: everything that decides is decided; blocks: 20 in lossy-1pct.",
            "Asked for, and in no pair of runs: instructions.",
            "1 blocks more could not be trusted",
            "lossy-1pct, wire_bytes 8.10 times (3.20 to 20.4, 20 blocks)",
        ] {
            assert!(page.contains(words), "{words}: {page}");
        }
    }

    /// What comes from programs and repositories can neither move the cursor nor make a cell, a link or a tag.
    #[test]
    fn hostile_names_are_only_names() {
        let mut hostile = comparison(1, Some(Verdict::Unchanged));
        hostile.base.revision = "a|b<img src=x>\u{1b}[2J".to_owned();
        hostile.scenarios[0].scenario = "x|y<b>\u{7}".to_owned();
        let page = markdown(&hostile);
        assert!(page.contains("a\\|b&lt;img src=x>") && page.contains("| x\\|y&lt;b>"), "{page}");
        let terminal = table(&hostile, true);
        assert!([page, terminal].iter().all(|text| !text.contains(['\u{1b}', '\u{7}'])));
    }
}
