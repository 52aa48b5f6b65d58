//! What `go test -bench` prints: the Go Benchmark Data Format (<https://golang.org/design/14313-benchmark-format>).

use crate::{ImportError, Measured, sample, seconds_of, wrong};
use longhaul_record::Sample;
use std::collections::BTreeMap;

/// What was printed for one benchmark: by unit, the values of all its lines.
type Values = BTreeMap<String, Vec<f64>>;

/// Every benchmark, with the median of its lines: they were made at one sitting, so they are one point. Times become
/// `iteration_time`, `B/op` and `allocs/op` become `allocated_bytes` and `allocations`; other units are metrics of their own.
/// Lines that are no results are left out, as the format asks.
pub fn read(file: &str, text: &str) -> Result<Vec<Measured>, ImportError> {
    let mut benchmarks: BTreeMap<String, Values> = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        let refused = |problem: String| wrong(file, format!("line {}", number + 1), problem);
        let Some((name, values)) = result(line).map_err(refused)? else { continue };
        let benchmark = benchmarks.entry(name.to_owned()).or_default();
        for (unit, value) in values {
            benchmark.entry(unit.to_owned()).or_default().push(value);
        }
    }
    if benchmarks.is_empty() {
        return Err(wrong(file, "", "no line is a result of a benchmark"));
    }
    let measured = |(name, values): (String, Values)| {
        let samples = values.into_iter().filter_map(|(unit, values)| of_unit(&unit, longhaul_stats::median(&values)?));
        Measured::new("benchfmt", &name, text, Ok(samples.collect())).map_err(|problem| wrong(file, name, problem))
    };
    benchmarks.into_iter().map(measured).collect()
}

/// A benchmark's name, and a line's values with their units.
type Line<'a> = (&'a str, Vec<(&'a str, f64)>);

/// A name and its values: `BenchmarkName-8 100 123 ns/op 45 B/op`.
fn result(line: &str) -> Result<Option<Line<'_>>, String> {
    let mut fields = line.split_whitespace();
    let Some(name) = fields.next().and_then(|first| first.strip_prefix("Benchmark")) else { return Ok(None) };
    if name.chars().next().is_none_or(char::is_lowercase) {
        return Ok(None);
    }
    let rest: Vec<&str> = fields.collect();
    // A name alone is printed before the benchmark runs, for those who watch.
    let Some((iterations, pairs)) = rest.split_first() else { return Ok(None) };
    iterations.parse::<u64>().map_err(|_| format!("`{iterations}` is not a number of iterations"))?;
    if pairs.is_empty() || pairs.len() % 2 == 1 {
        return Err("values and units do not come in pairs".to_owned());
    }
    let value = |pair: &[&'_ str]| -> Result<f64, String> {
        let value = pair[0].parse::<f64>().ok().filter(|value| value.is_finite());
        value.ok_or_else(|| format!("`{}` is not a number", pair[0]))
    };
    let values = pairs.chunks(2).map(|pair| Ok((pair[1], value(pair)?))).collect::<Result<Vec<_>, String>>()?;
    Ok(Some((name, values)))
}

fn of_unit(unit: &str, value: f64) -> Option<Sample> {
    Some(match (seconds_of(unit), unit) {
        (Some(seconds), _) => sample("iteration_time", value * seconds),
        (None, "B/op") => sample("allocated_bytes", value),
        (None, "allocs/op") => sample("allocations", value),
        (None, other) => sample(other, value),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_one_benchmark_are_one_point() {
        let text = "goos: linux\ncpu: x\npkg: a\nBenchmarkCopy/1k-8 \t 100\t  300 ns/op\t  3.4 MB/s\t 16 B/op\t 2 allocs/op\n\
                    BenchmarkCopy/1k-8 \t 120\t  100 ns/op\t 3.6 MB/s\t 16 B/op\t 2 allocs/op\n\
                    BenchmarkCopy/1k-8 \t 120\t  200 ns/op\t 3.5 MB/s\t 16 B/op\t 2 allocs/op\n\
                    BenchmarkSlow\nBenchmarkSlow-8 1 2.5 s/op\n--- BENCH: x\nBenchmarking is fun 3\nPASS\nok a 2s\n";
        let all: Vec<_> =
            read("a.txt", text).unwrap().into_iter().map(|one| (one.name, one.outcome.unwrap())).collect();
        let copy = [("allocated_bytes", 16.0), ("MB/s", 3.5), ("allocations", 2.0), ("iteration_time", 200.0 * 1e-9)];
        let copy = copy.map(|(metric, value)| sample(metric, value)).to_vec();
        assert_eq!(all, [("Copy/1k-8".into(), copy), ("Slow-8".into(), vec![sample("iteration_time", 2.5)])]);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, expected) in [
            ("PASS\n", "a.txt: no line is a result of a benchmark"),
            ("goos: linux\nBenchmarkA-8 x 1 ns/op\n", "a.txt: `line 2`: `x` is not a number of iterations"),
            ("BenchmarkA-8 1 1 ns/op 2\n", "a.txt: `line 1`: values and units do not come in pairs"),
            ("BenchmarkA-8 1 fast ns/op\n", "a.txt: `line 1`: `fast` is not a number"),
        ] {
            assert_eq!(read("a.txt", text).unwrap_err().to_string(), expected, "{text:?}");
        }
    }
}
