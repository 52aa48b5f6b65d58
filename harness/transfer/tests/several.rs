//! One payload from several providers: whoever is dead, slow or lying, the rest go on.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use common::{Server, assert_same_tree, binary, done, events, failure, flip_byte, random_bytes};
use longhaul_record::Event;

fn command(tickets: &[&str], out: &Path) -> Command {
    let mut command = binary();
    command.arg("fetch").args(tickets.iter().flat_map(|ticket| ["--from", "127.0.0.1", "--ticket", ticket]));
    command.args(["--idle-timeout-ms", "3000", "--out"]).arg(out);
    command
}

/// Addresses and reasons of the `dropped` events.
fn dropped(output: &Output) -> Vec<(String, String)> {
    let dropped = |event| match event {
        Event::Dropped { remote, reason, .. } => Some((remote, reason)),
        _ => None,
    };
    events(output).into_iter().filter_map(dropped).collect()
}

/// A payload in two files, of which the second may change while the first stays right.
fn copies(directory: &Path, bytes: usize) -> [std::path::PathBuf; 2] {
    let data = random_bytes(bytes as u64, bytes);
    ["one", "two"].map(|name| {
        fs::write(directory.join(name), &data).unwrap();
        directory.join(name)
    })
}

#[test]
fn everybody_contributes() {
    let scratch = tempfile::tempdir().unwrap();
    let [payload, _] = copies(scratch.path(), 24 << 20);
    let servers: Vec<Server> = (0..3).map(|_| Server::provide(&payload)).collect();
    let tickets: Vec<&str> = servers.iter().map(|server| server.ticket.as_str()).collect();
    let out = scratch.path().join("out");
    let output = command(&tickets, &out).output().unwrap();
    assert_eq!(done(&output), 24 << 20);
    assert!(fs::read(&out).unwrap() == fs::read(&payload).unwrap());
    assert_eq!(dropped(&output), []);
    let count = |wanted: fn(&Event) -> bool| events(&output).iter().filter(|event| wanted(event)).count();
    assert_eq!(count(|event| matches!(event, Event::Connected { .. })), 1);
    assert_eq!(count(|event| matches!(event, Event::FirstByte { .. })), 1);
    assert_eq!(count(|event| matches!(event, Event::Path { .. })), 3);
    for server in servers {
        assert_eq!(server.stop(), (Some(0), String::new()));
    }
}

#[test]
fn a_lying_provider_is_dropped_and_named() {
    let scratch = tempfile::tempdir().unwrap();
    let [honest, lying] = copies(scratch.path(), 24 << 20);
    let servers = [Server::provide_with(&lying, &["--unchecked"]), Server::provide(&honest)];
    // Whatever it is asked for first, it lies.
    for offset in (0..24 << 20).step_by(1 << 19) {
        flip_byte(&lying, offset);
    }
    let out = scratch.path().join("out");
    let output = command(&[&servers[0].ticket, &servers[1].ticket], &out).output().unwrap();
    assert_eq!(done(&output), 24 << 20);
    assert!(fs::read(&out).unwrap() == fs::read(&honest).unwrap());
    let dropped = dropped(&output);
    let [(remote, reason)] = dropped.as_slice() else { panic!("{dropped:?}") };
    assert_eq!(*remote, format!("127.0.0.1:{}", servers[0].port()));
    assert!(reason.contains("do not match the blob's hash"), "{reason:?}");
}

#[test]
fn one_provider_is_enough_and_none_is_not() {
    let scratch = tempfile::tempdir().unwrap();
    let [payload, other] = copies(scratch.path(), 3 << 20);
    flip_byte(&other, 0);
    let servers = [Server::provide(&payload), Server::provide(&payload), Server::provide(&other)];
    let [good, dead, different] = servers.each_ref().map(|server| server.ticket.clone());
    let [good_server, dead_server, _different] = servers;
    dead_server.stop();
    let out = scratch.path().join("out");
    let output = command(&[&dead, &good], &out).output().unwrap();
    assert_eq!(done(&output), 3 << 20);
    let message = failure(&command(&[&good, &different], &scratch.path().join("out2")).output().unwrap());
    assert!(message.contains("the tickets name different payloads"), "{message:?}");
    drop(good_server);
}

#[test]
fn when_nobody_is_left_everybody_is_named() {
    let scratch = tempfile::tempdir().unwrap();
    let [payload, lying] = copies(scratch.path(), 3 << 20);
    let servers = [Server::provide_with(&lying, &["--unchecked"]), Server::provide(&payload)];
    flip_byte(&payload, 10);
    for offset in (0..3 << 20).step_by(1 << 14) {
        flip_byte(&lying, offset);
        flip_byte(&payload, offset + 1);
    }
    let out = scratch.path().join("out");
    let message = failure(&command(&[&servers[0].ticket, &servers[1].ticket], &out).output().unwrap());
    for expect in [
        "no provider is left".to_owned(),
        format!("127.0.0.1:{}: refused to write", servers[0].port()),
        format!("127.0.0.1:{}: the provider gave up: the payload changed on disk", servers[1].port()),
    ] {
        assert!(message.contains(&expect), "{message:?} should contain {expect:?}");
    }
    common::assert_only(scratch.path(), &["one", "two"]);
}

/// Starts a fetch from two providers and sends a signal to the first once both are connected and bytes flow.
fn fetch_while(signal: &str) -> Output {
    let scratch = tempfile::tempdir().unwrap();
    let payload = scratch.path().join("payload");
    fs::File::create(&payload).unwrap().set_len(96 << 20).unwrap();
    let servers = [Server::provide(&payload), Server::provide(&payload)];
    let out = scratch.path().join("out");
    let mut command = command(&[&servers[0].ticket, &servers[1].ticket], &out);
    let mut fetcher = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(fetcher.stdout.take().unwrap());
    let mut text = String::new();
    while !text.contains("first_byte") || text.matches(r#""event":"path""#).count() < 2 {
        assert!(stdout.read_line(&mut text).unwrap() > 0, "{text:?}");
    }
    let status = Command::new("kill").args([signal, &servers[0].child.id().to_string()]).status().unwrap();
    assert!(status.success());
    std::io::Read::read_to_string(&mut stdout, &mut text).unwrap();
    let output = fetcher.wait_with_output().unwrap();
    let output = Output { stdout: text.into_bytes(), ..output };
    assert_eq!(done(&output), 96 << 20);
    assert!(fs::read(&out).unwrap().iter().all(|byte| *byte == 0));
    output
}

#[test]
fn a_killed_providers_piece_is_taken_over() {
    fetch_while("-KILL");
}

#[test]
fn a_stopped_provider_is_dropped_and_its_piece_taken_over() {
    let dropped = dropped(&fetch_while("-TERM"));
    // It may have nothing left to do by then.
    assert!(dropped.iter().all(|(_, reason)| reason.contains("the provider was stopped")), "{dropped:?}");
}

#[test]
fn a_silent_providers_piece_is_taken_over() {
    fetch_while("-STOP");
}

#[test]
fn a_tree_comes_from_several_providers() {
    let scratch = tempfile::tempdir().unwrap();
    let root = scratch.path().join("tree");
    for number in 0..40 {
        let directory = root.join(format!("{}/{}", number % 3, number % 7));
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join(number.to_string()), random_bytes(number, 17_001 * number as usize)).unwrap();
    }
    std::os::unix::fs::symlink("0", root.join("link")).unwrap();
    let servers: Vec<Server> = (0..3).map(|_| Server::provide(&root)).collect();
    let tickets: Vec<&str> = servers.iter().map(|server| server.ticket.as_str()).collect();
    for resume in [false, true] {
        let out = scratch.path().join(format!("out-{resume}"));
        let mut command = command(&tickets, &out);
        let output = command.args(resume.then_some("--resume")).output().unwrap();
        assert_eq!(done(&output), 17_001 * (0..40).sum::<u64>());
        assert_same_tree(&root, &out);
    }
}
