//! How fast a link sends: a rate, rates by the clock, or a trace.

use crate::error::FileError;
use crate::files::Files;
use crate::quantity::{BitsPerSecond, Nanos, Ppb};
use crate::schema::{Nothing, Unlimited, any_of};
use netsim_fabric::{Cellular, Rate, Schedule, Step, Trace};
use netsim_topology::{MOVING_CELL, STEADY_CELL};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer, StrDeserializer};
use serde::de::{Deserializer, Error};
use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;

/// A rate, or a schedule of rates.
#[derive(Debug, Clone)]
pub(super) struct RateChoice(pub(super) Rate);

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ScheduleFile {
    steps: Vec<StepFile>,
    repeat: Option<Nanos>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StepFile {
    at: Nanos,
    rate: StepRate,
    extra_delay: Option<Nanos>,
}

/// Bits per second, or nothing for a while.
#[derive(Debug)]
struct StepRate(u64);

any_of!(StepRate, "StepRate", "A rate, or \"none\"", [BitsPerSecond, Nothing]);

impl<'de> Deserialize<'de> for StepRate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<StepRate, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "none" {
            return Ok(StepRate(0));
        }
        BitsPerSecond::deserialize(StrDeserializer::<D::Error>::new(&text)).map(|rate| StepRate(rate.0.get()))
    }
}

impl ScheduleFile {
    fn resolve(self) -> Result<Rate, String> {
        let step = |step: StepFile| Step {
            from_ns: step.at.0,
            rate_bps: step.rate.0,
            extra_delay_ns: step.extra_delay.map_or(0, |delay| delay.0),
        };
        let period = match self.repeat {
            Some(Nanos(0)) => {
                return Err("`repeat` says after how long the schedule starts again; write for example \
                                          \"60s\""
                    .into());
            }
            repeat => repeat.and_then(|repeat| NonZeroU64::new(repeat.0)),
        };
        let schedule = Schedule::new(self.steps.into_iter().map(step).collect(), period);
        schedule.map(Rate::Schedule).map_err(|error| error.to_string())
    }
}

any_of!(RateChoice, "RateChoice", "A rate, or rates by the clock", [BitsPerSecond, Unlimited, Vec<StepFile>, ScheduleFile]);

impl<'de> Deserialize<'de> for RateChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RateChoice, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = RateChoice;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a rate with its unit, in quotes, a list of steps like { at = \"0s\", rate = \"10Mbit\" }, or a table \
                     with `steps` and `repeat`",
                )
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<RateChoice, E> {
                if text == "unlimited" {
                    return Ok(RateChoice(Rate::Unlimited));
                }
                let rate = BitsPerSecond::deserialize(StrDeserializer::new(text))?;
                Ok(RateChoice(Rate::Constant(rate.0)))
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, seq: A) -> Result<RateChoice, A::Error> {
                let steps = Vec::deserialize(SeqAccessDeserializer::new(seq))?;
                ScheduleFile { steps, repeat: None }.resolve().map(RateChoice).map_err(A::Error::custom)
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<RateChoice, A::Error> {
                let file = ScheduleFile::deserialize(MapAccessDeserializer::new(map))?;
                file.resolve().map(RateChoice).map_err(A::Error::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// A file of delivery opportunities, or one made from a seed.
#[derive(Debug, Clone)]
pub(super) enum TraceChoice {
    /// In mahimahi's format.
    File(String),
    Generated(GeneratedFile),
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GeneratedFile {
    generate: Generator,
    rate: BitsPerSecond,
    seed: u64,
    spread: Option<Ppb>,
    memory: Option<Nanos>,
    outage_every: Option<Nanos>,
    outage: Option<Nanos>,
    length: Option<Nanos>,
}

/// What is imitated; each has its own defaults.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Generator {
    /// LTE, standing still.
    Lte,
    /// LTE in motion: wilder, with seconds of silence.
    LteMoving,
}

impl Generator {
    fn model(self) -> Cellular {
        match self {
            Generator::Lte => STEADY_CELL,
            Generator::LteMoving => MOVING_CELL,
        }
    }
}

impl TraceChoice {
    pub(super) fn resolve(&self, files: &Files, key: &str) -> Result<Rate, FileError> {
        let trace = match self {
            TraceChoice::File(path) => files.load(key, path, Trace::parse)?,
            TraceChoice::Generated(file) => {
                let trace = file.model(files, key)?.trace(file.seed);
                trace.map_err(|_| {
                    files.error(key, "so fast and so long a trace is too much to keep; shorten `length`")
                })?
            }
        };
        Ok(Rate::Trace(Arc::new(trace)))
    }
}

impl GeneratedFile {
    fn model(&self, files: &Files, key: &str) -> Result<Cellular, FileError> {
        if self.outage_every.is_some() != self.outage.is_some() {
            return Err(files.error(key, "outages need both `outage_every` and `outage`"));
        }
        let millis = |name: &str, value: Option<Nanos>, default: u32, least: u32| match value {
            None => Ok(default),
            Some(Nanos(nanos)) => match u32::try_from(nanos / 1_000_000) {
                Ok(ms) if (least..=Cellular::MAX_DURATION_MS).contains(&ms) => Ok(ms),
                _ => Err(files.error(format!("{key}.{name}"), format!("write \"{least}ms\" to \"10min\""))),
            },
        };
        let base = self.generate.model();
        Ok(Cellular {
            mean_bps: self.rate.0.get(),
            // A share in parts per billion, a model in thousandths.
            spread_milli: self.spread.map_or(base.spread_milli, |spread| spread.0 / 1_000_000),
            memory_ms: millis("memory", self.memory, base.memory_ms, 1)?,
            between_outages_ms: millis("outage_every", self.outage_every, base.between_outages_ms, 0)?,
            outage_ms: millis("outage", self.outage, base.outage_ms, 1)?,
            duration_ms: millis("length", self.length, base.duration_ms, 1)?,
        })
    }
}

any_of!(TraceChoice, "Trace", "A file in mahimahi's format, or one made up", [String, GeneratedFile]);

impl<'de> Deserialize<'de> for TraceChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<TraceChoice, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = TraceChoice;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a file's path, or a table like { generate = \"lte\", rate = \"24Mbit\", seed = 1 }")
            }

            fn visit_str<E: Error>(self, path: &str) -> Result<TraceChoice, E> {
                Ok(TraceChoice::File(path.into()))
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<TraceChoice, A::Error> {
                GeneratedFile::deserialize(MapAccessDeserializer::new(map)).map(TraceChoice::Generated)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}
