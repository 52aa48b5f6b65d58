//! What a program prints, within limits: a program under test may print anything.

use crate::clock;
use netsim_fabric::Time;
use std::collections::VecDeque;
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Mutex, PoisonError};

/// The longest line that is kept whole.
const MAX_LINE_BYTES: usize = 64 * 1024;
/// The most standard output that is listened to.
pub const MAX_STDOUT_BYTES: u64 = 64 * 1024 * 1024;
/// The end of standard error that is kept.
const TAIL_BYTES: usize = 8 * 1024;

/// Something read from standard output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// A line without its newline, and when its last byte was read. Bytes that are not UTF-8 are replaced.
    Text {
        /// When.
        at: Time,
        /// What.
        text: String,
    },
    /// A line of more than 64 KiB; it is not kept.
    TooLong,
    /// More than [`MAX_STDOUT_BYTES`]; nothing after is read into lines.
    Flood,
}

/// Splits what `from` gives into lines until its end. Keeps reading after a flood, or when nobody wants the lines, so
/// that the program does not block.
pub(super) fn read_lines(mut from: impl Read, to: &SyncSender<Line>, flood: &AtomicBool) {
    let mut chunk = [0; 64 * 1024];
    let mut splitter = Splitter::default();
    let mut total = 0;
    let mut wanted = true;
    while let Ok(len @ 1..) = from.read(&mut chunk) {
        let flooded = total > MAX_STDOUT_BYTES;
        total += len as u64;
        match (flooded, total > MAX_STDOUT_BYTES) {
            (false, true) => {
                flood.store(true, Ordering::Relaxed);
                let _ = to.send(Line::Flood);
            }
            (false, false) if wanted => splitter.push(&chunk[..len], |line| wanted &= to.send(line).is_ok()),
            _ => {}
        }
    }
    splitter.finish(|line| drop(to.send(line)));
}

#[derive(Debug, Default)]
struct Splitter {
    line: Vec<u8>,
    too_long: bool,
}

impl Splitter {
    fn push(&mut self, bytes: &[u8], mut emit: impl FnMut(Line)) {
        let mut rest = bytes;
        while let Some(newline) = rest.iter().position(|byte| *byte == b'\n') {
            self.extend(&rest[..newline]);
            emit(self.take());
            rest = &rest[newline + 1..];
        }
        self.extend(rest);
    }

    fn finish(mut self, mut emit: impl FnMut(Line)) {
        if !self.line.is_empty() || self.too_long {
            emit(self.take());
        }
    }

    fn extend(&mut self, bytes: &[u8]) {
        self.too_long |= self.line.len() + bytes.len() > MAX_LINE_BYTES;
        if !self.too_long {
            self.line.extend_from_slice(bytes);
        }
    }

    fn take(&mut self) -> Line {
        let line = std::mem::take(&mut self.line);
        if std::mem::take(&mut self.too_long) {
            return Line::TooLong;
        }
        Line::Text { at: clock::now(), text: String::from_utf8_lossy(&line).into_owned() }
    }
}

/// The last bytes of a stream.
#[derive(Debug, Default)]
pub(super) struct Tail {
    bytes: VecDeque<u8>,
}

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        let keep = &bytes[bytes.len().saturating_sub(TAIL_BYTES)..];
        let overflow = (self.bytes.len() + keep.len()).saturating_sub(TAIL_BYTES);
        self.bytes.drain(..overflow.min(self.bytes.len()));
        self.bytes.extend(keep);
    }

    pub(super) fn to_text(&self) -> String {
        let bytes: Vec<u8> = self.bytes.iter().copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Keeps the end of what `from` gives.
pub(super) fn read_tail(mut from: impl Read, tail: &Mutex<Tail>) {
    let mut chunk = [0; 8 * 1024];
    while let Ok(len @ 1..) = from.read(&mut chunk) {
        tail.lock().unwrap_or_else(PoisonError::into_inner).push(&chunk[..len]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(chunks: &[&[u8]]) -> Vec<String> {
        let mut splitter = Splitter::default();
        let mut lines = Vec::new();
        let mut keep = |line| {
            lines.push(match line {
                Line::Text { text, .. } => text,
                other => format!("{other:?}"),
            });
        };
        for chunk in chunks {
            splitter.push(chunk, &mut keep);
        }
        splitter.finish(&mut keep);
        lines
    }

    #[test]
    fn lines_are_split_wherever_chunks_end() {
        let long = vec![b'x'; MAX_LINE_BYTES + 1];
        for (chunks, expect) in [
            (&[&b"a\nb\n"[..]][..], vec!["a", "b"]),
            (&[b"a", b"b\nc"], vec!["ab", "c"]),
            (&[b"\n\n"], vec!["", ""]),
            (&[b"\xff\n"], vec!["\u{fffd}"]),
            (&[&long, b"\nok\n"], vec!["TooLong", "ok"]),
            (&[&long], vec!["TooLong"]),
            (&[], vec![]),
        ] {
            assert_eq!(lines(chunks), expect);
        }
    }

    #[test]
    fn a_flood_ends_the_lines_once() {
        let (to, from) = std::sync::mpsc::sync_channel(100);
        std::thread::spawn(move || {
            read_lines(std::io::repeat(b'\n').take(MAX_STDOUT_BYTES + 1_000_000), &to, &AtomicBool::new(false));
        });
        let floods = from.into_iter().filter(|line| *line == Line::Flood).count();
        assert_eq!(floods, 1);
    }

    #[test]
    fn a_tail_keeps_the_end() {
        let mut tail = Tail::default();
        tail.push(&[b'a'; 3 * TAIL_BYTES]);
        tail.push(b"end");
        assert!(tail.to_text().ends_with("aend"));
        assert_eq!(tail.to_text().len(), TAIL_BYTES);
    }
}
