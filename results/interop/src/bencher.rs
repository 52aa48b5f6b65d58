//! Bencher Metric Format (<https://bencher.dev/docs/reference/bencher-metric-format>): benchmarks, their measures, a value each.

use crate::{ImportError, Measured, fitting, json, sample, wrong};
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Metric {
    value: f64,
}

/// Every benchmark. Bencher's own measures become metrics of ours: `latency`, in nanoseconds, is `iteration_time`, and
/// `build-time`, in seconds, is too, as a benchmark that builds takes it. All others keep their names, without unit.
pub fn read(file: &str, text: &str) -> Result<Vec<Measured>, ImportError> {
    let all: BTreeMap<String, BTreeMap<String, Metric>> = json(file, text)?;
    let benchmark = |(name, measures): (&String, &BTreeMap<String, Metric>)| {
        let mut samples = Vec::new();
        for (measure, Metric { value }) in measures {
            let refused = |problem: String| wrong(file, format!("{name}.{measure}"), problem);
            fitting(measure).map_err(refused)?;
            if !value.is_finite() {
                return Err(refused(format!("{value} cannot be compared")));
            }
            samples.push(match measure.as_str() {
                "latency" => sample("iteration_time", value / 1e9),
                "build-time" => sample("iteration_time", *value),
                other => sample(other, *value),
            });
        }
        Measured::new("bencher", name, text, Ok(samples)).map_err(|problem| wrong(file, name, problem))
    };
    all.iter().map(benchmark).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of its documentation.
    #[test]
    fn benchmarks_have_measures() {
        let text = r#"{
            "benchmark_name": {
                "latency": {"value": 88.0, "lower_value": 87.42, "upper_value": 88.88},
                "throughput": {"value": 5.55, "lower_value": 3.14, "upper_value": 6.30}
            },
            "/bin/sh -c ./my_build_script.sh": {"build-time": {"value": 87.0}},
            "my_binary": {"file-size": {"value": 42.0}}
        }"#;
        let all: Vec<_> =
            read("a.json", text).unwrap().into_iter().map(|one| (one.name, one.outcome.unwrap())).collect();
        assert_eq!(
            all,
            [
                ("/bin/sh -c ./my_build_script.sh".into(), vec![sample("iteration_time", 87.0)]),
                ("benchmark_name".into(), vec![sample("iteration_time", 88e-9), sample("throughput", 5.55)]),
                ("my_binary".into(), vec![sample("file-size", 42.0)]),
            ]
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, expected) in [
            ("[]", "a.json: invalid type: sequence"),
            (r#"{"a":{"b":{}}}"#, "a.json: `a.b`: missing field `value`"),
            (r#"{"a":{"b":{"value":1e999}}}"#, "a.json: `a.b.value`: number out of range"),
            (r#"{"a":{"":{"value":1}}}"#, "a.json: `a.`: \"\" is not a name"),
            (r#"{"a\nb":{}}"#, "a.json: `a\nb`: \"a\\nb\" is not a name"),
        ] {
            let error = read("a.json", text).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
    }
}
