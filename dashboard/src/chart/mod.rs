//! Charts as SVG text: data in, a string out.
//!
//! plotters does the layout; [`canvas`] is its drawing backend. Colours are classes, never literals, so that one
//! stylesheet serves light and dark and no `style` attribute meets the content security policy. Every chart has a
//! title, a unit on its axis, words when that axis does not start at zero, `<title>` and `<desc>` for those who do not
//! see it, and real text. What is missing is left out, never drawn as zero.
//!
//! **Invariant:** pure. No store, no clock, no HTML beyond the `<svg>` element.

mod axis;
mod canvas;
mod history;
mod interval;
mod spark;
mod timeline;

pub(crate) use canvas::Ink;
pub(crate) use history::{History, Line, Mark, Point, history};
pub(crate) use interval::{Shift, interval};
pub(crate) use spark::{bar, sparkline};
pub(crate) use timeline::{Lane, LaneKind, Trace, timeline};

/// Outer size of a chart, in CSS pixels at its natural scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    /// Width.
    pub(crate) width: u32,
    /// Height.
    pub(crate) height: u32,
}
