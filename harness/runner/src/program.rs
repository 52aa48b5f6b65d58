//! From a subject's file to programs that can be run on this machine.

use crate::build::{BuildError, Built, Source};
use longhaul_record::SubjectDetail;
use longhaul_scenarios::{Delivers, Subject, Values};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where programs are looked for.
#[derive(Debug, Clone, Default)]
pub struct Programs {
    /// What subjects under development are built from, if there is a repository.
    pub source: Option<Source>,
    /// The directory of this program: its companions are installed beside it.
    pub beside: Option<PathBuf>,
    /// The search path, as in the environment.
    pub path: Vec<PathBuf>,
}

/// A subject whose programs are there.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The subject.
    pub subject: Subject,
    /// What was found.
    pub detail: SubjectDetail,
    /// Programs with a path of their own, by the name the subject file uses.
    programs: BTreeMap<String, PathBuf>,
    /// The search path its processes get.
    path: String,
    /// What was built for it, if anything was.
    artifact: Option<PathBuf>,
}

/// Why a subject cannot be run here.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// A program is not installed.
    #[error("`{program}` is not installed{}", obtain.as_ref().map(|how| format!("; to get it: {how}")).unwrap_or_default())]
    Missing {
        /// Its name.
        program: String,
        /// What the subject's file says about getting it.
        obtain: Option<String>,
    },
    /// It could not be built.
    #[error(transparent)]
    Build(#[from] BuildError),
}

impl Programs {
    /// Where programs are looked for by this process.
    pub fn of_this_process(source: Option<Source>) -> Programs {
        let written = std::env::var_os("PATH").unwrap_or_default();
        // Servers are not in everybody's path.
        let path = installed().into_iter().chain(std::env::split_paths(&written)).chain(["/usr/sbin".into()]).collect();
        let beside = std::env::current_exe().ok().and_then(|exe| exe.parent().map(Path::to_path_buf));
        Programs { source, beside, path }
    }

    /// Builds the subject if it is developed here, and finds its programs.
    pub fn prepare(&self, subject: &Subject) -> Result<Prepared, PrepareError> {
        let built = self.build(subject)?;
        self.find_all(subject, built.map(|built| built.artifact))
    }

    /// Finds the subject's programs as they are, without building.
    pub fn look_up(&self, subject: &Subject) -> Result<Prepared, PrepareError> {
        let found = self.source.as_ref().and_then(|source| source.found(subject));
        self.find_all(subject, found.map(|built| built.artifact))
    }

    /// Whether the subject's programs would be built from the repository.
    pub fn would_build(&self, subject: &Subject) -> bool {
        self.source.as_ref().is_some_and(|source| source.builds(subject))
    }

    /// Builds the subject; `None` if it is not developed here.
    pub fn build(&self, subject: &Subject) -> Result<Option<Built>, BuildError> {
        self.source.as_ref().map_or(Ok(None), |source| source.build(subject))
    }

    fn find_all(&self, subject: &Subject, artifact: Option<PathBuf>) -> Result<Prepared, PrepareError> {
        let mut programs = BTreeMap::new();
        for program in subject.executables() {
            let missing = || PrepareError::Missing { program: program.to_owned(), obtain: subject.obtain.clone() };
            let found = self.find(program, artifact.as_deref()).ok_or_else(missing)?;
            programs.insert(program.to_owned(), found);
        }
        let built = artifact.as_deref().map(directories_of).unwrap_or_default();
        let path = std::env::join_paths(built.iter().chain(&self.beside).chain(&self.path));
        let path = path.map(|path| path.to_string_lossy().into_owned()).unwrap_or_default();
        let binary = subject
            .fetcher
            .commands()
            .next()
            .and_then(|(_, command)| command.first())
            .and_then(|program| programs.get(program));
        let binary_hash = binary.and_then(|path| hash_of(path).ok());
        let detail = SubjectDetail::default();
        let mut prepared = Prepared { subject: subject.clone(), detail, programs, path, artifact };
        let delivers_nothing = subject.delivers == Delivers::Nothing;
        prepared.detail = SubjectDetail { version: prepared.ask_version(), binary_hash, delivers_nothing };
        Ok(prepared)
    }

    /// Where a program that subjects do not bring is, if it is anywhere.
    pub fn tool(&self, program: &str) -> Option<PathBuf> {
        self.find(program, None)
    }

    /// Where a program is, if it is anywhere.
    pub(crate) fn find(&self, program: &str, artifact: Option<&Path>) -> Option<PathBuf> {
        let own = artifact.filter(|path| path.is_dir() || path.file_name().is_some_and(|name| name == program));
        let built = own.map(directories_of).unwrap_or_default();
        built
            .iter()
            .chain(&self.beside)
            .chain(&self.path)
            .map(|directory| directory.join(program))
            .find(|path| is_program(path))
    }
}

/// Where the programs of an artifact are: in it and in its `bin`, or, if it is one itself, where it is.
fn directories_of(artifact: &Path) -> Vec<PathBuf> {
    if artifact.is_dir() {
        return vec![artifact.join("bin"), artifact.to_path_buf()];
    }
    artifact.parent().map(Path::to_path_buf).into_iter().collect()
}

/// Where `ci/subjects` puts what is no package of the system's.
fn installed() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let data = set("XDG_DATA_HOME").or_else(|| Some(set("HOME")?.join(".local/share")))?;
    Some(data.join("longhaul/subjects/bin"))
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// The directories of a program, and of all that it is a link to; of an installed one (`…/bin/name`) its libraries too. Of a
/// program that lies in a repository or a home itself, only its file: nobody wants all of those seen.
fn belongings(program: &Path, home: Option<&Path>) -> Vec<PathBuf> {
    const LINKS: usize = 8;
    const LIBRARIES: [&str; 4] = ["lib", "lib64", "libexec", "pyvenv.cfg"];
    let target = |path: &PathBuf| {
        let to = path.parent()?.join(std::fs::read_link(path).ok()?);
        Some(to.parent()?.canonicalize().ok()?.join(to.file_name()?))
    };
    let links = std::iter::successors(Some(program.to_path_buf()), target).take(LINKS);
    let mut found = Vec::new();
    for path in links.chain(program.canonicalize()) {
        let Some(directory) = path.parent() else { continue };
        let private = directory.join(".git").exists() || home.is_some_and(|home| home.starts_with(directory));
        found.push(if private { path.clone() } else { directory.to_path_buf() });
        if directory.ends_with("bin") {
            let beside = LIBRARIES.iter().map(|name| directory.with_file_name(name));
            found.extend(beside.filter(|path| path.exists()));
        }
    }
    found
}

/// Adds the names and contents of a file, or of all that is in a directory, in order of their names.
fn add_to(hasher: &mut blake3::Hasher, path: &Path) -> io::Result<()> {
    hasher.update(path.file_name().unwrap_or_default().as_encoded_bytes()).update(b"\0");
    if !path.is_dir() {
        return hasher.update_reader(std::fs::File::open(path)?).map(drop);
    }
    let entries = std::fs::read_dir(path)?.map(|entry| Ok(entry?.path()));
    let mut entries: Vec<PathBuf> = entries.collect::<io::Result<_>>()?;
    entries.sort();
    entries.iter().try_for_each(|entry| add_to(hasher, entry))
}

fn hash_of(path: &Path) -> io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(std::fs::File::open(path)?)?;
    Ok(hasher.finalize().to_hex().to_string())
}

impl Prepared {
    /// Where each of its programs is.
    pub fn places(&self) -> Vec<String> {
        self.programs.values().map(|path| path.display().to_string()).collect()
    }

    /// BLAKE3 hash over all of its programs and all that was built for it, in hexadecimal: the same one, the same behaviour.
    pub fn programs_hash(&self) -> io::Result<String> {
        let mut hasher = blake3::Hasher::new();
        self.programs.values().chain(&self.artifact).try_for_each(|path| add_to(&mut hasher, path))?;
        Ok(hasher.finalize().to_hex().to_string())
    }

    /// The command line with its program's own path.
    pub(crate) fn locate(&self, mut command: Vec<String>) -> Vec<String> {
        if let Some(first) = command.first_mut()
            && let Some(path) = self.programs.get(first.as_str())
        {
            *first = path.to_string_lossy().into_owned();
        }
        command
    }

    /// What of this machine its processes need beside the system: where its programs lie, and what belongs to them.
    pub(crate) fn readable(&self) -> Vec<PathBuf> {
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let all = self.programs.values().flat_map(|program| belongings(program, home.as_deref()));
        let all: BTreeSet<PathBuf> = all.collect();
        all.into_iter().collect()
    }

    /// The environment its processes get: nothing of the user's but where programs are, and what the subject's file says.
    pub(crate) fn environment(&self, home: &Path, values: &Values) -> BTreeMap<OsString, OsString> {
        let home = home.as_os_str().to_owned();
        let own = [
            ("PATH", self.path.clone().into()),
            ("HOME", home.clone()),
            ("TMPDIR", home),
            ("LC_ALL", "C.UTF-8".into()),
        ];
        let written =
            self.subject.environment.iter().map(|(name, value)| (name.as_str(), values.fill_text(value).into()));
        own.into_iter().chain(written).map(|(name, value): (&str, OsString)| (name.into(), value)).collect()
    }

    fn ask_version(&self) -> Option<String> {
        let version = self.subject.version.as_ref()?;
        let command = self.locate(version.command.clone());
        let (program, arguments) = command.split_first()?;
        let output = Command::new(program)
            .args(arguments)
            .env_clear()
            .env("PATH", &self.path)
            .stdin(Stdio::null())
            .output()
            .ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Some(version.regex.captures(&text)?.get(1)?.as_str().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn what_belongs_to_a_program_is_seen_and_homes_are_not() {
        let top = tempfile::tempdir().unwrap();
        let top = top.path().canonicalize().unwrap();
        let home = top.join("home");
        for directory in ["home/.local/bin", "home/.local/share/venv/bin", "home/.local/share/venv/lib", "repo/.git"] {
            fs::create_dir_all(top.join(directory)).unwrap();
        }
        for file in ["home/tool", "home/.local/share/venv/bin/tool", "repo/tool"] {
            fs::write(top.join(file), "").unwrap();
        }
        symlink("../share/venv/bin/tool", home.join(".local/bin/tool")).unwrap();
        let rows: [(&str, &[&str]); 3] = [
            ("home/tool", &["home/tool"]),
            ("repo/tool", &["repo/tool"]),
            ("home/.local/bin/tool", &["home/.local/bin", "home/.local/share/venv/bin", "home/.local/share/venv/lib"]),
        ];
        for (program, expect) in rows {
            let found: BTreeSet<PathBuf> = belongings(&top.join(program), Some(&home)).into_iter().collect();
            assert_eq!(found, expect.iter().map(|path| top.join(path)).collect(), "{program}");
        }
    }
}
