//! What github-action-benchmark takes as `customSmallerIsBetter` and `customBiggerIsBetter`
//! (<https://github.com/benchmark-action/github-action-benchmark>): an array of names, units and values.

use crate::{ImportError, Measured, json, sample, seconds_of, wrong};
use longhaul_record::Direction;
use serde::Deserialize;

#[derive(Deserialize)]
struct Entry {
    name: String,
    unit: String,
    value: f64,
}

/// Every entry. Times become `iteration_time`, where smaller is better; any other keeps its unit in its name.
pub fn read(file: &str, text: &str, better: Direction) -> Result<Vec<Measured>, ImportError> {
    let entries: Vec<Entry> = json(file, text)?;
    let entry = |(n, Entry { name, unit, value }): (usize, &Entry)| {
        if !value.is_finite() {
            return Err(wrong(file, format!("[{n}].value"), format!("{value} cannot be compared")));
        }
        let (name, sample) = match (seconds_of(unit), better) {
            (Some(seconds), Direction::Lower) => (name.clone(), sample("iteration_time", value * seconds)),
            (_, Direction::Lower) => (format!("{name} [{unit}]"), sample("smaller_is_better", *value)),
            (_, Direction::Higher) => (format!("{name} [{unit}]"), sample("bigger_is_better", *value)),
        };
        let measured = Measured::new("github-action-benchmark", &name, text, Ok(vec![sample]));
        measured.map_err(|problem| wrong(file, format!("[{n}].name"), problem))
    };
    entries.iter().enumerate().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of its documentation, and a time.
    #[test]
    fn entries_have_units() {
        let text = r#"[
            {"name": "My Custom Smaller Is Better Benchmark - CPU Load", "unit": "Percent", "value": 50},
            {"name": "Parse", "unit": "ns/iter", "value": 120, "range": "3", "extra": "x"}
        ]"#;
        let all = |better| -> Vec<_> {
            let all = read("a.json", text, better).unwrap().into_iter();
            all.map(|one| (one.name, one.outcome.unwrap().pop().unwrap())).collect()
        };
        let load = "My Custom Smaller Is Better Benchmark - CPU Load [Percent]";
        assert_eq!(
            all(Direction::Lower),
            [
                (load.to_owned(), sample("smaller_is_better", 50.0)),
                ("Parse".into(), sample("iteration_time", 120.0 * 1e-9))
            ]
        );
        assert_eq!(all(Direction::Higher)[1], ("Parse [ns/iter]".to_owned(), sample("bigger_is_better", 120.0)));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, expected) in [
            ("{}", "a.json: invalid type: map"),
            (r#"[{"name":"a","unit":"s"}]"#, "a.json: `[0]`: missing field `value`"),
            (r#"[{"name":"a","unit":"\u0007","value":1}]"#, "a.json: `[0].name`: \"a [\\u{7}]\" is not a name"),
        ] {
            let error = read("a.json", text, Direction::Lower).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
    }
}
