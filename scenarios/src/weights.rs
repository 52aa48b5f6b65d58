//! Weights files: which share of a population is behind which router.

use crate::error::{FileError, nearest, parse};
use crate::quantity::Ppb;
use netsim_topology::NAT_PRESETS;
use serde::Deserialize;
use std::collections::BTreeMap;

/// A population by the routers in front of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weights {
    /// What it is called.
    pub name: String,
    /// One line: where the shares are from.
    pub summary: String,
    /// The matrix whose runs are weighted; its axes are `nat.…` of either side.
    pub scenario: String,
    /// Preset and share in parts per billion; all together a billion.
    pub shares_ppb: BTreeMap<String, u32>,
}

const SCHEMA: u32 = 1;
const WHOLE: u64 = 1_000_000_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WeightsFile {
    schema: u32,
    name: String,
    #[serde(default)]
    summary: String,
    scenario: String,
    weights: BTreeMap<String, Ppb>,
}

impl Weights {
    /// The weights that are shipped: made up, and labelled so.
    pub const PLACEHOLDER: (&'static str, &'static str) =
        ("weights/placeholder.toml", include_str!("../weights/placeholder.toml"));

    /// Reads a weights file. `file` is its name for error messages.
    pub fn parse(file: &str, text: &str) -> Result<Weights, FileError> {
        let WeightsFile { schema, name, summary, scenario, weights } = parse(file, text)?;
        if schema != SCHEMA {
            let message = format!("schema {schema} is not known to this version of longhaul; it reads {SCHEMA}");
            return Err(FileError::new(file, "schema", message));
        }
        let known = || NAT_PRESETS.iter().map(|preset| preset.name);
        if let Some(router) = weights.keys().find(|router| !known().any(|other| other == *router)) {
            let near = nearest(router, known());
            let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            let message =
                format!("no router is named `{router}`; there are: {}{hint}", known().collect::<Vec<_>>().join(", "));
            return Err(FileError::new(file, "weights", message));
        }
        let sum: u64 = weights.values().map(|share| u64::from(share.0)).sum();
        if sum != WHOLE {
            let message = format!(
                "the shares are {} % together; everybody is behind something, so make it 100 %",
                sum as f64 / 1e7
            );
            return Err(FileError::new(file, "weights", message));
        }
        let shares_ppb = weights.into_iter().map(|(router, share)| (router, share.0)).collect();
        Ok(Weights { name, summary, scenario, shares_ppb })
    }

    /// Every pair of routers, the provider's first, with its share of all pairs.
    pub fn pairs(&self) -> impl Iterator<Item = ([&str; 2], f64)> {
        let share = |ppb: &u32| f64::from(*ppb) / WHOLE as f64;
        self.shares_ppb.iter().filter(|(_, ppb)| **ppb > 0).flat_map(move |(a, of_a)| {
            let own = self.shares_ppb.iter().filter(|(_, ppb)| **ppb > 0);
            own.map(move |(b, of_b)| ([a.as_str(), b.as_str()], share(of_a) * share(of_b)))
        })
    }

    /// The routers of one of the matrix' scenarios, as in [`Weights::pairs`]; `None` if it is another's.
    pub fn pair_of<'a>(&self, scenario: &'a str) -> Option<[&'a str; 2]> {
        let values = scenario.strip_prefix(self.scenario.as_str())?.strip_prefix('[')?.strip_suffix(']')?;
        let mut routers =
            values.split(',').map(|value| value.strip_prefix("nat.")?.split_once('=').map(|(_, router)| router));
        match (routers.next(), routers.next(), routers.next()) {
            (Some(a), Some(b), None) => Some([a?, b?]),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(weights: &str) -> Result<Weights, String> {
        let text = format!("schema = 1\nname = \"mine\"\nscenario = \"nat\"\n[weights]\n{weights}");
        Weights::parse("my.toml", &text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_pair_weighs_what_both_sides_do() {
        let weights = of("home = \"75%\"\nmobile = \"25%\"\nhotel = \"0%\"").unwrap();
        let pairs: Vec<([&str; 2], f64)> = weights.pairs().collect();
        let expect = [
            (["home", "home"], 0.5625),
            (["home", "mobile"], 0.1875),
            (["mobile", "home"], 0.1875),
            (["mobile", "mobile"], 0.0625),
        ];
        assert_eq!(pairs, expect);
        for (scenario, expect) in [
            ("nat[nat.a=home,nat.b=mobile]", Some(["home", "mobile"])),
            ("nat[nat.a=home]", None),
            ("nat[nat.a=home,nat.b=home,nat.c=home]", None),
            ("nat[loss=1%,nat.b=home]", None),
            ("nat-change[nat.a=home,nat.b=home]", None),
            ("nat", None),
        ] {
            assert_eq!(weights.pair_of(scenario), expect, "{scenario}");
        }
    }

    #[test]
    fn mistakes_say_what_to_do() {
        for (weights, words) in [
            ("home = \"99%\"", "the shares are 99 % together"),
            ("home = \"60%\"\nmobile = \"50%\"", "the shares are 110 % together"),
            ("hoem = \"100%\"", "did you mean `home`?"),
            ("home = 1", "weights.home"),
        ] {
            let error = of(weights).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }

    /// Every pair of the shipped weights is in the shipped matrix.
    #[test]
    fn the_placeholder_is_about_the_matrix_that_is_shipped() {
        let (file, text) = Weights::PLACEHOLDER;
        let weights = Weights::parse(file, text).unwrap();
        let (file, text) =
            crate::suite().iter().find(|(file, _)| *file == format!("suite/{}.toml", weights.scenario)).unwrap();
        let none = |_: &str| Err(std::io::ErrorKind::NotFound.into());
        let scenarios = crate::Scenario::expand(file, text, &none).unwrap();
        let there: Vec<[&str; 2]> = scenarios.iter().filter_map(|scenario| weights.pair_of(&scenario.name)).collect();
        assert_eq!(there.len(), scenarios.len());
        assert!(weights.pairs().all(|(pair, _)| there.contains(&pair)));
    }
}
