//! The internet in the middle, providers at its left, everybody else at its right, a column for each layer.

use super::{Forest, LINE, Node, frame, text_width};
use crate::chart::canvas::Ink;
use crate::chart::svg::{Anchor, area, fitted, rule, words, words_of, wrapped};

/// Least and most for a box, least for a link's words, and the internet's width.
const BOX: (f64, f64) = (96.0, 190.0);
const LINK: f64 = 118.0;
const INTERNET: f64 = 96.0;
/// Between boxes above each other.
const GAP: f64 = 18.0;
/// The most rows; of more, the tree is shorter.
const ROWS: usize = 12;
/// The most lines of a link's words above or below it.
const WORDS: usize = 5;

/// Where everything stands.
pub(super) struct Plan {
    left: Vec<usize>,
    right: Vec<usize>,
    box_width: f64,
    link: f64,
    /// The internet's left edge.
    middle: f64,
}

/// `None` where there is no room for it.
pub(super) fn plan(forest: &Forest, width: f64) -> Option<Plan> {
    let (mut left, mut right): (Vec<usize>, Vec<usize>) = forest.roots.iter().partition(|root| forest.sends(**root));
    if left.is_empty() {
        // Peers of one kind: half of them at either side.
        left = right.drain(..right.len() / 2).collect();
    }
    let depth = |roots: &[usize]| roots.iter().map(|root| forest.depth(*root)).max().unwrap_or(0);
    let leaves = |roots: &[usize]| roots.iter().map(|root| count(forest, *root)).sum::<usize>();
    let columns = (depth(&left) + depth(&right)) as f64;
    if columns == 0.0 || leaves(&left).max(leaves(&right)) > ROWS {
        return None;
    }
    let widest = forest.network.nodes.iter().map(text_width).fold(0.0, f64::max) + 18.0;
    let room = (width - INTERNET) / columns;
    let box_width = widest.clamp(BOX.0, BOX.1).min(room - LINK);
    let link = (room - box_width).min(200.0);
    if box_width < BOX.0 || link < LINK {
        return None;
    }
    let used = INTERNET + columns * (box_width + link);
    let middle = (width - used) / 2.0 + depth(&left) as f64 * (box_width + link);
    Some(Plan { left, right, box_width, link, middle })
}

fn count(forest: &Forest, n: usize) -> usize {
    forest.children[n].iter().map(|child| count(forest, *child)).sum::<usize>().max(1)
}

/// The drawing's height.
pub(super) fn draw(out: &mut String, forest: &Forest, plan: &Plan) -> f64 {
    let heights = [&plan.left, &plan.right].map(|roots| {
        roots.iter().map(|root| plan.height(forest, *root)).sum::<f64>() + GAP * roots.len().saturating_sub(1) as f64
    });
    let core: Vec<String> = forest.network.core.iter().flat_map(|note| wrapped(note, INTERNET - 12.0, 4)).collect();
    let height = heights[0].max(heights[1]).max(44.0 + LINE * core.len() as f64) + 4.0;
    area(out, Ink::Rule, (plan.middle, 2.0), (INTERNET, height - 4.0), " rx=\"10\" fill-opacity=\".45\"");
    let centre = plan.middle + INTERNET / 2.0;
    let mut y = height / 2.0 - LINE * core.len() as f64 / 2.0 + 4.0;
    words_of(out, "ink title", (centre, y), Anchor::Middle, "internet");
    for line in &core {
        y += LINE;
        words(out, Ink::Soft, (centre, y), Anchor::Middle, line);
    }
    for (roots, right, needs) in [(&plan.left, false, heights[0]), (&plan.right, true, heights[1])] {
        let mut top = (height - needs) / 2.0;
        for root in roots {
            let tall = plan.height(forest, *root);
            let edge = if right { plan.middle + INTERNET } else { plan.middle };
            plan.tree(out, forest, *root, right, (edge, top + tall / 2.0), top);
            top += tall + GAP;
        }
    }
    height
}

impl Plan {
    /// What a tree needs: its box, its link's words, or its children.
    fn height(&self, forest: &Forest, n: usize) -> f64 {
        let node = forest.node(n);
        let own = self.box_height(node).max(2.0 * LINE * self.link_lines(node) as f64 + 8.0);
        let children = &forest.children[n];
        let below = children.iter().map(|child| self.height(forest, *child)).sum::<f64>();
        own.max(below + GAP * children.len().saturating_sub(1) as f64)
    }

    fn box_height(&self, node: &Node) -> f64 {
        26.0 + LINE * self.lines(node).len() as f64 + 4.0
    }

    fn lines(&self, node: &Node) -> Vec<String> {
        node.lines().iter().flat_map(|line| wrapped(line, self.box_width - 18.0, 7)).take(8).collect()
    }

    fn link_lines(&self, node: &Node) -> usize {
        [&node.down, &node.up].map(|text| wrapped(text, self.link - 14.0, WORDS).len()).into_iter().max().unwrap_or(0)
    }

    /// A tree that hangs from `from`, the middle of its parent's edge.
    fn tree(&self, out: &mut String, forest: &Forest, n: usize, right: bool, from: (f64, f64), top: f64) {
        let node = forest.node(n);
        let tall = self.height(forest, n);
        let y = top + tall / 2.0;
        let sign = if right { 1.0 } else { -1.0 };
        let near = from.0 + sign * self.link;
        if (from.1 - y).abs() > 0.5 {
            rule(out, Ink::Soft, from, (from.0 + sign * 6.0, from.1), "");
            rule(out, Ink::Soft, (from.0 + sign * 6.0, from.1), (from.0 + sign * 6.0, y), "");
            rule(out, Ink::Soft, (from.0 + sign * 6.0, y), (near, y), "");
        } else {
            rule(out, Ink::Soft, (from.0, y), (near, y), "");
        }
        let middle = f64::midpoint(from.0 + sign * 6.0, near);
        let down = wrapped(&node.down, self.link - 14.0, WORDS);
        for (line, text) in down.iter().rev().enumerate() {
            words(out, Ink::Soft, (middle, y - 5.0 - LINE * line as f64), Anchor::Middle, text);
        }
        for (line, text) in wrapped(&node.up, self.link - 14.0, WORDS).iter().enumerate() {
            words(out, Ink::Soft, (middle, y + 14.0 + LINE * line as f64), Anchor::Middle, text);
        }
        let left = if right { near } else { near - self.box_width };
        self.node(out, node, (left, y - self.box_height(node) / 2.0));
        let far = if right { left + self.box_width } else { left };
        let children = &forest.children[n];
        let below: f64 = children.iter().map(|child| self.height(forest, *child)).sum();
        let mut top = y - (below + GAP * children.len().saturating_sub(1) as f64) / 2.0;
        for child in children {
            self.tree(out, forest, *child, right, (far, y), top);
            top += self.height(forest, *child) + GAP;
        }
    }

    fn node(&self, out: &mut String, node: &Node, at: (f64, f64)) {
        frame(out, node.kind, at, (self.box_width, self.box_height(node)));
        let x = at.0 + 10.0;
        let title = fitted(&node.title(), (self.box_width - 18.0) / 1.25);
        words_of(out, "ink title", (x, at.1 + 18.0), Anchor::Start, &title);
        for (n, line) in self.lines(node).iter().enumerate() {
            words(out, Ink::Soft, (x, at.1 + 18.0 + LINE * (n + 1) as f64), Anchor::Start, line);
        }
    }
}
