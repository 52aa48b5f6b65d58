//! Subjects under development are built from their source: as it lies there, or at a commit, in a worktree apart.
//!
//! What was built at a commit is kept, by commit and everything the build depends on. Worktrees are kept too, one for each
//! repository and way of building, so that the next commit's build finds what compilers can use again.

use crate::git::Repository;
use longhaul_scenarios::{Build, Subject};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where subjects under development come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// The working tree at this path, with all that was changed there. It is built in place.
    Tree(PathBuf),
    /// A commit of a repository.
    Commit {
        /// The repository's top directory.
        top: PathBuf,
        /// Full hash.
        commit: String,
        /// Where builds and worktrees are kept.
        kept: PathBuf,
    },
}

/// What was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// The program; or a directory of programs.
    pub artifact: PathBuf,
    /// Whether it was there already.
    pub kept: bool,
}

/// Why a subject could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The build could not be started.
    #[error("cannot run the build of subject `{subject}` (`{command}`)")]
    Start {
        /// The subject.
        subject: String,
        /// The command line.
        command: String,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// The build failed; it has said why.
    #[error("the build of subject `{subject}` failed (`{command}`: {status})")]
    Failed {
        /// The subject.
        subject: String,
        /// The command line.
        command: String,
        /// How it ended.
        status: String,
    },
    /// The build went well, but its result is not where it should be.
    #[error("the build of subject `{subject}` did not make {}", artifact.display())]
    NoArtifact {
        /// The subject.
        subject: String,
        /// Where the program should be.
        artifact: PathBuf,
    },
    /// A commit from before, or after, the subject's own files.
    #[error("subject `{subject}` cannot be built at {commit}: it has no {file}")]
    NotThere {
        /// The subject.
        subject: String,
        /// The commit's full hash.
        commit: String,
        /// The file that tells the repository.
        file: String,
    },
    /// The commit could not be checked out.
    #[error("cannot check {commit} out into {}: {said}", worktree.display())]
    CheckOut {
        /// The commit's full hash.
        commit: String,
        /// Where to.
        worktree: PathBuf,
        /// What git said.
        said: String,
    },
    /// What was built could not be kept.
    #[error("cannot keep builds in {}", directory.display())]
    Keep {
        /// Where.
        directory: PathBuf,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
}

impl BuildError {
    /// Whether the subject's own source is to blame, and not this machine.
    pub fn is_the_subjects(&self) -> bool {
        matches!(self, BuildError::Failed { .. } | BuildError::NoArtifact { .. } | BuildError::NotThere { .. })
    }
}

impl Source {
    /// A commit, whose builds are kept in the user's cache directory (`XDG_CACHE_HOME`, else `~/.cache`).
    pub fn commit(repository: &Repository) -> Source {
        let set = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let cache = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
        let kept = cache.unwrap_or_else(std::env::temp_dir).join("longhaul");
        Source::Commit { top: repository.top.clone(), commit: repository.commit.clone(), kept }
    }

    /// Whether the subject is developed here.
    pub fn builds(&self, subject: &Subject) -> bool {
        self.recipe(subject).is_some()
    }

    /// How the subject is built, if it is developed here: now, or at the commit.
    fn recipe<'a>(&self, subject: &'a Subject) -> Option<&'a Build> {
        let build = subject.build.as_ref()?;
        let (Source::Tree(top) | Source::Commit { top, .. }) = self;
        let here = |file: &String| top.join(file).exists() || self.had(file);
        build.only_if.as_ref().is_none_or(here).then_some(build)
    }

    /// Whether the commit has a file.
    fn had(&self, file: &str) -> bool {
        match self {
            Source::Tree(_) => false,
            Source::Commit { top, commit, .. } => git(top, &["cat-file", "-e", &format!("{commit}:{file}")]).is_ok(),
        }
    }

    /// What an earlier build left; `None` if there is nothing, or the subject is not developed here.
    pub fn found(&self, subject: &Subject) -> Option<Built> {
        let build = self.recipe(subject)?;
        let artifact = match self {
            Source::Tree(top) => top.join(&build.artifact),
            Source::Commit { commit, kept, .. } => kept_artifact(&kept.join("builds").join(key(build, commit)), build),
        };
        artifact.exists().then_some(Built { artifact, kept: true })
    }

    /// Builds the subject; `None` if it is not developed here.
    pub fn build(&self, subject: &Subject) -> Result<Option<Built>, BuildError> {
        let Some(build) = self.recipe(subject) else { return Ok(None) };
        let name = &subject.name;
        match self {
            Source::Tree(top) => {
                let artifact = make(name, build, top)?;
                Ok(Some(Built { artifact, kept: false }))
            }
            Source::Commit { top, commit, kept } => {
                if let Some(file) = build.only_if.as_ref().filter(|file| !self.had(file)) {
                    let (subject, commit, file) = (name.clone(), commit.clone(), file.clone());
                    return Err(BuildError::NotThere { subject, commit, file });
                }
                at_commit(name, build, top, commit, kept).map(Some)
            }
        }
    }
}

/// Builds at a commit, unless that was done before.
fn at_commit(name: &str, build: &Build, top: &Path, commit: &str, kept: &Path) -> Result<Built, BuildError> {
    let keep = |source| BuildError::Keep { directory: kept.to_path_buf(), source };
    let directory = kept.join("builds").join(key(build, commit));
    let artifact = kept_artifact(&directory, build);
    let trees = kept.join("worktrees");
    for made in [&kept.join("builds"), &trees] {
        fs::create_dir_all(made).map_err(keep)?;
    }
    let tree = format!("{}-{}", hash(&[top.as_os_str().as_encoded_bytes()]), hash(&[&recipe(build)]));
    // One build at a time in a worktree; whoever waited finds what the other has made. The lock ends with its process.
    let lock = File::create(trees.join(format!("{tree}.lock"))).map_err(keep)?;
    lock.lock().map_err(keep)?;
    if artifact.exists() {
        return Ok(Built { artifact, kept: true });
    }
    let worktree = trees.join(tree);
    check_out(top, commit, &worktree, &build.keep)?;
    let made = make(name, build, &worktree)?;
    // Whoever ends us midway leaves nothing that looks like a build.
    let unfinished = directory.with_extension(format!("unfinished-{}", std::process::id()));
    let _ = fs::remove_dir_all(&unfinished);
    fs::create_dir(&unfinished).map_err(keep)?;
    let made = made.canonicalize().map_err(keep)?;
    copy(&made, &kept_artifact(&unfinished, build)).map_err(keep)?;
    fs::rename(&unfinished, &directory).map_err(keep)?;
    Ok(Built { artifact, kept: false })
}

/// Puts a worktree at a commit, with nothing of other commits' builds in it but what may be kept.
fn check_out(top: &Path, commit: &str, worktree: &Path, keep: &[String]) -> Result<(), BuildError> {
    let path = worktree.to_string_lossy();
    let move_to = || git(worktree, &["checkout", "--quiet", "--force", "--detach", commit]);
    let add = || {
        // The repository may remember one that was removed by hand.
        git(top, &["worktree", "prune"])?;
        git(top, &["worktree", "add", "--quiet", "--force", "--detach", &path, commit])
    };
    let clean = || {
        let kept: Vec<String> = keep.iter().map(|path| format!("--exclude=/{path}")).collect();
        let mut arguments = vec!["clean", "--quiet", "-ffdx"];
        arguments.extend(kept.iter().map(String::as_str));
        git(worktree, &arguments)
    };
    let modules = || match worktree.join(".gitmodules").exists() {
        true => git(worktree, &["submodule", "--quiet", "update", "--init", "--recursive", "--force"]),
        false => Ok(()),
    };
    let fresh = || {
        let _ = fs::remove_dir_all(worktree);
        add()
    };
    let done = (if worktree.join(".git").exists() { move_to().or_else(|_| fresh()) } else { fresh() })
        .and_then(|()| clean())
        .and_then(|()| modules());
    let worktree = worktree.to_path_buf();
    done.map_err(|said| BuildError::CheckOut { commit: commit.to_owned(), worktree, said })
}

/// Runs the build in a directory, and finds what it made.
fn make(subject: &str, build: &Build, top: &Path) -> Result<PathBuf, BuildError> {
    let (subject, command) = (subject.to_owned(), build.command.join(" "));
    let [program, arguments @ ..] = build.command.as_slice() else { return Ok(top.join(&build.artifact)) };
    let status = Command::new(program)
        .args(arguments)
        .current_dir(top)
        .env_clear()
        .envs(environment(build))
        .stdin(Stdio::null())
        // Standard output is ours: `--json` writes records there.
        .stdout(Stdio::null())
        .status();
    let status = match status {
        Ok(status) => status,
        Err(source) => return Err(BuildError::Start { subject, command, source }),
    };
    if !status.success() {
        return Err(BuildError::Failed { subject, command, status: status.to_string() });
    }
    let artifact = top.join(&build.artifact);
    if artifact.exists() { Ok(artifact) } else { Err(BuildError::NoArtifact { subject, artifact }) }
}

/// What a build finds in its environment: nothing of the user's that is not needed to find compilers and sources. So builds
/// of one commit are alike, and what CI keeps in its environment is not shown to the code of a pull request.
fn environment(build: &Build) -> BTreeMap<OsString, OsString> {
    const NEEDED: &[&str] = &[
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "SHELL",
        "TMPDIR",
        "LANG",
        "LC_ALL",
        "TERM",
        "XDG_CACHE_HOME",
        "XDG_DATA_HOME",
        "CARGO_HOME",
        "CARGO_BUILD_JOBS",
        "CARGO_NET_OFFLINE",
        "RUSTUP_HOME",
        "RUSTUP_TOOLCHAIN",
        "GOPATH",
        "GOCACHE",
        "GOMODCACHE",
        "GOPROXY",
        "GOFLAGS",
        "JAVA_HOME",
        "NIX_PATH",
        "NIX_SSL_CERT_FILE",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "http_proxy",
        "https_proxy",
        "no_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
    ];
    let names = NEEDED.iter().copied().chain(build.inherit.iter().map(String::as_str));
    let theirs = names.filter_map(|name| Some((name.into(), std::env::var_os(name)?)));
    let own = build.environment.iter().map(|(name, value)| (name.into(), value.into()));
    theirs.chain(own).collect()
}

/// Everything that makes two builds of one commit differ.
fn recipe(build: &Build) -> Vec<u8> {
    let inherited = build.inherit.iter().map(std::env::var_os);
    let inherited: Vec<String> = inherited.map(|value| format!("{value:?}")).collect();
    let machine = (std::env::consts::OS, std::env::consts::ARCH);
    format!("{:?}{:?}{:?}{inherited:?}{machine:?}", build.command, build.artifact, build.environment).into_bytes()
}

/// The name of a build.
fn key(build: &Build, commit: &str) -> String {
    hash(&[commit.as_bytes(), b"\0", &recipe(build)])
}

/// Short enough for a path, long enough never to meet another.
fn hash(parts: &[&[u8]]) -> String {
    let mut hasher = blake3::Hasher::new();
    parts.iter().for_each(|part| {
        hasher.update(part);
    });
    hasher.finalize().to_hex()[..32].to_owned()
}

/// Where a build's artifact is kept, under the name it has.
fn kept_artifact(directory: &Path, build: &Build) -> PathBuf {
    directory.join(Path::new(&build.artifact).file_name().unwrap_or_default())
}

/// Copies a file, or a directory with all that is in it; links stay links.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let kind = from.symlink_metadata()?.file_type();
    if kind.is_symlink() {
        return std::os::unix::fs::symlink(fs::read_link(from)?, to);
    }
    if !kind.is_dir() {
        return fs::copy(from, to).map(drop);
    }
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

/// Runs git; what it said if it failed. The repository's hooks are for its people, not for a copy that is built.
fn git(directory: &Path, arguments: &[&str]) -> Result<(), String> {
    let mut command = Command::new("git");
    command.arg("-C").arg(directory).args(["-c", "core.hooksPath=/dev/null"]).args(arguments).stdin(Stdio::null());
    let output = command.output().map_err(|error| format!("cannot run git: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if output.status.success() { Ok(()) } else { Err(said) }
}
