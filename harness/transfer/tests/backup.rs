//! From device to device: who has the ticket gets the payload, once, and nobody else gets anything.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use common::{assert_only, assert_same_tree, binary, done, events, failure, flip_byte, random_bytes};
use longhaul_record::Event;

struct Sender {
    child: Child,
    stdout: BufReader<ChildStdout>,
    ticket: String,
}

impl Sender {
    fn start(payload: &Path) -> Sender {
        Sender::start_with(payload, "2000")
    }

    fn start_with(payload: &Path, idle_timeout_ms: &str) -> Sender {
        let mut command = binary();
        command.args(["backup-send", "--listen", "127.0.0.1:0", "--idle-timeout-ms", idle_timeout_ms]).arg(payload);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let mut sender = Sender { child, stdout, ticket: String::new() };
        while sender.ticket.is_empty() {
            let mut line = String::new();
            assert!(sender.stdout.read_line(&mut line).unwrap() > 0);
            if let Event::Ready { ticket: Some(ticket), .. } = Event::parse(line.trim_end()).unwrap() {
                sender.ticket = ticket;
            }
        }
        sender
    }

    /// Waits for the end: the exit code, the last event, and standard error.
    fn end(mut self) -> (Option<i32>, Event, String) {
        let mut text = String::new();
        self.stdout.read_to_string(&mut text).unwrap();
        let mut stderr = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        (self.child.wait().unwrap().code(), Event::parse(text.lines().last().unwrap()).unwrap(), stderr)
    }

    /// The ticket with another digit at the end of one of its parts.
    fn ticket_with_wrong(&self, part: usize) -> String {
        let mut parts: Vec<String> = self.ticket.split('-').map(str::to_owned).collect();
        let last = if parts[part].pop() == Some('0') { '1' } else { '0' };
        parts[part].push(last);
        parts.join("-")
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn receive_command(ticket: &str, out: &Path) -> Command {
    let mut command = binary();
    command.args(["backup-receive", ticket]).arg(out);
    command
}

fn receive(ticket: &str, out: &Path) -> Output {
    receive_command(ticket, out).output().unwrap()
}

fn signal(process: &Child, signal: &str) {
    assert!(Command::new("kill").args([signal, &process.id().to_string()]).status().unwrap().success());
}

#[test]
fn a_tree_and_a_file_arrive_and_the_sender_knows() {
    let scratch = tempfile::tempdir().unwrap();
    let root = scratch.path().join("tree");
    fs::create_dir_all(root.join("d")).unwrap();
    fs::write(root.join("d/file"), random_bytes(1, 300_000)).unwrap();
    fs::set_permissions(root.join("d/file"), fs::Permissions::from_mode(0o700)).unwrap();
    symlink("d/file", root.join("link")).unwrap();
    let sender = Sender::start(&root);
    let out = scratch.path().join("out");
    // As a QR code reader gives it.
    assert_eq!(done(&receive(&sender.ticket.to_uppercase(), &out)), 300_000);
    assert_same_tree(&root, &out);
    let ticket = sender.ticket.clone();
    let (code, last, stderr) = sender.end();
    assert!(code == Some(0) && matches!(last, Event::Done { .. }), "{code:?} {last:?} {stderr}");
    assert!(stderr.contains(&format!("backup-receive {ticket} OUT")) && stderr.contains('▀'), "{stderr}");
    let again = receive_command(&ticket, &scratch.path().join("again")).args(["--idle-timeout-ms", "300"]).output();
    assert!(failure(&again.unwrap()).contains("no connection to 127.0.0.1"));

    let sender = Sender::start(&root.join("d/file"));
    let out = scratch.path().join("file");
    assert_eq!(done(&receive(&sender.ticket, &out)), 300_000);
    assert!(fs::read(out).unwrap() == random_bytes(1, 300_000));
    assert_eq!(sender.end().0, Some(0));
}

#[test]
fn a_wrong_try_gets_nothing_and_does_not_use_the_ticket_up() {
    let scratch = tempfile::tempdir().unwrap();
    let payload = scratch.path().join("payload");
    fs::write(&payload, random_bytes(2, 100_000)).unwrap();
    let sender = Sender::start(&payload);
    let out = scratch.path().join("out");
    let rows = [
        (sender.ticket_with_wrong(6), "the sender does not know the ticket's secret"),
        (sender.ticket_with_wrong(4), "the provider's key is not the one in the ticket"),
    ];
    for (ticket, expect) in rows {
        let output = receive(&ticket, &out);
        let message = failure(&output);
        assert!(message.contains(expect), "{message:?} should contain {expect:?}");
        assert!(!events(&output).iter().any(|event| matches!(event, Event::FirstByte { .. })));
    }
    // Without any secret.
    let parts: Vec<&str> = sender.ticket.split('-').collect();
    let plain = ["lht2", parts[1], parts[2], parts[3], parts[4], parts[5]].join("-");
    let message = failure(&common::fetch(&plain, &out));
    assert!(message.contains("no connection to 127.0.0.1"), "{message:?}");
    assert_only(scratch.path(), &["payload"]);

    assert_eq!(done(&receive(&sender.ticket, &out)), 100_000);
    assert_eq!(sender.end().0, Some(0));
}

#[test]
fn a_second_device_is_refused_while_the_first_receives() {
    let scratch = tempfile::tempdir().unwrap();
    let payload = scratch.path().join("payload");
    fs::File::create(&payload).unwrap().set_len(96 << 20).unwrap();
    let sender = Sender::start_with(&payload, "60000");
    let mut command = receive_command(&sender.ticket, &scratch.path().join("first"));
    let mut first =
        command.args(["--idle-timeout-ms", "60000"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(first.stdout.take().unwrap());
    let mut text = String::new();
    while !text.contains("first_byte") {
        assert!(stdout.read_line(&mut text).unwrap() > 0, "{text:?}");
    }
    // However long the second takes to come, the first is not done by then.
    signal(&first, "-STOP");
    let message = failure(&receive(&sender.ticket, &scratch.path().join("second")));
    assert!(message.contains("the ticket has been used already"), "{message:?}");
    signal(&first, "-CONT");
    stdout.read_to_string(&mut text).unwrap();
    assert!(first.wait().unwrap().success(), "{text:?}");
    assert_eq!(sender.end().0, Some(0));
    assert_only(scratch.path(), &["first", "payload"]);
}

#[test]
fn a_sender_under_siege_gives_up() {
    let scratch = tempfile::tempdir().unwrap();
    let payload = scratch.path().join("payload");
    fs::write(&payload, "x").unwrap();
    let sender = Sender::start(&payload);
    let wrong = sender.ticket_with_wrong(6);
    for _ in 0..longhaul_transfer::gate::MAX_WRONG {
        failure(&receive(&wrong, &scratch.path().join("out")));
    }
    let (code, last, _) = sender.end();
    assert_eq!(code, Some(1));
    assert!(matches!(&last, Event::Error { message, .. } if message.contains("the ticket is void")), "{last:?}");
}

#[test]
fn an_interrupted_receipt_uses_the_ticket_up_and_a_new_one_resumes() {
    const BYTES: u64 = 40 * 16 * 1024;
    let scratch = tempfile::tempdir().unwrap();
    let payload = scratch.path().join("payload");
    fs::write(&payload, random_bytes(3, BYTES as usize)).unwrap();
    let sender = Sender::start(&payload);
    let out = scratch.path().join("out");
    let resume = |sender: &Sender| receive_command(&sender.ticket, &out).arg("--resume").output().unwrap();
    flip_byte(&payload, BYTES / 2);
    assert!(failure(&resume(&sender)).contains("the payload changed on disk"));
    flip_byte(&payload, BYTES / 2);
    let (code, last, _) = sender.end();
    assert_eq!(code, Some(1));
    assert!(matches!(&last, Event::Error { message, .. } if message.contains("its ticket is used up")), "{last:?}");

    let sender = Sender::start(&payload);
    let output = resume(&sender);
    assert_eq!(done(&output), BYTES);
    assert!(matches!(events(&output)[0], Event::Resumed { .. }));
    assert_eq!(sender.end().0, Some(0));
    assert_only(scratch.path(), &["out", "payload"]);
}
