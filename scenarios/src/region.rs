//! `[[region]]` and `region = "…"`: where in the world a place is, and how far that is from elsewhere.

use crate::error::{FileError, nearest};
use crate::files::Files;
use crate::link::COALESCE_NS;
use crate::quantity::Nanos;
use netsim_fabric::LinkConfig;
use netsim_topology::{Access, REGIONS, Topology, Transit, region_delay_ns};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// A region of the file's own, or other delays of a shipped one.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RegionFile {
    name: String,
    /// One-way delays to other regions; the way back takes as long unless their own tables say otherwise.
    #[serde(default)]
    delay: BTreeMap<String, Nanos>,
}

/// The regions a file can use.
pub(crate) struct Atlas<'a> {
    files: &'a Files<'a>,
    own: &'a [RegionFile],
}

impl<'a> Atlas<'a> {
    pub(crate) fn new(files: &'a Files<'a>, own: &'a [RegionFile]) -> Result<Atlas<'a>, FileError> {
        let atlas = Atlas { files, own };
        for (n, region) in own.iter().enumerate() {
            let key = format!("region[{n}]");
            let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            if region.name.is_empty() || region.name.len() > 40 || !region.name.chars().all(good) {
                let message = format!("{:?} is not a region's name; use 1 to 40 of a-z, 0-9 and `-`", region.name);
                return Err(files.error(format!("{key}.name"), message));
            }
            if own[..n].iter().any(|other| other.name == region.name) {
                let message = format!("two regions are named `{}`; put their delays into one table", region.name);
                return Err(files.error(format!("{key}.name"), message));
            }
            for to in region.delay.keys() {
                atlas.check(to, &format!("{key}.delay.{to}"))?;
                if *to == region.name {
                    let message = "within a region there is no delay; give links one";
                    return Err(files.error(format!("{key}.delay.{to}"), message));
                }
            }
        }
        Ok(atlas)
    }

    /// Whether there is a region of that name.
    pub(crate) fn check(&self, name: &str, key: &str) -> Result<(), FileError> {
        let mut known: Vec<&str> = REGIONS.iter().map(|region| region.name).collect();
        let others = self.own.iter().map(|own| own.name.as_str()).filter(|own| !known.contains(own));
        known = known.iter().copied().chain(others).collect();
        if known.contains(&name) {
            return Ok(());
        }
        let near = nearest(name, known.iter().copied());
        let hint = near.map_or_else(String::new, |near| format!("; did you mean \"{near}\"?"));
        let own = "a [[region]] with `name` and `delay` makes another";
        let message = format!("unknown region \"{name}\"; there are {}, and {own}{hint}", known.join(", "));
        Err(self.files.error(key, message))
    }

    fn delay_ns(&self, from: &str, to: &str) -> Option<u64> {
        let own = |from: &str, to: &str| {
            let region = self.own.iter().find(|region| region.name == from)?;
            region.delay.get(to).map(|delay| delay.0)
        };
        own(from, to).or_else(|| own(to, from)).or_else(|| region_delay_ns(from, to))
    }

    /// The ways between all regions that places of a network are in.
    pub(crate) fn transits(&self, topology: &Topology) -> Result<Vec<Transit>, FileError> {
        let regions = topology.regions();
        let pairs = regions.iter().enumerate().flat_map(|(n, b)| regions[..n].iter().map(move |a| (*a, *b)));
        let link = |from: &str, to: &str| {
            let delay_ns = self.delay_ns(from, to).ok_or_else(|| {
                let message = format!(
                    "nothing says how far `{from}` is from `{to}`; write a [[region]] with name = \"{from}\" and delay = \
                     {{ {to} = \"40ms\" }}"
                );
                self.files.error("region", message)
            })?;
            Ok(LinkConfig { delay_ns, coalesce_ns: COALESCE_NS, ..LinkConfig::default() })
        };
        let transit = |(a, b): (&str, &str)| {
            let between = [a.to_owned(), b.to_owned()];
            Ok(Transit { between, link: Access { up: link(a, b)?, down: link(b, a)? } })
        };
        pairs.map(transit).collect()
    }
}
