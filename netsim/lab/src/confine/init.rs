//! Process 1 of a confined program's namespace.

use super::NOBODY;
use super::order::Order;
use super::view::{self, Refused, USER, errno};
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::resource::{Resource, Usage, UsageWho, getrlimit, getrusage, setrlimit};
use nix::sys::signal::{SigSet, Signal, kill, killpg};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use nix::sys::stat::{Mode, umask};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{
    ForkResult, Gid, Pid, Uid, chdir, dup2_stdin, fchown, fork, getegid, geteuid, setgroups, setpgid, setresgid,
    setresuid, setsid,
};
use std::fs::File;
use std::io::{self, IoSlice, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, exit};
use std::sync::atomic::{AtomicBool, Ordering};

/// What this program is called when it is to be `init`.
pub(super) const NAME: &str = "netsim-init";

/// What `init` says, by the first byte of each message.
pub(super) mod word {
    /// All is prepared; comes with a descriptor of `/proc`.
    pub(in super::super) const READY: u8 = b'r';
    /// Something could not be done: an error number, then until the end what it was.
    pub(in super::super) const REFUSED: u8 = b'f';
    /// The program has started.
    pub(in super::super) const STARTED: u8 = b's';
    /// The program could not be started: an error number.
    pub(in super::super) const MISSING: u8 = b'm';
    /// The program has ended: [`super::Report`].
    pub(in super::super) const ENDED: u8 = b'e';
    /// Said to `init`: start the program.
    pub(in super::super) const GO: u8 = b'g';
}

/// How the program ended, and what it used, with all that it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Report {
    /// As wait(2) tells it: an exit status, or a signal and 1000.
    pub(super) how: i64,
    pub(super) user_us: i64,
    pub(super) system_us: i64,
    pub(super) peak_rss_kib: i64,
    pub(super) context_switches: i64,
}

/// Sent to `init`: kill everybody, and say what was used. Were `init` itself killed, the kernel would end all others at
/// once, and forget what they used.
pub(crate) const END: Signal = Signal::SIGPWR;

/// Added to a signal's number in [`Report::how`].
pub(super) const BY_SIGNAL: i64 = 1000;

impl Report {
    pub(super) const BYTES: usize = 40;

    pub(super) fn to_bytes(self) -> Vec<u8> {
        let Report { how, user_us, system_us, peak_rss_kib, context_switches } = self;
        [how, user_us, system_us, peak_rss_kib, context_switches].iter().flat_map(|n| n.to_le_bytes()).collect()
    }

    pub(super) fn from_bytes(bytes: [u8; Report::BYTES]) -> Report {
        let mut numbers = bytes.chunks_exact(8).map(|n| n.try_into().map_or(0, i64::from_le_bytes));
        let mut next = || numbers.next().unwrap_or(0);
        Report { how: next(), user_us: next(), system_us: next(), peak_rss_kib: next(), context_switches: next() }
    }
}

/// Whether [`run_if_init`] was called: without it, what should be `init` would do all over again what this program does.
static CAN_BE_INIT: AtomicBool = AtomicBool::new(false);

pub(super) fn can_be_init() -> bool {
    CAN_BE_INIT.load(Ordering::Relaxed)
}

/// Becomes `init`, and never returns, if this process was started for that. Comes first in `main`; [`enter`](crate::enter)
/// does it too, so only programs need it that look at their command line before.
pub fn run_if_init() {
    if std::env::args_os().next().is_some_and(|name| name == NAME) {
        exit(init());
    }
    CAN_BE_INIT.store(true, Ordering::Relaxed);
}

fn init() -> i32 {
    let Ok(socket) = io::stdin().as_fd().try_clone_to_owned() else { return 1 };
    let mut control = UnixStream::from(socket);
    // Its order does not come if the program that started this one is gone.
    let Ok(order) = Order::receive(&control) else { return 1 };
    let result = prepare(&order).and_then(|proc| {
        let (started, starting) = io::pipe().map_err(errno).map_err(Refused::at("making a pipe"))?;
        SigSet::all().thread_block().map_err(Refused::at("blocking signals"))?;
        let ready = [IoSlice::new(&[word::READY])];
        let descriptor = [ControlMessage::ScmRights(&[proc.as_raw_fd()])];
        sendmsg::<()>(control.as_raw_fd(), &ready, &descriptor, MsgFlags::empty(), None)
            .map_err(Refused::at("saying so"))?;
        #[expect(unsafe_code, reason = "this process has one thread, so the child may do anything")]
        // SAFETY: nothing has been started yet that would make a thread.
        match unsafe { fork() }.map_err(Refused::at("starting a process"))? {
            ForkResult::Parent { child } => Ok((child, started)),
            ForkResult::Child => {
                drop(started);
                become_program(&order, control.try_clone().ok(), starting)
            }
        }
    });
    match result {
        Ok((program, started)) => serve(&mut control, program, started),
        Err(Refused { what, errno }) => {
            let number = (errno as i32).to_le_bytes();
            let _ = control.write_all(&[&[word::REFUSED], &number[..], what.as_bytes()].concat());
            1
        }
    }
}

/// Everything that takes time. Returns the namespace's `/proc`.
fn prepare(order: &Order) -> Result<File, Refused> {
    // So that there is no terminal, and a process group of its own.
    setsid().map_err(Refused::at("leaving the session"))?;
    let _ = prctl::set_pdeathsig(Signal::SIGKILL);
    let flags = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWUTS;
    unshare(flags).map_err(Refused::at("making namespaces"))?;
    set_host_name(order);
    // The one that can be written to; what replaces it cannot.
    let old_proc = File::open("/proc").map_err(errno).map_err(Refused::at("opening /proc"))?;
    view::enter(order)?;
    // Should the machine run out of memory, this is what to kill first. Its children inherit it.
    let _ = write_in(&old_proc, "self/oom_score_adj", "1000");
    go_first();
    become_ordinary_user(&old_proc)?;
    umask(Mode::from_bits_truncate(0o022));
    chdir(&order.directory).map_err(Refused::at(format!("entering {}", order.directory.display())))?;
    let null = File::open("/dev/null").map_err(errno).map_err(Refused::at("opening /dev/null"))?;
    dup2_stdin(&null).map_err(Refused::at("closing standard input"))?;
    File::open("/proc").map_err(errno).map_err(Refused::at("opening /proc"))
}

/// Real-time priority, if it may be had: thousands of processes that want to run must not keep this one from ending them.
/// Children do without.
fn go_first() {
    #[expect(unsafe_code, reason = "no safe wrapper exists")]
    // SAFETY: the structure is fully initialised; 0 means the calling thread.
    let _ = unsafe {
        let parameters = libc::sched_param { sched_priority: super::PRIORITY };
        libc::sched_setscheduler(0, libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK, &raw const parameters)
    };
}

/// It is called like the host; only looks.
fn set_host_name(order: &Order) {
    use std::os::unix::ffi::OsStrExt;
    let name = order.host.as_bytes();
    #[expect(unsafe_code, reason = "no wrapper without another feature of the crate")]
    // SAFETY: pointer and length are those of one slice.
    let _ = unsafe { libc::sethostname(name.as_ptr().cast(), name.len()) };
}

/// Stops being root of the machine, then a user namespace in which it is an ordinary user, without privileges and without a
/// way to get any.
fn become_ordinary_user(proc: &File) -> Result<(), Refused> {
    stop_being_root().map_err(Refused::at("becoming another user"))?;
    let (uid, gid) = (geteuid(), getegid());
    unshare(CloneFlags::CLONE_NEWUSER).map_err(Refused::at("making a user namespace"))?;
    let maps = [
        ("self/setgroups", "deny".to_owned()),
        ("self/uid_map", format!("{USER} {uid} 1")),
        ("self/gid_map", format!("{USER} {gid} 1")),
    ];
    for (path, line) in maps {
        write_in(proc, path, &line).map_err(Refused::at(format!("writing /proc/{path}")))?;
    }
    // No namespaces in it, in which it would be root again. Not all kernels have this.
    let _ = write_in(proc, "sys/user/max_user_namespaces", "0");
    drop_privileges().map_err(Refused::at("giving privileges up"))
}

/// Root owns files that nobody else may read, and the kernel does not count its processes. Where the machine's root is not
/// here, in an ordinary user's namespace, that other user does not exist: who it is then is that user already.
fn stop_being_root() -> nix::Result<()> {
    // A user's own groups are left where the kernel lets go of them.
    let _ = setgroups(&[]);
    if !geteuid().is_root() {
        return Ok(());
    }
    let (uid, gid) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    for stream in [io::stdout().as_fd(), io::stderr().as_fd()] {
        // So that it may open `/dev/stderr`.
        let _ = fchown(stream, Some(uid), Some(gid));
    }
    match setresgid(gid, gid, gid).and_then(|()| setresuid(uid, uid, uid)) {
        Err(Errno::EINVAL) => Ok(()),
        Err(errno) => Err(errno),
        Ok(()) => {
            // Both are lost with the identity.
            prctl::set_dumpable(true)?;
            prctl::set_pdeathsig(Signal::SIGKILL)
        }
    }
}

fn write_in(directory: &File, path: &str, text: &str) -> nix::Result<()> {
    let file = openat(directory, path, OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    nix::unistd::write(file, text.as_bytes()).map(drop)
}

/// No capabilities, now or after an exec; a session keyring of its own; nobody traces this process.
fn drop_privileges() -> nix::Result<()> {
    const ALL: std::ops::Range<libc::c_ulong> = 0..64;
    const VERSION_3: u32 = 0x2008_0522;
    const JOIN_SESSION_KEYRING: libc::c_long = 1;
    #[repr(C)]
    struct Header {
        version: u32,
        pid: libc::c_int,
    }
    let header = Header { version: VERSION_3, pid: 0 };
    // Effective, permitted and inheritable, twice 32 bits.
    let none = [[0_u32; 3]; 2];
    #[expect(unsafe_code, reason = "no wrappers have these calls")]
    // SAFETY: numbers alone, but for capset(2), whose structures are as its version says and outlive the call.
    unsafe {
        libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, 0);
        // Fails after the last one the kernel knows.
        let _ = ALL.into_iter().find(|capability| libc::prctl(libc::PR_CAPBSET_DROP, *capability, 0, 0, 0) != 0);
        Errno::result(libc::syscall(libc::SYS_capset, &raw const header, none.as_ptr()))?;
    }
    prctl::set_no_new_privs()?;
    prctl::set_dumpable(false)
}

fn limit(order: &Order) -> nix::Result<()> {
    let at_most = |resource, value: u64| {
        let (_, most) = getrlimit(resource)?;
        setrlimit(resource, value.min(most), value.min(most))
    };
    at_most(Resource::RLIMIT_NOFILE, order.files)?;
    // Far enough above the limit for the watch to see that it was exceeded. Whatever the watch does, there are no more.
    at_most(Resource::RLIMIT_NPROC, order.processes.saturating_mul(2))?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    // The threads that carry packets go first.
    setrlimit(Resource::RLIMIT_RTPRIO, 0, 0)?;
    setrlimit(Resource::RLIMIT_NICE, 0, 0)
}

/// The child: waits for the word, then is the program.
fn become_program(order: &Order, control: Option<UnixStream>, mut starting: PipeWriter) -> ! {
    let own = Pid::from_raw(0);
    let [program, arguments @ ..] = &order.command[..] else { exit(1) };
    let mut command = Command::new(program);
    command.args(arguments).env_clear();
    for variable in &order.environment {
        let bytes = variable.as_encoded_bytes();
        let Some(equals) = bytes.iter().position(|byte| *byte == b'=') else { continue };
        use std::os::unix::ffi::OsStrExt;
        let [name, value] = [&bytes[..equals], &bytes[equals + 1..]].map(std::ffi::OsStr::from_bytes);
        command.env(name, value);
    }
    hide_open_files();
    let ready = setpgid(own, own).and_then(|()| limit(order)).and_then(|()| SigSet::all().thread_unblock());
    let mut go = [0];
    if control.is_none_or(|mut control| control.read_exact(&mut go).is_err()) || go != [word::GO] {
        exit(1);
    }
    let error = ready.map_or_else(|errno| errno, |()| errno(command.exec()));
    let _ = starting.write_all(&(error as i32).to_le_bytes());
    exit(1)
}

/// Whatever else the program that started all this has left open for its children ends with the exec.
fn hide_open_files() {
    const FIRST: libc::c_uint = 3;
    #[expect(unsafe_code, reason = "no wrapper has this call")]
    // SAFETY: it only marks descriptors. Fails for no valid range.
    unsafe {
        libc::syscall(libc::SYS_close_range, FIRST, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
    }
}

/// Passes signals on and collects orphans, until the program has ended; then ends all that is left. Returns what to exit
/// with.
fn serve(control: &mut UnixStream, program: Pid, started: PipeReader) -> i32 {
    // What the program prints ends with its last process, so none of it may be open here.
    close_streams();
    let said = match error_of(started) {
        Some(number) => control.write_all(&[&[word::MISSING], &number[..]].concat()),
        None => control.write_all(&[word::STARTED]),
    };
    if said.is_err() {
        return 1;
    }
    let mut how = None;
    while how.is_none() {
        match SigSet::all().wait() {
            Ok(Signal::SIGCHLD) => how = collect(program, WaitPidFlag::WNOHANG),
            Ok(END) => break,
            // As if the program had been sent it, with all of its process group.
            Ok(signal) => drop(killpg(program, signal)),
            Err(_) => {}
        }
    }
    // All but this process; a kill(2) of everybody reaches also what is just being forked.
    let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
    let killed = collect(program, WaitPidFlag::empty());
    let how = how.or(killed).unwrap_or(BY_SIGNAL + i64::from(libc::SIGKILL));
    let report = getrusage(UsageWho::RUSAGE_CHILDREN).map(|usage| report(how, &usage));
    let sent = report.map(|report| control.write_all(&[&[word::ENDED], &report.to_bytes()[..]].concat()));
    i32::from(!matches!(sent, Ok(Ok(()))))
}

fn report(how: i64, usage: &Usage) -> Report {
    let micros = |time: nix::sys::time::TimeVal| time.tv_sec() * 1_000_000 + time.tv_usec();
    Report {
        how,
        user_us: micros(usage.user_time()),
        system_us: micros(usage.system_time()),
        peak_rss_kib: usage.max_rss(),
        context_switches: usage.voluntary_context_switches() + usage.involuntary_context_switches(),
    }
}

/// Collects whoever has ended, or, unless told otherwise by `flags`, everybody. How the program did, if it was among them.
fn collect(program: Pid, flags: WaitPidFlag) -> Option<i64> {
    let mut how = None;
    loop {
        match waitpid(None::<Pid>, Some(flags)) {
            Ok(WaitStatus::Exited(pid, code)) if pid == program => how = Some(i64::from(code)),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == program => how = Some(BY_SIGNAL + signal as i64),
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return how,
            Ok(_) | Err(_) => {}
        }
    }
}

/// The error number from a program that could not be started; the pipe ends without one if it could.
fn error_of(mut started: PipeReader) -> Option<[u8; 4]> {
    let mut number = [0; 4];
    started.read_exact(&mut number).ok().map(|()| number)
}

fn close_streams() {
    for stream in [libc::STDOUT_FILENO, libc::STDERR_FILENO] {
        #[expect(unsafe_code, reason = "the standard streams have no owner that could be dropped")]
        // SAFETY: this process prints nothing any more.
        unsafe {
            libc::close(stream);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_come_back_as_they_were() {
        let report =
            Report { how: BY_SIGNAL + 9, user_us: 1, system_us: -1, peak_rss_kib: i64::MAX, context_switches: 0 };
        assert_eq!(Report::from_bytes(report.to_bytes().try_into().unwrap()), report);
    }
}
