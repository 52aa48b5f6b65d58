//! hyperfine's `--export-json`, of versions 1 and 2 (<https://github.com/sharkdp/hyperfine>). Times are in seconds.

use crate::{ImportError, Measured, json, sample, wrong};
use serde::Deserialize;

#[derive(Deserialize)]
struct Export {
    schema_version: Option<u32>,
    results: Vec<Benchmark>,
}

#[derive(Deserialize)]
struct Benchmark {
    command: String,
    name: Option<String>,
    /// Version 1.
    median: Option<f64>,
    exit_codes: Option<Vec<Option<i32>>>,
    /// Version 2.
    measurements: Option<Vec<Measurement>>,
}

#[derive(Deserialize)]
struct Measurement {
    time_wall_clock: Quantity,
    exit_code: Option<i32>,
}

#[derive(Deserialize)]
struct Quantity {
    value: f64,
}

/// Every command of an export. `iteration_time` is the median of its runs: they were made at one sitting, so they are one
/// point. A command that failed has none.
pub fn read(file: &str, text: &str) -> Result<Vec<Measured>, ImportError> {
    let export: Export = json(file, text)?;
    if let Some(version) = export.schema_version.filter(|version| *version != 2) {
        let problem = format!("schema version {version} is not known; hyperfine 1 has none, hyperfine 2 has 2");
        return Err(wrong(file, "schema_version", problem));
    }
    let benchmark = |(n, benchmark): (usize, &Benchmark)| {
        let place = |key: &str| format!("results[{n}].{key}");
        let missing = |key: &str| wrong(file, place(key), "it is missing");
        let (median, codes) = match &benchmark.measurements {
            Some(measurements) => {
                let times: Vec<f64> = measurements.iter().map(|run| run.time_wall_clock.value).collect();
                (longhaul_stats::median(&times), measurements.iter().map(|run| run.exit_code).collect())
            }
            None => (benchmark.median, benchmark.exit_codes.clone().unwrap_or_default()),
        };
        let median = median.ok_or_else(|| missing("median"))?;
        if !(median.is_finite() && median >= 0.0) {
            return Err(wrong(file, place("median"), format!("{median} is no time")));
        }
        let failed = codes.iter().filter(|code| **code != Some(0)).count();
        let outcome = match failed {
            0 => Ok(vec![sample("iteration_time", median)]),
            failed => Err(format!("{failed} of {} runs exited with an error", codes.len())),
        };
        let name = benchmark.name.as_ref().unwrap_or(&benchmark.command);
        Measured::new("hyperfine", name, text, outcome).map_err(|problem| wrong(file, place("command"), problem))
    };
    export.results.iter().enumerate().map(benchmark).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_are_read() {
        let one = r#"{"results":[
            {"command":"sleep 1","mean":2,"stddev":1,"median":1.5,"user":0,"system":0,"min":1,"max":3,"times":[1,1.5,3],"exit_codes":[0,0,0]},
            {"command":"old","mean":2,"median":2,"user":0,"system":0,"min":1,"max":3},
            {"command":"sh x","median":2,"times":[1,3],"exit_codes":[0,null]}]}"#;
        let run = |seconds: f64, code: &str| {
            format!(r#"{{"time_wall_clock":{{"value":{seconds},"unit":"second"}},"exit_code":{code}}}"#)
        };
        let two = format!(
            r#"{{"schema_version":2,"metadata":{{}},"primary_metric":"time_wall_clock","results":[
                {{"command":"sleep 1","name":"nap","measurements":[{},{}],"summary":{{}}}},
                {{"command":"sh x","measurements":[{}]}}]}}"#,
            run(3.0, "0"),
            run(1.0, "0"),
            run(1.0, "null"),
        );
        let all = |text: &str| -> Vec<_> {
            let measured = read("a.json", text).unwrap().into_iter();
            measured.map(|measured| (measured.name, measured.outcome.map(|samples| samples[0].value))).collect()
        };
        let failed = |text: &str| Err(text.to_owned());
        assert_eq!(
            all(one),
            [
                ("sleep 1".into(), Ok(1.5)),
                ("old".into(), Ok(2.0)),
                ("sh x".into(), failed("1 of 2 runs exited with an error"))
            ]
        );
        assert_eq!(all(&two), [("nap".into(), Ok(2.0)), ("sh x".into(), failed("1 of 1 runs exited with an error"))]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let rows = [
            ("", "a.json: EOF while parsing"),
            ("[]", "a.json: "),
            (r#"{"results":[{"median":1}]}"#, "a.json: `results[0]`: missing field `command`"),
            (r#"{"results":[{"command":"x"}]}"#, "a.json: `results[0].median`: it is missing"),
            (r#"{"results":[{"command":"x","measurements":[]}]}"#, "a.json: `results[0].median`: it is missing"),
            (r#"{"results":[{"command":"x","median":-1}]}"#, "a.json: `results[0].median`: -1 is no time"),
            (r#"{"results":[{"command":"","median":1}]}"#, "a.json: `results[0].command`: \"\" is not a name"),
            (r#"{"results":[{"command":"x","median":"1"}]}"#, "a.json: `results[0].median`: invalid type"),
            (r#"{"schema_version":3,"results":[]}"#, "a.json: `schema_version`: schema version 3 is not known"),
        ];
        for (text, expected) in rows {
            let error = read("a.json", text).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
    }
}
