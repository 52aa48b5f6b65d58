//! Takes the whole program into namespaces of its own, so that nothing it does can outlive it.
//!
//! [`enter`] puts the calling program into a new PID namespace (when its first process dies, the kernel kills all
//! others), a new mount namespace with a private scratch file system in memory (which the kernel frees with the last
//! process), and, unless it is root, a new user namespace (in which it may make network namespaces). Three processes
//! result:
//!
//! ```text
//! outer   what the user started: waits, passes signals on, leaves with the program's own exit status
//!  └ init   process 1 of the namespace: collects orphans; killed by the kernel when `outer` dies
//!     └ program   where `enter` returns
//! ```
//!
//! So `kill -9` of any of them, at any moment, ends all processes and frees all namespaces, devices and scratch files.

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, getegid, geteuid};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI32, Ordering};

/// The program's own namespaces.
#[derive(Debug, Clone)]
pub struct Sandbox {
    scratch: PathBuf,
}

impl Sandbox {
    /// A directory in memory that only this program and its children see.
    pub fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// Bytes that still fit into it: what the file system takes and the machine's memory has.
    pub fn room(&self) -> io::Result<u64> {
        let files = nix::sys::statvfs::statvfs(&self.scratch)?;
        let free = files.blocks_available().saturating_mul(files.fragment_size());
        Ok(free.min(available_memory()?))
    }

    /// Kills every process in it but this one: whatever programs have left behind, also as daemons.
    pub fn end_all_others(&self) {
        // This program is in a PID namespace of its own, or there would be no sandbox, and kill(2) reaches no further.
        // It fails when there is nobody else.
        let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
    }
}

/// What programs can still take without anything being swapped out, in bytes, as proc_meminfo(5) estimates it.
pub(crate) fn available_memory() -> io::Result<u64> {
    let text = fs::read_to_string("/proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.map(|kib| kib * 1024).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Why a program could not enter namespaces of its own.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The kernel refused the namespaces.
    #[error(
        "this user may not make namespaces; run as root, or allow it: \
         `sysctl -w user.max_user_namespaces=65536 kernel.unprivileged_userns_clone=1 \
         kernel.apparmor_restrict_unprivileged_userns=0` (whichever of them exist)"
    )]
    Unshare(#[source] Errno),
    /// The user namespace's identity could not be written.
    #[error("cannot set up the user namespace: {path}")]
    IdMap {
        /// The file.
        path: &'static str,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// No second process.
    #[error("cannot start a process")]
    Fork(#[source] Errno),
    /// The scratch file system.
    #[error("cannot mount a private tmpfs on {}", path.display())]
    Scratch {
        /// Where.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: Errno,
    },
}

/// Exists on every Linux, and nothing a subject needs is hidden by a fresh, empty one.
const SCRATCH: &str = "/dev/shm";

/// Enters namespaces of its own; see the module's text. Returns in the innermost process.
///
/// Must be called first thing in `main`, while the process has one thread: the kernel refuses it otherwise.
pub fn enter() -> Result<Sandbox, SandboxError> {
    let (uid, gid) = (geteuid(), getegid());
    let mut flags = CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWNS;
    if !uid.is_root() {
        flags |= CloneFlags::CLONE_NEWUSER;
    }
    unshare(flags).map_err(SandboxError::Unshare)?;
    if !uid.is_root() {
        map_id("/proc/self/setgroups", "deny")?;
        map_id("/proc/self/uid_map", &format!("0 {uid} 1"))?;
        map_id("/proc/self/gid_map", &format!("0 {gid} 1"))?;
    }
    // The reading end reports a hang-up once `outer` is gone, however early that happens.
    let (outer_lives, outer_holds) = io::pipe().map_err(|_| SandboxError::Fork(Errno::EMFILE))?;
    if let Some(init) = fork_child()? {
        drop(outer_lives);
        let code = pass_on_until_exit(init);
        drop(outer_holds);
        std::process::exit(code);
    }
    drop(outer_holds);
    die_with_parent();
    exit_if_hung_up(outer_lives);
    let scratch = mount_private()?;
    if let Some(program) = fork_child()? {
        std::process::exit(pass_on_until_exit(program));
    }
    die_with_parent();
    Ok(Sandbox { scratch })
}

fn map_id(path: &'static str, line: &str) -> Result<(), SandboxError> {
    fs::write(path, line).map_err(|source| SandboxError::IdMap { path, source })
}

/// The child's id in the parent, `None` in the child.
fn fork_child() -> Result<Option<Pid>, SandboxError> {
    #[expect(unsafe_code, reason = "the caller has one thread, so the child may do anything")]
    // SAFETY: `enter` is documented to run before any thread is started.
    match unsafe { fork() }.map_err(SandboxError::Fork)? {
        ForkResult::Parent { child } => Ok(Some(child)),
        ForkResult::Child => Ok(None),
    }
}

/// Asks the kernel to kill this process when its parent dies.
fn die_with_parent() {
    // Can only fail for an invalid signal.
    let _ = prctl::set_pdeathsig(Signal::SIGKILL);
}

/// The parent may have died before [`die_with_parent`] took effect.
fn exit_if_hung_up(pipe: io::PipeReader) {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    let nonblocking = fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).is_ok();
    let mut pipe = pipe;
    // End of file means that nobody holds the other end; with the parent alive, the read would block.
    if nonblocking && matches!(pipe.read(&mut [0]), Ok(0)) {
        std::process::exit(1);
    }
}

fn mount_private() -> Result<PathBuf, SandboxError> {
    let none = None::<&str>;
    let path = PathBuf::from(SCRATCH);
    let failed = |source| SandboxError::Scratch { path: path.clone(), source };
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).map_err(failed)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    // By default it would be half of the memory; what is left of that is looked at before anything is put there.
    mount(Some("longhaul"), &path, Some("tmpfs"), flags, Some("mode=0755,size=100%")).map_err(failed)?;
    // So that /proc shows the namespace's own process numbers. Some containers forbid it, and nothing here needs it.
    let _ = mount(Some("proc"), "/proc", Some("proc"), flags | MsFlags::MS_NOEXEC, none);
    Ok(path)
}

/// The process that signals are passed on to.
static CHILD: AtomicI32 = AtomicI32::new(0);

extern "C" fn pass_on(number: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    #[expect(unsafe_code, reason = "the kernel hands signal information over as a pointer")]
    // SAFETY: with SA_SIGINFO the kernel passes a valid structure.
    let code = unsafe { (*info).si_code };
    // What a terminal sends (Ctrl-C), it sends to the program as well; only what was sent to this process alone must be
    // passed on, and that has a code of at most 0 (sigaction(2)).
    if code > 0 {
        return;
    }
    if let Ok(signal) = Signal::try_from(number) {
        // Async-signal-safe: one atomic load and kill(2).
        let _ = kill(Pid::from_raw(CHILD.load(Ordering::Relaxed)), signal);
    }
}

/// Waits for `child`, collecting orphans on the way. Returns the exit status to leave with.
fn pass_on_until_exit(child: Pid) -> i32 {
    CHILD.store(child.as_raw(), Ordering::Relaxed);
    let handler = SigAction::new(SigHandler::SigAction(pass_on), SaFlags::empty(), SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGUSR1] {
        #[expect(unsafe_code, reason = "signal handlers are unsafe to set")]
        // SAFETY: the handler does nothing that is not async-signal-safe.
        let _ = unsafe { sigaction(signal, &handler) };
    }
    loop {
        match waitpid(None::<Pid>, None) {
            Ok(WaitStatus::Exited(pid, code)) if pid == child => return code,
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == child => return 128 + signal as i32,
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return 1,
        }
    }
}
