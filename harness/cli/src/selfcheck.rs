//! `longhaul lab calibrate --self`: what this machine makes of our links, and of the reference transfer.

use crate::catalog;
use crate::error::CliError;
use crate::output;
use crate::run;
use crate::table;
use longhaul_record::{Exit, text};
use longhaul_runner::{Bound, Cost, Goal, YardstickError, Yardsticks, yardsticks};
use netsim_lab::{Effort, Figure, Sandbox, SelfReport, Spread, Unit, self_check};
use serde_json::{Value, json};

/// Moved by each transfer: long enough for start-up not to matter, short enough for several rounds.
const TRANSFER_BYTES: u64 = 256 << 20;

/// Measures, then prints both tables.
pub(crate) fn command(rounds: u32, as_json: bool, sandbox: &Sandbox) -> Result<Exit, CliError> {
    let effort = Effort { rounds, ..Effort::FULL };
    let report = self_check(&effort, &mut |step| output::note(format!("links: {step}")))?;
    output::note(format!("transfers: {rounds} rounds"));
    let transfers = transfers(rounds, sandbox);
    if as_json {
        output::json(&json!({
            "schema": 1,
            "realtime": report.realtime,
            "congestion_control": report.congestion_control,
            "no_veth": report.no_veth,
            "figures": report.figures.iter().map(figure_json).collect::<Vec<_>>(),
            "transfers": transfers.as_ref().map_or_else(|error| json!({ "skipped": text::chain(error) }), transfers_json),
        }))?;
    } else {
        print_links(&report)?;
        print_transfers(&transfers)?;
    }
    match transfers {
        // A machine without the transfer's programs has been told so; a transfer that fails is a defect.
        Ok(_) | Err(YardstickError::Prepare(_)) => Ok(Exit::Pass),
        Err(error) => Err(error.into()),
    }
}

fn transfers(rounds: u32, sandbox: &Sandbox) -> Result<Yardsticks, YardstickError> {
    let scratch = sandbox.scratch().join("yardsticks");
    // The shipped subject is part of this program.
    let reference = catalog::subject("reference").expect("the shipped subject is valid");
    yardsticks(&run::programs(), &reference, &scratch, TRANSFER_BYTES, rounds)
}

fn print_links(report: &SelfReport) -> Result<(), CliError> {
    let rows = report.figures.iter().map(|figure| {
        let (beside, yardstick) = figure.yardstick.map_or_else(
            || ("–".to_owned(), "–".to_owned()),
            |(yardstick, spread)| (yardstick.as_str().to_owned(), figure.unit.spread_text(spread)),
        );
        vec![
            figure.title.to_owned(),
            figure.unit.spread_text(figure.ours),
            yardstick,
            beside,
            figure.ratio().map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}")),
            figure.target.text(figure.unit),
            verdict(figure.met()).to_owned(),
        ]
    });
    output::line(table::plain(&["Figure", "Our links", "Yardstick", "which is", "Ratio", "Target", ""], rows))?;
    output::line(format!(
        "\nMedians of {} rounds (smallest–largest). TCP used {}.",
        rounds_of(report),
        report.congestion_control
    ))?;
    if let Some(reason) = &report.no_veth {
        output::line(format!("Plain veth was skipped: {reason}."))?;
    }
    if !report.realtime {
        output::line("The emulator had no real-time priority; `longhaul doctor` says how to allow it.")?;
    }
    Ok(())
}

fn rounds_of(report: &SelfReport) -> usize {
    report.figures.first().map_or(0, |figure| figure.ours.rounds)
}

fn print_transfers(transfers: &Result<Yardsticks, YardstickError>) -> Result<(), CliError> {
    let transfers = match transfers {
        Ok(transfers) => transfers,
        Err(error) => {
            return output::line(format!("\nTransfers were skipped: {}.", text::chain(error)));
        }
    };
    let rows = transfers.cases.iter().map(|(case, cost)| match cost {
        Ok(Cost { goodput_bps, wall_s, cpu_s }) => vec![
            case.as_str().to_owned(),
            Unit::BitsPerSecond.spread_text(*goodput_bps),
            Unit::Seconds.spread_text(*wall_s),
            Unit::Seconds.spread_text(*cpu_s),
        ],
        Err(reason) => vec![case.as_str().to_owned(), format!("skipped: {reason}"), "–".to_owned(), "–".to_owned()],
    });
    let title = format!("Transfer of {} MiB", transfers.bytes >> 20);
    output::line(format!("\n{}", table::plain(&[&title, "Goodput", "Wall time", "CPU time, both ends"], rows)))?;
    let goals = transfers.goals().into_iter().map(|goal| {
        vec![
            format!("reference: {}", goal.title),
            format!("{:.2}", goal.ratio),
            bound_text(goal.bound),
            verdict(Some(goal.met())).to_owned(),
        ]
    });
    output::line(format!("\n{}", table::plain(&["Goal", "Ratio", "Target", ""], goals)))
}

fn verdict(met: Option<bool>) -> &'static str {
    match met {
        Some(true) => "met",
        Some(false) => "MISSED",
        None => "–",
    }
}

fn bound_text(bound: Bound) -> String {
    match bound {
        Bound::AtLeast(least) => format!("≥ {least:.2}"),
        Bound::AtMost(most) => format!("≤ {most:.2}"),
    }
}

fn spread_json(spread: Spread) -> Value {
    json!({ "median": spread.median, "min": spread.min, "max": spread.max, "rounds": spread.rounds })
}

fn figure_json(figure: &Figure) -> Value {
    json!({
        "id": figure.id,
        "title": figure.title,
        "unit": figure.unit.as_str(),
        "ours": spread_json(figure.ours),
        "yardstick": figure.yardstick.map(|(yardstick, spread)| {
            json!({ "what": yardstick.as_str(), "value": spread_json(spread) })
        }),
        "ratio": figure.ratio(),
        "target": figure.target.text(figure.unit),
        "met": figure.met(),
    })
}

fn transfers_json(transfers: &Yardsticks) -> Value {
    let cases = transfers.cases.iter().map(|(case, cost)| match cost {
        Ok(cost) => json!({
            "case": case.as_str(),
            "goodput_bps": spread_json(cost.goodput_bps),
            "wall_s": spread_json(cost.wall_s),
            "cpu_s": spread_json(cost.cpu_s),
        }),
        Err(reason) => json!({ "case": case.as_str(), "skipped": reason }),
    });
    let goal = |goal: Goal| {
        json!({
            "id": goal.id,
            "ratio": goal.ratio,
            "target": bound_text(goal.bound),
            "met": goal.met(),
        })
    };
    json!({
        "bytes": transfers.bytes,
        "cases": cases.collect::<Vec<_>>(),
        "goals": transfers.goals().into_iter().map(goal).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use netsim_lab::{Target, Yardstick};

    fn spread(median: f64) -> Spread {
        Spread { median, min: median / 2.0, max: median * 2.0, rounds: 3 }
    }

    #[test]
    fn json_carries_what_the_table_shows() {
        let figure = Figure {
            id: "packet_rate",
            title: "Packets",
            unit: Unit::PacketsPerSecond,
            ours: spread(300_000.0),
            yardstick: Some((Yardstick::PlainVeth, spread(200_000.0))),
            target: Target::RatioAtLeast(1.0),
        };
        let value = figure_json(&figure);
        assert_eq!(value["ours"]["median"], 300_000.0);
        assert_eq!(value["yardstick"]["what"], "plain veth");
        assert_eq!((&value["ratio"], &value["met"], &value["target"]), (&json!(1.5), &json!(true), &json!("≥ 1.00×")));
        let alone = figure_json(&Figure { yardstick: None, ..figure });
        assert_eq!((&alone["ratio"], &alone["met"], &alone["yardstick"]), (&Value::Null, &Value::Null, &Value::Null));
    }

    #[test]
    fn a_missing_program_is_a_skipped_case() {
        let transfers =
            Yardsticks { bytes: 1, cases: vec![(longhaul_runner::Case::Curl, Err("`curl` is not installed".into()))] };
        let value = transfers_json(&transfers);
        assert_eq!(value["cases"][0], json!({ "case": "curl", "skipped": "`curl` is not installed" }));
        assert_eq!(value["goals"], json!([]));
    }
}
