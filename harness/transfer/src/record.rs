//! The record of an interrupted fetch: what it takes to know which bytes of its output are right.
//!
//! It holds the pairs of the hash tree that have arrived, and a tree's manifest. No list of ranges: which bytes are there
//! follows from checking the output against the pairs, from the root down ([`missing`](crate::verified::missing)). So
//! nothing has to be written in an order, nothing has to reach the disk before anything else, and a record or an output
//! that was damaged, cut off or exchanged costs a second fetch of those bytes and nothing more.
//!
//! ```text
//! "LHR1", kind (u8), 3 bytes 0, size of the blob (u64), its hash (32 bytes), 16 bytes 0
//! the pairs in pre-order, 64 bytes each; those that have not arrived are 0
//! a tree's manifest, header included
//! ```

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::manifest::{HEADER_BYTES, Manifest};
use crate::sink::WriteError;
use crate::ticket::{Kind, Ticket};
use crate::verified::{Nodes, PAIR_BYTES, Pair, pairs};

const MAGIC: &[u8; 4] = b"LHR1";

/// Bytes before the pairs.
const HEAD_BYTES: usize = 64;

/// A record, locked against other fetches while this value lives.
#[derive(Debug)]
pub struct Record {
    file: File,
    path: PathBuf,
    pairs: u64,
    /// Whether there was one before.
    found: bool,
}

impl Record {
    /// The record of fetching a ticket's payload to `out`: the one that is there, or a new one.
    pub fn open(out: &Path, ticket: &Ticket) -> Result<Record, WriteError> {
        let path = beside(out, ticket, "resume")?;
        let create = |source| WriteError::Create { path: path.clone(), source };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(nix::libc::O_NOFOLLOW);
        let file = options.open(&path).map_err(create)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(WriteError::Busy { path }),
            Err(TryLockError::Error(source)) => return Err(create(source)),
        }
        let mut head = [0; HEAD_BYTES];
        let expect = head_of(ticket);
        let found = file.read_exact_at(&mut head, 0).is_ok() && head == expect;
        if !found {
            file.set_len(0).and_then(|()| file.write_all_at(&expect, 0)).map_err(create)?;
        }
        Ok(Record { file, path, pairs: pairs(ticket.size), found })
    }

    /// Whether an earlier fetch left it.
    pub fn found(&self) -> bool {
        self.found
    }

    /// Keeps a verified pair.
    pub fn keep(&mut self, position: u64, pair: &Pair) -> Result<(), WriteError> {
        self.save(position, pair).map_err(|source| WriteError::Write { path: self.path.clone(), source })
    }

    /// Keeps a manifest, header included.
    pub fn keep_manifest(&self, bytes: &[u8]) -> Result<(), WriteError> {
        let written = self.file.write_all_at(bytes, self.manifest_offset());
        written.map_err(|source| WriteError::Write { path: self.path.clone(), source })
    }

    /// The manifest that was kept, if it is one. It may still be another tree's.
    pub fn manifest(&self) -> Option<Vec<u8>> {
        let mut header = [0; HEADER_BYTES];
        self.file.read_exact_at(&mut header, self.manifest_offset()).ok()?;
        let mut bytes = vec![0; HEADER_BYTES + Manifest::decode_header(&header).ok()?];
        self.file.read_exact_at(&mut bytes, self.manifest_offset()).ok()?;
        Some(bytes)
    }

    /// Removes the record, whose output is complete, or was never begun.
    pub fn remove(self) {
        // A record that stays does no harm: no output can be resumed that has its name already.
        let _ = fs::remove_file(&self.path);
    }

    fn manifest_offset(&self) -> u64 {
        HEAD_BYTES as u64 + self.pairs * PAIR_BYTES as u64
    }

    fn place(&self, position: u64) -> io::Result<u64> {
        let within = (position < self.pairs).then_some(HEAD_BYTES as u64 + position * PAIR_BYTES as u64);
        within.ok_or_else(|| io::ErrorKind::InvalidInput.into())
    }
}

impl Nodes for Record {
    fn load(&self, position: u64) -> io::Result<Pair> {
        let mut pair = [0; PAIR_BYTES];
        self.file.read_exact_at(&mut pair, self.place(position)?)?;
        Ok(pair)
    }

    fn save(&mut self, position: u64, pair: &Pair) -> io::Result<()> {
        self.file.write_all_at(pair, self.place(position)?)
    }
}

/// A hidden name beside `out` for what belongs to a ticket's payload.
pub(crate) fn beside(out: &Path, ticket: &Ticket, extension: &str) -> Result<PathBuf, WriteError> {
    let name = out.file_name().ok_or_else(|| WriteError::Unnamed { path: out.into() })?;
    let hash = &ticket.hash.to_hex()[..16];
    Ok(out.with_file_name(format!(".{}.{hash}.{extension}", name.to_string_lossy())))
}

fn head_of(ticket: &Ticket) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    head[..4].copy_from_slice(MAGIC);
    head[4] = u8::from(ticket.kind == Kind::Tree);
    head[8..16].copy_from_slice(&ticket.size.to_le_bytes());
    head[16..48].copy_from_slice(ticket.hash.as_bytes());
    head
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ticket::PeerKey;

    #[test]
    fn a_record_is_found_again_by_the_same_payload_only_and_by_one_fetch_at_a_time() {
        let scratch = tempfile::tempdir().unwrap();
        let out = scratch.path().join("out");
        let ticket = |size| Ticket { kind: Kind::File, size, hash: blake3::hash(b"x"), key: PeerKey([0; 32]), port: 1 };
        let mut record = Record::open(&out, &ticket(100_000)).unwrap();
        assert!(!record.found());
        record.keep(5, &[7; PAIR_BYTES]).unwrap();
        assert!(record.load(6).is_err() && record.keep(6, &[7; PAIR_BYTES]).is_err(), "there are 6 pairs");
        let busy = Record::open(&out, &ticket(100_000)).unwrap_err().to_string();
        assert!(busy.contains("another fetch is using"), "{busy:?}");
        drop(record);
        let record = Record::open(&out, &ticket(100_000)).unwrap();
        assert!(record.found());
        assert_eq!((record.load(0).unwrap(), record.load(5).unwrap()), ([0; PAIR_BYTES], [7; PAIR_BYTES]));
        drop(record);
        let record = Record::open(&out, &ticket(200_000)).unwrap();
        assert!(!record.found() && record.load(5).is_err());
        record.remove();
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
    }
}
