//! Thousands of commits in hundreds of pixels, without losing a spike.

use super::{CELLS, Mark};

/// How commits are folded into columns.
#[derive(Debug, Clone, Copy)]
pub(super) struct Columns {
    commits: usize,
    count: usize,
    left: f64,
    width: f64,
}

/// What a line did in a column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Cell {
    /// Where the column is, in CSS pixels.
    pub(super) x: f64,
    /// The band's outermost values in it.
    pub(super) low: f64,
    pub(super) high: f64,
    /// Its smallest and its largest median.
    least: f64,
    most: f64,
    /// Whether the smallest came first.
    rising: bool,
    /// How it follows the one before.
    link: Link,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    /// Both were measured on commits that follow each other.
    Joined,
    /// Something between was not measured, or is carried forward.
    Bridged,
    /// The first, or of another scenario than the one before.
    Apart,
}

impl Cell {
    pub(super) fn joined(&self) -> bool {
        self.link == Link::Joined
    }

    pub(super) fn bridged(&self) -> bool {
        self.link == Link::Bridged
    }

    /// The two medians to draw, in their order.
    pub(super) fn ends(&self) -> [f64; 2] {
        if self.rising { [self.least, self.most] } else { [self.most, self.least] }
    }
}

impl Columns {
    /// At most one column per pixel, and no more for all lines than a chart may hold.
    pub(super) fn new(commits: usize, lines: usize, width: f64) -> Columns {
        let most = (width as usize).min(CELLS / lines.max(1)).max(2);
        let left = f64::from(super::LEFT);
        Columns { commits, count: commits.min(most).max(1), left, width }
    }

    /// Whether every commit has a column of its own.
    pub(super) fn is_exact(&self) -> bool {
        self.count >= self.commits
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The column of a commit.
    pub(super) fn of(&self, commit: usize) -> usize {
        (commit * self.count / self.commits.max(1)).min(self.count - 1)
    }

    /// A line's cells, in the order of columns. Values that are no numbers are left out.
    pub(super) fn cells(&self, marks: &[Mark<'_>]) -> Vec<Cell> {
        let mut out: Vec<Cell> = Vec::with_capacity(marks.len().min(self.count));
        let mut before: Option<&Mark> = None;
        let known = marks.iter().filter(|mark| mark.median.is_finite() && mark.commit < self.commits);
        for mark in known {
            let column = self.of(mark.commit);
            let link = before.map_or(Link::Apart, |before| self.link(before, mark));
            let same = before.is_some_and(|before| self.of(before.commit) == column) && !self.is_exact();
            match out.last_mut().filter(|_| same) {
                Some(cell) => cell.take(mark),
                None => {
                    let x = self.left + (column as f64 + 0.5) / self.count as f64 * self.width;
                    out.push(Cell::of(mark, x, link));
                }
            }
            before = Some(mark);
        }
        out
    }

    fn link(&self, before: &Mark, mark: &Mark) -> Link {
        let next = if self.is_exact() {
            mark.commit == before.commit + 1
        } else {
            self.of(mark.commit) <= self.of(before.commit) + 1
        };
        match (before.version == mark.version, next && !mark.carried && !before.carried) {
            (true, true) => Link::Joined,
            (true, false) => Link::Bridged,
            (false, _) => Link::Apart,
        }
    }
}

impl Cell {
    fn of(mark: &Mark, x: f64, link: Link) -> Cell {
        let (low, high) = band(mark);
        Cell { x, low, high, least: mark.median, most: mark.median, rising: true, link }
    }

    fn take(&mut self, mark: &Mark) {
        let (low, high) = band(mark);
        (self.low, self.high) = (self.low.min(low), self.high.max(high));
        if mark.median < self.least {
            (self.least, self.rising) = (mark.median, false);
        }
        if mark.median > self.most {
            (self.most, self.rising) = (mark.median, true);
        }
    }
}

/// The band around a median: always holds it, whatever the caller knows of the runs.
fn band(mark: &Mark) -> (f64, f64) {
    let values = mark.points.iter().map(|point| point.value).filter(|value| value.is_finite());
    let (low, high) = values.fold((mark.median, mark.median), |(low, high), value| (low.min(value), high.max(value)));
    if mark.runs == 0 && mark.low == 0.0 && mark.high == 0.0 {
        return (low, high);
    }
    let finite = |value: f64| if value.is_finite() { value } else { mark.median };
    (low.min(finite(mark.low)), high.max(finite(mark.high)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(commit: usize, median: f64) -> Mark<'static> {
        Mark { commit, version: "a", median, low: median, high: median, runs: 1, ..Mark::default() }
    }

    #[test]
    fn gaps_and_changed_scenarios_end_a_line() {
        let mut marks: Vec<Mark> = [0, 1, 3, 4, 5].map(|commit| mark(commit, 1.0)).into();
        marks[3].version = "b";
        marks[4].version = "b";
        let cells = Columns::new(6, 1, 300.0).cells(&marks);
        let links: Vec<Link> = cells.iter().map(|cell| cell.link).collect();
        assert_eq!(links, [Link::Apart, Link::Joined, Link::Bridged, Link::Apart, Link::Joined]);
        marks[1].carried = true;
        let cells = Columns::new(6, 1, 300.0).cells(&marks);
        assert_eq!(cells[1].link, Link::Bridged);
    }

    #[test]
    fn folding_keeps_every_spike() {
        let mut marks: Vec<Mark> = (0..3000).map(|commit| mark(commit, 100.0)).collect();
        marks[1234].median = 1.0;
        marks[2345].high = 900.0;
        marks[77].median = f64::NAN;
        let columns = Columns::new(3000, 6, 920.0);
        let cells = columns.cells(&marks);
        assert!(cells.len() <= CELLS / 6, "{}", cells.len());
        let at = &cells[columns.of(1234)];
        assert!(at.least == 1.0 && at.most == 100.0 && at.low == 1.0, "{at:?}");
        assert_eq!(at.ends(), [100.0, 1.0], "the last extreme that was met comes last");
        assert_eq!(cells[columns.of(2345)].high, 900.0);
        assert!(cells.iter().all(|cell| cell.low.is_finite()) && cells.iter().skip(1).all(Cell::joined));
    }

    #[test]
    fn a_band_holds_its_median() {
        let odd = Mark { commit: 0, median: 5.0, low: 7.0, high: f64::NAN, runs: 3, ..Mark::default() };
        assert_eq!(band(&odd), (5.0, 5.0));
        assert_eq!(band(&Mark { median: 5.0, ..Mark::default() }), (5.0, 5.0));
    }
}
