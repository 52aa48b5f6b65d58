//! iperf3's `--json` (<https://software.es.net/iperf/>), of one test each.

use crate::{ImportError, Measured, json, sample, wrong};
use serde::Deserialize;

#[derive(Deserialize)]
struct Report {
    title: Option<String>,
    error: Option<String>,
    start: Option<Start>,
    end: Option<End>,
}

#[derive(Deserialize)]
struct Start {
    timestamp: Option<Timestamp>,
    test_start: Option<Test>,
}

#[derive(Deserialize)]
struct Timestamp {
    timesecs: i64,
}

#[derive(Deserialize)]
struct Test {
    protocol: String,
    num_streams: u32,
    reverse: Option<u32>,
}

#[derive(Deserialize, Default)]
struct End {
    sum_received: Option<Sum>,
    /// All that some versions have of UDP: what was sent, and which share of it was lost.
    sum: Option<Sum>,
}

#[derive(Deserialize)]
struct Sum {
    seconds: f64,
    bytes: f64,
    bits_per_second: f64,
    lost_percent: Option<f64>,
}

/// What a test measured: `goodput` and `transfer_time`, of what arrived. A test that failed has its reason.
pub fn read(file: &str, text: &str) -> Result<Measured, ImportError> {
    let report: Report = json(file, text)?;
    let test = report.start.as_ref().and_then(|start| start.test_start.as_ref());
    let name = match (&report.title, test) {
        (Some(title), _) => title.clone(),
        (None, Some(Test { protocol, num_streams, reverse })) => {
            let streams = if *num_streams == 1 { "1 stream".to_owned() } else { format!("{num_streams} streams") };
            let reversed = if reverse.is_some_and(|reverse| reverse != 0) { ", reversed" } else { "" };
            format!("iperf3 {protocol}, {streams}{reversed}")
        }
        (None, None) if report.error.is_some() => "iperf3".to_owned(),
        (None, None) => return Err(wrong(file, "start.test_start", "it is missing: this is no report of iperf3")),
    };
    let outcome = match report.error {
        Some(error) => Err(error),
        None => match arrived(file, &report.end.unwrap_or_default())? {
            // Short tests end before the receiver has counted anything.
            (_, 0.0) => Err("the receiver counted nothing".to_owned()),
            arrived => Ok(arrived),
        },
    };
    let bytes = outcome.as_ref().map_or(0, |(_, bytes)| *bytes as u64);
    let measured = Measured::new("iperf3", &name, text, outcome.map(|(samples, _)| samples.into()));
    let measured = measured.map_err(|problem| wrong(file, "title", problem))?;
    let at_ms = report.start.and_then(|start| Some(start.timestamp?.timesecs.saturating_mul(1000)));
    Ok(Measured { bytes, at_ms, ..measured })
}

/// The numbers, and the bytes they are of.
fn arrived(file: &str, end: &End) -> Result<([longhaul_record::Sample; 2], f64), ImportError> {
    let (place, sum, share) = match (&end.sum_received, &end.sum) {
        (Some(sum), _) => ("end.sum_received", sum, 1.0),
        (None, Some(sum)) => ("end.sum", sum, 1.0 - sum.lost_percent.unwrap_or(0.0) / 100.0),
        (None, None) => return Err(wrong(file, "end.sum_received", "it is missing: the test has no result")),
    };
    let all = [sum.seconds, sum.bytes, sum.bits_per_second];
    if !all.iter().all(|number| number.is_finite() && *number >= 0.0) || !(0.0..=1.0).contains(&share) {
        return Err(wrong(file, place, "its numbers are not those of a transfer"));
    }
    let samples = [sample("goodput", sum.bits_per_second * share), sample("transfer_time", sum.seconds)];
    Ok((samples, sum.bytes * share))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(start: &str, rest: &str) -> String {
        format!(
            r#"{{"start":{{"timestamp":{{"timesecs":1795306668}},"test_start":{{{start}}}}},"intervals":[],{rest}}}"#
        )
    }

    #[test]
    fn what_arrived_counts() {
        let tcp = r#""end":{"sum_sent":{"seconds":1,"bytes":9,"bits_per_second":72},"sum_received":{"seconds":2,"bytes":1000,"bits_per_second":4000}}"#;
        let udp = r#""end":{"sum":{"seconds":2,"bytes":1000,"bits_per_second":4000,"lost_percent":25}}"#;
        let rows = [
            (r#""protocol":"TCP","num_streams":1,"reverse":0"#, tcp, "iperf3 TCP, 1 stream", 4000.0, 1000),
            (r#""protocol":"TCP","num_streams":4,"reverse":1"#, tcp, "iperf3 TCP, 4 streams, reversed", 4000.0, 1000),
            (r#""protocol":"UDP","num_streams":1"#, udp, "iperf3 UDP, 1 stream", 3000.0, 750),
        ];
        for (start, rest, name, goodput, bytes) in rows {
            let measured = read("a.json", &report(start, rest)).unwrap();
            assert_eq!((measured.name.as_str(), measured.bytes), (name, bytes));
            assert_eq!(measured.outcome.unwrap(), [sample("goodput", goodput), sample("transfer_time", 2.0)]);
            assert_eq!(measured.at_ms, Some(1_795_306_668_000));
        }
    }

    #[test]
    fn a_test_that_failed_is_no_number() {
        let text = r#"{"start":{"connected":[]},"intervals":[],"end":{},"error":"unable to connect: refused"}"#;
        let measured = read("a.json", text).unwrap();
        assert_eq!((measured.name.as_str(), measured.outcome), ("iperf3", Err("unable to connect: refused".into())));
        let nothing = r#""end":{"sum_received":{"seconds":0,"bytes":0,"bits_per_second":0}}"#;
        let measured = read("a.json", &report(r#""protocol":"TCP","num_streams":1"#, nothing)).unwrap();
        assert_eq!(measured.outcome, Err("the receiver counted nothing".into()));
        let start = r#""protocol":"TCP","num_streams":1"#;
        for (rest, expected) in [
            (r#""end":{}"#, "a.json: `end.sum_received`: it is missing: the test has no result"),
            (r#""end":{"sum_received":{"seconds":1}}"#, "a.json: `end.sum_received`: missing field `bytes`"),
            (
                r#""end":{"sum_received":{"seconds":-1,"bytes":1,"bits_per_second":1}}"#,
                "a.json: `end.sum_received`: its numbers are not those of a transfer",
            ),
        ] {
            let error = read("a.json", &report(start, rest)).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
        assert!(read("a.json", "{}").unwrap_err().to_string().contains("no report of iperf3"));
    }
}
