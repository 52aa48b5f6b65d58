//! Policy files: what a change has to satisfy before it may go in.

use crate::error::{FileError, nearest, parse};
use crate::quantity::{Nanos, Ppb};
use longhaul_record::{METRICS, metric};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::collections::BTreeMap;
use toml::Spanned;

/// What gates.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// The subject that is compared; `None`: the one that is built from the repository.
    pub subject: Option<String>,
    /// Names, tags, patterns or files of scenarios, each with its line in the policy.
    pub scenarios: Vec<(String, usize)>,
    /// How long it may take, in nanoseconds, builds not counted.
    pub budget_ns: u64,
    /// The most blocks of each scenario.
    pub blocks: u32,
    /// What happens where a metric is neither shown to have changed nor not to have.
    pub inconclusive: Inconclusive,
    /// Metrics that gate, each with its relative δ if it is not the usual one. Empty: the usual metrics.
    pub metrics: BTreeMap<String, Option<f64>>,
}

/// What an inconclusive comparison does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Inconclusive {
    /// It does not pass: exit code 3.
    #[default]
    Fail,
    /// It passes, and the report says so.
    Pass,
}

const SCHEMA: u32 = 1;
const BUDGET_NS: u64 = 600_000_000_000;
const BLOCKS: u32 = 40;
/// Fewer blocks can show nothing, more of them nothing that anybody would wait for.
const FEWEST_BLOCKS: u32 = 8;
const MOST_BLOCKS: u32 = 200;

/// The file as written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PolicyFile {
    /// Version of the file's form: 1
    schema: u32,
    /// Name or file of the subject; absent: the one that is built from the repository
    subject: Option<String>,
    /// Names, tags, patterns or files of scenarios
    #[schemars(with = "Vec<String>")]
    scenarios: Vec<Spanned<String>>,
    /// How long it may take, without builds; absent: 10 min
    budget: Option<Nanos>,
    /// The most blocks of each scenario, from 8 to 200; absent: 40
    #[schemars(with = "Option<u32>")]
    blocks: Option<Spanned<u32>>,
    /// What an inconclusive comparison does; absent: fail
    #[serde(default)]
    inconclusive: Inconclusive,
    /// Metrics that gate; absent: the usual ones
    #[serde(default)]
    metrics: BTreeMap<MetricName, MetricFile>,
}

/// What is said of a metric.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MetricFile {
    /// The smallest change that matters; absent: the metric's own
    delta: Option<Ppb>,
}

/// The id of a metric that there is.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct MetricName(String);

impl<'de> Deserialize<'de> for MetricName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<MetricName, D::Error> {
        let name = String::deserialize(deserializer)?;
        match metric(&name) {
            Some(_) => Ok(MetricName(name)),
            None => {
                let near = nearest(&name, METRICS.iter().map(|metric| metric.id));
                let hint = near
                    .map_or_else(|| "; GLOSSARY.md lists them".to_owned(), |near| format!("; did you mean `{near}`?"));
                Err(D::Error::custom(format!("no metric is named `{name}`{hint}")))
            }
        }
    }
}

impl JsonSchema for MetricName {
    fn schema_name() -> Cow<'static, str> {
        "MetricName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names: Vec<&str> = METRICS.iter().map(|metric| metric.id).collect();
        json_schema!({ "description": "The id of a metric", "enum": names })
    }
}

impl Policy {
    /// Reads a policy file. `file` is its name for error messages.
    pub fn parse(file: &str, text: &str) -> Result<Policy, FileError> {
        let written: PolicyFile = parse(file, text)?;
        let line = |at: usize| text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1;
        if written.schema != SCHEMA {
            let found = written.schema;
            let message = format!("schema {found} is not known to this version of longhaul; it reads {SCHEMA}");
            return Err(FileError::new(file, "schema", message));
        }
        if written.scenarios.is_empty() {
            return Err(FileError::new(file, "scenarios", "nothing is compared without one; name a scenario or a tag"));
        }
        let blocks = written.blocks.as_ref().map_or(BLOCKS, |blocks| *blocks.get_ref());
        if !(FEWEST_BLOCKS..=MOST_BLOCKS).contains(&blocks) {
            let at = written.blocks.as_ref().map_or(0, |blocks| line(blocks.span().start));
            let message = format!("line {at}: {blocks} blocks: use {FEWEST_BLOCKS} to {MOST_BLOCKS}");
            return Err(FileError::new(file, "blocks", message));
        }
        let delta = |metric: &MetricFile| metric.delta.as_ref().map(|delta| f64::from(delta.0) / 1e9);
        if let Some((MetricName(name), _)) = written.metrics.iter().find(|(_, metric)| delta(metric) == Some(0.0)) {
            let message = "every change is larger than 0 %; use the smallest one that matters";
            return Err(FileError::new(file, format!("metrics.{name}.delta"), message));
        }
        let scenario = |name: Spanned<String>| (name.get_ref().clone(), line(name.span().start));
        Ok(Policy {
            subject: written.subject,
            budget_ns: written.budget.map_or(BUDGET_NS, |budget| budget.0),
            blocks,
            inconclusive: written.inconclusive,
            metrics: written.metrics.iter().map(|(MetricName(name), metric)| (name.clone(), delta(metric))).collect(),
            scenarios: written.scenarios.into_iter().map(scenario).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rest: &str) -> Result<Policy, String> {
        Policy::parse("p.toml", &format!("schema = 1\n{rest}")).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_left_out_is_as_usual() {
        let policy =
            of("scenarios = [\n  \"dsl\",\n  \"quick\",\n]\n[metrics]\nwire_bytes = {}\ntotal_time.delta = \"5%\"")
                .unwrap();
        assert_eq!(policy.scenarios, [("dsl".to_owned(), 3), ("quick".to_owned(), 4)]);
        assert_eq!((policy.budget_ns, policy.blocks, policy.inconclusive), (BUDGET_NS, 40, Inconclusive::Fail));
        assert_eq!(policy.metrics, [("total_time".to_owned(), Some(0.05)), ("wire_bytes".to_owned(), None)].into());
    }

    #[test]
    fn mistakes_say_where_and_what_to_do() {
        for (rest, words) in [
            (
                "scenarios = [\"dsl\"]\nbudgte = \"5min\"",
                &["p.toml", "line 3", "`budgte`", "did you mean `budget`?"][..],
            ),
            (
                "scenarios = [\"dsl\"]\n[metrics]\nwire_byte = {}",
                &["line 4", "`wire_byte`", "did you mean `wire_bytes`?"],
            ),
            ("scenarios = [\"dsl\"]\n[metrics]\nxyz = {}", &["line 4", "GLOSSARY.md"]),
            ("scenarios = [\"dsl\"]\n[metrics.wire_bytes]\ndelta = 5", &["metrics.wire_bytes.delta", "line 4"]),
            ("scenarios = [\"dsl\"]\n[metrics.wire_bytes]\ndelta = \"0%\"", &["smallest one that matters"]),
            ("scenarios = [\"dsl\"]\ninconclusive = \"maybe\"", &["line 3", "`maybe`", "`pass`"]),
            ("scenarios = [\"dsl\"]\nblocks = 7", &["line 3", "use 8 to 200"]),
            ("scenarios = []", &["scenarios", "name a scenario"]),
            ("", &["scenarios"]),
        ] {
            let error = of(rest).unwrap_err();
            for word in words {
                assert!(error.contains(word), "{word}: {error}");
            }
        }
        assert!(
            Policy::parse("p.toml", "schema = 2\nscenarios = [\"dsl\"]").unwrap_err().to_string().contains("schema 2")
        );
    }

    #[test]
    fn the_repositorys_own_policy_is_a_good_one() {
        let policy = Policy::parse("ci/policy.toml", include_str!("../../ci/policy.toml")).unwrap();
        let shipped = |name: &str| crate::suite().iter().any(|(file, _)| *file == format!("suite/{name}.toml"));
        assert!(policy.scenarios.iter().all(|(name, _)| shipped(name)), "{policy:?}");
    }
}
