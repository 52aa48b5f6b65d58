//! One metric across commits: a dot per run, a line through the medians, a break where the scenario changed.

use super::Size;
use super::axis::{Axis, Span};
use super::canvas::{Canvas, Ink, UNIT, document, escape, tenths};
use longhaul_record::Unit;
use plotters::prelude::*;
use plotters_backend::text_anchor::{HPos, Pos, VPos};
use std::error::Error;
use std::fmt::Write;

/// What to draw.
pub(crate) struct History<'a> {
    /// Outer size.
    pub(crate) size: Size,
    /// The metric's title.
    pub(crate) title: &'a str,
    /// Which way is better, in words.
    pub(crate) better: &'a str,
    /// Unit of the values.
    pub(crate) unit: Unit,
    /// Short names of the commits, oldest first: the horizontal axis.
    pub(crate) commits: Vec<String>,
    /// One per subject.
    pub(crate) lines: Vec<Line>,
}

/// One subject.
pub(crate) struct Line {
    /// Its name, written at the line's end.
    pub(crate) label: String,
    /// Its colour.
    pub(crate) ink: Ink,
    /// What is known of it, oldest first.
    pub(crate) marks: Vec<Mark>,
}

/// One subject on one commit.
pub(crate) struct Mark {
    /// Index into the commits.
    pub(crate) commit: usize,
    /// What the network was: medians are only joined where this is equal.
    pub(crate) version: String,
    /// The middle of the points.
    pub(crate) median: f64,
    /// Every run.
    pub(crate) points: Vec<Point>,
}

/// One run.
pub(crate) struct Point {
    /// Its value.
    pub(crate) value: f64,
    /// Where a click leads.
    pub(crate) href: String,
    /// What hovering says.
    pub(crate) title: String,
}

type Plot<'a, 'b> = ChartContext<'a, Canvas<'b>, Cartesian2d<Span, Span>>;

/// Room at the left for tick labels, at the right for names, above for the title, below for commits.
const LEFT: u32 = 78;
const RIGHT: u32 = 74;
const TOP: u32 = 38;
const BOTTOM: u32 = 26;

/// The chart. Without any value it says that nothing was measured.
pub(crate) fn history(chart: &History<'_>) -> String {
    let values: Vec<f64> = chart.values().collect();
    let axis = Axis::around(values.iter().copied(), chart.unit, 3);
    let note: Vec<String> = [Some(chart.better.to_string()), axis.note()].into_iter().flatten().collect();
    let mut body = heading(chart, &note.join(" · "));
    if values.is_empty() {
        body.push_str(&words(chart.size, "no run has measured this yet"));
    } else if let Err(error) = draw(&mut body, chart, &axis) {
        body.push_str(&words(chart.size, &format!("cannot be drawn: {error}")));
    }
    document("chart", chart.size, chart.title, &chart.description(), &body)
}

impl History<'_> {
    fn values(&self) -> impl Iterator<Item = f64> {
        self.lines.iter().flat_map(|line| &line.marks).flat_map(|mark| &mark.points).map(|point| point.value)
    }

    fn description(&self) -> String {
        let mut out = format!("{} across {} commits.", self.title, self.commits.len());
        for line in &self.lines {
            if let Some(last) = line.marks.last() {
                let _ = write!(out, " {}: {} at the newest.", line.label, self.unit.text(last.median));
            }
        }
        out
    }
}

fn heading(chart: &History<'_>, note: &str) -> String {
    // What the note leaves free, at seven pixels a letter.
    let room = (chart.size.width as usize / 7).saturating_sub(note.chars().count()).max(12);
    let (title, note) = (escape(&shortened(chart.title, room)), escape(note));
    let right = chart.size.width;
    format!(
        "<text class=\"ink title\" fill=\"currentColor\" x=\"0\" y=\"14\">{title}</text>\
         <text class=\"soft\" fill=\"currentColor\" x=\"{right}\" y=\"14\" text-anchor=\"end\">{note}</text>"
    )
}

fn words(size: Size, text: &str) -> String {
    format!(
        "<text class=\"soft\" fill=\"currentColor\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
        size.width / 2,
        size.height / 2,
        escape(text)
    )
}

fn draw(body: &mut String, chart: &History<'_>, axis: &Axis) -> Result<(), Box<dyn Error>> {
    let mut marks = String::new();
    {
        let root = Canvas::new(body, chart.size.width, chart.size.height).into_drawing_area();
        let last = chart.commits.len().saturating_sub(1) as f64;
        // Half a commit of room at each side keeps dots off the frame.
        let room = if last < 1.0 { 0.5 } else { 0.5f64.min(last * 0.02) };
        let mut plot = ChartBuilder::on(&root)
            .margin_top(TOP as i32 * UNIT)
            .margin_right(RIGHT as i32 * UNIT)
            .set_label_area_size(LabelAreaPosition::Left, LEFT as i32 * UNIT)
            .set_label_area_size(LabelAreaPosition::Bottom, BOTTOM as i32 * UNIT)
            .build_cartesian_2d(Span::new(-room..last + room, commit_ticks(chart)), axis.span())
            .map_err(|error| error.to_string())?;
        mesh(&mut plot, chart, axis)?;
        breaks(&mut plot, chart, axis)?;
        for line in &chart.lines {
            for run in joined(&line.marks) {
                let points = run.iter().map(|mark| (mark.commit as f64, mark.median));
                plot.draw_series(LineSeries::new(points, line.ink.line(16))).map_err(|error| error.to_string())?;
            }
            dots(&plot, line, &mut marks);
        }
        names(&plot, &root, chart)?;
    }
    body.push_str(&marks);
    Ok(())
}

fn mesh(plot: &mut Plot<'_, '_>, chart: &History<'_>, axis: &Axis) -> Result<(), Box<dyn Error>> {
    let label = ("sans-serif", 11.5 * f64::from(UNIT)).into_font().color(&Ink::Soft.color());
    plot.configure_mesh()
        .disable_x_mesh()
        .max_light_lines(0)
        .bold_line_style(Ink::Rule.line(10))
        .axis_style(TRANSPARENT)
        .set_all_tick_mark_size(6 * UNIT)
        .label_style(label)
        .x_label_formatter(&|x| chart.commits.get(x.round() as usize).cloned().unwrap_or_default())
        .y_label_formatter(&|y| axis.label(*y))
        .draw()
        .map_err(|error| error.to_string())?;
    Ok(())
}

/// As many commits as have room for their name, the newest always, evenly apart.
fn commit_ticks(chart: &History<'_>) -> Vec<f64> {
    let count = chart.commits.len();
    let room = chart.size.width.saturating_sub(LEFT + RIGHT) / 78 + 1;
    let step = count.div_ceil((room as usize).max(2)).max(1);
    (0..count).rev().step_by(step).map(|i| i as f64).collect()
}

/// Runs of marks on neighbouring commits under the same scenario. A commit without a value ends a run.
fn joined(marks: &[Mark]) -> impl Iterator<Item = &[Mark]> {
    marks.chunk_by(|a, b| b.commit == a.commit + 1 && a.version == b.version)
}

/// A dashed line before the first commit of each later scenario version.
fn breaks(plot: &mut Plot<'_, '_>, chart: &History<'_>, axis: &Axis) -> Result<(), Box<dyn Error>> {
    let mut places: Vec<usize> = chart
        .lines
        .iter()
        .flat_map(|line| line.marks.windows(2))
        .filter(|pair| pair[0].version != pair[1].version)
        .map(|pair| pair[1].commit)
        .collect();
    places.sort_unstable();
    places.dedup();
    let label = ("sans-serif", 11.5 * f64::from(UNIT)).into_font().color(&Ink::Soft.color());
    for commit in places {
        let x = commit as f64 - 0.5;
        let line = [(x, axis.low), (x, axis.high)];
        plot.draw_series(DashedLineSeries::new(line, 3 * UNIT as u32, 3 * UNIT as u32, Ink::Soft.line(10)))
            .map_err(|error| error.to_string())?;
        let at_right = commit * 2 > chart.commits.len();
        let (hpos, offset) = if at_right { (HPos::Right, -4 * UNIT) } else { (HPos::Left, 4 * UNIT) };
        let style = label.clone().pos(Pos::new(hpos, VPos::Top));
        let text = EmptyElement::at((x, axis.high)) + Text::new("scenario changed", (offset, 0), style);
        plot.draw_series([text]).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Dots are links with a tooltip, which plotters cannot write; it only says where they go. They are no tab stops: the
/// table below the chart holds the same links in reading order.
fn dots(plot: &Plot<'_, '_>, line: &Line, out: &mut String) {
    for mark in &line.marks {
        for point in &mark.points {
            let (x, y) = plot.backend_coord(&(mark.commit as f64, point.value));
            let _ = write!(
                out,
                "<a href=\"{}\" tabindex=\"-1\"><circle class=\"dot {}\" fill=\"currentColor\" cx=\"{}\" cy=\"{}\" \
                 r=\"3\"><title>{}</title></circle></a>",
                escape(&point.href),
                line.ink.class(),
                tenths(x),
                tenths(y),
                escape(&point.title)
            );
        }
    }
}

/// Each line's name at its end, pushed apart where ends meet.
fn names(
    plot: &Plot<'_, '_>,
    root: &DrawingArea<Canvas<'_>, plotters::coord::Shift>,
    chart: &History<'_>,
) -> Result<(), Box<dyn Error>> {
    let mut names: Vec<(i32, &Line)> = chart
        .lines
        .iter()
        .filter_map(|line| line.marks.last().map(|mark| (line, mark)))
        .map(|(line, mark)| (plot.backend_coord(&(mark.commit as f64, mark.median)).1, line))
        .collect();
    names.sort_by_key(|(y, _)| *y);
    let heights = apart(&names.iter().map(|(y, _)| *y).collect::<Vec<_>>(), 14 * UNIT, TOP as i32 * UNIT);
    let x = (chart.size.width - RIGHT + 8) as i32 * UNIT;
    for ((_, line), y) in names.iter().zip(heights) {
        let style = ("sans-serif", 12.0 * f64::from(UNIT)).into_font().color(&line.ink.color());
        let style = style.pos(Pos::new(HPos::Left, VPos::Center));
        root.draw(&Text::new(shortened(&line.label, 11), (x, y), style)).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// A name of at most `room` letters.
fn shortened(name: &str, room: usize) -> String {
    if name.chars().count() <= room { name.into() } else { name.chars().take(room - 1).chain(['…']).collect() }
}

/// Moves ascending positions so that neighbours are `gap` apart, near where they were, none above `top`.
fn apart(wanted: &[i32], gap: i32, top: i32) -> Vec<i32> {
    let mut out: Vec<i32> = wanted.to_vec();
    for i in 1..out.len() {
        let missing = out[i - 1] + gap - out[i];
        if missing > 0 {
            // Both give way, the upper one and all that it touches by half.
            out[i] += missing - missing / 2;
            for j in (0..i).rev() {
                out[j] = out[j].min(out[j + 1] - gap);
            }
        }
    }
    if let Some(first) = out.first_mut() {
        *first = (*first).max(top);
    }
    for i in 1..out.len() {
        out[i] = out[i].max(out[i - 1] + gap);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(label: &str, medians: &[(usize, &str, f64)]) -> Line {
        let mark = |(commit, version, median): &(usize, &str, f64)| Mark {
            commit: *commit,
            version: (*version).into(),
            median: *median,
            points: [0.99, 1.0, 1.01]
                .map(|factor| Point { value: median * factor, href: "/run/1".into(), title: "one <run>".into() })
                .into(),
        };
        Line { label: label.into(), ink: Ink::of_subject(label), marks: medians.iter().map(mark).collect() }
    }

    fn chart(lines: Vec<Line>, commits: usize) -> History<'static> {
        History {
            size: Size { width: 360, height: 210 },
            title: "Goodput",
            better: "↑ better",
            unit: Unit::BitsPerSecond,
            commits: (0..commits).map(|i| format!("{:07x}", i * 0x9e_3779)).collect(),
            lines,
        }
    }

    #[test]
    fn histories_look_like_this() {
        let reference = line("reference", &[(0, "a", 48e6), (1, "a", 47e6), (3, "a", 48e6), (4, "b", 40e6)]);
        let curl = line("curl", &[(0, "a", 31e6), (1, "a", 32e6), (2, "a", 31e6), (3, "a", 30e6), (4, "b", 39e6)]);
        insta::assert_snapshot!(history(&chart(vec![reference, curl], 5)));
        insta::assert_snapshot!(history(&chart(vec![line("curl", &[(0, "a", 31e6)])], 1)));
        insta::assert_snapshot!(history(&chart(vec![], 3)));
    }

    #[test]
    fn gaps_and_changed_scenarios_end_a_line() {
        let all = line("x", &[(0, "a", 1.0), (1, "a", 1.0), (3, "a", 1.0), (4, "b", 1.0), (5, "b", 1.0)]);
        let runs: Vec<usize> = joined(&all.marks).map(<[Mark]>::len).collect();
        assert_eq!(runs, [2, 1, 2]);
    }

    #[test]
    fn names_keep_their_distance() {
        let rows: [(&[i32], &[i32]); 4] =
            [(&[10, 50], &[10, 50]), (&[30, 30], &[23, 37]), (&[2, 3, 4], &[0, 14, 28]), (&[], &[])];
        for (wanted, expect) in rows {
            assert_eq!(apart(wanted, 14, 0), expect);
        }
    }

    #[test]
    fn the_newest_commit_is_always_named() {
        for count in [1, 2, 7, 100, 3000] {
            let ticks = commit_ticks(&chart(vec![], count));
            assert_eq!(ticks[0], (count - 1) as f64);
            assert!(ticks.len() <= 4, "{count}: {ticks:?}");
        }
    }
}
