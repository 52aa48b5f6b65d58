//! A matrix of shares: the darker on paper, the brighter on ink, the larger. Numbers stand in the cells where they have
//! room; what is missing is a dashed frame.

use super::Size;
use super::canvas::Ink;
use super::svg::{Anchor, document_with, escape, fitted, heading, linked, px, tip, wide, words, words_of};
use std::fmt::Write;

/// What to draw.
pub(crate) struct Heat<'a> {
    /// What the shares are of.
    pub(crate) title: &'a str,
    /// What the rows and the columns are, for example `rows: in front of the provider`.
    pub(crate) note: &'a str,
    /// Outer width; the height is what the rows need.
    pub(crate) width: u32,
    /// Names of the rows.
    pub(crate) rows: Vec<String>,
    /// Names of the columns.
    pub(crate) columns: Vec<String>,
    /// By row, then by column; what lacks is missing.
    pub(crate) cells: Vec<Vec<Option<HeatCell>>>,
}

/// A measured cell.
pub(crate) struct HeatCell {
    /// From 0 to 1.
    pub(crate) share: f64,
    /// Written in it where there is room, for example `97`.
    pub(crate) text: String,
    /// What hovering says.
    pub(crate) detail: String,
    /// Where a click leads.
    pub(crate) href: Option<String>,
    /// Whether it is other than expected: it gets a frame.
    pub(crate) odd: bool,
}

/// How many shades there are; the stylesheet has `h0` to `h5` and, for text on them, `t0` to `t5`.
const SHADES: usize = 6;
/// Room above for the title, below for the legend; least and most for names of rows.
const TITLE: f64 = 24.0;
const LEGEND: f64 = 30.0;
const NAMES: (f64, f64) = (40.0, 170.0);
/// The largest cell.
const CELL: (f64, f64) = (58.0, 30.0);

/// Where things are, in CSS pixels.
struct Layout {
    left: f64,
    top: f64,
    cell: (f64, f64),
    slanted: bool,
}

/// The chart.
pub(crate) fn heat(chart: &Heat<'_>) -> String {
    let layout = chart.layout();
    let bottom = layout.top + layout.cell.1 * chart.rows.len() as f64;
    let size = Size { width: chart.width, height: (bottom + LEGEND).ceil() as u32 };
    let mut body = String::new();
    heading(&mut body, chart.width, chart.title, chart.note);
    chart.names(&mut body, &layout);
    for (y, row) in chart.rows.iter().enumerate() {
        for (x, column) in chart.columns.iter().enumerate() {
            let at = (layout.left + layout.cell.0 * x as f64, layout.top + layout.cell.1 * y as f64);
            let cell = chart.cells.get(y).and_then(|cells| cells.get(x)).and_then(Option::as_ref);
            match cell.filter(|cell| cell.share.is_finite()) {
                Some(cell) => draw_cell(&mut body, cell, at, layout.cell, (row, column)),
                None => draw_missing(&mut body, at, layout.cell, (row, column)),
            }
        }
    }
    legend(&mut body, layout.left.min(f64::from(chart.width) - 290.0).max(0.0), bottom + 14.0);
    document_with("chart heat", " data-chart=\"heat\"", size, chart.title, &chart.description(), &body)
}

impl Heat<'_> {
    fn layout(&self) -> Layout {
        let widest = |names: &[String]| names.iter().map(|name| wide(name)).fold(0.0, f64::max);
        let most = NAMES.1.min(f64::from(self.width) * 0.3);
        let left = (widest(&self.rows) + 10.0).clamp(NAMES.0, most);
        let room = f64::from(self.width) - left - 2.0;
        let each = |room: f64| (room / self.columns.len().max(1) as f64).clamp(1.0, CELL.0);
        let slanted = widest(&self.columns) > each(room) - 4.0;
        // The last slanted name leans over the edge.
        let width = each(if slanted { room - 34.0 } else { room });
        // Slanted by 60 degrees.
        let above = if slanted { (widest(&self.columns) + 8.0).min(120.0) * 0.87 + 8.0 } else { 18.0 };
        Layout { left, top: TITLE + above, cell: (width, width.clamp(13.0, CELL.1)), slanted }
    }

    fn names(&self, body: &mut String, layout: &Layout) {
        for (n, name) in self.rows.iter().enumerate() {
            let y = layout.top + layout.cell.1 * (n as f64 + 0.5) + 4.0;
            let name = fitted(name, layout.left - 8.0);
            words(body, Ink::Soft, (layout.left - 6.0, y), Anchor::End, &name);
        }
        for (n, name) in self.columns.iter().enumerate() {
            let (x, y) = (layout.left + layout.cell.0 * (n as f64 + 0.5), layout.top - 6.0);
            if layout.slanted {
                // The last ones would leave the picture.
                let room = ((f64::from(self.width) - x) / 0.5).min(120.0);
                let name = escape(&fitted(name, room.max(24.0)));
                let (x, y) = (px(x + 3.0), px(y));
                let _ = write!(
                    body,
                    "<text class=\"soft\" fill=\"currentColor\" x=\"{x}\" y=\"{y}\" transform=\"rotate(-60 {x} {y})\">\
                     {name}</text>"
                );
            } else {
                words(body, Ink::Soft, (x, y), Anchor::Middle, name);
            }
        }
    }

    fn description(&self) -> String {
        let cells = || self.cells.iter().flatten().flatten().filter(|cell| cell.share.is_finite());
        let (count, all) = (cells().count(), self.rows.len() * self.columns.len());
        let mean = cells().map(|cell| cell.share).sum::<f64>() / count.max(1) as f64;
        let mut out = format!("{} rows, {} columns. {}.", self.rows.len(), self.columns.len(), self.note);
        if count > 0 {
            let _ = write!(out, " {count} of {all} cells are measured; their mean is {:.0} %.", mean * 100.0);
        } else {
            out.push_str(" Nothing measured.");
        }
        out
    }
}

/// The shade of a share: the first and the last only for almost none and almost all.
fn shade(share: f64) -> usize {
    match share.clamp(0.0, 1.0) {
        share if share < 0.05 => 0,
        share if share >= 0.95 => SHADES - 1,
        share => 1 + ((share - 0.05) / 0.9 * (SHADES - 2) as f64) as usize,
    }
}

fn draw_cell(body: &mut String, cell: &HeatCell, at: (f64, f64), (width, height): (f64, f64), names: (&str, &str)) {
    let shade = shade(cell.share);
    let gap = if width > 24.0 { 2.0 } else { 1.0 };
    let detail = if cell.detail.is_empty() { cell.text.as_str() } else { cell.detail.as_str() };
    let mut out = tip(&format!("{} · {}: {detail}", names.0, names.1));
    let (w, h) = (width - gap, height - gap);
    let (x, y) = at;
    let _ = write!(
        out,
        "<rect class=\"h{shade}\" fill=\"currentColor\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"2\"/>",
        px(x),
        px(y),
        px(w),
        px(h)
    );
    if cell.odd {
        let _ = write!(
            out,
            "<rect class=\"bad\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"2\" x=\"{}\" y=\"{}\" width=\"{}\" \
             height=\"{}\" rx=\"2\"/>",
            px(x + 1.0),
            px(y + 1.0),
            px(w - 2.0),
            px(h - 2.0)
        );
    }
    if wide(&cell.text) <= w - 2.0 && h >= 13.0 {
        let at = (x + w / 2.0, y + h / 2.0 + 4.0);
        words_of(&mut out, &format!("t{shade}"), at, Anchor::Middle, &cell.text);
    }
    body.push_str(&linked(cell.href.as_deref(), &format!("<g>{out}</g>")));
}

fn draw_missing(body: &mut String, (x, y): (f64, f64), (width, height): (f64, f64), names: (&str, &str)) {
    let _ = write!(
        body,
        "<rect class=\"soft\" fill=\"none\" stroke=\"currentColor\" stroke-opacity=\".5\" stroke-dasharray=\"2 2\" x=\"{}\" y=\"{}\" \
         width=\"{}\" height=\"{}\">{}</rect>",
        px(x + 0.5),
        px(y + 0.5),
        px((width - 3.0).max(1.0)),
        px((height - 3.0).max(1.0)),
        tip(&format!("{} · {}: not measured", names.0, names.1))
    );
}

fn legend(body: &mut String, left: f64, y: f64) {
    words(body, Ink::Soft, (left, y + 9.0), Anchor::Start, "0 %");
    let x = left + 28.0;
    for shade in 0..SHADES {
        let _ = write!(
            body,
            "<rect class=\"h{shade}\" fill=\"currentColor\" x=\"{}\" y=\"{}\" width=\"18\" height=\"10\"/>",
            px(x + 18.0 * shade as f64),
            px(y)
        );
    }
    let x = x + 18.0 * SHADES as f64 + 6.0;
    words(body, Ink::Soft, (x, y + 9.0), Anchor::Start, "100 %");
    let x = x + 52.0;
    let _ = write!(
        body,
        "<rect class=\"soft\" fill=\"none\" stroke=\"currentColor\" stroke-opacity=\".5\" stroke-dasharray=\"2 2\" x=\"{}\" y=\"{}\" \
         width=\"14\" height=\"10\"/>",
        px(x),
        px(y)
    );
    words(body, Ink::Soft, (x + 20.0, y + 9.0), Anchor::Start, "not measured");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::testing::{HOSTILE, check, picture};

    const KINDS: [&str; 9] =
        ["public", "home", "full-cone", "restricted", "symmetric", "cgnat", "home+cgnat", "mobile-v6", "udp-blocked"];

    fn chart(width: u32, kinds: &[&str]) -> Heat<'static> {
        let share = |x: usize, y: usize| match (x * 7 + y * 5) % 11 {
            0 => None,
            n => Some(((n - 1) as f64 / 9.0).min(1.0)),
        };
        let cell = |x: usize, y: usize| {
            share(x, y).map(|share| HeatCell {
                share,
                text: format!("{:.0}", share * 100.0),
                detail: format!("{:.0} % of 50 runs", share * 100.0),
                href: Some("/scenario/nat".into()),
                odd: x == 4 && y == 2,
            })
        };
        Heat {
            title: "Direct connections",
            note: "rows: provider",
            width,
            rows: kinds.iter().map(ToString::to_string).collect(),
            columns: kinds.iter().map(ToString::to_string).collect(),
            cells: (0..kinds.len()).map(|y| (0..kinds.len()).map(|x| cell(x, y)).collect()).collect(),
        }
    }

    #[test]
    fn heat_maps_look_like_this() {
        insta::assert_snapshot!(heat(&chart(348, &KINDS[..3])));
        insta::assert_snapshot!(heat(&chart(348, &[])));
        picture("heat-wide", &heat(&chart(1072, &KINDS)));
        picture("heat-small", &heat(&chart(348, &KINDS)));
        let many: Vec<&str> = KINDS.iter().chain(&KINDS).copied().collect();
        picture("heat-many", &heat(&chart(1072, &many)));
        picture("heat-many-small", &heat(&chart(348, &many)));
    }

    #[test]
    fn almost_is_not_all() {
        let shades = [0.0, 0.04, 0.05, 0.5, 0.94, 0.95, 1.0, 7.0, -1.0].map(shade);
        assert_eq!(shades, [0, 0, 1, 3, 4, 5, 5, 5, 0]);
    }

    #[test]
    fn what_lacks_is_missing() {
        let mut chart = chart(348, &KINDS[..3]);
        chart.cells.pop();
        chart.cells[0][1] = Some(HeatCell { share: f64::NAN, ..one("x") });
        let svg = heat(&chart);
        check(&svg);
        assert_eq!(svg.matches(": not measured</title>").count(), 5, "{svg}");
    }

    fn one(text: &str) -> HeatCell {
        HeatCell { share: 0.5, text: text.into(), detail: text.into(), href: Some(text.into()), odd: false }
    }

    #[test]
    fn hostile_texts_stay_texts() {
        for text in HOSTILE {
            let names = vec![text.to_string(); 2];
            let cells = vec![vec![Some(one(text)), None]];
            let chart = Heat { title: text, note: text, width: 348, rows: names.clone(), columns: names, cells };
            check(&heat(&chart));
        }
    }
}
