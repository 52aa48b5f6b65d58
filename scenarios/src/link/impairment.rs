//! What happens to packets at random: jitter, loss, reordering; and which are too large.

use crate::error::FileError;
use crate::files::Files;
use crate::quantity::{MilliPackets, Nanos, Ppb};
use crate::schema::any_of;
use netsim_fabric::{Jitter, Loss, Mtu, Oversize, Probability, Reorder, Samples, Script, Shift};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{Deserializer, Error};
use std::fmt;

/// How the delay varies: so much to either side, or a distribution.
#[derive(Debug, Clone)]
pub(super) struct JitterChoice(JitterFile);

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(tag = "distribution", rename_all = "kebab-case", deny_unknown_fields)]
enum JitterFile {
    Uniform {
        half_width: Nanos,
    },
    Normal {
        sigma: Nanos,
    },
    Pareto {
        scale: Nanos,
        shape: f64,
    },
    /// One deviation per line, in nanoseconds.
    File {
        path: String,
    },
}

impl JitterChoice {
    pub(super) fn resolve(&self, files: &Files, key: &str) -> Result<Jitter, FileError> {
        Ok(match &self.0 {
            JitterFile::Uniform { half_width: Nanos(0) } => Jitter::None,
            JitterFile::Uniform { half_width } => Jitter::Uniform { ns: half_width.0 },
            JitterFile::Normal { sigma } => Jitter::Normal { sigma_ns: sigma.0 },
            JitterFile::Pareto { scale, shape } => {
                if !(0.1..=100.0).contains(shape) {
                    return Err(files.error(format!("{key}.shape"), "write a number from 0.1 to 100, for example 3"));
                }
                Jitter::Pareto { scale_ns: scale.0, shape_milli: (shape * 1000.0).round() as u32 }
            }
            JitterFile::File { path } => Jitter::Samples(files.load(key, path, Samples::parse)?),
        })
    }
}

any_of!(JitterChoice, "Jitter", "To either side, or a distribution", [Nanos, JitterFile]);

impl<'de> Deserialize<'de> for JitterChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<JitterChoice, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = JitterChoice;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration with its unit, in quotes, or a table with `distribution`")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<JitterChoice, E> {
                let half_width = Nanos::deserialize(StrDeserializer::new(text))?;
                Ok(JitterChoice(JitterFile::Uniform { half_width }))
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<JitterChoice, A::Error> {
                JitterFile::deserialize(MapAccessDeserializer::new(map)).map(JitterChoice)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// Which packets are lost: a share, bursts, or a list.
#[derive(Debug, Clone)]
pub(super) struct LossChoice(pub(super) Loss);

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct LossFile {
    model: Option<LossModel>,
    share: Option<Ppb>,
    bursts: Option<MilliPackets>,
    fail: Option<Ppb>,
    recover: Option<Ppb>,
    loss_good: Option<Ppb>,
    loss_bad: Option<Ppb>,
    packets: Option<Vec<u64>>,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum LossModel {
    GilbertElliott,
}

impl LossFile {
    fn resolve(self) -> Result<Loss, String> {
        let probability = |share: Ppb| Probability::from_ppb(share.0).unwrap_or(Probability::ONE);
        match self {
            LossFile {
                model: None,
                packets: Some(packets),
                share: None,
                bursts: None,
                fail: None,
                recover: None,
                loss_good: None,
                loss_bad: None,
            } => Ok(Loss::Scripted(Script::new(packets))),
            LossFile {
                model: Some(LossModel::GilbertElliott),
                share: Some(share),
                bursts: Some(bursts),
                fail: None,
                recover: None,
                loss_good: None,
                loss_bad: None,
                packets: None,
            } => bursts_of(share, bursts),
            LossFile {
                model: Some(LossModel::GilbertElliott),
                share: None,
                bursts: None,
                fail: Some(fail),
                recover: Some(recover),
                loss_good,
                loss_bad,
                packets: None,
            } => Ok(Loss::GilbertElliott {
                fail: probability(fail),
                recover: probability(recover),
                loss_good: loss_good.map_or(Probability::ZERO, probability),
                loss_bad: loss_bad.map_or(Probability::ONE, probability),
            }),
            _ => Err("write a share as text (\"1%\"), { packets = [3, 7] }, { model = \"gilbert-elliott\", share = \
                      \"1%\", bursts = \"5 packets\" }, or that model with `fail`, `recover` and, if need be, `loss_good` \
                      and `loss_bad`"
                .into()),
        }
    }
}

/// Bursts in which everything is lost: of so many packets on average, so often that they come to `share` of all.
fn bursts_of(share: Ppb, bursts: MilliPackets) -> Result<Loss, String> {
    const BILLION: u64 = 1_000_000_000;
    let recover = BILLION * 1000 / bursts.0;
    let (lost, kept) = (u64::from(share.0), BILLION - u64::from(share.0));
    // The share of the bad state in the long run is p / (p + r).
    let fail = (recover * lost).checked_div(kept).filter(|fail| *fail <= BILLION);
    let [fail, recover] =
        [fail, Some(recover)].map(|ppb| ppb.and_then(|ppb| u32::try_from(ppb).ok()).and_then(Probability::from_ppb));
    match (fail, recover) {
        (Some(fail), Some(recover)) => {
            Ok(Loss::GilbertElliott { fail, recover, loss_good: Probability::ZERO, loss_bad: Probability::ONE })
        }
        _ => Err("so large a share cannot be lost in bursts so short; make them longer".into()),
    }
}

any_of!(LossChoice, "Loss", "A share, bursts, or a list", [Ppb, LossFile]);

impl<'de> Deserialize<'de> for LossChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<LossChoice, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = LossChoice;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a share with its unit, in quotes, or a table")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<LossChoice, E> {
                let share = Ppb::deserialize(StrDeserializer::new(text))?;
                let probability = Probability::from_ppb(share.0).filter(|share| *share != Probability::ZERO);
                Ok(LossChoice(probability.map_or(Loss::None, Loss::Bernoulli)))
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<LossChoice, A::Error> {
                let file = LossFile::deserialize(MapAccessDeserializer::new(map))?;
                file.resolve().map(LossChoice).map_err(A::Error::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// Whether packets may overtake each other: a word, or a share of them and how far.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReorderChoice(pub(super) Reorder);

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReorderFile {
    share: Ppb,
    behind: Option<Nanos>,
    ahead: Option<Nanos>,
}

any_of!(ReorderChoice, "Reorder", "Whether packets overtake each other", [ReorderWord, ReorderFile]);

/// The words for it, for the schema.
#[derive(JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(dead_code, reason = "only its schema is used")]
enum ReorderWord {
    Never,
    ByJitter,
}

impl<'de> Deserialize<'de> for ReorderChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ReorderChoice, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = ReorderChoice;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"never\", \"by-jitter\", or a table like { share = \"1%\", behind = \"5ms\" }")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<ReorderChoice, E> {
                match text {
                    "never" => Ok(ReorderChoice(Reorder::Never)),
                    "by-jitter" => Ok(ReorderChoice(Reorder::ByJitter)),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<ReorderChoice, A::Error> {
                let ReorderFile { share, behind, ahead } = ReorderFile::deserialize(MapAccessDeserializer::new(map))?;
                let shift = match (behind, ahead) {
                    (Some(behind), None) => Shift::Behind(behind.0),
                    (None, Some(ahead)) => Shift::Ahead(ahead.0),
                    _ => return Err(A::Error::custom("say how far: either behind = \"5ms\" or ahead = \"5ms\"")),
                };
                let share = Probability::from_ppb(share.0).unwrap_or(Probability::ONE);
                Ok(ReorderChoice(Reorder::Share { share, shift }))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// The largest packet: its bytes, or a table that also says what becomes of larger ones.
#[derive(Debug, Clone, Copy)]
pub(super) struct MtuChoice(pub(super) Mtu);

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MtuFile {
    bytes: u32,
    oversize: OversizeChoice,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum OversizeChoice {
    TooBig,
    BlackHole,
}

/// IPv6 needs this much everywhere (RFC 8200, section 5), and calibration's packets fit.
const LEAST_MTU: u32 = 1280;
const GREATEST_MTU: u32 = 65_535;

any_of!(MtuChoice, "Mtu", "The largest IP packet in bytes", [u32, MtuFile]);

impl<'de> Deserialize<'de> for MtuChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<MtuChoice, D::Error> {
        struct Visitor;

        fn checked<E: Error>(bytes: u32, oversize: Oversize) -> Result<MtuChoice, E> {
            if !(LEAST_MTU..=GREATEST_MTU).contains(&bytes) {
                return Err(E::custom(format!("{bytes} is not an MTU; write {LEAST_MTU} to {GREATEST_MTU} bytes")));
            }
            Ok(MtuChoice(Mtu { bytes, oversize }))
        }

        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = MtuChoice;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of bytes, or a table like { bytes = 1280, oversize = \"black-hole\" }")
            }

            fn visit_i64<E: Error>(self, bytes: i64) -> Result<MtuChoice, E> {
                checked(u32::try_from(bytes).unwrap_or(0), Oversize::TooBig)
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<MtuChoice, A::Error> {
                let MtuFile { bytes, oversize } = MtuFile::deserialize(MapAccessDeserializer::new(map))?;
                checked(
                    bytes,
                    match oversize {
                        OversizeChoice::TooBig => Oversize::TooBig,
                        OversizeChoice::BlackHole => Oversize::BlackHole,
                    },
                )
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}
