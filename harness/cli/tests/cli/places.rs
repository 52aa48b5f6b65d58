//! Places that cannot be used: exit code 6, one line that names the place and the fix, and everything as it was.

use super::files::{GOOD, scenario};
use super::ground::{DB, Ground};
use std::fs;
use std::net::TcpListener;

/// A database argument, what the message must say, and whether opening it for writing would create it.
const BAD_DATABASES: &[(&str, &[&str])] = &[
    ("file/below/longhaul.db", &["file/below/longhaul.db", "directory"]),
    ("directory", &["directory: not a file", "--db"]),
    ("notes.txt", &["notes.txt: not a database", "not touched", "--db"]),
    ("newer.db", &["newer.db: written by a newer longhaul", "upgrade longhaul", "not touched"]),
];

fn ground_with_bad_databases() -> Ground {
    let ground = Ground::new();
    ground.file("file", "");
    fs::create_dir(ground.path("directory")).unwrap();
    ground.file("notes.txt", &"Dear diary, ".repeat(500));
    ground.record_one();
    fs::copy(ground.path(DB), ground.path("newer.db")).unwrap();
    ground.make_newer("newer.db");
    ground
}

pub(crate) fn a_database_that_cannot_be_served_is_refused() {
    let ground = ground_with_bad_databases();
    let kept = ["notes.txt", "newer.db"].map(|name| (name, fs::read(ground.path(name)).unwrap()));
    // Reading cannot tell a place below a file from one that is not there yet.
    let missing: (&str, &[&str]) = ("missing.db", &["missing.db: there is no database", "longhaul quickstart"]);
    for (db, expect) in BAD_DATABASES[1..].iter().chain([&missing]) {
        ground.longhaul(&["serve", "--listen", "127.0.0.1:0", "--db", db]).refused(6, expect);
    }
    assert!(!ground.path("missing.db").exists(), "looking must not create");
    assert_eq!(kept, ["notes.txt", "newer.db"].map(|name| (name, fs::read(ground.path(name)).unwrap())));
}

pub(crate) fn a_database_that_cannot_be_written_is_refused() {
    let ground = ground_with_bad_databases();
    let kept = ["notes.txt", "newer.db"].map(|name| (name, fs::read(ground.path(name)).unwrap()));
    let file = ground.file("my.toml", &scenario("right"));
    let subject = ground.file("good.toml", &GOOD.text());
    for (db, expect) in BAD_DATABASES {
        ground.longhaul(&["run", file, "--subject", subject, "--db", db]).refused(6, expect);
    }
    assert_eq!(kept, ["notes.txt", "newer.db"].map(|name| (name, fs::read(ground.path(name)).unwrap())));
}

pub(crate) fn a_read_only_disk_is_said_at_once() {
    let ground = Ground::new();
    let file = ground.file("small.toml", &scenario("small"));
    let subject = ground.file("good.toml", &GOOD.text());
    for db in ["disk/longhaul.db", "disk/below/longhaul.db"] {
        let run = format!("exec \"$0\" run {file} --subject {subject} --json --db {db}");
        let ended = ground.script(&format!("mkdir -p disk && mount -t tmpfs -o ro none disk && {run}"));
        ended.refused(6, &[db, "ead-only"]);
    }
}

/// The database lies on a file system that holds a few runs.
pub(crate) fn a_full_disk_keeps_what_it_has() {
    let ground = Ground::new();
    let file = ground.file("small.toml", &scenario("small"));
    let subject = ground.file("good.toml", &GOOD.text());
    fs::create_dir(ground.path("kept")).unwrap();
    let run = format!("\"$0\" run {file} --subject {subject} --repeat 50 --json --db disk/longhaul.db");
    let ended = ground.script(&format!(
        "mkdir disk && mount -t tmpfs -o size=600k none disk && {run}; code=$?; cp disk/* kept; exit $code"
    ));
    assert_eq!(ended.code, Some(6), "{ended:?}");
    let last = ended.stderr.lines().last().unwrap();
    for part in ["could not be recorded; what was recorded before is kept", "disk/longhaul.db", "full"] {
        assert!(last.contains(part), "{part:?} is missing in {last:?}");
    }
    // The one that found no room is printed all the same.
    let printed = ended.records();
    assert!(printed.len() > 1, "{ended:?}");
    assert_eq!(ground.records(), printed[..printed.len() - 1]);
}

pub(crate) fn a_port_in_use_is_said_when_serving() {
    let ground = Ground::new();
    ground.record_one();
    let (_taken, address) = taken();
    ground.longhaul(&["serve", "--listen", &address, "--db", DB]).refused(6, &[&address, "--listen"]);
}

pub(crate) fn a_port_in_use_is_said_before_anything_is_measured() {
    let ground = Ground::new();
    let (_taken, address) = taken();
    let ended = ground.longhaul(&["quickstart", "--listen", &address, "--db", DB]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(6), ""), "{ended:?}");
    // The doctor has spoken before.
    let last = ended.stderr.lines().last().unwrap();
    assert!(last.contains(&address) && last.contains("--listen"), "{last}");
    assert!(ground.records().is_empty());
}

/// A port that someone else listens on.
fn taken() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}
