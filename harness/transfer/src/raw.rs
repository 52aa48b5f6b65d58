//! The yardstick: as many bytes over the same QUIC settings, from memory to nowhere.
//!
//! What a verified transfer loses against it is the price of reading, hashing and writing.

use bytes::Bytes;
use quinn::{Connection, SendStream, WriteError};

use crate::quic;
use crate::share::Member;

/// Bytes handed to quinn at once, like the verified transfer's pieces.
const PIECE_BYTES: usize = 256 * 1024;

/// Sends `bytes` bytes. All pieces share one buffer: nothing is read and nothing copied.
pub async fn send(
    connection: &Connection,
    stream: &mut SendStream,
    member: &Member,
    bytes: u64,
) -> Result<(), WriteError> {
    let piece = Bytes::from(vec![0x5a; PIECE_BYTES]);
    let mut left = bytes;
    while left > 0 {
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE_BYTES);
        quic::write(connection, stream, member, piece.slice(..length)).await?;
        left -= length as u64;
    }
    Ok(())
}
