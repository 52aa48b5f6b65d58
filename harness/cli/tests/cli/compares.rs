//! Two versions of a subject, compared. What changes is a number that the subject counts itself, so that no machine is too
//! busy for these tests.

use super::files::scenario;
use super::ground::{DB, Ended, Ground};
use longhaul_record::{Arm, Comparison, End, RunRecord, Verdict};
use nix::sys::signal::Signal;
use std::collections::BTreeSet;

/// The program copies, and says how many messages that took.
const SUBJECT: &str = r#"schema = 1
name = "tool"
[provider]
command = ["sh", "-c", '''echo '{"event":"ready"}'; exec sleep 1000''']
events = true
[fetcher]
command = ["tool", "{payload.path}", "{out}/{payload.name}"]
events = true
[build]
only_if = "build.sh"
command = ["sh", "build.sh"]
artifact = "made/tool"
"#;

const BUILD: &str = r#"set -eu
mkdir -p made
cat > made/tool <<'END'
#!/bin/sh
# REMARK
echo '{"event":"connected"}'
cp "$1" "$2"
echo '{"event":"done","bytes":65536,"messages":MESSAGES}'
END
chmod +x made/tool
"#;

struct Project {
    ground: Ground,
}

impl Project {
    /// Commits, each with a tag of its name; the last is checked out.
    fn new() -> Project {
        let project = Project { ground: Ground::new() };
        project.ground.file("tool.toml", SUBJECT);
        project.ground.file("small.toml", &scenario("small").replace("\"1s\"", "\"20s\""));
        project.ground.file(".gitignore", "/*\n!/build.sh\n");
        for (name, messages) in [("first", "1000"), ("same", "1000"), ("slower", "1100"), ("faster", "900")] {
            project.commit(name, &BUILD.replace("REMARK", name).replace("MESSAGES", messages));
        }
        project.commit("failing", &BUILD.replace("cp ", "exit 3; cp "));
        project.commit("broken", "echo no such type >&2; exit 7\n");
        project.commit("last", &BUILD.replace("MESSAGES", "1000"));
        project
    }

    fn commit(&self, name: &str, build: &str) {
        self.ground.file("build.sh", build);
        self.ground.git(&["add", "-f", "build.sh", ".gitignore"]);
        self.ground.git(&["-c", "user.name=t", "-c", "user.email=t@t", "commit", "--quiet", "-m", name]);
        self.ground.git(&["tag", name]);
    }

    /// Compares by the number of messages.
    fn compare(&self, arguments: &[&str]) -> Ended {
        let usual =
            ["--subject", "tool.toml", "--scenario", "small.toml", "--metric", "messages_per_block", "--db", DB];
        let blocks: &[&str] = if arguments.contains(&"--blocks") { &[] } else { &["--blocks", "8"] };
        self.ground.longhaul(&[&["compare"], arguments, &usual, blocks].concat())
    }

    fn gate(&self, policy: &str, arguments: &[&str]) -> Ended {
        let policy = self.ground.file("policy.toml", policy);
        self.ground.longhaul(&[&["gate"], arguments, &["--policy", policy, "--db", DB]].concat())
    }
}

fn comparison(ended: &Ended) -> Comparison {
    serde_json::from_value(ended.json()).expect(&ended.stdout)
}

pub(crate) fn a_change_is_called_what_it_is() {
    let project = Project::new();
    let rows = [
        ("same", 0, "unchanged: everything that decides is decided; blocks: 8 in small."),
        ("slower", 1, "regressed: everything that decides is decided; blocks: 8 in small."),
        ("faster", 0, "improved: everything that decides is decided; blocks: 8 in small."),
        ("failing", 1, "regressed: as many blocks as were allowed; blocks: 8 in small."),
    ];
    for (head, code, words) in rows {
        let ended = project.compare(&["first", head]);
        assert_eq!(ended.code, Some(code), "{head}: {ended:?}");
        for words in ["tool: from first (", words, "Messages per block", "Seen from"] {
            assert!(head == "failing" || ended.stdout.contains(words), "{words}: {}", ended.stdout);
        }
        assert!(ended.stdout.contains(words), "{words}: {}", ended.stdout);
    }
    let ended = project.compare(&["first", "slower", "--json"]);
    let slower = comparison(&ended);
    let change = &slower.scenarios[0].compared.metrics[0];
    assert!((change.shift - 0.1).abs() < 1e-9 && change.interval.is_some(), "{change:?}");
    assert_eq!((slower.verdict, slower.end.clone()), (Some(Verdict::Regressed), End::Decided));
    assert_eq!(slower.base.commit, project.ground.git(&["rev-parse", "first"]));
    assert_eq!(project.ground.comparisons().last(), Some(&slower), "what is printed is what is kept");
    // Its runs are kept, in blocks with a seed each.
    let runs = project.ground.records();
    let of = |arm: Arm| -> Vec<&RunRecord> {
        let own =
            |run: &&RunRecord| run.pairing.as_ref().is_some_and(|own| own.comparison == slower.id && own.arm == arm);
        runs.iter().filter(own).collect()
    };
    let seeds = |arm| -> BTreeSet<(u32, u64)> {
        of(arm).into_iter().map(|run| (run.pairing.as_ref().unwrap().block, run.seed)).collect()
    };
    assert_eq!(seeds(Arm::Base), seeds(Arm::Head));
    assert!(of(Arm::Base).iter().all(|run| run.commit.as_ref() == Some(&project.ground.git(&["rev-parse", "first"]))));
}

pub(crate) fn what_lies_here_is_compared_too() {
    let project = Project::new();
    project.ground.file("build.sh", &BUILD.replace("MESSAGES", "1200"));
    let dirty = comparison(&project.compare(&["last", "--dirty", "--json"]));
    assert_eq!((dirty.verdict, dirty.head.detail.dirty), (Some(Verdict::Regressed), true));
    assert!((dirty.scenarios[0].compared.metrics[0].shift - 0.2).abs() < 1e-9);
    // Without it, the commit is: what was changed since does not count.
    let ended = project.compare(&["last"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("Both programs are the same"), "{ended:?}");
}

pub(crate) fn the_same_program_is_not_compared_unless_asked() {
    let project = Project::new();
    let ended = project.compare(&["first", "first"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("Both programs are the same, byte for byte"), "{ended:?}");
    let kept = project.ground.comparisons();
    assert_eq!((kept.len(), kept[0].verdict, &kept[0].end), (1, None, &End::SameProgram));
    let ended = project.compare(&["first", "first", "--aa", "--independent"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for words in ["unchanged: ", "whatever is said to have changed has not"] {
        assert!(ended.stdout.contains(words), "{words}: {ended:?}");
    }
    let runs = project.ground.records();
    let independent: Vec<bool> = runs.iter().map(|run| run.pairing.as_ref().unwrap().independent).collect();
    assert!(independent.contains(&true) && independent.contains(&false));
}

pub(crate) fn too_little_is_inconclusive() {
    let project = Project::new();
    let ended = project.compare(&["first", "slower", "--budget", "0.001s"]);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(
        ended.stdout.contains("inconclusive: another block would have exceeded the budget; blocks: 1 in small."),
        "{ended:?}"
    );
    let few = project.compare(&["first", "slower", "--blocks", "4", "--json"]);
    assert_eq!(few.code, Some(3), "{few:?}");
    let few = comparison(&few);
    assert_eq!((few.scenarios[0].compared.metrics[0].interval, few.end), (None, End::Blocks));
    // A metric that nobody measures is never decided.
    let ended = project.compare(&["first", "same", "--metric", "lookup_time"]);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.stdout.contains("Asked for, and in no pair of runs: lookup_time."), "{ended:?}");
}

pub(crate) fn versions_that_cannot_be_compared_are_named() {
    let project = Project::new();
    let rows: [(&[&str], i32, &str); 6] = [
        (&["nobody"], 2, "no commit is named `nobody`"),
        (&["first", "nobody"], 2, "no commit is named `nobody`"),
        (&["first", "broken"], 5, "the build of subject `tool` failed (`sh build.sh`: exit status: 7)"),
        (&["broken", "first"], 5, "the build of subject `tool` failed"),
        (&["first", "slower", "--metric", "wire_byte"], 2, "no metric is named `wire_byte`"),
        (&["first", "slower", "--budget", "10"], 2, "use a time with its unit"),
    ];
    for (arguments, code, words) in rows {
        let ended = project.compare(arguments);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(code), ""), "{arguments:?}: {ended:?}");
        assert!(ended.stderr.contains(words), "{arguments:?}: {}", ended.stderr);
    }
    assert!(!project.ground.path(DB).exists(), "mistakes leave nothing behind");
    let ended = project.compare(&["failing", "failing", "--aa"]);
    assert_eq!(ended.code, Some(5), "{ended:?}");
    assert!(ended.stdout.contains("no verdict: nothing went well: more blocks would not have helped"), "{ended:?}");
    let ended = project.ground.longhaul(&["compare", "first", "--subject", "curl", "--db", DB]);
    ended.refused(2, &["nothing is built from this repository for curl"]);
}

pub(crate) fn an_interrupted_comparison_shows_what_there_is() {
    let project = Project::new();
    let arguments = ["compare", "first", "slower", "--subject", "tool.toml", "--scenario", "small.toml", "--db", DB];
    let running = project.ground.start(&arguments);
    while !running.says().starts_with("[3/") {}
    running.signal_all(Signal::SIGINT);
    let ended = running.end();
    assert_eq!(ended.code, Some(130), "{ended:?}");
    assert!(ended.stdout.contains("inconclusive: interrupted; blocks: "), "{ended:?}");
    let kept = project.ground.comparisons();
    assert_eq!((kept.len(), &kept[0].end), (1, &End::Interrupted));
    assert!(kept[0].scenarios[0].compared.blocks >= 1);
}

pub(crate) fn a_gate_does_as_its_policy_says() {
    let project = Project::new();
    let policy = |rest: &str| {
        let usual = "schema = 1\nsubject = \"tool.toml\"\nscenarios = [\"small.toml\"]\nblocks = 8\n";
        format!("{usual}{rest}\n[metrics]\n")
    };
    let messages = policy("") + "messages_per_block = {}\n";
    let ended = project.gate(&messages, &["first", "slower", "--markdown", "report.md"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.ends_with("Gate: not passed.\n"), "{ended:?}");
    let page = std::fs::read_to_string(project.ground.path("report.md")).unwrap();
    for words in
        ["### regressed\n", "| Scenario | Metric |", "| Messages per block |", "+10.0 %", "\nGate: not passed.\n"]
    {
        assert!(page.contains(words), "{words}: {page}");
    }
    // What matters is the policy's word.
    let ended = project.gate(&(policy("") + "messages_per_block.delta = \"15%\"\n"), &["first", "slower", "--json"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let report = ended.json();
    assert_eq!((&report["passed"], &report["exit"]), (&true.into(), &0.into()));
    assert_eq!(report["comparison"]["verdict"], "unchanged");
    for (rule, code) in [("inconclusive = \"fail\"", 3), ("inconclusive = \"pass\"", 0)] {
        let ended = project.gate(&(policy(rule) + "messages_per_block = {}\nlookup_time = {}\n"), &["first", "same"]);
        assert_eq!(ended.code, Some(code), "{rule}: {ended:?}");
    }
}

pub(crate) fn mistakes_in_policies_are_named() {
    let ground = Ground::new();
    let rows: [(&str, &[&str]); 4] = [
        ("schema = 1\nscenarios = [\"small.toml\",\n\"dls\"]\n", &["policy.toml: `scenarios`: line 3:", "`dls`"]),
        (
            "schema = 1\nscenarios = [\"dsl\"]\nbudgte = \"5min\"\n",
            &["policy.toml", "line 3", "did you mean `budget`?"],
        ),
        ("schema = 1\nscenarios = [\"dsl\"]\n[metrics]\nwire_byte = {}\n", &["line 4", "did you mean `wire_bytes`?"]),
        ("schema = 1\nscenarios = \n", &["policy.toml: line 2: not valid TOML"]),
    ];
    ground.file("small.toml", &scenario("small"));
    for (policy, expect) in rows {
        let policy = ground.file("policy.toml", policy);
        ground.longhaul(&["gate", "HEAD", "--policy", policy]).refused(2, expect);
    }
    ground.longhaul(&["gate", "HEAD"]).refused(2, &["cannot read ci/policy.toml"]);
}
