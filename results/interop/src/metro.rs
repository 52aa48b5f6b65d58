//! The numbers that iroh's platform of before kept ("metro", of `chuck`): a list, each with its own commit.

use crate::{ImportError, Measured, fitting, json, sample, wrong};
use serde::Deserialize;

#[derive(Deserialize)]
struct Metrics {
    metrics: Vec<Metric>,
}

#[derive(Deserialize)]
struct Metric {
    commitish: String,
    bucket: String,
    name: String,
    tag: Option<String>,
    value: f64,
    /// Seconds since 1970.
    timestamp: Option<f64>,
}

/// Every number: `bucket` and `tag` are the scenario, `name` is the metric, without a unit.
pub fn read(file: &str, text: &str) -> Result<Vec<Measured>, ImportError> {
    let all: Metrics = json(file, text)?;
    let measured = |(n, metric): (usize, &Metric)| {
        let refused = |key: &str, problem: String| wrong(file, format!("metrics[{n}].{key}"), problem);
        if !metric.value.is_finite() {
            return Err(refused("value", format!("{} cannot be compared", metric.value)));
        }
        let commit = metric.commitish.trim();
        if commit.is_empty() || !commit.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(refused("commitish", format!("{commit:?} is no commit")));
        }
        fitting(&metric.name).map_err(|problem| refused("name", problem))?;
        let name = match metric.tag.as_deref().filter(|tag| !tag.is_empty()) {
            Some(tag) => format!("{}, {tag}", metric.bucket),
            None => metric.bucket.clone(),
        };
        // Each number is a record of its own, so that one of a commit may come later than another.
        let own = format!("{commit} {name} {} {} {:?}", metric.name, metric.value, metric.timestamp);
        let one = Measured::new("metro", &name, &own, Ok(vec![sample(&metric.name, metric.value)]));
        let one = one.map_err(|problem| refused("bucket", problem))?;
        let at_ms = metric.timestamp.map(|seconds| (seconds * 1000.0) as i64);
        Ok(Measured { commit: Some(commit.to_owned()), at_ms, ..one })
    };
    all.metrics.iter().enumerate().map(measured).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_its_commit() {
        let text = r#"{"metrics":[
            {"commitish":"a1b2c3","bucket":"iroh","name":"throughput_gbps","tag":"1_to_1","value":4.5,"timestamp":1700000000},
            {"commitish":"a1b2c4","bucket":"iroh","name":"throughput_gbps","tag":"","value":4.5}]}"#;
        let [one, other] = read("a.json", text).unwrap().try_into().unwrap();
        assert_eq!((one.name.as_str(), one.commit.as_deref()), ("iroh, 1_to_1", Some("a1b2c3")));
        assert_eq!((one.at_ms, one.outcome), (Some(1_700_000_000_000), Ok(vec![sample("throughput_gbps", 4.5)])));
        assert_eq!((other.name.as_str(), other.at_ms), ("iroh", None));
        assert_ne!(one.hash, other.hash);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let good = r#"{"metrics":[{"commitish":"a1","bucket":"b","name":"n","tag":null,"value":1,"timestamp":1}]}"#;
        assert_eq!(read("a.json", good).unwrap().len(), 1);
        for (from, to, expected) in [
            (r#""a1""#, r#""""#, "a.json: `metrics[0].commitish`: \"\" is no commit"),
            (r#""b""#, r#""""#, "a.json: `metrics[0].bucket`: \"\" is not a name"),
            (r#""n","tag""#, r#""\n","tag""#, "a.json: `metrics[0].name`: \"\\n\" is not a name"),
            (r#""value":1"#, r#""value":"1""#, "a.json: `metrics[0].value`: invalid type"),
        ] {
            assert!(good.contains(from), "{from}");
            let error = read("a.json", &good.replace(from, to)).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
