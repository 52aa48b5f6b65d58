//! SVG as text: elements, paths, and everything that a stored text must pass on its way into them.

use super::Size;
use super::canvas::{Ink, UNIT};
use std::fmt::Write;

/// Canvas units in CSS pixels.
pub(crate) fn tenths(value: i32) -> String {
    let (sign, size) = (if value < 0 { "-" } else { "" }, value.unsigned_abs());
    match size % 10 {
        0 => format!("{sign}{}", size / 10),
        rest => format!("{sign}{}.{rest}", size / 10),
    }
}

/// CSS pixels, to a tenth.
pub(crate) fn px(value: f64) -> String {
    tenths((value * f64::from(UNIT)).round() as i32)
}

/// Text as SVG and HTML take it, in elements and in quoted attributes.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // Not allowed in XML at all.
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push(' '),
            // Would turn the direction of what follows it.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
            c => out.push(c),
        }
    }
    out
}

/// A text as JSON has it, with quotes, ready for an element: `<`, `>` and `&` are written as escapes.
pub(crate) fn json_text(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '<' | '>' | '&' | '\'' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push(' '),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A number as JSON has it, with four significant digits: enough for a pointer. What is no number is `null`.
pub(crate) fn json_number(value: f64) -> String {
    if value == 0.0 {
        return "0".into();
    }
    if !value.is_finite() {
        return "null".into();
    }
    let power = value.abs().log10().floor() as i32 - 3;
    let digits = (value / 10f64.powi(power)).round();
    if (0..=2).contains(&power) || (-6..0).contains(&power) {
        let places = (-power).max(0) as usize;
        let text = format!("{:.places$}", digits * 10f64.powi(power));
        return if places > 0 { text.trim_end_matches('0').trim_end_matches('.').into() } else { text };
    }
    let (mut digits, mut power) = (digits as i64, power);
    while digits % 10 == 0 {
        (digits, power) = (digits / 10, power + 1);
    }
    format!("{digits}e{power}")
}

/// The `<svg>` element around `body`: scales with its container, says what it is.
pub(crate) fn document(class: &str, size: Size, title: &str, description: &str, body: &str) -> String {
    document_with(class, "", size, title, description, body)
}

/// Likewise, with further attributes for the page's script.
pub(crate) fn document_with(
    class: &str,
    attributes: &str,
    size: Size,
    title: &str,
    description: &str,
    body: &str,
) -> String {
    let Size { width, height } = size;
    let (title, description) = (escape(title), escape(description));
    // What has links in it is no picture to those who do not see it: its parts would be hidden from them.
    let role = if body.contains("<a ") { "group" } else { "img" };
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"{class}\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"{role}\" aria-label=\"{title}\"{attributes}><title>{title}</title>\
         <desc>{description}</desc>{body}</svg>"
    )
}

/// Where a text stands relative to its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anchor {
    /// It begins there.
    Start,
    /// Its middle is there.
    Middle,
    /// It ends there.
    End,
}

impl Anchor {
    fn as_str(self) -> &'static str {
        match self {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        }
    }
}

/// A text on its baseline.
pub(crate) fn words(out: &mut String, ink: Ink, (x, y): (f64, f64), anchor: Anchor, text: &str) {
    words_of(out, ink.class(), (x, y), anchor, text);
}

/// A text in a class of the stylesheet's.
pub(crate) fn words_of(out: &mut String, class: &str, (x, y): (f64, f64), anchor: Anchor, text: &str) {
    let anchor = match anchor {
        Anchor::Start => String::new(),
        other => format!(" text-anchor=\"{}\"", other.as_str()),
    };
    let _ = write!(
        out,
        "<text class=\"{class}\" fill=\"currentColor\" x=\"{}\" y=\"{}\"{anchor}>{}</text>",
        px(x),
        px(y),
        escape(text)
    );
}

/// The chart's title at the left, a note at the right; the title gives way.
pub(crate) fn heading(out: &mut String, width: u32, title: &str, note: &str) {
    let right = f64::from(width);
    let room = right - wide(note) - 12.0;
    words_of(out, "ink title", (0.0, 14.0), Anchor::Start, &fitted(title, room * TEXT / TITLE));
    if !note.is_empty() {
        words(out, Ink::Soft, (right, 14.0), Anchor::End, note);
    }
}

/// Sizes of letters in the stylesheet, in CSS pixels: of all text, and of titles.
const TEXT: f64 = 11.5;
const TITLE: f64 = 13.5;

/// About how wide a text is in CSS pixels. Fonts differ: it is a little more than most are.
pub(crate) fn wide(text: &str) -> f64 {
    let letter = |c: char| match c {
        'i' | 'j' | 'l' | 't' | 'f' | 'r' | ' ' | '.' | ',' | ':' | '\'' | '(' | ')' | '/' | '-' | '·' => 0.37,
        'm' | 'w' | 'M' | 'W' | '%' | '→' | '…' => 0.95,
        'A'..='Z' => 0.7,
        c if u32::from(c) >= 0x1100 => 1.1,
        _ => 0.6,
    };
    text.chars().map(letter).sum::<f64>() * TEXT
}

/// The text, or as much of its beginning as fits into `room` pixels with an ellipsis.
pub(crate) fn fitted(text: &str, room: f64) -> String {
    if wide(text) <= room {
        return text.into();
    }
    let mut out = String::new();
    for c in text.chars() {
        out.push(c);
        if wide(&out) + TEXT > room && out.chars().count() > 1 {
            out.pop();
            break;
        }
    }
    out.truncate(out.trim_end().len());
    out.push('…');
    out
}

/// The text in at most `lines` lines of `room` pixels; what does not fit ends in an ellipsis. Long words are broken after
/// their hyphens.
pub(crate) fn wrapped(text: &str, room: f64, lines: usize) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    // Not at no-break spaces: a number stays with its unit.
    for word in text.split([' ', '\n', '\t']).filter(|word| !word.is_empty()) {
        let parts = if wide(word) > room { word.split_inclusive('-').collect() } else { vec![word] };
        for (n, part) in parts.into_iter().enumerate() {
            let gap = if n == 0 { " " } else { "" };
            match out.last_mut() {
                Some(line) if wide(line) + wide(gap) + wide(part) <= room => {
                    line.push_str(gap);
                    line.push_str(part);
                }
                _ => out.push(part.into()),
            }
        }
    }
    if out.len() > lines.max(1) {
        let rest = out.split_off(lines.max(1) - 1).join(" ");
        out.push(rest);
    }
    // A mark between two things has nothing to say at the end of a line.
    out.iter().map(|line| fitted(line.trim_end_matches(" ·"), room)).collect()
}

/// A path's data, in relative steps of a tenth of a pixel: short, and without drift.
#[derive(Debug, Default)]
pub(crate) struct Path {
    data: String,
    at: (i32, i32),
}

impl Path {
    fn cell((x, y): (f64, f64)) -> (i32, i32) {
        let cell = |value: f64| (value * f64::from(UNIT)).round() as i32;
        (cell(x), cell(y))
    }

    /// Goes there without a line.
    pub(crate) fn go(&mut self, to: (f64, f64)) {
        self.at = Path::cell(to);
        let (x, y) = self.at;
        let _ = write!(self.data, "M{} {}", tenths(x), tenths(y));
    }

    /// Draws a line to there; begins there if nothing was drawn yet.
    pub(crate) fn line(&mut self, to: (f64, f64)) {
        if self.data.is_empty() {
            return self.go(to);
        }
        let (x, y) = Path::cell(to);
        let (dx, dy) = (x - self.at.0, y - self.at.1);
        self.at = (x, y);
        match (dx, dy) {
            (0, 0) => {}
            (dx, 0) => self.step('h', &[dx]),
            (0, dy) => self.step('v', &[dy]),
            both => self.step('l', &[both.0, both.1]),
        }
    }

    /// Back to where this part began.
    pub(crate) fn close(&mut self) {
        self.data.push('z');
    }

    fn step(&mut self, letter: char, by: &[i32]) {
        self.data.push(letter);
        for (n, value) in by.iter().enumerate() {
            if n > 0 && *value >= 0 {
                self.data.push(' ');
            }
            let text = tenths(*value);
            // ".5" is a number to SVG.
            self.data.push_str(&match text.strip_prefix("0.").map(|rest| format!(".{rest}")) {
                Some(short) => short,
                None => text.replacen("-0.", "-.", 1),
            });
        }
    }

    /// Whether nothing was drawn.
    pub(crate) fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// The element: a line of `width` pixels, with whatever other attributes.
    pub(crate) fn stroke(&self, out: &mut String, ink: Ink, width: f64, attributes: &str) {
        if !self.is_empty() {
            let (class, data, width) = (ink.class(), &self.data, px(width));
            let _ = write!(
                out,
                "<path class=\"{class}\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"{width}\"{attributes} \
                 d=\"{data}\"/>"
            );
        }
    }

    /// The element: an area, with whatever other attributes.
    pub(crate) fn fill(&self, out: &mut String, ink: Ink, attributes: &str) {
        if !self.is_empty() {
            let (class, data) = (ink.class(), &self.data);
            let _ = write!(out, "<path class=\"{class}\" fill=\"currentColor\"{attributes} d=\"{data}\"/>");
        }
    }
}

/// A straight line of `width` pixels, with whatever other attributes.
pub(crate) fn rule(out: &mut String, ink: Ink, from: (f64, f64), to: (f64, f64), attributes: &str) {
    let mut path = Path::default();
    path.go(from);
    path.line(to);
    path.stroke(out, ink, 1.0, attributes);
}

/// A rectangle, with whatever other attributes.
pub(crate) fn area(out: &mut String, ink: Ink, (x, y): (f64, f64), (width, height): (f64, f64), attributes: &str) {
    let _ = write!(
        out,
        "<rect class=\"{}\" fill=\"currentColor\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"{attributes}/>",
        ink.class(),
        px(x),
        px(y),
        px(width.max(0.0)),
        px(height.max(0.0))
    );
}

/// A tooltip, for those who point. The page's table says the same to everybody.
pub(crate) fn tip(text: &str) -> String {
    format!("<title>{}</title>", escape(text))
}

/// What is in a link, if it leads somewhere. Links in charts are no tab stops: the table below the chart holds the same
/// ones in reading order.
pub(crate) fn linked(href: Option<&str>, content: &str) -> String {
    match href {
        Some(href) => format!("<a href=\"{}\" tabindex=\"-1\">{content}</a>", escape(href)),
        None => content.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenths_are_written_short() {
        for (value, text) in [(0, "0"), (10, "1"), (125, "12.5"), (-7, "-0.7"), (-120, "-12")] {
            assert_eq!(tenths(value), text);
        }
    }

    #[test]
    fn text_cannot_leave_its_element() {
        assert_eq!(escape("<a b='c'>&\"\u{0}"), "&lt;a b=&#39;c&#39;&gt;&amp;&quot; ");
        assert_eq!(escape("a\u{202e}b\u{2066}c\u{ffff}"), "abc ");
        assert_eq!(json_text("</metadata>\"\\\n'"), "\"\\u003c/metadata\\u003e\\\"\\\\ \\u0027\"");
    }

    #[test]
    fn numbers_in_json_are_short_and_near() {
        let rows = [
            (0.0, "0"),
            (48_123_456.0, "4812e4"),
            (48e6, "48e6"),
            (0.041_234, "0.04123"),
            (1.0, "1"),
            (-250.0, "-250"),
            (99_996.0, "100000"),
            (123_456.0, "123500"),
            (1.5e-9, "15e-10"),
            (f64::NAN, "null"),
        ];
        for (value, text) in rows {
            assert_eq!(json_number(value), text);
        }
    }

    #[test]
    fn paths_do_not_drift() {
        let mut path = Path::default();
        for i in 0..=1000 {
            path.line((f64::from(i) * 0.333, f64::from(i % 2) * 0.05));
        }
        path.line((333.0, 20.0));
        path.line((333.0, 20.0));
        path.close();
        assert!(path.data.starts_with("M0 0l.3 .1l.4-.1"), "{}", &path.data[..40]);
        assert_eq!(path.at, (3330, 200));
        assert!(path.data.ends_with("v20z"), "{}", &path.data[path.data.len() - 20..]);
    }

    #[test]
    fn texts_are_cut_to_their_room() {
        assert_eq!(fitted("short", 100.0), "short");
        assert_eq!(fitted("", 0.0), "");
        for text in ["a rather long name of something", "مرحبا بالعالم مرحبا بالعالم", "<script>alert(1)</script>"]
        {
            let cut = fitted(text, 80.0);
            assert!(cut.ends_with('…') && wide(&cut) <= 82.0, "{cut}");
        }
        assert_eq!(wrapped("one two three four five six", 60.0, 2), ["one two", "three fo…"]);
        assert_eq!(wrapped("endpoint-independent mapping", 90.0, 3), ["endpoint-", "independent", "mapping"]);
        assert!(wrapped("", 60.0, 2).is_empty());
    }
}
