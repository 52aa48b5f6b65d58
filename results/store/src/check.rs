//! What a record must satisfy before any backend takes it.

use longhaul_record::{COMPARISON_SCHEMA, Comparison, Outcome, RunRecord, SCHEMA, SYNTHETIC_HOST, Trigger};
use std::collections::BTreeSet;

/// The largest seed that JSON keeps exact.
const MAX_SEED: u64 = (1 << 53) - 1;

/// The largest number that is kept: twice as much, and the difference of two, are still finite.
const MAX_VALUE: f64 = 1e300;

/// How a record breaks the contract.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Problem {
    /// Written by a newer longhaul.
    #[error("its schema is {found}, this longhaul knows up to {known}; use the newer longhaul that wrote it")]
    NewerSchema {
        /// The record's schema.
        found: u32,
        /// The newest that can be read.
        known: u32,
    },
    /// A text that names something is empty.
    #[error("`{field}` is empty")]
    Empty {
        /// The field.
        field: &'static str,
    },
    /// The seed would not survive JSON.
    #[error("its seed {seed} is larger than 2^53 - 1")]
    Seed {
        /// The seed.
        seed: u64,
    },
    /// It ends before it starts.
    #[error("it ends {by_ms} ms before it starts")]
    EndsBeforeStart {
        /// By how much.
        by_ms: i64,
    },
    /// A sample, a series value or a flow's goodput is infinite, beyond any real one, or not a number.
    #[error("`{name}` holds a value that is not finite")]
    NotFinite {
        /// The metric, series or flow.
        name: String,
    },
    /// Two samples of the same metric and side.
    #[error("`{metric}` is there twice")]
    Twice {
        /// The metric, with its side.
        metric: String,
    },
    /// Invented, and said to be of a real machine; or the other way round.
    #[error(
        "its trigger is `{trigger}` and its machine `{host}`: what is invented, and only that, is of `{SYNTHETIC_HOST}`"
    )]
    Invented {
        /// The trigger.
        trigger: &'static str,
        /// The machine's fingerprint.
        host: String,
    },
    /// A run that did not complete carries numbers, or hides why it failed.
    #[error("its outcome is `{outcome}`, yet {what}")]
    Contradiction {
        /// The outcome.
        outcome: &'static str,
        /// What does not fit.
        what: &'static str,
    },
}

/// Checks what every backend relies on.
pub fn check(run: &RunRecord) -> Result<(), Problem> {
    if run.schema > SCHEMA {
        return Err(Problem::NewerSchema { found: run.schema, known: SCHEMA });
    }
    for (field, value) in [
        ("id", &run.id),
        ("project", &run.project),
        ("scenario", &run.scenario),
        ("scenario_hash", &run.scenario_hash),
        ("subject", &run.subject),
    ] {
        if value.is_empty() {
            return Err(Problem::Empty { field });
        }
    }
    if run.commit.as_deref() == Some("") {
        return Err(Problem::Empty { field: "commit" });
    }
    if (run.trigger == Trigger::Synthetic) != (run.host.fingerprint == SYNTHETIC_HOST) {
        return Err(Problem::Invented { trigger: run.trigger.as_str(), host: run.host.fingerprint.clone() });
    }
    if run.seed > MAX_SEED {
        return Err(Problem::Seed { seed: run.seed });
    }
    if run.ended_ms < run.started_ms {
        return Err(Problem::EndsBeforeStart { by_ms: run.started_ms.saturating_sub(run.ended_ms) });
    }
    check_numbers(run)?;
    let what = match run.outcome {
        Outcome::Ok => return Ok(()),
        _ if run.reason.is_none() => "it gives no reason",
        // Untrusted numbers are kept as evidence in the record; they join no series.
        Outcome::Untrusted => return Ok(()),
        _ if !run.samples.is_empty() => "it carries samples; a failed run never becomes a number",
        _ => return Ok(()),
    };
    Err(Problem::Contradiction { outcome: run.outcome.as_str(), what })
}

/// Checks what every backend relies on in a comparison.
pub fn check_comparison(comparison: &Comparison) -> Result<(), Problem> {
    let Comparison { base, head, started_ms, ended_ms, .. } = comparison;
    if comparison.schema > COMPARISON_SCHEMA {
        return Err(Problem::NewerSchema { found: comparison.schema, known: COMPARISON_SCHEMA });
    }
    let names = [("id", &comparison.id), ("project", &comparison.project), ("subject", &comparison.subject)];
    for (field, value) in names.into_iter().chain([("base.commit", &base.commit), ("head.commit", &head.commit)]) {
        if value.is_empty() {
            return Err(Problem::Empty { field });
        }
    }
    if comparison.seed > MAX_SEED {
        return Err(Problem::Seed { seed: comparison.seed });
    }
    if ended_ms < started_ms {
        return Err(Problem::EndsBeforeStart { by_ms: started_ms.saturating_sub(*ended_ms) });
    }
    let changes = comparison.scenarios.iter().flat_map(|ran| &ran.compared.metrics);
    for change in changes {
        let ends = change.interval.into_iter().flatten();
        let numbers = [change.delta, change.base, change.head, change.shift, change.p, change.q];
        if numbers.into_iter().chain(ends).chain(change.detectable).any(|number| !number.is_finite()) {
            return Err(Problem::NotFinite { name: change.metric.clone() });
        }
    }
    Ok(())
}

fn check_numbers(run: &RunRecord) -> Result<(), Problem> {
    let mut seen = BTreeSet::new();
    for sample in &run.samples {
        if !sample.value.is_finite() || sample.value.abs() > MAX_VALUE {
            return Err(Problem::NotFinite { name: sample.metric.clone() });
        }
        if !seen.insert((&sample.metric, &sample.peer)) {
            let peer = sample.peer.as_ref().map(|peer| format!(" of the {peer}")).unwrap_or_default();
            return Err(Problem::Twice { metric: format!("{}{peer}", sample.metric) });
        }
    }
    let shares = run.processes.iter().flat_map(|p| [("cpu_user_s", p.cpu_user_s), ("cpu_system_s", p.cpu_system_s)]);
    let emulator = [("busy_share", run.fidelity.busy_share), ("backlog_share", run.fidelity.backlog_share)];
    for (name, value) in shares.chain(emulator) {
        if !value.is_finite() {
            return Err(Problem::NotFinite { name: name.into() });
        }
    }
    if let Some(flow) = run.cross.iter().find(|flow| !flow.goodput_bps.is_finite()) {
        return Err(Problem::NotFinite { name: flow.label() });
    }
    match run.series.iter().find(|series| series.values.iter().any(|value| !value.is_finite())) {
        Some(series) => Err(Problem::NotFinite { name: series.name.clone() }),
        None => Ok(()),
    }
}
