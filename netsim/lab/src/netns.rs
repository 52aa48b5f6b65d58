//! A network namespace, held by a file descriptor: it is gone when the descriptor and its processes are.

use nix::sched::{CloneFlags, setns, unshare};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::thread;

/// A network namespace of this process's own.
#[derive(Debug)]
pub(crate) struct NetNs {
    file: File,
}

impl NetNs {
    /// Makes a new, empty namespace. Needs `CAP_SYS_ADMIN` in the current user namespace.
    pub(crate) fn new() -> io::Result<NetNs> {
        on_own_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            Ok(NetNs { file: File::open("/proc/thread-self/ns/net")? })
        })
    }

    /// Another hold on the same namespace.
    pub(crate) fn try_clone(&self) -> io::Result<NetNs> {
        Ok(NetNs { file: self.file.try_clone()? })
    }

    /// Runs `work` on a thread inside the namespace. Sockets it makes belong to the namespace for ever.
    pub(crate) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> io::Result<T> {
        on_own_thread(|| {
            setns(&self.file, CloneFlags::CLONE_NEWNET)?;
            Ok(work())
        })
    }
}

impl AsFd for NetNs {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Namespaces are a property of threads: a thread that changed its own is not used for anything else.
fn on_own_thread<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let worker = thread::Builder::new().name("netns".into()).spawn_scoped(scope, work)?;
        worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
