//! A drawing backend for plotters that writes SVG with classes.
//!
//! plotters computes in whole pixels. The backend claims ten times the size and writes tenths, so that lines keep their
//! place to a tenth of a pixel. A colour is only ever one of [`Ink`]; it becomes a class whose `color` the stylesheet
//! sets, and shapes paint with `currentColor`.

use super::svg::{escape, tenths};
use plotters::style::{Color, RGBColor, ShapeStyle};
use plotters_backend::text_anchor::{HPos, VPos};
use plotters_backend::{BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind};
use std::convert::Infallible;
use std::fmt::Write;

/// Canvas units per CSS pixel.
pub(crate) const UNIT: i32 = 10;

/// What can be drawn with. The stylesheet knows the colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ink {
    /// The colour of a subject; see [`Ink::of_subject`].
    Subject(u8),
    /// Words that matter.
    Text,
    /// Words that explain.
    Soft,
    /// Rules and grids.
    Rule,
    /// Losses and failures.
    Bad,
    /// Queues.
    Queue,
    /// What got better; a direct path.
    Good,
    /// What is not decided; a relayed path.
    Warn,
    /// The page itself: behind numbers that stand on lines.
    Paper,
}

impl Ink {
    /// How many subjects can be told apart.
    const SUBJECTS: u8 = 6;

    /// The same subject has the same colour on every page, whichever others are there.
    pub(crate) fn of_subject(name: &str) -> Ink {
        match name {
            "reference" => Ink::Subject(0),
            "iroh" => Ink::Subject(1),
            "curl" => Ink::Subject(2),
            "rsync" => Ink::Subject(3),
            other => {
                let sum = other.bytes().fold(0u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)));
                Ink::Subject(4 + (sum % u32::from(Ink::SUBJECTS - 4)) as u8)
            }
        }
    }

    /// The class that sets `color`.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Ink::Subject(n) => ["c0", "c1", "c2", "c3", "c4", "c5"][usize::from(n % Ink::SUBJECTS)],
            Ink::Text => "ink",
            Ink::Soft => "soft",
            Ink::Rule => "rule",
            Ink::Bad => "bad",
            Ink::Queue => "queue",
            Ink::Good => "good",
            Ink::Warn => "warn",
            Ink::Paper => "paper",
        }
    }

    /// The colour as plotters carries it: a code, not a shade.
    pub(crate) fn color(self) -> RGBColor {
        match self {
            Ink::Subject(n) => RGBColor(1, n % Ink::SUBJECTS, 0),
            Ink::Text => RGBColor(2, 0, 0),
            Ink::Soft => RGBColor(3, 0, 0),
            Ink::Rule => RGBColor(4, 0, 0),
            Ink::Bad => RGBColor(5, 0, 0),
            Ink::Queue => RGBColor(6, 0, 0),
            Ink::Good => RGBColor(7, 0, 0),
            Ink::Warn => RGBColor(8, 0, 0),
            Ink::Paper => RGBColor(9, 0, 0),
        }
    }

    /// A line of `tenths` of a pixel.
    pub(crate) fn line(self, tenths: u32) -> ShapeStyle {
        Color::stroke_width(&self.color(), tenths)
    }

    fn decode(color: BackendColor) -> Ink {
        match color.rgb {
            (1, n, _) => Ink::Subject(n),
            (3, ..) => Ink::Soft,
            (4, ..) => Ink::Rule,
            (5, ..) => Ink::Bad,
            (6, ..) => Ink::Queue,
            (7, ..) => Ink::Good,
            (8, ..) => Ink::Warn,
            (9, ..) => Ink::Paper,
            _ => Ink::Text,
        }
    }
}

/// Writes elements to a string.
pub(crate) struct Canvas<'a> {
    out: &'a mut String,
    size: (u32, u32),
}

impl<'a> Canvas<'a> {
    /// A canvas of `width` × `height` CSS pixels.
    pub(crate) fn new(out: &'a mut String, width: u32, height: u32) -> Canvas<'a> {
        Canvas { out, size: (width * UNIT as u32, height * UNIT as u32) }
    }

    fn put(&mut self, text: std::fmt::Arguments<'_>) -> Result<(), DrawingErrorKind<Infallible>> {
        // Writing to a string cannot fail.
        let _ = self.out.write_fmt(text);
        Ok(())
    }

    fn paint<S: BackendStyle>(style: &S, fill: bool) -> Option<String> {
        let color = style.color();
        if color.alpha == 0.0 {
            return None;
        }
        let class = Ink::decode(color).class();
        let mut out = match fill {
            true => format!("class=\"{class}\" fill=\"currentColor\""),
            false => {
                let width = tenths(i32::try_from(style.stroke_width()).unwrap_or(UNIT));
                format!("class=\"{class}\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"{width}\"")
            }
        };
        if color.alpha < 1.0 {
            let _ = write!(out, " opacity=\"{:.2}\"", color.alpha);
        }
        Some(out)
    }
}

fn path(points: impl IntoIterator<Item = BackendCoord>) -> String {
    let mut out = String::new();
    for (x, y) in points {
        if !out.is_empty() {
            out.push(' ');
        }
        let _ = write!(out, "{},{}", tenths(x), tenths(y));
    }
    out
}

impl DrawingBackend for Canvas<'_> {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        self.size
    }

    fn ensure_prepared(&mut self) -> Result<(), DrawingErrorKind<Infallible>> {
        Ok(())
    }

    fn present(&mut self) -> Result<(), DrawingErrorKind<Infallible>> {
        Ok(())
    }

    fn draw_pixel(&mut self, at: BackendCoord, color: BackendColor) -> Result<(), DrawingErrorKind<Infallible>> {
        let class = Ink::decode(color).class();
        let (x, y) = (tenths(at.0), tenths(at.1));
        self.put(format_args!(
            "<rect class=\"{class}\" fill=\"currentColor\" x=\"{x}\" y=\"{y}\" width=\"1\" height=\"1\"/>"
        ))
    }

    fn draw_line<S: BackendStyle>(
        &mut self,
        from: BackendCoord,
        to: BackendCoord,
        style: &S,
    ) -> Result<(), DrawingErrorKind<Infallible>> {
        let Some(paint) = Canvas::paint(style, false) else { return Ok(()) };
        let (x1, y1, x2, y2) = (tenths(from.0), tenths(from.1), tenths(to.0), tenths(to.1));
        self.put(format_args!("<line {paint} x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\"/>"))
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        a: BackendCoord,
        b: BackendCoord,
        style: &S,
        fill: bool,
    ) -> Result<(), DrawingErrorKind<Infallible>> {
        let Some(paint) = Canvas::paint(style, fill) else { return Ok(()) };
        let (x, y) = (tenths(a.0.min(b.0)), tenths(a.1.min(b.1)));
        let (width, height) = (tenths((a.0 - b.0).abs()), tenths((a.1 - b.1).abs()));
        self.put(format_args!("<rect {paint} x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"/>"))
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        points: I,
        style: &S,
    ) -> Result<(), DrawingErrorKind<Infallible>> {
        let Some(paint) = Canvas::paint(style, false) else { return Ok(()) };
        let points = path(points);
        self.put(format_args!("<polyline {paint} stroke-linejoin=\"round\" points=\"{points}\"/>"))
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        points: I,
        style: &S,
    ) -> Result<(), DrawingErrorKind<Infallible>> {
        let Some(paint) = Canvas::paint(style, true) else { return Ok(()) };
        let points = path(points);
        self.put(format_args!("<polygon {paint} points=\"{points}\"/>"))
    }

    fn draw_circle<S: BackendStyle>(
        &mut self,
        center: BackendCoord,
        radius: u32,
        style: &S,
        fill: bool,
    ) -> Result<(), DrawingErrorKind<Infallible>> {
        let Some(paint) = Canvas::paint(style, fill) else { return Ok(()) };
        let (x, y, r) = (tenths(center.0), tenths(center.1), tenths(i32::try_from(radius).unwrap_or(UNIT)));
        self.put(format_args!("<circle {paint} cx=\"{x}\" cy=\"{y}\" r=\"{r}\"/>"))
    }

    fn draw_text<S: BackendTextStyle>(
        &mut self,
        text: &str,
        style: &S,
        at: BackendCoord,
    ) -> Result<(), DrawingErrorKind<Infallible>> {
        let class = Ink::decode(style.color()).class();
        let anchor = match style.anchor().h_pos {
            HPos::Left => "start",
            HPos::Center => "middle",
            HPos::Right => "end",
        };
        let dy = match style.anchor().v_pos {
            VPos::Top => ".8em",
            VPos::Center => ".35em",
            VPos::Bottom => "-.3em",
        };
        let (x, y, text) = (tenths(at.0), tenths(at.1), escape(text));
        self.put(format_args!(
            "<text class=\"{class}\" fill=\"currentColor\" x=\"{x}\" y=\"{y}\" dy=\"{dy}\" \
             text-anchor=\"{anchor}\">{text}</text>"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ink_survives_its_code() {
        let others = [Ink::Text, Ink::Soft, Ink::Rule, Ink::Bad, Ink::Queue, Ink::Good, Ink::Warn, Ink::Paper];
        let inks = (0..6).map(Ink::Subject).chain(others);
        for ink in inks {
            assert_eq!(Ink::decode(ink.line(10).color()), ink);
        }
    }
}
