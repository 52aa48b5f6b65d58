//! One file, under a temporary name until it is complete.

use std::fs::{self, File, OpenOptions};
use std::io::IoSlice;
use std::path::{Path, PathBuf};

use super::{WriteError, write_all_at};
use crate::layout::Layout;

/// Writes one file.
#[derive(Debug)]
pub struct FileSink {
    file: File,
    target: PathBuf,
    temporary: PathBuf,
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
        Ok(FileSink { file, target: out.into(), temporary, finished: false })
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
