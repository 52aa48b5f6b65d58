//! What a self check says. Pure.

use longhaul_stats::{median, quantile};

/// The middle and the ends of one figure's rounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// Half of the rounds are below.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// How many rounds.
    pub rounds: usize,
}

impl Spread {
    /// The spread of `values`; `None` when there are none.
    pub fn of(values: &[f64]) -> Option<Spread> {
        let (median, min, max) = (median(values)?, quantile(values, 0.0)?, quantile(values, 1.0)?);
        Some(Spread { median, min, max, rounds: values.len() })
    }
}

/// What a figure's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Bits per second.
    BitsPerSecond,
    /// Packets per second.
    PacketsPerSecond,
    /// Seconds.
    Seconds,
    /// Parts of what was configured: 1 is exact.
    Share,
}

impl Unit {
    /// The unit as it is written in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Unit::BitsPerSecond => "bit/s",
            Unit::PacketsPerSecond => "packet/s",
            Unit::Seconds => "s",
            Unit::Share => "1",
        }
    }

    /// For people: what makes one of the shown unit, how many decimals to show, and its name.
    fn scale(self, value: f64) -> (f64, usize, &'static str) {
        match self {
            Unit::BitsPerSecond if value >= 1e9 => (1e9, 2, "Gbit/s"),
            Unit::BitsPerSecond => (1e6, 0, "Mbit/s"),
            Unit::PacketsPerSecond => (1e3, 0, "kpps"),
            Unit::Seconds if value.abs() >= 1e-3 => (1e-3, 1, "ms"),
            Unit::Seconds => (1e-6, 1, "µs"),
            Unit::Share => (1e-2, 2, "%"),
        }
    }

    /// A value for people, with a unit of fitting size.
    pub fn text(self, value: f64) -> String {
        let (one, decimals, name) = self.scale(value);
        format!("{:.decimals$} {name}", value / one)
    }

    /// A spread for people: `median (min–max) unit`.
    pub fn spread_text(self, spread: Spread) -> String {
        let (one, decimals, name) = self.scale(spread.median);
        let Spread { median, min, max, .. } = spread;
        format!("{:.decimals$} ({:.decimals$}–{:.decimals$}) {name}", median / one, min / one, max / one)
    }
}

/// What the links are compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Yardstick {
    /// Two namespaces joined by the kernel's own pair of devices.
    PlainVeth,
    /// The same links with segmentation offload off on the hosts, so that every wire segment is a packet of its own.
    PerSegment,
}

impl Yardstick {
    /// The yardstick as it is written in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Yardstick::PlainVeth => "plain veth",
            Yardstick::PerSegment => "per segment",
        }
    }
}

/// What a figure should be. Judged by medians.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    /// At least this multiple of the yardstick.
    RatioAtLeast(f64),
    /// Between these multiples of the yardstick.
    RatioWithin(f64, f64),
    /// At most this much more than the yardstick.
    AboveAtMost(f64),
    /// At most this.
    AtMost(f64),
    /// Between these.
    Within(f64, f64),
    /// Nothing was promised.
    None,
}

impl Target {
    /// Whether `ours` is as it should be; `None` where nothing was promised or the yardstick is missing.
    pub fn met(self, ours: f64, yardstick: Option<f64>) -> Option<bool> {
        match self {
            Target::RatioAtLeast(least) => yardstick.map(|other| ours >= least * other),
            Target::RatioWithin(least, most) => yardstick.map(|other| (least * other..=most * other).contains(&ours)),
            Target::AboveAtMost(most) => yardstick.map(|other| ours - other <= most),
            Target::AtMost(most) => Some(ours <= most),
            Target::Within(least, most) => Some((least..=most).contains(&ours)),
            Target::None => None,
        }
    }

    /// The target for people.
    pub fn text(self, unit: Unit) -> String {
        match self {
            Target::RatioAtLeast(least) => format!("≥ {least:.2}×"),
            Target::RatioWithin(least, most) => format!("{least:.2}–{most:.2}×"),
            Target::AboveAtMost(most) => format!("≤ +{}", unit.text(most)),
            Target::AtMost(most) => format!("≤ {}", unit.text(most)),
            Target::Within(least, most) => {
                let (one, decimals, name) = unit.scale(most);
                format!("{:.decimals$}–{:.decimals$} {name}", least / one, most / one)
            }
            Target::None => "–".to_owned(),
        }
    }
}

/// One thing that was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// Stable name, as in JSON.
    pub id: &'static str,
    /// What the table says.
    pub title: &'static str,
    /// Unit of all values.
    pub unit: Unit,
    /// Our links.
    pub ours: Spread,
    /// What they are compared with.
    pub yardstick: Option<(Yardstick, Spread)>,
    /// What was promised.
    pub target: Target,
}

impl Figure {
    /// Our median divided by the yardstick's.
    pub fn ratio(&self) -> Option<f64> {
        let (_, other) = self.yardstick?;
        (other.median != 0.0).then(|| self.ours.median / other.median)
    }

    /// Whether the promise was kept; `None` where there is none or the yardstick is missing.
    pub fn met(&self) -> Option<bool> {
        self.target.met(self.ours.median, self.yardstick.map(|(_, other)| other.median))
    }
}

/// The whole self check.
#[derive(Debug, Clone, PartialEq)]
pub struct SelfReport {
    /// What was measured.
    pub figures: Vec<Figure>,
    /// Why there is no plain veth beside our links; absent when there is.
    pub no_veth: Option<String>,
    /// Whether the emulator had real-time priority.
    pub realtime: bool,
    /// The congestion control the TCP figures were measured with.
    pub congestion_control: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads_are_medians_with_their_ends() {
        for (values, expect) in [
            (&[][..], None),
            (&[2.0], Some((2.0, 2.0, 2.0))),
            (&[3.0, 1.0, 2.0], Some((2.0, 1.0, 3.0))),
            (&[4.0, 1.0, 2.0, 3.0], Some((2.5, 1.0, 4.0))),
        ] {
            let got = Spread::of(values).map(|spread| (spread.median, spread.min, spread.max));
            assert_eq!(got, expect, "{values:?}");
        }
    }

    #[test]
    fn targets_judge_what_they_say() {
        for (target, ours, yardstick, expect) in [
            (Target::RatioAtLeast(0.9), 9.0, Some(10.0), Some(true)),
            (Target::RatioAtLeast(0.9), 8.9, Some(10.0), Some(false)),
            (Target::RatioAtLeast(0.9), 8.9, None, None),
            (Target::RatioWithin(0.9, 1.1), 12.0, Some(10.0), Some(false)),
            (Target::AboveAtMost(30e-6), 60e-6, Some(31e-6), Some(true)),
            (Target::AboveAtMost(30e-6), 60e-6, Some(29e-6), Some(false)),
            (Target::AtMost(3e-6), 2.9e-6, None, Some(true)),
            (Target::Within(0.995, 1.005), 1.006, None, Some(false)),
            (Target::None, 1.0, Some(1.0), None),
        ] {
            assert_eq!(target.met(ours, yardstick), expect, "{target:?} of {ours} beside {yardstick:?}");
        }
    }

    #[test]
    fn values_have_fitting_units() {
        for (unit, value, expect) in [
            (Unit::BitsPerSecond, 16.94e9, "16.94 Gbit/s"),
            (Unit::BitsPerSecond, 99.6e6, "100 Mbit/s"),
            (Unit::PacketsPerSecond, 347_600.0, "348 kpps"),
            (Unit::Seconds, 2.64e-6, "2.6 µs"),
            (Unit::Seconds, 0.0048, "4.8 ms"),
            (Unit::Share, 0.9987, "99.87 %"),
        ] {
            assert_eq!(unit.text(value), expect);
        }
        let spread = Spread { median: 1.2e9, min: 0.9e9, max: 2e9, rounds: 3 };
        assert_eq!(Unit::BitsPerSecond.spread_text(spread), "1.20 (0.90–2.00) Gbit/s");
        assert_eq!(Target::Within(0.995, 1.005).text(Unit::Share), "99.50–100.50 %");
        assert_eq!(Target::AboveAtMost(30e-6).text(Unit::Seconds), "≤ +30.0 µs");
    }

    #[test]
    fn a_ratio_needs_something_to_compare_with() {
        let spread = |median| Spread { median, min: median, max: median, rounds: 1 };
        let figure = |yardstick| Figure {
            id: "f",
            title: "F",
            unit: Unit::PacketsPerSecond,
            ours: spread(3.0),
            yardstick,
            target: Target::RatioAtLeast(1.0),
        };
        for (yardstick, ratio, met) in [
            (None, None, None),
            (Some((Yardstick::PlainVeth, spread(2.0))), Some(1.5), Some(true)),
            (Some((Yardstick::PlainVeth, spread(0.0))), None, Some(true)),
        ] {
            let figure = figure(yardstick);
            assert_eq!((figure.ratio(), figure.met()), (ratio, met), "{yardstick:?}");
        }
    }
}
