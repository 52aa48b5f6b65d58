//! Series as a detector of changes wants them.

use crate::{Commit, SeriesSet};

/// One metric over the commits of a branch, under one form of its scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    /// Which of [`SeriesSet::series`] it is of.
    pub series: usize,
    /// Hash of the scenario's resolved form.
    pub scenario_hash: String,
    /// Oldest first: the place of each commit in [`SeriesSet::commits`], and the median of its runs.
    pub points: Vec<(usize, f64)>,
}

/// Which commits are a project's history: clean ones of a branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The branch; without it `main` or `master`, or one that nobody recorded, as where a build checks out a commit alone.
    pub branch: Option<String>,
}

impl Line {
    /// Whether a commit is one of them.
    pub fn has(&self, commit: &Commit) -> bool {
        let is_on = match (&self.branch, commit.branch.as_deref()) {
            (Some(wanted), on) => on == Some(wanted),
            (None, on) => matches!(on, None | Some("main" | "master")),
        };
        is_on && !commit.dirty && commit.sha.is_some()
    }
}

impl SeriesSet {
    /// Every series along `line`; a scenario that was changed starts another one.
    pub fn histories(&self, line: &Line) -> Vec<History> {
        let mut histories: Vec<History> = Vec::new();
        for (series, own) in self.series.iter().enumerate() {
            let first = histories.len();
            for point in own.points.iter().filter(|point| line.has(&self.commits[point.commit])) {
                let same = |history: &&mut History| history.scenario_hash == point.scenario_hash;
                match histories[first..].iter_mut().find(same) {
                    Some(history) => history.points.push((point.commit, point.median)),
                    None => histories.push(History {
                        series,
                        scenario_hash: point.scenario_hash.clone(),
                        points: vec![(point.commit, point.median)],
                    }),
                }
            }
        }
        histories
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CommitPoint, MetricSeries};

    fn commit(sha: Option<&str>, branch: Option<&str>, dirty: bool) -> Commit {
        Commit {
            project: "p".into(),
            sha: sha.map(str::to_owned),
            dirty,
            authored_ms: None,
            branch: branch.map(str::to_owned),
            summary: None,
            first_run_ms: 0,
        }
    }

    #[test]
    fn only_clean_commits_of_the_branch_count() {
        let commits = vec![
            commit(Some("a"), Some("main"), false),
            commit(Some("b"), None, false),
            commit(Some("c"), Some("topic"), false),
            commit(Some("d"), Some("main"), true),
            commit(None, None, false),
            commit(Some("e"), Some("master"), false),
        ];
        let hashes = ["x", "x", "x", "x", "x", "y"];
        let point = |(commit, hash): (usize, &str)| {
            let median = commit as f64;
            let scenario_hash = hash.to_owned();
            CommitPoint { commit, scenario_hash, values: Vec::new(), n: 1, median, min: median, max: median }
        };
        let series = MetricSeries {
            project: "p".into(),
            host: "h".into(),
            subject: "s".into(),
            metric: "m".into(),
            peer: None,
            points: hashes.into_iter().enumerate().map(point).collect(),
        };
        let set = SeriesSet { commits, series: vec![series] };
        let points = |branch: Option<&str>| -> Vec<(String, Vec<(usize, f64)>)> {
            let line = Line { branch: branch.map(str::to_owned) };
            set.histories(&line).into_iter().map(|history| (history.scenario_hash, history.points)).collect()
        };
        assert_eq!(points(None), [("x".into(), vec![(0, 0.0), (1, 1.0)]), ("y".into(), vec![(5, 5.0)])]);
        assert_eq!(points(Some("topic")), [("x".into(), vec![(2, 2.0)])]);
        assert_eq!(points(Some("none")), []);
    }
}
