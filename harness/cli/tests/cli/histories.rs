//! Commits of the past: filled in, and searched for the one that changed something. What changes is a number that the subject
//! counts itself, with noise that it makes of its commit and the seed: no machine is too busy for these tests.

use super::files::scenario;
use super::ground::{DB, Ended, Ground};
use longhaul_record::{Outcome, RunRecord, Trigger};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// The program copies, and says how many messages that took.
const SUBJECT: &str = r#"schema = 1
name = "tool"
[provider]
command = ["sh", "-c", '''echo '{"event":"ready"}'; exec sleep 1000''']
events = true
[fetcher]
command = ["tool", "{payload.path}", "{out}/{payload.name}", "{run.seed}"]
events = true
[build]
only_if = "build.sh"
command = ["sh", "build.sh"]
artifact = "made/tool"
"#;

/// A seed makes up to a tenth, the same of all commits; chance makes 2 percent, as standard deviation, of every commit its own.
const BUILD: &str = r#"set -eu
mkdir -p made
cat > made/tool <<'END'
#!/bin/sh
seed=$3
draw() { echo $((0x$(echo "$1" | md5sum | cut -c 1-7) % 1000)); }
noise=$((($(draw "NAME $seed a") + $(draw "NAME $seed b") + $(draw "NAME $seed c") + $(draw "NAME $seed d") - 1998) * NOISE))
echo '{"event":"connected"}'
FAULT
cp "$1" "$2"
messages=$(((STEP + $(draw "$seed") * 100) + noise))
echo "{\"event\":\"done\",\"bytes\":65536,\"messages\":$messages}"
END
chmod +x made/tool
"#;

const BROKEN: &str = "echo no such type >&2; exit 7\n";

struct Project {
    ground: Ground,
}

impl Project {
    fn new() -> Project {
        let project = Project { ground: Ground::new() };
        project.ground.file("tool.toml", SUBJECT);
        project.ground.file("small.toml", &scenario("small").replace("\"1s\"", "\"20s\""));
        project.ground.file(".gitignore", "/*\n!/build.sh\n");
        project
    }

    /// A commit with a tag of its name.
    fn commit(&self, name: &str, build: &str) {
        self.ground.file("build.sh", build);
        self.ground.git(&["add", "-f", "build.sh", ".gitignore"]);
        self.ground.git(&["-c", "user.name=t", "-c", "user.email=t@t", "commit", "--quiet", "-m", name]);
        self.ground.git(&["tag", name]);
    }

    fn hash(&self, name: &str) -> String {
        self.ground.git(&["rev-parse", name])
    }

    /// What is recorded, without the attempts at runs for which the machine was too busy.
    fn records(&self) -> Vec<RunRecord> {
        let all = self.ground.records().into_iter();
        all.filter(|run| run.outcome != Outcome::Untrusted).collect()
    }

    fn backfill(&self, arguments: &[&str]) -> Ended {
        let usual = ["small.toml", "--subject", "tool.toml", "--db", DB];
        self.ground.longhaul(&[&["backfill"], arguments, &usual].concat())
    }
}

/// A version: noise of a 3.5th of `noise` permille, a mean of a million messages and more, and what it does wrong.
fn version(name: &str, noise: &str, step: &str, fault: &str) -> String {
    BUILD.replace("NAME", name).replace("NOISE", noise).replace("STEP", step).replace("FAULT", fault)
}

const BISECT: [&str; 9] =
    ["--scenario", "small.toml", "--metric", "messages_per_block", "--subject", "tool.toml", "--seed", "100", "--json"];

/// What a backfill said of each commit: measured, there before, missing; and why it was not built.
fn told(ended: &Ended) -> Vec<(String, [u64; 3], bool)> {
    let of = |row: &Value| {
        let numbers = ["measured", "before", "missing"].map(|key| row[key].as_u64().unwrap());
        (row["summary"].as_str().unwrap().to_owned(), numbers, !row["not_built"].is_null())
    };
    ended.json()["commits"].as_array().unwrap().iter().map(of).collect()
}

/// Five commits by first parents, one of which merged two others, and one of which cannot be built.
fn with_a_merge() -> Project {
    let project = Project::new();
    let good = |name: &str| version(name, "0", "1000000", "");
    project.commit("a", &good("a"));
    project.commit("b", &good("b"));
    project.ground.git(&["checkout", "--quiet", "-b", "side"]);
    project.commit("s", &good("s"));
    project.commit("t", &good("t"));
    project.ground.git(&["checkout", "--quiet", "-"]);
    project.ground.git(&["checkout", "--quiet", "b"]);
    let merge = ["-c", "user.name=t", "-c", "user.email=t@t", "merge", "--quiet", "--no-ff", "-m", "c", "side"];
    project.ground.git(&merge);
    project.ground.git(&["tag", "c"]);
    project.commit("d", BROKEN);
    project.commit("e", &version("e", "0", "1000000", "[ $seed != 2 ] || exit 3"));
    project
}

pub(crate) fn a_history_is_filled_in() {
    let project = with_a_merge();
    let row = |name: &str, numbers, not_built| (name.to_owned(), numbers, not_built);
    // A plan measures nothing, and leaves nothing behind.
    let planned = project.backfill(&["a..e", "--every", "3", "--repeat", "2", "--dry-run", "--json"]);
    assert_eq!(planned.code, Some(0), "{planned:?}");
    assert_eq!(told(&planned), [row("b", [0, 0, 2], false), row("e", [0, 0, 2], false)]);
    assert!(!project.ground.path(DB).exists());
    let ended = project.backfill(&["a..e", "--merges", "--json"]);
    assert_eq!((ended.code, told(&ended)), (Some(0), vec![row("c", [1, 0, 0], false)]), "{ended:?}");
    // Both ends first, then what is between; the commit that cannot be built is gone past.
    let ended = project.backfill(&["a..e", "--json"]);
    let expect =
        [row("b", [1, 0, 0], false), row("c", [0, 1, 0], false), row("d", [0, 0, 1], true), row("e", [1, 0, 0], false)];
    assert_eq!((ended.code, told(&ended)), (Some(5), expect.to_vec()), "{ended:?}");
    let of: Vec<RunRecord> = project.records();
    let order: Vec<&str> = of.iter().map(|run| run.commit_detail.as_ref().unwrap().summary.as_str()).collect();
    assert_eq!(order, ["c", "b", "e"]);
    assert!(of.iter().all(|run| run.trigger == Trigger::Backfill && run.seed == 1));
    // Again: nothing is measured. More repetitions: only those are, and what fails is said, and said again.
    let again = project.backfill(&["b..c"]);
    assert_eq!(again.code, Some(0), "{again:?}");
    assert!(again.stdout.contains("Measured") && again.stdout.contains("ok"), "{again:?}");
    for measured in [1, 0] {
        let more = project.backfill(&["d..e", "--repeat", "2", "--json"]);
        assert_eq!((more.code, told(&more)), (Some(5), vec![row("e", [measured, 2 - measured, 0], false)]), "{more:?}");
        assert_eq!(more.json()["commits"][0]["failed"], 1);
    }
    assert_eq!(project.records().len(), 4);
    let table = project.backfill(&["c..e", "--dry-run"]);
    assert!(table.stdout.contains("1 to be measured"), "{table:?}");
}

pub(crate) fn an_interrupted_backfill_goes_on() {
    let project = Project::new();
    for name in ["a", "b", "c", "d", "e"] {
        project.commit(name, &version(name, "0", "1000000", ""));
    }
    let arguments = ["backfill", "a~1..e", "small.toml", "--subject", "tool.toml", "--json", "--db", DB];
    let running = project.ground.start(&arguments);
    while !running.says().starts_with("commit 3 of 5") {}
    running.signal_all(Signal::SIGINT);
    let ended = running.end();
    assert_eq!(ended.code, Some(130), "{ended:?}");
    let done = told(&ended).iter().filter(|(_, numbers, _)| numbers[0] == 1).count();
    assert!((2..5).contains(&done), "{ended:?}");
    assert_eq!(project.records().len(), done);
    let ended = project.ground.longhaul(&arguments);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let before = told(&ended).iter().filter(|(_, numbers, _)| *numbers == [0, 1, 0]).count();
    assert_eq!((before, project.records().len()), (done, 5), "{ended:?}");
    // The first two were the ends.
    let records = project.records();
    let order: Vec<&str> = records.iter().map(|run| run.commit_detail.as_ref().unwrap().summary.as_str()).collect();
    assert_eq!(order, ["a", "e", "c", "b", "d"]);
}

/// Twelve commits after the good one. The seventh takes 5 % more messages, under a noise of 2 %. The one after it cannot be
/// built, and one fails under every third seed.
pub(crate) fn a_small_step_under_noise_is_found() {
    let project = Project::new();
    for number in 0..=12 {
        let name = format!("c{number}");
        let step = if number < 7 { "1000000" } else { "1050000" };
        let fault = if number == 6 { "[ $((seed % 3)) != 1 ] || exit 3" } else { "" };
        let build = if number == 8 { BROKEN.to_owned() } else { version(&name, "35", step, fault) };
        project.commit(&name, &build);
    }
    let arguments = [&["bisect", "c0", "c12", "--db", DB], BISECT.as_slice()].concat();
    let running = project.ground.start(&arguments);
    while !running.says().starts_with("[8/200]") {}
    running.signal_all(Signal::SIGINT);
    let ended = running.end();
    assert_eq!(ended.code, Some(130), "{ended:?}");
    assert!(ended.stderr.contains("finished runs are recorded"), "{ended:?}");
    let before = project.records().len();
    assert!(before >= 8);
    // It goes on where it stopped.
    let ended = project.ground.longhaul(&arguments);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let answer = ended.json();
    assert_eq!((&answer["end"], &answer["before"]), (&json!("found"), &json!(before)), "{answer}");
    assert_eq!(answer["likeliest"]["commit"], project.hash("c7"), "{ended:?}");
    assert_eq!(answer["suspects"].as_array().unwrap().len(), 1, "{answer}");
    let change = answer["change_percent"].as_f64().unwrap();
    assert!((2.0..8.0).contains(&change) && answer["probability"].as_f64().unwrap() >= 0.95, "{answer}");
    let records = project.records();
    let runs = answer["runs"].as_u64().unwrap() as usize;
    assert!(records.len() == runs && runs < 60, "{answer}");
    assert!(records.iter().all(|run| run.trigger == Trigger::Bisect && run.seed >= 100));
    // Asked again, it knows; and says so to a person, too.
    let again = project.ground.longhaul(&arguments[..arguments.len() - 1]);
    assert_eq!((again.code, project.records().len()), (Some(0), runs), "{again:?}");
    let known = format!("Runs: {runs}, {runs} of them recorded before");
    for words in ["Messages per block changed with", " c7 (probability 9", &known, &project.hash("c7")] {
        assert!(again.stdout.contains(words), "{words}: {again:?}");
    }
}

pub(crate) fn what_cannot_be_told_is_said() {
    let project = Project::new();
    for (name, step) in [("a", "1000000"), ("b", "1000000"), ("c", ""), ("d", "1100000"), ("e", "1100000"), ("f", "")] {
        project.commit(name, &if step.is_empty() { BROKEN.to_owned() } else { version(name, "0", step, "") });
    }
    let bisect = |good, bad, more: &[&str]| {
        project.ground.longhaul(&[&["bisect", good, bad, "--db", DB], BISECT.as_slice(), more].concat())
    };
    // The one before the culprit cannot be built, so either may be it.
    let ended = bisect("a", "e", &[]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let suspects = ended.json()["suspects"].clone();
    let named: Vec<&str> = suspects.as_array().unwrap().iter().map(|one| one["summary"].as_str().unwrap()).collect();
    assert_eq!(named, ["c", "d"]);
    assert!(suspects[0]["reason"].as_str().unwrap().contains("the build of subject `tool` failed"), "{suspects}");
    let rows: [(&str, &str, &[&str], i32, &str); 4] = [
        ("a", "e", &["--runs", "12"], 3, "spent"),
        ("a", "b", &["--runs", "6"], 3, "no_difference"),
        ("a", "f", &[], 5, "no_end"),
        ("a", "e", &["--peer", "nobody"], 5, "no_end"),
    ];
    for (good, bad, more, code, end) in rows {
        let ended = bisect(good, bad, more);
        assert_eq!((ended.code, &ended.json()["end"]), (Some(code), &json!(end)), "{good} {bad} {more:?}: {ended:?}");
    }
    // What there is no time for is not measured.
    let before = project.records().len();
    let seed = BISECT.map(|word| if word == "100" { "500" } else { word });
    let more = ["bisect", "a", "e", "--budget", "0.001s", "--db", DB];
    let ended = project.ground.longhaul(&[&more, seed.as_slice()].concat());
    assert_eq!((ended.code, project.records().len()), (Some(3), before + 1), "{ended:?}");
}

pub(crate) fn commits_that_cannot_be_bisected_are_named() {
    let project = with_a_merge();
    let rows: [(&str, &str, &[&str], &str); 7] = [
        ("e", "a", &[], "name the good one first"),
        ("a", "a", &[], "they are the same commit"),
        ("s", "e", &[], "on a branch that was merged"),
        ("e", "side", &[], "name the good one first"),
        ("nobody", "e", &[], "no commit is named `nobody`"),
        ("a", "e", &["--certainty", "1"], "use a number from 0.5"),
        ("a", "e", &["--subject", "curl"], "nothing is built from this repository for curl"),
    ];
    let usual = ["--scenario", "small.toml", "--metric", "messages_per_block"];
    for (good, bad, more, words) in rows {
        let subject: &[&str] = if more.contains(&"--subject") { &[] } else { &["--subject", "tool.toml"] };
        let ended = project.ground.longhaul(&[&["bisect", good, bad], usual.as_slice(), subject, more].concat());
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{good} {bad}: {ended:?}");
        assert!(ended.stderr.contains(words), "{good} {bad}: {ended:?}");
    }
    let rows = [
        ("nobody..e", "names no commits"),
        ("--all", "names no commits"),
        ("e..a", "none of its commits is to be measured"),
    ];
    for (range, words) in rows {
        let ended = project.ground.longhaul(&["backfill", "--subject", "tool.toml", "--", range, "small.toml"]);
        ended.refused(2, &[words]);
    }
}
