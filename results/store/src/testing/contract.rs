//! What every backend promises, as one function per promise.
//!
//! A backend's tests go through [`PROMISES`], each with an empty store of its own.

use super::pages::*;
use super::sample::{self, NETWORKS, Shape};
use crate::{
    AlertFilter, CommitFilter, ComparisonFilter, ComparisonSummary, Freed, InsertError, Inserted, OverviewQuery,
    Position, Retention, RunFilter, RunSummary, SeriesQuery, Store, Tally, Upkeep,
};
use longhaul_record::{AlertState, COMPARISON_SCHEMA, Comparison, Outcome, RunRecord, SCHEMA, Verdict};
use std::pin::Pin;

/// Panics if an empty store does not keep it.
pub type Promise = for<'a> fn(&'a dyn Upkeep) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

macro_rules! promises {
    ($($name:ident),+ $(,)?) => {
        /// Every promise, by name.
        pub const PROMISES: &[(&str, Promise)] = &[$((stringify!($name), |store| Box::pin($name(store)))),+];
    };
}

promises! {
    a_run_comes_back_as_it_went_in, inserting_twice_changes_nothing, several_go_in_together_or_not_at_all,
    writers_take_turns, what_is_not_there_is_none, invalid_records_are_refused, runs_are_filtered_and_newest_first,
    records_come_in_pages, scopes_are_told_apart, commits_are_ordered_by_author_date, the_overview_shows_the_newest,
    the_overview_shows_what_there_is, failures_never_become_numbers, series_follow_the_commits,
    a_changed_scenario_is_another_point, hostile_text_is_only_text, runs_without_a_commit_are_kept,
    a_sound_store_has_no_findings, retention_drops_series_and_nothing_else, shared_series_stay_as_long_as_they_are_needed,
    a_comparison_comes_back_as_it_went_in, comparisons_are_filtered_and_newest_first, invalid_comparisons_are_refused,
    an_alert_is_as_it_was_kept_last, histories_are_narrowed, rollups_come_alone_too,
    commits_are_found_by_the_beginning_of_their_hashes, health_is_told_by_machine,
    a_commits_values_are_those_of_its_runs, many_runs_stay_in_their_order, tokens_are_found_until_they_are_revoked,
    what_is_measured_is_told_until_it_ends,
}

const REFERENCE: Shape = Shape { network: 1, subject: "reference", commit: 0, iteration: 0 };

async fn insert(store: &dyn Store, runs: impl IntoIterator<Item = RunRecord>) {
    for run in runs {
        assert_eq!(store.insert_run(&run).await.unwrap(), Inserted::New, "{}", run.id);
    }
}

fn overview() -> OverviewQuery {
    OverviewQuery { project: None, host: None, metrics: vec!["goodput".into()], recent: 30 }
}

fn history_of(scenario: &str) -> SeriesQuery {
    SeriesQuery { scenario: scenario.into(), ..SeriesQuery::default() }
}

/// Every field survives, the large ones included.
pub async fn a_run_comes_back_as_it_went_in(store: &dyn Upkeep) {
    let runs = [
        sample::run(REFERENCE),
        sample::run(Shape { network: 4, ..REFERENCE }),
        sample::run(Shape { network: 5, ..REFERENCE }),
        sample::failed(Shape { iteration: 2, ..REFERENCE }, Outcome::TimedOut, "still running after 60 s", "…\0\n"),
    ];
    insert(store, runs.clone()).await;
    for run in runs {
        assert_eq!(store.run(&run.id).await.unwrap(), Some(run));
    }
}

/// The second insert of an id says so and leaves the first one's content.
pub async fn inserting_twice_changes_nothing(store: &dyn Upkeep) {
    let first = sample::run(REFERENCE);
    let mut second = first.clone();
    second.samples.clear();
    second.outcome = Outcome::SubjectFailed;
    second.reason = Some("invented".into());
    insert(store, [first.clone()]).await;
    let before = store.overview(&overview()).await.unwrap();
    assert_eq!(store.insert_run(&second).await.unwrap(), Inserted::Known);
    assert_eq!(store.run(&first.id).await.unwrap(), Some(first));
    assert_eq!(store.overview(&overview()).await.unwrap(), before);
}

/// A batch is as good as its runs one by one, whatever is there already, and one bad run keeps all of them out.
pub async fn several_go_in_together_or_not_at_all(store: &dyn Upkeep) {
    let history = sample::history();
    let (first, rest) = history.split_at(history.len() / 3);
    insert(store, first[..5].iter().cloned()).await;
    let mut batch = first.to_vec();
    batch.push(first[7].clone());
    let mut expect = vec![Inserted::Known; 5];
    expect.resize(first.len(), Inserted::New);
    expect.push(Inserted::Known);
    assert_eq!(store.insert_runs(&batch).await.unwrap(), expect);
    let mut bad = rest.to_vec();
    bad[3].scenario.clear();
    let error = store.insert_runs(&bad).await.unwrap_err();
    assert!(matches!(&error, InsertError::Invalid { id, .. } if *id == rest[3].id), "{error:?}");
    let all = RunFilter { limit: 10_000, ..RunFilter::default() };
    assert_eq!(store.runs(&all).await.unwrap().len(), first.len());
    assert_eq!(store.insert_runs(rest).await.unwrap(), vec![Inserted::New; rest.len()]);
    assert_eq!(store.insert_runs(&[]).await.unwrap(), []);
    for run in &history {
        assert_eq!(store.run(&run.id).await.unwrap().as_ref(), Some(run));
    }
    assert_eq!(store.check().await.unwrap(), []);
    let query = SeriesQuery { metric: Some("goodput".into()), ..history_of("lossy-1pct") };
    let values: usize =
        store.series(&query).await.unwrap().series.iter().flat_map(|s| &s.points).map(|p| p.values.len()).sum();
    assert_eq!(values, 48, "twelve commits, two subjects, two repetitions");
}

/// Of writers at the same moment, each finds what the others have committed; a run goes in once.
pub async fn writers_take_turns(store: &dyn Upkeep) {
    let runs: Vec<RunRecord> = sample::history().into_iter().take(60).collect();
    let write = async |from: usize, to: usize| {
        let mut new = 0;
        for run in &runs[from..to] {
            new += usize::from(store.insert_run(run).await.unwrap() == Inserted::New);
        }
        new
    };
    let together = async { usize::from(store.insert_run(&runs[0]).await.unwrap() == Inserted::New) };
    let several = async {
        let inserted = store.insert_runs(&runs[10..50]).await.unwrap();
        inserted.iter().filter(|inserted| **inserted == Inserted::New).count()
    };
    let (a, b, c, d) = join(write(0, 40), write(20, 60), together, several).await;
    assert_eq!(a + b + c + d, runs.len());
    assert_eq!(store.check().await.unwrap(), []);
}

/// Waits for all of them, each going on whenever it can.
async fn join<A, B, C, D>(
    a: impl Future<Output = A>,
    b: impl Future<Output = B>,
    c: impl Future<Output = C>,
    d: impl Future<Output = D>,
) -> (A, B, C, D) {
    let (mut a, mut b, mut c, mut d) = (std::pin::pin!(a), std::pin::pin!(b), std::pin::pin!(c), std::pin::pin!(d));
    let mut done = (None, None, None, None);
    std::future::poll_fn(move |context| {
        poll_once(a.as_mut(), context, &mut done.0);
        poll_once(b.as_mut(), context, &mut done.1);
        poll_once(c.as_mut(), context, &mut done.2);
        poll_once(d.as_mut(), context, &mut done.3);
        match std::mem::take(&mut done) {
            (Some(a), Some(b), Some(c), Some(d)) => std::task::Poll::Ready((a, b, c, d)),
            not_yet => {
                done = not_yet;
                std::task::Poll::Pending
            }
        }
    })
    .await
}

fn poll_once<T>(future: Pin<&mut impl Future<Output = T>>, context: &mut std::task::Context<'_>, done: &mut Option<T>) {
    if done.is_none()
        && let std::task::Poll::Ready(value) = future.poll(context)
    {
        *done = Some(value);
    }
}

/// All records, each once, in the order they were recorded.
pub async fn records_come_in_pages(store: &dyn Upkeep) {
    let runs: Vec<RunRecord> = sample::history().into_iter().take(23).rev().collect();
    insert(store, runs.iter().cloned()).await;
    let mut got = Vec::new();
    let mut after = Some(Position::default());
    while let Some(position) = after {
        let page = store.records(position, 5).await.unwrap();
        assert!(page.runs.len() <= 5);
        got.extend(page.runs);
        after = page.next;
    }
    assert_eq!(got, runs);
}

/// "Not found" is not an error, and an empty store answers everything.
pub async fn what_is_not_there_is_none(store: &dyn Upkeep) {
    assert_eq!(store.run("no such run").await.unwrap(), None);
    assert_eq!(store.runs(&RunFilter::default()).await.unwrap(), []);
    assert_eq!(store.scopes().await.unwrap(), []);
    assert_eq!(store.comparison("no such comparison").await.unwrap(), None);
    assert_eq!(store.comparisons(&ComparisonFilter::default()).await.unwrap(), []);
    assert_eq!(store.commits(&CommitFilter::default()).await.unwrap(), []);
    assert_eq!(store.overview(&overview()).await.unwrap(), []);
    assert_eq!(store.series(&history_of("local")).await.unwrap(), Default::default());
}

/// What breaks the contract is refused with the reason, and nothing of it is kept.
pub async fn invalid_records_are_refused(store: &dyn Upkeep) {
    type Spoil = fn(&mut RunRecord);
    let rows: [(Spoil, &str); 9] = [
        (|r| r.schema = SCHEMA + 1, "its schema is"),
        (|r| r.scenario.clear(), "`scenario` is empty"),
        (|r| r.seed = 1 << 53, "larger than 2^53 - 1"),
        (|r| r.ended_ms = r.started_ms - 5, "it ends 5 ms before it starts"),
        (|r| r.samples[0].value = f64::NAN, "`goodput` holds a value that is not finite"),
        (|r| r.series[1].values[0] = f64::INFINITY, "`wire` holds a value that is not finite"),
        (
            |r| {
                r.cross = sample::run(Shape { network: 5, ..REFERENCE }).cross;
                r.cross[1].goodput_bps = f64::NAN;
            },
            "`UDP alice → carol` holds a value that is not finite",
        ),
        (|r| r.samples.push(r.samples[0].clone()), "`goodput` is there twice"),
        (|r| r.outcome = Outcome::TimedOut, "its outcome is `timed_out`, yet it gives no reason"),
    ];
    for (spoil, expect) in rows {
        let mut run = sample::run(REFERENCE);
        spoil(&mut run);
        let error = store.insert_run(&run).await.unwrap_err();
        let InsertError::Invalid { problem, .. } = error else { panic!("{error:?} for {expect}") };
        assert!(problem.to_string().contains(expect), "{problem} should contain {expect}");
    }
    assert_eq!(store.runs(&RunFilter::default()).await.unwrap(), []);
}

/// Each filter narrows, the limit counts from the newest.
pub async fn runs_are_filtered_and_newest_first(store: &dyn Upkeep) {
    let history: Vec<RunRecord> = sample::history().into_iter().filter(|run| run.iteration == 0).collect();
    insert(store, history.iter().rev().cloned()).await;
    let expect = |keep: &dyn Fn(&RunRecord) -> bool, limit: usize| -> Vec<RunSummary> {
        let mut runs: Vec<RunSummary> = history.iter().filter(|run| keep(run)).map(RunSummary::of).collect::<Vec<_>>();
        runs.sort_by_key(|run| std::cmp::Reverse(run.started_ms));
        runs.truncate(limit);
        runs
    };
    let all = RunFilter { limit: 1000, ..RunFilter::default() };
    assert_eq!(store.runs(&all).await.unwrap(), expect(&|_| true, 1000));
    assert_eq!(store.runs(&RunFilter { limit: 3, ..all.clone() }).await.unwrap(), expect(&|_| true, 3));
    let filter = RunFilter { scenario: Some("dsl".into()), subject: Some("curl".into()), ..all.clone() };
    assert_eq!(store.runs(&filter).await.unwrap(), expect(&|run| run.scenario == "dsl" && run.subject == "curl", 1000));
    let filter = RunFilter { commit: Some(sample::sha(4)), ..all.clone() };
    assert_eq!(store.runs(&filter).await.unwrap(), expect(&|run| run.commit == Some(sample::sha(4)), 1000));
    let filter = RunFilter { outcome: Some(Outcome::SubjectFailed), ..all.clone() };
    assert_eq!(store.runs(&filter).await.unwrap(), expect(&|run| run.outcome == Outcome::SubjectFailed, 1000));
    let filter = RunFilter { project: Some("other".into()), ..all };
    assert_eq!(store.runs(&filter).await.unwrap(), []);
}

/// Two projects and two machines are three scopes here; no query mixes them when narrowed.
pub async fn scopes_are_told_apart(store: &dyn Upkeep) {
    let here = sample::run(REFERENCE);
    let mut elsewhere = sample::run(Shape { iteration: 1, ..REFERENCE });
    elsewhere.host.fingerprint = "other machine".into();
    let mut other = sample::run(Shape { iteration: 2, ..REFERENCE });
    other.project = "other".into();
    insert(store, [here.clone(), elsewhere.clone(), other.clone()]).await;

    let scopes = store.scopes().await.unwrap();
    let names: Vec<(&str, &str, u64)> =
        scopes.iter().map(|scope| (scope.project.as_str(), scope.host.as_str(), scope.runs)).collect();
    let host = here.host.fingerprint.as_str();
    assert_eq!(names, [("other", host, 1), ("longhaul", "other machine", 1), ("longhaul", host, 1)]);

    let query = SeriesQuery {
        project: Some("longhaul".into()),
        host: Some(host.into()),
        metric: Some("goodput".into()),
        ..history_of(&here.scenario)
    };
    let set = store.series(&query).await.unwrap();
    assert_eq!(set.series.len(), 1);
    assert_eq!(set.series[0].points[0].values.len(), 1);
    assert_eq!(store.series(&history_of(&here.scenario)).await.unwrap().series.len(), here.samples.len() * 3);
    let query = OverviewQuery { host: Some("other machine".into()), ..overview() };
    let rows = store.overview(&query).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.latest.id.as_str()).collect::<Vec<_>>(), [elsewhere.id.as_str()]);
    assert_eq!(store.overview(&overview()).await.unwrap().len(), 3);
}

/// Commits come newest first by author date, whatever the order of their measurement; a dirty tree is its own entry.
pub async fn commits_are_ordered_by_author_date(store: &dyn Upkeep) {
    let mut dirty = sample::run(Shape { commit: 2, iteration: 1, ..REFERENCE });
    dirty.commit_detail.as_mut().unwrap().dirty = true;
    let at = |commit| sample::run(Shape { commit, ..REFERENCE });
    insert(store, [at(3), at(0), dirty, at(2)]).await;
    let filter = CommitFilter { project: Some("longhaul".into()), limit: 3, ..CommitFilter::default() };
    let commits = store.commits(&filter).await.unwrap();
    let got: Vec<(Option<String>, bool)> = commits.iter().map(|c| (c.sha.clone(), c.dirty)).collect();
    let sha = |n| Some(sample::sha(n));
    assert_eq!(got, [(sha(3), false), (sha(2), true), (sha(2), false)]);
    let detail = at(3).commit_detail.unwrap();
    assert_eq!(commits[0].summary.as_deref(), Some(detail.summary.as_str()));
    assert_eq!(commits[0].authored_ms, Some(detail.authored_ms));
    assert_eq!(commits[0].branch, detail.branch);
    assert_eq!(commits[0].first_run_ms, at(3).started_ms);
}

/// One row per scenario × subject: the newest run, how its commit fared, medians oldest first.
pub async fn the_overview_shows_the_newest(store: &dyn Upkeep) {
    let history = sample::history();
    insert(store, history.iter().cloned()).await;
    let rows = store.overview(&OverviewQuery { recent: 5, ..overview() }).await.unwrap();
    assert_eq!(rows.len(), NETWORKS.len() * 2);
    assert!(rows.is_sorted_by_key(|row| (row.scenario.clone(), row.subject.clone())));

    let row = rows.iter().find(|row| row.scenario == "lossy-1pct" && row.subject == "reference").unwrap();
    let of_row = |run: &&RunRecord| run.scenario == row.scenario && run.subject == row.subject;
    let newest = history.iter().filter(of_row).max_by_key(|run| run.started_ms).unwrap();
    assert_eq!(row.latest, RunSummary::of(newest));
    assert_eq!(row.scenario_words, newest.scenario_words);
    assert_eq!(row.tally, Tally { ok: 2, ..Tally::default() });
    let shas: Vec<Option<String>> = row.recent.iter().map(|recent| recent.commit.clone()).collect();
    assert_eq!(shas, (7..12).map(|n| Some(sample::sha(n))).collect::<Vec<_>>());
    let values: Vec<f64> = history
        .iter()
        .filter(of_row)
        .filter(|run| run.commit == Some(sample::sha(11)))
        .filter_map(|run| run.value("goodput", None))
        .collect();
    let last = row.recent.last().unwrap();
    assert_eq!((last.n, last.median), (2, (values[0] + values[1]) / 2.0));
}

/// Of several metrics, each row has the first that it has.
pub async fn the_overview_shows_what_there_is(store: &dyn Upkeep) {
    let all = sample::run(REFERENCE);
    let mut few = sample::run(Shape { subject: "curl", ..REFERENCE });
    few.samples.retain(|sample| sample.metric == "total_time");
    let mut none = sample::run(Shape { subject: "none", iteration: 1, ..REFERENCE });
    none.samples.clear();
    insert(store, [all, few, none]).await;
    let shown = async |metrics: &[&str]| {
        let metrics = metrics.iter().map(|metric| (*metric).to_owned()).collect();
        let rows = store.overview(&OverviewQuery { metrics, ..overview() }).await.unwrap();
        rows.into_iter().map(|row| row.metric.map(|metric| (metric, row.recent.len()))).collect::<Vec<_>>()
    };
    let row = |metric: &str| Some((metric.to_owned(), 1));
    let times = row("total_time");
    assert_eq!(shown(&["goodput", "total_time"]).await, [times.clone(), None, row("goodput")]);
    assert_eq!(shown(&["total_time", "goodput"]).await, [times.clone(), None, times]);
    assert_eq!(shown(&["goodput"]).await, [None, None, row("goodput")]);
    assert_eq!(shown(&[]).await, [None, None, None]);
}

/// A failed or untrusted run is listed and counted; no median, point or sparkline knows it.
pub async fn failures_never_become_numbers(store: &dyn Upkeep) {
    let mut untrusted = sample::run(Shape { iteration: 1, ..REFERENCE });
    untrusted.outcome = Outcome::Untrusted;
    untrusted.reason = Some("too late".into());
    let failed = sample::failed(Shape { iteration: 2, ..REFERENCE }, Outcome::SubjectFailed, "exited with 1", "");
    let setup = sample::failed(Shape { iteration: 3, ..REFERENCE }, Outcome::SetupFailed, "no such file", "");
    let ok = sample::run(REFERENCE);
    insert(store, [ok.clone(), untrusted, failed, setup.clone()]).await;
    let rows = store.overview(&overview()).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].tally, Tally { ok: 1, failed: 1, untrusted: 1, setup_failed: 1 });
    assert_eq!(rows[0].latest.id, setup.id);
    assert_eq!(rows[0].latest.reason.as_deref(), Some("no such file"));
    assert_eq!(rows[0].recent.len(), 1);
    assert_eq!(rows[0].recent[0].n, 1);
    let set = store.series(&history_of(&ok.scenario)).await.unwrap();
    assert!(set.series.iter().flat_map(|s| &s.points).flat_map(|p| &p.values).all(|value| value.run == ok.id));
}

/// Points follow the commits' order; values, median, extremes and run ids are those of the runs.
pub async fn series_follow_the_commits(store: &dyn Upkeep) {
    let at = |commit, iteration| sample::run(Shape { commit, iteration, ..REFERENCE });
    let runs = [at(2, 0), at(0, 0), at(0, 1), at(0, 2), at(1, 0)];
    insert(store, runs.clone()).await;
    let query = SeriesQuery { metric: Some("goodput".into()), ..history_of(&runs[0].scenario) };
    let set = store.series(&query).await.unwrap();
    let shas: Vec<Option<String>> = set.commits.iter().map(|commit| commit.sha.clone()).collect();
    assert_eq!(shas, [0, 1, 2].map(|n| Some(sample::sha(n))));
    assert_eq!(set.series.len(), 1);
    let points = &set.series[0].points;
    assert_eq!(points.iter().map(|point| point.commit).collect::<Vec<_>>(), [0, 1, 2]);
    let mut values: Vec<f64> = runs[1..4].iter().filter_map(|run| run.value("goodput", None)).collect();
    assert_eq!(points[0].values.iter().map(|v| v.value).collect::<Vec<_>>(), values);
    assert_eq!(points[0].values[1].run, runs[2].id);
    values.sort_by(f64::total_cmp);
    assert_eq!((points[0].min, points[0].median, points[0].max), (values[0], values[1], values[2]));

    let newest = store.series(&SeriesQuery { commits: 1, ..query.clone() }).await.unwrap();
    assert_eq!(newest.commits.len(), 1);
    assert_eq!(newest.commits[0].sha, Some(sample::sha(2)));
    assert_eq!(newest.series[0].points.len(), 1);
    let nobody = SeriesQuery { subject: Some("nobody".into()), ..query };
    assert_eq!(store.series(&nobody).await.unwrap(), Default::default());
    let all = store.series(&history_of(&runs[0].scenario)).await.unwrap();
    assert_eq!(all.series.len(), runs[0].samples.len());
    let sides: Vec<Option<&str>> =
        all.series.iter().filter(|s| s.metric == "cpu_seconds").map(|s| s.peer.as_deref()).collect();
    assert_eq!(sides, [Some("fetcher"), Some("provider")]);
}

/// A new scenario hash is never pooled with the old one, not even on the same commit.
pub async fn a_changed_scenario_is_another_point(store: &dyn Upkeep) {
    let old = sample::run(REFERENCE);
    let mut new = sample::run(Shape { iteration: 1, ..REFERENCE });
    new.scenario_hash = "f".repeat(64);
    insert(store, [old.clone(), new.clone()]).await;
    let query = SeriesQuery { metric: Some("goodput".into()), ..history_of(&old.scenario) };
    let set = store.series(&query).await.unwrap();
    assert_eq!(set.series.len(), 1);
    let hashes: Vec<&str> = set.series[0].points.iter().map(|point| point.scenario_hash.as_str()).collect();
    assert_eq!(hashes, [old.scenario_hash.as_str(), new.scenario_hash.as_str()]);
    let rows = store.overview(&overview()).await.unwrap();
    assert_eq!(rows[0].recent.len(), 1, "only the newest run's scenario hash");
    assert_eq!(Some(rows[0].recent[0].median), new.value("goodput", None));
}

/// Quotes, control characters and statements in any text are stored and found like any other.
pub async fn hostile_text_is_only_text(store: &dyn Upkeep) {
    let hostile = "'; DROP TABLE runs; -- \"<script>alert(1)</script>\u{0}\u{202e}%_\\";
    let mut run = sample::run(REFERENCE);
    run.project = hostile.into();
    run.scenario = hostile.into();
    run.subject = hostile.into();
    run.scenario_words = hostile.into();
    run.commit_detail.as_mut().unwrap().summary = hostile.into();
    run.processes[0].stderr_tail = hostile.into();
    insert(store, [run.clone(), sample::run(Shape { iteration: 1, ..REFERENCE })]).await;
    assert_eq!(store.run(&run.id).await.unwrap(), Some(run.clone()));
    let filter = RunFilter { scenario: Some(hostile.into()), subject: Some(hostile.into()), ..RunFilter::default() };
    assert_eq!(store.runs(&filter).await.unwrap(), [RunSummary::of(&run)]);
    assert_eq!(store.series(&history_of(hostile)).await.unwrap().series.len(), run.samples.len());
}

/// Outside a git repository there is no commit; the runs share one nameless entry.
pub async fn runs_without_a_commit_are_kept(store: &dyn Upkeep) {
    let nameless = |iteration| {
        let mut run = sample::run(Shape { iteration, ..REFERENCE });
        run.commit = None;
        run.commit_detail = None;
        run
    };
    insert(store, [nameless(0), nameless(1)]).await;
    let commits = store.commits(&CommitFilter::default()).await.unwrap();
    assert_eq!(commits.len(), 1);
    assert_eq!((commits[0].sha.as_deref(), commits[0].authored_ms), (None, None));
    assert_eq!(commits[0].first_run_ms, nameless(0).started_ms);
    let rows = store.overview(&overview()).await.unwrap();
    assert_eq!(rows[0].latest.commit, None);
    assert_eq!(rows[0].recent[0].n, 2);
}

/// Every field survives; the second insert of an id changes nothing.
pub async fn a_comparison_comes_back_as_it_went_in(store: &dyn Upkeep) {
    let first = super::comparison::comparison(1, Some(Verdict::Regressed));
    assert_eq!(store.insert_comparison(&first).await.unwrap(), Inserted::New);
    let mut second = first.clone();
    second.verdict = None;
    assert_eq!(store.insert_comparison(&second).await.unwrap(), Inserted::Known);
    assert_eq!(store.comparison(&first.id).await.unwrap(), Some(first.clone()));
    let listed = store.comparisons(&ComparisonFilter::default()).await.unwrap();
    assert_eq!(listed, [ComparisonSummary::of(&first)]);
}

/// Each filter narrows, the limit counts from the newest; runs are not touched by any of it.
pub async fn comparisons_are_filtered_and_newest_first(store: &dyn Upkeep) {
    let verdicts = [Some(Verdict::Regressed), None, Some(Verdict::Unchanged), Some(Verdict::Regressed)];
    let mut all: Vec<Comparison> =
        verdicts.into_iter().zip(1..).map(|(v, n)| super::comparison::comparison(n, v)).collect();
    all[2].project = "'; DROP TABLE runs; --".into();
    all[3].subject = "curl".into();
    all[3].head.detail.dirty = true;
    for comparison in &all {
        store.insert_comparison(comparison).await.unwrap();
    }
    let any = ComparisonFilter::default();
    let rows: [(ComparisonFilter, &[usize]); 8] = [
        (any.clone(), &[3, 2, 1, 0]),
        (ComparisonFilter { limit: 2, ..any.clone() }, &[3, 2]),
        (ComparisonFilter { project: Some(all[2].project.clone()), ..any.clone() }, &[2]),
        (ComparisonFilter { subject: Some("curl".into()), ..any.clone() }, &[3]),
        (ComparisonFilter { verdict: Some(Verdict::Regressed), ..any.clone() }, &[3, 0]),
        (ComparisonFilter { base: Some(all[1].base.commit.clone()), ..any.clone() }, &[1]),
        (ComparisonFilter { head: Some(all[0].head.commit.clone()), ..any.clone() }, &[0]),
        (ComparisonFilter { head: Some("nobody's".into()), ..any }, &[]),
    ];
    for (filter, expect) in rows {
        let expect: Vec<ComparisonSummary> = expect.iter().map(|n| ComparisonSummary::of(&all[*n])).collect();
        assert_eq!(store.comparisons(&filter).await.unwrap(), expect, "{filter:?}");
    }
    assert_eq!(store.runs(&RunFilter::default()).await.unwrap(), []);
}

/// What breaks the contract is refused with the reason, and nothing of it is kept.
pub async fn invalid_comparisons_are_refused(store: &dyn Upkeep) {
    type Spoil = fn(&mut Comparison);
    let rows: [(Spoil, &str); 5] = [
        (|c| c.schema = COMPARISON_SCHEMA + 1, "its schema is"),
        (|c| c.head.commit.clear(), "`head.commit` is empty"),
        (|c| c.seed = 1 << 53, "larger than 2^53 - 1"),
        (|c| c.ended_ms = c.started_ms - 5, "it ends 5 ms before it starts"),
        (|c| c.scenarios[0].compared.metrics[0].shift = f64::NAN, "`wire_bytes` holds a value that is not finite"),
    ];
    for (spoil, expect) in rows {
        let mut comparison = super::comparison::comparison(1, None);
        spoil(&mut comparison);
        let error = store.insert_comparison(&comparison).await.unwrap_err();
        let InsertError::InvalidComparison { problem, .. } = error else { panic!("{error:?} for {expect}") };
        assert!(problem.to_string().contains(expect), "{problem} should contain {expect}");
    }
    assert_eq!(store.comparisons(&ComparisonFilter::default()).await.unwrap(), []);
}

/// The same id is the same alert, whatever becomes of it.
pub async fn an_alert_is_as_it_was_kept_last(store: &dyn Upkeep) {
    let any = AlertFilter::default();
    assert_eq!(store.alerts(&any).await.unwrap(), []);
    let mut all: Vec<_> = (0..3).map(super::alert::alert).collect();
    all[1].series.project = "'; DROP TABLE runs; --".into();
    store.put_alerts(&all).await.unwrap();
    let later = all[2].history[0].at_ms + 5;
    all[2].become_state(AlertState::Fixed, later, "<b>me</b>");
    store.put_alerts(&all[2..]).await.unwrap();
    let rows: [(AlertFilter, &[usize]); 5] = [
        (any.clone(), &[2, 1, 0]),
        (AlertFilter { limit: 2, ..any.clone() }, &[2, 1]),
        (AlertFilter { project: Some(all[1].series.project.clone()), ..any.clone() }, &[1]),
        (AlertFilter { state: Some(AlertState::Fixed), ..any.clone() }, &[2]),
        (AlertFilter { state: Some(AlertState::Invalid), ..any }, &[]),
    ];
    for (filter, expect) in rows {
        let expect: Vec<_> = expect.iter().map(|n| all[*n].clone()).collect();
        assert_eq!(store.alerts(&filter).await.unwrap(), expect, "{filter:?}");
    }
    assert_eq!(store.runs(&RunFilter::default()).await.unwrap(), []);
    assert_eq!(store.check().await.unwrap(), []);
}

/// What the writer leaves is what the check expects, failures and changed scenarios included.
pub async fn a_sound_store_has_no_findings(store: &dyn Upkeep) {
    assert_eq!(store.check().await.unwrap(), []);
    insert(store, sample::history()).await;
    assert_eq!(store.check().await.unwrap(), []);
}

/// A run loses its series over time and nothing else; what is kept is whole. Trying does nothing.
pub async fn retention_drops_series_and_nothing_else(store: &dyn Upkeep) {
    let runs: Vec<RunRecord> = (0..6)
        .map(|commit| sample::run(Shape { commit, ..REFERENCE }))
        .chain([sample::run(Shape { network: 3, ..REFERENCE })])
        .collect();
    insert(store, runs.iter().cloned()).await;
    let before = store.series(&history_of(&runs[0].scenario)).await.unwrap();
    assert_eq!(store.prune(&Retention::default()).await.unwrap(), Freed::default());
    // Of the first scenario 0 to 3 are old enough, and 0 to 2 not among its newest three. The other scenario has one run.
    let rule = Retention { newer_than_ms: Some(runs[4].started_ms), newest: Some(3), dry_run: true };
    let would = store.prune(&rule).await.unwrap();
    assert_eq!((would.runs, would.artifacts), (3, 3));
    assert!(would.bytes > 100, "{would:?}");
    assert_eq!(store.run(&runs[0].id).await.unwrap().as_ref(), Some(&runs[0]), "nothing has happened");
    assert_eq!(store.prune(&Retention { dry_run: false, ..rule }).await.unwrap(), would);
    for (i, run) in runs.iter().enumerate() {
        let mut expect = run.clone();
        if i < 3 {
            expect.series.clear();
        }
        assert_eq!(store.run(&run.id).await.unwrap(), Some(expect), "{i}");
    }
    assert_eq!(store.series(&history_of(&runs[0].scenario)).await.unwrap(), before);
    assert_eq!(store.check().await.unwrap(), []);
    assert_eq!(store.prune(&Retention { dry_run: false, ..rule }).await.unwrap(), Freed::default());
    assert_eq!(store.insert_run(&runs[0]).await.unwrap(), Inserted::Known);
    let older = Retention { newer_than_ms: Some(runs[5].started_ms), newest: None, dry_run: false };
    assert_eq!(store.prune(&older).await.unwrap().runs, 3, "3, 4 and the other scenario's");
    let newest = Retention { newer_than_ms: None, newest: Some(0), dry_run: false };
    assert_eq!(store.prune(&newest).await.unwrap().runs, 1);
}

/// Equal content is stored once, and goes with the last run that needs it.
pub async fn shared_series_stay_as_long_as_they_are_needed(store: &dyn Upkeep) {
    let shared = sample::run(REFERENCE).series;
    let runs: Vec<RunRecord> = (0..3)
        .map(|commit| RunRecord { series: shared.clone(), ..sample::run(Shape { commit, ..REFERENCE }) })
        .collect();
    insert(store, runs.iter().cloned()).await;
    let keep = |newest| Retention { newer_than_ms: None, newest: Some(newest), dry_run: false };
    assert_eq!(store.prune(&keep(1)).await.unwrap(), Freed { runs: 2, artifacts: 0, bytes: 0 });
    assert_eq!(store.run(&runs[2].id).await.unwrap().as_ref(), Some(&runs[2]));
    let freed = store.prune(&keep(0)).await.unwrap();
    assert_eq!((freed.runs, freed.artifacts), (1, 1));
    assert_eq!(store.check().await.unwrap(), []);
}

/// For tests of migration: a store made from a fixture answers as one that got the same runs just now, and goes on from there.
pub async fn is_as_if_written_now(migrated: &dyn Upkeep, new: &dyn Upkeep) {
    let runs = sample::fixture();
    assert_eq!(new.insert_runs(&runs).await.unwrap(), vec![Inserted::New; runs.len()]);
    assert_eq!(migrated.check().await.unwrap(), []);
    are_alike(migrated, new, &runs).await;
    assert_eq!(migrated.insert_runs(&runs).await.unwrap(), vec![Inserted::Known; runs.len()]);
    let more = sample::history();
    for store in [migrated, new] {
        let inserted = store.insert_runs(&more).await.unwrap();
        assert!(inserted.iter().filter(|inserted| **inserted == Inserted::New).count() > 100);
    }
    assert_eq!(migrated.check().await.unwrap(), []);
    are_alike(migrated, new, &more).await;
}

async fn are_alike(a: &dyn Upkeep, b: &dyn Upkeep, runs: &[RunRecord]) {
    for run in runs {
        assert_eq!(a.run(&run.id).await.unwrap(), b.run(&run.id).await.unwrap());
        let of = history_of(&run.scenario);
        assert_eq!(a.series(&of).await.unwrap(), b.series(&of).await.unwrap());
    }
    assert_eq!(a.overview(&overview()).await.unwrap(), b.overview(&overview()).await.unwrap());
    assert_eq!(a.scopes().await.unwrap(), b.scopes().await.unwrap());
    let commits = CommitFilter::default();
    assert_eq!(a.commits(&commits).await.unwrap(), b.commits(&commits).await.unwrap());
}
