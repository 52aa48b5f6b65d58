//! From this program's side: starts `init`, gives it its order, and lets it go.

use super::init::{NAME, can_be_init, word};
use super::order::Order as Asked;
use super::{Confinement, Limits, PRIORITY, Watch, hand_over};
use crate::clock;
use crate::engine::ask_for_realtime;
use crate::lab::Host;
use crate::process::{ProcessError, Spec};
use netsim_fabric::Time;
use nix::cmsg_space;
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, IoSliceMut, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// What `init` is asked, and what is watched from here.
#[derive(Debug)]
pub(crate) struct Order {
    asked: Asked,
    limits: Limits,
}

/// What is to be started, and where.
pub(crate) fn order(spec: &Spec, confinement: &Confinement, host: &Host) -> Order {
    let variable = |(name, value): (&OsString, &OsString)| {
        let mut variable = name.clone();
        variable.push("=");
        variable.push(value);
        variable
    };
    let mut asked = Asked {
        command: spec.command.clone(),
        environment: spec.environment.iter().map(variable).collect(),
        resolver: host.resolver().file().to_path_buf(),
        readable: confinement.readable.clone(),
        writable: confinement.writable.clone(),
        tmp: confinement.tmp.clone(),
        masked: private_settings().to_vec(),
        files: confinement.limits.files,
        processes: confinement.limits.processes,
        ..Asked::new(host.name())
    };
    asked.directory = spec.directory.clone().unwrap_or(asked.directory);
    asked.home = spec.environment.get(OsStr::new("HOME")).map_or(asked.home, PathBuf::from);
    Order { asked, limits: confinement.limits }
}

/// A started program.
pub(crate) struct Launched {
    pub(crate) child: Child,
    pub(crate) started: Time,
    pub(crate) watch: Watch,
}

/// The command that is `init`; streams and what happens between fork and exec are the caller's.
pub(crate) fn init_command() -> Command {
    // This very program, also if its file has been replaced.
    let mut command = Command::new("/proc/self/exe");
    command.arg0(NAME).env_clear();
    command
}

/// Starts the program. The calling thread is good for nothing else afterwards: its next children would be of the same
/// namespace; and when it ends, so does `init`.
pub(crate) fn launch(mut command: Command, order: &Order) -> Result<Launched, ProcessError> {
    for directory in order.asked.writable.iter().chain([&order.asked.tmp]) {
        hand_over(directory).map_err(|source| {
            let what = format!("taking {}", directory.display());
            ProcessError::Confine { what, source }
        })?;
    }
    let refused = |what: &str| {
        let what = what.to_owned();
        move |source: io::Error| ProcessError::Confine { what, source }
    };
    let (ours, theirs) = UnixStream::pair().map_err(refused("making a socket"))?;
    command.stdin(Stdio::from(OwnedFd::from(theirs)));
    unshare(CloneFlags::CLONE_NEWPID).map_err(|errno| refused("making a PID namespace")(errno.into()))?;
    if !can_be_init() {
        return Err(refused("no `netsim_lab::enter` at the beginning of `main`")(io::ErrorKind::Unsupported.into()));
    }
    let mut child = command.spawn().map_err(refused("starting its init"))?;
    // It holds the other end of the socket, whose end tells that `init` is gone.
    drop(command);
    let result = negotiate(&ours, order);
    match result {
        Ok((started, proc)) => {
            let watch = Watch { control: ours, proc, limits: order.limits, space: order.asked.tmp.clone() };
            Ok(Launched { child, started, watch })
        }
        Err(error) => {
            let _ = child.kill();
            let _ = child.wait();
            Err(error)
        }
    }
}

/// Tells `init` what to do, and when. Returns when the program has started.
fn negotiate(mut control: &UnixStream, order: &Order) -> Result<(Time, File), ProcessError> {
    let talking = |source: io::Error| ProcessError::Confine { what: "talking to its init".into(), source };
    order.asked.send(control).map_err(talking)?;
    let (word, proc) = first_word(control).map_err(|errno| talking(errno.into()))?;
    let proc = match (word, proc) {
        (word::READY, Some(proc)) => File::from(proc),
        (word::REFUSED, _) => return Err(why_refused(control)),
        _ => return Err(talking(io::ErrorKind::UnexpectedEof.into())),
    };
    // As in `init`: from now on this thread has to be faster than anything the program does. Not before, or `init` would
    // have it from here.
    ask_for_realtime(PRIORITY);
    let started = clock::now();
    control.write_all(&[word::GO]).map_err(talking)?;
    let mut word = [0];
    control.read_exact(&mut word).map_err(talking)?;
    match word {
        [word::STARTED] => Ok((started, proc)),
        _ => {
            let program = order.asked.command.first().cloned().unwrap_or_default();
            Err(ProcessError::Start { program, source: error_number(control).map_err(talking)? })
        }
    }
}

/// What `init` says first, and the descriptor that comes with it.
fn first_word(control: &UnixStream) -> nix::Result<(u8, Option<OwnedFd>)> {
    let mut word = [0];
    let mut parts = [IoSliceMut::new(&mut word)];
    let mut space = cmsg_space!(RawFd);
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = loop {
        match recvmsg::<()>(control.as_raw_fd(), &mut parts, Some(&mut space), flags) {
            Err(Errno::EINTR) => {}
            result => break result?,
        }
    };
    if message.bytes == 0 {
        return Err(Errno::EPIPE);
    }
    let mut proc = None;
    for part in message.cmsgs()? {
        let ControlMessageOwned::ScmRights(descriptors) = part else { continue };
        #[expect(unsafe_code, reason = "a number from the kernel becomes an owner")]
        // SAFETY: it is a new descriptor that nobody else has.
        let owned = descriptors.into_iter().map(|descriptor| unsafe { OwnedFd::from_raw_fd(descriptor) });
        proc = owned.fold(None, |_, last| Some(last));
    }
    Ok((word[0], proc))
}

fn why_refused(mut control: &UnixStream) -> ProcessError {
    let source = error_number(control).unwrap_or_else(|error| error);
    let mut what = String::new();
    let _ = control.read_to_string(&mut what);
    ProcessError::Confine { what, source }
}

fn error_number(mut control: &UnixStream) -> io::Result<io::Error> {
    let mut number = [0; 4];
    control.read_exact(&mut number)?;
    Ok(io::Error::from_raw_os_error(i32::from_le_bytes(number)))
}

/// What only its owner may read in `/etc`: keys, and hashes of passwords. Root would read it without any privilege, for it
/// is the owner. Found once.
fn private_settings() -> &'static [PathBuf] {
    static FOUND: OnceLock<Vec<PathBuf>> = OnceLock::new();
    FOUND.get_or_init(|| {
        let mut found = Vec::new();
        let mut directories = vec![PathBuf::from("/etc")];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
                use std::os::unix::fs::PermissionsExt;
                let Ok(meta) = entry.metadata() else { continue };
                let open = meta.permissions().mode() & if meta.is_dir() { 0o001 } else { 0o004 } != 0;
                match (meta.is_dir(), meta.is_symlink(), open) {
                    (_, true, _) => {}
                    (true, _, true) => directories.push(entry.path()),
                    (_, _, false) => found.push(entry.path()),
                    (false, _, true) => {}
                }
            }
        }
        found
    })
}

/// Confines a program that does nothing: whether this machine can. Call it inside the sandbox.
pub(crate) fn try_out() -> Result<(), ProcessError> {
    let refused = |what: &str, source| ProcessError::Confine { what: what.to_owned(), source };
    let tmp = tempfile::tempdir().map_err(|source| refused("making a directory", source))?;
    let limits = Limits::default();
    let asked = Asked {
        command: vec!["true".into()],
        environment: vec!["PATH=/usr/bin:/bin".into()],
        resolver: "/dev/null".into(),
        tmp: tmp.path().to_path_buf(),
        masked: private_settings().to_vec(),
        files: limits.files,
        processes: limits.processes,
        ..Asked::new("doctor")
    };
    let order = Order { asked, limits };
    let attempt = move || {
        let mut command = init_command();
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut launched = launch(command, &order)?;
        launched.child.wait().map_err(|source| refused("waiting for its init", source))
    };
    std::thread::spawn(attempt).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)).map(drop)
}
