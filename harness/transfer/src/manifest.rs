//! The manifest: what a tree's blob begins with.
//!
//! A directory travels as one blob: a manifest, then the contents of its files, back to back in the manifest's order.
//! The manifest is therefore verified by the same hash as the contents.
//!
//! ```text
//! "LHM2"                       magic and version
//! u64   length of what follows in bytes, little-endian like all integers here
//! then for each entry:
//!   u8    kind: 0 directory, 1 file, 2 symbolic link
//!   u16   length of the path in bytes
//!   ...   path: UTF-8, relative, components joined by '/'
//!   u16   mode: the nine permission bits, for directories and files
//!   u64   size in bytes, for files
//!   u16   length of the target in bytes, for links
//!   ...   target: UTF-8, relative, within the tree; for links
//! ```
//!
//! There is one way to write a tree down. Entries ascend by their path components, each directory is listed before
//! what it holds, and nothing is listed twice. A reader refuses everything else, so that no manifest can lead a writer
//! out of its directory, through a file or a link, or twice to one place. Which paths and targets are safe is said in
//! [`paths`]. Modes carry no set-user-ID, set-group-ID or sticky bit: what arrives gains no rights.

use std::cmp::Ordering;

use crate::paths;

/// Bytes before the entries: magic and length.
pub const HEADER_BYTES: usize = 12;

/// The largest manifest in bytes, so that reading one takes bounded memory. Room for about 250,000 usual paths.
pub const MAX_MANIFEST_BYTES: u64 = 16 << 20;

/// The bits of a mode that travel: read, write and execute for owner, group and others.
pub const MODE_BITS: u16 = 0o777;

const MAGIC: &[u8; 4] = b"LHM2";

/// One directory, file or link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Path below the tree's root, components joined by `/`.
    pub path: Box<str>,
    /// What it is.
    pub kind: EntryKind,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A directory; its contents follow as entries of their own.
    Directory {
        /// Permission bits.
        mode: u16,
    },
    /// A file of this many bytes.
    File {
        /// Size in bytes.
        bytes: u64,
        /// Permission bits.
        mode: u16,
    },
    /// A symbolic link.
    Link {
        /// Where it leads, relative to the directory it lies in.
        target: Box<str>,
    },
}

/// A checked list of entries in canonical order. Every value of this type is safe to write below a directory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Manifest {
    entries: Vec<Entry>,
}

/// Why something is not a manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// The magic bytes are missing.
    #[error("not a manifest of this version")]
    Magic,
    /// Larger than [`MAX_MANIFEST_BYTES`].
    #[error("the manifest has {bytes} bytes; at most {MAX_MANIFEST_BYTES} are allowed")]
    TooLarge {
        /// Length in bytes.
        bytes: u64,
    },
    /// The bytes end within an entry.
    #[error("the manifest ends within entry {entry}")]
    Truncated {
        /// Number of the entry, from 0.
        entry: usize,
    },
    /// An entry of unknown kind.
    #[error("entry {entry} of the manifest has the unknown kind {kind}")]
    Kind {
        /// Number of the entry, from 0.
        entry: usize,
        /// Its kind byte.
        kind: u8,
    },
    /// A path that no honest provider sends.
    #[error("unsafe path {path:?} in the manifest: {reason}")]
    UnsafePath {
        /// The path as text.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A link that no honest provider sends.
    #[error("unsafe link {path:?} to {target:?} in the manifest: {reason}")]
    UnsafeLink {
        /// The link's path.
        path: String,
        /// Where it leads.
        target: String,
        /// What is wrong with that.
        reason: &'static str,
    },
    /// A mode with more than permission bits.
    #[error("{path:?} has the mode {mode:#o} in the manifest; only permission bits are allowed")]
    Mode {
        /// The path.
        path: String,
        /// Its mode.
        mode: u16,
    },
    /// The same path twice.
    #[error("{path:?} is listed twice in the manifest")]
    Duplicate {
        /// The path.
        path: String,
    },
    /// The order is not canonical.
    #[error("{path:?} is out of order in the manifest")]
    Order {
        /// The path that should have come earlier.
        path: String,
    },
    /// The directory a path lies in is a file or is not listed.
    #[error("{path:?} lies in something that the manifest does not list as a directory")]
    Parent {
        /// The path.
        path: String,
    },
    /// Sizes that add up to more than a blob can hold.
    #[error("the sizes in the manifest add up to more than any blob holds")]
    Total,
}

impl Manifest {
    /// Sorts and checks entries.
    pub fn new(mut entries: Vec<Entry>) -> Result<Manifest, ManifestError> {
        entries.sort_by(|a, b| canonical_order(&a.path, &b.path));
        check(&entries)?;
        let manifest = Manifest { entries };
        match manifest.body_bytes() {
            bytes if bytes > MAX_MANIFEST_BYTES => Err(ManifestError::TooLarge { bytes }),
            _ => Ok(manifest),
        }
    }

    /// The entries in canonical order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Bytes in all files together.
    pub fn content_bytes(&self) -> u64 {
        self.entries.iter().map(Entry::content_bytes).sum()
    }

    /// The manifest as bytes, header included.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + self.body_bytes() as usize);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&self.body_bytes().to_le_bytes());
        for Entry { path, kind } in &self.entries {
            bytes.push(kind.tag());
            put_text(&mut bytes, path);
            match kind {
                EntryKind::Directory { mode } => bytes.extend_from_slice(&mode.to_le_bytes()),
                EntryKind::File { bytes: size, mode } => {
                    bytes.extend_from_slice(&mode.to_le_bytes());
                    bytes.extend_from_slice(&size.to_le_bytes());
                }
                EntryKind::Link { target } => put_text(&mut bytes, target),
            }
        }
        bytes
    }

    /// Reads the header: how many bytes of entries follow it.
    pub fn decode_header(header: &[u8; HEADER_BYTES]) -> Result<usize, ManifestError> {
        let (magic, length) = header.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(ManifestError::Magic);
        }
        let bytes = length.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte));
        if bytes > MAX_MANIFEST_BYTES {
            return Err(ManifestError::TooLarge { bytes });
        }
        Ok(bytes as usize)
    }

    /// Reads and checks the entries: exactly the bytes the header announced.
    pub fn decode_body(mut body: &[u8]) -> Result<Manifest, ManifestError> {
        let mut entries = Vec::new();
        while !body.is_empty() {
            let entry = entries.len();
            let truncated = || ManifestError::Truncated { entry };
            let [tag] = take(&mut body).ok_or_else(truncated)?;
            let path = take_text(&mut body).ok_or_else(truncated)?;
            let path = utf8(path).map_err(|path| ManifestError::UnsafePath { path, reason: NOT_UTF8 })?;
            let mut mode = || take(&mut body).map(u16::from_le_bytes).ok_or_else(truncated);
            let kind = match tag {
                0 => EntryKind::Directory { mode: mode()? },
                1 => {
                    let mode = mode()?;
                    EntryKind::File { bytes: take(&mut body).map(u64::from_le_bytes).ok_or_else(truncated)?, mode }
                }
                2 => {
                    let target = take_text(&mut body).ok_or_else(truncated)?;
                    let unsafe_link =
                        |target| ManifestError::UnsafeLink { path: path.into(), target, reason: NOT_UTF8 };
                    EntryKind::Link { target: utf8(target).map_err(unsafe_link)?.into() }
                }
                kind => return Err(ManifestError::Kind { entry, kind }),
            };
            entries.push(Entry { path: path.into(), kind });
        }
        check(&entries)?;
        Ok(Manifest { entries })
    }

    /// What a single file's blob would have for a manifest: its name only serves to speak of it, and is not checked.
    pub(crate) fn of_one_file(name: &str, bytes: u64) -> Manifest {
        Manifest { entries: vec![Entry { path: name.into(), kind: EntryKind::File { bytes, mode: 0o644 } }] }
    }

    fn body_bytes(&self) -> u64 {
        let entry_bytes = |entry: &Entry| match &entry.kind {
            EntryKind::Directory { .. } => 5 + entry.path.len(),
            EntryKind::File { .. } => 13 + entry.path.len(),
            EntryKind::Link { target } => 5 + entry.path.len() + target.len(),
        };
        self.entries.iter().map(|entry| entry_bytes(entry) as u64).sum()
    }
}

impl EntryKind {
    fn tag(&self) -> u8 {
        match self {
            EntryKind::Directory { .. } => 0,
            EntryKind::File { .. } => 1,
            EntryKind::Link { .. } => 2,
        }
    }
}

impl Entry {
    /// Bytes of contents that follow the manifest for this entry.
    pub fn content_bytes(&self) -> u64 {
        match self.kind {
            EntryKind::File { bytes, .. } => bytes,
            EntryKind::Directory { .. } | EntryKind::Link { .. } => 0,
        }
    }
}

/// Ascending by components, so that everything within a directory follows it without a gap.
fn canonical_order(a: &str, b: &str) -> Ordering {
    a.split('/').cmp(b.split('/'))
}

fn check(entries: &[Entry]) -> Result<(), ManifestError> {
    let mut total: u64 = HEADER_BYTES as u64 + MAX_MANIFEST_BYTES;
    let mut open: Vec<&str> = Vec::new();
    let mut previous: Option<&Entry> = None;
    for entry in entries {
        let path = &*entry.path;
        check_entry(entry)?;
        match previous.map(|previous| canonical_order(&previous.path, path)) {
            Some(Ordering::Equal) => return Err(ManifestError::Duplicate { path: path.into() }),
            Some(Ordering::Greater) => return Err(ManifestError::Order { path: path.into() }),
            Some(Ordering::Less) | None => {}
        }
        let parent = path.rsplit_once('/').map(|(parent, _)| parent);
        // In canonical order the directories around an entry are those of the last one, minus the ones it has left.
        while open.last().copied() != parent {
            if open.pop().is_none() {
                return Err(ManifestError::Parent { path: path.into() });
            }
        }
        if matches!(entry.kind, EntryKind::Directory { .. }) {
            open.push(path);
        }
        total = total.checked_add(entry.content_bytes()).ok_or(ManifestError::Total)?;
        previous = Some(entry);
    }
    if total > crate::ticket::MAX_BLOB_BYTES { Err(ManifestError::Total) } else { Ok(()) }
}

/// Refuses every entry that could mean another place than one below the root, or rights it should not have.
fn check_entry(Entry { path, kind }: &Entry) -> Result<(), ManifestError> {
    let short = |text: &str| text.chars().take(200).collect();
    if let Some(reason) = paths::path_fault(path) {
        return Err(ManifestError::UnsafePath { path: short(path), reason });
    }
    match kind {
        EntryKind::Directory { mode } | EntryKind::File { mode, .. } if mode & !MODE_BITS != 0 => {
            Err(ManifestError::Mode { path: short(path), mode: *mode })
        }
        EntryKind::Directory { .. } | EntryKind::File { .. } => Ok(()),
        EntryKind::Link { target } => match paths::target_fault(path, target) {
            Some(reason) => Err(ManifestError::UnsafeLink { path: short(path), target: short(target), reason }),
            None => Ok(()),
        },
    }
}

const NOT_UTF8: &str = "it is not UTF-8";

fn utf8(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|_| String::from_utf8_lossy(bytes).into_owned())
}

/// The text's length, then the text. No text here is longer than [`paths::MAX_PATH_BYTES`].
fn put_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend_from_slice(&(text.len() as u16).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

fn take_text<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = u16::from_le_bytes(take(bytes)?);
    bytes.split_off(..usize::from(length))
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    bytes.split_off(..N)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(path: &str, bytes: u64) -> Entry {
        Entry { path: path.into(), kind: EntryKind::File { bytes, mode: 0o640 } }
    }

    fn link(path: &str, target: &str) -> Entry {
        Entry { path: path.into(), kind: EntryKind::Link { target: target.into() } }
    }

    fn directory(path: &str) -> Entry {
        Entry { path: path.into(), kind: EntryKind::Directory { mode: 0o755 } }
    }

    /// Encodes entries as they are, checked by nobody: what a hostile provider can do.
    fn encode_unchecked(entries: Vec<Entry>) -> Vec<u8> {
        Manifest { entries }.encode().split_off(HEADER_BYTES)
    }

    #[test]
    fn hostile_manifests_are_refused() {
        let long = "x".repeat(256);
        let rows = [
            (vec![file("", 1)], "it is empty"),
            (vec![file("/etc/passwd", 1)], "it is absolute"),
            (vec![file("../up", 1)], "`.` or `..`"),
            (vec![directory("a"), file("a/../../up", 1)], "`.` or `..`"),
            (vec![file("a\\..\\up", 1)], "backslash"),
            (vec![file("a\0b", 1)], "NUL"),
            (vec![directory("a"), file("a//b", 1)], "empty component"),
            (vec![directory("a/")], "empty component"),
            (vec![file("./a", 1)], "`.` or `..`"),
            (vec![file(&long, 1)], "component that is too long"),
            (vec![file(&"x/".repeat(3000), 1)], "it is too long"),
            (vec![file("a", 1), file("a", 1)], "\"a\" is listed twice"),
            (vec![directory("a"), file("a", 1)], "\"a\" is listed twice"),
            (vec![file("b", 1), file("a", 1)], "\"a\" is out of order"),
            (vec![file("a", 1), file("a/b", 1)], "\"a/b\" lies in something"),
            (vec![file("a/b", 1)], "\"a/b\" lies in something"),
            (vec![directory("a"), file("a-b", 1), file("a/b", 1)], "\"a/b\" is out of order"),
            (vec![file("a", u64::MAX), file("b", 1)], "add up to more"),
            (vec![file("a", 1 << 60)], "add up to more"),
            (vec![link("a", "/etc/passwd")], "unsafe link \"a\" to \"/etc/passwd\""),
            (vec![link("a", "../up")], "it leads out of the tree"),
            (vec![link("a", "b"), file("a/b", 1)], "\"a/b\" lies in something"),
            (vec![link("a", "b"), file("a", 1)], "\"a\" is listed twice"),
            (vec![link("../a", "b")], "`.` or `..`"),
            (vec![Entry { path: "a".into(), kind: EntryKind::File { bytes: 1, mode: 0o4755 } }], "the mode 0o4755"),
            (vec![Entry { path: "a".into(), kind: EntryKind::Directory { mode: 0o1777 } }], "the mode 0o1777"),
        ];
        for (entries, expect) in rows {
            let error = Manifest::decode_body(&encode_unchecked(entries)).unwrap_err().to_string();
            assert!(error.contains(expect), "{error:?} should contain {expect:?}");
        }
    }

    #[test]
    fn damaged_bytes_are_refused() {
        let whole = encode_unchecked(vec![directory("a"), file("a/b", 1), link("c", "a/b")]);
        let (first, second) = (6, 6 + 16);
        for length in 1..whole.len() {
            let decoded = Manifest::decode_body(&whole[..length]);
            assert!(decoded.is_err() || length == first || length == second, "{length} bytes of {}", whole.len());
        }
        assert_eq!(Manifest::decode_body(&[7, 1, 0, b'a']), Err(ManifestError::Kind { entry: 0, kind: 7 }));
        for body in [[0, 1, 0, 0xff].as_slice(), &[2, 1, 0, b'a', 1, 0, 0xff]] {
            let error = Manifest::decode_body(body).unwrap_err();
            assert!(error.to_string().contains("not UTF-8"), "{error}");
        }
        assert_eq!(Manifest::decode_header(b"LHM1\x01\0\0\0\0\0\0\0"), Err(ManifestError::Magic));
        let error = Manifest::decode_header(b"LHM2\0\0\0\0\0\0\0\xff").unwrap_err();
        assert_eq!(error, ManifestError::TooLarge { bytes: 0xff << 56 });
    }

    #[test]
    fn directories_hold_together_in_canonical_order() {
        let shuffled = vec![file("a-b", 1), file("a/b", 2), directory("c"), directory("a")];
        let manifest = Manifest::new(shuffled).unwrap();
        let paths: Vec<&str> = manifest.entries().iter().map(|entry| &*entry.path).collect();
        assert_eq!(paths, ["a", "a/b", "a-b", "c"]);
        assert_eq!(manifest.content_bytes(), 3);
    }

    /// What may lie at the end of a path.
    fn leaves() -> impl Strategy<Value = EntryKind> {
        prop_oneof![
            (0..=MODE_BITS).prop_map(|mode| EntryKind::Directory { mode }),
            (0..1_u64 << 40, 0..=MODE_BITS).prop_map(|(bytes, mode)| EntryKind::File { bytes, mode }),
            "[a-c]{1,3}(/[a-c]{1,3})?".prop_map(|target| EntryKind::Link { target: target.into() }),
        ]
    }

    /// Any tree: paths of a few short components, each parent listed.
    fn trees() -> impl Strategy<Value = Vec<Entry>> {
        let path = proptest::collection::vec("[a-c.-]{1,3}", 1..4);
        proptest::collection::btree_map(path, leaves(), 0..20).prop_map(|paths| {
            let mut entries = std::collections::BTreeMap::new();
            for (path, kind) in paths {
                if path.iter().any(|component| component == "." || component == "..") {
                    continue;
                }
                for depth in 1..path.len() {
                    entries.insert(path[..depth].join("/"), EntryKind::Directory { mode: 0o700 });
                }
                entries.entry(path.join("/")).or_insert(kind);
            }
            entries.into_iter().map(|(path, kind)| Entry { path: path.into(), kind }).collect()
        })
    }

    proptest! {
        #[test]
        fn round_trip(entries in trees()) {
            let Ok(manifest) = Manifest::new(entries) else { return Ok(()) };
            let bytes = manifest.encode();
            let (header, body) = bytes.split_at(HEADER_BYTES);
            prop_assert_eq!(Manifest::decode_header(header.try_into().unwrap()), Ok(body.len()));
            prop_assert_eq!(Manifest::decode_body(body), Ok(manifest));
        }

        #[test]
        fn any_bytes_are_refused_or_canonical(body: Vec<u8>) {
            if let Ok(manifest) = Manifest::decode_body(&body) {
                prop_assert_eq!(&manifest.encode()[HEADER_BYTES..], &body);
            }
        }
    }
}
