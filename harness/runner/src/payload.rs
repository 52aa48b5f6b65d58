//! What is sent: staged before the run, checked byte for byte after it.

use longhaul_record::text;
use longhaul_scenarios::{Payload as Spec, Sort, Values};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// A staged payload.
#[derive(Debug)]
pub struct Payload {
    /// The directory it lies in, and nothing else.
    directory: PathBuf,
    /// A file that names every file of it, one relative path a line; or every key to be looked up.
    list: PathBuf,
    /// Every file's hash and size by its relative path.
    files: BTreeMap<String, Expected>,
    /// Keys to be looked up; of other payloads none.
    keys: Vec<String>,
    sort: Sort,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Expected {
    hash: blake3::Hash,
    bytes: u64,
}

/// Why a payload could not be staged.
#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    /// Nothing to send.
    #[error("none of {} is a directory with files on this machine", paths.join(", "))]
    NoTree {
        /// Where it was looked for.
        paths: Vec<String>,
    },
    /// Payloads lie in memory.
    #[error(
        "the payload and what is received of it take {} of memory, and {} are left; take a smaller size or fewer fetchers",
        text::bytes(*needs as f64), text::bytes(*room as f64)
    )]
    NoRoom {
        /// Bytes of the payload and all its copies.
        needs: u64,
        /// Bytes there are.
        room: u64,
    },
    /// The file system.
    #[error("cannot stage the payload: {}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
}

/// The one file of a random payload.
const FILE_NAME: &str = "payload.bin";
/// Bytes handled at a time.
const CHUNK: usize = 1 << 20;
/// Directories deeper than this are left out: no payload needs them, and loops cannot be followed.
const MAX_DEPTH: usize = 64;

impl Payload {
    /// Puts what `spec` asks for below `scratch`, which must be empty and has `room` bytes left, also for what `fetchers`
    /// receive.
    pub fn stage(spec: &Spec, fetchers: usize, room: u64, scratch: &Path) -> Result<Payload, PayloadError> {
        match spec {
            Spec::Random { bytes } => fits(*bytes, fetchers + 1, room)?,
            // A file takes a page at least.
            Spec::Files { count, bytes_each } => fits(count * bytes_each.next_multiple_of(4096), fetchers + 1, room)?,
            Spec::Tree { .. } | Spec::Lookups { .. } => {}
        }
        let directory = scratch.join("payload");
        fs::create_dir_all(&directory).map_err(at(&directory))?;
        let (files, keys) = match spec {
            Spec::Random { bytes } => (stage_random(&directory.join(FILE_NAME), *bytes)?, Vec::new()),
            Spec::Files { count, bytes_each } => (stage_files(&directory, *count, *bytes_each)?, Vec::new()),
            Spec::Tree { paths, limit_bytes } => (stage_tree(paths, *limit_bytes, &directory)?, Vec::new()),
            Spec::Lookups { count } => (BTreeMap::new(), keys(*count)),
        };
        let sort = spec.sort();
        if sort == Sort::Tree {
            let bytes = files.values().map(|file| file.bytes).sum();
            fits(bytes, fetchers + 1, room)?;
        }
        let list = scratch.join("payload.list");
        let names = files.keys().chain(&keys).fold(String::new(), |text, name| text + name + "\n");
        fs::write(&list, names).map_err(at(&list))?;
        Ok(Payload { directory, list, files, keys, sort })
    }

    /// What sort it is.
    pub fn sort(&self) -> Sort {
        self.sort
    }

    /// How many keys are to be looked up.
    pub(crate) fn key_count(&self) -> usize {
        self.keys.len()
    }

    /// Size of all files, in bytes.
    pub fn bytes(&self) -> u64 {
        self.files.values().map(|file| file.bytes).sum()
    }

    /// How many files there are.
    pub fn file_count(&self) -> u64 {
        self.files.len() as u64
    }

    /// The directory it lies in.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The list of its files.
    pub(crate) fn list(&self) -> &Path {
        &self.list
    }

    /// What a subject's command line may ask for.
    pub(crate) fn values(&self) -> Values {
        let mut values = Values::default();
        values.set("payload.dir", self.directory.to_string_lossy());
        values.set("payload.path", self.directory.join(FILE_NAME).to_string_lossy());
        values.set("payload.name", FILE_NAME);
        values.set("payload.list", self.list.to_string_lossy());
        values.set("payload.bytes", self.bytes().to_string());
        values
    }

    /// Checks that `out` holds exactly this payload. The error says what is different.
    pub(crate) fn verify(&self, out: &Path) -> Result<(), String> {
        let mut got = BTreeSet::new();
        walk(out, "", 0, &mut |relative, _| {
            got.insert(relative.to_owned());
            true
        })
        .map_err(|error| format!("cannot read what was received: {error}"))?;
        if let Some(extra) = got.iter().find(|name| !self.files.contains_key(*name)) {
            return Err(format!("received a file that was not sent: {extra:?}"));
        }
        for (name, expected) in &self.files {
            // Only regular files were found: a link to what was sent proves nothing, and reading a pipe never ends.
            if !got.contains(name) {
                return Err(format!("{name:?} was not received"));
            }
            let received = hash_file(&out.join(name)).map_err(|error| format!("cannot read {name:?}: {error}"))?;
            if received != *expected {
                let Expected { bytes, .. } = received;
                return Err(format!("{name:?} differs from what was sent ({bytes} bytes, sent {})", expected.bytes));
            }
        }
        Ok(())
    }
}

/// Whether so many copies have room. Without it, a subject would be blamed for a full disk.
fn fits(bytes: u64, copies: usize, room: u64) -> Result<(), PayloadError> {
    let needs = bytes.saturating_mul(copies as u64);
    if needs <= room { Ok(()) } else { Err(PayloadError::NoRoom { needs, room }) }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> PayloadError {
    let path = path.to_path_buf();
    move |source| PayloadError::Io { path, source }
}

/// Keys that are the same in every run: 32 bytes in hexadecimal. Subjects make of them what they look up.
fn keys(count: u64) -> Vec<String> {
    let key = |n: u64| blake3::hash(format!("longhaul key 1 {n}").as_bytes()).to_hex().to_string();
    (0..count).map(key).collect()
}

/// Random bytes that are the same in every run: the extended output of BLAKE3.
fn stage_random(path: &Path, bytes: u64) -> Result<BTreeMap<String, Expected>, PayloadError> {
    let mut stream = blake3::Hasher::new().update(b"longhaul random payload 1").finalize_xof();
    let mut file = File::create_new(path).map_err(at(path))?;
    let mut hasher = blake3::Hasher::new();
    let mut chunk = vec![0; CHUNK];
    let mut left = bytes;
    while left > 0 {
        let len = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        stream.fill(&mut chunk[..len]);
        hasher.update(&chunk[..len]);
        file.write_all(&chunk[..len]).map_err(at(path))?;
        left -= len as u64;
    }
    Ok([(FILE_NAME.to_owned(), Expected { hash: hasher.finalize(), bytes })].into())
}

/// In directories of a hundred, as programs that keep many files do.
fn stage_files(directory: &Path, count: u64, bytes_each: u64) -> Result<BTreeMap<String, Expected>, PayloadError> {
    let mut stream = blake3::Hasher::new().update(b"longhaul random files 1").finalize_xof();
    let mut content = vec![0; usize::try_from(bytes_each).unwrap_or(usize::MAX)];
    let mut files = BTreeMap::new();
    for number in 0..count {
        stream.fill(&mut content);
        let name = format!("{:04}/{:02}", number / 100, number % 100);
        let path = directory.join(&name);
        if let (0, Some(parent)) = (number % 100, path.parent()) {
            fs::create_dir_all(parent).map_err(at(parent))?;
        }
        fs::write(&path, &content).map_err(at(&path))?;
        files.insert(name, Expected { hash: blake3::hash(&content), bytes: bytes_each });
    }
    Ok(files)
}

fn stage_tree(paths: &[String], limit: u64, into: &Path) -> Result<BTreeMap<String, Expected>, PayloadError> {
    for source in paths.iter().map(Path::new).filter(|path| path.is_dir()) {
        let files = copy_tree(source, limit, into)?;
        if !files.is_empty() {
            return Ok(files);
        }
    }
    Err(PayloadError::NoTree { paths: paths.to_vec() })
}

/// Copies regular files in order of their names until `limit` bytes. Links are left out, and names that one of the
/// subjects would have to quote: every subject sends the same files.
fn copy_tree(source: &Path, limit: u64, into: &Path) -> Result<BTreeMap<String, Expected>, PayloadError> {
    let mut files = BTreeMap::new();
    let mut total = 0;
    let mut failure = None;
    let walked = walk(source, "", 0, &mut |relative, path| {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '+');
        if !relative.chars().all(plain) {
            return true;
        }
        match copy_file(path, &into.join(relative), limit - total) {
            Ok(Some(copied)) => {
                total += copied.bytes;
                files.insert(relative.to_owned(), copied);
                true
            }
            Ok(None) => false,
            Err(error) => {
                failure = Some(error);
                false
            }
        }
    });
    walked.map_err(at(source))?;
    failure.map_or(Ok(files), Err)
}

/// Copies one file if it has at most `room` bytes.
fn copy_file(from: &Path, to: &Path, room: u64) -> Result<Option<Expected>, PayloadError> {
    let bytes = fs::read(from).map_err(at(from))?;
    if bytes.len() as u64 > room {
        return Ok(None);
    }
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).map_err(at(parent))?;
    }
    fs::write(to, &bytes).map_err(at(to))?;
    Ok(Some(Expected { hash: blake3::hash(&bytes), bytes: bytes.len() as u64 }))
}

/// Visits the regular files below `directory` in order of their names, until `visit` returns false. Returns whether it
/// went to the end.
fn walk(directory: &Path, prefix: &str, depth: usize, visit: &mut dyn FnMut(&str, &Path) -> bool) -> io::Result<bool> {
    let mut entries: Vec<fs::DirEntry> = fs::read_dir(directory)?.collect::<Result<_, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        // Names that are not text cannot stand in a list.
        let Ok(name) = entry.file_name().into_string() else { continue };
        let relative = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
        let kind = entry.file_type()?;
        let go_on = if kind.is_dir() && depth < MAX_DEPTH {
            walk(&entry.path(), &relative, depth + 1, visit)?
        } else {
            !kind.is_file() || visit(&relative, &entry.path())
        };
        if !go_on {
            return Ok(false);
        }
    }
    Ok(true)
}

fn hash_file(path: &Path) -> io::Result<Expected> {
    let mut file = File::open(path)?;
    let mut hasher = blake3::Hasher::new();
    let mut chunk = vec![0; CHUNK];
    let mut bytes = 0;
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(Expected { hash: hasher.finalize(), bytes }),
            len => {
                hasher.update(&chunk[..len]);
                bytes += len as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn staged(spec: &Spec) -> (tempfile::TempDir, Payload) {
        let scratch = tempfile::tempdir().unwrap();
        let payload = Payload::stage(spec, 1, u64::MAX, scratch.path()).unwrap();
        (scratch, payload)
    }

    #[test]
    fn random_payloads_are_the_same_every_time() {
        let (_one, first) = staged(&Spec::Random { bytes: 3_000_001 });
        let (_two, second) = staged(&Spec::Random { bytes: 3_000_001 });
        assert_eq!(first.files, second.files);
        assert_eq!((first.bytes(), first.file_count(), first.sort()), (3_000_001, 1, Sort::File));
        let (_none, empty) = staged(&Spec::Random { bytes: 0 });
        assert_eq!(empty.bytes(), 0);
    }

    #[test]
    fn a_payload_has_room_or_is_refused_before_anything_is_written() {
        let scratch = tempfile::tempdir().unwrap();
        let spec = Spec::Random { bytes: 1000 };
        let refused = Payload::stage(&spec, 3, 3999, scratch.path()).unwrap_err();
        assert!(matches!(refused, PayloadError::NoRoom { needs: 4000, room: 3999 }), "{refused:?}");
        assert_eq!(fs::read_dir(scratch.path().join("payload")).map_or(0, Iterator::count), 0);
        assert_eq!(Payload::stage(&spec, 3, 4000, scratch.path()).unwrap().bytes(), 1000);
    }

    #[test]
    fn many_files_are_the_same_every_time_and_each_its_own() {
        let spec = Spec::Files { count: 201, bytes_each: 10 };
        let ((_one, first), (_two, second)) = (staged(&spec), staged(&spec));
        assert_eq!(first.files, second.files);
        assert_eq!((first.bytes(), first.file_count(), first.sort()), (2010, 201, Sort::Tree));
        let different: BTreeSet<_> = first.files.values().map(|file| *file.hash.as_bytes()).collect();
        assert_eq!(different.len(), 201);
        assert!(first.directory.join("0002/00").is_file());
    }

    #[test]
    fn keys_are_the_same_every_time_and_no_files() {
        let ((_one, first), (_two, second)) =
            (staged(&Spec::Lookups { count: 3 }), staged(&Spec::Lookups { count: 4 }));
        let [first_list, second_list] = [&first, &second].map(|payload| fs::read_to_string(&payload.list).unwrap());
        assert!(second_list.starts_with(&first_list) && first_list.lines().count() == 3, "{first_list}");
        assert!(first_list.lines().all(|key| key.len() == 64), "{first_list}");
        assert_eq!((first.bytes(), first.file_count(), first.sort(), first.key_count()), (0, 0, Sort::Lookups, 3));
    }

    #[test]
    fn trees_are_taken_in_order_up_to_the_limit() {
        let source = tempfile::tempdir().unwrap();
        for (name, len) in [("b/2", 20), ("a/1", 10), ("c d", 5), ("b/3", 1000), ("z", 1)] {
            let path = source.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, vec![7; len]).unwrap();
        }
        std::os::unix::fs::symlink("/etc/passwd", source.path().join("link")).unwrap();
        let paths = vec!["/does/not/exist".into(), source.path().to_string_lossy().into_owned()];
        let (_scratch, payload) = staged(&Spec::Tree { paths, limit_bytes: 100 });
        assert_eq!(payload.files.keys().collect::<Vec<_>>(), ["a/1", "b/2"]);
        assert_eq!(fs::read_to_string(&payload.list).unwrap(), "a/1\nb/2\n");
        let spec = Spec::Tree { paths: vec!["/dev/null".into()], limit_bytes: 1 };
        let nothing = Payload::stage(&spec, 1, u64::MAX, source.path());
        assert_eq!(nothing.unwrap_err().to_string(), "none of /dev/null is a directory with files on this machine");
    }

    #[test]
    fn wrong_bytes_are_named() {
        let (_scratch, payload) = staged(&Spec::Random { bytes: 100 });
        let out = tempfile::tempdir().unwrap();
        let check = || payload.verify(out.path());
        assert_eq!(check().unwrap_err(), "\"payload.bin\" was not received");
        std::os::unix::fs::symlink(payload.directory.join(FILE_NAME), out.path().join(FILE_NAME)).unwrap();
        assert_eq!(check().unwrap_err(), "\"payload.bin\" was not received");
        fs::remove_file(out.path().join(FILE_NAME)).unwrap();
        fs::copy(payload.directory.join(FILE_NAME), out.path().join(FILE_NAME)).unwrap();
        assert_eq!(check(), Ok(()));
        fs::write(out.path().join("more"), "x").unwrap();
        assert_eq!(check().unwrap_err(), "received a file that was not sent: \"more\"");
        fs::remove_file(out.path().join("more")).unwrap();
        fs::write(out.path().join(FILE_NAME), vec![0; 100]).unwrap();
        assert_eq!(check().unwrap_err(), "\"payload.bin\" differs from what was sent (100 bytes, sent 100)");
    }
}
