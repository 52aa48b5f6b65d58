//! Pages: a context in, HTML out. No store and no clock in here, so that each is a test's call away.

mod alerts;
mod commit;
mod commits;
mod compare;
mod comparison;
mod cross;
mod feed;
mod health;
mod layout;
mod matrix;
mod network;
mod overview;
mod problem;
mod run;
mod scenario;
mod series;
mod two_runs;

#[cfg(test)]
mod tests;

/// The subject that others are compared with, where it was measured too. Listed last: it is what the others are read
/// against.
pub(crate) const BASELINE: &str = "curl";

pub(crate) use alerts::{AlertPage, Alerts, alert, alerts};
pub(crate) use commit::{CommitPage, commit};
pub(crate) use commits::{Commits, commits};
pub(crate) use compare::{Compare, compare};
pub(crate) use comparison::comparison;
pub(crate) use feed::feed;
pub(crate) use health::{Health, health};
pub(crate) use layout::{Frame, Served};
pub(crate) use overview::{DIRECT, HEADLINES, Overview, overview};
pub(crate) use problem::{Problem, problem};
pub(crate) use run::run;
pub(crate) use scenario::{Scenario, View, scenario};
pub(crate) use two_runs::two_runs;
