//! Where in a blob each file lies.
//!
//! A provider needs it to read, both sides need it to say which file an error is about.

use std::io;
use std::ops::Range;

use crate::manifest::Manifest;

/// The files of a blob, in order. Empty files have no place in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    manifest: Manifest,
    manifest_bytes: u64,
    spans: Vec<Span>,
}

/// One file's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The file's index among the manifest's entries.
    pub entry: usize,
    /// Where the file begins in the blob.
    pub start: u64,
    /// Length in bytes, at least 1.
    pub bytes: u64,
}

/// What lies at an offset of the blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The manifest.
    Manifest,
    /// A file.
    File {
        /// Index among [`Layout::spans`].
        index: usize,
        /// Offset within the file.
        offset: u64,
    },
    /// Nothing: the blob is shorter.
    End,
}

impl Layout {
    /// The layout of a single file's blob. The name only serves to speak of it.
    pub fn of_file(name: &str, bytes: u64) -> Layout {
        Layout::of_tree(Manifest::of_one_file(name, bytes), 0)
    }

    /// The layout of a tree's blob, whose manifest has `manifest_bytes` bytes with its header.
    pub fn of_tree(manifest: Manifest, manifest_bytes: u64) -> Layout {
        let mut start = manifest_bytes;
        let mut spans = Vec::new();
        for (index, entry) in manifest.entries().iter().enumerate() {
            if let bytes @ 1.. = entry.content_bytes() {
                spans.push(Span { entry: index, start, bytes });
                start += bytes;
            }
        }
        Layout { manifest, manifest_bytes, spans }
    }

    /// Everything in the tree.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The places of all files that have one, in order.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// The path of a file below the root; for the blob of a single file, its name.
    pub fn path(&self, span: Span) -> &str {
        &self.manifest.entries()[span.entry].path
    }

    /// Length of the manifest in bytes, with its header; 0 for a single file.
    pub fn manifest_bytes(&self) -> u64 {
        self.manifest_bytes
    }

    /// What lies at `offset`.
    pub fn locate(&self, offset: u64) -> Place {
        if offset < self.manifest_bytes {
            return Place::Manifest;
        }
        let after = self.spans.partition_point(|span| span.start <= offset);
        match after.checked_sub(1).map(|index| (index, self.spans[index])) {
            Some((index, span)) if offset - span.start < span.bytes => {
                Place::File { index, offset: offset - span.start }
            }
            _ => Place::End,
        }
    }

    /// Fills `buffer` with the blob's bytes at `offset`, out of the manifest and of files: `file` is given a file's index
    /// among [`Layout::spans`], an offset within it, and what to fill.
    pub fn read<E: From<io::Error>>(
        &self,
        mut offset: u64,
        mut buffer: &mut [u8],
        manifest: &[u8],
        mut file: impl FnMut(usize, u64, &mut [u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        while !buffer.is_empty() {
            let (bytes, rest) = match self.locate(offset) {
                Place::Manifest => {
                    let manifest = &manifest[offset as usize..];
                    let (part, rest) = buffer.split_at_mut(manifest.len().min(buffer.len()));
                    part.copy_from_slice(&manifest[..part.len()]);
                    (part.len(), rest)
                }
                Place::File { index, offset: within } => {
                    let left = self.spans[index].bytes - within;
                    let length = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    let (part, rest) = buffer.split_at_mut(length);
                    file(index, within, part)?;
                    (length, rest)
                }
                Place::End => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            };
            offset += bytes as u64;
            buffer = rest;
        }
        Ok(())
    }

    /// Names what a range of the blob holds: `a/b bytes 0..10 and c bytes 0..6`, the first files only.
    pub fn describe(&self, range: Range<u64>) -> String {
        const NAMED: usize = 3;
        let mut parts = Vec::new();
        let mut offset = range.start;
        while offset < range.end && parts.len() <= NAMED {
            let (text, end) = match self.locate(offset) {
                Place::Manifest => ("the manifest".to_owned(), self.manifest_bytes),
                Place::End => break,
                Place::File { index, offset: from } => {
                    let span = self.spans[index];
                    let end = (span.start + span.bytes).min(range.end);
                    (format!("{} bytes {from}..{}", self.path(span), end - span.start), end)
                }
            };
            parts.push(text);
            offset = end;
        }
        if parts.len() > NAMED {
            parts[NAMED] = "more files".into();
        }
        if parts.is_empty() { "nothing".into() } else { parts.join(" and ") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Entry, EntryKind};

    fn tree() -> Layout {
        let file = |path: &str, bytes| Entry { path: path.into(), kind: EntryKind::File { bytes, mode: 0o644 } };
        let files = ["a", "b", "c", "d", "e"].map(|path| file(path, if path == "b" { 0 } else { 10 }));
        Layout::of_tree(Manifest::new(files.to_vec()).unwrap(), 100)
    }

    #[test]
    fn offsets_are_located() {
        let rows = [
            (0, Place::Manifest),
            (99, Place::Manifest),
            (100, Place::File { index: 0, offset: 0 }),
            (109, Place::File { index: 0, offset: 9 }),
            (110, Place::File { index: 1, offset: 0 }),
            (139, Place::File { index: 3, offset: 9 }),
            (140, Place::End),
            (u64::MAX, Place::End),
        ];
        for (offset, expect) in rows {
            assert_eq!(tree().locate(offset), expect, "{offset}");
        }
        assert_eq!(Layout::of_file("x", 0).locate(0), Place::End);
        assert_eq!(Layout::of_file("x", 1).locate(0), Place::File { index: 0, offset: 0 });
    }

    #[test]
    fn ranges_are_named() {
        let rows = [
            (0..50, "the manifest"),
            (90..105, "the manifest and a bytes 0..5"),
            (105..115, "a bytes 5..10 and c bytes 0..5"),
            (100..140, "a bytes 0..10 and c bytes 0..10 and d bytes 0..10 and more files"),
            (140..150, "nothing"),
        ];
        for (range, expect) in rows {
            assert_eq!(tree().describe(range.clone()), expect, "{range:?}");
        }
    }
}
