//! Room for files in memory, with an end.

use crate::sandbox::available_memory;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::io;
use std::path::{Path, PathBuf};

/// A file system in memory, seen by this program and what it starts. Its files are gone when it is dropped and their last
/// user has ended.
#[derive(Debug)]
pub struct Space {
    at: PathBuf,
    bytes: u64,
}

impl Space {
    /// Mounts it over the directory `at`, with room for `bytes`, or for as many as there is memory left. Call it inside the sandbox: no other process must see it.
    pub fn mount(at: &Path, bytes: u64) -> io::Result<Space> {
        let bytes = bytes.min(available_memory()?);
        let options = format!("mode=0755,size={bytes}");
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        mount(Some("longhaul"), at, Some("tmpfs"), flags, Some(options.as_str()))?;
        Ok(Space { at: at.to_path_buf(), bytes })
    }

    /// How much fits into it.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        // Fails only if someone else has unmounted it.
        let _ = umount2(&self.at, MntFlags::MNT_DETACH);
    }
}
