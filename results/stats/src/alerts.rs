//! What a series' changes mean for its alerts: which are new, which are known, which are over.

use crate::{ChangePoint, Detection, change_points, median, theil_sen};
use longhaul_record::{Alert, AlertKind, AlertState, CommitRange, Direction, SeriesName};

/// A series along the main branch, oldest first: each measured commit's full hash, and its median.
#[derive(Debug, Clone, Copy)]
pub struct History<'a> {
    /// What it is of.
    pub series: &'a SeriesName,
    /// Which way is better.
    pub better: Direction,
    /// Commits and medians.
    pub points: &'a [(&'a str, f64)],
}

/// A change is the same one if it is found at most so many measured commits away: more commits move it a little.
const NEAR: usize = 5;

/// The alerts that have to be kept anew: those that are new, and those of `known` that changed. `known` are all of this series;
/// the same history changes nothing twice. Events are of `at_ms`, and new alerts get their ids from `id`, by the first commit
/// after the change.
pub fn reconcile(
    history: &History,
    known: &[Alert],
    how: &Detection,
    at_ms: i64,
    mut id: impl FnMut(&str) -> String,
) -> Vec<Alert> {
    let values: Vec<f64> = history.points.iter().map(|(_, value)| *value).collect();
    let changes = change_points(&values, how);
    let mut findings: Vec<Finding> =
        changes.iter().filter(|change| history.is_worse(change)).map(Finding::step).collect();
    findings.extend(drift(&values, &changes, history, how));
    let mut alerts = known.to_vec();
    let mut seen = vec![false; alerts.len()];
    for finding in findings {
        let place = |alert: &Alert| history.place(&alert.range.first_after);
        let is_it = |(n, alert): &(usize, &Alert)| {
            let near = place(alert).is_some_and(|place| place.abs_diff(finding.first) <= NEAR);
            !seen[*n]
                && alert.kind == finding.kind
                && (near || finding.kind == AlertKind::Drift && alert.state.is_open())
        };
        let nearest = alerts
            .iter()
            .enumerate()
            .filter(is_it)
            .min_by_key(|(_, alert)| place(alert).map_or(usize::MAX, |place| place.abs_diff(finding.first)));
        match nearest.map(|(n, _)| n) {
            Some(n) => {
                seen[n] = true;
                finding.renew(&mut alerts[n], history, at_ms);
            }
            None => {
                let range = finding.range(history);
                let id = id(&range.first_after);
                alerts.push(finding.alert(id, range, history, at_ms));
                seen.push(true);
            }
        }
    }
    for (alert, seen) in alerts.iter_mut().zip(seen) {
        close(alert, seen, &changes, history, how, at_ms);
    }
    alerts.retain(|alert| !known.contains(alert));
    alerts
}

/// Closes an alert that is over.
fn close(alert: &mut Alert, seen: bool, changes: &[ChangePoint], history: &History, how: &Detection, at_ms: i64) {
    let Some(place) = history.place(&alert.range.first_after).filter(|_| alert.state.is_open()) else { return };
    let as_good = |change: &&ChangePoint| {
        let off = (change.after - alert.before) * history.sign();
        change.index > place && change.confirmed && !history.is_worse(change) && off <= how.delta * alert.before.abs()
    };
    if let Some(mend) = changes.iter().find(as_good) {
        alert.fixed = Some(history.range(mend.index));
        alert.become_state(AlertState::Fixed, at_ms, "");
    } else if !seen && alert.state == AlertState::New {
        alert.become_state(AlertState::Invalid, at_ms, "");
    }
}

impl History<'_> {
    fn place(&self, sha: &str) -> Option<usize> {
        self.points.iter().position(|(own, _)| *own == sha)
    }

    /// Of what is larger: worse is positive.
    fn sign(&self) -> f64 {
        if self.better == Direction::Lower { 1.0 } else { -1.0 }
    }

    fn is_worse(&self, change: &ChangePoint) -> bool {
        (change.after - change.before) * self.sign() > 0.0
    }

    /// Around the first commit after a change.
    fn range(&self, first: usize) -> CommitRange {
        let sha = |at: usize| self.points.get(at).map_or_else(String::new, |(sha, _)| (*sha).to_owned());
        CommitRange { last_before: sha(first.saturating_sub(1)), first_after: sha(first) }
    }
}

/// A change for the worse.
struct Finding {
    kind: AlertKind,
    /// Place of the last commit before it, and of the first after it.
    last: usize,
    first: usize,
    before: f64,
    after: f64,
    shift: Option<f64>,
    p: f64,
    confirmed: bool,
}

impl Finding {
    fn step(change: &ChangePoint) -> Finding {
        let ChangePoint { index, before, after, shift, p, confirmed } = *change;
        Finding { kind: AlertKind::Step, last: index - 1, first: index, before, after, shift, p, confirmed }
    }

    fn range(&self, history: &History) -> CommitRange {
        let sha = |at: usize| history.points[at].0.to_owned();
        CommitRange { last_before: sha(self.last), first_after: sha(self.first) }
    }

    fn state(&self) -> AlertState {
        if self.confirmed { AlertState::Confirmed } else { AlertState::New }
    }

    fn alert(&self, id: String, range: CommitRange, history: &History, at_ms: i64) -> Alert {
        let Finding { kind, before, after, shift, p, .. } = *self;
        let series = history.series.clone();
        let (state, history) = (self.state(), Vec::new());
        let mut alert = Alert { id, series, kind, range, before, after, shift, p, state, fixed: None, history };
        alert.become_state(state, at_ms, "");
        alert
    }

    /// More is known of it. What people said of it stays said.
    fn renew(&self, alert: &mut Alert, history: &History, at_ms: i64) {
        if !alert.state.is_open() {
            return;
        }
        alert.range = self.range(history);
        (alert.before, alert.after, alert.shift, alert.p) = (self.before, self.after, self.shift, self.p);
        if alert.state == AlertState::New && self.confirmed {
            alert.become_state(AlertState::Confirmed, at_ms, "");
        }
    }
}

/// A slope over the last window without a step, by which the series got worse by δ at least, as surely as a step is seen.
fn drift(values: &[f64], changes: &[ChangePoint], history: &History, how: &Detection) -> Option<Finding> {
    let from = changes.last().map_or(0, |change| change.index).max(values.len().saturating_sub(how.window));
    let window = &values[from..];
    // Fewer show no slope, or a step.
    if window.len() < how.window / 2 || changes.last().is_some_and(|change| !change.confirmed) {
        return None;
    }
    let points: Vec<(f64, f64)> = window.iter().enumerate().map(|(at, value)| (at as f64, *value)).collect();
    let slope = theil_sen(&points, how.significance)?;
    let interval = slope.interval?;
    let steps = (window.len() - 1) as f64;
    let middle = median(window)?;
    let ends = [-1.0, 1.0].map(|side| middle + side * slope.estimate * steps / 2.0);
    let least = [interval.low, interval.high]
        .map(|slope| slope * steps * history.sign())
        .into_iter()
        .fold(f64::INFINITY, f64::min);
    (least > 0.0 && least >= how.delta * ends[0].abs()).then(|| Finding {
        kind: AlertKind::Drift,
        last: from,
        first: values.len() - 1,
        before: ends[0],
        after: ends[1],
        shift: (ends[0] != 0.0).then(|| (ends[1] - ends[0]) / ends[0].abs()),
        p: how.significance,
        confirmed: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series() -> SeriesName {
        let text = |text: &str| text.to_owned();
        SeriesName {
            project: text("p"),
            host: text("h"),
            scenario: text("local"),
            scenario_hash: text("0"),
            subject: text("reference"),
            metric: text("transfer_time"),
            peer: None,
        }
    }

    /// Reconciles as often as there are histories, each longer than the one before; returns all alerts at the end.
    fn followed(histories: &[Vec<f64>], better: Direction, mut between: impl FnMut(&mut Vec<Alert>)) -> Vec<Alert> {
        let mut alerts: Vec<Alert> = Vec::new();
        for (round, values) in histories.iter().enumerate() {
            for again in 0..2 {
                let shas: Vec<String> = (0..values.len()).map(|at| format!("c{at}")).collect();
                let points: Vec<(&str, f64)> = shas.iter().map(String::as_str).zip(values.iter().copied()).collect();
                let name = series();
                let history = History { series: &name, better, points: &points };
                let changed =
                    reconcile(&history, &alerts, &Detection::default(), round as i64, |sha| format!("id of {sha}"));
                assert!(again == 0 || changed.is_empty(), "the same again changes nothing: {changed:?}");
                for alert in changed {
                    alerts.retain(|known| known.id != alert.id);
                    alerts.push(alert);
                }
            }
            between(&mut alerts);
        }
        alerts
    }

    fn values(levels: &[(usize, f64)]) -> Vec<f64> {
        let levels = levels.iter().flat_map(|(count, level)| std::iter::repeat_n(*level, *count));
        levels.enumerate().map(|(n, level)| level * (1.0 + (n * n * 31 % 101) as f64 / 5000.0)).collect()
    }

    fn states(alert: &Alert) -> Vec<AlertState> {
        alert.history.iter().map(|event| event.state).collect()
    }

    #[test]
    fn a_step_is_seen_confirmed_and_mended() {
        let mended = [(40, 5.0), (20, 6.0), (10, 5.0)];
        let histories =
            [&[(40, 5.0)][..], &[(40, 5.0), (1, 6.0)], &[(40, 5.0), (4, 6.0)], &[(40, 5.0), (20, 6.0)], &mended];
        let alerts = followed(&histories.map(values), Direction::Lower, |_| {});
        let [alert] = &alerts[..] else { panic!("{alerts:?}") };
        assert_eq!(states(alert), [AlertState::New, AlertState::Confirmed, AlertState::Fixed]);
        assert_eq!((alert.range.last_before.as_str(), alert.range.first_after.as_str()), ("c39", "c40"));
        assert_eq!(alert.fixed.as_ref().map(|fixed| fixed.first_after.as_str()), Some("c60"));
        assert_eq!((alert.id.as_str(), alert.kind), ("id of c40", AlertKind::Step));
        assert!((alert.shift.unwrap() - 0.2).abs() < 0.02, "{alert:?}");
    }

    #[test]
    fn a_spike_was_none() {
        let histories = [&[(40, 5.0), (1, 6.0)][..], &[(40, 5.0), (1, 6.0), (1, 5.0)]];
        let alerts = followed(&histories.map(values), Direction::Lower, |_| {});
        assert_eq!(alerts.iter().map(states).collect::<Vec<_>>(), [[AlertState::New, AlertState::Invalid]]);
    }

    #[test]
    fn what_gets_better_is_no_alert() {
        let history = [values(&[(40, 5.0), (20, 4.0)])];
        assert_eq!(followed(&history, Direction::Lower, |_| {}), []);
        assert_eq!(followed(&history, Direction::Higher, |_| {}).len(), 1);
    }

    #[test]
    fn what_people_said_stays_said() {
        let histories = [&[(40, 5.0), (20, 6.0)][..], &[(40, 5.0), (25, 6.0)], &[(40, 5.0), (25, 6.0), (20, 5.0)]];
        for (state, end) in [(AlertState::Acknowledged, AlertState::Fixed), (AlertState::Invalid, AlertState::Invalid)]
        {
            let mut said = false;
            let alerts = followed(&histories.map(values), Direction::Lower, |alerts| {
                if !std::mem::replace(&mut said, true) {
                    alerts[0].become_state(state, 0, "me: known");
                }
            });
            let [alert] = &alerts[..] else { panic!("{alerts:?}") };
            assert_eq!((alert.state, alert.history[1].note.as_str()), (end, "me: known"));
        }
    }

    /// Two percent in ten commits are no step anywhere.
    #[test]
    fn a_drift_is_one_alert() {
        let drifting = |count: usize| -> Vec<f64> {
            values(&[(count, 5.0)])
                .iter()
                .enumerate()
                .map(|(at, value)| value * (1.0 + at.saturating_sub(40) as f64 * 0.0012))
                .collect()
        };
        let alerts = followed(&[drifting(40), drifting(95), drifting(100), drifting(110)], Direction::Lower, |_| {});
        let drifts: Vec<&Alert> = alerts.iter().filter(|alert| alert.kind == AlertKind::Drift).collect();
        assert!(!alerts.is_empty() && drifts.len() <= 1, "{alerts:?}");
        assert_eq!(followed(&[values(&[(100, 5.0)])], Direction::Lower, |_| {}), []);
    }
}
