//! Subjects that are built at a commit.

use super::files::scenario;
use super::ground::{DB, Ended, Ground};
use longhaul_record::Outcome;
use std::path::PathBuf;

/// A repository with a subject under development: what it builds says which commit it is of.
struct Project {
    ground: Ground,
}

/// The subject's file. The program copies, and says its version; the build leaves a cache and a mess.
const SUBJECT: &str = r#"schema = 1
name = "tool"
[version]
command = ["tool", "--version"]
capture = { regex = 'tool (\S+)' }
[provider]
command = ["sh", "-c", '''echo '{"event":"ready"}'; exec sleep 1000''']
events = true
[fetcher]
command = ["tool", "{payload.path}", "{out}/{payload.name}"]
[build]
only_if = "build.sh"
command = ["sh", "build.sh"]
artifact = "made/tool"
environment = { FLAGS = "fast" }
inherit = ["LONGHAUL_TEST_MARK"]
keep = ["cache"]
"#;

const BUILD: &str = r#"set -eu
test "$FLAGS,$LONGHAUL_TEST_MARK" = "fast,mark"
test -z "${XDG_RUNTIME_DIR-}"
test ! -e mess
mkdir -p cache made
echo VERSION >> cache/built
: > mess
printf '#!/bin/sh\ntest "$1" != --version || { echo tool VERSION; exit; }\nexec cp "$1" "$2"\n' > made/tool
chmod +x made/tool
"#;

impl Project {
    /// Commits: before the subject, version 1, version 2, broken. What lies there is broken, too.
    fn new() -> Project {
        let project = Project { ground: Ground::new() };
        project.ground.file("tool.toml", SUBJECT);
        project.ground.file(".gitignore", "/*\n!/build.sh\n");
        project.commit("1");
        project.commit("2");
        project.ground.file("build.sh", "echo no such type >&2; exit 7\n");
        project.record("broken");
        project
    }

    fn commit(&self, version: &str) {
        self.ground.file("build.sh", &BUILD.replace("VERSION", version));
        self.record(version);
    }

    fn record(&self, message: &str) {
        self.ground.git(&["add", "-f", "build.sh", ".gitignore"]);
        self.ground.git(&["-c", "user.name=t", "-c", "user.email=t@t", "commit", "--quiet", "-m", message]);
        self.ground.git(&["tag", &format!("v{message}")]);
    }

    fn longhaul(&self, arguments: &[&str]) -> Ended {
        self.ground.start_marked(arguments, "mark").end()
    }

    fn built(&self, commit: &str) -> serde_json::Value {
        self.longhaul(&["subject", "build", "tool.toml", "--commit", commit, "--json"]).json()
    }

    /// The only worktree.
    fn worktree(&self) -> PathBuf {
        let all = std::fs::read_dir(self.ground.path("cache/longhaul/worktrees")).unwrap();
        let directories: Vec<PathBuf> = all.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
        assert_eq!(directories.len(), 1, "{directories:?}");
        directories[0].clone()
    }
}

pub(crate) fn a_commit_is_built_once() {
    let project = Project::new();
    for (commit, version, kept) in [("v1", "1", false), ("HEAD~1", "2", false), ("v2", "2", true), ("v1", "1", true)] {
        let built = project.built(commit);
        assert_eq!((&built["version"], &built["kept"]), (&version.into(), &kept.into()), "{commit}: {built}");
        let path = built["path"].as_str().unwrap();
        let hash = blake3::hash(&std::fs::read(path).unwrap()).to_hex();
        assert_eq!(built["hash"].as_str().unwrap(), hash.as_str(), "{built}");
    }
    // A compiler's cache stays from commit to commit; all else would have been in the way of version 2.
    let worktree = project.worktree();
    assert_eq!(std::fs::read_to_string(worktree.join("cache/built")).unwrap(), "1\n2\n");
    // Nothing of it is seen where people work.
    assert!(!project.ground.path("made").exists());
    // Whoever clears the worktree away loses time, and nothing else; the same for builds.
    std::fs::remove_dir_all(&worktree).unwrap();
    std::fs::remove_dir_all(project.ground.path("cache/longhaul/builds")).unwrap();
    assert_eq!(project.built("v1")["kept"], false);
}

pub(crate) fn a_commit_that_cannot_be_built_is_named() {
    let project = Project::new();
    let head = project.ground.git(&["rev-parse", "HEAD"]);
    let first = project.ground.git(&["rev-list", "--max-parents=0", "HEAD"]);
    let rows = [
        ("vbroken", 5, "the build of subject `tool` failed (`sh build.sh`: exit status: 7)".to_owned()),
        (&first, 5, format!("cannot be built at {first}: it has no build.sh")),
        ("v3", 2, "no commit is named `v3`".to_owned()),
        ("--all", 2, "no commit is named `--all`".to_owned()),
        (&head[..4], 5, "failed".to_owned()),
    ];
    for (commit, code, message) in rows {
        let commit = format!("--commit={commit}");
        let ended = project.longhaul(&["subject", "build", "tool.toml", &commit]);
        assert_eq!(ended.code, Some(code), "{commit}: {}", ended.stderr);
        assert!(ended.stderr.contains(&message), "{commit}: {}", ended.stderr);
    }
    // As it lies there.
    let ended = project.longhaul(&["subject", "build", "tool.toml"]);
    assert_eq!(ended.code, Some(5), "{}", ended.stderr);
    // It is not this repository's.
    let ended = project.longhaul(&["subject", "build", "curl", "--commit", "v1"]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("nothing is built from this repository for curl"), "{}", ended.stderr);
}

pub(crate) fn a_run_of_a_commit_is_recorded_as_its() {
    let project = Project::new();
    let file = project.ground.file("small.toml", &scenario("small"));
    let run = |commit: &str| {
        project.longhaul(&["run", file, "--subject", "tool.toml", "--commit", commit, "--json", "--db", DB])
    };
    for version in ["1", "2"] {
        let tag = format!("v{version}");
        let ended = run(&tag);
        let record: longhaul_record::RunRecord = serde_json::from_value(ended.json()).unwrap();
        let detail = record.commit_detail.unwrap();
        assert!(matches!(record.outcome, Outcome::Ok | Outcome::Untrusted), "{:?}", record.reason);
        assert_eq!(record.commit, Some(project.ground.git(&["rev-parse", &tag])));
        assert_eq!((detail.summary.as_str(), detail.dirty), (version, false));
        assert_eq!(record.subject_detail.version.as_deref(), Some(version));
    }
    let ended = run("vbroken");
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(5), ""), "{}", ended.stderr);
    assert_eq!(project.ground.records().len(), 2);
    assert!(project.worktree().join("build.sh").exists());
}
