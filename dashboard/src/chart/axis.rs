//! Value axes: where they begin, where their ticks are and what these say.

use longhaul_record::{Unit, text};
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use std::ops::Range;

/// A coordinate for plotters: a range of numbers and the ticks that we chose.
#[derive(Clone)]
pub(crate) struct Span {
    range: Range<f64>,
    ticks: Vec<f64>,
    scale: Scale,
}

impl Span {
    pub(crate) fn new(range: Range<f64>, ticks: Vec<f64>) -> Span {
        Span { range, ticks, scale: Scale::Linear }
    }
}

/// How values are spread along an axis.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Scale {
    /// Equal differences are equally far apart.
    #[default]
    Linear,
    /// Equal ratios are equally far apart.
    Log,
}

impl Scale {
    /// Where a value is between `low` (0) and `high` (1).
    fn share(self, value: f64, low: f64, high: f64) -> f64 {
        let share = match self {
            Scale::Linear => (value - low) / (high - low),
            Scale::Log => (value / low).ln() / (high / low).ln(),
        };
        if share.is_finite() { share } else { 0.5 }
    }
}

impl Ranged for Span {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let share = self.scale.share(*value, self.range.start, self.range.end);
        from + (f64::from(to - from) * share).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() { Vec::new() } else { self.ticks.clone() }
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

/// A value axis.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Axis {
    /// Lower end.
    pub(crate) low: f64,
    /// Upper end.
    pub(crate) high: f64,
    /// Tick positions, ascending.
    pub(crate) ticks: Vec<f64>,
    /// How values are spread.
    pub(crate) scale: Scale,
    unit: Unit,
    divisor: f64,
    name: &'static str,
}

impl Axis {
    /// An axis for finite `values` with about `wanted` ticks. It starts at zero unless the values would then fill less than a
    /// third of it; then it starts below them and [`Axis::note`] says so.
    pub(crate) fn around(values: impl IntoIterator<Item = f64> + Clone, unit: Unit, wanted: u32) -> Axis {
        let low = values.clone().into_iter().fold(f64::INFINITY, f64::min);
        let high = values.into_iter().fold(f64::NEG_INFINITY, f64::max);
        if !(low.is_finite() && high.is_finite()) {
            return Axis::between(0.0, 1.0, unit, wanted);
        }
        if low >= 0.0 && low <= high * 0.7 {
            return Axis::between(0.0, high, unit, wanted);
        }
        // Room around the values; a twentieth of the value itself where all are equal or nearly so.
        let room = ((high - low) * 0.15).max(high.abs() * 0.025);
        let below = if low >= 0.0 { (low - room).max(0.0) } else { low - room };
        Axis::between(below, high + room, unit, wanted)
    }

    /// An axis that covers `low` to `high` and ends on ticks.
    pub(crate) fn between(low: f64, high: f64, unit: Unit, wanted: u32) -> Axis {
        let high = if high > low { high } else { low + 1.0 };
        let (divisor, name) = unit.scale(high.abs().max(low.abs()));
        let step = nice((high - low) / divisor / f64::from(wanted.max(1))) * divisor;
        // There is no half packet.
        let step = if unit == Unit::Count { step.max(1.0) } else { step };
        let first = (low / step + 1e-9).floor();
        let last = (high / step - 1e-9).ceil();
        // Counting in whole steps keeps rounding errors from adding up.
        let count = (last - first).clamp(1.0, 50.0) as i32;
        let ticks: Vec<f64> = (0..=count).map(|i| (first + f64::from(i)) * step).collect();
        Axis {
            low: first * step,
            high: (first + f64::from(count)) * step,
            ticks,
            scale: Scale::Linear,
            unit,
            divisor,
            name,
        }
    }

    /// An axis from zero to just above `peak`, with the ticks that lie below: for low lanes, where a tick above the
    /// values would cost half the height.
    pub(crate) fn up_to(peak: f64, unit: Unit, wanted: u32) -> Axis {
        let mut axis = Axis::between(0.0, peak, unit, wanted);
        let high = peak * 1.04;
        if axis.ticks.get(1).is_some_and(|tick| *tick <= high) {
            axis.ticks.retain(|tick| *tick <= high);
            axis.high = high;
        }
        axis
    }

    /// An axis on which equal ratios are equally far apart, with about `wanted` ticks. `None` where a value is not above
    /// zero.
    pub(crate) fn log(values: impl IntoIterator<Item = f64> + Clone, unit: Unit, wanted: u32) -> Option<Axis> {
        let low = values.clone().into_iter().fold(f64::INFINITY, f64::min);
        let high = values.into_iter().fold(f64::NEG_INFINITY, f64::max);
        if !(low > 0.0 && low.is_finite() && high.is_finite()) {
            return None;
        }
        let (low, high) = (low / 1.1, high * 1.1);
        let decades = (high / low).log10();
        let steps: &[f64] = match decades / f64::from(wanted.max(1)) {
            step if step > 0.7 => &[1.0],
            step if step > 0.3 => &[1.0, 2.0, 5.0],
            _ => &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0],
        };
        let every = (decades / f64::from(wanted.max(1))).round().max(1.0) as i32;
        let (from, to) = (low.log10().floor() as i32, high.log10().ceil() as i32);
        let all = (from..=to).filter(|power| power % every == 0);
        let ticks = all.flat_map(|power| steps.iter().map(move |step| step * 10f64.powi(power)));
        let ticks: Vec<f64> = ticks.filter(|tick| (low..=high).contains(tick)).collect();
        let (divisor, name) = unit.scale(high);
        Some(Axis { low, high, ticks, scale: Scale::Log, unit, divisor, name })
    }

    /// The coordinate for plotters.
    pub(crate) fn span(&self) -> Span {
        Span { range: self.low..self.high, ticks: self.ticks.clone(), scale: self.scale }
    }

    /// Where a value is between the lower end (0) and the upper one (1).
    pub(crate) fn share(&self, value: f64) -> f64 {
        self.scale.share(value, self.low, self.high)
    }

    /// The divisor and the name of the unit that the labels are in.
    pub(crate) fn unit(&self) -> (f64, &'static str) {
        (self.divisor, self.name)
    }

    /// What a tick says: `100 Mbit/s`, and plain `0`.
    pub(crate) fn label(&self, value: f64) -> String {
        if self.scale == Scale::Log {
            // Decades apart, each in the unit in which it reads best.
            return text::trimmed(self.unit.text(value));
        }
        if value.abs() < (self.high - self.low) * 1e-6 {
            return "0".into();
        }
        let step = self.ticks.windows(2).map(|pair| pair[1] - pair[0]).next().unwrap_or(self.high) / self.divisor;
        let places = (-(step * 1.0001).log10().floor()).clamp(0.0, 9.0) as usize;
        let number = match self.unit {
            Unit::Count if places == 0 => text::count(value),
            _ => format!("{:.places$}", value / self.divisor),
        };
        if self.name.is_empty() { number } else { format!("{number} {}", self.name) }
    }

    /// Says so when the axis does not start at zero.
    pub(crate) fn note(&self) -> Option<String> {
        if self.scale == Scale::Log {
            return Some("logarithmic axis".into());
        }
        (self.low != 0.0).then(|| format!("axis from {}", self.label(self.low)))
    }
}

/// The smallest of 1, 2, 5 × 10ⁿ that is not below `step`.
fn nice(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= step * 0.999);
    factor.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<String> {
        axis.ticks.iter().map(|tick| axis.label(*tick)).collect()
    }

    #[test]
    fn ticks_are_round_and_carry_their_unit() {
        let rows: [(Vec<f64>, Unit, &[&str]); 8] = [
            (vec![3e6, 94e6], Unit::BitsPerSecond, &["0", "50 Mbit/s", "100 Mbit/s"]),
            (vec![0.0, 0.0], Unit::Seconds, &["0", "0.5 s", "1.0 s"]),
            (vec![0.0401, 0.0412], Unit::Seconds, &["38 ms", "40 ms", "42 ms", "44 ms"]),
            (vec![128.0 * 1048576.0], Unit::Bytes, &["120 MiB", "125 MiB", "130 MiB", "135 MiB"]),
            (vec![12_000.0, 100.0], Unit::Count, &["0", "5,000", "10,000", "15,000"]),
            (vec![1.0, 1.0], Unit::Count, &["0", "1", "2"]),
            (vec![1.043, 1.068], Unit::Ratio, &["1.00", "1.05", "1.10"]),
            (vec![2.2e9, 0.3e9], Unit::BitsPerSecond, &["0", "1 Gbit/s", "2 Gbit/s", "3 Gbit/s"]),
        ];
        for (values, unit, expect) in rows {
            assert_eq!(labels(&Axis::around(values.clone(), unit, 3)), expect, "{values:?}");
        }
    }

    #[test]
    fn a_lane_ends_just_above_its_peak() {
        let rows: [(f64, Unit, &[&str]); 4] = [
            (0.524, Unit::Seconds, &["0", "500 ms"]),
            (77.0, Unit::Count, &["0", "50"]),
            (1.0, Unit::Count, &["0", "1"]),
            (84e6, Unit::BitsPerSecond, &["0", "50 Mbit/s"]),
        ];
        for (peak, unit, expect) in rows {
            let axis = Axis::up_to(peak, unit, 2);
            assert_eq!(labels(&axis), expect, "{peak}");
            assert!(axis.high >= peak && axis.high <= peak * 1.04 + 1e-9);
        }
    }

    #[test]
    fn logarithmic_ticks_are_round() {
        let rows: [(&[f64], Unit, &[&str]); 3] = [
            (&[1e5, 9e7], Unit::BitsPerSecond, &["100 kbit/s", "1 Mbit/s", "10 Mbit/s"]),
            (&[0.012, 0.09], Unit::Seconds, &["20 ms", "50 ms"]),
            (&[5.0, 5.0], Unit::Count, &["5"]),
        ];
        for (values, unit, expect) in rows {
            let axis = Axis::log(values.iter().copied(), unit, 3).unwrap();
            assert_eq!(labels(&axis), expect, "{values:?}");
            assert!(values.iter().all(|value| (0.0..=1.0).contains(&axis.share(*value))));
        }
        for bad in [&[0.0, 1.0][..], &[], &[-1.0], &[f64::INFINITY]] {
            assert_eq!(Axis::log(bad.iter().copied(), Unit::Ratio, 3), None);
        }
    }

    #[test]
    fn an_axis_that_starts_above_zero_says_so() {
        assert_eq!(Axis::around([10.0, 4.0], Unit::Seconds, 3).note(), None);
        assert_eq!(Axis::around([10.0, 9.0], Unit::Seconds, 3).note().as_deref(), Some("axis from 8.5 s"));
        assert_eq!(Axis::around([], Unit::Seconds, 3).note(), None);
    }
}
