//! `longhaul scenario …` and `longhaul subject …`: what there is.

use crate::args::{ScenarioCommand, SubjectCommand};
use crate::catalog;
use crate::error::CliError;
use crate::output;
use crate::run::programs;
use crate::table;
use longhaul_record::{Exit, text};
use longhaul_scenarios::Scenario;
use serde_json::json;

/// `longhaul scenario list|show|check`.
pub(crate) fn scenario(command: &ScenarioCommand) -> Result<Exit, CliError> {
    match command {
        ScenarioCommand::List { json } => list_scenarios(*json),
        ScenarioCommand::Show { scenario, json } => show_scenario(&catalog::scenario(scenario)?, *json),
        ScenarioCommand::Check { files } => {
            for file in files {
                let scenario = catalog::open(file)?;
                output::line(format!("{}: ok. {}", file.display(), scenario.words()))?;
                // The file is good; a run of it elsewhere may work.
                if let Err(error) = netsim_lab::check_congestion(&scenario.cross) {
                    output::note(format!("{}: not on this machine: {error}", file.display()));
                }
            }
            Ok(Exit::Pass)
        }
    }
}

fn list_scenarios(as_json: bool) -> Result<Exit, CliError> {
    let scenarios = catalog::scenarios()?;
    if as_json {
        let entry = |(file, s): &(&str, Scenario)| json!({ "name": s.name, "summary": s.summary, "tags": s.tags, "file": file });
        output::json(&scenarios.iter().map(entry).collect())?;
    } else {
        let row = |(_, s): &(&str, Scenario)| vec![s.name.clone(), s.tags.join(", "), s.summary.clone()];
        output::line(table::plain(&["Scenario", "Tags", "What it is"], scenarios.iter().map(row)))?;
    }
    Ok(Exit::Pass)
}

fn show_scenario(scenario: &Scenario, as_json: bool) -> Result<Exit, CliError> {
    if as_json {
        output::json(&json!({
            "name": scenario.name,
            "summary": scenario.summary,
            "tags": scenario.tags,
            "hash": scenario.hash(),
            "words": scenario.words(),
            "provider": scenario.provider,
            "fetcher": scenario.fetcher,
            "repeat": scenario.repeat,
            "timeout_seconds": scenario.timeout.as_secs_f64(),
            "resolved": scenario.resolved(),
        }))?;
    } else {
        let Scenario { name, summary, .. } = scenario;
        output::line(format!("{name}: {summary}\n\n{}\n\n{}", scenario.words(), scenario.resolved()))?;
        output::line(format!("hash {}", scenario.hash()))?;
    }
    Ok(Exit::Pass)
}

/// `longhaul subject list`.
pub(crate) fn subject(command: &SubjectCommand) -> Result<Exit, CliError> {
    let SubjectCommand::List { json: as_json } = command;
    let programs = programs();
    let mut entries = Vec::new();
    for subject in catalog::subjects()? {
        let (ready, reason, version) = match programs.look_up(&subject) {
            Ok(prepared) => (true, None, prepared.detail.version),
            Err(_) if programs.would_build(&subject) => (true, Some("will be built when it is run".to_owned()), None),
            Err(error) => (false, Some(text::chain(&error)), None),
        };
        entries.push((subject, ready, reason, version));
    }
    if *as_json {
        let entry = entries.iter().map(|(subject, ready, reason, version)| {
            json!({ "name": subject.name, "ready": ready, "reason": reason, "version": version })
        });
        output::json(&entry.collect())?;
    } else {
        let row = |(subject, ready, reason, version): &(
            longhaul_scenarios::Subject,
            bool,
            Option<String>,
            Option<String>,
        )| {
            let state = if *ready { "ready" } else { "not ready" };
            let detail = reason.clone().or_else(|| version.clone()).unwrap_or_default();
            vec![subject.name.clone(), state.to_owned(), detail, subject.summary.clone()]
        };
        output::line(table::plain(&["Subject", "State", "Version or reason", "What it is"], entries.iter().map(row)))?;
    }
    Ok(Exit::Pass)
}
