//! One file, under a temporary name until it is complete.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::{WriteError, write_all_at};
use crate::layout::Layout;
use crate::ranges::Ranges;
use crate::record::{self, Record};
use crate::ticket::Ticket;
use crate::verified::{self, Source};

/// Writes one file.
#[derive(Debug)]
pub struct FileSink {
    file: File,
    target: PathBuf,
    temporary: PathBuf,
    /// The blob's size and the record, if a later fetch shall be able to go on.
    resumable: Option<(u64, Record)>,
    finished: bool,
}

impl FileSink {
    pub(super) fn create(out: &Path) -> Result<FileSink, WriteError> {
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
        Ok(FileSink { file, target: out.into(), temporary, resumable: None, finished: false })
    }

    /// Opens what an earlier sink left, or begins anew. Also returns what is missing.
    pub(super) fn resume(out: &Path, ticket: &Ticket) -> Result<(FileSink, Ranges), WriteError> {
        if out.symlink_metadata().is_ok() {
            return Err(WriteError::Exists { path: out.into() });
        }
        let temporary = record::beside(out, ticket, "partial")?;
        let create = |source| WriteError::Create { path: temporary.clone(), source };
        let record = Record::open(out, ticket)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).custom_flags(nix::libc::O_NOFOLLOW);
        let file = options.open(&temporary).map_err(create)?;
        // Cuts off what is too much. What is too little has no place on the disk and is found missing.
        file.set_len(ticket.size).map_err(create)?;
        let missing = verified::missing(ticket.hash, ticket.size, &record, &mut Partial(&file));
        let resumable = Some((ticket.size, record));
        Ok((FileSink { file, target: out.into(), temporary, resumable, finished: false }, missing))
    }

    pub(super) fn record(&mut self) -> Option<&mut Record> {
        self.resumable.as_mut().map(|(_, record)| record)
    }

    /// The blob's size, if this sink is resumable.
    pub(super) fn size(&self) -> Option<u64> {
        self.resumable.as_ref().map(|(size, _)| *size)
    }

    pub(super) fn layout(&self) -> Layout {
        Layout::of_file(&self.target.file_name().unwrap_or_default().to_string_lossy(), u64::MAX)
    }

    pub(super) fn write_at(&mut self, offset: u64, data: &[&[u8]]) -> Result<u64, WriteError> {
        let mut slices: Vec<IoSlice<'_>> = data.iter().map(|part| IoSlice::new(part)).collect();
        write_all_at(&self.file, &mut slices, offset)
            .map_err(|source| WriteError::Write { path: self.temporary.clone(), source })?;
        Ok(data.iter().map(|part| part.len() as u64).sum())
    }

    pub(super) fn finish(mut self) -> Result<(), WriteError> {
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
        if let Some((_, record)) = self.resumable.take() {
            record.remove();
        }
        Ok(())
    }
}

/// The bytes of an unfinished file.
struct Partial<'a>(&'a File);

impl Source for Partial<'_> {
    type Error = io::Error;

    fn read_exact_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }
}

impl Drop for FileSink {
    fn drop(&mut self) {
        if !self.finished && self.resumable.is_none() {
            // Nothing can be done about a failure here, and the transfer's own error matters more.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}
