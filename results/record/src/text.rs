//! How values read: one place that scales a stored base unit for people.
//!
//! Three significant digits, decimal prefixes for rates, binary ones for bytes, no rounding into the next unit.
//! Parsers read JSON, never these texts.

use crate::Unit;

impl Unit {
    /// The value with its scaled unit, for example `7.90 Gbit/s`, `20.1 ms`, `128 MiB`.
    pub fn text(self, value: f64) -> String {
        match self {
            Unit::BitsPerSecond => bits_per_second(value),
            Unit::Seconds => seconds(value),
            Unit::Bytes => bytes(value),
            Unit::Count => count(value),
            Unit::Ratio => digits(value),
        }
    }

    /// The divisor and the name of the scaled unit in which `value` reads best; an axis scales all its labels by the
    /// largest value's.
    pub fn scale(self, value: f64) -> (f64, &'static str) {
        let steps: &[(f64, &'static str)] = match self {
            Unit::BitsPerSecond => RATES,
            Unit::Seconds => TIMES,
            Unit::Bytes => SIZES,
            Unit::Count | Unit::Ratio => &[(1.0, "")],
        };
        pick(steps, value)
    }
}

const RATES: &[(f64, &str)] = &[(1e9, "Gbit/s"), (1e6, "Mbit/s"), (1e3, "kbit/s"), (1.0, "bit/s")];
const TIMES: &[(f64, &str)] = &[(1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")];
const SIZES: &[(f64, &str)] = &[
    (1024.0 * 1024.0 * 1024.0 * 1024.0, "TiB"),
    (1024.0 * 1024.0 * 1024.0, "GiB"),
    (1024.0 * 1024.0, "MiB"),
    (1024.0, "KiB"),
    (1.0, "B"),
];

/// A rate: `94.1 Mbit/s`.
pub fn bits_per_second(value: f64) -> String {
    scaled(RATES, value)
}

/// A duration given in seconds: `18.0 µs`, `20.1 ms`, `11.9 s`, and from ten minutes on `12 min 5 s`.
pub fn seconds(value: f64) -> String {
    if value.abs() < 600.0 {
        return scaled(TIMES, value);
    }
    let whole = value.abs().round();
    let sign = if value < 0.0 { "-" } else { "" };
    format!("{sign}{} min {} s", (whole / 60.0).floor(), whole % 60.0)
}

/// A duration given in nanoseconds, without trailing zeros: `20 ms`.
pub fn nanoseconds(value: u64) -> String {
    trimmed(seconds(value as f64 / 1e9))
}

/// A size: `128 MiB`.
pub fn bytes(value: f64) -> String {
    let (divisor, unit) = pick(SIZES, value);
    let number = if divisor > 1.0 { trimmed(digits(value / divisor)) } else { count(value) };
    format!("{number} {unit}")
}

/// A number of things, thousands separated: `12,345`.
pub fn count(value: f64) -> String {
    if value.fract() != 0.0 {
        return digits(value);
    }
    let plain = format!("{:.0}", value.abs());
    let mut out = String::from(if value < 0.0 { "-" } else { "" });
    for (i, digit) in plain.chars().enumerate() {
        if i > 0 && (plain.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A relative change in percent, with its sign, as precise as is of use: `+4.2 %`.
pub fn change(share: f64) -> String {
    let percent = share * 100.0;
    let places = if percent.abs() < 1.0 { 2 } else { 1 };
    format!("{percent:+.places$} %").replace('-', "\u{2212}")
}

/// A probability; very small ones are all the same.
pub fn probability(p: f64) -> String {
    if p < 0.0001 { "<0.0001".to_owned() } else { format!("{p:.4}") }
}

/// A metric's title and which side it is of. What nobody knows keeps its id.
pub fn metric_name(id: &str, peer: Option<&str>) -> String {
    let title = crate::metric(id).map_or(id, |metric| metric.title);
    peer.map_or_else(|| title.to_owned(), |peer| format!("{title}, {peer}"))
}

/// A share as percent: `percent(0.0105)` is `1.05 %`.
pub fn percent(share: f64) -> String {
    format!("{} %", trimmed_number(&digits(share * 100.0)))
}

/// An error with all its causes, on one line: `cannot read x: no such file`.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text.replace(['\n', '\r'], " ")
}

/// Three significant digits, never in exponent form: `0.00412`, `1.04`, `94.1`, `148`.
pub fn digits(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 || !size.is_finite() {
        return if size == 0.0 { "0".into() } else { value.to_string() };
    }
    let places = (2 - size.log10().floor() as i32).clamp(0, 12) as usize;
    format!("{value:.places$}")
}

/// `text` (a number, perhaps with a unit after a space) without zeros at the end of its fraction.
pub fn trimmed(text: impl AsRef<str>) -> String {
    let text = text.as_ref();
    match text.split_once(' ') {
        Some((number, rest)) => format!("{} {rest}", trimmed_number(number)),
        None => trimmed_number(text).to_string(),
    }
}

fn trimmed_number(number: &str) -> &str {
    if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number }
}

fn scaled(steps: &[(f64, &'static str)], value: f64) -> String {
    let (divisor, unit) = pick(steps, value);
    format!("{} {unit}", digits(value / divisor))
}

/// The largest step not above `value`. A hair of slack lets 0.9996 ms, which prints as 1.00 ms, keep that unit.
fn pick(steps: &[(f64, &'static str)], value: f64) -> (f64, &'static str) {
    let size = value.abs();
    let fallback = if size == 0.0 { steps.iter().find(|(d, _)| *d == 1.0).copied() } else { steps.last().copied() };
    steps.iter().find(|(d, _)| size != 0.0 && size >= d * 0.9995).copied().or(fallback).unwrap_or((1.0, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_as_people_write_them() {
        let rows = [
            (Unit::BitsPerSecond, 7.9e9, "7.90 Gbit/s"),
            (Unit::BitsPerSecond, 94_130_000.0, "94.1 Mbit/s"),
            (Unit::BitsPerSecond, 0.0, "0 bit/s"),
            (Unit::Seconds, 11.93, "11.9 s"),
            (Unit::Seconds, 0.0201, "20.1 ms"),
            (Unit::Seconds, 0.000_018, "18.0 µs"),
            (Unit::Seconds, 725.0, "12 min 5 s"),
            (Unit::Seconds, 0.0, "0 s"),
            (Unit::Bytes, 134_217_728.0, "128 MiB"),
            (Unit::Bytes, 1_000.0, "1,000 B"),
            (Unit::Count, 1_234_567.0, "1,234,567"),
            (Unit::Count, 2.5, "2.50"),
            (Unit::Ratio, 1.0432, "1.04"),
            (Unit::Ratio, 0.0, "0"),
        ];
        for (unit, value, expect) in rows {
            assert_eq!(unit.text(value), expect);
        }
        assert_eq!(nanoseconds(20_000_000), "20 ms");
        assert_eq!(percent(0.01), "1 %");
        assert_eq!(percent(0.0), "0 %");
    }
}
