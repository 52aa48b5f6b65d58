//! A tree of files, written in place.
//!
//! Nothing is made before the manifest is complete and found to be safe. Until the end there are only directories and
//! files that their owner alone may touch: modes that would keep their owner out, and symbolic links, come last, when no
//! more names have to be found.

use std::fs::{self, File};
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::beneath::{self, Before, Root};
use super::{WriteError, write_all_at};
use crate::layout::{Layout, Place};
use crate::manifest::{Entry, EntryKind, HEADER_BYTES, Manifest, ManifestError};
use crate::ranges::Ranges;
use crate::record::Record;
use crate::ticket::Ticket;
use crate::verified::{self, Source};

/// Whether a file can be given its mode as soon as it is complete: whoever resumes can still read and write it.
fn gets_mode_early(mode: u16) -> bool {
    mode & 0o600 == 0o600
}

/// Writes a tree.
#[derive(Debug)]
pub struct TreeSink {
    path: PathBuf,
    root: Root,
    size: u64,
    state: State,
    /// If a later fetch shall be able to go on.
    record: Option<Record>,
}

#[derive(Debug)]
enum State {
    /// The manifest is not complete yet; nothing has been written.
    Manifest(Vec<u8>),
    /// Entries are being made.
    Contents(Contents),
}

/// What is known once the manifest is.
#[derive(Debug)]
struct Contents {
    layout: Layout,
    /// Bytes each file still misses, in the layout's order.
    missing: Vec<u64>,
    /// All directories and empty files before this entry have been made.
    made: usize,
    /// The file written last, by its place in the layout.
    open: Option<(usize, File)>,
    before: Before,
}

impl TreeSink {
    pub(super) fn create(out: &Path, size: u64) -> Result<TreeSink, WriteError> {
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
        TreeSink::new(out, size, None)
    }

    fn new(out: &Path, size: u64, record: Option<Record>) -> Result<TreeSink, WriteError> {
        let root = Root::open(out).map_err(|source| WriteError::Write { path: out.into(), source })?;
        Ok(TreeSink { path: out.into(), root, size, state: State::Manifest(Vec::new()), record })
    }

    /// Opens what an earlier sink left, or begins anew. Also returns what is missing.
    pub(super) fn resume(out: &Path, ticket: &Ticket) -> Result<(TreeSink, Ranges), WriteError> {
        let all = Ranges::of(0..ticket.size);
        let record = Record::open(out, ticket)?;
        if !record.found() {
            // Whatever lies there is not ours.
            if let Err(error) = TreeSink::create(out, ticket.size) {
                record.remove();
                return Err(error);
            }
            return Ok((TreeSink::new(out, ticket.size, Some(record))?, all));
        }
        if out.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            fs::create_dir(out).map_err(|source| WriteError::Create { path: out.into(), source })?;
        }
        let manifest = record.manifest();
        let mut sink = TreeSink::new(out, ticket.size, Some(record))?;
        let Some(bytes) = manifest else { return Ok((sink, all)) };
        let (Ok(Some(manifest)), Some(record)) = (complete_manifest(&bytes), &sink.record) else {
            return Ok((sink, all));
        };
        let layout = Layout::of_tree(manifest, bytes.len() as u64);
        make_ready(&layout, &mut sink.root);
        let mut partial = Partial { root: &mut sink.root, manifest: &bytes, layout: &layout, open: None };
        let missing = verified::missing(ticket.hash, ticket.size, record, &mut partial);
        if missing.overlap(0..layout.manifest_bytes()) > 0 {
            // Not this tree's manifest, or a damaged one.
            return Ok((sink, all));
        }
        let left = layout.spans().iter().map(|span| missing.overlap(span.start..span.start + span.bytes)).collect();
        sink.state = State::Contents(Contents { layout, missing: left, made: 0, open: None, before: Before::Ours });
        Ok((sink, missing))
    }

    pub(super) fn record(&mut self) -> Option<&mut Record> {
        self.record.as_mut()
    }

    /// How many bytes of the files are there.
    pub(super) fn kept(&self, missing: &Ranges) -> u64 {
        let State::Contents(Contents { layout, .. }) = &self.state else { return 0 };
        let contents = layout.manifest_bytes()..self.size;
        contents.end - contents.start - missing.overlap(contents)
    }

    pub(super) fn layout(&self) -> Option<&Layout> {
        match &self.state {
            State::Manifest(_) => None,
            State::Contents(contents) => Some(&contents.layout),
        }
    }

    pub(super) fn write_at(&mut self, mut offset: u64, data: &[&[u8]]) -> Result<u64, WriteError> {
        let mut payload = 0;
        // What lies in one file is written together.
        let mut batch: Vec<IoSlice<'_>> = Vec::with_capacity(data.len());
        let mut batch_offset = offset;
        for part in data {
            let mut part = *part;
            if let State::Manifest(bytes) = &mut self.state {
                let rest = collect_manifest(bytes, part)?;
                offset += (part.len() - rest.len()) as u64;
                batch_offset = offset;
                part = rest;
                self.look_at_manifest()?;
            }
            payload += part.len() as u64;
            while !part.is_empty() {
                let left = self.left_in_file(offset);
                let (now, rest) = part.split_at(part.len().min(usize::try_from(left).unwrap_or(usize::MAX)));
                batch.push(IoSlice::new(now));
                offset += now.len() as u64;
                part = rest;
                if now.len() as u64 == left {
                    self.write_file(batch_offset, offset, &mut batch)?;
                    batch.clear();
                    batch_offset = offset;
                }
            }
        }
        if !batch.is_empty() {
            self.write_file(batch_offset, offset, &mut batch)?;
        }
        Ok(payload)
    }

    /// Goes on to the contents once the manifest is complete.
    fn look_at_manifest(&mut self) -> Result<(), WriteError> {
        let State::Manifest(bytes) = &self.state else { return Ok(()) };
        let Some(manifest) = complete_manifest(bytes)? else { return Ok(()) };
        let manifest_bytes = bytes.len() as u64;
        let promised = manifest_bytes + manifest.content_bytes();
        if promised != self.size {
            return Err(WriteError::Size { blob: self.size, manifest: promised });
        }
        if let Some(record) = &self.record {
            record.keep_manifest(bytes)?;
        }
        let layout = Layout::of_tree(manifest, manifest_bytes);
        let missing = layout.spans().iter().map(|span| span.bytes).collect();
        // An earlier fetch may have come further before its record was damaged.
        let before = if self.record.as_ref().is_some_and(Record::found) { Before::Ours } else { Before::Nothing };
        self.state = State::Contents(Contents { layout, missing, made: 0, open: None, before });
        Ok(())
    }

    /// Bytes from `offset` to the end of the file that lies there.
    fn left_in_file(&self, offset: u64) -> u64 {
        let State::Contents(Contents { layout, .. }) = &self.state else { return u64::MAX };
        match layout.locate(offset) {
            Place::File { index, offset: within } => layout.spans()[index].bytes - within,
            // The blob's size was compared with the manifest: this does not happen.
            Place::Manifest | Place::End => u64::MAX,
        }
    }

    /// Writes the bytes `start..end` of the blob, which lie in one file.
    fn write_file(&mut self, start: u64, end: u64, data: &mut [IoSlice<'_>]) -> Result<(), WriteError> {
        let State::Contents(contents) = &mut self.state else { return Ok(()) };
        let Place::File { index, offset } = contents.layout.locate(start) else { return Ok(()) };
        let file =
            contents.open(index, &mut self.root).map_err(|(path, source)| create_error(&self.path, &path, source))?;
        let failed = |path: &str, source| WriteError::Write { path: self.path.join(path), source };
        let span = contents.layout.spans()[index];
        let entry = &contents.layout.manifest().entries()[span.entry];
        write_all_at(&file, data, offset).map_err(|source| failed(&entry.path, source))?;
        contents.missing[index] -= end - start;
        if contents.missing[index] > 0 {
            contents.open = Some((index, file));
        } else if let EntryKind::File { mode, .. } = entry.kind
            && gets_mode_early(mode)
        {
            beneath::set_mode(&file, mode).map_err(|source| failed(&entry.path, source))?;
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<(), WriteError> {
        let State::Contents(mut contents) = self.state else {
            // The blob's size was compared with the manifest, so this is a blob shorter than any manifest.
            return Err(WriteError::Manifest(ManifestError::Magic));
        };
        let failed = |path: &str, source| create_error(&self.path, path, source);
        let count = contents.layout.manifest().entries().len();
        contents.make_up_to(count, &mut self.root).map_err(|(path, source)| failed(&path, source))?;
        let entries = contents.layout.manifest().entries();
        // Links first: no name is looked up any more that could lead through one, and directories can still be written.
        for Entry { path, kind } in entries {
            if let EntryKind::Link { target } = kind {
                self.root.make_link(path, target, contents.before).map_err(|source| failed(path, source))?;
            }
        }
        // From the leaves to the root: a directory's mode may keep even its owner out of what it holds.
        for Entry { path, kind } in entries.iter().rev() {
            let mode = match *kind {
                EntryKind::Directory { mode } => mode,
                EntryKind::File { mode, bytes } if bytes == 0 || !gets_mode_early(mode) => mode,
                // It may have been complete when this fetch began.
                EntryKind::File { mode, .. } if contents.before == Before::Ours => mode,
                EntryKind::File { .. } | EntryKind::Link { .. } => continue,
            };
            let failed = |source| WriteError::Write { path: self.path.join(&**path), source };
            self.root.set_mode(path, mode).map_err(failed)?;
        }
        if let Some(record) = self.record {
            record.remove();
        }
        Ok(())
    }
}

/// The path of what could not be made, and what the system said.
type NotMade = (Box<str>, io::Error);

fn create_error(root: &Path, path: &str, source: io::Error) -> WriteError {
    WriteError::Create { path: root.join(path), source }
}

impl Contents {
    /// The file at `index` of the layout, made if it is not there yet.
    fn open(&mut self, index: usize, root: &mut Root) -> Result<File, NotMade> {
        match self.open.take() {
            Some((open, file)) if open == index => return Ok(file),
            _ => {}
        }
        let span = self.layout.spans()[index];
        self.make_up_to(span.entry, root)?;
        let path = self.layout.path(span);
        let untouched = self.missing[index] == span.bytes;
        if untouched { root.make_file(path, self.before) } else { root.open_file(path) }
            .map_err(|source| (path.into(), source))
    }

    /// Makes the directories and empty files among the first `count` entries. Others get there with their first byte.
    fn make_up_to(&mut self, count: usize, root: &mut Root) -> Result<(), NotMade> {
        while self.made < count {
            let Entry { path, kind } = &self.layout.manifest().entries()[self.made];
            let made = match kind {
                EntryKind::Directory { .. } => root.make_directory(path, self.before),
                EntryKind::File { bytes: 0, .. } => root.make_file(path, self.before).map(drop),
                EntryKind::File { .. } | EntryKind::Link { .. } => Ok(()),
            };
            made.map_err(|source| (path.clone(), source))?;
            self.made += 1;
        }
        Ok(())
    }
}

/// Makes what an interrupted fetch left fit for going on: directories and files that their owner may use again, and no
/// file longer than it should be. What does not work out is found missing, or fails when it is written.
fn make_ready(layout: &Layout, root: &mut Root) {
    for Entry { path, kind } in layout.manifest().entries() {
        match *kind {
            EntryKind::Directory { .. } => drop(root.set_mode(path, 0o700)),
            EntryKind::File { mode, .. } if !gets_mode_early(mode) => drop(root.set_mode(path, 0o600)),
            EntryKind::File { .. } | EntryKind::Link { .. } => {}
        }
        if let EntryKind::File { bytes, .. } = *kind
            && let Ok(file) = root.open_file(path)
            && file.metadata().is_ok_and(|meta| meta.is_file() && meta.len() > bytes)
        {
            let _ = file.set_len(bytes);
        }
    }
}

/// The bytes of an unfinished tree.
struct Partial<'a> {
    root: &'a mut Root,
    manifest: &'a [u8],
    layout: &'a Layout,
    open: Option<(usize, File)>,
}

impl Partial<'_> {
    fn read_file(&mut self, index: usize, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let file = match self.open.take() {
            Some((open, file)) if open == index => file,
            _ => self.root.read_file(self.layout.path(self.layout.spans()[index]))?,
        };
        let (_, file) = self.open.insert((index, file));
        file.read_exact_at(buffer, offset)
    }
}

impl Source for Partial<'_> {
    type Error = io::Error;

    fn read_exact_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let manifest = self.manifest;
        self.layout.read(offset, buffer, manifest, |index, offset, part| self.read_file(index, offset, part))
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
