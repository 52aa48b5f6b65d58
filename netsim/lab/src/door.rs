//! A way for other programs of the same user into a lab that is up.
//!
//! The lab listens on a Unix socket. Who connects names a host and is handed the host's network namespace as a file
//! descriptor, with the user namespace it belongs to: that is all a program needs to run on the host.

use crate::lab::Lab;
use crate::resolver::{self, Resolver};
use nix::sched::{CloneFlags, setns};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, getsockopt, recvmsg, sendmsg, sockopt};
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Where the lab `name` of this user listens. Call it before [`crate::enter`], which changes who the user is.
pub fn door_path(name: &str) -> PathBuf {
    let place = match std::env::var_os("XDG_RUNTIME_DIR") {
        Some(place) => PathBuf::from(place).join("longhaul"),
        None => std::env::temp_dir().join(format!("longhaul-{}", nix::unistd::geteuid())),
    };
    // Names of scenarios have slashes, names of files must not.
    place.join(format!("{}.lab", name.replace('/', ":")))
}

/// Why a lab cannot be reached by others.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// Someone is there already.
    #[error("a lab of this name is up already ({}); take it down or choose another `--name`", path.display())]
    Taken {
        /// Its socket.
        path: PathBuf,
    },
    /// The socket.
    #[error("cannot listen on {}", path.display())]
    Listen {
        /// Where.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The directory of all sockets belongs to someone else.
    #[error("{} belongs to another user; set XDG_RUNTIME_DIR to a directory of your own", path.display())]
    Foreign {
        /// The directory.
        path: PathBuf,
    },
}

/// An open door. Closed when dropped.
#[derive(Debug)]
pub struct Door {
    path: PathBuf,
    closing: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Longest name a visitor may say, and how long it may take: visitors come one after the other.
const MAX_NAME: u64 = 1024;
const PATIENCE: Duration = Duration::from_secs(2);

impl Door {
    /// Lets others into `lab` at `path`.
    pub fn open(lab: &Lab, path: &Path) -> Result<Door, DoorError> {
        let failed = |source| DoorError::Listen { path: path.to_path_buf(), source };
        if UnixStream::connect(path).is_ok() {
            return Err(DoorError::Taken { path: path.to_path_buf() });
        }
        if let Some(place) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(place).map_err(failed)?;
            if fs::metadata(place).map_err(failed)?.uid() != nix::unistd::geteuid().as_raw() {
                return Err(DoorError::Foreign { path: place.to_path_buf() });
            }
        }
        // Left behind by a lab that was killed: nobody listens there.
        let _ = fs::remove_file(path);
        let listener = UnixListener::bind(path).map_err(failed)?;
        let rooms = rooms(lab).map_err(failed)?;
        let closing = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&closing);
        let thread = std::thread::Builder::new().name("door".into()).spawn(move || {
            for visitor in listener.incoming().flatten() {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                // A visitor that leaves early is no one's trouble but its own.
                let _ = rooms.receive(visitor);
            }
        });
        Ok(Door { path: path.to_path_buf(), closing, thread: Some(thread.map_err(failed)?) })
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::Relaxed);
        // The thread waits for visitors: be one.
        let woken = UnixStream::connect(&self.path).is_ok();
        let _ = fs::remove_file(&self.path);
        if let Some(thread) = self.thread.take().filter(|_| woken) {
            let _ = thread.join();
        }
    }
}

/// What visitors are handed.
struct Rooms {
    user: File,
    hosts: BTreeMap<String, Room>,
}

/// What a program needs to run on a host.
struct Room {
    network: OwnedFd,
    resolver: String,
}

fn rooms(lab: &Lab) -> io::Result<Rooms> {
    let hosts = lab.hosts().map(|host| {
        let network = host.namespace().as_fd().try_clone_to_owned()?;
        Ok((host.name().to_owned(), Room { network, resolver: host.resolver().text().to_owned() }))
    });
    Ok(Rooms { user: File::open("/proc/self/ns/user")?, hosts: hosts.collect::<io::Result<_>>()? })
}

impl Rooms {
    fn receive(&self, mut visitor: UnixStream) -> io::Result<()> {
        visitor.set_read_timeout(Some(PATIENCE))?;
        visitor.set_write_timeout(Some(PATIENCE))?;
        let mut name = String::new();
        (&visitor).take(MAX_NAME).read_to_string(&mut name)?;
        match self.hosts.get(&name) {
            Some(host) => {
                let keys = [host.network.as_raw_fd(), self.user.as_raw_fd()];
                let rights = [ControlMessage::ScmRights(&keys)];
                let parts = [IoSlice::new(b"+"), IoSlice::new(host.resolver.as_bytes())];
                sendmsg::<()>(visitor.as_raw_fd(), &parts, &rights, MsgFlags::empty(), None)?;
            }
            None => {
                let known: Vec<&str> = self.hosts.keys().map(String::as_str).collect();
                visitor.write_all(format!("-{}", known.join(", ")).as_bytes())?;
            }
        }
        Ok(())
    }
}

/// Why a host of another program's lab cannot be entered.
#[derive(Debug, thiserror::Error)]
pub enum KnockError {
    /// No such host.
    #[error("the lab that is up has no host `{host}`; there are: {known}")]
    NoSuchHost {
        /// The name asked for.
        host: String,
        /// The names there are.
        known: String,
    },
    /// Another user's program listens where our lab would.
    #[error("the lab at {} is another user's; set XDG_RUNTIME_DIR to a directory of your own", path.display())]
    Foreign {
        /// Its socket.
        path: PathBuf,
    },
    /// The lab does not answer as it should.
    #[error("the lab at {} does not let us in", path.display())]
    Socket {
        /// Its socket.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
}

/// A host of a lab that another program keeps up.
#[derive(Debug)]
pub struct Visit {
    network: OwnedFd,
    /// Absent where it is our own: that cannot be entered again.
    user: Option<OwnedFd>,
    resolver: Resolver,
}

/// Enters `host` of the lab that listens at `path`. `Ok(None)`: no lab does.
pub fn knock(path: &Path, host: &str) -> Result<Option<Visit>, KnockError> {
    let Ok(stream) = UnixStream::connect(path) else { return Ok(None) };
    let failed = |source| KnockError::Socket { path: path.to_path_buf(), source };
    // Directories for everyone's temporary files are open to everyone: another user's program may listen here, and would
    // choose what our programs run in.
    let owner = getsockopt(&stream, sockopt::PeerCredentials).map_err(|errno| failed(errno.into()))?.uid();
    if owner != nix::unistd::geteuid().as_raw() {
        return Err(KnockError::Foreign { path: path.to_path_buf() });
    }
    let (answer, keys) = ask(&stream, host).map_err(failed)?;
    let mut keys = keys.into_iter();
    match (answer.split_first(), keys.next(), keys.next()) {
        (Some((b'+', resolver)), Some(network), Some(user)) => {
            let own = is_own_user_namespace(&user).map_err(failed)?;
            let resolver = Resolver::from_text(String::from_utf8_lossy(resolver).into_owned()).map_err(failed)?;
            Ok(Some(Visit { network, user: (!own).then_some(user), resolver }))
        }
        (Some((b'-', known)), ..) => {
            let known = String::from_utf8_lossy(known).into_owned();
            Err(KnockError::NoSuchHost { host: host.to_owned(), known })
        }
        _ => Err(failed(io::ErrorKind::InvalidData.into())),
    }
}

fn ask(stream: &UnixStream, host: &str) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    stream.set_read_timeout(Some(PATIENCE))?;
    (&mut &*stream).write_all(host.as_bytes())?;
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut answer = vec![0; 4096];
    let mut space = nix::cmsg_space!([i32; 2]);
    let mut parts = [IoSliceMut::new(&mut answer)];
    let message = recvmsg::<()>(stream.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC)?;
    let mut keys = Vec::new();
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(fds) = control {
            #[expect(unsafe_code, reason = "descriptors come as numbers")]
            // SAFETY: the kernel has just made them for us, and nobody else knows of them.
            keys.extend(fds.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
        }
    }
    let len = message.bytes;
    answer.truncate(len);
    Ok((answer, keys))
}

fn is_own_user_namespace(user: &OwnedFd) -> io::Result<bool> {
    let theirs = File::from(user.try_clone()?).metadata()?;
    let ours = fs::metadata("/proc/self/ns/user")?;
    Ok((theirs.dev(), theirs.ino()) == (ours.dev(), ours.ino()))
}

impl Visit {
    /// Runs a command on the host to its end. It dies with this program, or with the lab's network.
    pub fn run_command(&self, command: &mut Command) -> io::Result<ExitStatus> {
        let network = self.network.as_raw_fd();
        let user = self.user.as_ref().map(AsRawFd::as_raw_fd);
        let resolver = self.resolver.path()?;
        let enter = move |fd, flag| {
            #[expect(unsafe_code, reason = "the descriptor outlives the call that runs this closure")]
            // SAFETY: `status` below returns only after the closure has run.
            setns(unsafe { std::os::fd::BorrowedFd::borrow_raw(fd) }, flag)
        };
        let prepare = move || {
            // First: what one may do to a network follows from the user namespace.
            user.map_or(Ok(()), |user| enter(user, CloneFlags::CLONE_NEWUSER))?;
            enter(network, CloneFlags::CLONE_NEWNET)?;
            resolver::mount_over(&resolver)?;
            Ok(prctl::set_pdeathsig(Signal::SIGKILL)?)
        };
        #[expect(unsafe_code, reason = "runs between fork and exec")]
        // SAFETY: the closure makes system calls only; it neither allocates nor takes locks.
        unsafe {
            command.pre_exec(prepare);
        }
        command.status()
    }
}
