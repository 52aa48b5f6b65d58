//! Criterion's results, as it keeps them for its next comparison: `target/criterion/**/new/*.json`.
//!
//! Criterion 0.3 to 0.8. It promises nothing about these files, so each key is checked. Times are in nanoseconds.

use crate::{ImportError, Measured, json, sample, wrong};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// Of one benchmark: the directory they are in, and the files' contents.
#[derive(Debug, Clone, Copy)]
pub struct Files<'a> {
    /// For messages.
    pub directory: &'a str,
    /// `benchmark.json`: what it is called.
    pub benchmark: &'a str,
    /// `estimates.json`: what came out.
    pub estimates: &'a str,
}

#[derive(Deserialize)]
struct Benchmark {
    full_id: String,
    throughput: Option<Throughput>,
}

#[derive(Deserialize)]
enum Throughput {
    Bytes(u64),
    BytesDecimal(u64),
    Elements(IgnoredAny),
    Bits(u64),
    ElementsAndBytes {
        #[serde(rename = "elements")]
        _elements: IgnoredAny,
        bytes: u64,
    },
}

#[derive(Deserialize)]
struct Estimates {
    mean: Estimate,
    slope: Option<Estimate>,
}

#[derive(Deserialize)]
struct Estimate {
    point_estimate: f64,
}

/// What one benchmark measured: `iteration_time` is what Criterion prints in the middle, the slope over iterations where it
/// has one, else the mean.
pub fn read(files: Files) -> Result<Measured, ImportError> {
    let name = |file: &str| format!("{}/{file}", files.directory);
    let benchmark: Benchmark = json(&name("benchmark.json"), files.benchmark)?;
    let estimates: Estimates = json(&name("estimates.json"), files.estimates)?;
    let id = &benchmark.full_id;
    let (place, estimate) = match &estimates.slope {
        Some(slope) => ("slope", slope),
        None => ("mean", &estimates.mean),
    };
    let seconds = estimate.point_estimate / 1e9;
    if !(seconds.is_finite() && seconds > 0.0) {
        let problem = format!("{} is no time", estimate.point_estimate);
        return Err(wrong(&name("estimates.json"), format!("{place}.point_estimate"), problem));
    }
    let bytes = benchmark.throughput.map_or(0, |throughput| match throughput {
        Throughput::Bytes(bytes) | Throughput::BytesDecimal(bytes) | Throughput::ElementsAndBytes { bytes, .. } => {
            bytes
        }
        Throughput::Bits(bits) => bits / 8,
        Throughput::Elements(_) => 0,
    });
    let text = [files.benchmark, files.estimates].concat();
    let measured = Measured::new("criterion", id, &text, Ok(vec![sample("iteration_time", seconds)]));
    let measured = measured.map_err(|problem| wrong(&name("benchmark.json"), "full_id", problem))?;
    let words = format!("Criterion benchmark {id}: the time of one iteration, without a network.");
    Ok(Measured { words, bytes, ..measured })
}
