//! Where a test stands: a directory that is a git repository of its own, and the program run inside it.

use longhaul_record::{Comparison, RunRecord};
use longhaul_sqlite::SqliteStore;
use longhaul_store::testing::sample::{self, Shape};
use longhaul_store::{ComparisonFilter, RunFilter, Store, Upkeep};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use tempfile::TempDir;

/// The program under test.
const LONGHAUL: &str = env!("CARGO_BIN_EXE_longhaul");
/// Longer than anything here takes on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);
/// The database of a test, relative to its directory.
pub(crate) const DB: &str = "kept/longhaul.db";

/// Why there is no lab on this machine, if there is none.
pub(crate) fn no_lab() -> Option<String> {
    let ended = Ground::new().longhaul(&["doctor", "--json"]);
    if ended.code == Some(0) {
        return None;
    }
    let findings: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap_or_default();
    let missing = findings.as_array().into_iter().flatten().find(|finding| finding["state"] == "missing");
    let detail = missing.and_then(|finding| finding["detail"].as_str()).unwrap_or(&ended.stderr);
    Some(format!("no lab on this machine: {detail}"))
}

/// Why a subject that tests run cannot, if one cannot. `cargo build --workspace` puts the reference beside the program.
pub(crate) fn no_subjects() -> Option<String> {
    let subjects = Ground::new().longhaul(&["subject", "list", "--json"]).json();
    // Those that are run unless others are named; the rest are more than tests may ask a machine to have.
    let ours =
        |subject: &&serde_json::Value| ["reference", "curl"].contains(&subject["name"].as_str().unwrap_or_default());
    let unready = subjects.as_array()?.iter().filter(ours).find(|subject| subject["ready"] != true)?;
    Some(format!("subject {} cannot run on this machine: {}", unready["name"], unready["reason"]))
}

/// A directory of a test's own.
pub(crate) struct Ground {
    directory: TempDir,
}

impl Ground {
    /// A git repository with one commit: nothing in it is built.
    pub(crate) fn new() -> Ground {
        let ground = Ground { directory: tempfile::tempdir().unwrap() };
        ground.git(&["init", "--quiet"]);
        ground.git(&["-c", "user.name=t", "-c", "user.email=t@t", "commit", "--quiet", "--allow-empty", "-m", "first"]);
        ground
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Runs git here, returns what it prints.
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git").args(arguments).current_dir(self.directory.path()).output().unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Writes a file, returns its name.
    pub(crate) fn file<'a>(&self, name: &'a str, text: &str) -> &'a str {
        std::fs::write(self.path(name), text).unwrap();
        name
    }

    /// Starts the program here.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        self.start_marked(arguments, "")
    }

    /// Starts the program here, with `mark` in its environment.
    pub(crate) fn start_marked(&self, arguments: &[&str], mark: &str) -> Running {
        self.spawn(Command::new(LONGHAUL).args(arguments), mark)
    }

    /// Runs a shell script here, in which `$0` is the program, in a mount namespace of its own.
    pub(crate) fn script(&self, script: &str) -> Ended {
        let namespaces = if nix::unistd::geteuid().is_root() { "-m" } else { "-Urm" };
        self.spawn(Command::new("unshare").args([namespaces, "sh", "-c", script, LONGHAUL]), "").end()
    }

    fn spawn(&self, command: &mut Command, mark: &str) -> Running {
        command.current_dir(self.directory.path());
        command.env_remove("CI").env("LONGHAUL_TEST_MARK", mark);
        // Where networks that are up are found: those of other tests are not.
        command.env("XDG_RUNTIME_DIR", self.directory.path());
        // Where builds are kept.
        command.env("XDG_CACHE_HOME", self.directory.path().join("cache"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // As a shell does it, so that a signal can go to the whole family as from a terminal.
        Running::new(command.process_group(0).spawn().unwrap())
    }

    /// Runs the program here, to its end.
    pub(crate) fn longhaul(&self, arguments: &[&str]) -> Ended {
        self.start(arguments).end()
    }

    /// Everything recorded in [`DB`], oldest first.
    pub(crate) fn records(&self) -> Vec<RunRecord> {
        self.records_in(DB)
    }

    /// The same of another database.
    pub(crate) fn records_in(&self, name: &str) -> Vec<RunRecord> {
        block_on(async {
            let store = SqliteStore::open_read_only(self.path(name)).await.unwrap();
            let mut records = Vec::new();
            for summary in store.runs(&RunFilter::default()).await.unwrap() {
                records.push(store.run(&summary.id).await.unwrap().unwrap());
            }
            store.close().await;
            records.reverse();
            records
        })
    }

    /// Every comparison recorded in [`DB`], oldest first.
    pub(crate) fn comparisons(&self) -> Vec<Comparison> {
        block_on(async {
            let store = SqliteStore::open_read_only(self.path(DB)).await.unwrap();
            let mut comparisons = Vec::new();
            for summary in store.comparisons(&ComparisonFilter::default()).await.unwrap() {
                comparisons.push(store.comparison(&summary.id).await.unwrap().unwrap());
            }
            store.close().await;
            comparisons.reverse();
            comparisons
        })
    }

    /// Makes a database look as if a later version of the program had written it.
    pub(crate) fn make_newer(&self, name: &str) {
        block_on(longhaul_sqlite::testing::make_newer(&self.path(name))).unwrap();
    }

    /// Makes a database say what is not so.
    pub(crate) fn spoil(&self, name: &str) {
        block_on(longhaul_sqlite::testing::spoil(&self.path(name))).unwrap();
    }

    /// Waits for the answer of something that takes its time.
    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        block_on(future)
    }

    /// Records a good run, as if measured earlier.
    pub(crate) fn record_one(&self) -> RunRecord {
        let run = sample::run(Shape { network: 1, subject: "reference", commit: 0, iteration: 0 });
        self.record(std::slice::from_ref(&run));
        run
    }

    /// Records runs, as if measured earlier.
    pub(crate) fn record(&self, runs: &[RunRecord]) {
        block_on(async {
            let store = SqliteStore::open(self.path(DB)).await.unwrap();
            for run in runs {
                store.insert_run(run).await.unwrap();
            }
            store.close().await;
        });
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// How a program ended, and what it said.
#[derive(Debug)]
pub(crate) struct Ended {
    /// `None` if it was ended by a signal.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// The records of `--json`.
    pub(crate) fn records(&self) -> Vec<RunRecord> {
        self.stdout.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    }

    /// Standard output as one JSON document.
    pub(crate) fn json(&self) -> serde_json::Value {
        assert_eq!(self.stdout.lines().count(), 1, "{self:?}");
        serde_json::from_str(&self.stdout).expect(&self.stdout)
    }

    /// That it ended so, and said `text` somewhere.
    pub(crate) fn says(&self, code: i32, text: &str) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.stdout.contains(text) || self.stderr.contains(text), "{text:?} is missing: {self:?}");
    }

    /// That it failed with one line on standard error which says all of `expect`, and nothing else.
    pub(crate) fn refused(&self, code: i32, expect: &[&str]) {
        assert_eq!((self.code, self.stdout.as_str()), (Some(code), ""), "{self:?}");
        assert_eq!(self.stderr.lines().count(), 1, "{self:?}");
        for part in expect {
            assert!(self.stderr.contains(part), "{part:?} is missing in {:?}", self.stderr);
        }
    }
}

/// A program that may still run. Dropping it kills it.
pub(crate) struct Running {
    pid: Pid,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
    status: Receiver<ExitStatus>,
    ended: bool,
}

impl Running {
    fn new(mut child: Child) -> Running {
        let pid = Pid::from_raw(child.id().cast_signed());
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (stdout_to, stdout) = channel();
        let (stderr_to, stderr) = channel();
        let (status_to, status) = channel();
        std::thread::spawn(move || {
            let mut text = String::new();
            let _ = BufReader::new(out).read_to_string(&mut text);
            stdout_to.send(text)
        });
        std::thread::spawn(move || {
            for line in BufReader::new(err).lines().map_while(Result::ok) {
                let _ = stderr_to.send(line + "\n");
            }
        });
        std::thread::spawn(move || status_to.send(child.wait().unwrap()));
        Running { pid, stdout, stderr, status, ended: false }
    }

    /// Sends a signal to this process alone.
    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid, signal).unwrap();
    }

    /// Sends a signal to its whole process group, as a terminal does.
    pub(crate) fn signal_all(&self, signal: Signal) {
        killpg(self.pid, signal).unwrap();
    }

    /// The next line on standard error.
    pub(crate) fn says(&self) -> String {
        self.stderr.recv_timeout(DEADLINE).expect("a line on standard error")
    }

    /// Waits for its end.
    pub(crate) fn end(self) -> Ended {
        self.end_within(DEADLINE)
    }

    /// Waits for its end, and for the end of everything that holds its standard output and error.
    pub(crate) fn end_within(mut self, deadline: Duration) -> Ended {
        let status = self.status.recv_timeout(deadline);
        self.ended = status.is_ok();
        let status = status.unwrap_or_else(|_| panic!("still running after {deadline:?}: {:?}", self.said_so_far()));
        let stdout = self.stdout.recv_timeout(DEADLINE).expect("the end of standard output");
        let mut stderr = String::new();
        while let Ok(line) = self.stderr.recv_timeout(DEADLINE) {
            stderr += &line;
        }
        Ended { code: status.code(), stdout, stderr }
    }

    fn said_so_far(&self) -> String {
        self.stderr.try_iter().collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            // Its wait has not returned, so the number is still its own; it may have ended this moment.
            let _ = kill(self.pid, Signal::SIGKILL);
        }
    }
}
