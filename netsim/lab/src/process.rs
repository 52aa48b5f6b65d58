//! Programs on simulated hosts: started in the host's namespace, watched, and ended with everything they started.

mod output;

use crate::clock;
use crate::confine::{self, Confinement, Exceeded, Launched, Watch};
use crate::lab::Host;
use crate::netns::NetNs;
use crate::resolver;
use netsim_fabric::Time;
use nix::sched::{CloneFlags, setns};
use nix::sys::prctl;
pub use nix::sys::signal::Signal;
use nix::sys::signal::{SigHandler, killpg, signal};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use output::Tail;
pub use output::{Line, MAX_STDOUT_BYTES};
use std::collections::BTreeMap;
use std::ffi::{CString, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How to start a program.
#[derive(Debug, Clone, Default)]
pub struct Spec {
    /// Program and arguments.
    pub command: Vec<OsString>,
    /// Its whole environment; nothing is inherited.
    pub environment: BTreeMap<OsString, OsString>,
    /// Its working directory; absent: this process's, or the root if it is confined.
    pub directory: Option<PathBuf>,
    /// What it may see and use; absent: all that this process may. Needs [`enter`](crate::enter) to have been called.
    pub confinement: Option<Confinement>,
}

/// How a program ended, and what it used.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ended {
    /// Exit status or signal.
    pub how: How,
    /// User CPU time in seconds, of it and of the children it waited for; of a confined program, of all that it started.
    pub cpu_user_s: f64,
    /// System CPU time in seconds, likewise.
    pub cpu_system_s: f64,
    /// Largest resident set of any of them, in bytes.
    pub peak_rss_bytes: u64,
    /// How often one of them gave the processor up, or had it taken away.
    pub context_switches: u64,
    /// What a confined program was ended for.
    pub exceeded: Option<Exceeded>,
    /// When it was seen to have ended.
    pub at: Time,
}

/// Why there is no line of standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoLine {
    /// None within the time-out.
    Yet,
    /// Standard output is closed; there will be no more.
    More,
}

/// Exit status or signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Exited with this status.
    Code(i32),
    /// Ended by this signal.
    Signal(i32),
}

/// Why a program could not be started.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// No program named.
    #[error("an empty command line")]
    Empty,
    /// The kernel refused.
    #[error("cannot start `{}`", program.to_string_lossy())]
    Start {
        /// The program.
        program: OsString,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// It cannot be confined, so it was not started.
    #[error("cannot confine a program: {what}; `longhaul doctor` says more")]
    Confine {
        /// What was being done.
        what: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

/// Lines that wait to be asked for. A program that prints more than that has to wait: memory is the machine's own.
const WAITING_LINES: usize = 1024;

/// A running program; its lines have to be read, or it may come to a stop. Dropping it kills it and everything it started that stayed in its process group.
#[derive(Debug)]
pub struct Process {
    started: Time,
    group: Arc<Group>,
    /// Of a confined program.
    watch: Option<Arc<Watch>>,
    lines: Receiver<Line>,
    flooded: Arc<AtomicBool>,
    ended: Receiver<Ended>,
    stderr: Arc<Mutex<Tail>>,
    stderr_ends: Receiver<()>,
}

/// A process group, for as long as its leader has not been collected: then the number may belong to someone else. The
/// group of a confined program is its `init` alone, which passes signals on, and whose end is the end of all.
#[derive(Debug)]
struct Group {
    leader: Mutex<Option<Pid>>,
    confined: bool,
}

impl Group {
    fn signal(&self, signal: Signal) {
        // An `init` that is killed cannot say what has been used.
        self.send(if self.confined && signal == Signal::SIGKILL { confine::END } else { signal });
    }

    fn send(&self, signal: Signal) {
        if let Some(leader) = *self.leader.lock().unwrap_or_else(PoisonError::into_inner) {
            // Fails only when all of the group is gone.
            let _ = killpg(leader, signal);
        }
    }

    /// Waits for the end of the leader, or of what a confined program's `init` is there for.
    fn until_end(&self, pid: Pid, watch: Option<&Watch>) -> Ended {
        let end = watch.map(|watch| watch.until_end(|signal| self.send(signal)));
        // Leaves the process uncollected, so that its number stays its own until the group has been ended.
        while waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).is_err_and(|e| e == nix::Error::EINTR) {
        }
        let ended = self.collect(pid);
        end.map_or(ended, |end| end.over(ended))
    }

    /// Ends what is left of the group, then collects its leader, which must have exited.
    fn collect(&self, pid: Pid) -> Ended {
        let mut leader = self.leader.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = killpg(pid, Signal::SIGKILL);
        *leader = None;
        wait4(pid)
    }
}

impl Process {
    pub(crate) fn spawn(spec: &Spec, host: &Host) -> Result<Process, ProcessError> {
        let program = spec.command.first().ok_or(ProcessError::Empty)?.clone();
        let failed = |source| ProcessError::Start { program, source };
        let start = match &spec.confinement {
            None => Start::plain(spec, host),
            Some(confinement) => Start::confined(confine::order(spec, confinement, host), host),
        };
        let start = start.map_err(failed)?;
        let (line_to, lines) = sync_channel(WAITING_LINES);
        let (ended_to, ended) = channel();
        let (begun_to, begun) = channel();
        // One thread for the program's life: the kernel ends the program with the thread that started it.
        thread(move || match start.launch() {
            Ok((mut child, started, watch)) => {
                let pid = Pid::from_raw(child.id().cast_signed());
                let group = Arc::new(Group { leader: Mutex::new(Some(pid)), confined: watch.is_some() });
                let streams = (child.stdout.take(), child.stderr.take());
                let watch = watch.map(Arc::new);
                let _ = begun_to.send(Ok((started, Arc::clone(&group), streams, watch.clone())));
                let _ = ended_to.send(group.until_end(pid, watch.as_deref()));
            }
            Err(error) => drop(begun_to.send(Err(error))),
        })?;
        let gone = |_| no_thread(io::ErrorKind::BrokenPipe.into());
        let (started, group, streams, watch) = begun.recv().map_err(gone)??;
        let flooded = Arc::new(AtomicBool::new(false));
        let stderr = Arc::new(Mutex::new(Tail::default()));
        let (stderr_open, stderr_ends) = channel();
        // These threads end with the streams they read. They are not joined: a program that left the process group may
        // hold a stream open for longer.
        let process = Process { started, group, watch, lines, flooded, ended, stderr, stderr_ends };
        if let (Some(out), Some(err)) = streams {
            let (tail, flood) = (Arc::clone(&process.stderr), Arc::clone(&process.flooded));
            thread(move || output::read_lines(out, &line_to, &flood))?;
            thread(move || {
                output::read_tail(err, &tail);
                drop(stderr_open);
            })?;
        }
        Ok(process)
    }

    /// When it was started.
    pub fn started(&self) -> Time {
        self.started
    }

    /// The next line of standard output, waiting at most `timeout`.
    pub fn next_line(&self, timeout: Duration) -> Result<Line, NoLine> {
        self.lines.recv_timeout(timeout).map_err(|error| match error {
            RecvTimeoutError::Timeout => NoLine::Yet,
            RecvTimeoutError::Disconnected => NoLine::More,
        })
    }

    /// Drops all further lines, so that it need not wait for anyone to read them.
    pub fn stop_listening(&mut self) {
        self.lines = sync_channel(0).1;
    }

    /// Whether it has printed more than [`MAX_STDOUT_BYTES`], listened to or not.
    pub fn flooded(&self) -> bool {
        self.flooded.load(Ordering::Relaxed)
    }

    /// Whether it has ended, waiting at most `timeout`.
    pub fn wait(&self, timeout: Duration) -> Option<Ended> {
        self.ended.recv_timeout(timeout).ok()
    }

    /// Processor time it has used so far, in seconds; `None` once it has been collected. Without its children's; of a
    /// confined program, that of all its processes, in steps of 10 ms each.
    pub fn cpu_s(&self) -> Option<f64> {
        if let Some(watch) = &self.watch {
            return watch.cpu_s();
        }
        let leader = self.group.leader.lock().unwrap_or_else(PoisonError::into_inner);
        leader.and_then(clock::process_cpu_ns).map(|nanos| nanos as f64 / 1e9)
    }

    /// Asks it to end with `signal`, and kills it after `grace`.
    pub fn stop(&self, signal: Signal, grace: Duration) -> Option<Ended> {
        self.group.signal(signal);
        self.wait(grace).or_else(|| self.kill())
    }

    /// Ends it, and everything in its process group, at once.
    pub fn kill(&self) -> Option<Ended> {
        self.group.signal(Signal::SIGKILL);
        self.wait(Duration::from_secs(10)).or_else(|| {
            self.group.send(Signal::SIGKILL);
            self.wait(Duration::from_secs(10))
        })
    }

    /// The end of what it wrote to standard error. Waits for the stream's end, but at most `timeout`.
    pub fn stderr_tail(&self, timeout: Duration) -> String {
        let _ = self.stderr_ends.recv_timeout(timeout);
        self.stderr.lock().unwrap_or_else(PoisonError::into_inner).to_text()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.group.send(Signal::SIGKILL);
    }
}

/// A machine may have no room for another one.
fn thread(work: impl FnOnce() + Send + 'static) -> Result<(), ProcessError> {
    std::thread::Builder::new().spawn(work).map(drop).map_err(no_thread)
}

fn no_thread(source: io::Error) -> ProcessError {
    ProcessError::Start { program: "a thread".into(), source }
}

/// A program that can be started at any moment.
struct Start {
    command: Command,
    /// For a confined one.
    order: Option<confine::Order>,
    /// Kept open until then.
    _namespace: Arc<NetNs>,
}

impl Start {
    fn plain(spec: &Spec, host: &Host) -> io::Result<Start> {
        let mut command = Command::new(&spec.command[0]);
        command.args(&spec.command[1..]).env_clear().envs(&spec.environment).stdin(Stdio::null()).process_group(0);
        if let Some(directory) = &spec.directory {
            command.current_dir(directory);
        }
        enter_on_exec(&mut command, host)?;
        Ok(Start::new(command, None, host))
    }

    fn confined(order: confine::Order, host: &Host) -> io::Result<Start> {
        let mut command = confine::init_command();
        // The parent is outside its PID namespace, and looks like none at all.
        prepare_on_exec(&mut command, host, None, 0);
        Ok(Start::new(command, Some(order), host))
    }

    fn new(mut command: Command, order: Option<confine::Order>, host: &Host) -> Start {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Start { command, order, _namespace: Arc::clone(host.namespace()) }
    }

    fn launch(mut self) -> Result<(Child, Time, Option<Watch>), ProcessError> {
        if let Some(order) = &self.order {
            let Launched { child, started, watch } = confine::launch(self.command, order)?;
            return Ok((child, started, Some(watch)));
        }
        let started = clock::now();
        let program = self.command.get_program().to_owned();
        let child = self.command.spawn().map_err(|source| ProcessError::Start { program, source })?;
        Ok((child, started, None))
    }
}

/// Arranges that the child enters the host, asks the host's name servers, and dies if this program does.
pub(crate) fn enter_on_exec(command: &mut Command, host: &Host) -> io::Result<()> {
    let resolver = host.resolver().path()?;
    prepare_on_exec(command, host, Some(resolver), std::process::id());
    Ok(())
}

/// `parent` is who the child must find as its parent.
fn prepare_on_exec(command: &mut Command, host: &Host, resolver: Option<CString>, parent: u32) {
    // Raw, because the closure may not own anything that allocates.
    let fd = host.namespace().as_fd().as_raw_fd();
    let prepare = move || {
        #[expect(unsafe_code, reason = "the descriptor outlives the call that runs this closure")]
        // SAFETY: whoever spawns keeps the namespace while this closure runs.
        let fd = unsafe { std::os::fd::BorrowedFd::borrow_raw(fd) };
        setns(fd, CloneFlags::CLONE_NEWNET)?;
        if let Some(resolver) = &resolver {
            resolver::mount_over(resolver)?;
        }
        heed_signals();
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        // The parent may have died before the line above took effect.
        if std::os::unix::process::parent_id() != parent {
            return Err(nix::Error::ESRCH.into());
        }
        Ok(())
    };
    #[expect(unsafe_code, reason = "runs between fork and exec")]
    // SAFETY: the closure makes system calls only; it neither allocates nor takes locks.
    unsafe {
        command.pre_exec(prepare);
    }
}

/// Whoever started this program may have had it ignore signals, as a shell does with `&` and `nohup` does; a program that is
/// to be stopped by one must not inherit that. Makes system calls only.
fn heed_signals() {
    for number in Signal::iterator() {
        #[expect(unsafe_code, reason = "no safe wrapper exists")]
        // SAFETY: the default action calls no code of ours. Fails for those that are always heeded.
        let _ = unsafe { signal(number, SigHandler::SigDfl) };
    }
}

/// Collects an exited process with what it used.
fn wait4(pid: Pid) -> Ended {
    let mut status = 0;
    #[expect(unsafe_code, reason = "no safe wrapper returns the resource usage")]
    // SAFETY: an all-zero `rusage` is valid, and the kernel writes only inside it and the status.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        while libc::wait4(pid.as_raw(), &raw mut status, 0, &raw mut usage) < 0
            && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
        {}
        usage
    };
    let how = if libc::WIFSIGNALED(status) {
        How::Signal(libc::WTERMSIG(status))
    } else {
        How::Code(libc::WEXITSTATUS(status))
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    Ended {
        how,
        cpu_user_s: seconds(usage.ru_utime),
        cpu_system_s: seconds(usage.ru_stime),
        // Linux counts in KiB, see getrusage(2).
        peak_rss_bytes: u64::try_from(usage.ru_maxrss).unwrap_or(0) * 1024,
        context_switches: u64::try_from(usage.ru_nvcsw + usage.ru_nivcsw).unwrap_or(0),
        exceeded: None,
        at: clock::now(),
    }
}
