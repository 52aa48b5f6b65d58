//! Regions of the world by name, and how far they are apart.
//!
//! Source: IBM Cloud's published averages of 3 February to 3 March 2024 between its data centres: "Inter-region latency",
//! Table 1 of `_include-segments/network-latency.md` in `github.com/ibm-cloud-docs/vpc`, commit
//! `009bede4f2be2a4cdcbd27359cab8ecb76870fad`. It does not say so, but the figures are round trips: light in fibre needs
//! 32 ms one way from Washington to Frankfurt, and the table says 98. A provider's own lines are rather shorter than what
//! most people's packets take.
//!
//! A one-way delay is half of the mean of both directions' figures: what makes one differ from the other is not known.

/// A region that has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegionPreset {
    /// What it is called in files.
    pub name: &'static str,
    /// The city that was measured.
    pub city: &'static str,
}

/// All of them, in the order of the source.
pub const REGIONS: &[RegionPreset] = &[
    region("us-south", "Dallas"),
    region("ca-east", "Toronto"),
    region("us-east", "Washington"),
    region("eu-central", "Frankfurt"),
    region("eu-west", "London"),
    region("eu-south", "Madrid"),
    region("jp-west", "Osaka"),
    region("au-east", "Sydney"),
    region("jp-east", "Tokyo"),
    region("sa-east", "São Paulo"),
];

const fn region(name: &'static str, city: &'static str) -> RegionPreset {
    RegionPreset { name, city }
}

/// Round trips in milliseconds, from row to column.
const ROUND_TRIPS_MS: [[u64; 10]; 10] = [
    [0, 34, 32, 123, 113, 118, 149, 185, 142, 144],
    [34, 0, 19, 92, 82, 107, 170, 215, 162, 130],
    [32, 19, 0, 98, 75, 87, 174, 215, 167, 119],
    [123, 92, 98, 0, 12, 29, 242, 260, 237, 196],
    [113, 82, 75, 12, 0, 26, 253, 272, 247, 186],
    [118, 107, 87, 29, 26, 0, 268, 281, 260, 205],
    [149, 170, 174, 245, 255, 268, 0, 124, 9, 293],
    [185, 215, 214, 260, 271, 285, 124, 0, 117, 329],
    [141, 164, 167, 237, 246, 259, 9, 117, 0, 286],
    [145, 128, 120, 196, 185, 206, 292, 326, 285, 0],
];

/// How long a packet takes from one named region to another, in nanoseconds; the same both ways. `None`: at least one of
/// them is not known.
pub fn region_delay_ns(from: &str, to: &str) -> Option<u64> {
    let place = |name: &str| REGIONS.iter().position(|region| region.name == name);
    let (from, to) = (place(from)?, place(to)?);
    Some((ROUND_TRIPS_MS[from][to] + ROUND_TRIPS_MS[to][from]) * 1_000_000 / 4)
}
