//! Import: from a path on disk to a blob that can be served.
//!
//! The files stay where they are. Import walks them, reads them once to compute the hash tree, and later reads them
//! again, group by group, while serving. What was changed on disk meanwhile is found by the [encoder](crate::verified),
//! which looks only at files that the file system does not vouch for.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::clock;
use crate::layout::Layout;
use crate::manifest::{Entry, EntryKind, MODE_BITS, Manifest, ManifestError};
use crate::nodes;
use crate::paths;
use crate::ticket::Kind;
use crate::verified::{Outboard, OutboardError, Source};

/// What to do about symbolic links in a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Symlinks {
    /// Send them. Fail and name the first one that would not be safe at the other end.
    Keep,
    /// Leave them out.
    Skip,
}

/// A payload ready to be served.
#[derive(Debug)]
pub struct Payload {
    kind: Kind,
    root: PathBuf,
    manifest: Vec<u8>,
    layout: Layout,
    /// Of each file in the layout, as it was before it was hashed.
    stamps: Vec<Option<Stamp>>,
    outboard: Outboard,
}

/// Tells one state of a file from every later one: its number, and when it last changed. Neither can be set by a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    seconds: i64,
    nanos: i64,
}

impl Stamp {
    /// Of an open file. `None` if it was changed so lately that a change now could get the same time, or if it cannot be told.
    fn of(file: &File) -> Option<Stamp> {
        let now = clock::file_time()?;
        let meta = file.metadata().ok()?;
        let stamp = Stamp { inode: meta.ino(), seconds: meta.ctime(), nanos: meta.ctime_nsec() };
        let (seconds, nanos) = (i64::try_from(now.as_secs()).ok()?, i64::from(now.subsec_nanos()));
        ((stamp.seconds, stamp.nanos) < (seconds, nanos)).then_some(stamp)
    }
}

/// Why a payload cannot be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A path cannot be looked at.
    #[error("cannot look at {}", path.display())]
    Look {
        /// The path.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file cannot be read.
    #[error("cannot read the payload")]
    Read(#[from] ReadError),
    /// The hash tree finds no room.
    #[error("cannot keep the hash tree in {}, where temporary files go (TMPDIR)", std::env::temp_dir().display())]
    Nodes(#[source] io::Error),
    /// Neither a file nor a directory.
    #[error("{} is neither a file nor a directory", path.display())]
    Special {
        /// The path.
        path: PathBuf,
    },
    /// A symbolic link that no fetcher would write.
    #[error("{} is a symbolic link to {}, which is not safe elsewhere: {reason}; leave links out with --symlinks skip",
            path.display(), target.display())]
    Link {
        /// The link.
        path: PathBuf,
        /// Where it leads.
        target: PathBuf,
        /// What is wrong with that.
        reason: &'static str,
    },
    /// A name that is not UTF-8.
    #[error("the name of {} is not UTF-8", path.display())]
    Name {
        /// The path.
        path: PathBuf,
    },
    /// A name the manifest does not take.
    #[error("cannot list the files of {}", path.display())]
    Manifest {
        /// The tree's root.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: ManifestError,
    },
}

/// Why a part of a payload cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{path} at offset {offset}")]
pub struct ReadError {
    /// The file, relative to the payload's root.
    pub path: String,
    /// Offset within the file.
    pub offset: u64,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

impl Payload {
    /// Walks and hashes what lies at `path`. `progress` hears often how many bytes of how many have been read.
    pub fn import(path: &Path, symlinks: Symlinks, mut progress: impl FnMut(u64, u64)) -> Result<Payload, ImportError> {
        // The path itself may be a link: the user named it.
        let meta = fs::metadata(path).map_err(|source| ImportError::Look { path: path.into(), source })?;
        let (kind, manifest, layout, size) = if meta.is_file() {
            let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
            (Kind::File, Vec::new(), Layout::of_file(&name, meta.len()), meta.len())
        } else if meta.is_dir() {
            let mut entries = Vec::new();
            walk(path, "", symlinks, &mut entries)?;
            let manifest =
                Manifest::new(entries).map_err(|source| ImportError::Manifest { path: path.into(), source })?;
            let bytes = manifest.encode();
            let size = bytes.len() as u64 + manifest.content_bytes();
            let layout = Layout::of_tree(manifest, bytes.len() as u64);
            (Kind::Tree, bytes, layout, size)
        } else {
            return Err(ImportError::Special { path: path.into() });
        };
        progress(0, size);
        let mut watched = Watched { reader: Reader::new(path, &manifest, &layout, &[]), size, progress };
        let nodes = nodes::room(size).map_err(ImportError::Nodes)?;
        let outboard = Outboard::of(&mut watched, size, nodes).map_err(|error| match error {
            OutboardError::Read(source) => ImportError::Read(source),
            OutboardError::Keep(source) => ImportError::Nodes(source),
        })?;
        let stamps = watched.reader.seen;
        Ok(Payload { kind, root: path.into(), manifest, layout, stamps, outboard })
    }

    /// File or tree.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The hash tree.
    pub fn outboard(&self) -> &Outboard {
        &self.outboard
    }

    /// Which file lies where.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// A reader with a file handle of its own.
    pub fn reader(&self) -> Reader<'_> {
        Reader::new(&self.root, &self.manifest, &self.layout, &self.stamps)
    }
}

fn walk(directory: &Path, prefix: &str, symlinks: Symlinks, entries: &mut Vec<Entry>) -> Result<(), ImportError> {
    let look = |source| ImportError::Look { path: directory.into(), source };
    for item in fs::read_dir(directory).map_err(look)? {
        let item = item.map_err(look)?;
        let path = item.path();
        let look = |source| ImportError::Look { path: path.clone(), source };
        let kind = item.file_type().map_err(look)?;
        let name = item.file_name().into_string().map_err(|_| ImportError::Name { path: path.clone() })?;
        let relative = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
        let kind = if kind.is_dir() {
            EntryKind::Directory { mode: mode(&item.metadata().map_err(look)?) }
        } else if kind.is_file() {
            let meta = item.metadata().map_err(look)?;
            EntryKind::File { bytes: meta.len(), mode: mode(&meta) }
        } else if !kind.is_symlink() {
            return Err(ImportError::Special { path });
        } else if symlinks == Symlinks::Keep {
            link(&path, &relative)?
        } else {
            continue;
        };
        let is_directory = matches!(kind, EntryKind::Directory { .. });
        entries.push(Entry { path: relative.as_str().into(), kind });
        if is_directory {
            walk(&path, &relative, symlinks, entries)?;
        }
    }
    Ok(())
}

fn mode(meta: &fs::Metadata) -> u16 {
    (meta.mode() as u16) & MODE_BITS
}

/// The link at `path`, which the manifest will list as `relative`.
fn link(path: &Path, relative: &str) -> Result<EntryKind, ImportError> {
    let target = fs::read_link(path).map_err(|source| ImportError::Look { path: path.into(), source })?;
    let fault = |reason| ImportError::Link { path: path.into(), target: target.clone(), reason };
    let text = target.to_str().ok_or_else(|| fault("it is not UTF-8"))?;
    match paths::target_fault(relative, text) {
        Some(reason) => Err(fault(reason)),
        None => Ok(EntryKind::Link { target: text.into() }),
    }
}

/// Reads a blob from the files it is made of. Keeps the current file open.
#[derive(Debug)]
pub struct Reader<'a> {
    root: &'a Path,
    manifest: &'a [u8],
    layout: &'a Layout,
    /// None while they are being taken.
    stamps: &'a [Option<Stamp>],
    open: Option<(usize, File)>,
    /// Of the files opened so far, while there are no `stamps`.
    seen: Vec<Option<Stamp>>,
    /// Whether files that were read from since this was asked last, and closed, were what they had been.
    unchanged: bool,
}

impl<'a> Reader<'a> {
    fn new(root: &'a Path, manifest: &'a [u8], layout: &'a Layout, stamps: &'a [Option<Stamp>]) -> Self {
        Reader { root, manifest, layout, stamps, open: None, seen: Vec::new(), unchanged: true }
    }

    fn read_file(&mut self, index: usize, offset: u64, buffer: &mut [u8]) -> Result<(), ReadError> {
        let path = self.layout.path(self.layout.spans()[index]);
        let error = |source| ReadError { path: path.to_owned(), offset, source };
        if !matches!(self.open, Some((open, _)) if open == index) {
            // Only a tree has a manifest; without one the root is the file itself.
            let path = if self.manifest.is_empty() { self.root.into() } else { self.root.join(path) };
            let file = File::open(path).map_err(error)?;
            if self.stamps.is_empty() {
                // Before it is read. Import reads all files, in order.
                self.seen.push(Stamp::of(&file));
            } else {
                self.unchanged &= self.is_open_unchanged();
            }
            self.open = Some((index, file));
        }
        match &self.open {
            Some((_, file)) => file.read_exact_at(buffer, offset).map_err(error),
            None => Ok(()),
        }
    }

    /// Whether all that was read from the open file, until now, is what it was.
    fn is_open_unchanged(&self) -> bool {
        let Some((index, file)) = &self.open else { return true };
        let stamp = self.stamps.get(*index).copied().flatten();
        stamp.is_some() && Stamp::of(file) == stamp
    }
}

/// A reader that tells how far it is.
struct Watched<'a, P> {
    reader: Reader<'a>,
    size: u64,
    progress: P,
}

impl<P: FnMut(u64, u64)> Source for Watched<'_, P> {
    type Error = ReadError;

    fn read_exact_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<(), ReadError> {
        self.reader.read_exact_at(offset, buffer)?;
        (self.progress)(offset + buffer.len() as u64, self.size);
        Ok(())
    }
}

impl Source for Reader<'_> {
    type Error = ReadError;

    fn read_exact_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<(), ReadError> {
        let (layout, manifest) = (self.layout, self.manifest);
        layout.read(offset, buffer, manifest, |index, offset, part| self.read_file(index, offset, part))
    }

    fn is_unchanged(&mut self) -> bool {
        let open = self.is_open_unchanged();
        std::mem::replace(&mut self.unchanged, true) && open
    }
}

/// A blob that is shorter than its layout.
impl From<io::Error> for ReadError {
    fn from(source: io::Error) -> ReadError {
        ReadError { path: "beyond the last file".into(), offset: 0, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(reader: &mut Reader<'_>, range: std::ops::Range<u64>) {
        let mut buffer = vec![0; (range.end - range.start) as usize];
        reader.read_exact_at(range.start, &mut buffer).unwrap();
    }

    #[test]
    fn a_file_is_unchanged_until_somebody_touches_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name| directory.path().join(name);
        for name in ["a", "b", "c"] {
            fs::write(path(name), [7; 1000]).unwrap();
        }
        // A few milliseconds at most: until the kernel's clock for files has gone on.
        while Stamp::of(&File::open(path("c")).unwrap()).is_none() {}
        let payload = Payload::import(directory.path(), Symlinks::Keep, |_, _| {}).unwrap();
        let start = payload.layout().manifest_bytes();
        let mut reader = payload.reader();
        read(&mut reader, 0..start + 3000);
        assert!(reader.is_unchanged());
        read(&mut reader, start + 2000..start + 3000);
        fs::write(path("b"), [7; 1000]).unwrap();
        assert!(reader.is_unchanged(), "nothing of b was read since");
        read(&mut reader, start..start + 3000);
        assert!(!reader.is_unchanged(), "b lies between files that are as they were");
        read(&mut reader, start..start + 1000);
        assert!(reader.is_unchanged());
        fs::rename(path("b"), path("a")).unwrap();
        read(&mut payload.reader(), start..start + 1000);
        assert!(!reader.is_unchanged(), "a file that is open and has lost its name has another time of change");
        let mut reader = payload.reader();
        read(&mut reader, start..start + 1000);
        assert!(!reader.is_unchanged(), "another file has taken its name");
    }
}
