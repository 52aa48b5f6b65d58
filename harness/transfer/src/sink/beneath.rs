//! Making and opening things below one directory, never anywhere else.
//!
//! Each step of a path is opened relative to the directory before it, and a symbolic link is never followed
//! (`O_NOFOLLOW`). Names are single components that [`paths`](crate::paths) has passed, so none of them goes up. That is
//! what `openat2` does with `RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS`, also where a sandbox lacks that call.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::fcntl::{OFlag, open, openat, readlinkat};
use nix::sys::stat::{Mode, fchmod, mkdirat};
use nix::unistd::symlinkat;

/// What something has until it gets its own mode: only its owner may touch it.
const PRIVATE_FILE: Mode = Mode::from_bits_truncate(0o600);
const PRIVATE_DIRECTORY: Mode = Mode::from_bits_truncate(0o700);

/// What may be in the place of something that is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    /// Nothing.
    Nothing,
    /// The same thing, made by a fetch that was interrupted.
    Ours,
}

/// A directory and everything below it.
#[derive(Debug)]
pub(super) struct Root {
    directory: OwnedFd,
    /// The directory used last: what is written together mostly lies together.
    last: Option<(Box<str>, OwnedFd)>,
}

impl Root {
    /// Opens the directory itself. The way there may lead through links: its user named it.
    pub(super) fn open(path: &Path) -> io::Result<Root> {
        let directory = open(path, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
        Ok(Root { directory, last: None })
    }

    /// Makes a directory that only its owner may enter.
    pub(super) fn make_directory(&mut self, path: &str, before: Before) -> io::Result<()> {
        let (parent, name) = self.parent(path)?;
        match mkdirat(parent, name, PRIVATE_DIRECTORY) {
            // Should it be something else, nothing can be made in it.
            Err(nix::Error::EEXIST) if before == Before::Ours => Ok(()),
            other => Ok(other?),
        }
    }

    /// Makes a file that only its owner may read, open for writing. Never opens what a link leads to.
    pub(super) fn make_file(&mut self, path: &str, before: Before) -> io::Result<File> {
        let exclusive = if before == Before::Nothing { OFlag::O_EXCL } else { OFlag::empty() };
        self.open_entry(path, OFlag::O_WRONLY | OFlag::O_CREAT | exclusive, PRIVATE_FILE)
    }

    /// Opens a file that was made before, for writing.
    pub(super) fn open_file(&mut self, path: &str) -> io::Result<File> {
        self.open_entry(path, OFlag::O_WRONLY, Mode::empty())
    }

    /// Opens a file for reading.
    pub(super) fn read_file(&mut self, path: &str) -> io::Result<File> {
        self.open_entry(path, OFlag::O_RDONLY, Mode::empty())
    }

    /// Makes a symbolic link. Where it leads is not looked at.
    pub(super) fn make_link(&mut self, path: &str, target: &str, before: Before) -> io::Result<()> {
        let (parent, name) = self.parent(path)?;
        match symlinkat(target, parent, name) {
            Err(nix::Error::EEXIST) if before == Before::Ours && readlinkat(parent, name)? == *target => Ok(()),
            other => Ok(other?),
        }
    }

    /// Gives a directory or a file its mode.
    pub(super) fn set_mode(&mut self, path: &str, mode: u16) -> io::Result<()> {
        let entry = self.open_entry(path, OFlag::O_RDONLY, Mode::empty())?;
        set_mode(&entry, mode)
    }

    fn open_entry(&mut self, path: &str, flags: OFlag, mode: Mode) -> io::Result<File> {
        let (parent, name) = self.parent(path)?;
        // Opening a pipe that somebody put there must not wait for its other end.
        let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        Ok(openat(parent, name, flags, mode)?.into())
    }

    /// The directory that `path` lies in, and the name there.
    fn parent<'a>(&mut self, path: &'a str) -> io::Result<(BorrowedFd<'_>, &'a str)> {
        let Some((parent, name)) = path.rsplit_once('/') else { return Ok((self.directory.as_fd(), path)) };
        let last = match self.last.take() {
            Some(last) if *last.0 == *parent => last,
            _ => (parent.into(), self.walk(parent)?),
        };
        Ok((self.last.insert(last).1.as_fd(), name))
    }

    fn walk(&self, path: &str) -> io::Result<OwnedFd> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let mut reached: Option<OwnedFd> = None;
        for name in path.split('/') {
            let from = reached.as_ref().unwrap_or(&self.directory);
            reached = Some(openat(from, name, flags, Mode::empty())?);
        }
        reached.ok_or_else(|| io::ErrorKind::InvalidInput.into())
    }
}

/// Gives an open directory or file its mode, whatever the process's file mode creation mask.
pub(super) fn set_mode(file: &File, mode: u16) -> io::Result<()> {
    Ok(fchmod(file, Mode::from_bits_truncate(mode.into()))?)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_never_followed() {
        let scratch = tempfile::tempdir().unwrap();
        let (inside, outside) = (scratch.path().join("inside"), scratch.path().join("outside"));
        fs::create_dir(&inside).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("file"), "mine").unwrap();
        symlink(&outside, inside.join("directory")).unwrap();
        symlink(outside.join("file"), inside.join("file")).unwrap();
        symlink(outside.join("new"), inside.join("new")).unwrap();
        let mut root = Root::open(&inside).unwrap();
        for before in [Before::Nothing, Before::Ours] {
            assert!(root.make_file("directory/x", before).is_err());
            assert!(root.make_directory("directory/x", before).is_err());
            assert!(root.make_link("directory/x", "y", before).is_err());
            assert!(root.make_file("new", before).is_err());
            assert!(root.make_file("file", before).is_err());
        }
        assert!(root.set_mode("directory/file", 0).is_err());
        assert!(root.set_mode("file", 0).is_err());
        assert!(root.set_mode("directory", 0).is_err());
        assert!(root.open_file("file").is_err());
        assert!(root.read_file("file").is_err());
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
        assert_eq!(fs::read(outside.join("file")).unwrap(), b"mine");
    }
}
