//! What most charts stand on: a plot area, a value axis with its rules and labels, and a horizontal scale.

use super::Size;
use super::axis::{Axis, Span};
use super::canvas::{Canvas, Ink, UNIT};
use super::svg::px;
use plotters::prelude::*;
use std::error::Error;

/// Where values are drawn, in CSS pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Plot {
    /// Left edge.
    pub(crate) left: f64,
    /// Right edge.
    pub(crate) right: f64,
    /// Upper edge.
    pub(crate) top: f64,
    /// Lower edge.
    pub(crate) bottom: f64,
}

impl Plot {
    /// The area within `size` that leaves so much free at its sides.
    pub(crate) fn within(size: Size, left: u32, right: u32, top: u32, bottom: u32) -> Plot {
        Plot {
            left: f64::from(left),
            right: f64::from(size.width.saturating_sub(right).max(left + 1)),
            top: f64::from(top),
            bottom: f64::from(size.height.saturating_sub(bottom).max(top + 1)),
        }
    }

    /// Width.
    pub(crate) fn width(&self) -> f64 {
        self.right - self.left
    }

    /// Height.
    pub(crate) fn height(&self) -> f64 {
        self.bottom - self.top
    }

    /// A place between the left edge (0) and the right one (1).
    pub(crate) fn x(&self, share: f64) -> f64 {
        self.left + share * self.width()
    }

    /// A value's place on an axis along the left edge. What lies beyond an end is drawn at that end.
    pub(crate) fn y(&self, axis: &Axis, value: f64) -> f64 {
        self.bottom - axis.share(value).clamp(0.0, 1.0) * self.height()
    }

    /// For the page's script: `x0 y0 x1 y1`.
    pub(crate) fn attribute(&self) -> String {
        let [left, top, right, bottom] = [self.left, self.top, self.right, self.bottom].map(px);
        format!(" data-plot=\"{left} {top} {right} {bottom}\"")
    }
}

/// Ticks along the lower edge: places in 0..1, and what they say.
pub(crate) struct Ticks<'a> {
    /// Places.
    pub(crate) at: Vec<f64>,
    /// The words at a place.
    pub(crate) label: &'a dyn Fn(f64) -> String,
}

/// Draws the value axis's rules and labels, and the horizontal ticks, if any.
pub(crate) fn grid(
    out: &mut String,
    size: Size,
    plot: &Plot,
    values: Option<&Axis>,
    ticks: Option<&Ticks>,
) -> Result<(), Box<dyn Error>> {
    let root = Canvas::new(out, size.width, size.height).into_drawing_area();
    let unit = |pixels: f64| (pixels * f64::from(UNIT)).round() as i32;
    let span = values.map_or_else(|| Span::new(0.0..1.0, vec![]), Axis::span);
    let (left, bottom) = (unit(plot.left), size.height as i32 * UNIT - unit(plot.bottom));
    let mut builder = ChartBuilder::on(&root);
    builder.margin_top(unit(plot.top)).margin_right(size.width as i32 * UNIT - unit(plot.right));
    match values {
        Some(_) => builder.set_label_area_size(LabelAreaPosition::Left, left),
        None => builder.margin_left(left),
    };
    match ticks {
        Some(_) => builder.set_label_area_size(LabelAreaPosition::Bottom, bottom),
        None => builder.margin_bottom(bottom),
    };
    let places = ticks.map_or_else(Vec::new, |ticks| ticks.at.clone());
    let mut chart = builder.build_cartesian_2d(Span::new(0.0..1.0, places), span).map_err(|error| error.to_string())?;
    let label = ("sans-serif", 11.5 * f64::from(UNIT)).into_font().color(&Ink::Soft.color());
    chart
        .configure_mesh()
        .disable_x_mesh()
        .max_light_lines(0)
        .bold_line_style(Ink::Rule.line(10))
        .axis_style(TRANSPARENT)
        .set_all_tick_mark_size(6 * UNIT)
        .label_style(label)
        .x_label_formatter(&|x| ticks.map_or_else(String::new, |ticks| (ticks.label)(*x)))
        .y_label_formatter(&|y| values.map_or_else(String::new, |axis| axis.label(*y)))
        .draw()
        .map_err(|error| error.to_string())?;
    Ok(())
}
