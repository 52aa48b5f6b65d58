//! The largest packet that comes through.

use super::{HEADERS, wait_one_way};
use crate::socket::{Received, Socket};
use longhaul_record::MtuCheck;
use netsim_topology::{HOST_MTU, PathProfile};
use std::io;
use std::net::SocketAddr;

/// So probes are known from all others; the number of the question follows.
const MARK: &[u8; 4] = b"MTU?";
/// The smallest packet that is tried: every host takes it in (RFC 791).
const LEAST: u32 = 576;
/// So often a size is tried: bursts of loss may take all copies of one try.
const TRIES: u32 = 4;
/// All copies of one try are lost with this probability at most.
const LOST: f64 = 1e-6;
const MAX_COPIES: u32 = 30;

/// Whether packets as large as the path's MTU arrive, and larger ones do not; if it is otherwise, the size up to which
/// they do.
pub(super) fn measure(sender: &Socket, to: SocketAddr, receiver: &Socket, path: &PathProfile) -> io::Result<MtuCheck> {
    receiver.set_timeout(wait_one_way(path))?;
    let mut prober = Prober { sender, to, receiver, path, question: 0 };
    let asked = path.mtu();
    let found = prober.try_sizes(&[asked + 1, asked]);
    let got = match (found.contains(&asked), found.contains(&(asked + 1))) {
        (true, false) => asked,
        (_, true) => prober.search(asked + 1, HOST_MTU),
        (false, false) => prober.search(LEAST, asked - 1),
    };
    Ok(MtuCheck { asked, got })
}

struct Prober<'a> {
    sender: &'a Socket,
    to: SocketAddr,
    receiver: &'a Socket,
    path: &'a PathProfile,
    /// Copies of earlier probes may still be under way.
    question: u32,
}

impl Prober<'_> {
    /// Which of `sizes` arrive, in bytes of IP. The last one is expected to, and comes after the others.
    fn try_sizes(&mut self, sizes: &[u32]) -> Vec<u32> {
        self.question += 1;
        let mark = [*MARK, self.question.to_be_bytes()].concat();
        let mut found = Vec::new();
        for _ in 0..TRIES {
            for size in sizes.iter().filter(|size| **size <= HOST_MTU) {
                let mut payload = mark.clone();
                payload.resize(size.saturating_sub(HEADERS) as usize, 0);
                for _ in 0..copies(self.path.loss_ppb()) {
                    // What the kernel does not take does not arrive.
                    let _ = self.sender.send(&payload, self.to);
                }
            }
            let last = sizes.last();
            let mut buffer = [0; HOST_MTU as usize];
            while let Ok(Received { len, .. }) = self.receiver.receive(&mut buffer) {
                let size = len as u32 + HEADERS;
                if !buffer.starts_with(&mark) {
                    continue;
                }
                if !found.contains(&size) {
                    found.push(size);
                }
                // Nothing that was sent earlier comes later.
                if Some(&size) == last && !self.path.reorders() {
                    break;
                }
            }
            if last.is_some_and(|last| found.contains(last)) {
                break;
            }
        }
        found
    }

    /// The largest size that arrives of `low..=high`, below `low` if none does. A small packet behind each says when to
    /// wait no longer.
    fn search(&mut self, mut low: u32, mut high: u32) -> u32 {
        while low <= high {
            let middle = low.midpoint(high);
            if self.try_sizes(&[middle, LEAST]).contains(&middle) {
                low = middle + 1;
            } else {
                high = middle - 1;
            }
        }
        high
    }
}

/// How many copies of a packet make sure that one arrives.
fn copies(loss_ppb: u32) -> u32 {
    let loss = f64::from(loss_ppb) / 1e9;
    let copies = if loss > 0.0 { (LOST.ln() / loss.ln()).ceil() } else { 1.0 };
    // Of `f64` to `u32` as far as it goes: certain loss asks for endlessly many.
    (copies as u32).clamp(1, MAX_COPIES)
}

#[cfg(test)]
mod tests {
    use super::copies;

    #[test]
    fn more_loss_needs_more_copies() {
        assert_eq!([0, 10_000_000, 500_000_000, 999_999_999].map(copies), [1, 3, 20, 30]);
    }
}
