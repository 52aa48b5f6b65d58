//! What other tools measured.

use super::ground::{DB, Ended, Ground};
use longhaul_record::Trigger;

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
