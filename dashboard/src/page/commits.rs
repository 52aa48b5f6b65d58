//! Two commits by what was measured of each, apart from each other.
//!
//! Their runs were not made in pairs, so nothing here is a verdict: shifts have intervals, and the page says how to get one.

use super::Frame;
use super::compare::comparisons;
use crate::chart::{Distribution, DistributionKind, Ink, Set, Shift, distribution, interval};
use crate::html::{better, commit_link, glue, subject, svg, time};
use longhaul_record::{Direction, Standing, Unit, metric, text};
use longhaul_stats::{median, shift_between};
use longhaul_store::{Commit, CommitValues, ComparisonSummary};
use maud::{Markup, html};
use std::collections::BTreeMap;

/// What the page shows.
pub(crate) struct Commits {
    /// What is around it.
    pub(crate) frame: Frame,
    /// The commit that is compared with.
    pub(crate) base: Commit,
    /// The other one.
    pub(crate) head: Commit,
    /// Their comparisons in pairs.
    pub(crate) comparisons: Vec<ComparisonSummary>,
    /// What was measured of base.
    pub(crate) old: Vec<CommitValues>,
    /// What was measured of head.
    pub(crate) new: Vec<CommitValues>,
}

/// The interval's error.
const ALPHA: f64 = 0.05;

/// One series on two commits.
pub(super) struct Moved<'a> {
    pub(super) old: &'a CommitValues,
    pub(super) new: &'a CommitValues,
    pub(super) unit: Unit,
    pub(super) before: f64,
    pub(super) after: f64,
    /// Relative shift and its interval; `None` around zero.
    shift: Option<f64>,
    ends: Option<[f64; 2]>,
    delta: f64,
    /// Whether all runs of one side lie beyond all of the other.
    apart: bool,
    pub(super) runs: [usize; 2],
}

/// Every series that both commits have, under the same form of its scenario, by how far it moved. What another metric says in
/// other words is left out.
pub(super) fn moved<'a>(old: &'a [CommitValues], new: &'a [CommitValues]) -> Vec<Moved<'a>> {
    type Key<'k> = (&'k str, &'k str, &'k str, &'k str, Option<&'k str>);
    fn key(one: &CommitValues) -> Key<'_> {
        (&one.scenario, &one.scenario_hash, &one.subject, &one.metric, one.peer.as_deref())
    }
    let before: BTreeMap<Key<'_>, &CommitValues> = old.iter().map(|one| (key(one), one)).collect();
    let both = new.iter().filter_map(|one| Moved::of(before.get(&key(one))?, one));
    let mut all: Vec<Moved<'_>> = both.collect();
    all.sort_by(|a, b| b.weight().total_cmp(&a.weight()));
    all
}

impl<'a> Moved<'a> {
    fn of(old: &'a CommitValues, new: &'a CommitValues) -> Option<Moved<'a>> {
        let known = metric(&new.metric);
        if known.is_some_and(|metric| matches!(metric.standing, Standing::Restated(_))) {
            return None;
        }
        let numbers = |one: &CommitValues| one.values.iter().map(|value| value.value).collect::<Vec<f64>>();
        let (base, head) = (numbers(old), numbers(new));
        let (before, after) = (median(&base)?, median(&head)?);
        // Ratios, where there can be any.
        let logs = |values: &[f64]| values.iter().map(|value| value.ln()).collect::<Vec<f64>>();
        let positive = base.iter().chain(&head).all(|value| *value > 0.0);
        let shift = if positive { shift_between(&logs(&base), &logs(&head), ALPHA) } else { None };
        Some(Moved {
            old,
            new,
            unit: known.map_or(Unit::Ratio, |metric| metric.unit),
            before,
            after,
            shift: shift.as_ref().map(|shift| shift.estimate.exp() - 1.0),
            ends: shift.and_then(|shift| shift.interval).map(|ends| [ends.low.exp() - 1.0, ends.high.exp() - 1.0]),
            delta: known.map_or(0.03, |metric| metric.delta()),
            apart: {
                let ends =
                    |values: &[f64]| values.iter().fold((f64::MAX, f64::MIN), |(a, b), v| (a.min(*v), b.max(*v)));
                let ((low, high), (other_low, other_high)) = (ends(&base), ends(&head));
                high < other_low || other_high < low
            },
            runs: [base.len(), head.len()],
        })
    }

    /// How many smallest changes that matter it moved.
    fn weight(&self) -> f64 {
        self.shift.map_or(0.0, |shift| shift.abs() / self.delta)
    }

    /// Whether it is worth a line of its own: beyond what matters, and its interval beside zero. Runs that are too few for an
    /// interval must not overlap, and lie twice as far apart: among hundreds of series some three always do by chance.
    pub(super) fn is_large(&self) -> bool {
        match self.ends {
            Some([low, high]) => self.weight() > 1.0 && (low > 0.0 || high < 0.0),
            None => self.weight() > 2.0 && self.apart,
        }
    }

    /// The colour of what it would mean, if it were shown.
    fn class(&self) -> &'static str {
        let better = match metric(&self.new.metric).map(|metric| metric.direction) {
            Some(Direction::Higher) => self.after > self.before,
            Some(Direction::Lower) => self.after < self.before,
            None => return "quiet",
        };
        match (self.is_large(), better) {
            (false, _) => "quiet",
            (true, true) => "good",
            (true, false) => "bad",
        }
    }

    pub(super) fn row(&self, frame: &Frame) -> Markup {
        let Moved { new, unit, .. } = self;
        let name = text::metric_name(&new.metric, new.peer.as_deref());
        let words = self.shift.map_or_else(|| "–".into(), text::change);
        html! {
            tr.mid {
                td { a href=(frame.history(&new.scenario, &new.metric, new.peer.as_deref())) { (new.scenario) } }
                td { (subject(&new.subject)) }
                td.nowrap title=[metric(&new.metric).map(|metric| metric.definition)] { (name) }
                td.n data-value=(self.before) { (unit.text(self.before)) }
                td.n data-value=(self.after) { (unit.text(self.after)) }
                td.not-narrow {
                    @if let Some(middle) = self.shift {
                        @let [low, high] = self.ends.unwrap_or([middle; 2]);
                        (svg(interval(&Shift { title: &name, words: &words, low, middle, high, delta: self.delta, class: self.class() })))
                    }
                }
                td.n data-value=(self.shift.unwrap_or(0.0)) { span class=(self.class()) { (words) } }
                td.n { (self.runs[0]) " and " (self.runs[1]) }
            }
        }
    }
}

/// A table of what moved.
pub(super) fn table(frame: &Frame, rows: &[&Moved<'_>]) -> Markup {
    html! {
        div.table {
            table data-sortable {
                thead {
                    tr {
                        th { "Network" } th { "Subject" } th { "Metric" } th.n { "Before" } th.n { "After" }
                        th.not-narrow { "Shift with 95 % interval" } th.n { "Shift" } th.n { "Runs" }
                    }
                }
                tbody { @for row in rows { (row.row(frame)) } }
            }
        }
    }
}

/// The page.
pub(crate) fn commits(page: &Commits) -> Markup {
    let Commits { frame, base, head, .. } = page;
    let all = moved(&page.old, &page.new);
    let (large, rest): (Vec<&Moved<'_>>, Vec<&Moved<'_>>) = all.iter().partition(|one| one.is_large());
    let (Some(from), Some(to)) = (&base.sha, &head.sha) else { return frame.page("Compare", "compare", &html! {}) };
    let content = html! {
        h1 { (glue(&headline(&large, all.len()))) }
        p.lead {
            "From " (commit_link(frame, from)) " “" (base.summary.as_deref().unwrap_or_default()) "” to " (commit_link(frame, to)) " “"
            (head.summary.as_deref().unwrap_or_default()) "”"
            @if let Some(at) = head.authored_ms { ", " (time(at)) } "."
        }
        @if page.comparisons.is_empty() {
            p {
                "These runs were made apart from each other, on networks that lost other packets: what is below is a hint, not a verdict. \
                 For one: " code { "longhaul compare " (crate::html::short(from)) " " (crate::html::short(to)) }
            }
        } @else {
            h2 { "Compared in pairs" }
            (comparisons(frame, &page.comparisons))
        }
        @if !large.is_empty() {
            h2 { "What lies apart" }
            (table(frame, &large))
            (spreads(&large.iter().map(|one| [one.old, one.new]).collect::<Vec<_>>(), [crate::html::short(from), crate::html::short(to)]))
        }
        @if !rest.is_empty() {
            h2 { "What does not" }
            details open[large.is_empty()] {
                summary { (text::count(rest.len() as f64)) " series" }
                (table(frame, &rest))
            }
        }
        (only_one(page))
    };
    frame.page(&format!("{} to {}", crate::html::short(from), crate::html::short(to)), "compare", &content)
}

/// Charts of how values are spread.
const SPREADS: usize = 6;

/// How the values before and after lie, the first few series.
pub(super) fn spreads(pairs: &[[&CommitValues; 2]], names: [&str; 2]) -> Markup {
    html! {
        @if !pairs.is_empty() {
            h2 { "How the runs lie" }
            div.charts { @for [old, new] in pairs.iter().take(SPREADS) { figure { (spread(old, new, names)) (twin(old, new, names)) } } }
        }
    }
}

fn spread(old: &CommitValues, new: &CommitValues, [before, after]: [&str; 2]) -> Markup {
    let known = metric(&new.metric);
    let set = |label: &str, ink, values: &CommitValues| Set {
        label: label.to_owned(),
        ink,
        values: values.values.iter().map(|value| value.value).collect(),
    };
    svg(distribution(&Distribution {
        title: &format!("{}, {}", text::metric_name(&new.metric, new.peer.as_deref()), new.scenario),
        better: better(known),
        unit: known.map_or(Unit::Ratio, |metric| metric.unit),
        width: 348,
        kind: DistributionKind::Boxes,
        sets: vec![set(before, Ink::Soft, old), set(after, Ink::of_subject(&new.subject), new)],
    }))
}

/// The values themselves, smallest first.
fn twin(old: &CommitValues, new: &CommitValues, names: [&str; 2]) -> Markup {
    let unit = metric(&new.metric).map_or(Unit::Ratio, |metric| metric.unit);
    let sorted = |of: &CommitValues| {
        let mut values: Vec<f64> = of.values.iter().map(|value| value.value).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let (old, new) = (sorted(old), sorted(new));
    let cell = |values: &[f64], n: usize| values.get(n).map_or_else(String::new, |value| unit.text(*value));
    html! {
        details {
            summary { "As a table" }
            table {
                thead { tr { @for name in names { th.n { (name) } } } }
                tbody {
                    @for n in 0..old.len().max(new.len()) { tr { td.n { (cell(&old, n)) } td.n { (cell(&new, n)) } } }
                }
            }
        }
    }
}

fn headline(large: &[&Moved<'_>], all: usize) -> String {
    match (large.first(), all) {
        (_, 0) => "Nothing was measured of both commits.".into(),
        (None, _) => format!("Of {} series, none lies apart by more than its noise.", text::count(all as f64)),
        (Some(first), _) => format!(
            "{} of {} series lie apart; most of all, {} of {} on {}: {}.",
            text::count(large.len() as f64),
            text::count(all as f64),
            text::metric_name(&first.new.metric, first.new.peer.as_deref()).to_lowercase(),
            first.new.subject,
            first.new.scenario,
            first.shift.map_or_else(String::new, text::change)
        ),
    }
}

/// What was measured of one of the commits alone cannot be compared.
fn only_one(page: &Commits) -> Markup {
    let scenarios = |values: &[CommitValues]| {
        values.iter().map(|one| one.scenario.clone()).collect::<std::collections::BTreeSet<String>>()
    };
    let (old, new) = (scenarios(&page.old), scenarios(&page.new));
    let missing: Vec<String> = old.symmetric_difference(&new).cloned().collect();
    html! {
        @if !missing.is_empty() {
            p.quiet { "Measured on one of the two alone: " (crate::html::listed(&missing)) "." }
        }
    }
}
