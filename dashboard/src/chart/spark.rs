//! Words' size of chart: the last few medians as a line, one value as a bar.

use super::Size;
use super::canvas::{Canvas, Ink, UNIT};
use super::history::Mood;
use super::svg::{Path, document, px, rule};
use longhaul_record::Unit;
use plotters::prelude::*;
use std::fmt::Write;

const SIZE: Size = Size { width: 150, height: 28 };

/// What to draw at words' size.
#[derive(Clone, Copy)]
pub(crate) struct Spark<'a> {
    /// What it is, for those who cannot see it.
    pub(crate) title: &'a str,
    /// Recent medians, oldest first. What is no number is missing: a gap.
    pub(crate) values: &'a [f64],
    /// Unit of the values.
    pub(crate) unit: Unit,
    /// Colour of the line.
    pub(crate) ink: Ink,
    /// The newest change point: its place in the values, and what it means.
    pub(crate) change: Option<(usize, Mood)>,
    /// How the newest value stands: the colour of its dot. Neutral: the line's.
    pub(crate) status: Mood,
}

/// The recent medians with a dot on the newest, and a dashed line at the newest change.
pub(crate) fn sparkline(title: &str, values: &[f64], unit: Unit, ink: Ink) -> String {
    spark(&Spark { title, values, unit, ink, change: None, status: Mood::Neutral })
}

/// Likewise, with what is known of them. Not from zero: it shows movement, the number stands beside it.
pub(crate) fn spark(chart: &Spark<'_>) -> String {
    let known = || chart.values.iter().copied().filter(|value| value.is_finite());
    let low = known().fold(f64::INFINITY, f64::min);
    let high = known().fold(f64::NEG_INFINITY, f64::max);
    let unit = chart.unit;
    let mut description = match (known().count(), known().next()) {
        (0, _) | (_, None) => "Nothing measured.".to_owned(),
        (1, Some(value)) => format!("One commit: {}.", unit.text(value)),
        (n, _) => format!("{n} commits between {} and {}, not drawn from zero.", unit.text(low), unit.text(high)),
    };
    let mut body = String::new();
    if low.is_finite() {
        let change = chart.change.filter(|(at, _)| *at < chart.values.len());
        if let Some((at, mood)) = change {
            let word = match mood {
                Mood::Good => " for the better",
                Mood::Bad => " for the worse",
                Mood::Neutral => "",
            };
            let ago = chart.values.len() - at;
            description += &format!(" Changed{word} {ago} {} ago.", if ago == 1 { "commit" } else { "commits" });
        }
        draw(&mut body, chart, change, low, high);
    }
    document("spark", SIZE, chart.title, &description, &body)
}

/// Room around a sparkline.
const MARGIN: f64 = 4.0;

fn draw(body: &mut String, chart: &Spark<'_>, change: Option<(usize, Mood)>, low: f64, high: f64) {
    // A tenth of the value fills the height at least, so that noise does not look like drama.
    let room = ((high * 1.05 - low * 0.95).abs() - (high - low)).max((high - low) * 0.1).max(f64::MIN_POSITIVE);
    let (width, height) = (f64::from(SIZE.width) - 2.0 * MARGIN, f64::from(SIZE.height) - 2.0 * MARGIN);
    let last = chart.values.len() - 1;
    let x = |i: usize| MARGIN + width * if last == 0 { 1.0 } else { i as f64 / last as f64 };
    let y = |value: f64| MARGIN + height * (high + room / 2.0 - value) / (high - low + room);
    if let Some((at, mood)) = change {
        let x = x(at) - if at > 0 { 0.5 * width / last as f64 } else { 0.0 };
        let (top, bottom) = ((x, 1.0), (x, f64::from(SIZE.height) - 1.0));
        rule(body, mood.ink(), top, bottom, " stroke-dasharray=\"2 2\"");
    }
    let (mut path, mut gap) = (Path::default(), true);
    for (i, value) in chart.values.iter().enumerate() {
        let at = (x(i), y(*value));
        match value.is_finite() {
            true if gap => path.go(at),
            true => path.line(at),
            false => {}
        }
        gap = !value.is_finite();
    }
    path.stroke(body, chart.ink, 1.4, " stroke-linejoin=\"round\" stroke-linecap=\"round\"");
    let ink = if chart.status == Mood::Neutral { chart.ink } else { chart.status.ink() };
    if let Some((i, value)) = chart.values.iter().enumerate().rev().find(|(_, value)| value.is_finite()) {
        // Where the newest commits have no value, the dot is hollow: it is an older one's.
        let (class, x, y) = (ink.class(), px(x(i)), px(y(*value)));
        let look = if i == last {
            format!("class=\"{class}\" fill=\"currentColor\"")
        } else {
            format!("class=\"{class} hollow\" stroke=\"currentColor\"")
        };
        let _ = write!(body, "<circle {look} cx=\"{x}\" cy=\"{y}\" r=\"2.6\"/>");
    }
}

/// One value against the largest of its kind, from zero.
pub(crate) fn bar(title: &str, value: f64, largest: f64, ink: Ink) -> String {
    let size = Size { width: 110, height: 6 };
    let share = if largest > 0.0 { (value / largest).clamp(0.0, 1.0) } else { 0.0 };
    let mut body = String::new();
    let root = Canvas::new(&mut body, size.width, size.height).into_drawing_area();
    let (width, height) = ((size.width as i32) * UNIT, (size.height as i32) * UNIT);
    let full = Rectangle::new([(0, height / 2 - 5), (width, height / 2 + 5)], Ink::Rule.color().filled());
    let part = Rectangle::new([(0, 0), ((f64::from(width) * share) as i32, height)], ink.color().filled());
    // A canvas writes to a string, which cannot fail.
    let _ = root.draw(&full).and_then(|()| root.draw(&part));
    drop(root);
    document("bar", size, title, title, &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sparklines_look_like_this() {
        insta::assert_snapshot!(sparkline(
            "lossy <1>",
            &[48.1e6, 47.0e6, 48.9e6, 42.0e6],
            Unit::BitsPerSecond,
            Ink::Subject(0)
        ));
        insta::assert_snapshot!(sparkline("one", &[48.1e6], Unit::BitsPerSecond, Ink::Subject(2)));
        insta::assert_snapshot!(sparkline("none", &[], Unit::BitsPerSecond, Ink::Subject(2)));
        let values = [48.1e6, 47.0e6, f64::NAN, 42.0e6, 41.5e6, f64::NAN];
        let (change, status) = (Some((3, Mood::Bad)), Mood::Bad);
        let chart =
            Spark { title: "a step", values: &values, unit: Unit::BitsPerSecond, ink: Ink::Subject(0), change, status };
        insta::assert_snapshot!(spark(&chart));
        for text in crate::chart::testing::HOSTILE {
            crate::chart::testing::check(&spark(&Spark { title: text, change: Some((99, Mood::Good)), ..chart }));
        }
        crate::chart::testing::picture("spark", &spark(&chart));
        insta::assert_snapshot!(bar("31.7 Mbit/s", 31.7, 48.2, Ink::Subject(2)));
    }

    #[test]
    fn equal_values_do_not_divide_by_zero() {
        for values in [&[0.0, 0.0][..], &[5.0, 5.0], &[-1.0, -1.0], &[7.0]] {
            let svg = sparkline("same", values, Unit::Seconds, Ink::Subject(1));
            assert!(svg.contains("<circle") && !svg.contains("NaN"), "{svg}");
        }
    }
}
