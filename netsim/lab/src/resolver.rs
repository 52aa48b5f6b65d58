//! Where programs on a host ask for names: an `/etc/resolv.conf` of the host's own, mounted over the machine's.

use netsim_services::dns::DOMAIN;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use std::ffi::{CStr, CString};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use tempfile::NamedTempFile;

const RESOLV_CONF: &CStr = c"/etc/resolv.conf";

/// A file that names a host's name servers. Removed when dropped; who has it mounted keeps it.
#[derive(Debug)]
pub(crate) struct Resolver {
    text: String,
    file: NamedTempFile,
}

impl Resolver {
    /// For a host that asks `servers`.
    pub(crate) fn new(servers: &[IpAddr]) -> io::Result<Resolver> {
        let lines: String = servers.iter().map(|server| format!("nameserver {server}\n")).collect();
        Resolver::from_text(format!("search {DOMAIN}\n{lines}"))
    }

    /// With another resolver's text.
    pub(crate) fn from_text(text: String) -> io::Result<Resolver> {
        let mut file = NamedTempFile::with_prefix("resolv-")?;
        file.write_all(text.as_bytes())?;
        Ok(Resolver { text, file })
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Where the file is.
    pub(crate) fn file(&self) -> &Path {
        self.file.path()
    }

    /// What [`mount_over`] needs.
    pub(crate) fn path(&self) -> io::Result<CString> {
        Ok(CString::new(self.file.path().as_os_str().as_bytes())?)
    }
}

/// Mounts the file at `path` over `/etc/resolv.conf`, for the calling process alone. For use between fork and exec:
/// system calls only.
pub(crate) fn mount_over(path: &CStr) -> nix::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount(None::<&str>, c"/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?;
    match mount(Some(path), RESOLV_CONF, None::<&str>, MsFlags::MS_BIND, None::<&str>) {
        // A machine without the file has programs that do without it.
        Err(nix::Error::ENOENT) => Ok(()),
        result => result,
    }
}
