//! Subjects that misbehave: exit code 5, the reason recorded, never a number, and nothing lost.

use super::files::{COPY, GOOD, Scripts, scenario};
use super::ground::{DB, Ended, Ground};
use longhaul_record::{ExitState, Outcome, RunRecord};
use std::process::{Command, Stdio};

/// A misbehaving subject, what is recorded as the reason, and the exit state of its last process.
type Row = (Scripts<'static>, &'static str, ExitState);

const PROVIDERS: &[Row] = &[
    (
        Scripts { name: "exits", provider: "echo no disk >&2; exit 4", ..GOOD },
        "not ready: the provider exited with status 4",
        ExitState::Code(4),
    ),
    (
        Scripts { name: "dies-later", provider: r#"echo '{"event":"ready"}'; sleep 0.3; exit 9"#, ..HANGS },
        "the provider ended during the transfer: exited with status 9",
        ExitState::Killed,
    ),
    (
        Scripts { name: "never-ready", provider: "echo waiting >&2; exec sleep 1000", ..GOOD },
        "the provider was not ready within 1 s",
        ExitState::TimedOut,
    ),
    (
        Scripts { name: "never-listens", provider: "exec sleep 1000", ready: "ready = { port = 9 }", ..GOOD },
        "the provider was not ready within 1 s",
        ExitState::TimedOut,
    ),
    (
        Scripts { name: "falls-silent", provider: "exec >&-; exec sleep 1000", ..GOOD },
        "not ready: the provider closed its standard output",
        ExitState::Killed,
    ),
    (
        Scripts { name: "greets", provider: "echo hello; exec sleep 1000", ..GOOD },
        "the provider broke the subject protocol",
        ExitState::Killed,
    ),
];

const HANGS: Scripts<'static> = Scripts { name: "hangs", fetcher: "echo stuck >&2; exec sleep 1000", ..GOOD };

const FETCHERS: &[Row] = &[
    (
        Scripts { name: "exits-3", fetcher: "echo no route >&2; exit 3", ..GOOD },
        "the fetcher exited with status 3",
        ExitState::Code(3),
    ),
    (
        Scripts { name: "says-why", fetcher: r#"echo '{"event":"error","message":"lost"}'; exit 1"#, ..EVENTS },
        "the fetcher exited with status 1: lost",
        ExitState::Code(1),
    ),
    (Scripts { name: "crashes", fetcher: "kill -SEGV $$", ..GOOD }, "ended by signal 11", ExitState::Signal(11)),
    (HANGS, "not finished within 1 s", ExitState::TimedOut),
    (
        Scripts { name: "chatters", fetcher: "while :; do echo so; sleep 0.005; done", ..GOOD },
        "not finished within 1 s",
        ExitState::TimedOut,
    ),
    (
        Scripts {
            name: "leaves-a-child",
            fetcher: "mkfifo up; setsid sh -c 'echo > up; while sleep 0.1; do echo so; done' & read it < up; exit 3",
            ..GOOD
        },
        "the fetcher exited with status 3",
        ExitState::Code(3),
    ),
];

const EVENTS: Scripts<'static> = Scripts { name: "events", events: true, ..GOOD };

const TALKERS: &[Row] = &[
    (
        Scripts { name: "garbage", fetcher: "head -c 1000 /dev/urandom; echo; exec sleep 1000", ..EVENTS },
        "the fetcher broke the subject protocol",
        ExitState::Killed,
    ),
    (
        Scripts { name: "endless-line", fetcher: "head -c 100000 /dev/zero; echo; exec sleep 1000", ..EVENTS },
        "the fetcher printed a line of more than 64 KiB",
        ExitState::Killed,
    ),
    (
        Scripts { name: "no-word", fetcher: COPY, ..EVENTS },
        "exited with success but never said `connected`",
        ExitState::Code(0),
    ),
];

/// They all exit with success.
const LIARS: &[(&str, &str, &str)] = &[
    ("nothing", "true", "\"payload.bin\" was not received"),
    ("empty", ": > {out}/{payload.name}", "\"payload.bin\" differs from what was sent (0 bytes, sent 65536)"),
    ("zeroes", "head -c 65536 /dev/zero > {out}/{payload.name}", "\"payload.bin\" differs from what was sent"),
    ("more", "cp {payload.path} {out}/{payload.name}; : > {out}/more", "a file that was not sent: \"more\""),
    ("link", "ln -s {payload.path} {out}/{payload.name}", "\"payload.bin\" was not received"),
    ("pipe", "mkfifo {out}/{payload.name}", "\"payload.bin\" was not received"),
    ("directory", "mkdir {out}/{payload.name}", "\"payload.bin\" was not received"),
    // The directory itself stays.
    ("removed", "rm -r {out}; true", "\"payload.bin\" was not received"),
];

pub(crate) fn a_broken_subject_is_recorded_as_failed() {
    let ground = Ground::new();
    let good = ground.record_one();
    let file = ground.file("small.toml", &scenario("small"));
    let mut expected = vec![good];
    let liars =
        LIARS.iter().map(|(name, fetcher, reason)| (Scripts { name, fetcher, ..GOOD }, *reason, ExitState::Code(0)));
    for (scripts, reason, exit) in [PROVIDERS, FETCHERS, TALKERS].concat().into_iter().chain(liars) {
        let subject = ground.file("subject.toml", &scripts.text());
        let ended = ground.longhaul(&["run", file, "--subject", subject, "--json", "--db", DB]);
        let record = failed(&ended, reason);
        let last = record.processes.last().unwrap();
        assert_eq!((record.subject.as_str(), last.exit), (scripts.name, exit), "{record:?}");
        let timed_out = exit == ExitState::TimedOut;
        assert_eq!(record.outcome, if timed_out { Outcome::TimedOut } else { Outcome::SubjectFailed });
        // What it wrote to standard error is kept.
        for script in [scripts.provider, scripts.fetcher] {
            if let Some(said) = script.strip_prefix("echo ").and_then(|rest| rest.split_once(" >&2")) {
                let tails = record.processes.iter().any(|process| process.stderr_tail == format!("{}\n", said.0));
                assert!(tails, "{record:?}");
            }
        }
        expected.push(record);
    }
    assert_eq!(ground.records(), expected);
}

/// The one record of a command whose subject failed for `reason`.
fn failed(ended: &Ended, reason: &str) -> RunRecord {
    assert_eq!(ended.code, Some(5), "{reason}: {ended:?}");
    let [record] = ended.records().try_into().expect("one record");
    assert!(record.reason.as_ref().unwrap().contains(reason), "{reason}: {:?}", record.reason);
    assert!(record.samples.is_empty(), "{reason}: {:?}", record.samples);
    record
}

/// What it does, the limits in its file, and the reason that is recorded.
const HOGS: &[(&str, &str, &str)] = &[
    ("head -c 4G /dev/zero | tail", "memory = \"64MiB\"", "used more than 64 MiB of memory; the limit is `memory`"),
    ("bomb() { bomb | bomb & }; bomb; sleep 1000", "processes = 60", "used more than 60 processes and threads; the"),
    ("cat /dev/zero > {out}/hog", "space = \"4MiB\"", "used more than 4 MiB of space for files; the limit is `space`"),
    ("cat /dev/zero > /tmp/hog", "space = \"4MiB\"", "used more than 4 MiB of space for files; the limit is `space`"),
];

pub(crate) fn a_hog_is_ended_with_its_reason() {
    let ground = Ground::new();
    let file = ground.file("small.toml", &scenario("small").replace("\"1s\"", "\"55s\""));
    for (script, limit, reason) in HOGS {
        let text = Scripts { name: "hog", fetcher: script, ..GOOD }.text() + &format!("[limits]\n{limit}\n");
        let subject = ground.file("subject.toml", &text);
        let ended = ground.longhaul(&["run", file, "--subject", subject, "--json", "--db", DB]);
        let record = failed(&ended, &format!("the fetcher {reason}"));
        assert_eq!(record.outcome, Outcome::SubjectFailed);
        assert_eq!(ground.records().last(), Some(&record));
    }
}

/// It leaves with status 77 if it finds nothing that it should not.
pub(crate) fn a_subject_sees_nothing_of_the_users() {
    let ground = Ground::new();
    let file = ground.file("small.toml", &scenario("small"));
    let home = std::env::var("HOME").unwrap_or_else(|_| "/root".to_owned());
    let here = ground.path(".").display().to_string();
    let look = format!(
        "test -e '{here}/{DB}' && exit 1; test -e '{here}/small.toml' && exit 2; test -e '{home}/.profile' && exit 3; \
         test -e '{home}/.cargo/credentials.toml' && exit 4; ls /dev/shm/staged/payload && exit 5; \
         (: > /usr/x) 2>/dev/null && exit 6; test $(ls /proc | grep -c '^[0-9]') -lt 6 || exit 7; \
         test $(id -u) = 0 && exit 8; touch {{home}}/x {{out}}/x /tmp/x || exit 9; exit 77"
    );
    let subject = ground.file("subject.toml", &Scripts { name: "looks", fetcher: &look, ..GOOD }.text());
    let ended = ground.longhaul(&["run", file, "--subject", subject, "--json", "--db", DB]);
    failed(&ended, "the fetcher exited with status 77");
}

pub(crate) fn a_flood_is_ended() {
    let ground = Ground::new();
    let file = ground.file("small.toml", &scenario("small").replace("\"1s\"", "\"55s\""));
    let fetcher = Scripts {
        name: "floods",
        fetcher: "yes how loud can a program be until someone hears it | head -c 80M; exec sleep 1000",
        ..GOOD
    };
    let provider = Scripts { name: "floods", provider: "echo '{\"event\":\"ready\"}'; exec yes", ..HANGS };
    for (scripts, role) in [(fetcher, "fetcher"), (provider, "provider")] {
        let subject = ground.file("subject.toml", &scripts.text());
        let ended = ground.longhaul(&["run", file, "--subject", subject, "--json", "--db", DB]);
        let record = failed(&ended, &format!("the {role} printed more than 64 MiB to standard output"));
        assert_eq!(ground.records().last(), Some(&record));
    }
}

/// What was measured is left out: it failed, but that says something about the subject, too.
pub(crate) fn a_suite_is_resumed() {
    let ground = Ground::new();
    let file = ground.file("small.toml", &scenario("small"));
    let subject = ground.file("bad.toml", &Scripts { name: "bad", fetcher: "exit 4", ..GOOD }.text());
    let run = |repeat: &str, more: &[&str]| {
        let asked = ["run", file, "--subject", subject, "--json", "--db", DB, "--repeat", repeat];
        ground.longhaul(&[&asked[..], more].concat())
    };
    let seeds = |ended: &Ended| ended.records().iter().map(|record| record.seed).collect::<Vec<_>>();
    assert_eq!(seeds(&run("2", &["--resume"])), [1, 2]);
    let resumed = run("3", &["--resume"]);
    assert_eq!((seeds(&resumed), resumed.code), (vec![3], Some(5)));
    assert_eq!((seeds(&run("3", &["--resume"])), ground.records().len()), (vec![], 3));
    assert_eq!(seeds(&run("1", &["--resume", "--seed", "9"])), [9]);
    assert_eq!(seeds(&run("1", &[])), [1]);
    ground.file("small.toml", &scenario("small").replace("\"1s\"", "\"2s\""));
    assert_eq!(seeds(&run("1", &["--resume"])), [1], "another scenario");
    ground.git(&["-c", "user.name=t", "-c", "user.email=t@t", "commit", "--quiet", "--allow-empty", "-m", "second"]);
    assert_eq!(seeds(&run("1", &["--resume"])), [1], "another commit");
    ground.file("tracked", "");
    ground.git(&["add", "tracked"]);
    let refused = run("1", &["--resume"]);
    assert!(refused.code == Some(2) && refused.stderr.contains("commit first"), "{refused:?}");
}

/// Why nothing is counted here, if so.
pub(crate) fn no_valgrind() -> Option<String> {
    let found = Command::new("valgrind").arg("--version").stdout(Stdio::null()).status().is_ok();
    (!found).then(|| "no instructions are counted: valgrind is not installed".to_owned())
}

pub(crate) fn instructions_are_counted_and_nothing_else() {
    let ground = Ground::new();
    let file = ground.file("small.toml", &scenario("small").replace("\"1s\"", "\"60s\""));
    let subject = ground.file("good.toml", &GOOD.text());
    let run = || {
        let ended = ground.longhaul(&["run", file, "--subject", subject, "--instructions", "--json", "--db", DB]);
        ended.records().pop().unwrap()
    };
    let records = [run(), run()];
    for record in &records {
        assert!(matches!(record.outcome, Outcome::Ok | Outcome::Untrusted), "{:?}", record.reason);
        assert!(record.samples.iter().all(|sample| sample.metric == "instructions"), "{:?}", record.samples);
        assert!(record.processes[0].command[0].ends_with("valgrind"), "{:?}", record.processes);
    }
    for side in ["provider", "fetcher"] {
        let [one, other] = records.each_ref().map(|record| record.value("instructions", Some(side)).unwrap());
        // The shell alone takes some 100,000.
        assert!(one > 50_000.0 && (one / other - 1.0).abs() < 0.1, "{side}: {one} {other}");
    }
    // Programs that leave no count get no times instead.
    let rid = "find \"$HOME\" -name 'callgrind-*' -delete";
    let provider = format!("mkfifo \"$HOME/never\"; {rid}; echo '{{\"event\":\"ready\"}}'; read it < \"$HOME/never\"");
    let fetcher = format!("{COPY}; {rid}");
    ground.file("good.toml", &Scripts { provider: &provider, fetcher: &fetcher, ..GOOD }.text());
    let record = run();
    assert_eq!((record.outcome, record.samples.len()), (Outcome::SetupFailed, 0), "{:?}", record.reason);
    ground.file("good.toml", &GOOD.text());
    let record = &ground.record_one();
    assert!(record.value("instructions", Some("fetcher")).is_none() && record.value("total_time", None).is_some());
}

/// Where nothing is delivered, the subject's word is all there is, and the record says so.
pub(crate) fn what_delivers_nothing_is_taken_at_its_word() {
    let ground = Ground::new();
    let file = ground.file("small.toml", &scenario("small").replace("\"1s\"", "\"30s\""));
    let run = |script: &str, captures: &str| {
        let fetcher = Scripts { name: "raw", fetcher: script, ..GOOD };
        let text = fetcher.text().replace("name = \"raw\"", "name = \"raw\"\ndelivers = \"nothing\"");
        let subject = ground.file("raw.toml", &(text + "[fetcher.capture]\n" + captures));
        ground.longhaul(&["run", file, "--subject", subject, "--json", "--db", DB])
    };
    let captures = "connected = { regex = 'at last' }\nbytes = { regex = 'got (\\d+)' }\n";
    let ended = run("echo at last; sleep 0.1; echo got $(({payload.bytes} / 2))", captures);
    assert!(!ended.records().is_empty(), "{ended:?}");
    // A busy machine is no subject's fault.
    for record in ended.records() {
        assert!(matches!(record.outcome, Outcome::Ok | Outcome::Untrusted), "{record:?}");
        assert!(record.subject_detail.delivers_nothing);
        // A network that could not be calibrated carried nothing.
        let of = |metric: &str| record.samples.iter().find(|sample| sample.metric == metric).map(|found| found.value);
        if let (Some(goodput), Some(seconds)) = (of("goodput"), of("transfer_time")) {
            assert!((goodput * seconds / 8.0 - 32_768.0).abs() < 1.0, "{record:?}");
        }
        assert!(record.outcome == Outcome::Untrusted || of("goodput").is_some(), "{record:?}");
    }
    let ended = run("echo at last; echo got 0", captures);
    let record = ended.records().pop().unwrap();
    let reason = record.reason.unwrap();
    let silent = "bob did not say that it received anything";
    assert!(record.outcome == Outcome::Untrusted || reason == silent, "{reason}");
    run("true", "").refused(2, &["`fetcher.capture`: delivers nothing, so it has to say how much it received"]);
}

/// Where the scenario has no host for it, a relay that a subject cannot do without runs with the provider.
pub(crate) fn a_relay_is_somewhere() {
    let ground = Ground::new();
    let file = ground.file("small.toml", &scenario("small").replace("\"1s\"", "\"30s\""));
    let relay = "[relay]\ncommand = [\"sh\", \"-c\", \"echo at {self.address}; exec sleep 1000\"]\n\
                 ready = { line = \"at\" }\n";
    let fetcher = Scripts { name: "helped", fetcher: "test {relay.address} = {provider.address} && COPY", ..GOOD };
    let text = fetcher.text().replace("COPY", COPY) + relay;
    let subject = ground.file("helped.toml", &text);
    let ended = ground.longhaul(&["run", file, "--subject", subject, "--json", "--db", DB]);
    assert!(!ended.records().is_empty(), "{ended:?}");
    for record in ended.records() {
        assert!(matches!(record.outcome, Outcome::Ok | Outcome::Untrusted), "{record:?}");
        // A network that could not be calibrated had no processes.
        if let Some(relay) = record.processes.first() {
            assert_eq!((record.processes.len(), relay.host.as_str()), (3, "alice"));
        }
    }
    let without = text.clone() + "[fetcher.relayed]\ncommand = [\"false\"]\n";
    let subject = ground.file("optional.toml", &without);
    let ended = ground.longhaul(&["run", file, "--subject", subject, "--json", "--db", DB]);
    let record = ended.records().pop().unwrap();
    let reason = record.reason.unwrap();
    assert!(record.outcome == Outcome::Untrusted || reason.contains("needs {relay.address}"), "{reason}");
}

/// Nodes run before all others and know the first; every lookup is told of and counts, found or not; and who cannot look
/// anything up says so.
pub(crate) fn keys_are_looked_up_among_nodes() {
    let ground = Ground::new();
    let text = scenario("dht").replace("\"1s\"", "\"30s\"").replace("kind = \"random\"\nsize = \"64KiB\"", KEYS);
    let file =
        ground.file("dht.toml", &text.replace("[roles]", "[[host]]\nname = \"n\"\ncount = 3\n[roles]\nnode = \"n\""));
    let subject = |name: &str, fetcher: &str| {
        let text = FINDER.replace("NAME", name).replace("FETCHER", fetcher);
        ground.file(&format!("{name}.toml"), &text);
        let ended = ground.longhaul(&["run", file, "--subject", &format!("{name}.toml"), "--json", "--db", DB]);
        ended.records().pop().unwrap_or_else(|| panic!("{ended:?}"))
    };
    let found = subject("finds", &format!("{LOOKS}; {DONE}"));
    if found.outcome != Outcome::Untrusted {
        assert_eq!((found.outcome, found.reason.as_deref()), (Outcome::Ok, None));
        let hosts: Vec<&str> = found.processes.iter().map(|process| process.host.as_str()).collect();
        assert_eq!(hosts, ["n-1", "n-2", "n-3", "alice", "bob"]);
        let value = |metric| found.value(metric, None);
        assert_eq!((value("lookup_time"), value("lookup_success")), (Some(0.125), Some(0.75)));
        assert_eq!((value("lookup_messages"), value("goodput")), (Some(7.0), None));
        assert!(found.value("cpu_seconds", Some("node")).is_some() && value("lookup_packets").is_some());
    }
    let rows = [(DONE, "bob told of 0 lookups, and was to make 4"), ("exit 1", "the fetcher exited with status 1")];
    for (name, (fetcher, reason)) in ["idle", "fails"].iter().zip(rows) {
        let record = subject(name, fetcher);
        assert!(
            record.outcome == Outcome::Untrusted || record.reason.as_deref() == Some(reason),
            "{:?}",
            record.reason
        );
    }
    let good = ground.file("good.toml", &GOOD.text());
    let record = ground.longhaul(&["run", file, "--subject", good, "--json", "--db", DB]).records().pop().unwrap();
    let reason = record.reason.unwrap();
    let unable = "the provider has no `command_lookups`: it cannot look anything up";
    assert!(record.outcome == Outcome::Untrusted || reason == unable, "{reason}");
}

const KEYS: &str = "kind = \"lookups\"\ncount = 4";
/// Looks every key of the list up: finds all but one of four.
const LOOKS: &str = r#"echo '{"event":"connected"}'; n=0; while read -r key; do n=$((n + 1)); found=true
[ ${#key} = 64 ] && [ $n -lt 4 ] || found=false
echo "{\"event\":\"lookup\",\"found\":$found,\"seconds\":0.125,\"messages\":7}"; done <{payload.list}"#;
const DONE: &str = r#"echo '{"event":"connected"}'; echo '{"event":"done","bytes":0}'"#;
/// Nodes fail unless the bootstrap's name means the first of them: it is the one whose address is its own.
const FINDER: &str = r#"schema = 1
name = "NAME"
[node]
command = ["sh", "-c", """case $(hostname) in
n-1) [ {self.address} = {bootstrap.address} ] ;;
*) [ {self.address} != {bootstrap.address} ] ;;
esac && echo up && exec sleep 1000"""]
ready = { line = "up" }
[provider]
command_lookups = ["sh", "-c", "[ {self.address} != {bootstrap.address} ] && [ -s {payload.list} ] && echo up && exec sleep 1000"]
ready = { line = "up" }
[fetcher]
command_lookups = ["sh", "-c", '''FETCHER''']
events = true
"#;

/// Where a share of success is expected, that share decides; the table says how sure it is.
pub(crate) fn an_expected_share_decides() {
    let ground = Ground::new();
    let fails = ground.file("fails.toml", &Scripts { name: "fails", fetcher: "exit 3", ..GOOD }.text());
    let run = |least: &str| {
        let text = scenario("risky") + "\n[expect]\nsuccess = \">= " + least + "\"\n";
        let file = ground.file("risky.toml", &text);
        ground.longhaul(&["run", file, "--subject", fails, "--repeat", "2", "--db", DB])
    };
    let borne = run("0%");
    assert_eq!(borne.code, Some(0), "{borne:?}");
    assert!(borne.stdout.contains("0 of 2 ok (0–66 %)"), "{borne:?}");
    let missed = run("1%");
    assert_eq!(missed.code, Some(5), "{missed:?}");
    assert!(missed.stderr.contains("expected at least 1 % to succeed, 0 of 2 did"), "{missed:?}");
}

/// A check says what works, what is missing, and what a program that fails has said.
pub(crate) fn a_check_explains() {
    let ground = Ground::new();
    let curl = ground.longhaul(&["subject", "check", "curl"]);
    assert_eq!(curl.code, Some(0), "{curl:?}");
    // On a machine too busy for numbers, that is all there is to say.
    for words in ["good  programs: ", "good  version: ", "good  one file: ", "good  many files: "] {
        assert!(curl.stdout.contains(words), "{words}: {}", curl.stdout);
    }
    let fails = Scripts { name: "fails", fetcher: "echo no such thing >&2; exit 3", ..GOOD };
    let fails = ground.file("fails.toml", &fails.text());
    let fails = ground.longhaul(&["subject", "check", fails]);
    assert_eq!(fails.code, Some(5), "{fails:?}");
    for words in ["BAD   one file: the fetcher exited with status 3", "wrote to standard error: no such thing"] {
        assert!(fails.stdout.contains(words), "{words}: {}", fails.stdout);
    }
    let lacks = Scripts { name: "lacks", ..GOOD }
        .text()
        .replace("name = \"lacks\"", "name = \"lacks\"\nneeds = [\"no-such-tool\"]\nobtain = \"ask around\"");
    let lacks = ground.file("lacks.toml", &lacks);
    ground
        .longhaul(&["subject", "check", lacks])
        .refused(6, &["`no-such-tool` is not installed; to get it: ask around"]);
}

/// The second subject fails if it sees a process of the first.
pub(crate) fn a_daemon_does_not_outlive_its_run() {
    let ground = Ground::new();
    let file = ground.file("small.toml", &scenario("small"));
    // It waits until the other one has left its process group.
    let leave = format!("{COPY}; mkfifo up; setsid sh -c 'echo > up; exec sleep 98765' >/dev/null & read it < up");
    let look = format!("{COPY}; grep -l 9876[5] /proc/[0-9]*/cmdline && exit 9; true");
    let leaves = ground.file("leaves.toml", &Scripts { name: "leaves", fetcher: &leave, ..GOOD }.text());
    let looks = ground.file("looks.toml", &Scripts { name: "looks", fetcher: &look, ..GOOD }.text());
    let ended = ground.longhaul(&["run", file, "--subject", leaves, "--subject", looks, "--json", "--db", DB]);
    let records = ended.records();
    let failures: Vec<&RunRecord> = records.iter().filter(|record| record.outcome == Outcome::SubjectFailed).collect();
    assert!(failures.is_empty(), "{failures:?}");
    assert_eq!(records.last().map(|record| record.subject.as_str()), Some("looks"));
}

pub(crate) fn a_program_that_is_not_installed_is_named() {
    let ground = Ground::new();
    let file = ground.file("small.toml", &scenario("small"));
    let text = GOOD.text().replacen("[fetcher]\ncommand = [\"sh\"", "[fetcher]\ncommand = [\"no-such-program\"", 1);
    let subject = ground.file("subject.toml", &text);
    let ended = ground.longhaul(&["run", file, "--subject", subject, "--db", DB]);
    ended.refused(6, &["subject `good` cannot run on this machine", "`no-such-program` is not installed"]);
}

/// The provider is behind a NAT and never speaks first: no probe gets from the fetcher to it. A subject may get there all
/// the same, by relay or hole punching, so each host's own way to the internet is measured, and its router.
pub(crate) fn hosts_that_cannot_meet_are_measured_on_their_own() {
    let ground = Ground::new();
    let behind = "[[router]]\nname = \"home\"\nnat = \"home\"\n\n[[host]]\nname = \"alice\"\nbehind = \"home\"\n";
    let text = scenario("behind").replacen("[[host]]\nname = \"alice\"\n", behind, 1);
    let file = ground.file("behind.toml", &text);
    let subject = ground.file("subject.toml", &GOOD.text());
    let ended = ground.longhaul(&["run", file, "--subject", subject, "--json", "--db", DB]);
    // A busy machine may leave it untrusted; what was measured is there all the same.
    assert!(matches!(ended.code, Some(0 | 4)), "{ended:?}");
    let records = ended.records();
    for record in &records {
        let paths: Vec<(&str, &str)> =
            record.calibration.paths.iter().map(|path| (path.from.as_str(), path.to.as_str())).collect();
        assert_eq!(paths, [("bob", "internet"), ("internet", "bob"), ("alice", "internet"), ("internet", "alice")]);
        let [nat] = &record.calibration.nats[..] else { panic!("{:?}", record.calibration.nats) };
        assert_eq!(nat.host, "alice");
    }
    assert_eq!(ground.records(), records);
}

/// A provider that nobody can reach by UDP: nothing proves what its links do.
pub(crate) fn an_unreachable_provider_is_not_trusted() {
    let ground = Ground::new();
    let behind =
        "[[router]]\nname = \"home\"\nnat = \"udp-blocked\"\n\n[[host]]\nname = \"alice\"\nbehind = \"home\"\n";
    let text = scenario("behind").replacen("[[host]]\nname = \"alice\"\n", behind, 1);
    let file = ground.file("behind.toml", &text);
    let subject = ground.file("subject.toml", &GOOD.text());
    let ended = ground.longhaul(&["run", file, "--subject", subject, "--json", "--db", DB]);
    assert_eq!(ended.code, Some(4), "{ended:?}");
    let records = ended.records();
    for record in &records {
        assert_eq!(record.outcome, Outcome::Untrusted, "{record:?}");
        assert!(record.samples.is_empty() && record.reason.as_ref().unwrap().contains("alice"), "{record:?}");
    }
    assert_eq!(ground.records(), records);
}

/// `longhaul run … --json | head -0`: whoever stops reading does not stop the keeping.
pub(crate) fn a_closed_pipe_loses_no_result() {
    let ground = Ground::new();
    let file = ground.file("small.toml", &scenario("small"));
    let subject = ground.file("subject.toml", &GOOD.text());
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_longhaul"));
    command.args(["run", file, "--subject", subject, "--json", "--db", DB]).current_dir(ground.path("."));
    let status = command.stdin(Stdio::null()).stdout(writer).stderr(Stdio::null()).status().unwrap();
    assert_eq!(status.code(), Some(0));
    assert_eq!(ground.records().len(), 1);
}
