//! Pages: a context in, HTML out. No store and no clock in here, so that each is a test's call away.

mod cross;
mod layout;
mod network;
mod overview;
mod problem;
mod run;
mod scenario;

#[cfg(test)]
mod tests;

/// The subject that others are compared with, where it was measured too. Listed last: it is what the others are read
/// against.
const BASELINE: &str = "curl";

pub(crate) use layout::Frame;
#[allow(unused_imports, reason = "the scenario's page is about to draw it")]
pub(crate) use network::figure as network_figure;
pub(crate) use overview::{HEADLINES, Overview, overview};
pub(crate) use problem::{Problem, problem};
pub(crate) use run::run;
#[allow(unused_imports, reason = "the page of two runs is about to draw them")]
pub(crate) use run::timelines;
pub(crate) use scenario::{Scenario, scenario};
