//! The subject protocol: one JSON object per line on a subject's standard output.
//!
//! A subject that speaks it tells the runner what no outside observer can see. Every event may carry `t`, the seconds
//! since the subject's own process start; without it the runner uses the time at which the line arrived. A program
//! that does not speak the protocol is wrapped by captures in its subject file instead.

use serde::{Deserialize, Serialize};

/// The longest line a runner parses, in bytes. Longer lines are an error of the subject.
pub const MAX_EVENT_BYTES: usize = 64 * 1024;

/// One line of a subject's standard output.
///
/// ```
/// use longhaul_record::Event;
/// let event = Event::parse(r#"{"event":"progress","t":0.35,"bytes":1048576}"#).unwrap();
/// assert_eq!(event, Event::Progress { t: Some(0.35), bytes: 1_048_576 });
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    /// A provider reads, hashes and indexes its payload; every 50 ms.
    Importing {
        /// Seconds since process start.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        t: Option<f64>,
        /// Bytes imported so far.
        bytes: u64,
        /// Bytes there are to import.
        of: u64,
    },
    /// A provider's payload is imported. Nothing of this time belongs to any transfer.
    Imported {
        /// Seconds since process start.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        t: Option<f64>,
        /// Bytes imported.
        bytes: u64,
        /// How long that took, in seconds.
        seconds: f64,
    },
    /// A provider can be fetched from. `ticket` is what a fetcher needs to find and verify the payload.
    Ready {
        /// Seconds since process start.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        t: Option<f64>,
        /// Opaque text handed to the fetcher as `{provider.ticket}`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ticket: Option<String>,
        /// Seconds spent hashing and indexing the payload before being ready.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        import_seconds: Option<f64>,
    },
    /// The fetcher's connection is up: handshake complete, nothing requested yet.
    Connected {
        /// Seconds since process start.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        t: Option<f64>,
    },
    /// The first payload byte arrived.
    FirstByte {
        /// Seconds since process start.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        t: Option<f64>,
    },
    /// Payload bytes received and verified so far; every 50 ms.
    Progress {
        /// Seconds since process start.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        t: Option<f64>,
        /// Verified payload bytes since the start.
        bytes: u64,
    },
    /// A fetcher goes on where an earlier one stopped. All counts of bytes include these.
    Resumed {
        /// Seconds since process start.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        t: Option<f64>,
        /// Payload bytes that were found verified and are not fetched again.
        bytes: u64,
    },
    /// One of a fetcher's several providers is not asked any more; the others go on.
    Dropped {
        /// Seconds since process start.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        t: Option<f64>,
        /// The provider's address as text.
        remote: String,
        /// What it did, for a person.
        reason: String,
    },
    /// The network path in use changed.
    Path {
        /// Seconds since process start.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        t: Option<f64>,
        /// `direct` or `relay`.
        kind: String,
        /// The peer's address as text.
        remote: String,
    },
    /// A fetcher looked up who has one of the keys it was told.
    Lookup {
        /// Seconds since process start.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        t: Option<f64>,
        /// Whether anybody was found.
        found: bool,
        /// From asking to the first answer that names somebody, or to giving up.
        seconds: f64,
        /// Protocol messages sent and got until the lookup had ended; absent: not counted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        messages: Option<u64>,
    },
    /// The transfer is complete: everything verified and written.
    Done {
        /// Seconds since process start.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        t: Option<f64>,
        /// Payload bytes received and verified.
        bytes: u64,
        /// Those that came directly; absent: there was no choice.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        direct_bytes: Option<u64>,
        /// Those that came by a relay; absent: there was no choice.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        relayed_bytes: Option<u64>,
        /// Messages of its own protocol that were sent and got: a request is one, an answer is one, however long.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        messages: Option<u64>,
    },
    /// The transfer failed. The process should exit with a non-zero status afterwards.
    Error {
        /// Seconds since process start.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        t: Option<f64>,
        /// What went wrong, for a person.
        message: String,
    },
}

/// Why a line is not an event.
#[derive(Debug, thiserror::Error)]
pub enum ProtocolError {
    /// The line is longer than [`MAX_EVENT_BYTES`].
    #[error("a line of {bytes} bytes; the subject protocol allows {MAX_EVENT_BYTES}")]
    TooLong {
        /// Length of the offending line.
        bytes: usize,
    },
    /// The line is not one of the events.
    #[error("not a subject-protocol event: {excerpt:?}")]
    Malformed {
        /// The line's beginning.
        excerpt: String,
        /// What the JSON parser said.
        #[source]
        source: serde_json::Error,
    },
    /// A time or size that cannot be.
    #[error("`{key}` must be a number of seconds of at least 0, got {value}")]
    BadTime {
        /// What it is called.
        key: &'static str,
        /// The offending value.
        value: f64,
    },
}

impl Event {
    /// Parses one line, without its newline.
    pub fn parse(line: &str) -> Result<Event, ProtocolError> {
        if line.len() > MAX_EVENT_BYTES {
            return Err(ProtocolError::TooLong { bytes: line.len() });
        }
        let event: Event = serde_json::from_str(line)
            .map_err(|source| ProtocolError::Malformed { excerpt: line.chars().take(120).collect(), source })?;
        let took = if let Event::Lookup { seconds, .. } = &event { Some(*seconds) } else { None };
        let mut times = [("t", event.t()), ("seconds", took)].into_iter().filter_map(|(key, time)| Some((key, time?)));
        match times.find(|(_, time)| !(time.is_finite() && *time >= 0.0)) {
            Some((key, value)) => Err(ProtocolError::BadTime { key, value }),
            None => Ok(event),
        }
    }

    /// The subject's own time stamp, in seconds since its process start.
    pub fn t(&self) -> Option<f64> {
        match self {
            Event::Importing { t, .. }
            | Event::Imported { t, .. }
            | Event::Ready { t, .. }
            | Event::Connected { t }
            | Event::FirstByte { t }
            | Event::Progress { t, .. }
            | Event::Resumed { t, .. }
            | Event::Dropped { t, .. }
            | Event::Path { t, .. }
            | Event::Lookup { t, .. }
            | Event::Done { t, .. }
            | Event::Error { t, .. } => *t,
        }
    }

    /// The event as one line of JSON, without a newline.
    pub fn to_line(&self) -> String {
        serde_json::to_string(self).expect("events hold only text and finite numbers")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_survives_a_round_trip() {
        let rows = [
            Event::Importing { t: Some(0.1), bytes: 1, of: 2 },
            Event::Imported { t: Some(0.2), bytes: 2, seconds: 0.125 },
            Event::Ready { t: Some(0.5), ticket: Some("abc".into()), import_seconds: Some(0.25) },
            Event::Connected { t: None },
            Event::FirstByte { t: Some(0.0) },
            Event::Progress { t: Some(1.0), bytes: 7 },
            Event::Resumed { t: None, bytes: 3 },
            Event::Dropped { t: Some(0.5), remote: "198.18.0.2:4433".into(), reason: "gone".into() },
            Event::Path { t: None, kind: "direct".into(), remote: "198.18.0.1:4433".into() },
            Event::Done { t: Some(2.0), bytes: 9, direct_bytes: None, relayed_bytes: None, messages: None },
            Event::Done { t: Some(2.0), bytes: 9, direct_bytes: Some(7), relayed_bytes: Some(2), messages: Some(4) },
            Event::Lookup { t: None, found: true, seconds: 0.25, messages: Some(17) },
            Event::Lookup { t: Some(1.0), found: false, seconds: 2.0, messages: None },
            Event::Error { t: None, message: "broken \"quote\"\n".into() },
        ];
        for event in rows {
            assert_eq!(Event::parse(&event.to_line()).unwrap(), event);
        }
    }

    #[test]
    fn garbage_is_refused_with_its_beginning() {
        let long = format!(r#"{{"event":"error","message":"{}"}}"#, "x".repeat(MAX_EVENT_BYTES));
        let rows = [
            ("hello", "not a subject-protocol event: \"hello\""),
            (r#"{"event":"launch"}"#, "not a subject-protocol event"),
            (r#"{"event":"connected","when":1}"#, "not a subject-protocol event"),
            (r#"{"event":"connected","t":-1}"#, "`t` must be a number of seconds of at least 0, got -1"),
            (
                r#"{"event":"lookup","found":true,"seconds":-0.5}"#,
                "`seconds` must be a number of seconds of at least 0",
            ),
            (r#"{"event":"lookup","seconds":0.5}"#, "not a subject-protocol event"),
            (long.as_str(), "the subject protocol allows 65536"),
        ];
        for (line, expect) in rows {
            let error = Event::parse(line).unwrap_err().to_string();
            assert!(error.contains(expect), "{error:?} should contain {expect:?}");
        }
    }
}
