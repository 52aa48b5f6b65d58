//! The manifest: what a tree's blob begins with.
//!
//! A directory travels as one blob: a manifest, then the contents of its files, back to back in the manifest's order.
//! The manifest is therefore verified by the same hash as the contents.
//!
//! ```text
//! "LHM1"                       magic and version
//! u64   length of what follows in bytes, little-endian like all integers here
//! then for each entry:
//!   u8    kind: 0 directory, 1 file
//!   u16   length of the path in bytes
//!   ...   path: UTF-8, relative, components joined by '/'
//!   u64   size in bytes, for files only
//! ```
//!
//! There is one way to write a tree down. Entries ascend by their path components, each directory is listed before
//! what it holds, and nothing is listed twice. A reader refuses everything else, so that no manifest can lead a writer
//! out of its directory, through a file, or twice to one place. Further kinds (symbolic links) and fields (modes) need
//! a new version.

use std::cmp::Ordering;

/// Bytes before the entries: magic and length.
pub const HEADER_BYTES: usize = 12;

/// The largest manifest in bytes, so that reading one takes bounded memory. Room for about 250,000 usual paths.
pub const MAX_MANIFEST_BYTES: u64 = 16 << 20;

/// The longest path in bytes. Linux itself takes 4,095.
pub const MAX_PATH_BYTES: usize = 4000;

/// The longest path component in bytes (`NAME_MAX`).
pub const MAX_COMPONENT_BYTES: usize = 255;

const MAGIC: &[u8; 4] = b"LHM1";

/// One directory or file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Path below the tree's root, components joined by `/`.
    pub path: Box<str>,
    /// Directory or file.
    pub kind: EntryKind,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A directory; its contents follow as entries of their own.
    Directory,
    /// A file of this many bytes.
    File {
        /// Size in bytes.
        bytes: u64,
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
        for entry in &self.entries {
            bytes.push(u8::from(matches!(entry.kind, EntryKind::File { .. })));
            bytes.extend_from_slice(&(entry.path.len() as u16).to_le_bytes());
            bytes.extend_from_slice(entry.path.as_bytes());
            if let EntryKind::File { bytes: size } = entry.kind {
                bytes.extend_from_slice(&size.to_le_bytes());
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
            let [kind] = take(&mut body).ok_or_else(truncated)?;
            let length = u16::from_le_bytes(take(&mut body).ok_or_else(truncated)?);
            let path = body.split_off(..usize::from(length)).ok_or_else(truncated)?;
            let path = std::str::from_utf8(path).map_err(|_| ManifestError::UnsafePath {
                path: String::from_utf8_lossy(path).into_owned(),
                reason: "it is not UTF-8",
            })?;
            let kind = match kind {
                0 => EntryKind::Directory,
                1 => EntryKind::File { bytes: u64::from_le_bytes(take(&mut body).ok_or_else(truncated)?) },
                kind => return Err(ManifestError::Kind { entry, kind }),
            };
            entries.push(Entry { path: path.into(), kind });
        }
        check(&entries)?;
        Ok(Manifest { entries })
    }

    fn body_bytes(&self) -> u64 {
        let entry_bytes = |entry: &Entry| match entry.kind {
            EntryKind::Directory => 3 + entry.path.len() as u64,
            EntryKind::File { .. } => 11 + entry.path.len() as u64,
        };
        self.entries.iter().map(entry_bytes).sum()
    }
}

impl Entry {
    /// Bytes of contents that follow the manifest for this entry.
    pub fn content_bytes(&self) -> u64 {
        match self.kind {
            EntryKind::Directory => 0,
            EntryKind::File { bytes } => bytes,
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
        check_path(path)?;
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
        if entry.kind == EntryKind::Directory {
            open.push(path);
        }
        total = total.checked_add(entry.content_bytes()).ok_or(ManifestError::Total)?;
        previous = Some(entry);
    }
    if total > crate::ticket::MAX_BLOB_BYTES { Err(ManifestError::Total) } else { Ok(()) }
}

/// Refuses every path that could mean another place than one below the root, on this system or on another.
fn check_path(path: &str) -> Result<(), ManifestError> {
    let reason = if path.is_empty() {
        "it is empty"
    } else if path.len() > MAX_PATH_BYTES {
        "it is too long"
    } else if path.starts_with('/') {
        "it is absolute"
    } else if path.contains('\0') {
        "it contains a NUL byte"
    } else if path.contains('\\') {
        "it contains a backslash, which some systems take for a separator"
    } else if path.split('/').any(str::is_empty) {
        "it has an empty component"
    } else if path.split('/').any(|component| component == "." || component == "..") {
        "it has a `.` or `..` component"
    } else if path.split('/').any(|component| component.len() > MAX_COMPONENT_BYTES) {
        "it has a component that is too long"
    } else {
        return Ok(());
    };
    Err(ManifestError::UnsafePath { path: path.chars().take(200).collect(), reason })
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    bytes.split_off(..N)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(path: &str, bytes: u64) -> Entry {
        Entry { path: path.into(), kind: EntryKind::File { bytes } }
    }

    fn directory(path: &str) -> Entry {
        Entry { path: path.into(), kind: EntryKind::Directory }
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
        ];
        for (entries, expect) in rows {
            let error = Manifest::decode_body(&encode_unchecked(entries)).unwrap_err().to_string();
            assert!(error.contains(expect), "{error:?} should contain {expect:?}");
        }
    }

    #[test]
    fn damaged_bytes_are_refused() {
        let whole = encode_unchecked(vec![directory("a"), file("a/b", 1)]);
        for length in 1..whole.len() {
            let decoded = Manifest::decode_body(&whole[..length]);
            assert!(decoded.is_err() || length == 4, "{length} bytes of {}", whole.len());
        }
        assert_eq!(Manifest::decode_body(&[7, 1, 0, b'a']), Err(ManifestError::Kind { entry: 0, kind: 7 }));
        let error = Manifest::decode_body(&[0, 1, 0, 0xff]).unwrap_err();
        assert!(error.to_string().contains("not UTF-8"), "{error}");
        assert_eq!(Manifest::decode_header(b"LHM2\x01\0\0\0\0\0\0\0"), Err(ManifestError::Magic));
        let error = Manifest::decode_header(b"LHM1\0\0\0\0\0\0\0\xff").unwrap_err();
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

    /// Any tree: paths of a few short components, each parent listed.
    fn trees() -> impl Strategy<Value = Vec<Entry>> {
        let path = proptest::collection::vec("[a-c.-]{1,3}", 1..4);
        proptest::collection::btree_map(path, proptest::option::of(0..1_u64 << 40), 0..20).prop_map(|paths| {
            let mut entries = std::collections::BTreeMap::new();
            for (path, bytes) in &paths {
                if path.iter().any(|component| component == "." || component == "..") {
                    continue;
                }
                for depth in 1..path.len() {
                    entries.insert(path[..depth].join("/"), EntryKind::Directory);
                }
                let kind = bytes.map_or(EntryKind::Directory, |bytes| EntryKind::File { bytes });
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
