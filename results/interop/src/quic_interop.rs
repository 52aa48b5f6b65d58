//! The results of the QUIC interop runner (<https://github.com/quic-interop/quic-interop-runner>): every client with every
//! server, what worked and how fast.

use crate::{ImportError, Measured, json, sample, wrong};
use serde::Deserialize;

#[derive(Deserialize)]
struct Matrix {
    start_time: Option<f64>,
    servers: Vec<String>,
    clients: Vec<String>,
    /// Of each pair, client by client.
    results: Vec<Vec<Case>>,
    measurements: Vec<Vec<Case>>,
}

#[derive(Deserialize)]
struct Case {
    abbr: String,
    name: Option<String>,
    /// Nothing where it was not tried.
    result: Option<String>,
    details: Option<String>,
}

/// Every test case and measurement of every pair; a subject is `server, fetched by client`. What a side does not support is
/// left out. A measurement is `goodput`; a test case is that it worked, or why not.
pub fn read(file: &str, text: &str) -> Result<Vec<Measured>, ImportError> {
    let matrix: Matrix = json(file, text)?;
    let pairs = matrix.clients.len() * matrix.servers.len();
    for (place, rows) in [("results", &matrix.results), ("measurements", &matrix.measurements)] {
        if rows.len() != pairs {
            let problem = format!("{} entries, but there are {pairs} pairs of client and server", rows.len());
            return Err(wrong(file, place, problem));
        }
    }
    let at_ms = matrix.start_time.map(|seconds| (seconds * 1000.0) as i64);
    let names = matrix.clients.iter().flat_map(|client| matrix.servers.iter().map(move |server| (server, client)));
    let mut all = Vec::new();
    for (pair, (server, client)) in names.enumerate() {
        let subject = format!("{server}, fetched by {client}");
        for (place, cases) in [("results", &matrix.results[pair]), ("measurements", &matrix.measurements[pair])] {
            for (n, case) in cases.iter().enumerate() {
                let refused = |problem: String| wrong(file, format!("{place}[{pair}][{n}]"), problem);
                let Some(outcome) = outcome(case, place == "measurements").map_err(refused)? else { continue };
                let name = format!("quic-interop {}", case.name.as_ref().unwrap_or(&case.abbr));
                let measured = Measured::new("quic-interop", &name, text, outcome).map_err(refused)?;
                crate::fitting(&subject).map_err(refused)?;
                all.push(Measured { subject: subject.clone(), at_ms, ..measured });
            }
        }
    }
    Ok(all)
}

/// What came of a case; nothing where nothing was tried.
fn outcome(case: &Case, measures: bool) -> Result<Option<Result<Vec<longhaul_record::Sample>, String>>, String> {
    let details = case.details.as_deref().unwrap_or_default();
    match case.result.as_deref() {
        None | Some("unsupported") => Ok(None),
        Some("failed") if details.is_empty() => Ok(Some(Err("failed".to_owned()))),
        Some("failed") => Ok(Some(Err(format!("failed: {details}")))),
        Some("succeeded") if measures => Ok(Some(Ok(vec![sample("goodput", goodput(details)?)]))),
        Some("succeeded") => Ok(Some(Ok(Vec::new()))),
        Some(other) => Err(format!("`{other}` is none of succeeded, failed and unsupported")),
    }
}

/// Bits per second of `9264 (± 36) kbps`.
fn goodput(details: &str) -> Result<f64, String> {
    let unknown = || format!("`{details}` is not like `9264 (± 36) kbps`");
    let (number, unit) =
        details.split_once(' ').zip(details.rsplit_once(' ')).map(|(a, b)| (a.0, b.1)).ok_or_else(unknown)?;
    let factor = match unit {
        "bps" => 1.0,
        "kbps" => 1e3,
        "Mbps" => 1e6,
        _ => return Err(unknown()),
    };
    let number = number.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0);
    number.map(|number| number * factor).ok_or_else(unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"start_time":1700000000.5,"end_time":1700000100,"log_dir":"x","servers":["quic-go","ngtcp2"],
        "clients":["quinn"],"urls":{},"tests":{},"quic_version":"0x1",
        "results":[[{"abbr":"H","name":"handshake","result":"succeeded"},{"abbr":"LR","name":"longrtt","result":"unsupported"}],
                   [{"abbr":"H","result":"failed"},{"abbr":"Z","result":null}]],
        "measurements":[[{"name":"goodput","abbr":"G","result":"succeeded","details":"9264 (± 36) kbps"}],
                        [{"name":"goodput","abbr":"G","result":"failed","details":""}]]}"#;

    #[test]
    fn pairs_are_subjects() {
        let all = read("a.json", GOOD).unwrap();
        let rows: Vec<_> = all.into_iter().map(|one| (one.subject, one.name, one.outcome)).collect();
        let row = |server: &str, name: &str, outcome| {
            (format!("{server}, fetched by quinn"), format!("quic-interop {name}"), outcome)
        };
        assert_eq!(
            rows,
            [
                row("quic-go", "handshake", Ok(vec![])),
                row("quic-go", "goodput", Ok(vec![sample("goodput", 9_264_000.0)])),
                row("ngtcp2", "H", Err("failed".into())),
                row("ngtcp2", "goodput", Err("failed".into())),
            ]
        );
        assert_eq!(read("a.json", GOOD).unwrap()[0].at_ms, Some(1_700_000_000_500));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let rows = [
            (r#""clients":["quinn"]"#, r#""clients":[]"#, "a.json: `results`: 2 entries, but there are 0 pairs"),
            ("9264 (± 36) kbps", "fast", "a.json: `measurements[0][0]`: `fast` is not like"),
            (r#""unsupported""#, r#""maybe""#, "a.json: `results[0][1]`: `maybe` is none of"),
            (r#""servers""#, r#""hosts""#, "a.json: missing field `servers`"),
        ];
        for (from, to, expected) in rows {
            assert!(GOOD.contains(from), "{from}");
            let error = read("a.json", &GOOD.replace(from, to)).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
