//! Where verified bytes go: one file, or a tree below a directory.
//!
//! A sink takes a blob's bytes in order and only ever sees verified ones. A file is written under a temporary name
//! beside its target and renamed at the end, so that a file of the target's name is always complete. A tree is written
//! in place; when a transfer fails, the directory holds its verified beginning.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, IoSlice, Write};
use std::path::{Path, PathBuf};

use crate::layout::Layout;
use crate::manifest::{Entry, EntryKind, HEADER_BYTES, Manifest, ManifestError};

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
    /// Prepares `out` for a single file. Fails before any byte is fetched if the target is taken.
    pub fn file(out: &Path) -> Result<Sink, WriteError> {
        FileSink::create(out).map(Sink::File)
    }

    /// Prepares `out` for a tree whose blob has `size` bytes. Fails before any byte is fetched if there is something.
    pub fn tree(out: &Path, size: u64) -> Result<Sink, WriteError> {
        TreeSink::create(out, size).map(Sink::Tree)
    }

    /// Takes the next verified bytes, in order. Returns how many of them are payload: a manifest is not. The slices are
    /// used up.
    pub fn write(&mut self, data: &mut [IoSlice<'_>]) -> Result<u64, WriteError> {
        match self {
            Sink::File(sink) => sink.write(data),
            Sink::Tree(sink) => data.iter().map(|part| sink.write(part)).sum(),
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
        let layout = match self {
            Sink::File(sink) => {
                let name = sink.target.file_name().unwrap_or_default().to_string_lossy();
                Some(Layout::of_file(&name, u64::MAX))
            }
            Sink::Tree(sink) => sink.layout(),
        };
        match layout {
            Some(layout) => layout.describe(range),
            None => format!("the manifest, bytes {}..{}", range.start, range.end),
        }
    }
}

/// Writes one file.
#[derive(Debug)]
pub struct FileSink {
    file: File,
    target: PathBuf,
    temporary: PathBuf,
    finished: bool,
}

impl FileSink {
    fn create(out: &Path) -> Result<FileSink, WriteError> {
        if out.symlink_metadata().is_ok() {
            return Err(WriteError::Exists { path: out.into() });
        }
        let name = out.file_name().ok_or_else(|| WriteError::Unnamed { path: out.into() })?;
        let temporary = out.with_file_name(format!(".{}.{}.partial", name.to_string_lossy(), std::process::id()));
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&temporary)
            .map_err(|source| WriteError::Create { path: temporary.clone(), source })?;
        Ok(FileSink { file, target: out.into(), temporary, finished: false })
    }

    /// One system call for many groups: file systems like to allocate in larger steps than a group.
    fn write(&mut self, mut data: &mut [IoSlice<'_>]) -> Result<u64, WriteError> {
        let bytes = data.iter().map(|part| part.len() as u64).sum();
        // Without this, the rest could be empty slices, and writing those looks like a full disk.
        IoSlice::advance_slices(&mut data, 0);
        while !data.is_empty() {
            let written = match self.file.write_vectored(data) {
                Ok(0) => Err(io::ErrorKind::WriteZero.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
                other => other,
            };
            let written = written.map_err(|source| WriteError::Write { path: self.temporary.clone(), source })?;
            IoSlice::advance_slices(&mut data, written);
        }
        Ok(bytes)
    }

    fn finish(mut self) -> Result<(), WriteError> {
        // Renaming would silently replace a file that appeared during the transfer.
        if self.target.symlink_metadata().is_ok() {
            return Err(WriteError::Exists { path: self.target.clone() });
        }
        fs::rename(&self.temporary, &self.target).map_err(|source| WriteError::Rename {
            from: self.temporary.clone(),
            to: self.target.clone(),
            source,
        })?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for FileSink {
    fn drop(&mut self) {
        if !self.finished {
            // Nothing can be done about a failure here, and the transfer's own error matters more.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// Writes a tree.
#[derive(Debug)]
pub struct TreeSink {
    root: PathBuf,
    size: u64,
    state: TreeState,
}

#[derive(Debug)]
enum TreeState {
    /// The manifest is not complete yet; nothing has been written.
    Manifest(Vec<u8>),
    /// Entries are being created.
    Entries { manifest: Manifest, manifest_bytes: u64, next: usize, open: Option<OpenFile> },
}

/// A file of the tree that still misses bytes.
#[derive(Debug)]
struct OpenFile {
    file: File,
    path: PathBuf,
    missing: u64,
}

impl TreeSink {
    fn create(out: &Path, size: u64) -> Result<TreeSink, WriteError> {
        match fs::read_dir(out).map(|mut items| items.next().is_none()) {
            Ok(true) => {}
            Ok(false) => return Err(WriteError::Exists { path: out.into() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir(out).map_err(|source| WriteError::Create { path: out.into(), source })?;
            }
            Err(_) if out.symlink_metadata().is_ok_and(|meta| !meta.is_dir()) => {
                return Err(WriteError::Exists { path: out.into() });
            }
            Err(source) => return Err(WriteError::Write { path: out.into(), source }),
        }
        Ok(TreeSink { root: out.into(), size, state: TreeState::Manifest(Vec::new()) })
    }

    fn layout(&self) -> Option<Layout> {
        match &self.state {
            TreeState::Manifest(_) => None,
            TreeState::Entries { manifest, manifest_bytes, .. } => Some(Layout::of_tree(manifest, *manifest_bytes)),
        }
    }

    fn write(&mut self, mut data: &[u8]) -> Result<u64, WriteError> {
        if let TreeState::Manifest(bytes) = &mut self.state {
            data = collect_manifest(bytes, data)?;
            if let Some(manifest) = complete_manifest(bytes)? {
                let manifest_bytes = bytes.len() as u64;
                let promised = manifest_bytes + manifest.content_bytes();
                if promised != self.size {
                    return Err(WriteError::Size { blob: self.size, manifest: promised });
                }
                self.state = TreeState::Entries { manifest, manifest_bytes, next: 0, open: None };
                // Directories and empty files have no bytes that could make them appear later.
                self.advance()?;
            }
        }
        let payload = data.len() as u64;
        while !data.is_empty() {
            data = self.write_content(data)?;
        }
        Ok(payload)
    }

    /// Writes to the open file, and opens the next one once it is full. Returns what is left of `data`.
    fn write_content<'a>(&mut self, data: &'a [u8]) -> Result<&'a [u8], WriteError> {
        let TreeState::Entries { open: Some(open), .. } = &mut self.state else { return Ok(&[]) };
        let (part, rest) = data.split_at(data.len().min(usize::try_from(open.missing).unwrap_or(usize::MAX)));
        open.file.write_all(part).map_err(|source| WriteError::Write { path: open.path.clone(), source })?;
        open.missing -= part.len() as u64;
        if open.missing == 0 {
            self.advance()?;
        }
        Ok(rest)
    }

    /// Creates entries up to and including the next file that has bytes.
    fn advance(&mut self) -> Result<(), WriteError> {
        let TreeState::Entries { manifest, next, open, .. } = &mut self.state else { return Ok(()) };
        *open = None;
        while let Some(entry) = manifest.entries().get(*next) {
            *next += 1;
            *open = create_entry(&self.root, entry)?;
            if open.is_some() {
                break;
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<(), WriteError> {
        match self.state {
            TreeState::Entries { manifest, next, open: None, .. } if next == manifest.entries().len() => Ok(()),
            // The blob's size was compared with the manifest, so this is a blob shorter than any manifest.
            _ => Err(WriteError::Manifest(ManifestError::Magic)),
        }
    }
}

/// Moves bytes that belong to the manifest from `data` to `bytes`; returns the rest.
fn collect_manifest<'a>(bytes: &mut Vec<u8>, mut data: &'a [u8]) -> Result<&'a [u8], ManifestError> {
    loop {
        let wanted = match bytes.first_chunk::<HEADER_BYTES>() {
            None => HEADER_BYTES,
            Some(header) => HEADER_BYTES + Manifest::decode_header(header)?,
        };
        if data.is_empty() || bytes.len() == wanted {
            return Ok(data);
        }
        let (part, rest) = data.split_at(data.len().min(wanted - bytes.len()));
        bytes.extend_from_slice(part);
        data = rest;
    }
}

fn complete_manifest(bytes: &[u8]) -> Result<Option<Manifest>, ManifestError> {
    match bytes.split_first_chunk::<HEADER_BYTES>() {
        Some((header, body)) if body.len() == Manifest::decode_header(header)? => Manifest::decode_body(body).map(Some),
        _ => Ok(None),
    }
}

/// Creates a directory or a file; returns the file if it has bytes to come.
fn create_entry(root: &Path, entry: &Entry) -> Result<Option<OpenFile>, WriteError> {
    let path = root.join(&*entry.path);
    let error = |source| WriteError::Create { path: path.clone(), source };
    match entry.kind {
        EntryKind::Directory => DirBuilder::new().create(&path).map_err(error).map(|()| None),
        EntryKind::File { bytes } => {
            // `create_new` also refuses to follow a link that someone else put there.
            let file = OpenOptions::new().write(true).create_new(true).open(&path).map_err(error)?;
            Ok((bytes > 0).then_some(OpenFile { file, path, missing: bytes }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str, kind: EntryKind) -> Entry {
        Entry { path: path.into(), kind }
    }

    fn sample() -> (Manifest, Vec<u8>) {
        let manifest = Manifest::new(vec![
            entry("empty", EntryKind::Directory),
            entry("dir", EntryKind::Directory),
            entry("dir/hollow", EntryKind::File { bytes: 0 }),
            entry("dir/one", EntryKind::File { bytes: 1 }),
            entry("two", EntryKind::File { bytes: 2 }),
            entry("zero", EntryKind::File { bytes: 0 }),
        ]);
        let manifest = manifest.unwrap();
        let blob = [manifest.encode(), b"122".to_vec()].concat();
        (manifest, blob)
    }

    #[test]
    fn a_tree_is_the_same_in_whatever_pieces_it_arrives() {
        let (manifest, blob) = sample();
        for piece in 1..=blob.len() {
            let scratch = tempfile::tempdir().unwrap();
            let out = scratch.path().join("out");
            let mut sink = Sink::tree(&out, blob.len() as u64).unwrap();
            let payload: u64 = blob.chunks(piece).map(|piece| sink.write(&mut [IoSlice::new(piece)]).unwrap()).sum();
            sink.finish().unwrap();
            assert_eq!(payload, manifest.content_bytes());
            assert_eq!(fs::read(out.join("dir/one")).unwrap(), b"1");
            assert_eq!(fs::read(out.join("two")).unwrap(), b"22");
            assert_eq!(fs::read(out.join("dir/hollow")).unwrap(), b"");
            assert_eq!(fs::read(out.join("zero")).unwrap(), b"");
            assert!(out.join("empty").is_dir());
        }
    }

    #[test]
    fn bad_blobs_write_nothing() {
        let (_, blob) = sample();
        let hostile = [b"LHM1\x0f\0\0\0\0\0\0\0\x01\x04\0../x\x01\0\0\0\0\0\0\0".as_slice(), b"!"].concat();
        let rows = [
            ([blob.as_slice(), b"x"].concat(), "promises"),
            (b"LHM9aaaaaaaaaaaaaaaaaa".to_vec(), "refused before anything was written"),
            (hostile, "refused before anything was written"),
        ];
        for (blob, expect) in rows {
            let scratch = tempfile::tempdir().unwrap();
            let out = scratch.path().join("out");
            let mut sink = Sink::tree(&out, blob.len() as u64).unwrap();
            let error = sink.write(&mut [IoSlice::new(&blob)]).unwrap_err().to_string();
            assert!(error.contains(expect), "{error:?} should contain {expect:?}");
            assert_eq!(fs::read_dir(&out).unwrap().count(), 0);
            assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn a_taken_target_is_left_alone() {
        let scratch = tempfile::tempdir().unwrap();
        let taken = scratch.path().join("taken");
        fs::write(&taken, "mine").unwrap();
        for sink in [Sink::file(&taken), Sink::tree(&taken, 1), Sink::tree(scratch.path(), 1)] {
            let error = sink.unwrap_err().to_string();
            assert!(error.contains("exists already"), "{error:?}");
        }
        assert_eq!(fs::read(&taken).unwrap(), b"mine");
    }

    #[test]
    fn a_file_appears_only_when_complete() {
        let scratch = tempfile::tempdir().unwrap();
        let out = scratch.path().join("out");
        let mut sink = Sink::file(&out).unwrap();
        sink.write(&mut [IoSlice::new(b"ab")]).unwrap();
        assert!(!out.exists());
        drop(sink);
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0, "the temporary file is gone");

        let mut sink = Sink::file(&out).unwrap();
        sink.write(&mut [b"".as_slice(), b"abc", b"", b"d", b""].map(IoSlice::new)).unwrap();
        sink.finish().unwrap();
        assert_eq!(fs::read(&out).unwrap(), b"abcd");
    }
}
