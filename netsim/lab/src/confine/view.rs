//! What a confined program sees of the file system: a new root, in memory, with pieces of the machine's in it.
//!
//! | path | what |
//! |---|---|
//! | `/usr /bin /sbin /lib… /etc /opt /nix /gnu` | the machine's, read-only; without what only root may read in `/etc` |
//! | `/etc/passwd /etc/group /etc/resolv.conf` | its own |
//! | `/proc /sys` | of its own processes and network, read-only |
//! | `/dev` | `null zero full random urandom`; `shm` is its own, in memory, up to 64 MiB |
//! | `/tmp /var/tmp` | a directory of its own |
//! | what the order names | at its own path, read-only or writable |
//!
//! Nothing else is there: no home of a user, no socket of a service, no disk.

use super::order::Order;
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::unistd::{chdir, pivot_root};
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// Of the machine's root, where programs, their libraries and their settings are.
const SYSTEM: [&str; 12] =
    ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/libo32", "/etc", "/opt", "/nix", "/gnu"];
const DEVICES: [&str; 5] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];
/// Where the new root is put together. A directory that is surely there; what is in it has been taken by then.
const SITE: &str = "/usr";
/// Our own files in the new root.
const OWN: &str = ".confined";

/// The identity that a confined program has in its own eyes: that of the first ordinary user of most machines.
pub(super) const USER: u32 = 1000;

/// What could not be done, and why.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) what: String,
    pub(super) errno: Errno,
}

impl Refused {
    pub(super) fn at(what: impl Into<String>) -> impl FnOnce(Errno) -> Refused {
        let what = what.into();
        move |errno| Refused { what, errno }
    }
}

/// The same for calls of the standard library.
pub(super) fn errno(error: io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

/// Moves the calling process, which must have a mount namespace of its own, into the new root.
pub(super) fn enter(order: &Order) -> Result<(), Refused> {
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).map_err(Refused::at("leaving the mounts"))?;
    let pieces = pieces(order)?;
    let links = SYSTEM.iter().filter_map(|path| Some((*path, fs::read_link(path).ok()?)));
    let links: Vec<(&str, PathBuf)> = links.collect();
    tmpfs(Path::new(SITE), "mode=0755,size=1m")?;
    skeleton(order, &links)?;
    for piece in &pieces {
        piece.put()?;
    }
    let own = |name: &str| Path::new(SITE).join(OWN).join(name);
    for name in ["passwd", "group"] {
        let at = Path::new("/etc").join(name);
        if site(&at).exists() {
            Piece::take(&own(name), &at, Access::Read)?.put()?;
        }
    }
    for masked in order.masked.iter().filter(|path| site(path).exists()) {
        let cover = own(if site(masked).is_dir() { "empty" } else { "nothing" });
        Piece::take(&cover, masked, Access::Read)?.put()?;
    }
    let change = || {
        chdir(SITE)?;
        // The old root ends up on top of the new one, and is taken away; see pivot_root(2).
        pivot_root(".", ".")?;
        umount2(".", MntFlags::MNT_DETACH)?;
        chdir("/")?;
        restrict(libc::AT_FDCWD, c"/", 0, libc::MOUNT_ATTR_RDONLY)
    };
    change().map_err(Refused::at("changing the root"))
}

/// A part of the old root, taken out of it.
struct Piece {
    tree: OwnedFd,
    at: PathBuf,
    directory: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
    Device,
}

/// Everything that comes from the old root, in the order in which it is put into the new one.
fn pieces(order: &Order) -> Result<Vec<Piece>, Refused> {
    let mut pieces = Vec::new();
    // Those that are links are made again as links.
    let is_directory = |path: &&Path| fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir());
    for path in SYSTEM.iter().map(Path::new).filter(is_directory) {
        pieces.push(Piece::take(path, path, Access::Read)?);
    }
    for path in DEVICES.iter().map(Path::new).filter(|path| path.exists()) {
        pieces.push(Piece::take(path, path, Access::Device)?);
    }
    // It may be a link to a place outside.
    if let Ok(resolv_conf) = fs::canonicalize("/etc/resolv.conf") {
        pieces.push(Piece::take(&order.resolver, &resolv_conf, Access::Read)?);
    }
    pieces.push(Piece::take(&order.tmp, Path::new("/tmp"), Access::Write)?);
    let mut named: Vec<(&PathBuf, Access)> = order.readable.iter().map(|path| (path, Access::Read)).collect();
    named.extend(order.writable.iter().map(|path| (path, Access::Write)));
    // What lies in another one comes after it.
    named.sort_by_key(|(path, _)| path.components().count());
    for (path, access) in named {
        let visible = SYSTEM.iter().any(|system| path.starts_with(system));
        if access == Access::Write || !visible {
            pieces.push(Piece::take(path, path, access)?);
        }
    }
    Ok(pieces)
}

impl Piece {
    fn take(from: &Path, at: &Path, access: Access) -> Result<Piece, Refused> {
        let take = || {
            let directory = fs::metadata(from).map_err(errno)?.is_dir();
            let flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC | libc::AT_RECURSIVE.cast_unsigned();
            let path = c_path(from)?;
            #[expect(unsafe_code, reason = "no wrapper has this system call")]
            // SAFETY: the path is a valid string for the call.
            let fd = unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) };
            let fd = RawFd::try_from(Errno::result(fd)?).map_err(|_| Errno::EBADF)?;
            #[expect(unsafe_code, reason = "a number from the kernel becomes an owner")]
            // SAFETY: it is a new descriptor that nobody else has.
            let tree = unsafe { OwnedFd::from_raw_fd(fd) };
            let attributes = match access {
                Access::Read => libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NODEV,
                Access::Write => libc::MOUNT_ATTR_NODEV,
                Access::Device => libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOEXEC,
            };
            let flags = libc::AT_EMPTY_PATH | libc::AT_RECURSIVE;
            restrict(tree.as_raw_fd(), c"", flags, attributes | libc::MOUNT_ATTR_NOSUID)?;
            Ok(Piece { tree, at: at.to_path_buf(), directory })
        };
        take().map_err(Refused::at(format!("taking {}", from.display())))
    }

    fn put(&self) -> Result<(), Refused> {
        let put = || {
            let target = site(&self.at);
            if !target.exists() {
                let parent = if self.directory { Some(target.as_path()) } else { target.parent() };
                parent.map_or(Ok(()), fs::create_dir_all).map_err(errno)?;
                if !self.directory {
                    fs::write(&target, "").map_err(errno)?;
                }
            }
            let path = c_path(&target)?;
            let (from, empty) = (self.tree.as_raw_fd(), c"".as_ptr());
            let (to, flags) = (libc::AT_FDCWD, libc::MOVE_MOUNT_F_EMPTY_PATH);
            #[expect(unsafe_code, reason = "no wrapper has this system call")]
            // SAFETY: descriptor and paths are valid for the call.
            let moved = unsafe { libc::syscall(libc::SYS_move_mount, from, empty, to, path.as_ptr(), flags) };
            Errno::result(moved).map(drop)
        };
        put().map_err(Refused::at(format!("showing {}", self.at.display())))
    }
}

/// Takes possibilities from a mount, or with `AT_RECURSIVE` from all of a tree.
fn restrict(fd: RawFd, path: &std::ffi::CStr, flags: libc::c_int, attributes: u64) -> nix::Result<()> {
    let change = libc::mount_attr { attr_set: attributes, attr_clr: 0, propagation: 0, userns_fd: 0 };
    let size = size_of::<libc::mount_attr>();
    #[expect(unsafe_code, reason = "no wrapper has this system call")]
    // SAFETY: path and attributes are valid for the call, and the size is theirs.
    let done = unsafe { libc::syscall(libc::SYS_mount_setattr, fd, path.as_ptr(), flags, &raw const change, size) };
    Errno::result(done).map(drop)
}

/// What is there before anything of the old root: directories, links, files and file systems of our own.
fn skeleton(order: &Order, links: &[(&str, PathBuf)]) -> Result<(), Refused> {
    let make = || -> io::Result<()> {
        for directory in ["/proc", "/sys", "/dev/shm", "/run", "/var", "/tmp"] {
            fs::create_dir_all(site(Path::new(directory)))?;
        }
        // Relative: until the root is changed, an absolute one leads to the old root.
        let own = [("/var/tmp", "../tmp"), ("/var/run", "../run"), ("/dev/fd", "/proc/self/fd")];
        let streams =
            [("/dev/stdin", "/proc/self/fd/0"), ("/dev/stdout", "/proc/self/fd/1"), ("/dev/stderr", "/proc/self/fd/2")];
        for (at, to) in own.into_iter().chain(streams) {
            symlink(to, site(Path::new(at)))?;
        }
        for (at, to) in links {
            symlink(to, site(Path::new(at)))?;
        }
        let own = Path::new(SITE).join(OWN);
        fs::create_dir_all(own.join("empty"))?;
        fs::write(own.join("nothing"), "")?;
        let (id, home) = (USER, order.home.display());
        let nobody = 65_534;
        fs::write(
            own.join("passwd"),
            format!(
                "user:x:{id}:{id}::{home}:/bin/sh\nroot:x:0:0::/:/bin/sh\nnobody:x:{nobody}:{nobody}::/:/bin/false\n"
            ),
        )?;
        fs::write(own.join("group"), format!("user:x:{id}:\nroot:x:0:\nnogroup:x:{nobody}:\n"))
    };
    make().map_err(errno).map_err(Refused::at("making a root"))?;
    tmpfs(&site(Path::new("/dev/shm")), "mode=1777,size=64m")?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC | MsFlags::MS_RDONLY;
    mount(Some("proc"), &site(Path::new("/proc")), Some("proc"), flags, None::<&str>)
        .map_err(Refused::at("mounting /proc"))?;
    // Few programs look there, and all can do without.
    let _ = mount(Some("sysfs"), &site(Path::new("/sys")), Some("sysfs"), flags, None::<&str>);
    Ok(())
}

fn tmpfs(at: &Path, options: &str) -> Result<(), Refused> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("tmpfs"), at, Some("tmpfs"), flags, Some(options))
        .map_err(Refused::at(format!("mounting memory at {}", at.display())))
}

/// Where `path` is while the new root is put together.
fn site(path: &Path) -> PathBuf {
    Path::new(SITE).join(path.strip_prefix("/").unwrap_or(path))
}

fn c_path(path: &Path) -> nix::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)
}
