//! What happened during a run beside its numbers: ways that were taken, mappings that came and went, silences. All times
//! are seconds on the run's clock, which starts with the first fetcher.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The most of each kind that a record holds: the earliest.
pub const MAX_HAPPENINGS: usize = 1000;

/// A fetcher went on by another way, by its own word.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PathChange {
    /// The fetcher's host.
    pub host: String,
    /// When, in seconds.
    pub at_s: f64,
    /// `direct` or `relay`. Untrusted text.
    pub kind: String,
    /// The address that it sends to. Untrusted text.
    pub remote: String,
}

/// A mapping in a router's NAT table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NatMapping {
    /// The router's name.
    pub router: String,
    /// `udp`, `tcp` or `icmp`.
    pub protocol: String,
    /// The host's endpoint, for example `192.168.1.2:4433`.
    pub internal: String,
    /// What the outside saw of it.
    pub external: String,
    /// When it was made, in seconds; below 0: before the transfer.
    pub from_s: f64,
    /// When it ended, in seconds; absent: it was there at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_s: Option<f64>,
    /// Why it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<MappingEnd>,
}

/// Why a mapping ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MappingEnd {
    /// Its time ran out.
    Expired,
    /// The host asked for its end.
    Deleted,
    /// The router lost its table or its address.
    Flushed,
}

impl MappingEnd {
    /// For people: `expired`.
    pub fn as_str(self) -> &'static str {
        match self {
            MappingEnd::Expired => "expired",
            MappingEnd::Deleted => "deleted",
            MappingEnd::Flushed => "flushed",
        }
    }
}

/// Nothing came for at least 200 ms, although something should have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Stall {
    /// The fetcher's host.
    pub host: String,
    /// When it began, in seconds.
    pub from_s: f64,
    /// When it was over.
    pub until_s: f64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Series;

    #[test]
    fn what_was_not_recorded_is_absent() {
        let series = r#"{"name":"payload","unit":"bit/s","interval_ms":50,"values":[1.0]}"#;
        let read: Series = serde_json::from_str(series).unwrap();
        assert_eq!((read.peer.as_deref(), serde_json::to_string(&read).unwrap().as_str()), (None, series));
        let mapping = r#"{"router":"home","protocol":"udp","internal":"a","external":"b","from_s":-0.5}"#;
        let read: NatMapping = serde_json::from_str(mapping).unwrap();
        assert_eq!((read.until_s, read.end), (None, None));
        assert_eq!(serde_json::to_string(&read).unwrap(), mapping);
        let ended = NatMapping { until_s: Some(2.0), end: Some(MappingEnd::Flushed), ..read };
        let text = serde_json::to_string(&ended).unwrap();
        assert!(text.ends_with(r#""until_s":2.0,"end":"flushed"}"#), "{text}");
        assert_eq!(serde_json::from_str::<NatMapping>(&text).unwrap(), ended);
    }
}
