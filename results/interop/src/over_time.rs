//! A run's series over time as CSV: a row for each value.

use longhaul_record::RunRecord;

/// `series,peer,unit,from_s,value`: each interval's beginning is in seconds after the start of the fetcher's process.
///
/// # Errors
///
/// Whatever the writer says.
pub fn csv(run: &RunRecord, out: impl std::io::Write) -> Result<(), csv::Error> {
    let mut rows = csv::Writer::from_writer(out);
    rows.write_record(["series", "peer", "unit", "from_s", "value"])?;
    for series in &run.series {
        let peer = series.peer.as_deref().unwrap_or_default();
        for (n, value) in series.values.iter().enumerate() {
            let from = n as f64 * f64::from(series.interval_ms) / 1e3;
            rows.write_record([&series.name, peer, &series.unit, &from.to_string(), &value.to_string()])?;
        }
    }
    rows.flush()?;
    Ok(())
}
