//! Words' size of chart: the last few medians as a line, one value as a bar.

use super::Size;
use super::canvas::{Canvas, Ink, UNIT};
use super::svg::document;
use longhaul_record::Unit;
use plotters::prelude::*;

const SIZE: Size = Size { width: 150, height: 28 };

/// The recent medians, oldest first, with a dot on the newest. Not from zero: it shows movement, the number stands
/// beside it.
pub(crate) fn sparkline(title: &str, values: &[f64], unit: Unit, ink: Ink) -> String {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let description = match values.len() {
        0 => "Nothing measured.".into(),
        1 => format!("One commit: {}.", unit.text(values[0])),
        n => format!("{n} commits between {} and {}, not drawn from zero.", unit.text(low), unit.text(high)),
    };
    let mut body = String::new();
    if let Err(error) = draw(&mut body, values, low, high, ink) {
        // The number beside it says the same; a page is not lost for a sparkline.
        body = format!("<desc>{error}</desc>");
    }
    document("spark", SIZE, title, &description, &body)
}

type Drawn = Result<(), Box<dyn std::error::Error>>;

fn draw(body: &mut String, values: &[f64], low: f64, high: f64, ink: Ink) -> Drawn {
    let Some(last) = values.last() else { return Ok(()) };
    // A tenth of the value fills the height at least, so that noise does not look like drama.
    let room = ((high * 1.05 - low * 0.95).abs() - (high - low)).max((high - low) * 0.1).max(f64::MIN_POSITIVE);
    let x = 0.0..(values.len().max(2) - 1) as f64;
    let root = Canvas::new(body, SIZE.width, SIZE.height).into_drawing_area();
    let mut chart = ChartBuilder::on(&root)
        .margin(4 * UNIT)
        .build_cartesian_2d(x.clone(), (low - room / 2.0)..(high + room / 2.0))
        .map_err(|error| error.to_string())?;
    let place = |(i, value): (usize, &f64)| (if values.len() == 1 { x.end } else { i as f64 }, *value);
    let points: Vec<(f64, f64)> = values.iter().enumerate().map(place).collect();
    chart.draw_series(LineSeries::new(points, ink.line(14))).map_err(|error| error.to_string())?;
    chart.draw_series([Circle::new((x.end, *last), 26, ink.color().filled())]).map_err(|error| error.to_string())?;
    Ok(())
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
        insta::assert_snapshot!(bar("31.7 Mbit/s", 31.7, 48.2, Ink::Subject(2)));
    }

    #[test]
    fn equal_values_do_not_divide_by_zero() {
        for values in [[0.0, 0.0], [5.0, 5.0]] {
            let svg = sparkline("same", &values, Unit::Seconds, Ink::Subject(1));
            assert!(svg.contains("<circle") && !svg.contains("NaN"), "{svg}");
        }
    }
}
