//! Charts as SVG text: numbers in, a string out.
//!
//! - [`history()`]: one metric across commits.
//! - [`sparkline`] and [`bar`]: words' size.
//! - [`timeline()`]: runs over time, lanes above each other.
//! - [`heat()`]: a matrix of shares.
//! - [`distribution()`]: how values are spread, as curves or as boxes.
//! - [`interval()`]: a change with its interval; [`badge()`]: a value for a README.
//! - [`topology()`]: hosts, routers and the links between them.
//!
//! plotters lays the axes out; [`canvas`] is its drawing backend. Colours are classes, never literals, so that one
//! stylesheet serves light and dark and no `style` attribute meets the content security policy. Every chart has a
//! title, a unit on its axis, words when that axis does not start at zero, `<title>` and `<desc>` for those who do not
//! see it, and real text. What is missing is drawn as missing, never as zero. Tooltips and links are extras: what they
//! say is in a table beside the chart too.
//!
//! **Invariant:** pure. No store, no clock, no HTML beyond the `<svg>` element.

mod axis;
mod badge;
mod canvas;
mod distribution;
mod grid;
mod heat;
mod history;
mod interval;
mod spark;
mod svg;
mod timeline;
mod topology;

#[cfg(test)]
pub(crate) mod testing;

pub(crate) use axis::Scale;
pub(crate) use badge::badge;
pub(crate) use canvas::Ink;
pub(crate) use distribution::{Distribution, DistributionKind, Set, distribution};
pub(crate) use heat::{Heat, HeatCell, heat};
pub(crate) use history::{Change, History, Line, Mark, Mood, Point, history};
pub(crate) use interval::{Shift, interval};
pub(crate) use spark::{Spark, bar, spark, sparkline};
pub(crate) use timeline::{Bar, Content, Lane, Section, Timeline, Trace, timeline};
pub(crate) use topology::{Node, NodeKind, Topology, topology};

/// Outer size of a chart, in CSS pixels at its natural scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    /// Width.
    pub(crate) width: u32,
    /// Height.
    pub(crate) height: u32,
}
