//! Results that Criterion itself has written, and mistakes in them.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may panic, and reads what Criterion wrote")]

use criterion::{Criterion, Throughput};
use longhaul_interop::criterion::{Files, read};
use longhaul_interop::{ImportError, Measured, Origin};
use longhaul_record::{HostDetail, Trigger};
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

fn measure(directory: &Path) {
    let moment = Duration::from_millis(20);
    let criterion = Criterion::default().output_directory(directory).sample_size(10).without_plots();
    let mut criterion = criterion.warm_up_time(moment).measurement_time(moment).nresamples(100);
    let mut group = criterion.benchmark_group("sums");
    group.throughput(Throughput::Bytes(8000));
    group.bench_function("one by one", |b| b.iter(|| black_box(0..1000_u64).map(black_box).sum::<u64>()));
    group.finish();
}

fn texts(directory: &Path) -> [String; 2] {
    let new = directory.join("sums/one by one/new");
    ["benchmark.json", "estimates.json"].map(|file| fs::read_to_string(new.join(file)).unwrap())
}

fn parsed([benchmark, estimates]: &[String; 2]) -> Result<Measured, ImportError> {
    read(Files { directory: "new", benchmark, estimates })
}

#[test]
fn what_criterion_writes_is_understood() {
    let directory = tempfile::tempdir().unwrap();
    measure(directory.path());
    let texts = texts(directory.path());
    let measured = parsed(&texts).unwrap();
    assert_eq!((measured.name.as_str(), measured.bytes), ("sums/one by one", 8000));
    let estimates: serde_json::Value = serde_json::from_str(&texts[1]).unwrap();
    let [slope, mean] = ["slope", "mean"].map(|key| estimates[key]["point_estimate"].as_f64());
    assert_eq!(measured.outcome.as_ref().unwrap()[0].value, slope.or(mean).unwrap() / 1e9);
    // Where the iterations were too few for one.
    let without = texts[1].replace(&estimates["slope"].to_string(), "null");
    let without = parsed(&[texts[0].clone(), without]).unwrap();
    assert_eq!(without.outcome.unwrap()[0].value, mean.unwrap() / 1e9);
}

const BENCHMARK: &str = r#"{"group_id":"g","function_id":"f","value_str":null,"throughput":null,"full_id":"g/f"}"#;
const ESTIMATES: &str = r#"{"mean":{"point_estimate":1500.0},"median":{"point_estimate":1.0},"slope":null}"#;

#[test]
fn mistakes_are_named_by_their_place() {
    let rows = [
        (BENCHMARK, r#"{"full_id":"g/f""#, "new/benchmark.json: EOF while parsing an object at line 1 column 16"),
        (
            r#""full_id":"g/f""#,
            r#""full_id":"""#,
            "new/benchmark.json: `full_id`: \"\" is not a name of 1 to 200 bytes on one line",
        ),
        (r#""full_id":"g/f""#, r#""full_id":"a\nb""#, "new/benchmark.json: `full_id`: \"a\\nb\" is not a name"),
        (r#""full_id":"g/f""#, r#""full_id":7"#, "new/benchmark.json: `full_id`: invalid type: integer `7`"),
        ("\"throughput\":null", "\"throughput\":{\"Apples\":1}", "`throughput`: unknown variant `Apples`"),
        ("1500.0", "-1", "new/estimates.json: `mean.point_estimate`: -1 is no time"),
        ("1500.0", "1e999", "new/estimates.json: `mean.point_estimate`: number out of range"),
        ("\"slope\":null", "\"slope\":{}", "new/estimates.json: `slope`: missing field `point_estimate`"),
        (ESTIMATES, "[]", "new/estimates.json: invalid length 0"),
    ];
    for (from, to, expect) in rows {
        let texts = [BENCHMARK, ESTIMATES].map(|text| text.replacen(from, to, 1));
        let error = parsed(&texts).unwrap_err().to_string();
        assert!(error.contains(expect), "{error}\n{expect}");
    }
}

#[test]
fn a_result_is_one_run_however_often_it_is_imported() {
    let origin = |commit: &str, machine: &str| Origin {
        project: "p".into(),
        commit: Some(commit.into()),
        commit_detail: None,
        host: HostDetail { fingerprint: machine.into(), ..HostDetail::default() },
        at_ms: 1_700_000_000_000,
    };
    let measured = |estimates: &str| parsed(&[BENCHMARK.to_owned(), estimates.to_owned()]).unwrap();
    let record = measured(ESTIMATES).record(origin("c", "m"));
    assert_eq!((record.trigger, record.value("iteration_time", None)), (Trigger::Import, Some(1.5e-6)));
    assert_eq!(record.id, measured(ESTIMATES).record(origin("c", "m")).id);
    let others = [
        measured(ESTIMATES).record(origin("d", "m")),
        measured(ESTIMATES).record(origin("c", "n")),
        measured(&ESTIMATES.replace("1500", "1501")).record(origin("c", "m")),
    ];
    assert!(others.iter().all(|other| other.id != record.id));
    assert!(others.iter().all(|other| other.scenario_hash == record.scenario_hash), "one series");
}
