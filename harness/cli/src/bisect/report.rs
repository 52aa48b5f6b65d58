//! What a bisection came to, for people and as JSON.

use super::{Found, Question};
use crate::args::BisectArgs;
use crate::backfill::title;
use crate::table;
use longhaul_record::Exit;
use longhaul_runner::Revision;
use longhaul_scenarios::{Scenario, Subject};
use longhaul_stats::bisection::{Next, Suspects};
use longhaul_stats::median;
use serde_json::{Value, json};

/// What was asked, and what is known.
pub(super) struct Answer<'a> {
    pub(super) args: &'a BisectArgs,
    pub(super) commits: &'a [Revision],
    pub(super) scenario: &'a Scenario,
    pub(super) subject: &'a Subject,
    pub(super) question: &'a Question,
    pub(super) found: Found,
    pub(super) next: Next,
}

impl Answer<'_> {
    pub(super) fn exit(&self) -> Exit {
        match self.next {
            Next::Found(_) => Exit::Pass,
            Next::NoEnd { .. } => Exit::SubjectFailed,
            _ => Exit::Inconclusive,
        }
    }

    pub(super) fn text(&self) -> String {
        let metric = self.metric();
        let answer = match &self.next {
            Next::Found(suspects) => self.culprit(suspects),
            Next::Spent(suspects) => format!(
                "inconclusive: the effort was spent before it was known. {}\nGive more of --runs or --budget: what was \
                 measured is not measured again.",
                self.culprit(suspects)
            ),
            Next::NoEnd { commit } => {
                let why = self.found.reasons.get(commit).map_or("", String::as_str);
                format!("{} cannot be measured: {why}\nName a neighbour of it.", title(&self.commits[*commit]))
            }
            _ => format!(
                "inconclusive: {metric} of the good and the bad commit does not differ by more than it varies.\nName commits \
                 that are further apart, or another metric{}.",
                if self.is_spent() { ", or give more of --runs or --budget" } else { "" }
            ),
        };
        let Found { runs, before, .. } = self.found;
        format!("{answer}\nRuns: {runs}, {before} of them recorded before; commits: {}.", self.commits.len() - 1)
    }

    /// Whether more runs were not allowed.
    fn is_spent(&self) -> bool {
        let Found { runs, spent_s, .. } = self.found;
        runs >= self.args.runs as usize || self.args.budget.is_some_and(|budget| spent_s >= budget)
    }

    fn metric(&self) -> String {
        let title = self.question.metric.title;
        self.question.peer.as_ref().map_or_else(|| title.to_owned(), |peer| format!("{title} ({})", table::clean(peer)))
    }

    /// Who did it, if that is known.
    fn culprit(&self, suspects: &Suspects) -> String {
        let Suspects { range: (first, last), probability, likeliest, likeliest_probability } = *suspects;
        let percent = |share: f64| format!("{:.1} %", floor(share * 100.0));
        let change = self.change_words();
        if first == last {
            let culprit = &self.commits[likeliest];
            return format!(
                "{} changed with {} (probability {}){change}\n{}",
                self.metric(),
                title(culprit),
                percent(probability),
                culprit.commit
            );
        }
        let line = |place: usize| {
            let why =
                self.found.reasons.get(&place).map_or_else(String::new, |why| format!(" ({})", table::clean(why)));
            let mark = if place == likeliest {
                format!(", likeliest: {}", percent(likeliest_probability))
            } else {
                String::new()
            };
            format!("\n  {}{mark}{why}", title(&self.commits[place]))
        };
        // A hundred lines would hide the answer.
        const SHOWN: usize = 20;
        let lines: String = (first..=last).take(SHOWN).map(line).collect();
        let more = if last - first >= SHOWN {
            format!("\n  \u{2026} to {}", title(&self.commits[last]))
        } else {
            String::new()
        };
        format!(
            "{} changed with one of these {} commits (probability {}){change}{lines}{more}",
            self.metric(),
            last - first + 1,
            percent(probability)
        )
    }

    fn change_words(&self) -> String {
        let Some(change) = self.found.change else { return ".".to_owned() };
        let percent = self.percent().map(|percent| format!("{percent:+.1} %"));
        let absolute = self.question.metric.least_difference.map(|_| {
            let sign = if change < 0.0 { "\u{2212}" } else { "+" };
            format!("{sign}{}", self.question.metric.unit.text(change.abs()))
        });
        let words: Vec<String> = absolute.into_iter().chain(percent).collect();
        format!(": {}.", words.join(", "))
    }

    /// How much more it became.
    fn percent(&self) -> Option<f64> {
        let change = self.found.change?;
        match self.question.metric.least_difference {
            None => Some(change.exp_m1() * 100.0),
            Some(_) => median(&self.found.values).filter(|good| *good != 0.0).map(|good| change / good * 100.0),
        }
    }

    pub(super) fn json(&self) -> Value {
        let (end, suspects) = match &self.next {
            Next::Found(suspects) => ("found", Some(suspects)),
            Next::Spent(suspects) => ("spent", Some(suspects)),
            Next::NoEnd { .. } => ("no_end", None),
            _ => ("no_difference", None),
        };
        let commit = |place: usize| {
            let Revision { commit, summary, .. } = &self.commits[place];
            json!({ "commit": commit, "summary": summary, "reason": self.found.reasons.get(&place) })
        };
        let unmeasured = if let Next::NoEnd { commit: place } = self.next { Some(commit(place)) } else { None };
        json!({
            "end": end,
            "good": self.commits[0].commit,
            "bad": self.commits[self.commits.len() - 1].commit,
            "commits": self.commits.len() - 1,
            "scenario": self.scenario.name,
            "scenario_hash": self.scenario.hash(),
            "subject": self.subject.name,
            "metric": self.question.metric.id,
            "peer": self.question.peer,
            "seed": self.args.seed,
            "runs": self.found.runs,
            "before": self.found.before,
            "change_percent": self.percent(),
            "change": self.found.change.filter(|_| self.question.metric.least_difference.is_some()),
            "likeliest": suspects.map(|suspects| commit(suspects.likeliest)),
            "likeliest_probability": suspects.map(|suspects| suspects.likeliest_probability),
            "suspects": suspects.map(|suspects| (suspects.range.0..=suspects.range.1).map(commit).collect::<Vec<_>>()),
            "probability": suspects.map(|suspects| suspects.probability),
            "unmeasured": unmeasured,
        })
    }
}

/// So that what is only nearly sure does not look as if it were.
fn floor(percent: f64) -> f64 {
    (percent * 10.0).floor() / 10.0
}
