//! The newest values as OpenMetrics, for Prometheus and what understands it
//! (<https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md>).

use longhaul_record::{Unit, metric};
use longhaul_store::{MetricSeries, SeriesSet};
use std::collections::BTreeMap;
use std::fmt::Write;

/// A median, and what it is of.
#[derive(Debug, Clone, PartialEq)]
pub struct Value {
    /// Metric id.
    pub metric: String,
    /// Names and values of labels.
    pub labels: Vec<(&'static str, String)>,
    /// The median, in the metric's base unit.
    pub value: f64,
}

/// The newest median of each series of a scenario, or its median at `commit`.
pub fn newest(scenario: &str, set: &SeriesSet, commit: Option<&str>) -> Vec<Value> {
    let is_of = |at: usize| commit.is_none() || set.commits[at].sha.as_deref() == commit;
    let value = |series: &MetricSeries| {
        let point = series.points.iter().rfind(|point| is_of(point.commit))?;
        let mut labels = vec![
            ("project", series.project.clone()),
            ("scenario", scenario.to_owned()),
            ("subject", series.subject.clone()),
            ("host", series.host.clone()),
        ];
        labels.extend(series.peer.clone().map(|peer| ("peer", peer)));
        labels.extend(set.commits[point.commit].sha.clone().map(|sha| ("commit", sha)));
        Some(Value { metric: series.metric.clone(), labels, value: point.median })
    };
    set.series.iter().filter_map(value).collect()
}

/// The whole document: a gauge for each metric, in the order of their names. Metrics that longhaul does not know have no unit.
pub fn document(values: &[Value]) -> String {
    let mut families: BTreeMap<(String, &str), Vec<&Value>> = BTreeMap::new();
    for value in values {
        families.entry(family(&value.metric)).or_default().push(value);
    }
    let mut text = String::new();
    for ((name, unit), values) in families {
        // Writing into a string never fails.
        let _ = writeln!(text, "# TYPE {name} gauge");
        if !unit.is_empty() {
            let _ = writeln!(text, "# UNIT {name} {unit}");
        }
        if let Some(known) = values.first().and_then(|value| metric(&value.metric)) {
            let _ = writeln!(text, "# HELP {name} {}", escaped(known.definition));
        }
        for value in values {
            let labels = value.labels.iter().map(|(label, text)| format!("{label}=\"{}\"", escaped(text)));
            let _ = writeln!(text, "{name}{{{}}} {}", labels.collect::<Vec<_>>().join(","), value.value);
        }
    }
    text + "# EOF\n"
}

/// A name that ends with its unit, as the format asks, and the unit.
fn family(id: &str) -> (String, &'static str) {
    let unit = match metric(id).map(|metric| metric.unit) {
        Some(Unit::BitsPerSecond) => "bits_per_second",
        Some(Unit::Seconds) => "seconds",
        Some(Unit::Bytes) => "bytes",
        Some(Unit::Ratio) => "ratio",
        Some(Unit::Count) | None => "",
    };
    let plain: String = id.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let stem = plain.strip_suffix(unit).unwrap_or(&plain).trim_end_matches('_');
    let name = if unit.is_empty() { format!("longhaul_{plain}") } else { format!("longhaul_{stem}_{unit}") };
    (name, unit)
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_as_the_format_asks() {
        let value = |metric: &str, scenario: &str, value| {
            let labels = vec![("project", "p".to_owned()), ("scenario", scenario.to_owned())];
            Value { metric: metric.to_owned(), labels, value }
        };
        let values = [
            value("cpu_seconds", "local", 1.5),
            value("flows", "local", 2.0),
            value("cpu_seconds", "a\"b\\c\nd", 1e-9),
            value("MB/s", "local", 3.0),
        ];
        let text = document(&values);
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("# HELP")).collect();
        assert_eq!(
            lines,
            [
                "# TYPE longhaul_MB_s gauge",
                "longhaul_MB_s{project=\"p\",scenario=\"local\"} 3",
                "# TYPE longhaul_cpu_seconds gauge",
                "# UNIT longhaul_cpu_seconds seconds",
                "longhaul_cpu_seconds{project=\"p\",scenario=\"local\"} 1.5",
                "longhaul_cpu_seconds{project=\"p\",scenario=\"a\\\"b\\\\c\\nd\"} 0.000000001",
                "# TYPE longhaul_flows gauge",
                "longhaul_flows{project=\"p\",scenario=\"local\"} 2",
                "# EOF",
            ]
        );
        assert_eq!(document(&[]), "# EOF\n");
    }
}
