//! Where packets wait.

use crate::quantity::{Bytes, MilliPackets, Nanos, Ppb};
use crate::schema::{Unlimited, any_of};
use netsim_fabric::{CoDelConfig, Discipline, Limit, Probability, Queue, RedConfig};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{Deserializer, Error};
use std::fmt;

/// How much may wait, or a table that also says what keeps it short.
#[derive(Debug, Clone, Copy)]
pub(super) struct QueueChoice(pub(super) Queue);

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct QueueFile {
    limit: Option<LimitChoice>,
    #[serde(default)]
    discipline: DisciplineChoice,
    target: Option<Nanos>,
    interval: Option<Nanos>,
    min: Option<Bytes>,
    max: Option<Bytes>,
    probability: Option<Ppb>,
    #[serde(default)]
    ecn: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum DisciplineChoice {
    #[default]
    DropTail,
    Codel,
    Red,
}

/// "0.002" of the paper that introduced RED.
const RED_WEIGHT_SHIFT: u8 = 9;
/// And its probability at the upper threshold, as Linux documents it.
const RED_PROBABILITY_PPB: u32 = 20_000_000;

impl QueueFile {
    fn resolve(&self) -> Result<Queue, String> {
        let of_codel = self.target.is_some() || self.interval.is_some();
        let of_red = self.min.is_some() || self.max.is_some() || self.probability.is_some();
        let discipline = match self.discipline {
            DisciplineChoice::DropTail if self.ecn => {
                return Err("a drop-tail queue marks nothing; `ecn` needs discipline \"codel\" or \"red\"".into());
            }
            discipline if of_codel && discipline != DisciplineChoice::Codel => {
                return Err("`target` and `interval` belong to discipline = \"codel\"".into());
            }
            discipline if of_red && discipline != DisciplineChoice::Red => {
                return Err("`min`, `max` and `probability` belong to discipline = \"red\"".into());
            }
            DisciplineChoice::DropTail => Discipline::DropTail,
            DisciplineChoice::Codel => {
                let base = CoDelConfig::default();
                Discipline::CoDel(CoDelConfig {
                    target_ns: self.target.map_or(base.target_ns, |target| target.0),
                    interval_ns: self.interval.map_or(base.interval_ns, |interval| interval.0),
                })
            }
            DisciplineChoice::Red => {
                let (Some(Bytes(min_bytes)), Some(Bytes(max_bytes))) = (self.min, self.max) else {
                    return Err(
                        "discipline \"red\" needs thresholds, for example min = \"30KiB\", max = \"90KiB\"".into()
                    );
                };
                if max_bytes <= min_bytes {
                    return Err("`max` must be larger than `min`".into());
                }
                let ppb = self.probability.map_or(RED_PROBABILITY_PPB, |share| share.0);
                let max_probability = Probability::from_ppb(ppb).unwrap_or(Probability::ONE);
                Discipline::Red(RedConfig { min_bytes, max_bytes, max_probability, weight_shift: RED_WEIGHT_SHIFT })
            }
        };
        let limit = self.limit.map_or(Limit::Unbounded, |limit| limit.0);
        Ok(Queue { limit, discipline, ecn: self.ecn })
    }
}

any_of!(QueueChoice, "Queue", "How much waits, or a table", [LimitChoice, QueueFile]);

impl<'de> Deserialize<'de> for QueueChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<QueueChoice, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = QueueChoice;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a size like \"64KiB\" or \"100 packets\", in quotes, or a table with `limit` and `discipline`",
                )
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<QueueChoice, E> {
                Ok(QueueChoice(Queue { limit: limit(text)?, ..Queue::default() }))
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<QueueChoice, A::Error> {
                let file = QueueFile::deserialize(MapAccessDeserializer::new(map))?;
                file.resolve().map(QueueChoice).map_err(A::Error::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// What fits into a queue.
#[derive(Debug, Clone, Copy)]
struct LimitChoice(Limit);

any_of!(LimitChoice, "QueueLimit", "What fits into a queue", [Bytes, MilliPackets, Unlimited]);

impl<'de> Deserialize<'de> for LimitChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<LimitChoice, D::Error> {
        limit(&String::deserialize(deserializer)?).map(LimitChoice)
    }
}

fn limit<E: Error>(text: &str) -> Result<Limit, E> {
    if text == "unlimited" {
        return Ok(Limit::Unbounded);
    }
    if text.trim_end().ends_with("packet") || text.trim_end().ends_with("packets") {
        let MilliPackets(milli) = MilliPackets::deserialize(StrDeserializer::new(text))?;
        return Ok(Limit::Packets(milli / 1000));
    }
    Bytes::deserialize(StrDeserializer::new(text)).map(|bytes| Limit::Bytes(bytes.0))
}
