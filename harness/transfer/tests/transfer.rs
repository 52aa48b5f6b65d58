//! The binary as a user meets it: what arrives is what was sent, and events tell the story.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use common::{Server, assert_same_tree, binary, done, events, failure, fetch, fetch_command, random_bytes};
use longhaul_record::Event;

const GROUP: usize = 16 * 1024;

#[test]
fn files_of_every_size_arrive() {
    let scratch = tempfile::tempdir().unwrap();
    let sizes = [0, 1, 1024, GROUP - 1, GROUP, GROUP + 1, 2 * GROUP, 1_000_003, 5 << 20];
    for (seed, size) in sizes.into_iter().enumerate() {
        let payload = scratch.path().join(format!("payload-{size}"));
        fs::write(&payload, random_bytes(seed as u64, size)).unwrap();
        let server = Server::provide(&payload);
        let out = scratch.path().join(format!("out-{size}"));
        assert_eq!(done(&fetch(&server.ticket, &out)), size as u64);
        assert!(fs::read(&payload).unwrap() == fs::read(&out).unwrap(), "{size}");
        assert_eq!(server.stop(), (Some(0), String::new()));
    }
}

#[test]
fn a_tree_arrives_with_its_modes_links_and_empty_corners() {
    let scratch = tempfile::tempdir().unwrap();
    let root = scratch.path().join("tree");
    fs::create_dir_all(root.join("a/b/c")).unwrap();
    fs::create_dir_all(root.join("empty/inner")).unwrap();
    fs::write(root.join("a/none"), "").unwrap();
    fs::write(root.join("a-sibling"), "sorts between a and a/b in plain byte order").unwrap();
    fs::write(root.join("a/b/big"), random_bytes(1, 3_000_001)).unwrap();
    fs::write(root.join("a/b/c/Größe mit Leerzeichen"), random_bytes(2, 17)).unwrap();
    let mode = |path: &str, mode| fs::set_permissions(root.join(path), fs::Permissions::from_mode(mode)).unwrap();
    mode("a/none", 0o711);
    mode("a/b/big", 0o440);
    mode("a-sibling", 0o664);
    mode("empty", 0o750);
    symlink("b/c", root.join("a/to-directory")).unwrap();
    symlink("../../a-sibling", root.join("a/b/to-file")).unwrap();
    symlink("nowhere", root.join("dangling")).unwrap();
    for number in 0..500 {
        fs::write(root.join(format!("a/b/c/{number}")), random_bytes(number, (number * number % 977) as usize))
            .unwrap();
    }
    let bytes = |path: &Path| fs::read(path).unwrap().len() as u64;
    let many: u64 = (0..500).map(|number| number * number % 977).sum();
    let expect = bytes(&root.join("a-sibling")) + 3_000_001 + 17 + many;

    let server = Server::provide(&root);
    let out = scratch.path().join("out");
    assert_eq!(done(&fetch(&server.ticket, &out)), expect);
    assert_same_tree(&root, &out);

    // An empty directory that is there already will do as well; a second fetch into it will not.
    let out = scratch.path().join("there");
    fs::create_dir(&out).unwrap();
    assert_eq!(done(&fetch(&server.ticket, &out)), expect);
    assert_same_tree(&root, &out);
    assert!(failure(&fetch(&server.ticket, &out)).contains("exists already"));
}

#[test]
fn an_empty_tree_arrives() {
    let scratch = tempfile::tempdir().unwrap();
    let (root, out) = (scratch.path().join("tree"), scratch.path().join("out"));
    fs::create_dir(&root).unwrap();
    let server = Server::provide(&root);
    assert_eq!(done(&fetch(&server.ticket, &out)), 0);
    assert_same_tree(&root, &out);
}

#[test]
fn events_come_in_order_and_in_time() {
    let scratch = tempfile::tempdir().unwrap();
    let payload = scratch.path().join("payload");
    fs::write(&payload, random_bytes(3, 20 << 20)).unwrap();
    let server = Server::provide(&payload);
    let output = fetch(&server.ticket, &scratch.path().join("out"));
    assert_eq!(done(&output), 20 << 20);
    let events = events(&output);
    let names: Vec<&str> = events
        .iter()
        .filter_map(|event| match event {
            Event::Connected { .. } => Some("connected"),
            Event::Path { kind, remote, .. } => {
                assert_eq!((kind.as_str(), remote.as_str()), ("direct", &*format!("127.0.0.1:{}", server.port())));
                Some("path")
            }
            Event::FirstByte { .. } => Some("first_byte"),
            Event::Done { .. } => Some("done"),
            Event::Progress { .. } => None,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(names, ["connected", "path", "first_byte", "done"]);
    let times: Vec<f64> = events.iter().map(|event| event.t().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
    let progress: Vec<(f64, u64)> = events
        .iter()
        .filter_map(|event| if let Event::Progress { t, bytes } = event { Some((t.unwrap(), *bytes)) } else { None })
        .collect();
    assert!(progress.is_sorted_by(|a, b| a.0 + 0.049 <= b.0 && a.1 <= b.1), "{progress:?}");
}

#[test]
fn an_import_is_reported_before_anybody_can_connect() {
    let scratch = tempfile::tempdir().unwrap();
    let payload = scratch.path().join("payload");
    fs::write(&payload, random_bytes(6, 20 << 20)).unwrap();
    let server = Server::provide(&payload);
    let [Event::Importing { bytes: 0, of, .. }, between @ .., Event::Imported { bytes, seconds, t }] =
        server.importing.as_slice()
    else {
        panic!("{:?}", server.importing)
    };
    assert_eq!((*of, *bytes), (20 << 20, 20 << 20));
    assert!(*seconds > 0.0 && *seconds <= t.unwrap(), "{seconds} s by {t:?}");
    let steps = between.iter().map(|event| match event {
        Event::Importing { bytes, of: 0x140_0000, .. } => *bytes,
        other => panic!("{other:?}"),
    });
    assert!(steps.is_sorted());
}

#[test]
fn many_fetchers_are_served_at_once_in_bounded_memory() {
    const BYTES: u64 = 8 << 20;
    let scratch = tempfile::tempdir().unwrap();
    let payload = scratch.path().join("payload");
    fs::write(&payload, random_bytes(4, BYTES as usize)).unwrap();
    let server = Server::provide(&payload);
    let fetchers: Vec<_> = (0..24)
        .map(|number| {
            let out = scratch.path().join(format!("out{number}"));
            let mut command = fetch_command(&server.ticket, &out);
            (command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap(), out)
        })
        .collect();
    for (fetcher, out) in fetchers {
        assert_eq!(done(&fetcher.wait_with_output().unwrap()), BYTES);
        assert!(fs::read(&payload).unwrap() == fs::read(out).unwrap());
    }
    let status = fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak_kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak_kib <= 64 << 10, "the provider used {peak_kib} KiB");
}

#[test]
fn every_congestion_controller_works() {
    let scratch = tempfile::tempdir().unwrap();
    let payload = scratch.path().join("payload");
    fs::write(&payload, random_bytes(5, 1 << 20)).unwrap();
    for congestion in ["cubic", "bbr", "new-reno"] {
        let tuning = ["--congestion", congestion, "--initial-rtt-ms", "10"];
        let server = Server::provide_with(&payload, &tuning);
        let out = scratch.path().join(congestion);
        let output = fetch_command(&server.ticket, &out).args(tuning).output().unwrap();
        assert_eq!(done(&output), 1 << 20);
    }
}

#[test]
fn the_yardstick_counts_its_bytes() {
    for bytes in ["0", "1", "3000000"] {
        let server = Server::start(binary().args(["raw-provide", "--listen", "127.0.0.1:0", "--bytes", bytes]));
        let raw = ["raw-fetch", "--from", "127.0.0.1", "--ticket", &server.ticket];
        assert_eq!(done(&binary().args(raw).output().unwrap()).to_string(), bytes);
        let out = Path::new("/nonexistent");
        assert!(failure(&fetch(&server.ticket, out)).contains("ticket of kind `raw`"));
    }
}

#[test]
fn a_provider_ends_with_its_standard_input_if_told_to() {
    let scratch = tempfile::tempdir().unwrap();
    let payload = scratch.path().join("payload");
    fs::write(&payload, "x").unwrap();
    let mut command = binary();
    command.args(["provide", "--until-stdin-closes", "--listen", "127.0.0.1:0", "--payload"]).arg(&payload);
    let mut server = Server::start(command.stdin(std::process::Stdio::piped()));
    drop(server.child.stdin.take());
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
}
