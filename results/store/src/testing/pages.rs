//! Promises about what pages ask for: parts of histories, whole commits, the health of machines, tokens.

use super::sample::{self, Shape};
use crate::{
    CommitFilter, CommitPoint, CommitValues, HealthQuery, HostHealth, Inserted, Progress, RunFilter, RunValue,
    SeriesQuery, SeriesSet, Store, Tally, Token, Upkeep, ValuesQuery,
};
use longhaul_record::{Outcome, RunRecord};
use std::collections::BTreeMap;

const REFERENCE: Shape = Shape { network: 1, subject: "reference", commit: 0, iteration: 0 };

async fn insert(store: &dyn Store, runs: &[RunRecord]) {
    assert_eq!(store.insert_runs(runs).await.unwrap(), vec![Inserted::New; runs.len()]);
}

fn at(commit: u32, iteration: u32) -> RunRecord {
    sample::run(Shape { commit, iteration, ..REFERENCE })
}

/// The commits of a history, by number.
fn numbers(set: &SeriesSet) -> Vec<u32> {
    let number = |sha: &String| (0..20).find(|n| sample::sha(*n) == *sha).unwrap();
    set.commits.iter().map(|commit| commit.sha.as_ref().map(number).unwrap()).collect()
}

/// A window of time, a branch and a number of commits narrow a history together; points are of its commits alone.
pub async fn histories_are_narrowed(store: &dyn Upkeep) {
    let mut runs: Vec<RunRecord> = (0..8).map(|commit| at(commit, 0)).collect();
    for topic in [3, 5] {
        runs[topic].commit_detail.as_mut().unwrap().branch = Some("topic_%".into());
    }
    runs[6].commit_detail.as_mut().unwrap().branch = None;
    insert(store, &runs).await;
    let time = |commit: usize| runs[commit].commit_detail.as_ref().map(|detail| detail.authored_ms);
    let any = SeriesQuery { scenario: runs[0].scenario.clone(), metric: Some("goodput".into()), ..Default::default() };
    let of = |branch: &str| Some(branch.to_owned());
    let rows: [(SeriesQuery, &[u32]); 9] = [
        (any.clone(), &[0, 1, 2, 3, 4, 5, 6, 7]),
        (SeriesQuery { from_ms: time(2), ..any.clone() }, &[2, 3, 4, 5, 6, 7]),
        (SeriesQuery { until_ms: time(2), ..any.clone() }, &[0, 1]),
        (SeriesQuery { from_ms: time(1), until_ms: time(6), commits: 2, ..any.clone() }, &[4, 5]),
        (SeriesQuery { branch: of("main"), ..any.clone() }, &[0, 1, 2, 4, 7]),
        (SeriesQuery { branch: of("topic_%"), ..any.clone() }, &[3, 5]),
        (SeriesQuery { branch: of("topic%"), ..any.clone() }, &[]),
        (SeriesQuery { branch: of("main"), until_ms: time(7), commits: 2, ..any.clone() }, &[2, 4]),
        (SeriesQuery { from_ms: time(5), until_ms: time(5), ..any }, &[]),
    ];
    for (query, expect) in rows {
        let set = store.series(&query).await.unwrap();
        assert_eq!(numbers(&set), expect, "{query:?}");
        let points: Vec<&CommitPoint> = set.series.iter().flat_map(|series| &series.points).collect();
        assert_eq!(points.iter().map(|p| p.commit).collect::<Vec<_>>(), (0..expect.len()).collect::<Vec<_>>());
        for (point, number) in points.iter().zip(expect) {
            assert_eq!(Some(point.median), runs[*number as usize].value("goodput", None), "{query:?}");
        }
    }
}

/// Rollups are the same without the values as with them.
pub async fn rollups_come_alone_too(store: &dyn Upkeep) {
    insert(store, &sample::history()).await;
    for (scenario, metric) in [("lossy-1pct", None), ("dsl", Some("goodput".to_owned())), ("home-nat", None)] {
        let with = SeriesQuery { scenario: scenario.into(), metric, ..SeriesQuery::default() };
        let mut expect = store.series(&with).await.unwrap();
        let points = || expect.series.iter().flat_map(|series| &series.points);
        assert!(points().count() >= 11, "{scenario}");
        assert!(points().all(|point| point.n == point.values.len() as u64 && point.n > 0), "{scenario}");
        for point in expect.series.iter_mut().flat_map(|series| &mut series.points) {
            point.values.clear();
        }
        let alone = store.series(&SeriesQuery { values: false, ..with }).await.unwrap();
        assert_eq!(alone, expect, "{scenario}");
    }
}

/// All that begin so, up to the limit, and nothing that a database might take for a pattern.
pub async fn commits_are_found_by_the_beginning_of_their_hashes(store: &dyn Upkeep) {
    let shas = ["abc123", "abc1", "abd", "ab_", "ab%x", "ab\u{FFFD}x", ""];
    let runs: Vec<RunRecord> = (0..).zip(shas).map(|(n, sha)| named(n, sha)).collect();
    insert(store, &runs).await;
    let found = async |prefix: &str, limit| {
        let filter = CommitFilter { prefix: Some(prefix.into()), limit, ..CommitFilter::default() };
        let commits = store.commits(&filter).await.unwrap();
        commits.into_iter().map(|commit| commit.sha.unwrap_or_default()).collect::<Vec<_>>()
    };
    let rows: [(&str, &[&str]); 10] = [
        ("abc", &["abc1", "abc123"]),
        ("abc12", &["abc123"]),
        ("abc123", &["abc123"]),
        ("abc1234", &[]),
        ("ABC", &[]),
        ("ab_", &["ab_"]),
        ("ab%", &["ab%x"]),
        ("%", &[]),
        ("ab", &["ab\u{FFFD}x", "ab%x", "ab_", "abd", "abc1", "abc123"]),
        ("'; --\0", &[]),
    ];
    for (prefix, expect) in rows {
        // Newest first: the order in which they were invented, backwards.
        assert_eq!(found(prefix, 100).await, expect, "{prefix}");
    }
    assert_eq!(found("abc", 1).await, ["abc1"]);
}

fn named(n: u32, sha: &str) -> RunRecord {
    let mut run = at(n, 0);
    run.commit = Some(sha.to_owned()).filter(|sha| !sha.is_empty());
    run
}

/// By machine and outcome: how many, and the newest. Only of the project, and only since.
pub async fn health_is_told_by_machine(store: &dyn Upkeep) {
    assert_eq!(store.health(&HealthQuery::default()).await.unwrap(), []);
    let mut runs: Vec<RunRecord> = (0..6).map(|commit| at(commit, 0)).collect();
    let failed = |n, outcome| sample::failed(Shape { commit: n, ..REFERENCE }, outcome, "why", "");
    runs[1] = failed(1, Outcome::TimedOut);
    runs[2] = failed(2, Outcome::SubjectFailed);
    runs[4] = failed(4, Outcome::TimedOut);
    runs[3].host.fingerprint = "other machine".into();
    runs[3].host.cpu = "other cpu".into();
    runs[5].project = "other".into();
    insert(store, &runs).await;
    let start = |n: usize| runs[n].started_ms;
    let host = |n: usize, outcomes: &[(Outcome, u64, i64)]| HostHealth {
        host: runs[n].host.fingerprint.clone(),
        cpu: runs[n].host.cpu.clone(),
        outcomes: outcomes.to_vec(),
    };
    let own = Some("longhaul".to_owned());
    let failures = [(Outcome::SubjectFailed, 1, start(2)), (Outcome::TimedOut, 2, start(4))];
    let other = host(3, &[(Outcome::Ok, 1, start(3))]);
    let rows = [
        (
            HealthQuery::default(),
            vec![host(0, &[&[(Outcome::Ok, 2, start(5))], &failures[..]].concat()), other.clone()],
        ),
        (
            HealthQuery { project: own.clone(), since_ms: 0 },
            vec![host(0, &[&[(Outcome::Ok, 1, start(0))], &failures[..]].concat()), other.clone()],
        ),
        (HealthQuery { project: own, since_ms: start(3) }, vec![host(0, &[(Outcome::TimedOut, 1, start(4))]), other]),
    ];
    for (query, expect) in rows {
        assert_eq!(store.health(&query).await.unwrap(), expect, "{query:?}");
    }
    let all = store.health(&HealthQuery::default()).await.unwrap();
    assert_eq!(all[0].tally(), Tally { ok: 2, failed: 3, ..Tally::default() });
    assert_eq!(all[0].last_run_ms(), start(5));
    let since = RunFilter { since_ms: Some(start(2)), outcome: Some(Outcome::TimedOut), ..RunFilter::default() };
    let found: Vec<String> = store.runs(&since).await.unwrap().into_iter().map(|run| run.id).collect();
    assert_eq!(found, [runs[4].id.as_str()]);
    let same = RunFilter { seed: Some(runs[3].seed), ..RunFilter::default() };
    let found: Vec<String> = store.runs(&same).await.unwrap().into_iter().map(|run| run.id).collect();
    let expect: Vec<&str> = runs.iter().filter(|run| run.seed == runs[3].seed).map(|run| run.id.as_str()).collect();
    assert_eq!((found.len(), expect.len()), (expect.len(), 1), "{found:?}");
    assert_eq!(found, expect);
}

/// Every number of the good runs of a commit, and no other's.
pub async fn a_commits_values_are_those_of_its_runs(store: &dyn Upkeep) {
    let mut runs = sample::history();
    let mut others = [at(5, 8), at(5, 9), at(5, 10)];
    others[0].project = "other".into();
    others[1].host.fingerprint = "other machine".into();
    others[2].commit_detail.as_mut().unwrap().dirty = true;
    runs.extend(others.clone());
    insert(store, &runs).await;
    let query = ValuesQuery {
        project: runs[0].project.clone(),
        host: runs[0].host.fingerprint.clone(),
        commit: Some(sample::sha(5)),
        dirty: false,
    };
    for (query, least) in [
        (query.clone(), 100),
        (ValuesQuery { dirty: true, ..query.clone() }, others[2].samples.len()),
        (ValuesQuery { project: "other".into(), ..query.clone() }, others[0].samples.len()),
        (ValuesQuery { commit: Some(sample::sha(11)), ..query.clone() }, 100),
        (ValuesQuery { commit: Some(sample::sha(19)), ..query.clone() }, 0),
        (ValuesQuery { commit: None, ..query }, 0),
    ] {
        let expect = expected(&runs, &query);
        assert!(expect.len() >= least, "{query:?}");
        assert_eq!(store.commit_values(&query).await.unwrap(), expect, "{query:?}");
    }
}

fn expected(runs: &[RunRecord], query: &ValuesQuery) -> Vec<CommitValues> {
    let is_of = |run: &&RunRecord| {
        run.outcome == Outcome::Ok
            && (&run.project, &run.host.fingerprint, &run.commit) == (&query.project, &query.host, &query.commit)
            && run.commit_detail.as_ref().is_some_and(|detail| detail.dirty) == query.dirty
    };
    type Key<'k> = (&'k str, &'k str, &'k str, &'k str, Option<&'k str>);
    let mut all: BTreeMap<Key<'_>, Vec<RunValue>> = BTreeMap::new();
    for run in runs.iter().filter(is_of) {
        for sample in &run.samples {
            let key = (&*run.scenario, &*run.scenario_hash, &*run.subject, &*sample.metric, sample.peer.as_deref());
            all.entry(key).or_default().push(RunValue { run: run.id.clone(), value: sample.value });
        }
    }
    let series = |((scenario, hash, subject, metric, peer), values): (Key<'_>, Vec<RunValue>)| CommitValues {
        scenario: scenario.to_owned(),
        scenario_hash: hash.to_owned(),
        subject: subject.to_owned(),
        metric: metric.to_owned(),
        peer: peer.map(str::to_owned),
        values,
    };
    all.into_iter().map(series).collect()
}

/// A token allows something from when it is kept until it is revoked, and stays in the list.
pub async fn tokens_are_found_until_they_are_revoked(store: &dyn Upkeep) {
    let token = |n: u8, project: Option<&str>| Token {
        id: format!("token-{n}"),
        name: "'; DROP TABLE tokens; --\0".into(),
        scope: "ingest".into(),
        hash: [n; 32],
        project: project.map(str::to_owned),
        created_ms: i64::from(n),
        last_used_ms: None,
        revoked_ms: None,
    };
    let (mut first, second) = (token(1, None), token(2, Some("longhaul")));
    assert_eq!(store.tokens().await.unwrap(), []);
    for token in [&first, &second] {
        assert_eq!(store.put_token(token).await.unwrap(), Inserted::New);
    }
    assert_eq!(store.put_token(&Token { hash: [7; 32], ..first.clone() }).await.unwrap(), Inserted::Known);
    let twice = Token { id: "token-3".into(), ..first.clone() };
    assert!(store.put_token(&twice).await.is_err(), "two tokens of one hash");
    assert_eq!(store.token(&[1; 32]).await.unwrap().as_ref(), Some(&first));
    assert_eq!(store.token(&[7; 32]).await.unwrap(), None);
    for (used_ms, expect) in [(500, 500), (400, 500), (600, 600)] {
        store.touch_token("token-1", used_ms).await.unwrap();
        first.last_used_ms = Some(expect);
        assert_eq!(store.token(&[1; 32]).await.unwrap().as_ref(), Some(&first));
    }
    store.touch_token("nobody's", 1).await.unwrap();
    for (id, at_ms, expect) in [("token-1", 700, true), ("token-1", 800, false), ("nobody's", 800, false)] {
        assert_eq!(store.revoke_token(id, at_ms).await.unwrap(), expect);
    }
    first.revoked_ms = Some(700);
    assert_eq!(store.token(&[1; 32]).await.unwrap(), None);
    assert_eq!(store.token(&[2; 32]).await.unwrap().as_ref(), Some(&second));
    assert_eq!(store.tokens().await.unwrap(), [second, first]);
    assert_eq!(store.check().await.unwrap(), []);
}

/// More runs than any part of a store holds together, of few commits, some of which come late: each point has its own, in the
/// order they were recorded.
pub async fn many_runs_stay_in_their_order(store: &dyn Upkeep) {
    let commit = |n: u32| if n % 5 == 4 { 0 } else { n / 100 };
    let all: Vec<RunRecord> = (0..600).map(|n| numbered(n, commit(n))).collect();
    let mut from = 0;
    for many in [1, 31, 1, 5, 40, 200, 7, 1, 64, 250].into_iter().cycle() {
        let to = (from + many).min(all.len());
        insert(store, &all[from..to]).await;
        from = to;
        if from == all.len() {
            break;
        }
    }
    let query = SeriesQuery { scenario: all[0].scenario.clone(), metric: Some("goodput".into()), ..Default::default() };
    let set = store.series(&query).await.unwrap();
    assert_eq!(numbers(&set), [0, 1, 2, 3, 4, 5]);
    for point in &set.series[0].points {
        let own = all.iter().filter(|run| run.commit == set.commits[point.commit].sha);
        let expect: Vec<RunValue> =
            own.map(|run| RunValue { run: run.id.clone(), value: run.value("goodput", None).unwrap() }).collect();
        assert_eq!(point.values, expect);
    }
    assert_eq!(store.check().await.unwrap(), []);
}

/// A run of little evidence, with a goodput that no other has.
fn numbered(n: u32, commit: u32) -> RunRecord {
    let mut run = at(commit, n);
    run.id = format!("01940000-0000-7000-8000-{n:012x}");
    run.series.clear();
    run.samples.truncate(2);
    run.samples[0].value += f64::from(n);
    run
}

/// The last word of a command counts, and none is left when it has ended.
pub async fn what_is_measured_is_told_until_it_ends(store: &dyn Upkeep) {
    let said = |id: &str, done: u64, updated_ms: i64| Progress {
        id: id.into(),
        host: "h".into(),
        what: "'; DROP TABLE progress; --".into(),
        now: "lossy-1pct \u{b7} curl".into(),
        done,
        total: 7,
        updated_ms,
    };
    assert_eq!(store.progress(0).await.unwrap(), []);
    for progress in [said("a", 1, 10), said("b", 0, 20), said("a", 2, 30)] {
        store.put_progress(&progress).await.unwrap();
    }
    assert_eq!(store.progress(0).await.unwrap(), [said("a", 2, 30), said("b", 0, 20)]);
    assert_eq!(store.progress(21).await.unwrap(), [said("a", 2, 30)]);
    store.end_progress("a").await.unwrap();
    store.end_progress("nobody's").await.unwrap();
    assert_eq!(store.progress(0).await.unwrap(), [said("b", 0, 20)]);
}
