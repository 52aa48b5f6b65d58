//! Quantities with their unit as text: `"40ms"`, `"1%"`, `"50Mbit"`, `"64KiB"`. Exact integers in memory.

use crate::schema::text;
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use std::num::NonZeroU64;

/// Units of one kind of quantity, each with its size in the smallest one.
type Units = &'static [(&'static str, u128)];

const TIME: Units = &[("ns", 1), ("us", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000), ("min", 60_000_000_000)];
const SHARE: Units = &[("ppm", 1_000), ("%", 10_000_000)];
const RATE: Units = &[("bit", 1), ("kbit", 1_000), ("Mbit", 1_000_000), ("Gbit", 1_000_000_000)];
const PACKETS: Units = &[("packet", 1_000), ("packets", 1_000)];
const SIZE: Units = &[
    ("B", 1),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

/// A duration in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Nanos(pub(crate) u64);

/// A probability in parts per billion, at most one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ppb(pub(crate) u32);

/// A rate in bits per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BitsPerSecond(pub(crate) NonZeroU64);

/// A size in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) u64);

/// A number of packets in thousandths, at least one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MilliPackets(pub(crate) u64);

text!(Nanos, "Duration", "A duration, for example \"40ms\"", r"^[0-9.]+ *(ns|us|ms|s|min)$");

impl<'de> Deserialize<'de> for Nanos {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Nanos, D::Error> {
        let text = Text::deserialize(deserializer)?;
        let value = parse(&text.0, "a duration", TIME, "40ms").map_err(D::Error::custom)?;
        // A day is longer than any measurement, and keeps sums of delays far from overflow.
        const DAY: u128 = 86_400_000_000_000;
        if value > DAY {
            return Err(D::Error::custom(format!("\"{}\" is longer than a day", text.0)));
        }
        Ok(Nanos(value as u64))
    }
}

text!(Ppb, "Share", "A share, for example \"1%\"", r"^[0-9.]+ *(%|ppm)$");

impl<'de> Deserialize<'de> for Ppb {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Ppb, D::Error> {
        let text = Text::deserialize(deserializer)?;
        let value = parse(&text.0, "a share", SHARE, "1%").map_err(D::Error::custom)?;
        match u32::try_from(value) {
            Ok(ppb) if ppb <= 1_000_000_000 => Ok(Ppb(ppb)),
            _ => Err(D::Error::custom(format!("\"{}\" is more than everything; write 0% to 100%", text.0))),
        }
    }
}

text!(BitsPerSecond, "Rate", "Bits per second, for example \"50Mbit\"", r"^[0-9.]+ *(bit|kbit|Mbit|Gbit)$");

impl<'de> Deserialize<'de> for BitsPerSecond {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<BitsPerSecond, D::Error> {
        let text = Text::deserialize(deserializer)?;
        let value = parse(&text.0, "a rate", RATE, "50Mbit").map_err(D::Error::custom)?;
        // Slower than a kilobit, one packet takes longer than any time-out; faster than a terabit, 1 ns is a packet.
        const ALLOWED: std::ops::RangeInclusive<u128> = 1_000..=1_000_000_000_000;
        match NonZeroU64::new(value as u64).filter(|_| ALLOWED.contains(&value)) {
            Some(rate) => Ok(BitsPerSecond(rate)),
            None => Err(D::Error::custom(format!("\"{}\" is not between 1kbit and 1000Gbit per second", text.0))),
        }
    }
}

text!(Bytes, "Size", "A size, for example \"64KiB\"", r"^[0-9.]+ *(B|kB|MB|GB|KiB|MiB|GiB)$");

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        let text = Text::deserialize(deserializer)?;
        let value = parse(&text.0, "a size", SIZE, "64KiB").map_err(D::Error::custom)?;
        u64::try_from(value).map(Bytes).map_err(|_| D::Error::custom(format!("\"{}\" is too large", text.0)))
    }
}

text!(MilliPackets, "Packets", "A number of packets, for example \"5 packets\"", r"^[0-9.]+ *packets?$");

impl<'de> Deserialize<'de> for MilliPackets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<MilliPackets, D::Error> {
        let text = Text::deserialize(deserializer)?;
        let value = parse(&text.0, "a number of packets", PACKETS, "5 packets").map_err(D::Error::custom)?;
        match u64::try_from(value) {
            Ok(milli) if milli >= 1_000 => Ok(MilliPackets(milli)),
            _ => Err(D::Error::custom(format!("\"{}\" is less than a packet", text.0))),
        }
    }
}

/// A string; a bare number gets an error that says what is missing.
struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Text;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a quantity with its unit, in quotes")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text(text.into()))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// `12.5ms` in the smallest unit of its kind.
fn parse(text: &str, kind: &str, units: Units, example: &str) -> Result<u128, String> {
    let names = || units.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    let split = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-' | '+'))).unwrap_or(text.len());
    let (number, unit) = (text[..split].trim(), text[split..].trim());
    if number.starts_with('-') {
        return Err(format!("\"{text}\" is negative, but {kind} cannot be; write for example \"{example}\""));
    }
    if unit.is_empty() {
        return Err(format!("\"{text}\" has no unit; write for example \"{example}\" (units: {})", names()));
    }
    let Some((_, size)) = units.iter().find(|(name, _)| *name == unit) else {
        return Err(format!("unknown unit \"{unit}\" in \"{text}\"; {kind} has the units {}", names()));
    };
    scale(number, *size).ok_or_else(|| format!("\"{text}\" is not {kind}; write for example \"{example}\""))
}

/// A decimal number times `size`, exactly: what is smaller than one is cut off.
fn scale(number: &str, size: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    // Longer numbers are typing errors, and might overflow.
    if whole.is_empty() || whole.len() > 15 || fraction.len() > 9 || (number.contains('.') && fraction.is_empty()) {
        return None;
    }
    let digits = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<u128>().ok() };
    let (whole, part) = (digits(whole)?, digits(fraction)?);
    Some(whole * size + part * size / 10_u128.pow(fraction.len() as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_exact() {
        for (text, units, expect) in [
            ("40ms", TIME, 40_000_000),
            ("0.5ms", TIME, 500_000),
            ("2 s", TIME, 2_000_000_000),
            ("120s", TIME, 120_000_000_000),
            ("1%", SHARE, 10_000_000),
            ("0.1%", SHARE, 1_000_000),
            ("0.0000001%", SHARE, 1),
            ("50Mbit", RATE, 50_000_000),
            ("1.5Gbit", RATE, 1_500_000_000),
            ("64KiB", SIZE, 65_536),
        ] {
            assert_eq!(parse(text, "x", units, "1"), Ok(expect), "{text}");
        }
    }

    #[test]
    fn mistakes_say_the_fix() {
        for (text, units, expect) in [
            ("40", TIME, "has no unit"),
            ("-5ms", TIME, "is negative"),
            ("40 msec", TIME, "unknown unit \"msec\" in \"40 msec\"; x has the units ns, us, ms, s, min"),
            ("1.2.3ms", TIME, "is not x"),
            (".ms", TIME, "is not x"),
            ("ms", TIME, "is not x"),
            ("5Mb", RATE, "unknown unit"),
            ("99999999999999999s", TIME, "is not x"),
            ("", TIME, "has no unit"),
        ] {
            let error = parse(text, "x", units, "40ms").unwrap_err();
            assert!(error.contains(expect), "{text}: {error}");
        }
    }
}
