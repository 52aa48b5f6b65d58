//! What other tools measured.

use super::ground::{DB, Ended, Ground};
use longhaul_record::{Outcome, RunRecord, Trigger};
use longhaul_store::testing::sample::{self, Shape};

/// As Criterion writes it, with what is not read left out.
fn benchmark(ground: &Ground, name: &str, estimates: &str) {
    let new = ground.path(&format!("target/criterion/{name}/new"));
    // Older results are beside the newest.
    std::fs::create_dir_all(new.with_file_name("base")).unwrap();
    std::fs::create_dir_all(&new).unwrap();
    let about = format!(r#"{{"full_id":"{name}","throughput":{{"Bytes":1000}}}}"#);
    std::fs::write(new.join("benchmark.json"), about).unwrap();
    std::fs::write(new.join("estimates.json"), estimates).unwrap();
}

const GOOD: &str = r#"{"mean":{"point_estimate":2e9},"slope":null}"#;

pub(crate) fn benchmarks_are_recorded_once() {
    let ground = Ground::new();
    let import = |more: &[&str]| ground.longhaul(&[&["import", "criterion", "--db", DB], more].concat());
    let says = |ended: &Ended, code: i32, text: &str| {
        assert_eq!(ended.code, Some(code), "{ended:?}");
        assert!(ended.stdout.contains(text) || ended.stderr.contains(text), "{ended:?}");
    };
    says(&import(&[]), 2, "cannot read target/criterion");
    std::fs::create_dir_all(ground.path("target/criterion/report")).unwrap();
    says(&import(&[]), 2, "no results of Criterion below target/criterion");
    benchmark(&ground, "a/1", GOOD);
    benchmark(&ground, "b", "{}");
    says(&import(&[]), 2, "target/criterion/b/new/estimates.json: missing field `mean`");
    assert!(!ground.path(DB).exists(), "all or nothing");
    benchmark(&ground, "b", GOOD);
    says(&import(&[]), 0, "2 new of 2 results");
    says(&import(&[]), 0, "0 new of 2 results");
    says(&import(&["--commit", "nowhere"]), 2, "no commit is named `nowhere`");
    ground.git(&["-c", "user.name=t", "-c", "user.email=t@t", "commit", "--quiet", "--allow-empty", "-m", "second"]);
    says(&import(&["--commit", "HEAD~1"]), 0, "0 new of 2 results");
    says(&import(&[]), 0, "2 new of 2 results");
    let records = ground.records();
    assert_eq!(records.len(), 4);
    let head = ground.git(&["rev-parse", "HEAD"]);
    assert_eq!(records.iter().filter(|record| record.commit.as_deref() == Some(head.as_str())).count(), 2);
    for record in records {
        assert_eq!((record.trigger, record.value("iteration_time", None)), (Trigger::Import, Some(2.0)));
        assert_eq!((record.subject.as_str(), record.payload_bytes), ("criterion", 1000));
    }
}

/// Each tool's own text goes the same way; what they have of their own is tested beside what reads them.
pub(crate) fn other_tools_are_imported() {
    let ground = Ground::new();
    let import = |more: &[&str]| ground.longhaul(&[&["import"], more, &["--db", DB]].concat());
    let head = ground.git(&["rev-parse", "HEAD"]);
    let file = |name: &str, text: &str| {
        ground.file(name, text);
        name.to_owned()
    };
    let good = file(
        "good.json",
        r#"{"results":[{"command":"a","median":2,"exit_codes":[0]},{"command":"b","median":1,"exit_codes":[1]}]}"#,
    );
    let bad = file("bad.json", r#"{"results":[{"command":"a"}]}"#);
    let refused = import(&["hyperfine", &good, &bad]);
    assert!(
        refused.code == Some(2) && refused.stderr.contains("bad.json: `results[0].median`: it is missing"),
        "{refused:?}"
    );
    assert!(!ground.path(DB).exists(), "nothing in part");
    assert!(import(&["hyperfine", &good]).stdout.contains("2 new of 2 results"));
    assert!(import(&["hyperfine", &good]).stdout.contains("0 new of 2 results"));
    let one = |short: &str| {
        format!(r#"{{"metrics":[{{"commitish":"{short}","bucket":"b","name":"n","value":3,"timestamp":1700000000}}]}}"#)
    };
    for short in [&head[..8], "feedface"] {
        assert!(import(&["metro", &file("metro.json", &one(short))]).stdout.contains("1 new of 1 results"));
    }
    let entry = file("entry.json", r#"[{"name":"x","unit":"MB/s","value":7}]"#);
    assert_eq!(import(&["github-action-benchmark", "--bigger-is-better", &entry]).code, Some(0));
    let records = ground.records();
    let rows: Vec<_> = records.iter().map(|record| (record.scenario.as_str(), record.commit.as_deref())).collect();
    let here = Some(head.as_str());
    // By time: those of a time of their own come first.
    assert_eq!(rows[..2], [("b", here), ("b", Some("feedface"))]);
    let mut others = rows[2..].to_vec();
    others.sort_unstable();
    assert_eq!(others, [("a", here), ("b", here), ("x [MB/s]", here)]);
    let failed = records.iter().find(|record| record.outcome == Outcome::SubjectFailed).unwrap();
    assert_eq!((failed.samples.len(), failed.reason.as_deref()), (0, Some("1 of 1 runs exited with an error")));
}

/// What is exported comes back: records whole, tables with their numbers; what is bad leaves nothing behind.
pub(crate) fn exports_come_back() {
    let ground = Ground::new();
    assert_eq!(ground.longhaul(&["export", "csv", "--db", "none.db"]).code, Some(6));
    let shape = |commit, iteration| Shape { network: 1, subject: "curl", commit, iteration };
    let failed = sample::failed(shape(1, 0), Outcome::TimedOut, "too late,\n\"by far\"", "");
    ground.record(&[sample::run(shape(0, 0)), sample::run(shape(0, 1)), failed]);
    let records = ground.records();
    for (form, file) in [("records", "a.jsonl"), ("csv", "a.csv"), ("parquet", "a.parquet")] {
        let other = format!("{form}.db");
        let done = ground.longhaul(&["export", form, "--db", DB, "--out", file]);
        assert!(done.code == Some(0) && !ground.path(&format!("{file}.part")).exists(), "{done:?}");
        let import = || ground.longhaul(&["import", form, file, "--db", &other]).stdout;
        assert_eq!(import(), format!("3 new of 3 results, in {other}\n"));
        assert_eq!(import(), format!("0 new of 3 results, in {other}\n"));
        let back = ground.records_in(&other);
        for (record, back) in records.iter().zip(&back) {
            let numbers = |record: &RunRecord| (record.id.clone(), record.outcome, record.samples.clone());
            assert_eq!(numbers(record), numbers(back), "{form}");
        }
        assert_eq!(records == back, form == "records", "{form}");
        let cut = std::fs::read(ground.path(file)).unwrap();
        std::fs::write(ground.path(file), &cut[..cut.len() - 20]).unwrap();
        let refused = ground.longhaul(&["import", form, file, "--db", "new.db"]);
        assert!(refused.code == Some(2) && refused.stderr.contains(file), "{refused:?}");
        assert!(!ground.path("new.db").exists(), "nothing in part");
    }
    let some = ground.longhaul(&["export", "records", "--db", DB, "--commit", &sample::sha(1)]);
    assert_eq!(some.stdout.lines().count(), 1);
    let text = ground.longhaul(&["export", "openmetrics", "--db", DB]).stdout;
    let goodput = r#"longhaul_goodput_bits_per_second{project="longhaul",scenario="latency-20ms",subject="curl""#;
    assert!(text.contains(goodput) && text.ends_with("# EOF\n"), "{text}");
}
