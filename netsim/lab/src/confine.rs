//! Programs that nobody trusts, on simulated hosts.
//!
//! A confined program has namespaces of its own: of processes, mounts, users, host name and System V objects. The steps:
//!
//! ```text
//! a thread of this program   makes a PID namespace, starts `init` in it, sends it the order, waits, watches the limits
//!  └ init     this very program, executed anew (`run_if_init`): process 1 of the namespace. It builds the view of the
//!      │      file system, gives all privileges up, collects orphans, passes signals on
//!      └ program   and all that it starts
//! ```
//!
//! The thread and `init` talk over a socket, `init`'s standard input: the order goes in, then come *ready* (with the
//! namespace's `/proc`, by which the limits are watched), *go*, *started*, and at the end the exit status with what all
//! processes have used. All that takes time is done before *go*, so it is not in the program's time. When `init` ends,
//! for whatever reason, the kernel ends every process of the namespace.
//!
//! [`view`] says what is visible, [`init`] what else is taken away, [`watch`] how limits are kept.

mod init;
mod launch;
mod order;
mod view;
mod watch;

pub(crate) use init::END;
pub use init::run_if_init;
pub(crate) use launch::{Launched, Order, init_command, launch, order, try_out};
use nix::errno::Errno;
use nix::unistd::chown;
use std::io;
use std::path::{Path, PathBuf};
pub(crate) use watch::Watch;

/// The real-time priority of those who keep the limits: below all that measures or carries packets.
const PRIORITY: i32 = 5;

/// Who confined programs are when the machine's root starts them.
const NOBODY: u32 = 65_534;

/// Gives a directory to confined programs: those of root are someone else. Nothing changes for an ordinary user's.
pub fn hand_over(directory: &Path) -> io::Result<()> {
    match chown(directory, Some(NOBODY.into()), Some(NOBODY.into())) {
        // Who is not root has nobody to give it to.
        Err(Errno::EINVAL | Errno::EPERM) => Ok(()),
        result => Ok(result?),
    }
}

/// What a confined program may see, write and use. The system's programs, libraries and configuration are visible, nothing
/// of them can be changed. It is an ordinary user there, without any privilege.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Confinement {
    /// Directories and files beside the system's own that are visible at their own paths.
    pub readable: Vec<PathBuf>,
    /// Directories that are visible at their own paths and can be written to. They must exist, and are handed over.
    pub writable: Vec<PathBuf>,
    /// The directory that is its `/tmp`, likewise. When its file system is full, the program is ended.
    pub tmp: PathBuf,
    /// How much it may use.
    pub limits: Limits,
}

/// How much a confined program may use, with all that it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Private memory of all processes together, in bytes: heaps and stacks, not files that are mapped.
    pub memory_bytes: u64,
    /// Processes and threads at one time.
    pub processes: u64,
    /// Open files of each process. A program that wants more is refused them (`EMFILE`), nothing else happens.
    pub files: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { memory_bytes: 4 << 30, processes: 4096, files: 65_536 }
    }
}

/// What a program wanted more of than it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exceeded {
    /// [`Limits::memory_bytes`].
    Memory,
    /// [`Limits::processes`].
    Processes,
    /// The file system that it writes to is full.
    Space,
}
