//! A fetch goes on where an earlier one stopped, and trusts nothing that lay about meanwhile.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Output;

use common::{
    Server, assert_only, assert_same_tree, done, events, failure, fetch, fetch_command, flip_byte, random_bytes,
};
use longhaul_record::Event;

const GROUP: u64 = 16 * 1024;

fn resume(server: &Server, out: &Path) -> Output {
    fetch_command(&server.ticket, out).arg("--resume").output().unwrap()
}

/// Payload bytes of the `resumed` event.
fn resumed(output: &Output) -> u64 {
    let found = events(output).into_iter().find_map(|event| match event {
        Event::Resumed { bytes, .. } => Some(bytes),
        _ => None,
    });
    found.unwrap()
}

/// A file of 40 groups of which all before the 25th have arrived; the provider has the right bytes again.
struct Interrupted {
    scratch: tempfile::TempDir,
    server: Server,
    data: Vec<u8>,
    payload: PathBuf,
    out: PathBuf,
}

fn interrupted(seed: u64) -> Interrupted {
    let scratch = tempfile::tempdir().unwrap();
    let (payload, out) = (scratch.path().join("payload"), scratch.path().join("out"));
    let data = random_bytes(seed, 40 * GROUP as usize);
    fs::write(&payload, &data).unwrap();
    let server = Server::provide_with(&payload, &["--unchecked"]);
    flip_byte(&payload, 25 * GROUP + 7);
    let output = resume(&server, &out);
    assert!(failure(&output).contains("refused to write"));
    assert_eq!(resumed(&output), 0);
    assert!(!out.exists());
    flip_byte(&payload, 25 * GROUP + 7);
    Interrupted { scratch, server, data, payload, out }
}

impl Interrupted {
    /// The hidden file of this kind beside the output.
    fn hidden(&self, extension: &str) -> PathBuf {
        let hash = &self.server.ticket.split('-').nth(3).unwrap()[..16];
        self.scratch.path().join(format!(".out.{hash}.{extension}"))
    }

    fn assert_complete(&self) {
        assert!(fs::read(&self.out).unwrap() == self.data);
        assert_only(self.scratch.path(), &["out", "payload"]);
    }
}

#[test]
fn only_what_is_missing_is_asked_for() {
    let i = interrupted(1);
    // Whoever asked for these again would be lied to.
    for group in 0..25 {
        flip_byte(&i.payload, group * GROUP);
    }
    let output = resume(&i.server, &i.out);
    assert_eq!((done(&output), resumed(&output)), (40 * GROUP, 25 * GROUP));
    i.assert_complete();
    assert!(failure(&resume(&i.server, &i.out)).contains("exists already"));
}

#[test]
fn a_damaged_part_is_found_and_fetched_again() {
    let i = interrupted(2);
    flip_byte(&i.hidden("partial"), 3 * GROUP);
    flip_byte(&i.hidden("partial"), 24 * GROUP);
    let output = resume(&i.server, &i.out);
    assert_eq!((done(&output), resumed(&output)), (40 * GROUP, 23 * GROUP));
    i.assert_complete();
}

#[test]
fn damaged_or_missing_records_and_parts_cost_a_second_fetch_and_nothing_else() {
    type Damage = fn(&Interrupted);
    let rows: [(&str, Damage, u64); 6] = [
        ("head", |i| flip_byte(&i.hidden("resume"), 20), 0),
        ("root", |i| flip_byte(&i.hidden("resume"), 64), 0),
        ("cut record", |i| cut(&i.hidden("resume"), 64 + 6 * 64), 2 * GROUP),
        ("no record", |i| fs::remove_file(i.hidden("resume")).unwrap(), 0),
        ("no part", |i| fs::remove_file(i.hidden("partial")).unwrap(), 0),
        ("cut part", |i| cut(&i.hidden("partial"), 5 * GROUP + 1), 5 * GROUP),
    ];
    for (name, damage, expect) in rows {
        let i = interrupted(3);
        damage(&i);
        let output = resume(&i.server, &i.out);
        assert_eq!((done(&output), resumed(&output)), (40 * GROUP, expect), "{name}");
        i.assert_complete();
    }
}

fn cut(path: &Path, bytes: u64) {
    fs::OpenOptions::new().write(true).open(path).unwrap().set_len(bytes).unwrap();
}

#[test]
fn a_link_in_the_place_of_a_part_is_not_followed() {
    let i = interrupted(4);
    let mine = i.scratch.path().join("mine");
    fs::write(&mine, "mine").unwrap();
    for extension in ["partial", "resume"] {
        let hidden = i.hidden(extension);
        fs::rename(&hidden, i.scratch.path().join("aside")).unwrap();
        symlink(&mine, &hidden).unwrap();
        assert!(failure(&resume(&i.server, &i.out)).contains("cannot create"));
        fs::rename(i.scratch.path().join("aside"), &hidden).unwrap();
    }
    assert_eq!(fs::read(&mine).unwrap(), b"mine");
}

#[test]
fn a_tree_is_resumed() {
    let scratch = tempfile::tempdir().unwrap();
    let (root, out) = (scratch.path().join("tree"), scratch.path().join("out"));
    fs::create_dir_all(root.join("d/empty")).unwrap();
    fs::create_dir_all(root.join("z")).unwrap();
    for (number, name) in ["a", "d/b", "d/c", "z/last"].into_iter().enumerate() {
        fs::write(root.join(name), random_bytes(number as u64, 10 * GROUP as usize)).unwrap();
    }
    fs::write(root.join("d/none"), "").unwrap();
    symlink("../a", root.join("d/link")).unwrap();
    for (name, mode) in [("a", 0o400), ("d/b", 0o755), ("d/none", 0o444), ("d", 0o555)] {
        fs::set_permissions(root.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    let server = Server::provide_with(&root, &["--unchecked"]);
    flip_byte(&root.join("d/c"), 5 * GROUP);
    assert!(failure(&resume(&server, &out)).contains("d/c bytes"));
    assert!(out.join("d/b").exists() && !out.join("z").exists());
    flip_byte(&root.join("d/c"), 5 * GROUP);

    // What is not ours is not touched.
    let other = scratch.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("mine"), "mine").unwrap();
    assert!(failure(&resume(&server, &other)).contains("exists already"));
    assert!(failure(&fetch(&server.ticket, &out)).contains("exists already"), "without --resume");

    flip_byte(&out.join("a"), 5 * GROUP);
    fs::write(out.join("d/b"), [fs::read(out.join("d/b")).unwrap(), b"and more".into()].concat()).unwrap();
    let output = resume(&server, &out);
    assert_eq!(done(&output), 40 * GROUP);
    let kept = resumed(&output);
    assert!((22 * GROUP..25 * GROUP).contains(&kept), "{kept} bytes kept");
    assert_same_tree(&root, &out);
    assert_only(scratch.path(), &["other", "out", "tree"]);
}

#[test]
fn a_tree_whose_kept_manifest_is_damaged_is_fetched_again() {
    let scratch = tempfile::tempdir().unwrap();
    let (root, out) = (scratch.path().join("tree"), scratch.path().join("out"));
    fs::create_dir(&root).unwrap();
    for (number, name) in ["a", "b", "c"].into_iter().enumerate() {
        fs::write(root.join(name), random_bytes(number as u64, 10 * GROUP as usize)).unwrap();
    }
    let server = Server::provide_with(&root, &["--unchecked"]);
    flip_byte(&root.join("c"), 0);
    failure(&resume(&server, &out));
    flip_byte(&root.join("c"), 0);
    let hidden = fs::read_dir(scratch.path()).unwrap().map(|item| item.unwrap().path());
    let record = hidden.into_iter().find(|path| path.extension().is_some_and(|end| end == "resume")).unwrap();
    // The last byte of the manifest belongs to a size.
    flip_byte(&record, fs::metadata(&record).unwrap().len() - 1);
    let output = resume(&server, &out);
    assert_eq!((done(&output), resumed(&output)), (30 * GROUP, 0));
    assert_same_tree(&root, &out);
}

#[test]
fn an_interrupted_fetch_can_be_resumed() {
    let scratch = tempfile::tempdir().unwrap();
    let (payload, out) = (scratch.path().join("payload"), scratch.path().join("out"));
    fs::File::create(&payload).unwrap().set_len(64 << 20).unwrap();
    let server = Server::provide(&payload);
    let mut command = fetch_command(&server.ticket, &out);
    let mut fetcher = command.arg("--resume").stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(fetcher.stdout.take().unwrap()), &mut line).unwrap();
    assert!(line.contains("resumed"), "{line:?}");
    // As a power cut would: no chance to tidy up.
    fetcher.kill().unwrap();
    fetcher.wait().unwrap();
    assert!(!out.exists());
    assert_eq!(done(&resume(&server, &out)), 64 << 20);
    assert!(fs::read(&out).unwrap() == vec![0; 64 << 20]);
}
