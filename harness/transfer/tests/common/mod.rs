//! Starting the binary, reading its events, and payloads made from a printed seed.
#![allow(dead_code, reason = "each test target uses its own part")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking and prints its seed")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use longhaul_record::Event;

pub(crate) fn binary() -> Command {
    Command::new(env!("CARGO_BIN_EXE_longhaul-transfer"))
}

/// A serving process. Killed when dropped.
pub(crate) struct Server {
    pub(crate) child: Child,
    stdout: BufReader<ChildStdout>,
    pub(crate) ticket: String,
    /// What was said before `ready`.
    pub(crate) importing: Vec<Event>,
}

impl Server {
    /// Starts a serving command and waits for its `ready` event.
    pub(crate) fn start(command: &mut Command) -> Server {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut events = Vec::new();
        let ticket = loop {
            let mut line = String::new();
            stdout.read_line(&mut line).unwrap();
            match Event::parse(line.trim_end()) {
                Ok(Event::Ready { ticket: Some(ticket), t: Some(_), .. }) => break ticket,
                Ok(event @ (Event::Importing { .. } | Event::Imported { .. })) => events.push(event),
                other => panic!("not ready: {other:?}"),
            }
        };
        Server { child, stdout, ticket, importing: events }
    }

    pub(crate) fn provide(payload: &Path) -> Server {
        Server::provide_with(payload, &[])
    }

    pub(crate) fn provide_with(payload: &Path, extra: &[&str]) -> Server {
        let mut command = binary();
        command.args(["provide", "--listen", "127.0.0.1:0", "--payload"]).arg(payload).args(extra);
        Server::start(&mut command)
    }

    pub(crate) fn port(&self) -> u16 {
        self.ticket.rsplit('-').next().unwrap().parse().unwrap()
    }

    /// Sends SIGTERM and returns the exit code and what the process wrote to standard error.
    pub(crate) fn stop(mut self) -> (Option<i32>, String) {
        let status = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(status.success());
        let status = self.child.wait().unwrap();
        let mut rest = String::new();
        std::io::Read::read_to_string(&mut self.stdout, &mut rest).unwrap();
        assert_eq!(rest, "", "a provider prints nothing after `ready`");
        let mut stderr = String::new();
        std::io::Read::read_to_string(&mut self.child.stderr.take().unwrap(), &mut stderr).unwrap();
        (status.code(), stderr)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn fetch_command(ticket: &str, out: &Path) -> Command {
    let mut command = binary();
    command.args(["fetch", "--from", "127.0.0.1", "--ticket", ticket, "--out"]).arg(out);
    command
}

pub(crate) fn fetch(ticket: &str, out: &Path) -> Output {
    fetch_command(ticket, out).output().unwrap()
}

/// All events of a finished process. Panics on anything else on standard output.
pub(crate) fn events(output: &Output) -> Vec<Event> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().map(|line| Event::parse(line).unwrap()).collect()
}

/// Asserts success and returns the payload bytes of the `done` event.
pub(crate) fn done(output: &Output) -> u64 {
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    match events(output).last() {
        Some(Event::Done { bytes, .. }) => *bytes,
        other => panic!("last event: {other:?}"),
    }
}

/// Asserts the one way to fail: exit code 1, one `error` event at the end, one line on standard error that repeats it.
pub(crate) fn failure(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let events = events(output);
    let errors: Vec<&String> = events
        .iter()
        .filter_map(|event| if let Event::Error { message, .. } = event { Some(message) } else { None })
        .collect();
    let [message] = errors.as_slice() else { panic!("not one error event: {events:?}") };
    assert!(matches!(events.last(), Some(Event::Error { .. })), "{events:?}");
    assert!(!events.iter().any(|event| matches!(event, Event::Done { .. })), "{events:?}");
    let stderr = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(stderr, format!("longhaul-transfer: {message}\n"));
    (*message).clone()
}

/// Bytes that follow from a seed, printed so that a failure can be repeated.
pub(crate) fn random_bytes(seed: u64, bytes: usize) -> Vec<u8> {
    println!("payload of {bytes} bytes from seed {seed}");
    let mut data = vec![0; bytes];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut data);
    data
}

/// Asserts that two trees hold the same directories, files and links, with the same modes.
pub(crate) fn assert_same_tree(a: &Path, b: &Path) {
    let list = |root: &Path| {
        let mut names: Vec<_> = fs::read_dir(root).unwrap().map(|item| item.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(list(a), list(b), "{} and {}", a.display(), b.display());
    for name in list(a) {
        let (a, b) = (a.join(&name), b.join(&name));
        let meta = [&a, &b].map(|path| path.symlink_metadata().unwrap());
        let mode = meta.map(|meta| meta.permissions().mode());
        assert_eq!(mode[0], mode[1], "{} has {:o}, not {:o}", b.display(), mode[1], mode[0]);
        if a.is_symlink() {
            assert_eq!(fs::read_link(&a).unwrap(), fs::read_link(&b).unwrap());
        } else if a.is_dir() {
            assert_same_tree(&a, &b);
        } else {
            assert!(fs::read(&a).unwrap() == fs::read(&b).unwrap(), "{} and {} differ", a.display(), b.display());
        }
    }
}

/// Changes one bit of a file.
pub(crate) fn flip_byte(path: &Path, offset: u64) {
    let file = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], offset).unwrap();
}

/// Nothing but the named files is left in a directory.
pub(crate) fn assert_only(directory: &Path, expect: &[&str]) {
    let mut names: Vec<String> =
        fs::read_dir(directory).unwrap().map(|item| item.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, expect);
}
