//! A bar per scenario and subject.

use crate::output;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use longhaul_record::{Outcome, RunRecord, metric};
use longhaul_runner::{Progress, new_id, wall_ms};
use longhaul_store::Upkeep;
use std::io::IsTerminal;
use std::time::Duration;
use tokio::runtime::Runtime;

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

/// Tells whoever looks at the dashboard how far a command is. A database that does not take it is no reason to stop: the next
/// run's record says what is wrong with it.
pub(crate) struct News<'a> {
    store: &'a dyn Upkeep,
    runtime: &'a Runtime,
    said: longhaul_store::Progress,
}

impl<'a> News<'a> {
    /// Of a command that is to make `total` runs.
    pub(crate) fn new(store: &'a dyn Upkeep, runtime: &'a Runtime, host: &str, what: &str, total: usize) -> News<'a> {
        let updated_ms = wall_ms();
        let said = longhaul_store::Progress {
            id: new_id(updated_ms),
            host: host.to_owned(),
            what: what.to_owned(),
            now: String::new(),
            done: 0,
            total: total as u64,
            updated_ms,
        };
        News { store, runtime, said }
    }

    /// What is measured next, and how many runs have ended.
    pub(crate) fn tell(&mut self, now: String, done: usize) {
        self.said = longhaul_store::Progress { now, done: done as u64, updated_ms: wall_ms(), ..self.said.clone() };
        let _ = self.runtime.block_on(self.store.put_progress(&self.said));
    }
}

impl Drop for News<'_> {
    fn drop(&mut self) {
        let _ = self.runtime.block_on(self.store.end_progress(&self.said.id));
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
