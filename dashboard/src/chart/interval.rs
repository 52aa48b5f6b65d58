//! A change with its interval, the size of a table's cell.

use super::Size;
use super::svg::document;
use std::fmt::Write;

/// What to draw.
pub(crate) struct Shift<'a> {
    /// What changed.
    pub(crate) title: &'a str,
    /// The same in words, for those who do not see it.
    pub(crate) words: &'a str,
    /// Ends of the interval and the estimate between them.
    pub(crate) low: f64,
    /// The estimate.
    pub(crate) middle: f64,
    /// The upper end.
    pub(crate) high: f64,
    /// The smallest shift that matters: what is closer to zero lies on grey.
    pub(crate) delta: f64,
    /// The class that has the verdict's colour.
    pub(crate) class: &'a str,
}

const SIZE: Size = Size { width: 190, height: 22 };
/// The scale's ends, in smallest changes that matter: equal on every row, so that rows can be compared.
const REACH: f64 = 6.0;
const EDGE: f64 = 6.0;

/// The drawing. What does not fit is cut off and ends in an arrow's head.
pub(crate) fn interval(shift: &Shift<'_>) -> String {
    let middle = f64::from(SIZE.width) / 2.0;
    let unit = (middle - EDGE) / REACH;
    let delta = if shift.delta > 0.0 { shift.delta } else { 1.0 };
    let place = |value: f64| middle + (value / delta).clamp(-REACH, REACH) * unit;
    let y = f64::from(SIZE.height) / 2.0;
    let (low, at, high) = (place(shift.low), place(shift.middle), place(shift.high));
    let mut body = format!(
        "<rect class=\"rule\" fill=\"currentColor\" opacity=\".5\" x=\"{:.1}\" y=\"3\" width=\"{:.1}\" height=\"16\"/>\
         <line class=\"soft\" stroke=\"currentColor\" opacity=\".5\" x1=\"{middle}\" y1=\"1\" x2=\"{middle}\" y2=\"21\"/>\
         <g class=\"{}\" stroke=\"currentColor\" fill=\"currentColor\"><line stroke-width=\"2\" x1=\"{low:.1}\" \
         y1=\"{y}\" x2=\"{high:.1}\" y2=\"{y}\"/>",
        middle - unit,
        2.0 * unit,
        shift.class,
    );
    for (value, x, side) in [(shift.low, low, -1.0), (shift.high, high, 1.0)] {
        if (value / delta).abs() > REACH && value.signum() == side {
            // Writing to a string cannot fail.
            let _ = write!(body, "<path stroke=\"none\" d=\"M{:.1} {y}l{} -4v8z\"/>", x + side * 5.0, -side * 6.0);
        }
    }
    let _ = write!(body, "<circle stroke=\"none\" cx=\"{at:.1}\" cy=\"{y}\" r=\"3.5\"/></g>");
    document("interval", SIZE, shift.title, shift.words, &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(low: f64, middle: f64, high: f64) -> String {
        interval(&Shift { title: "Shift of <x>", words: "w", low, middle, high, delta: 0.02, class: "bad" })
    }

    #[test]
    fn shifts_look_like_this() {
        insta::assert_snapshot!(drawn(0.061, 0.073, 0.084));
        insta::assert_snapshot!(drawn(-0.5, -0.114, -0.08));
    }

    #[test]
    fn no_number_leaves_the_drawing() {
        for (low, middle, high) in [(-1e300, 0.0, 1e300), (0.0, 0.0, 0.0), (f64::MIN, f64::MIN, f64::MIN)] {
            let svg = drawn(low, middle, high);
            assert!(!svg.contains("NaN") && !svg.contains("inf") && svg.len() < 1500, "{svg}");
        }
    }
}
