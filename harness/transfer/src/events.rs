//! Subject-protocol events on standard output, at a bounded rate.
//!
//! A fetch prints a handful of events and one `progress` each 50 ms: never one per packet or per chunk. Nothing else
//! may write to standard output, or the runner would take it for an event.

use std::io::Write;
use std::time::Duration;

use longhaul_record::Event;

use crate::clock::Clock;

/// Time between two `progress` events.
pub const PROGRESS_INTERVAL: Duration = Duration::from_millis(50);

/// The longest message of an `error` event, in bytes: far below what the runner refuses.
const MAX_MESSAGE_BYTES: usize = 4096;

/// Standard output no longer takes events.
#[derive(Debug, thiserror::Error)]
#[error("cannot write an event to standard output")]
pub struct EmitError(#[from] std::io::Error);

/// Writes events, each with the seconds since process start.
#[derive(Debug)]
pub struct Emitter<W: Write> {
    clock: Clock,
    out: W,
    next_progress: Duration,
}

impl Emitter<std::io::Stdout> {
    /// An emitter on standard output.
    pub fn stdout(clock: Clock) -> Self {
        Emitter::new(clock, std::io::stdout())
    }
}

impl<W: Write> Emitter<W> {
    /// An emitter on any writer.
    pub fn new(clock: Clock, out: W) -> Self {
        Emitter { clock, out, next_progress: Duration::ZERO }
    }

    /// The clock behind `t`.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Reports `bytes` of `of` imported bytes unless the last report is younger than [`PROGRESS_INTERVAL`].
    pub fn importing(&mut self, bytes: u64, of: u64) -> Result<(), EmitError> {
        match self.due() {
            Some(t) => self.write(&Event::Importing { t: Some(t), bytes, of }),
            None => Ok(()),
        }
    }

    /// The payload is imported, which took `time`.
    pub fn imported(&mut self, bytes: u64, time: Duration) -> Result<(), EmitError> {
        let t = self.now();
        self.write(&Event::Imported { t, bytes, seconds: crate::clock::seconds(time) })
    }

    /// The provider can be fetched from.
    pub fn ready(&mut self, ticket: Option<String>, import: Option<Duration>) -> Result<(), EmitError> {
        let t = self.now();
        self.write(&Event::Ready { t, ticket, import_seconds: import.map(crate::clock::seconds) })
    }

    /// The handshake is complete.
    pub fn connected(&mut self) -> Result<(), EmitError> {
        let t = self.now();
        self.write(&Event::Connected { t })
    }

    /// The path in use: a direct one to the provider, or one by way of a server.
    pub fn path(&mut self, direct: bool, remote: std::net::SocketAddr) -> Result<(), EmitError> {
        let t = self.now();
        let kind = if direct { "direct" } else { "relay" };
        self.write(&Event::Path { t, kind: kind.into(), remote: remote.to_string() })
    }

    /// The first byte of the payload's stream arrived.
    pub fn first_byte(&mut self) -> Result<(), EmitError> {
        let t = self.now();
        self.write(&Event::FirstByte { t })
    }

    /// Reports `bytes` unless the last report is younger than [`PROGRESS_INTERVAL`].
    pub fn progress(&mut self, bytes: u64) -> Result<(), EmitError> {
        match self.due() {
            Some(t) => self.write(&Event::Progress { t: Some(t), bytes }),
            None => Ok(()),
        }
    }

    /// So many bytes of the payload are there from an earlier fetch.
    pub fn resumed(&mut self, bytes: u64) -> Result<(), EmitError> {
        let t = self.now();
        self.write(&Event::Resumed { t, bytes })
    }

    /// One of several providers has failed, or lied; the rest go on.
    pub fn dropped(&mut self, remote: std::net::SocketAddr, reason: &str) -> Result<(), EmitError> {
        let t = self.now();
        let reason = truncate(reason, MAX_MESSAGE_BYTES).to_owned();
        self.write(&Event::Dropped { t, remote: remote.to_string(), reason })
    }

    /// Everything is verified and written. `ways` are the payload bytes that came directly and by a relay, where there was
    /// a choice; `messages` are all requests and their answers, where they were counted.
    pub fn done(&mut self, bytes: u64, ways: Option<[u64; 2]>, messages: Option<u64>) -> Result<(), EmitError> {
        let t = self.now();
        let [direct_bytes, relayed_bytes] = ways.map_or([None; 2], |ways| ways.map(Some));
        self.write(&Event::Done { t, bytes, direct_bytes, relayed_bytes, messages })
    }

    /// The transfer failed.
    pub fn error(&mut self, message: &str) -> Result<(), EmitError> {
        let t = self.now();
        let message = truncate(message, MAX_MESSAGE_BYTES).to_owned();
        self.write(&Event::Error { t, message })
    }

    /// The time, if a report of progress is due.
    fn due(&mut self) -> Option<f64> {
        let now = self.clock.elapsed();
        if now < self.next_progress {
            return None;
        }
        self.next_progress = now + PROGRESS_INTERVAL;
        Some(crate::clock::seconds(now))
    }

    fn now(&self) -> Option<f64> {
        Some(self.clock.seconds())
    }

    fn write(&mut self, event: &Event) -> Result<(), EmitError> {
        // One write per line, so that a reader never sees half an event.
        let mut line = event.to_line();
        line.push('\n');
        self.out.write_all(line.as_bytes())?;
        Ok(self.out.flush()?)
    }
}

/// The longest prefix of at most `bytes` bytes that ends between two characters.
pub fn truncate(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_bounded_however_often_it_is_reported() {
        let mut out = Vec::new();
        let mut emitter = Emitter::new(Clock::start(), &mut out);
        for bytes in 0..50_000 {
            emitter.importing(bytes, 50_000).unwrap();
            emitter.progress(bytes).unwrap();
        }
        let allowed = 1 + emitter.clock().elapsed().as_millis() / PROGRESS_INTERVAL.as_millis();
        let lines = String::from_utf8(out).unwrap().lines().count();
        assert!(lines >= 1 && lines as u128 <= allowed, "{lines} lines, {allowed} allowed");
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let mut out = Vec::new();
        Emitter::new(Clock::start(), &mut out).error(&"ä".repeat(100_000)).unwrap();
        let line = String::from_utf8(out).unwrap();
        assert!(Event::parse(line.trim_end()).is_ok() && line.len() < 5000, "{} bytes", line.len());
    }
}
