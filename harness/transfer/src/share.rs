//! How much of a provider's memory each of its fetchers may fill.
//!
//! What was sent stays in memory until it is confirmed, and a long fat path needs a lot of it. A single fetcher may have
//! a whole window; several share most of one evenly, so that a provider's memory does not grow with their number, and none of them
//! can keep the others waiting by not confirming anything.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::pool::{Lent, Pool};

/// What a single one may have: 1 Gbit/s over a round trip of 200 ms takes 25 MB.
const ALONE_BYTES: u64 = 26 << 20;

/// What several share. Less than the window, because those who came first may still fill what was theirs alone.
const SHARED_BYTES: u64 = 24 << 20;

/// However many fetchers there are, each gets this much: less than a few packets in flight would stall it. From 384
/// fetchers on, memory grows with their number after all.
const LEAST_BYTES: u64 = 64 << 10;

/// Bytes read and encoded at once for few fetchers. Large enough that the step costs nothing, small enough for a
/// processor's cache.
const PIECE_BYTES: usize = 256 << 10;

/// The same for many: two groups and the hashes before them. A piece counts against the memory as a whole until its last
/// byte is confirmed.
const SMALL_PIECE_BYTES: usize = 36 << 10;

/// So many fetchers are many.
const MANY: u64 = 9;

/// Counts the fetchers of a provider that are being served, and has the buffers for all of them: taken from one place and
/// given back to it, they leave no holes between smaller things.
#[derive(Debug, Clone)]
pub struct Crowd {
    members: Arc<AtomicU64>,
    pieces: Pool,
    small_pieces: Pool,
}

/// One of them, until dropped.
#[derive(Debug)]
pub struct Member(Crowd);

impl Default for Crowd {
    fn default() -> Self {
        // Few of the large ones: when many fetchers have come, these must not lie about.
        let small = SHARED_BYTES as usize / SMALL_PIECE_BYTES;
        let (pieces, small_pieces) = (Pool::new(PIECE_BYTES, 16), Pool::new(SMALL_PIECE_BYTES, small));
        Crowd { members: Arc::default(), pieces, small_pieces }
    }
}

impl Crowd {
    /// One more.
    pub fn enter(&self) -> Member {
        self.members.fetch_add(1, Ordering::Relaxed);
        Member(self.clone())
    }
}

impl Member {
    /// Bytes that may be under way or ready to be sent to this fetcher now.
    pub fn window_bytes(&self) -> u64 {
        share(self.members())
    }

    /// A buffer for what is read at once for this fetcher now.
    pub fn piece(&self) -> Lent {
        if self.members() < MANY { self.0.pieces.take() } else { self.0.small_pieces.take() }
    }

    fn members(&self) -> u64 {
        self.0.members.load(Ordering::Relaxed)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.0.members.fetch_sub(1, Ordering::Relaxed);
    }
}

fn share(members: u64) -> u64 {
    match members {
        0 | 1 => ALONE_BYTES,
        members => (SHARED_BYTES / members).max(LEAST_BYTES),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_their_number_they_fill_no_more_than_the_window_and_their_last_pieces() {
        for members in [1, 2, 8, 9, 32, 100, 384] {
            let piece = if members < MANY { PIECE_BYTES } else { SMALL_PIECE_BYTES };
            let most = members * (share(members) + 2 * piece as u64);
            assert!(most <= if members <= 100 { 32 << 20 } else { 52 << 20 }, "{members} fill {most} bytes");
        }
    }

    #[test]
    fn who_leaves_makes_room() {
        let crowd = Crowd::default();
        let first = crowd.enter();
        let now = || (first.window_bytes(), first.piece().as_ref().len());
        assert_eq!(now(), (26 << 20, 256 << 10));
        let others: Vec<Member> = (0..99).map(|_| crowd.enter()).collect();
        assert_eq!(now(), (251_658, 36 << 10));
        drop(others);
        assert_eq!(now(), (26 << 20, 256 << 10));
    }
}
