//! `longhaul export score`: which share of a population's pairs a subject connects, and connects directly.

use crate::args::ScoreArgs;
use crate::error::CliError;
use crate::expectation::taken;
use crate::run::runtime;
use crate::{catalog, output, table};
use longhaul_record::{Exit, Outcome, RunRecord, text};
use longhaul_scenarios::{ExpectedPath, Weights};
use longhaul_stats::{Cell, Interval, Score, Success, score};
use longhaul_store::{RunFilter, RunSummary};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Prints the scores of every subject at the newest commit that has runs of it, or at the commit that is asked for.
pub(crate) fn command(args: &ScoreArgs) -> Result<Exit, CliError> {
    let weights = match &args.weights {
        Some(path) => Weights::parse(&path.to_string_lossy(), &catalog::read(path)?)?,
        None => Weights::parse(Weights::PLACEHOLDER.0, Weights::PLACEHOLDER.1)?,
    };
    let runtime = runtime()?;
    let records = runtime.block_on(async {
        let store = args.db.open_read_only().await?;
        let filter = RunFilter { commit: args.commit.clone(), limit: u32::MAX, ..RunFilter::default() };
        let mut records = Vec::new();
        for summary in newest(store.runs(&filter).await?, &weights) {
            records.extend(store.run(&summary.id).await?);
        }
        store.close().await;
        Ok::<_, CliError>(records)
    })?;
    let scores = scores(&records, &weights);
    if args.json {
        output::json(&as_json(&weights, &scores))?;
    } else {
        output::line(page(&weights, &scores))?;
    }
    Ok(Exit::Pass)
}

/// The runs that count: of each subject, those of its newest run's project and commit; of each pair of routers there, those
/// of the newest one's form of the scenario. `runs` come newest first.
fn newest(runs: Vec<RunSummary>, weights: &Weights) -> Vec<RunSummary> {
    let mut commits: BTreeMap<String, (String, Option<String>, bool)> = BTreeMap::new();
    let mut forms: BTreeMap<(String, String), String> = BTreeMap::new();
    let mut counts = |run: &RunSummary| {
        if weights.pair_of(&run.scenario).is_none() {
            return false;
        }
        let own = (run.project.clone(), run.commit.clone(), run.dirty);
        let commit = commits.entry(run.subject.clone()).or_insert_with(|| own.clone());
        if *commit != own {
            return false;
        }
        let form = forms.entry((run.subject.clone(), run.scenario.clone()));
        *form.or_insert_with(|| run.scenario_hash.clone()) == run.scenario_hash
    };
    runs.into_iter().filter(|run| counts(run)).collect()
}

/// What the runs of one subject come to.
struct Scores<'a> {
    subject: &'a str,
    commit: Option<&'a str>,
    /// Runs that say something about it.
    runs: u64,
    /// Pairs that are connected somehow; `None` if none was tried.
    connected: Option<Score>,
    /// Pairs that are connected without a relay; `None` also if it never says.
    direct: Option<Score>,
    /// Pairs without a run, the heaviest first, with their weight.
    missing: Vec<([&'a str; 2], f64)>,
}

fn scores<'a>(records: &'a [RunRecord], weights: &'a Weights) -> Vec<Scores<'a>> {
    let mut subjects: Vec<&RunRecord> = Vec::new();
    for record in records {
        if subjects.iter().all(|other| other.subject != record.subject) {
            subjects.push(record);
        }
    }
    subjects.sort_by(|a, b| a.subject.cmp(&b.subject));
    let of = |first: &&'a RunRecord| {
        let own = records.iter().filter(|record| record.subject == first.subject);
        of_subject(first, &own.collect::<Vec<_>>(), weights)
    };
    subjects.iter().map(of).collect()
}

fn of_subject<'a>(first: &'a RunRecord, own: &[&'a RunRecord], weights: &'a Weights) -> Scores<'a> {
    let (mut connected, mut direct, mut missing, mut runs) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for (pair, weight) in weights.pairs() {
        let of_pair = || own.iter().filter(|record| weights.pair_of(&record.scenario) == Some(pair));
        let Success { ok, tried } = Success::of(of_pair().map(|record| record.outcome));
        connected.push(Cell { weight, hits: ok, trials: tried });
        // A run that went well and does not say which way says nothing about the way.
        let good = || of_pair().filter(|record| record.outcome == Outcome::Ok);
        let silent = good().filter(|record| taken(record).is_none()).count() as u64;
        let hits = good().filter(|record| taken(record) == Some(ExpectedPath::Direct)).count() as u64;
        direct.push(Cell { weight, hits, trials: tried - silent });
        runs += tried;
        if tried == 0 {
            missing.push((pair, weight));
        }
    }
    missing.sort_by(|a, b| b.1.total_cmp(&a.1));
    let says = own.iter().any(|record| record.outcome == Outcome::Ok && taken(record).is_some());
    Scores {
        subject: &first.subject,
        commit: first.commit.as_deref(),
        runs,
        connected: score(&connected),
        direct: score(&direct).filter(|_| says),
        missing,
    }
}

/// The heaviest pairs without a run that are named.
const NAMED: usize = 5;

fn page(weights: &Weights, scores: &[Scores]) -> String {
    let Weights { name, summary, scenario, .. } = weights;
    let summary = if summary.is_empty() { String::new() } else { format!(" ({summary})") };
    let mut page = format!("Pairs of users of the population `{name}`{summary}, by the runs of `{scenario}`.");
    if scores.is_empty() {
        return page + &format!("\nNothing of it has been measured yet: `longhaul run {scenario}`.");
    }
    page += " Shares are of all pairs, with their 95 % intervals; pairs without a run count as not connected.\n";
    let row = |one: &Scores| {
        let unknown = one.connected.map_or(1.0, |score| score.unknown);
        let commit = one.commit.map_or("none", |commit| &commit[..commit.len().min(8)]);
        let texts = [one.subject.into(), commit.into(), share(one.connected), share(one.direct), percent(unknown)];
        texts.into_iter().chain([one.runs.to_string()]).collect()
    };
    page +=
        &table::plain(&["Subject", "Commit", "Connected", "Directly", "Without a run", "Runs"], scores.iter().map(row));
    for one in scores.iter().filter(|one| !one.missing.is_empty()) {
        let named = one.missing.iter().take(NAMED).map(|([a, b], weight)| format!("{a} to {b} ({})", percent(*weight)));
        let more = if one.missing.len() > NAMED { ", …" } else { "" };
        let named = named.collect::<Vec<_>>().join(", ");
        page += &format!("\n{}: {} pairs without a run: {named}{more}", one.subject, one.missing.len());
    }
    page
}

fn share(score: Option<Score>) -> String {
    score.map_or_else(
        || "–".to_owned(),
        |Score { share, interval: Interval { low, high }, .. }| {
            format!("{} ({:.1}–{:.1} %)", percent(share), low * 100.0, high * 100.0)
        },
    )
}

fn percent(share: f64) -> String {
    text::trimmed(text::percent(share))
}

fn as_json(weights: &Weights, scores: &[Scores]) -> Value {
    let score = |score: Option<Score>| {
        score.map(|Score { share, interval, unknown }| {
            json!({ "share": share, "low": interval.low, "high": interval.high, "without_a_run": unknown })
        })
    };
    let one = |one: &Scores| {
        json!({
            "subject": one.subject,
            "commit": one.commit,
            "runs": one.runs,
            "connected": score(one.connected),
            "direct": score(one.direct),
            "missing": one.missing.iter().map(|(pair, weight)| json!({ "pair": pair, "weight": weight })).collect::<Value>(),
        })
    };
    json!({ "population": weights.name, "scenario": weights.scenario, "subjects": scores.iter().map(one).collect::<Value>() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_record::Sample;
    use longhaul_store::testing::sample::{self, Shape};

    fn weights() -> Weights {
        let text = "schema = 1\nname = \"mine\"\nscenario = \"nat\"\n[weights]\nhome = \"80%\"\nmobile = \"20%\"\n";
        Weights::parse("my.toml", text).unwrap()
    }

    fn run(pair: [&str; 2], outcome: Outcome, says: Option<&str>) -> RunRecord {
        let mut record = sample::run(Shape { network: 0, subject: "reference", commit: 1, iteration: 0 });
        record.scenario = format!("nat[nat.a={},nat.b={}]", pair[0], pair[1]);
        record.outcome = outcome;
        record.samples =
            says.map(|metric| Sample { metric: metric.into(), peer: None, value: 1.0 }).into_iter().collect();
        record
    }

    #[test]
    fn pairs_count_by_their_weight_and_missing_ones_are_said() {
        let weights = weights();
        let records = [
            run(["home", "home"], Outcome::Ok, Some("time_to_direct")),
            run(["home", "home"], Outcome::SubjectFailed, None),
            run(["home", "mobile"], Outcome::Ok, Some("relayed_bytes")),
            run(["mobile", "home"], Outcome::Untrusted, None),
        ];
        let scores = scores(&records, &weights);
        let one = &scores[0];
        let near = |score: Option<Score>, share: f64| score.is_some_and(|score| (score.share - share).abs() < 1e-9);
        assert!(near(one.connected, 0.64 / 2.0 + 0.16), "{:?}", one.connected);
        assert!(near(one.direct, 0.64 / 2.0), "{:?}", one.direct);
        assert_eq!((one.runs, one.missing.len()), (3, 2), "an untrusted run is none");
        let page = page(&weights, &scores);
        for words in
            ["48 % (", "32 % (", "20 %", "2 pairs without a run: mobile to home (16 %), mobile to mobile (4 %)"]
        {
            assert!(page.contains(words), "{words}: {page}");
        }
        assert_eq!(as_json(&weights, &scores)["subjects"][0]["missing"][1]["pair"], json!(["mobile", "mobile"]));
    }

    #[test]
    fn a_subject_that_does_not_say_which_way_has_no_share_of_direct_ones() {
        let weights = weights();
        let records = [run(["home", "home"], Outcome::Ok, None)];
        let scores = scores(&records, &weights);
        assert!(scores[0].connected.is_some() && scores[0].direct.is_none());
        assert!(page(&weights, &[]).contains("`longhaul run nat`"));
    }

    #[test]
    fn only_the_newest_commit_and_form_of_a_subject_count() {
        let summary = |commit, iteration, hash: &str| {
            let mut record = run(["home", "home"], Outcome::Ok, None);
            let other = sample::run(Shape { network: 0, subject: "reference", commit, iteration });
            (record.id, record.commit, record.scenario_hash) = (other.id, other.commit, hash.to_owned());
            RunSummary::of(&record)
        };
        let runs = vec![summary(2, 0, "new"), summary(2, 1, "old"), summary(1, 0, "new"), summary(2, 2, "new")];
        let expect: Vec<String> = [&runs[0], &runs[3]].map(|run| run.id.clone()).into();
        let got: Vec<String> = newest(runs, &weights()).into_iter().map(|run| run.id).collect();
        assert_eq!(got, expect);
    }
}
