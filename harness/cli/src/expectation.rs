//! What a command's runs come to, by scenario and subject: how often they went well, and whether that was expected.

use longhaul_record::{Exit, Outcome, RunRecord};
use longhaul_scenarios::{Expect, ExpectedPath, Scenario};
use longhaul_stats::Success;

/// Repetitions of one subject in one scenario.
pub(crate) struct Group<'a> {
    /// At least one.
    pub(crate) records: Vec<&'a RunRecord>,
    pub(crate) success: Success,
}

/// The runs of a command by scenario and subject, in the order in which they first occur.
pub(crate) fn groups(records: &[RunRecord]) -> Vec<Group<'_>> {
    let mut groups: Vec<Vec<&RunRecord>> = Vec::new();
    for record in records {
        let same = |other: &RunRecord| (&other.scenario, &other.subject) == (&record.scenario, &record.subject);
        match groups.iter_mut().find(|group| same(group[0])) {
            Some(group) => group.push(record),
            None => groups.push(vec![record]),
        }
    }
    let success = |records: &[&RunRecord]| Success::of(records.iter().map(|record| record.outcome));
    groups.into_iter().map(|records| Group { success: success(&records), records }).collect()
}

/// What was expected and did not come true, one sentence each.
pub(crate) fn unmet(scenarios: &[Scenario], records: &[RunRecord]) -> Vec<String> {
    let of = |group: &Group| {
        let record = group.records[0];
        let expect = expect(scenarios, record);
        let sentences = [success(expect, group), path(expect, group)].into_iter().flatten();
        sentences.map(|sentence| format!("{}, {}: {sentence}", record.scenario, record.subject)).collect::<Vec<_>>()
    };
    groups(records).iter().flat_map(of).collect()
}

fn expect(scenarios: &[Scenario], record: &RunRecord) -> Expect {
    let scenario = scenarios.iter().find(|scenario| scenario.name == record.scenario);
    scenario.map(|scenario| scenario.expect).unwrap_or_default()
}

fn success(expect: Expect, group: &Group) -> Option<String> {
    let least = expect.success_ppb?;
    let Success { ok, tried } = group.success;
    let percent = f64::from(least) / 1e7;
    let missed = group.success.reaches(least) == Some(false);
    missed.then(|| format!("expected at least {percent} % to succeed, {ok} of {tried} did"))
}

fn path(expect: Expect, group: &Group) -> Option<String> {
    let asked = expect.path?;
    let good = group.records.iter().filter(|record| record.outcome == Outcome::Ok);
    let others = good.filter(|record| taken(record).is_some_and(|path| path != asked)).count();
    let word = if asked == ExpectedPath::Direct { "direct" } else { "relayed" };
    (others > 0).then(|| format!("expected a {word} path, {others} of {} had another", group.success.ok))
}

/// The path a transfer came to, by the subject's own word; `None` if it does not say.
pub(crate) fn taken(record: &RunRecord) -> Option<ExpectedPath> {
    let direct = record.value("time_to_direct", None).map(|_| ExpectedPath::Direct);
    direct.or_else(|| record.value("relayed_bytes", None).map(|_| ExpectedPath::Relayed))
}

/// The exit code of a command: the largest of its runs'. Where a share of success is expected, that decides whether the
/// subject failed, not a single run.
pub(crate) fn exit(scenarios: &[Scenario], records: &[RunRecord]) -> Exit {
    let of = |record: &RunRecord| match record.outcome {
        Outcome::Ok => Exit::Pass,
        Outcome::Untrusted => Exit::Untrusted,
        Outcome::SubjectFailed | Outcome::TimedOut => match expect(scenarios, record).success_ppb {
            Some(_) => Exit::Pass,
            None => Exit::SubjectFailed,
        },
        Outcome::SetupFailed => Exit::Environment,
    };
    let failed = (!unmet(scenarios, records).is_empty()).then_some(Exit::SubjectFailed);
    records.iter().map(of).chain(failed).max().unwrap_or(Exit::Pass)
}
