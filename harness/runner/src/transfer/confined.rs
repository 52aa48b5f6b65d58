//! What a subject's programs may see, write and use, and what is said of one that wanted more.

use super::{Failure, Setting, out_of};
use longhaul_record::{Role, text};
use longhaul_scenarios::{Limits as Written, Program};
use netsim_lab::{Confinement, Ended, Exceeded, Host, How, Limits, ProcessError, hand_over};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::fchown;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where the programs of one host may write.
pub(super) struct Places {
    /// Their home.
    pub(super) home: PathBuf,
    /// Their `/tmp`.
    tmp: PathBuf,
}

impl Setting<'_> {
    /// Directories for what runs on a host; programs on one host share them.
    pub(super) fn places(&self, host: &Host, whose: &str) -> Result<Places, Failure> {
        let [home, tmp] = [self.homes, self.tmps].map(|all| all.join(host.name()));
        for directory in [&home, &tmp] {
            // What is written here from now on is theirs.
            std::fs::create_dir_all(directory)
                .and_then(|()| hand_over(directory))
                .map_err(|error| Failure::setup(format!("{whose}: cannot make {}: {error}", directory.display())))?;
        }
        Ok(Places { home, tmp })
    }

    /// What a program may see and use beside the system. A fetcher that does not name the payload cannot get it but over
    /// the network.
    pub(super) fn confinement(&self, program: &Program, role: Role, host: &Host, places: &Places) -> Confinement {
        let names = |word: &String| word.contains("{payload.dir}") || word.contains("{payload.path}");
        let named = program.commands().any(|(_, command)| command.iter().any(names));
        let mut readable = self.prepared.readable();
        readable.push(self.payload.list().to_path_buf());
        if role == Role::Provider || named {
            readable.push(self.payload.directory().to_path_buf());
        }
        let out = Some(out_of(self.out, host.name())).filter(|out| role == Role::Fetcher && out.exists());
        let writable = out.into_iter().chain([places.home.clone()]).collect();
        Confinement { readable, writable, tmp: places.tmp.clone(), limits: limits(&self.prepared.subject.limits) }
    }

    /// How a program ended, in words.
    pub(super) fn how_ended(&self, ended: &Ended) -> String {
        let limits = limits(&self.prepared.subject.limits);
        let size = |bytes: u64| text::bytes(bytes as f64);
        let (used, key) = match ended.exceeded {
            None => return how_words(ended.how),
            Some(Exceeded::Memory) => (format!("{} of memory", size(limits.memory_bytes)), "memory"),
            Some(Exceeded::Processes) => (format!("{} processes and threads", limits.processes), "processes"),
            Some(Exceeded::Space) => (format!("{} of space for files", size(self.space)), "space"),
        };
        format!("used more than {used}; the limit is `{key}` below `[limits]` in the subject's file")
    }
}

fn limits(written: &Written) -> Limits {
    let default = Limits::default();
    Limits {
        memory_bytes: written.memory_bytes.unwrap_or(default.memory_bytes),
        processes: written.processes.unwrap_or(default.processes),
        files: written.files.unwrap_or(default.files),
    }
}

/// Room for what the programs of a run write, if their file does not say: each side may keep the payload, a copy in its own
/// form and one in the making.
pub(crate) fn space_bytes(written: &Written, payload_bytes: u64, sides: usize) -> u64 {
    const BESIDE: u64 = 1 << 30;
    written.space_bytes.unwrap_or_else(|| payload_bytes.saturating_mul(3 * sides as u64).saturating_add(BESIDE))
}

/// A program that did not come to run. What cannot be confined is this machine's fault.
pub(super) fn not_started(error: &ProcessError) -> Failure {
    match error {
        ProcessError::Confine { .. } => Failure::setup(text::chain(error)),
        _ => Failure::subject(text::chain(error)),
    }
}

fn how_words(how: How) -> String {
    match how {
        How::Code(code) => format!("exited with status {code}"),
        How::Signal(signal) => format!("was ended by signal {signal}"),
    }
}

/// Opens what lies below `at`, and nothing that it leads to from there.
fn open(at: &OwnedFd, name: &str, flags: OFlag) -> nix::Result<OwnedFd> {
    let resolve = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS;
    // The kernel refuses a mode without a file to be made.
    let mode = if flags.contains(OFlag::O_CREAT) { Mode::from_bits_truncate(0o644) } else { Mode::empty() };
    openat2(at, name, OpenHow::new().flags(flags | OFlag::O_CLOEXEC).mode(mode).resolve(resolve))
}

/// The first `most` bytes of a file in `home`, where programs that are not trusted may have put links and pipes.
pub(super) fn read_below(home: &Path, name: &str, most: u64) -> io::Result<String> {
    let home = openat2(AT_FDCWD, home, OpenHow::new().flags(OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC))?;
    let mut text = Vec::new();
    // A pipe that nobody writes to is at its end.
    File::from(open(&home, name, OFlag::O_RDONLY | OFlag::O_NONBLOCK)?).take(most).read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Writes a file below `home`, likewise.
pub(super) fn write_below(home: &Path, path: &str, content: &str) -> io::Result<()> {
    let owner = std::fs::metadata(home)?;
    let own = |file: &OwnedFd| fchown(file, Some(owner.uid().into()), Some(owner.gid().into()));
    let directory = OFlag::O_DIRECTORY | OFlag::O_RDONLY;
    let mut at = openat2(AT_FDCWD, home, OpenHow::new().flags(directory | OFlag::O_CLOEXEC))?;
    let (parents, name) = path.rsplit_once('/').unwrap_or(("", path));
    for parent in parents.split('/').filter(|parent| !parent.is_empty()) {
        match mkdirat(&at, parent, Mode::from_bits_truncate(0o755)) {
            Ok(()) | Err(Errno::EEXIST) => at = open(&at, parent, directory)?,
            Err(errno) => return Err(errno.into()),
        }
        own(&at)?;
    }
    let flags = OFlag::O_CREAT | OFlag::O_TRUNC | OFlag::O_WRONLY | OFlag::O_NONBLOCK;
    let file = open(&at, name, flags)?;
    own(&file)?;
    File::from(file).write_all(content.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_written_below_the_home_and_nowhere_else() {
        let directory = tempfile::tempdir().unwrap();
        let [home, outside] = ["home", "outside"].map(|name| directory.path().join(name));
        for path in [&home, &outside] {
            std::fs::create_dir(path).unwrap();
        }
        for content in ["one", "1"] {
            write_below(&home, "a/b/file", content).unwrap();
            assert_eq!(std::fs::read_to_string(home.join("a/b/file")).unwrap(), content);
        }
        std::os::unix::fs::symlink(&outside, home.join("link")).unwrap();
        std::os::unix::fs::symlink(outside.join("file"), home.join("file")).unwrap();
        nix::unistd::mkfifo(&home.join("pipe"), Mode::S_IRWXU).unwrap();
        for path in ["link/file", "file", "pipe", "a/../../outside/file"] {
            assert!(write_below(&home, path, "x").is_err(), "{path}");
        }
        assert_eq!(std::fs::read_dir(outside).unwrap().count(), 0);
    }

    #[test]
    fn there_is_room_for_every_side() {
        let written = Written { space_bytes: Some(7), ..Written::default() };
        assert_eq!(space_bytes(&written, 1000, 3), 7);
        assert_eq!(space_bytes(&Written::default(), 1000, 3), 9000 + (1 << 30));
        assert_eq!(space_bytes(&Written::default(), u64::MAX, 2), u64::MAX);
    }
}
