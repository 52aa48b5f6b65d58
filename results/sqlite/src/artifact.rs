//! Content-addressed, compressed evidence.

use sqlx::SqliteConnection;
use std::io;

/// zstd's own default: a third of the size at a few hundred MB/s.
const LEVEL: i32 = 3;

/// The largest artifact that is decompressed, in bytes: a damaged size must not eat the memory.
const MAX_BYTES: usize = 1 << 30;

/// Bytes ready to be stored. Made before a transaction begins, so that no lock is held while compressing.
pub(crate) struct Artifact {
    hash: [u8; 32],
    bytes: i64,
    zstd: Vec<u8>,
}

impl Artifact {
    pub(crate) fn new(content: &[u8]) -> io::Result<Artifact> {
        Ok(Artifact {
            hash: *blake3::hash(content).as_bytes(),
            bytes: i64::try_from(content.len()).map_err(io::Error::other)?,
            zstd: zstd::bulk::compress(content, LEVEL)?,
        })
    }

    /// Stores it, unless the same content is there already. Returns its row.
    pub(crate) async fn put(&self, db: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
        sqlx::query("INSERT INTO artifacts (hash, bytes, zstd) VALUES (?, ?, ?) ON CONFLICT (hash) DO NOTHING")
            .bind(&self.hash[..])
            .bind(self.bytes)
            .bind(&self.zstd)
            .execute(&mut *db)
            .await?;
        sqlx::query_scalar("SELECT id FROM artifacts WHERE hash = ?").bind(&self.hash[..]).fetch_one(db).await
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
