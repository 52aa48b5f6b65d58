//! `longhaul scenario …`: what there is.

use crate::args::ScenarioCommand;
use crate::catalog;
use crate::error::CliError;
use crate::new;
use crate::output;
use crate::table;
use longhaul_record::Exit;
use longhaul_scenarios::{Roles, Scenario};
use serde_json::{Value, json};
use std::path::Path;

/// `longhaul scenario list|show|check|new|schema`.
pub(crate) fn scenario(command: &ScenarioCommand) -> Result<Exit, CliError> {
    match command {
        ScenarioCommand::List { names, json } => list_scenarios(names, *json),
        ScenarioCommand::Show { scenario, json } => show_scenarios(scenario, *json),
        ScenarioCommand::New(args) => new::command(args),
        ScenarioCommand::Schema => {
            output::line(longhaul_scenarios::scenario_schema().trim_end())?;
            Ok(Exit::Pass)
        }
        ScenarioCommand::Check { files } => {
            for file in files {
                check_file(file)?;
            }
            Ok(Exit::Pass)
        }
    }
}

/// Says what a file means, combination by combination.
fn check_file(file: &Path) -> Result<(), CliError> {
    let scenarios = catalog::open(file)?;
    let file = file.display();
    let Some(first) = scenarios.first() else { return Ok(()) };
    let extends = match first.bases.as_slice() {
        [] => String::new(),
        bases => format!("Extends {}. ", bases.join(", which extends ")),
    };
    if let [scenario] = scenarios.as_slice() {
        output::line(format!("{file}: ok. {extends}{}", scenario.words()))?;
    } else {
        output::line(format!("{file}: ok. {extends}A matrix of {} scenarios:", scenarios.len()))?;
        for scenario in &scenarios {
            output::line(format!("{}: {}", scenario.name, scenario.words()))?;
        }
    }
    // The file is good; a run of it elsewhere may work.
    for scenario in &scenarios {
        if let Err(error) = netsim_lab::check_congestion(&scenario.cross) {
            output::note(format!("{file}: not on this machine: {error}"));
        }
    }
    Ok(())
}

fn list_scenarios(names: &[String], as_json: bool) -> Result<Exit, CliError> {
    let mut scenarios = catalog::scenarios()?;
    if !names.is_empty() {
        scenarios.retain(|(_, scenario)| names.iter().any(|name| catalog::is_named(scenario, name)));
    }
    if scenarios.is_empty() {
        return Err(CliError::UnknownScenario { name: names.join(", ") });
    }
    if as_json {
        let entry = |(file, s): &(&str, Scenario)| json!({ "name": s.name, "family": s.family(), "summary": s.summary, "tags": s.tags, "file": file, "estimate_seconds": s.estimate().as_secs_f64() });
        output::json(&scenarios.iter().map(entry).collect())?;
        return Ok(Exit::Pass);
    }
    let mut rows: Vec<Vec<String>> = Vec::new();
    let count = |s: &Scenario| scenarios.iter().filter(|(_, other)| other.family() == s.family()).count();
    for (_, scenario) in &scenarios {
        let name = match count(scenario) {
            1 => scenario.name.clone(),
            _ if !names.is_empty() => scenario.name.clone(),
            count => format!("{} × {count}", scenario.family()),
        };
        let row = vec![name, scenario.tags.join(", "), scenario.summary.clone()];
        if rows.last() != Some(&row) {
            rows.push(row);
        }
    }
    output::line(table::plain(&["Scenario", "Tags", "What it is"], rows.into_iter()))?;
    output::line(format!("\n{}", durations(&scenarios)))?;
    Ok(Exit::Pass)
}

/// How long a run of all of each tag takes with one subject.
fn durations(scenarios: &[(&str, Scenario)]) -> String {
    let mut tags: Vec<&String> = Vec::new();
    for tag in scenarios.iter().flat_map(|(_, scenario)| &scenario.tags) {
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    let of = |tag: &&String| {
        let own = || scenarios.iter().map(|(_, scenario)| scenario).filter(|scenario| scenario.tags.contains(tag));
        let seconds: f64 = own().map(|scenario| scenario.estimate().as_secs_f64() * f64::from(scenario.repeat)).sum();
        let (count, plural) = (own().count(), if own().count() == 1 { "" } else { "s" });
        format!("{tag}: {count} scenario{plural}, {}", about(seconds))
    };
    let tags: Vec<String> = tags.iter().map(of).collect();
    format!("With one subject, and where nothing holds the transfers up, these take about:\n{}", tags.join("\n"))
}

fn about(seconds: f64) -> String {
    if seconds < 100.0 { format!("{seconds:.0} s") } else { format!("{:.0} min", seconds / 60.0) }
}

/// One scenario, or all combinations of a matrix.
fn show_scenarios(name: &str, as_json: bool) -> Result<Exit, CliError> {
    match catalog::scenario(name) {
        Err(CliError::SeveralScenarios { .. }) => {
            let all = catalog::select(&[name.to_owned()])?;
            if as_json {
                output::json(&all.iter().map(describe).collect())?;
            } else {
                output::line(format!("{name}: {} scenarios", all.len()))?;
                all.iter().try_for_each(|s| output::line(format!("\n{}: {}", s.name, s.words())))?;
            }
        }
        scenario => show_scenario(&scenario?, as_json)?,
    }
    Ok(Exit::Pass)
}

fn describe(scenario: &Scenario) -> Value {
    let Roles { providers, fetchers, rendezvous, relay, nodes } = &scenario.roles;
    json!({
        "name": scenario.name,
        "family": scenario.family(),
        "extends": scenario.bases,
        "summary": scenario.summary,
        "tags": scenario.tags,
        "hash": scenario.hash(),
        "words": scenario.words(),
        "provider": scenario.provider(),
        "fetcher": scenario.fetcher(),
        "roles": { "provider": providers, "fetcher": fetchers, "rendezvous": rendezvous, "relay": relay, "node": nodes },
        "repeat": scenario.repeat,
        "timeout_seconds": scenario.timeout.as_secs_f64(),
        "resolved": scenario.resolved(),
    })
}

fn show_scenario(scenario: &Scenario, as_json: bool) -> Result<(), CliError> {
    if as_json {
        return output::json(&describe(scenario));
    }
    let Scenario { name, summary, .. } = scenario;
    output::line(format!("{name}: {summary}\n\n{}\n\n{}", scenario.words(), scenario.resolved()))?;
    output::line(format!("hash {}", scenario.hash()))
}
