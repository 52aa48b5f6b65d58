//! Tables for the terminal.

use crate::expectation::{Group, groups};
use comfy_table::{Cell, CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};
use longhaul_record::{CrossKind, CrossReport, Outcome, RunRecord, metric, text};
use longhaul_stats::{Interval, Success, median};

/// A table of texts.
pub(crate) fn plain(header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut table = empty(header);
    for row in rows {
        table.add_row(row);
    }
    table.to_string()
}

/// The same for a page of Markdown.
pub(crate) fn markdown(header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let line = |cells: Vec<String>| format!("| {} |", cells.join(" | "));
    let rule = vec!["---".to_owned(); header.len()];
    let header = header.iter().map(|cell| (*cell).to_owned()).collect();
    [header, rule].into_iter().chain(rows).map(line).collect::<Vec<_>>().join("\n")
}

/// One line under the header, nothing else: easy to read and to cut out of a terminal.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::new(' ', '─', '─', ' '));

fn empty(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(STYLE).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header);
    table
}

/// What the result table shows of a run: heading, metric, side.
const COLUMNS: [(&str, &str, Option<&str>); 13] = [
    ("Goodput", "goodput", None),
    ("Transfer", "transfer_time", None),
    ("First byte", "time_to_first_byte", None),
    ("Overhead", "wire_overhead", None),
    ("CPU, fetcher", "cpu_seconds", Some("fetcher")),
    ("Queue", "peak_queueing_delay", None),
    ("Lookup", "lookup_time", None),
    ("95 in 100", "lookup_time_p95", None),
    ("Found", "lookup_success", None),
    ("Packets", "lookup_packets", None),
    ("Recovery", "recovery_time", None),
    ("Instructions, provider", "instructions", Some("provider")),
    ("Instructions, fetcher", "instructions", Some("fetcher")),
];

/// The results of a command, a scenario and subject a row: medians of the runs that went well, and how many did. What did
/// not shows why, never a number.
pub(crate) fn results(records: &[RunRecord]) -> String {
    // Few scenarios have anything to recover from, and where instructions are counted nothing else is.
    let is_there = |id, peer| records.iter().any(|record| record.value(id, peer).is_some());
    let columns: Vec<_> = COLUMNS.into_iter().filter(|(_, id, peer)| is_there(id, *peer)).collect();
    let headings = columns.iter().map(|(heading, ..)| *heading);
    let header: Vec<&str> = ["Scenario", "Subject"].into_iter().chain(headings).chain(["Outcome"]).collect();
    let mut table = empty(&header);
    for group in groups(records) {
        let first = group.records[0];
        let mut cells = vec![Cell::new(clean(&first.scenario)), Cell::new(clean(&first.subject))];
        cells.extend(columns.iter().map(|(_, id, peer)| {
            let good = group.records.iter().filter(|record| record.outcome == Outcome::Ok);
            let values: Vec<f64> = good.filter_map(|record| record.value(id, *peer)).collect();
            let text = median(&values).zip(metric(id)).map(|(value, metric)| metric.unit.text(value));
            Cell::new(text.unwrap_or_else(|| "\u{2013}".into())).set_alignment(CellAlignment::Right)
        }));
        cells.push(Cell::new(outcome(&group)));
        table.add_row(cells);
    }
    let reasons = records.iter().filter_map(|record| {
        record.reason.as_ref()?;
        Some(format!("\n{} · {}: {}", clean(&record.scenario), clean(&record.subject), reason(record)))
    });
    table.to_string() + &reasons.collect::<String>() + &cross(records).unwrap_or_default()
}

/// A single run's outcome; of several, how many went well, and the interval that goes with so few.
fn outcome(group: &Group) -> String {
    let Success { ok, tried } = group.success;
    let interval = group.success.interval().map_or_else(String::new, |Interval { low, high }| {
        format!(" ({:.0}\u{2013}{:.0} %)", low * 100.0, high * 100.0)
    });
    let untold = match group.records.len() as u64 - tried {
        0 => String::new(),
        untold => format!(", {untold} not counted"),
    };
    match group.records.as_slice() {
        [record] => record.outcome.as_str().to_owned(),
        _ => format!("{ok} of {tried} ok{interval}{untold}"),
    }
}

/// What the flows beside the transfers did, one a row.
fn cross(records: &[RunRecord]) -> Option<String> {
    let flows = || records.iter().flat_map(|record| record.cross.iter().map(move |flow| (record, flow)));
    flows().next()?;
    let row = |(record, flow): (&RunRecord, &CrossReport)| {
        let asked = match &flow.kind {
            CrossKind::Tcp { congestion } => congestion.clone(),
            CrossKind::Udp { rate_bps, .. } => text::trimmed(text::bits_per_second(*rate_bps as f64)),
        };
        let done = match flow.started_ns {
            Some(_) => text::bits_per_second(flow.goodput_bps),
            None => "not started".into(),
        };
        let bytes = [flow.sent_bytes, flow.received_bytes].map(|bytes| text::bytes(bytes as f64));
        let [sent, received] = bytes;
        let lost = text::count(flow.lost_packets as f64);
        let texts = [record.scenario.clone(), record.subject.clone(), flow.label(), asked, done, sent, received, lost];
        texts.iter().map(|text| clean(text)).collect()
    };
    let header = ["Scenario", "Subject", "Other traffic", "Asked", "Goodput", "Sent", "Received", "Lost"];
    Some(format!("\n\n{}", plain(&header, flows().map(row))))
}

/// Why a run's outcome is not `ok`, fit for a terminal.
pub(crate) fn reason(record: &RunRecord) -> String {
    clean(record.reason.as_deref().unwrap_or_default())
}

/// Text that came from a program under test must not move the cursor or change colours.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(clean("a\u{1b}[2Jb\r\nc"), "a\u{fffd}[2Jb\u{fffd}\u{fffd}c");
    }
}
