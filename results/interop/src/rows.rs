//! Results as a table: a row for each number of a run, and one for each run that has none.
//!
//! It is what spreadsheets and data frames take: CSV ([`csv`]) and Parquet ([`parquet`]). The proof of a run does not fit into
//! it; [`crate::records`] keeps all.

pub mod csv;
pub mod parquet;

use crate::{ImportError, bare, fitting, wrong};
use longhaul_record::{CommitDetail, HostDetail, Outcome, RunRecord, Sample};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// A number of a run, with what the run was. Without metric and value: a run that has no number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The run's id.
    pub run: String,
    /// Name of the project.
    pub project: String,
    /// Full hash of the commit, if any.
    pub commit: Option<String>,
    /// Its author date, in milliseconds since 1970-01-01T00:00:00Z.
    pub authored_ms: Option<i64>,
    /// The branch.
    pub branch: Option<String>,
    /// Whether the tree differed from the commit.
    pub dirty: bool,
    /// Name of the scenario.
    pub scenario: String,
    /// Hash of its resolved form.
    pub scenario_hash: String,
    /// Name of the subject.
    pub subject: String,
    /// Fingerprint of the machine.
    pub host: String,
    /// Seed of the network.
    pub seed: u64,
    /// Repetition within its command.
    pub iteration: u32,
    /// Start, in milliseconds since 1970-01-01T00:00:00Z.
    pub started_ms: i64,
    /// End, in the same unit.
    pub ended_ms: i64,
    /// How it ended.
    pub outcome: String,
    /// Why it is not `ok`.
    pub reason: Option<String>,
    /// Metric id.
    pub metric: Option<String>,
    /// Which side, where the metric has one for each.
    pub peer: Option<String>,
    /// The value, in the metric's base unit.
    pub value: Option<f64>,
}

impl Row {
    /// The rows of a run.
    pub fn of(run: &RunRecord) -> Vec<Row> {
        let detail = run.commit_detail.as_ref();
        let row = |sample: Option<&Sample>| Row {
            run: run.id.clone(),
            project: run.project.clone(),
            commit: run.commit.clone(),
            authored_ms: detail.map(|detail| detail.authored_ms),
            branch: detail.and_then(|detail| detail.branch.clone()),
            dirty: detail.is_some_and(|detail| detail.dirty),
            scenario: run.scenario.clone(),
            scenario_hash: run.scenario_hash.clone(),
            subject: run.subject.clone(),
            host: run.host.fingerprint.clone(),
            seed: run.seed,
            iteration: run.iteration,
            started_ms: run.started_ms,
            ended_ms: run.ended_ms,
            outcome: run.outcome.as_str().to_owned(),
            reason: run.reason.clone(),
            metric: sample.map(|sample| sample.metric.clone()),
            peer: sample.and_then(|sample| sample.peer.clone()),
            value: sample.map(|sample| sample.value),
        };
        match run.samples.as_slice() {
            [] => vec![row(None)],
            samples => samples.iter().map(|sample| row(Some(sample))).collect(),
        }
    }
}

/// The runs that rows are of, in the order in which they begin. They have no evidence, and say so in their words.
pub fn runs(file: &str, rows: impl IntoIterator<Item = Row>) -> Result<Vec<RunRecord>, ImportError> {
    let mut runs: Vec<RunRecord> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for (number, row) in rows.into_iter().enumerate() {
        let refused = |problem: String| wrong(file, format!("row {}", number + 1), problem);
        let sample = number_of(&row).map_err(refused)?;
        let place = *places.entry(row.run.clone()).or_insert(runs.len());
        let run = run_of(row).map_err(refused)?;
        if place == runs.len() {
            runs.push(run.clone());
        } else if (RunRecord { samples: Vec::new(), ..runs[place].clone() }) != run {
            return Err(refused(format!("run {} is told otherwise in an earlier row", run.id)));
        }
        runs[place].samples.extend(sample);
    }
    if runs.is_empty() { Err(wrong(file, "", "there are no rows")) } else { Ok(runs) }
}

fn number_of(row: &Row) -> Result<Option<Sample>, String> {
    match (&row.metric, row.value) {
        (Some(metric), Some(value)) => {
            fitting(metric)?;
            Ok(Some(Sample { metric: metric.clone(), peer: row.peer.clone(), value }))
        }
        (None, None) => Ok(None),
        (Some(metric), None) => Err(format!("`{metric}` has no value")),
        (None, Some(value)) => Err(format!("{value} is of no metric")),
    }
}

/// The run, without its numbers.
fn run_of(row: Row) -> Result<RunRecord, String> {
    for name in [&row.run, &row.project, &row.scenario, &row.scenario_hash, &row.subject, &row.host] {
        fitting(name)?;
    }
    let outcome = Outcome::parse(&row.outcome);
    let outcome = outcome.ok_or_else(|| format!("`{}` is no outcome of a run", row.outcome))?;
    let detail = CommitDetail {
        parents: Vec::new(),
        authored_ms: row.authored_ms.unwrap_or(row.started_ms),
        branch: row.branch,
        summary: String::new(),
        dirty: row.dirty,
    };
    let host = HostDetail {
        fingerprint: row.host,
        cpu: "not told".to_owned(),
        cores: 0,
        memory_bytes: 0,
        kernel: String::new(),
        boot_id: String::new(),
        runner_version: String::new(),
        tcp_congestion_control: String::new(),
        plane: String::new(),
    };
    Ok(RunRecord {
        id: row.run,
        project: row.project,
        commit_detail: row.commit.is_some().then_some(detail),
        commit: row.commit,
        scenario_words: format!("{}, imported as a table, without its evidence.", row.scenario),
        scenario_resolved: format!("imported as a table: {}", row.scenario),
        scenario: row.scenario,
        scenario_hash: row.scenario_hash,
        subject: row.subject,
        seed: row.seed,
        iteration: row.iteration,
        started_ms: row.started_ms,
        ended_ms: row.ended_ms,
        outcome,
        reason: row.reason,
        ..bare(host)
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn rows() -> Vec<Row> {
        let row = |run: &str, metric: Option<&str>, value: Option<f64>| Row {
            run: run.to_owned(),
            project: "p, q".into(),
            commit: Some("a".repeat(40)),
            authored_ms: Some(1_790_000_000_000),
            branch: None,
            dirty: false,
            scenario: "local \"x\"".into(),
            scenario_hash: "h".into(),
            subject: "curl".into(),
            host: "m".into(),
            seed: (1 << 53) - 1,
            iteration: 2,
            started_ms: 1_790_000_000_001,
            ended_ms: 1_790_000_000_002,
            outcome: if value.is_some() { "ok" } else { "timed_out" }.into(),
            reason: value.is_none().then(|| "too late,\nby far".into()),
            metric: metric.map(str::to_owned),
            peer: metric.filter(|metric| *metric == "cpu_seconds").map(|_| "fetcher".into()),
            value,
        };
        let numbers = [("goodput", 1e9), ("cpu_seconds", 0.1 + 0.2)].map(|(metric, value)| (Some(metric), Some(value)));
        let good = numbers.into_iter().map(|(metric, value)| row("1", metric, value));
        good.chain([row("2", None, None)]).collect()
    }

    #[test]
    fn rows_are_the_runs_they_came_from() {
        let runs = runs("a", rows()).unwrap();
        assert_eq!(runs.iter().map(|run| run.samples.len()).collect::<Vec<_>>(), [2, 0]);
        assert_eq!((runs[0].outcome, runs[1].outcome), (Outcome::Ok, Outcome::TimedOut));
        assert_eq!(runs.iter().flat_map(Row::of).collect::<Vec<_>>(), rows());
    }

    #[test]
    fn what_is_wrong_is_named() {
        type Spoil = fn(&mut Row);
        let mistakes: [(Spoil, &str); 5] = [
            (|row| row.value = None, "a: `row 2`: `cpu_seconds` has no value"),
            (|row| row.metric = None, "a: `row 2`: 0.30000000000000004 is of no metric"),
            (|row| row.outcome = "fine".into(), "a: `row 2`: `fine` is no outcome of a run"),
            (|row| row.seed = 1, "a: `row 2`: run 1 is told otherwise in an earlier row"),
            (|row| row.project = String::new(), "a: `row 2`: \"\" is not a name of 1 to 200 bytes on one line"),
        ];
        for (spoil, expected) in mistakes {
            let mut rows = rows();
            spoil(&mut rows[1]);
            assert_eq!(runs("a", rows).unwrap_err().to_string(), expected);
        }
        assert_eq!(runs("a", []).unwrap_err().to_string(), "a: there are no rows");
    }
}
