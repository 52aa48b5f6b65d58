//! What goes wrong is found, named, and leaves nothing unverified behind.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::Stdio;

use common::{Server, assert_only, binary, events, failure, fetch, fetch_command, flip_byte, random_bytes};
use longhaul_record::Event;

const GROUP: usize = 16 * 1024;

struct Scratch {
    directory: tempfile::TempDir,
    payload: PathBuf,
    out: PathBuf,
    data: Vec<u8>,
}

fn scratch(seed: u64, bytes: usize) -> Scratch {
    let directory = tempfile::tempdir().unwrap();
    let (payload, out) = (directory.path().join("payload"), directory.path().join("out"));
    let data = random_bytes(seed, bytes);
    fs::write(&payload, &data).unwrap();
    Scratch { directory, payload, out, data }
}

/// A payload that takes long enough to be interrupted whatever the machine: a large file of zeros that uses no disk.
fn large() -> Scratch {
    let scratch = scratch(0, 0);
    fs::OpenOptions::new().write(true).open(&scratch.payload).unwrap().set_len(256 << 20).unwrap();
    scratch
}

#[test]
fn a_byte_that_changed_on_the_providers_disk_is_named_by_the_provider() {
    let s = scratch(1, 1_000_000);
    let server = Server::provide(&s.payload);
    flip_byte(&s.payload, 500_000);
    let message = failure(&fetch(&server.ticket, &s.out));
    let start = 500_000 / GROUP * GROUP;
    let expect = format!("the payload changed on disk since import: payload bytes {start}..{}", start + GROUP);
    assert!(message.contains(&expect), "{message:?} should contain {expect:?}");
    assert_only(s.directory.path(), &["payload"]);
    let (code, stderr) = server.stop();
    assert_eq!(code, Some(0), "one fetcher's failure does not end a provider");
    assert!(stderr.contains(&expect), "{stderr:?} should contain {expect:?}");
}

#[test]
fn a_lying_provider_is_found_by_the_fetcher() {
    let s = scratch(2, 1_000_000);
    let server = Server::provide_with(&s.payload, &["--unchecked"]);
    flip_byte(&s.payload, 999_999);
    let message = failure(&fetch(&server.ticket, &s.out));
    let start = 999_999 / GROUP * GROUP;
    for expect in [format!("sent for out bytes {start}..1000000"), "do not match the blob's hash".to_owned()] {
        assert!(message.contains(&expect), "{message:?} should contain {expect:?}");
    }
    assert_only(s.directory.path(), &["payload"]);
}

#[test]
fn in_a_tree_the_file_is_named_and_only_verified_bytes_are_written() {
    for unchecked in [false, true] {
        let s = scratch(3, 100_000);
        let root = s.directory.path().join("tree");
        fs::create_dir(&root).unwrap();
        fs::write(root.join("a"), &s.data).unwrap();
        fs::write(root.join("b"), &s.data).unwrap();
        let server = Server::provide_with(&root, if unchecked { &["--unchecked"] } else { &[] });
        flip_byte(&root.join("b"), 50_000);
        let message = failure(&fetch(&server.ticket, &s.out));
        assert!(message.contains(" b bytes "), "{message:?}");
        assert_eq!(message.contains("changed on disk"), !unchecked, "{message:?}");
        for name in ["a", "b"] {
            let written = fs::read(s.out.join(name)).unwrap_or_default();
            assert!(s.data.starts_with(&written), "{name} holds unverified bytes");
        }
    }
}

#[test]
fn a_file_that_shrank_or_vanished_is_named() {
    let s = scratch(4, 1_000_000);
    let server = Server::provide(&s.payload);
    fs::OpenOptions::new().write(true).open(&s.payload).unwrap().set_len(100_000).unwrap();
    let message = failure(&fetch(&server.ticket, &s.out));
    assert!(message.contains("the payload changed on disk since import: payload at offset 98304"), "{message:?}");
    fs::remove_file(&s.payload).unwrap();
    let message = failure(&fetch(&server.ticket, &s.out));
    assert!(message.contains("payload at offset 0: No such file"), "{message:?}");
}

#[test]
fn a_ticket_must_match_the_provider() {
    let s = scratch(5, 100_000);
    let server = Server::provide(&s.payload);
    let other = Server::provide(&s.payload);
    let part = |ticket: &str, index: usize| ticket.split('-').nth(index).unwrap().to_owned();
    let replace = |index: usize, with: &str| server.ticket.replace(&part(&server.ticket, index), with);
    let rows = [
        // The right hash from a provider with another key.
        (replace(4, &part(&other.ticket, 4)), "the provider's key is not the one in the ticket"),
        (replace(3, &"0".repeat(64)), "the provider does not have what the ticket names"),
        (replace(2, "100001"), "ended the stream after 98304 verified bytes of 100001"),
        (replace(2, "1"), "do not match the blob's hash"),
        (replace(1, "tree"), "refused before anything was written: not a manifest"),
    ];
    for (ticket, expect) in rows {
        let message = failure(&fetch(&ticket, &s.out));
        assert!(message.contains(expect), "{message:?} should contain {expect:?}");
        assert!(!s.out.is_file());
    }
}

#[test]
fn a_killed_provider_is_noticed_within_the_idle_timeout() {
    let s = large();
    let mut server = Server::provide(&s.payload);
    let mut fetcher = fetch_command(&server.ticket, &s.out)
        .args(["--idle-timeout-ms", "300"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(fetcher.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert!(line.contains("connected"), "{line:?}");
    server.child.kill().unwrap();
    let rest: Vec<String> = stdout.lines().map(Result::unwrap).collect();
    assert_eq!(fetcher.wait().unwrap().code(), Some(1), "{rest:?}");
    let last = Event::parse(rest.last().unwrap()).unwrap();
    assert!(matches!(&last, Event::Error { message, .. } if message.contains("timed out")), "{last:?}");
    assert_only(s.directory.path(), &["payload"]);
}

#[test]
fn a_stopped_provider_says_so() {
    let s = large();
    let server = Server::provide(&s.payload);
    let mut fetcher =
        fetch_command(&server.ticket, &s.out).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(fetcher.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert_eq!(server.stop().0, Some(0));
    let rest: Vec<String> = stdout.lines().map(Result::unwrap).collect();
    assert_eq!(fetcher.wait().unwrap().code(), Some(1), "{rest:?}");
    assert!(rest.last().unwrap().contains("the provider was stopped"), "{rest:?}");
}

#[test]
fn nobody_at_the_address_is_an_error() {
    let s = scratch(8, 10);
    let server = Server::provide(&s.payload);
    let ticket = server.ticket.clone();
    server.stop();
    let output = fetch_command(&ticket, &s.out).args(["--idle-timeout-ms", "300"]).output().unwrap();
    let message = failure(&output);
    assert!(message.starts_with("cannot reach the provider: no connection to 127.0.0.1:"), "{message:?}");
}

#[test]
fn an_interrupted_fetch_leaves_nothing() {
    let s = large();
    let server = Server::provide(&s.payload);
    let fetcher = fetch_command(&server.ticket, &s.out).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Waits for the first event, then interrupts.
    let mut fetcher = fetcher;
    let mut stdout = BufReader::new(fetcher.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    let kill = std::process::Command::new("kill").args(["-INT", &fetcher.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let rest: Vec<String> = stdout.lines().map(Result::unwrap).collect();
    assert_eq!(fetcher.wait().unwrap().code(), Some(1), "{rest:?}");
    assert!(rest.last().unwrap().contains("interrupted"), "{rest:?}");
    assert_only(s.directory.path(), &["payload"]);
}

#[test]
fn targets_that_cannot_be_written_are_named() {
    let s = scratch(10, 10);
    let server = Server::provide(&s.payload);
    let taken = s.directory.path().join("taken");
    fs::write(&taken, "mine").unwrap();
    let rows = [
        (taken.clone(), "taken exists already and is left as it is"),
        (s.directory.path().to_path_buf(), "exists already"),
        (s.directory.path().join("missing/out"), "cannot create"),
        (PathBuf::from("/proc/out"), "cannot create /proc/.out."),
        (PathBuf::from("/dev/.."), "exists already"),
    ];
    for (out, expect) in rows {
        let message = failure(&fetch(&server.ticket, &out));
        assert!(message.contains(expect), "{message:?} should contain {expect:?}");
    }
    assert_eq!(fs::read(taken).unwrap(), b"mine");
}

#[test]
fn payloads_that_cannot_be_provided_are_named() {
    let s = scratch(11, 10);
    let tree = |name: &str| {
        let root = s.directory.path().join(name);
        fs::create_dir(&root).unwrap();
        root
    };
    let (link, socket, backslash) = (tree("link"), tree("socket"), tree("backslash"));
    std::os::unix::fs::symlink("/etc/passwd", link.join("to-passwd")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(socket.join("socket")).unwrap();
    fs::write(backslash.join("a\\b"), "x").unwrap();
    let rows = [
        (s.directory.path().join("missing"), "missing: No such file"),
        (PathBuf::from("/dev/null"), "/dev/null is neither a file nor a directory"),
        (link.clone(), "link/to-passwd is a symbolic link to /etc/passwd, which is not safe elsewhere: it is absolute"),
        (socket, "socket/socket is neither a file nor a directory"),
        (backslash, "unsafe path \"a\\\\b\""),
    ];
    for (payload, expect) in rows {
        let mut command = binary();
        command.args(["provide", "--listen", "127.0.0.1:0", "--payload"]).arg(payload);
        let message = failure(&command.output().unwrap());
        assert!(message.contains(expect), "{message:?} should contain {expect:?}");
    }
    let server = Server::provide_with(&link, &["--symlinks", "skip"]);
    assert_eq!(common::done(&fetch(&server.ticket, &s.out)), 0);
    assert_only(&s.out, &[]);
}

#[test]
fn a_port_in_use_is_an_error_of_every_server() {
    let s = scratch(12, 10);
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (udp, tcp_address) = (udp.local_addr().unwrap(), tcp.local_addr().unwrap());
    let payload = s.payload.to_str().unwrap();
    let root = s.directory.path().to_str().unwrap();
    let rows = [
        (vec!["provide", "--payload", payload], udp, "cannot listen on UDP"),
        (vec!["raw-provide", "--bytes", "1"], udp, "cannot listen on UDP"),
        (vec!["http", "--root", root], tcp_address, "cannot listen on TCP"),
    ];
    let _held = std::net::UdpSocket::bind(udp);
    for (arguments, address, expect) in rows {
        let _udp = std::net::UdpSocket::bind(udp);
        let output = binary().args(arguments).args(["--listen", &address.to_string()]).output().unwrap();
        let message = failure(&output);
        assert!(message.contains(expect) && message.contains("in use"), "{message:?}");
    }
}

#[test]
fn wrong_usage_exits_with_2_and_prints_no_event() {
    let good = format!("lht2-file-1-{}-{}-1", "0".repeat(64), "0".repeat(64));
    let rows: [(&[&str], &str); 7] = [
        (&[], "Usage"),
        (&["fetch", "--from", "127.0.0.1", "--ticket", "lht2-file", "--out", "x"], "was it cut off?"),
        (&["fetch", "--from", "localhost:1", "--ticket", &good, "--out", "x"], "invalid value 'localhost:1'"),
        (&["provide", "--listen", "127.0.0.1", "--payload", "x"], "invalid value '127.0.0.1'"),
        (&["provide", "--listen", "127.0.0.1:0", "--payload", "x", "--congestion", "vegas"], "invalid value 'vegas'"),
        (&["raw-provide", "--listen", "127.0.0.1:0", "--bytes", "-1"], "-1"),
        (&["raw-provide", "--listen", "127.0.0.1:0", "--bytes", "1", "--idle-timeout-ms", "0"], "invalid value '0'"),
    ];
    for (arguments, expect) in rows {
        let output = binary().args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}: {output:?}");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains(expect), "{arguments:?}: {stderr:?} should contain {expect:?}");
    }
}

#[test]
fn a_full_disk_is_named() {
    let s = scratch(13, 100_000);
    let server = Server::provide(&s.payload);
    // A file of at most 8 blocks of 512 bytes; the signal that would end the process is ignored.
    let limited = format!(
        "trap '' XFSZ; ulimit -f 8; exec '{}' fetch --from 127.0.0.1 --ticket {} --out '{}'",
        env!("CARGO_BIN_EXE_longhaul-transfer"),
        server.ticket,
        s.out.display()
    );
    let output = std::process::Command::new("sh").args(["-c", &limited]).output().unwrap();
    let message = failure(&output);
    assert!(message.contains("cannot write") && message.contains("too large"), "{message:?}");
    assert_only(s.directory.path(), &["payload"]);
    assert!(events(&output).len() >= 3);
}
