//! `longhaul gate`: whether a change may go in, by a policy.

use crate::args::GateArgs;
use crate::compare::{self, Asked, report};
use crate::error::CliError;
use crate::{catalog, output};
use longhaul_record::{Exit, Verdict};
use longhaul_scenarios::{FileError, Inconclusive, Policy, Scenario};
use longhaul_stats::{Choice, Limits};

/// Compares as the policy says, and reports.
pub(crate) fn command(args: &GateArgs) -> Result<Exit, CliError> {
    // One of the two is there, or the arguments would not be.
    let Some(base) = &args.base else {
        output::line(longhaul_scenarios::policy_schema().trim_end())?;
        return Ok(Exit::Pass);
    };
    let file = args.policy.to_string_lossy();
    let policy = Policy::parse(&file, &catalog::read(&args.policy)?)?;
    let asked = Asked {
        scenarios: scenarios(&file, &policy)?,
        subject: args.subject.clone().or_else(|| policy.subject.clone()),
        limits: Limits { blocks: policy.blocks, budget_s: policy.budget_ns as f64 / 1e9 },
        choice: Choice { metrics: policy.metrics.clone() },
        independent: false,
    };
    let comparison = compare::compare(base, &args.versions, &asked, &args.db)?;
    let exit = match (compare::exit(&comparison), policy.inconclusive) {
        (Exit::Inconclusive, Inconclusive::Pass) => Exit::Pass,
        (exit, _) => exit,
    };
    let forgiven = exit == Exit::Pass && comparison.verdict == Some(Verdict::Inconclusive);
    let words = match exit {
        Exit::Pass if forgiven => "Gate: passed; the policy lets what is inconclusive pass.",
        Exit::Pass => "Gate: passed.",
        _ => "Gate: not passed.",
    };
    if let Some(path) = &args.markdown {
        let page = format!("{}\n{words}\n", report::markdown(&comparison));
        std::fs::write(path, page).map_err(|source| CliError::Write { path: path.clone(), source })?;
    }
    if args.json {
        let comparison = report::json(&comparison)?;
        output::json(
            &serde_json::json!({ "passed": exit == Exit::Pass, "exit": exit.code(), "comparison": comparison }),
        )?;
    } else {
        output::line(format!("{}\n{words}", report::table(&comparison, false)))?;
    }
    Ok(exit)
}

/// The policy's scenarios; one that there is not is named with its line.
fn scenarios(file: &str, policy: &Policy) -> Result<Vec<Scenario>, CliError> {
    let mut all: Vec<Scenario> = Vec::new();
    for (name, line) in &policy.scenarios {
        let found = catalog::select(std::slice::from_ref(name)).map_err(|error| match error {
            CliError::UnknownScenario { .. } => {
                let message = format!("line {line}: {error}");
                CliError::File(FileError { file: file.to_owned(), key: Some("scenarios".to_owned()), message })
            }
            other => other,
        })?;
        all.extend(found.into_iter().filter(|scenario| !all.contains(scenario)).collect::<Vec<_>>());
    }
    Ok(all)
}
