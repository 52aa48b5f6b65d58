//! Where verified bytes go: one file, or a tree below a directory.
//!
//! A sink takes a blob's bytes at their offsets, in any order, and only ever sees verified ones. A file is written under
//! a temporary name beside its target and renamed at the end, so that a file of the target's name is always complete. A
//! tree is written in place; when a transfer fails, the directory holds what was verified. With `resume`, the temporary
//! file stays too when a transfer fails, and a [record](crate::record) beside it says how to find out what is right. A tree's manifest has to come
//! first, and in order: before it nobody knows where anything belongs.

mod beneath;
mod file;
mod tree;

use std::fs::File;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};

use nix::sys::uio::pwritev;

pub use file::FileSink;
pub use tree::TreeSink;

use crate::manifest::ManifestError;
use crate::ranges::Ranges;
use crate::record::Record;
use crate::ticket::{Kind, Ticket};

/// Why the output cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The target is there already.
    #[error("{} exists already and is left as it is", path.display())]
    Exists {
        /// The target.
        path: PathBuf,
    },
    /// The target has no name of its own, like `..`.
    #[error("{} does not name a file", path.display())]
    Unnamed {
        /// The target.
        path: PathBuf,
    },
    /// Another process resumes the same fetch.
    #[error("another fetch is using {}", path.display())]
    Busy {
        /// The record.
        path: PathBuf,
    },
    /// Something cannot be created.
    #[error("cannot create {}", path.display())]
    Create {
        /// What was to be created.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Something cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// What was being written.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The finished file cannot get its name.
    #[error("cannot rename the finished {} to {}", from.display(), to.display())]
    Rename {
        /// The temporary name.
        from: PathBuf,
        /// The target.
        to: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The tree's manifest is not acceptable.
    #[error("refused before anything was written")]
    Manifest(#[from] ManifestError),
    /// The manifest and the blob's size disagree.
    #[error("the blob has {blob} bytes, but its manifest promises {manifest}")]
    Size {
        /// Bytes in the blob.
        blob: u64,
        /// Bytes the manifest accounts for, itself included.
        manifest: u64,
    },
}

/// A place for a blob.
#[derive(Debug)]
pub enum Sink {
    /// One file.
    File(FileSink),
    /// A tree of files.
    Tree(TreeSink),
}

impl Sink {
    /// Prepares `out` for a ticket's payload. Also returns which bytes of its blob are missing: all of them, unless an
    /// earlier sink was opened with `resume` as well and did not finish. Fails before any byte is fetched if the target
    /// is taken.
    pub fn open(ticket: &Ticket, out: &Path, resume: bool) -> Result<(Sink, Ranges), WriteError> {
        let all = Ranges::of(0..ticket.size);
        Ok(match (ticket.kind, resume) {
            (Kind::Tree, false) => (Sink::Tree(TreeSink::create(out, ticket.size)?), all),
            (_, false) => (Sink::File(FileSink::create(out)?), all),
            (Kind::Tree, true) => {
                let (sink, missing) = TreeSink::resume(out, ticket)?;
                (Sink::Tree(sink), missing)
            }
            (_, true) => {
                let (sink, missing) = FileSink::resume(out, ticket)?;
                (Sink::File(sink), missing)
            }
        })
    }

    /// How many payload bytes are there when so much of the blob is missing.
    pub fn kept(&self, missing: &Ranges) -> u64 {
        match self {
            Sink::File(sink) => sink.size().map_or(0, |size| size - missing.bytes()),
            Sink::Tree(sink) => sink.kept(missing),
        }
    }

    /// Where verified pairs are to be kept, if this output shall be resumable.
    pub fn record(&mut self) -> Option<&mut Record> {
        match self {
            Sink::File(sink) => sink.record(),
            Sink::Tree(sink) => sink.record(),
        }
    }

    /// Whether bytes may come in any order from now on: a tree's manifest is complete.
    pub fn takes_any_order(&self) -> bool {
        match self {
            Sink::File(_) => true,
            Sink::Tree(sink) => sink.layout().is_some(),
        }
    }

    /// Takes verified bytes from `offset` on that follow each other; none of them has been taken before. Returns how
    /// many of them are payload: a manifest is not.
    pub fn write_at(&mut self, offset: u64, data: &[&[u8]]) -> Result<u64, WriteError> {
        match self {
            Sink::File(sink) => sink.write_at(offset, data),
            Sink::Tree(sink) => sink.write_at(offset, data),
        }
    }

    /// Completes the output after the last byte.
    pub fn finish(self) -> Result<(), WriteError> {
        match self {
            Sink::File(sink) => sink.finish(),
            Sink::Tree(sink) => sink.finish(),
        }
    }

    /// Names what lies in a range of the blob, as far as this side knows.
    pub fn describe(&self, range: std::ops::Range<u64>) -> String {
        match self {
            Sink::File(sink) => sink.layout().describe(range),
            Sink::Tree(sink) => match sink.layout() {
                Some(layout) => layout.describe(range),
                None => format!("the manifest, bytes {}..{}", range.start, range.end),
            },
        }
    }
}

/// Writes all of `slices` at `offset` and uses them up. One system call for many groups: file systems like to allocate
/// in larger steps than a group.
fn write_all_at(file: &File, mut slices: &mut [IoSlice<'_>], mut offset: u64) -> io::Result<()> {
    // Without this, the rest could be empty slices, and writing those looks like a full disk.
    IoSlice::advance_slices(&mut slices, 0);
    while !slices.is_empty() {
        let at = i64::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge)?;
        match pwritev(file, slices, at) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                IoSlice::advance_slices(&mut slices, written);
                offset += written as u64;
            }
            Err(nix::Error::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::manifest::{Entry, EntryKind, Manifest};

    fn ticket(kind: Kind, blob: &[u8]) -> Ticket {
        let key = crate::ticket::PeerKey([0; 32]);
        Ticket { kind, size: blob.len() as u64, hash: blake3::hash(blob), key, port: 1 }
    }

    fn open_tree(out: &Path, blob: &[u8]) -> Sink {
        Sink::open(&ticket(Kind::Tree, blob), out, false).unwrap().0
    }

    fn entry(path: &str, kind: EntryKind) -> Entry {
        Entry { path: path.into(), kind }
    }

    fn sample() -> (Manifest, Vec<u8>) {
        let file = |path, bytes, mode| entry(path, EntryKind::File { bytes, mode });
        let manifest = Manifest::new(vec![
            entry("empty", EntryKind::Directory { mode: 0o555 }),
            entry("dir", EntryKind::Directory { mode: 0o755 }),
            entry("dir/link", EntryKind::Link { target: "../two".into() }),
            file("dir/hollow", 0, 0o444),
            file("dir/one", 1, 0o755),
            entry("link", EntryKind::Link { target: "dir".into() }),
            file("two", 2, 0o400),
            file("zero", 0, 0o600),
        ]);
        let manifest = manifest.unwrap();
        let blob = [manifest.encode(), b"122".to_vec()].concat();
        (manifest, blob)
    }

    fn check_sample(out: &Path) {
        let rows = [("dir/hollow", "", 0o444), ("dir/one", "1", 0o755), ("two", "22", 0o400), ("zero", "", 0o600)];
        for (path, content, mode) in rows {
            assert_eq!(fs::read(out.join(path)).unwrap(), content.as_bytes(), "{path}");
            assert_eq!(fs::metadata(out.join(path)).unwrap().permissions().mode() & 0o7777, mode, "{path}");
        }
        assert_eq!(fs::metadata(out.join("empty")).unwrap().permissions().mode(), 0o40555);
        assert_eq!(fs::metadata(out.join("dir")).unwrap().permissions().mode(), 0o40755);
        assert_eq!(fs::read_link(out.join("link")).unwrap(), Path::new("dir"));
        assert_eq!(fs::read_link(out.join("dir/link")).unwrap(), Path::new("../two"));
    }

    #[test]
    fn a_tree_is_the_same_in_whatever_pieces_it_arrives() {
        let (manifest, blob) = sample();
        for piece in 1..=blob.len() {
            let scratch = tempfile::tempdir().unwrap();
            let out = scratch.path().join("out");
            let mut sink = open_tree(&out, &blob);
            let mut offset = 0;
            let mut payload = 0;
            for pair in blob.chunks(piece).collect::<Vec<_>>().chunks(2) {
                payload += sink.write_at(offset, pair).unwrap();
                offset += pair.concat().len() as u64;
            }
            sink.finish().unwrap();
            assert_eq!(payload, manifest.content_bytes());
            check_sample(&out);
        }
    }

    #[test]
    fn after_the_manifest_any_order_will_do() {
        let (_, blob) = sample();
        let scratch = tempfile::tempdir().unwrap();
        let out = scratch.path().join("out");
        let mut sink = open_tree(&out, &blob);
        let (manifest, contents) = blob.split_at(blob.len() - 3);
        assert!(!sink.takes_any_order());
        sink.write_at(0, &[manifest]).unwrap();
        assert!(sink.takes_any_order());
        for index in [2, 0, 1] {
            sink.write_at((manifest.len() + index) as u64, &[&contents[index..=index]]).unwrap();
        }
        sink.finish().unwrap();
        check_sample(&out);
    }

    #[test]
    fn bad_blobs_write_nothing() {
        let (_, blob) = sample();
        let hostile = [b"LHM2\x11\0\0\0\0\0\0\0\x01\x04\0../x\xa4\x01\x01\0\0\0\0\0\0\0".as_slice(), b"!"].concat();
        let link = b"LHM2\x10\0\0\0\0\0\0\0\x02\x01\0x\x0a\0../../../x".to_vec();
        let rows = [
            ([blob.as_slice(), b"x"].concat(), "promises"),
            (b"LHM9aaaaaaaaaaaaaaaaaa".to_vec(), "not a manifest of this version"),
            (hostile, "unsafe path \"../x\""),
            (link, "unsafe link \"x\" to \"../../../x\""),
        ];
        for (blob, expect) in rows {
            let scratch = tempfile::tempdir().unwrap();
            let out = scratch.path().join("out");
            let mut sink = open_tree(&out, &blob);
            let error = sink.write_at(0, &[&blob]).unwrap_err();
            let error = longhaul_record::text::chain(&error);
            assert!(error.contains(expect), "{error:?} should contain {expect:?}");
            assert_eq!(fs::read_dir(&out).unwrap().count(), 0);
            assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn nothing_is_written_through_a_link_that_somebody_else_put_there() {
        let (_, blob) = sample();
        let scratch = tempfile::tempdir().unwrap();
        let (out, outside) = (scratch.path().join("out"), scratch.path().join("outside"));
        fs::create_dir(&outside).unwrap();
        let mut sink = open_tree(&out, &blob);
        std::os::unix::fs::symlink(&outside, out.join("dir")).unwrap();
        let error = sink.write_at(0, &[&blob]).unwrap_err().to_string();
        assert!(error.contains("cannot create"), "{error:?}");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    }

    #[test]
    fn a_taken_target_is_left_alone() {
        let scratch = tempfile::tempdir().unwrap();
        let taken = scratch.path().join("taken");
        fs::write(&taken, "mine").unwrap();
        for resume in [false, true] {
            for (kind, out) in [(Kind::File, &*taken), (Kind::Tree, &taken), (Kind::Tree, scratch.path())] {
                let error = Sink::open(&ticket(kind, b"x"), out, resume).unwrap_err().to_string();
                assert!(error.contains("exists already"), "{error:?}");
            }
        }
        assert_eq!(fs::read(&taken).unwrap(), b"mine");
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_appears_only_when_complete() {
        let scratch = tempfile::tempdir().unwrap();
        let out = scratch.path().join("out");
        let mut sink = Sink::open(&ticket(Kind::File, b"abcd"), &out, false).unwrap().0;
        sink.write_at(0, &[b"ab"]).unwrap();
        assert!(!out.exists());
        drop(sink);
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0, "the temporary file is gone");

        let mut sink = Sink::open(&ticket(Kind::File, b"abcd"), &out, false).unwrap().0;
        sink.write_at(2, &[b"cd", b""]).unwrap();
        sink.write_at(0, &[b"", b"ab"]).unwrap();
        sink.finish().unwrap();
        assert_eq!(fs::read(&out).unwrap(), b"abcd");
    }
}
