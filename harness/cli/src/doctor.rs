//! `longhaul doctor`.

use crate::args::DoctorArgs;
use crate::error::CliError;
use crate::output;
use longhaul_record::{Exit, text};
use netsim_lab::{Finding, State};
use serde_json::json;

/// Looks at the machine and says what was found.
pub(crate) fn command(args: &DoctorArgs) -> Result<Exit, CliError> {
    let findings = match netsim_lab::enter() {
        Ok(_) => netsim_lab::doctor(),
        Err(error) => vec![Finding { what: "namespaces", state: State::Missing, detail: text::chain(&error) }],
    };
    if args.json {
        let value = findings.iter().map(|f| json!({ "what": f.what, "state": word(f.state), "detail": f.detail }));
        output::json(&value.collect())?;
    } else {
        for finding in &findings {
            output::line(words(finding))?;
        }
    }
    let missing = findings.iter().any(|finding| finding.state == State::Missing);
    Ok(if missing { Exit::Environment } else { Exit::Pass })
}

/// Prints the findings for a person; an error if something needed is missing. Must run in the sandbox.
pub(crate) fn require() -> Result<(), CliError> {
    let findings = netsim_lab::doctor();
    for finding in &findings {
        output::note(words(finding));
    }
    match findings.into_iter().find(|finding| finding.state == State::Missing) {
        Some(finding) => Err(CliError::Doctor { missing: format!("{}: {}", finding.what, finding.detail) }),
        None => Ok(()),
    }
}

fn words(finding: &Finding) -> String {
    let mark = match finding.state {
        State::Well => "ok     ",
        State::Weak => "weak   ",
        State::Missing => "missing",
    };
    format!("{mark}  {}: {}", finding.what, finding.detail)
}

fn word(state: State) -> &'static str {
    match state {
        State::Well => "ok",
        State::Weak => "weak",
        State::Missing => "missing",
    }
}
