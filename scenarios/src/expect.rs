//! `[expect]`: what makes a test of a measurement.

use crate::quantity::Ppb;
use crate::schema::text;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::value::StrDeserializer;
use serde::de::{Deserializer, Error};

/// What runs are expected to come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Expect {
    /// The least share of runs that succeed, in parts per billion.
    pub success_ppb: Option<u32>,
    /// Which way the payload takes.
    pub path: Option<ExpectedPath>,
}

/// The way from provider to fetcher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ExpectedPath {
    /// From one to the other.
    Direct,
    /// By a relay.
    Relayed,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ExpectFile {
    success: Option<AtLeast>,
    path: Option<ExpectedPath>,
}

/// `">= 95%"`; a bare share means the same.
#[derive(Debug, Clone, Copy)]
struct AtLeast(Ppb);

text!(AtLeast, "AtLeast", "At least this share, for example \">= 95%\"", r"^(>= *)?[0-9.]+ *(%|ppm)$");

impl<'de> Deserialize<'de> for AtLeast {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<AtLeast, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.trim_start().starts_with(['<', '=']) || text.trim_start().starts_with('>') && !text.contains(">=") {
            return Err(D::Error::custom(format!("\"{text}\" is no lower bound; write for example \">= 95%\"")));
        }
        let share = text.trim_start().trim_start_matches(">=").trim_start();
        Ppb::deserialize(StrDeserializer::<D::Error>::new(share)).map(AtLeast)
    }
}

impl ExpectFile {
    pub(crate) fn resolve(&self) -> Expect {
        Expect { success_ppb: self.success.map(|least| least.0.0), path: self.path }
    }
}
