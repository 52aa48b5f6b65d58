//! Content-addressed, compressed evidence.

use std::io;
use zstd::bulk::Compressor;

/// zstd's own default: a third of the size at a few hundred MB/s.
const LEVEL: i32 = 3;

/// The largest artifact that is decompressed, in bytes: a damaged size must not eat the memory.
const MAX_BYTES: usize = 1 << 30;

/// BLAKE3 of the uncompressed content.
pub(crate) type Hash = [u8; 32];

/// Bytes ready to be stored. Made before a transaction begins, so that no lock is held while compressing.
pub(crate) struct Artifact {
    pub(crate) hash: Hash,
    pub(crate) bytes: i64,
    pub(crate) zstd: Vec<u8>,
}

/// Makes artifacts, one after the other: starting zstd anew costs more than compressing a record does.
pub(crate) struct Press(Compressor<'static>);

impl Press {
    pub(crate) fn new() -> io::Result<Press> {
        Ok(Press(Compressor::new(LEVEL)?))
    }

    pub(crate) fn artifact(&mut self, content: &[u8]) -> io::Result<Artifact> {
        Ok(Artifact {
            hash: *blake3::hash(content).as_bytes(),
            bytes: i64::try_from(content.len()).map_err(io::Error::other)?,
            zstd: self.0.compress(content)?,
        })
    }
}

/// The content of a stored artifact, checked against its name.
pub(crate) fn open(hash: &[u8], bytes: i64, zstd: &[u8]) -> io::Result<Vec<u8>> {
    let size = usize::try_from(bytes).ok().filter(|size| *size <= MAX_BYTES);
    let size = size.ok_or_else(|| io::Error::other(format!("an artifact of {bytes} bytes")))?;
    let content = zstd::bulk::decompress(zstd, size)?;
    if blake3::hash(&content).as_bytes()[..] != *hash {
        return Err(io::Error::other("an artifact's content does not match its hash"));
    }
    Ok(content)
}
