//! A bar per scenario and subject.

use crate::output;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use longhaul_record::{Outcome, RunRecord, metric};
use longhaul_runner::Progress;
use std::io::IsTerminal;
use std::time::Duration;

/// The bar of one run, on standard error. Without a terminal, one line at its end.
pub(crate) struct Bar {
    bar: ProgressBar,
    title: String,
    terminal: bool,
}

impl Bar {
    /// Starts the bar of run `number` of `total`.
    pub(crate) fn new(number: usize, total: usize, scenario: &str, subject: &str) -> Bar {
        let terminal = std::io::stderr().is_terminal();
        let title = format!("[{number}/{total}] {scenario} · {subject}");
        let bar = ProgressBar::with_draw_target(Some(1), ProgressDrawTarget::stderr());
        // The template is a constant that indicatif accepts; its default would do as well.
        if let Ok(style) = ProgressStyle::with_template("{prefix:34} {bar:24} {elapsed:>4} {msg}") {
            bar.set_style(style.progress_chars("━╸ "));
        }
        bar.set_prefix(title.clone());
        bar.enable_steady_tick(Duration::from_millis(100));
        Bar { bar, title, terminal }
    }

    /// Ends the bar with the run's result.
    pub(crate) fn finish(self, record: &RunRecord) {
        let result = match (record.outcome, record.value("goodput", None), metric("goodput")) {
            (Outcome::Ok, Some(value), Some(metric)) => metric.unit.text(value),
            (outcome, ..) => outcome.as_str().to_owned(),
        };
        if self.terminal {
            self.bar.set_length(1);
            self.bar.set_position(1);
            self.bar.finish_with_message(result);
        } else {
            output::note(format!("{} {result}", self.title));
        }
    }

    /// Removes the bar of an interrupted run.
    pub(crate) fn abandon(self) {
        self.bar.finish_and_clear();
    }
}

impl Progress for Bar {
    fn step(&self, what: &str) {
        self.bar.set_message(what.to_owned());
    }

    fn bytes(&self, done: u64, of: u64) {
        self.bar.set_length(of.max(1));
        self.bar.set_position(done);
    }
}
