//! The internet on top, everything else below it, indented by its layer: for narrow pictures and for many hosts.

use super::{Forest, LINE, Node, NodeKind, frame};
use crate::chart::canvas::Ink;
use crate::chart::svg::{Anchor, area, fitted, rule, wide, words, words_of, wrapped};

/// A layer's indent.
const INDENT: f64 = 26.0;
/// The most layers that are indented, and nodes that are drawn.
const LAYERS: usize = 6;
const NODES: usize = 40;

/// The drawing's height.
pub(super) fn draw(out: &mut String, forest: &Forest, width: f64) -> f64 {
    let core: Vec<String> = forest.network.core.iter().flat_map(|note| wrapped(note, width - 24.0, 3)).collect();
    let top = 28.0 + LINE * core.len() as f64;
    area(out, Ink::Rule, (0.0, 2.0), (width, top), " rx=\"8\" fill-opacity=\".45\"");
    words_of(out, "ink title", (10.0, 20.0), Anchor::Start, "internet");
    for (n, line) in core.iter().enumerate() {
        words(out, Ink::Soft, (10.0, 20.0 + LINE * (n + 1) as f64), Anchor::Start, line);
    }
    let mut drawing = Drawing { forest, width, left: NODES, hidden: 0 };
    let mut y = top + 2.0;
    y = drawing.below(out, &forest.roots, 0, y);
    if drawing.hidden > 0 {
        let text = format!("and {} more", drawing.hidden);
        words(out, Ink::Soft, (INDENT, y + 18.0), Anchor::Start, &text);
        y += 24.0;
    }
    y + 4.0
}

struct Drawing<'a> {
    forest: &'a Forest<'a>,
    width: f64,
    left: usize,
    hidden: usize,
}

impl Drawing<'_> {
    /// Draws what hangs from a node whose lower edge is at `top`; returns where it ends.
    fn below(&mut self, out: &mut String, nodes: &[usize], layer: usize, top: f64) -> f64 {
        let trunk = 12.0 + INDENT * layer.min(LAYERS) as f64;
        let (mut y, mut last) = (top, top);
        for n in nodes {
            if self.left == 0 {
                self.hidden += 1;
                continue;
            }
            self.left -= 1;
            let node = self.forest.node(*n);
            y = self.link(out, node, trunk + 10.0, y + 4.0);
            let left = trunk + INDENT - 8.0;
            let lines = self.lines(node, left);
            let height = 28.0 + LINE * lines.len() as f64;
            let middle = y + height.min(32.0) / 2.0;
            rule(out, Ink::Soft, (trunk, last), (trunk, middle), "");
            rule(out, Ink::Soft, (trunk, middle), (left, middle), "");
            last = middle;
            self.node(out, node, &lines, (left, y), height);
            y = self.below(out, &self.forest.children[*n], layer + 1, y + height);
            y += 6.0;
        }
        y
    }

    /// A link's words, beside the trunk.
    fn link(&self, out: &mut String, node: &Node, x: f64, mut y: f64) -> f64 {
        for text in [&node.down, &node.up] {
            for line in wrapped(text, self.width - x - 4.0, 3) {
                y += LINE;
                words(out, Ink::Soft, (x, y - 2.0), Anchor::Start, &line);
            }
        }
        y + 3.0
    }

    fn lines(&self, node: &Node, left: f64) -> Vec<String> {
        let lines = node.lines();
        // What is said of a host fits beside its name.
        let skip = usize::from(node.kind != NodeKind::Router);
        lines.iter().skip(skip).flat_map(|line| wrapped(line, self.width - left - 22.0, 3)).take(6).collect()
    }

    fn node(&self, out: &mut String, node: &Node, lines: &[String], at: (f64, f64), height: f64) {
        let width = self.width - at.0 - 1.0;
        frame(out, node.kind, at, (width, height));
        let word = if node.kind == NodeKind::Router { "" } else { node.word() };
        let word = fitted(word, width * 0.4);
        let title = fitted(&node.title(), (width - wide(&word) - 28.0) / 1.25);
        words_of(out, "ink title", (at.0 + 10.0, at.1 + 19.0), Anchor::Start, &title);
        words(out, Ink::Soft, (at.0 + width - 8.0, at.1 + 19.0), Anchor::End, &word);
        for (n, line) in lines.iter().enumerate() {
            let y = at.1 + 19.0 + LINE * (n + 1) as f64;
            words(out, Ink::Soft, (at.0 + 10.0, y), Anchor::Start, line);
        }
    }
}
