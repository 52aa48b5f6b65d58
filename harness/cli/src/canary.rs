//! `longhaul canary`: a version compared with itself, and how often such comparisons see a change that is none.

use crate::args::{CanaryArgs, VersionArgs};
use crate::compare::{self, Asked, report};
use crate::error::CliError;
use crate::run::{runtime, under_test};
use crate::{catalog, output};
use longhaul_record::{Comparison, Exit, Verdict};
use longhaul_runner::wall_ms;
use longhaul_stats::{Choice, Limits, Z_95, wilson};
use longhaul_store::{ComparisonFilter, FalseAlarms};
use serde_json::json;

/// Compares, unless only the rate is asked for, and shows the rate of all that were compared so far.
pub(crate) fn command(args: &CanaryArgs) -> Result<Exit, CliError> {
    let comparison = if args.rate { None } else { Some(compare_with_itself(args)?) };
    let alarms = alarms(args)?;
    if args.json {
        let interval = interval(alarms);
        let comparison = comparison.as_ref().map(report::json).transpose()?;
        output::json(&json!({
            "comparison": comparison,
            "compared": alarms.compared,
            "false_alarms": alarms.raised,
            "interval": interval,
        }))?;
    } else {
        let table = comparison.as_ref().map(|comparison| report::table(comparison, false) + "\n\n");
        output::line(table.unwrap_or_default() + &words(alarms))?;
    }
    Ok(comparison.as_ref().map_or(Exit::Pass, exit))
}

fn compare_with_itself(args: &CanaryArgs) -> Result<Comparison, CliError> {
    let asked = Asked {
        scenarios: catalog::select(&args.scenarios)?,
        subject: args.subject.clone(),
        limits: Limits { blocks: args.blocks, budget_s: args.budget },
        choice: Choice::default(),
        independent: false,
    };
    // The same seeds each time would be the same comparison, more or less. What is left of the time keeps JSON exact.
    const SEEDS: i64 = 1 << 40;
    let seed = args.seed.unwrap_or(wall_ms().rem_euclid(SEEDS).unsigned_abs());
    let head = Some(args.commit.clone());
    let versions = VersionArgs { head, dirty: false, seed, even_if_same: true, engines: args.engines };
    compare::compare(&args.commit, &versions, &asked, &args.db)
}

/// Wilson's, 95 %.
fn interval(alarms: FalseAlarms) -> Option<[f64; 2]> {
    wilson(alarms.raised, alarms.compared, Z_95).map(|interval| [interval.low, interval.high])
}

/// Of all that the database has of the project.
fn alarms(args: &CanaryArgs) -> Result<FalseAlarms, CliError> {
    let project = under_test(Some(&args.commit))?.repository.map(|repository| repository.project);
    let filter = ComparisonFilter { project, limit: u32::MAX, ..ComparisonFilter::default() };
    let all = runtime()?.block_on(async {
        let store = args.db.open_read_only().await?;
        let all = store.comparisons(&filter).await?;
        store.close().await;
        Ok::<_, CliError>(all)
    })?;
    Ok(FalseAlarms::of(&all))
}

fn words(alarms: FalseAlarms) -> String {
    let Some(interval) = interval(alarms) else {
        return "No version was compared with itself yet.".to_owned();
    };
    let FalseAlarms { raised, compared } = alarms;
    let [low, high] = interval.map(|end| format!("{:.0}", end * 100.0));
    format!(
        "False alarms: {raised} of {compared} self-comparisons ({low}\u{2013}{high} %, with 95 % confidence; at most 2 % are meant)."
    )
}

/// A change that is none says that measurements here are not to be trusted.
fn exit(comparison: &Comparison) -> Exit {
    match compare::exit(comparison) {
        Exit::Regression => Exit::Untrusted,
        _ if comparison.verdict == Some(Verdict::Improved) => Exit::Untrusted,
        // Nothing had to be decided.
        Exit::Inconclusive => Exit::Pass,
        exit => exit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_store::ComparisonSummary;

    fn one(verdict: Option<Verdict>, same_program: bool) -> ComparisonSummary {
        ComparisonSummary {
            id: String::new(),
            project: String::new(),
            subject: String::new(),
            host: String::new(),
            base: String::new(),
            head: String::new(),
            dirty: false,
            started_ms: 0,
            ended_ms: 0,
            verdict,
            same_program,
        }
    }

    #[test]
    fn only_self_comparisons_that_said_something_count() {
        let all = [
            one(Some(Verdict::Unchanged), true),
            one(Some(Verdict::Inconclusive), true),
            one(Some(Verdict::Improved), true),
            one(Some(Verdict::Untrusted), true),
            one(None, true),
            one(Some(Verdict::Regressed), false),
        ];
        let alarms = FalseAlarms::of(&all);
        assert_eq!(alarms, FalseAlarms { raised: 1, compared: 3 });
        assert_eq!(
            words(alarms),
            "False alarms: 1 of 3 self-comparisons (6\u{2013}79 %, with 95 % confidence; at most 2 % are meant)."
        );
        assert!(words(FalseAlarms::of(&[])).starts_with("No version"));
    }
}
