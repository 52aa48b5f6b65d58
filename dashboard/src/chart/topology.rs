//! A network as a picture: hosts, the routers that they are behind, the internet that joins them, and what each link does to
//! packets, in words. Providers are at the left of the internet and fetchers at its right; where that has no room, everything
//! is a tree that hangs from the internet, line by line.

mod sides;
mod tree;

use super::Size;
use super::canvas::Ink;
use super::svg::{area, document_with, px, wide};
use std::fmt::Write;

/// What to draw: a forest whose roots are linked to the internet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Topology {
    /// Who is there.
    pub(crate) nodes: Vec<Node>,
    /// What holds for the way between any two, for example `86 ms from London to New York`.
    pub(crate) core: Vec<String>,
}

/// A host or a router.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Node {
    /// What it is.
    pub(crate) kind: NodeKind,
    /// Its name.
    pub(crate) name: String,
    /// What there is to say of it: a NAT's behaviour, a host's role, further ways to the internet.
    pub(crate) notes: Vec<String>,
    /// The router that it is behind, by its place; `None`: directly on the internet. Loops are cut.
    pub(crate) behind: Option<usize>,
    /// What its link does to packets towards it, in a few words.
    pub(crate) down: String,
    /// What its link does to packets from it.
    pub(crate) up: String,
    /// How many there are like it, itself included; 0 counts as 1.
    pub(crate) alike: usize,
}

/// What a node is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum NodeKind {
    /// Sends.
    Provider,
    /// Gets.
    Fetcher,
    /// Helps.
    #[default]
    Other,
    /// Stands between others.
    Router,
}

impl NodeKind {
    /// For people.
    pub(crate) fn word(self) -> &'static str {
        match self {
            NodeKind::Provider => "provider",
            NodeKind::Fetcher => "fetcher",
            NodeKind::Other => "host",
            NodeKind::Router => "router",
        }
    }

    fn ink(self) -> Ink {
        match self {
            NodeKind::Provider => Ink::Subject(0),
            NodeKind::Fetcher => Ink::Subject(2),
            NodeKind::Other => Ink::Soft,
            NodeKind::Router => Ink::Warn,
        }
    }
}

/// The picture, `width` wide and as high as it needs to be.
pub(crate) fn topology(title: &str, width: u32, network: &Topology) -> String {
    let forest = Forest::of(network);
    let mut body = String::new();
    let height = match sides::plan(&forest, f64::from(width)) {
        Some(plan) => sides::draw(&mut body, &forest, &plan),
        None => tree::draw(&mut body, &forest, f64::from(width.min(TREE))),
    };
    let size = Size { width, height: height.ceil().max(1.0) as u32 };
    document_with("chart topology", " data-chart=\"topology\"", size, title, &network.description(), &body)
}

impl Topology {
    fn description(&self) -> String {
        let mut out = String::new();
        for node in &self.nodes {
            let behind = node.behind.and_then(|behind| self.nodes.get(behind));
            let place = behind.map_or_else(|| "on the internet".into(), |router| format!("behind {}", router.name));
            let _ = write!(out, "{} ({}) is {place}", node.title(), node.kind.word());
            for (arrow, words) in [("towards it", &node.down), ("from it", &node.up)] {
                if !words.is_empty() {
                    let _ = write!(out, "; {arrow}: {words}");
                }
            }
            for note in &node.notes {
                let _ = write!(out, "; {note}");
            }
            out.push_str(". ");
        }
        for note in &self.core {
            let _ = write!(out, "{note}. ");
        }
        out.trim_end().into()
    }
}

impl Node {
    fn title(&self) -> String {
        if self.alike > 1 { format!("{} × {}", self.name, self.alike) } else { self.name.clone() }
    }

    /// What it is, in a word or two: a host that only helps says with what.
    fn word(&self) -> &str {
        match (self.kind, self.notes.first()) {
            (NodeKind::Other, Some(note)) => note,
            (kind, _) => kind.word(),
        }
    }

    /// What is written below its name: what it is, and what there is to say. A router says it by what it does.
    fn lines(&self) -> Vec<&str> {
        let first = (self.kind != NodeKind::Router || self.notes.is_empty()).then(|| self.word());
        let notes = self.notes.iter().skip(usize::from(self.kind == NodeKind::Other)).map(String::as_str);
        first.into_iter().chain(notes).filter(|line| !line.is_empty()).collect()
    }
}

/// The nodes as trees.
struct Forest<'a> {
    network: &'a Topology,
    roots: Vec<usize>,
    children: Vec<Vec<usize>>,
}

impl<'a> Forest<'a> {
    fn of(network: &'a Topology) -> Forest<'a> {
        let count = network.nodes.len();
        let mut forest = Forest { network, roots: Vec::new(), children: vec![Vec::new(); count] };
        for (n, node) in network.nodes.iter().enumerate() {
            match node.behind.filter(|behind| *behind < count && !leads_back(network, n)) {
                Some(behind) => forest.children[behind].push(n),
                None => forest.roots.push(n),
            }
        }
        forest
    }

    fn node(&self, n: usize) -> &'a Node {
        &self.network.nodes[n]
    }

    /// How many layers a tree has.
    fn depth(&self, n: usize) -> usize {
        1 + self.children[n].iter().map(|child| self.depth(*child)).max().unwrap_or(0)
    }

    /// Whether a tree holds nothing but what sends: it stands at the left.
    fn sends(&self, n: usize) -> bool {
        match self.children[n].as_slice() {
            [] => self.node(n).kind == NodeKind::Provider,
            children => children.iter().all(|child| self.sends(*child)),
        }
    }
}

/// Whether a node is behind itself.
fn leads_back(network: &Topology, start: usize) -> bool {
    let mut at = start;
    for _ in 0..=network.nodes.len() {
        match network.nodes.get(at).and_then(|node| node.behind) {
            Some(next) if next == start => return true,
            Some(next) => at = next,
            None => return false,
        }
    }
    // A loop that it only leads to: cut there, not here.
    false
}

/// A node's frame: hosts have round corners, routers sharp ones and a bar.
fn frame(out: &mut String, kind: NodeKind, (x, y): (f64, f64), (width, height): (f64, f64)) {
    let radius = if kind == NodeKind::Router { 2 } else { 8 };
    let _ = write!(
        out,
        "<rect class=\"{} hollow\" stroke=\"currentColor\" stroke-width=\"1.4\" x=\"{}\" y=\"{}\" width=\"{}\" \
         height=\"{}\" rx=\"{radius}\"/>",
        kind.ink().class(),
        px(x),
        px(y),
        px(width),
        px(height)
    );
    if kind == NodeKind::Router {
        area(out, kind.ink(), (x, y), (4.0, height), "");
    }
}

/// A tree's boxes are no wider than is good to read.
const TREE: u32 = 640;
/// Height of a line of text.
const LINE: f64 = 15.0;

/// How wide a node's text is.
fn text_width(node: &Node) -> f64 {
    node.lines().iter().map(|line| wide(line)).fold(wide(&node.title()) * 1.3, f64::max)
}

#[cfg(test)]
mod tests;
