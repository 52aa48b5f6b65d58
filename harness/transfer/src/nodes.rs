//! Hash trees too large for memory: in a file that has no name.
//!
//! 64 bytes for each 16 KiB are 40 MB for 10 GiB. A provider's memory must not grow with its payload, so a large tree
//! lies in the system's directory for temporary files, and ends with the process whatever happens.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};

use crate::verified::{Nodes, PAIR_BYTES, Pair, pairs};

/// The largest tree that is kept in memory: of a blob of 1 GiB.
const MAX_MEMORY_PAIRS: u64 = 1 << 16;

/// Room for the hash tree of a blob of so many bytes.
pub fn room(size: u64) -> io::Result<Box<dyn Nodes>> {
    match pairs(size) {
        pairs @ ..=MAX_MEMORY_PAIRS => Ok(Box::new(vec![[0; PAIR_BYTES]; pairs as usize])),
        _ => Ok(Box::new(Unnamed(unnamed_file()?))),
    }
}

fn unnamed_file() -> io::Result<File> {
    let path = std::env::temp_dir().join(format!("longhaul-transfer.{}.nodes", std::process::id()));
    let file = OpenOptions::new().read(true).write(true).mode(0o600).create_new(true).open(&path)?;
    std::fs::remove_file(path)?;
    Ok(file)
}

/// Pairs in a file.
#[derive(Debug)]
struct Unnamed(File);

impl Nodes for Unnamed {
    fn load(&self, position: u64) -> io::Result<Pair> {
        let mut pair = [0; PAIR_BYTES];
        self.0.read_exact_at(&mut pair, place(position)?)?;
        Ok(pair)
    }

    fn save(&mut self, position: u64, pair: &Pair) -> io::Result<()> {
        self.0.write_all_at(pair, place(position)?)
    }
}

fn place(position: u64) -> io::Result<u64> {
    position.checked_mul(PAIR_BYTES as u64).ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_come_back_from_memory_and_from_a_file() {
        for size in [1 << 20, 2 << 30] {
            let mut nodes = room(size).unwrap();
            for position in [0, 3, pairs(size) - 1] {
                nodes.save(position, &[position as u8; PAIR_BYTES]).unwrap();
            }
            for position in [3, pairs(size) - 1, 0] {
                assert_eq!(nodes.load(position).unwrap(), [position as u8; PAIR_BYTES]);
            }
            assert!(nodes.load(u64::MAX).is_err() && nodes.save(u64::MAX, &[0; PAIR_BYTES]).is_err());
        }
    }
}
