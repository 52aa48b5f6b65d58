//! `longhaul lab scale`: what networks cost as they grow.

use crate::error::CliError;
use crate::output;
use crate::table;
use longhaul_record::{Exit, text};
use netsim_lab::{SCALE, ScalePoint};
use serde_json::{Value, json};

/// Measures every size, then prints them all. Must run in the sandbox.
pub(crate) fn command(as_json: bool) -> Result<Exit, CliError> {
    let mut points = Vec::new();
    for hosts in SCALE {
        output::note(format!("{hosts} hosts"));
        points.push(netsim_lab::scale(hosts)?);
    }
    if as_json {
        output::json(&points.iter().map(point_json).collect())?;
    } else {
        print(&points)?;
    }
    // A network in which hosts do not reach each other has no costs worth knowing.
    Ok(if points.iter().all(|point| point.unreachable == 0) { Exit::Pass } else { Exit::Untrusted })
}

fn print(points: &[ScalePoint]) -> Result<(), CliError> {
    let rows = points.iter().map(|point| {
        vec![
            point.hosts.to_string(),
            point.routers.to_string(),
            text::seconds(point.up_s),
            text::seconds(point.down_s),
            text::bytes(point.memory_bytes as f64),
            format!("{} of {}", point.pairs - point.unreachable, point.pairs),
            text::seconds(point.cpu_per_packet_s),
            text::percent(point.idle_share),
        ]
    });
    let heads = ["Hosts", "Routers", "Up in", "Down in", "Memory", "Pairs reached", "CPU per packet", "Idle CPU"];
    output::line(table::plain(&heads, rows))?;
    let cost = |title, value: fn(&ScalePoint) -> f64, words: fn(f64) -> String| -> Result<(), CliError> {
        output::line(format!("\n{title}"))?;
        let most = points.iter().map(value).fold(f64::MIN_POSITIVE, f64::max);
        for point in points {
            let bar = "█".repeat((value(point) / most * 40.0).round() as usize);
            output::line(format!("  {:>5} hosts  {bar} {}", point.hosts, words(value(point))))?;
        }
        Ok(())
    };
    cost("Emulator CPU per packet", |point| point.cpu_per_packet_s, text::seconds)?;
    cost("Memory per host", |point| point.memory_bytes as f64 / point.hosts as f64, text::bytes)?;
    cost("Idle CPU, all hosts together", |point| point.idle_share, text::percent)
}

fn point_json(point: &ScalePoint) -> Value {
    json!({
        "hosts": point.hosts,
        "routers": point.routers,
        "up_s": point.up_s,
        "down_s": point.down_s,
        "memory_bytes": point.memory_bytes,
        "pairs": point.pairs,
        "unreachable": point.unreachable,
        "cpu_per_packet_s": point.cpu_per_packet_s,
        "idle_share": point.idle_share,
    })
}
