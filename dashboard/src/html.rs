//! Small pieces that every page uses. maud escapes every text that goes through them.

use crate::chart::Ink;
use crate::page::Frame;
use jiff::Timestamp;
use longhaul_record::{Direction, Metric, Outcome, Verdict};
use maud::{Markup, PreEscaped, html};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
const PATH: &AsciiSet = &SEGMENT.remove(b'/');

/// Makes links that keep the visitor's choice of project and machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Links {
    query: String,
}

impl Links {
    /// Links within a scope that is not the default one.
    pub(crate) fn within(project: &str, host: &str) -> Links {
        let encode = |text| utf8_percent_encode(text, SEGMENT);
        Links { query: format!("?project={}&host={}", encode(project), encode(host)) }
    }

    /// The overview.
    pub(crate) fn overview(&self) -> String {
        format!("/{}", self.query)
    }

    /// One of the pages in every page's head.
    pub(crate) fn page(&self, id: &str) -> String {
        if id == "overview" { self.overview() } else { format!("/{id}{}", self.query) }
    }

    /// Everything of a commit.
    pub(crate) fn commit(&self, sha: &str) -> String {
        self.of("commit", sha)
    }

    /// What was stored of a comparison.
    pub(crate) fn comparison(&self, id: &str) -> String {
        self.of("comparison", id)
    }

    /// One alert.
    pub(crate) fn alert(&self, id: &str) -> String {
        self.of("alert", id)
    }

    /// Two commits, by whatever names them.
    pub(crate) fn compare(&self, base: &str, head: &str) -> String {
        self.pair("/compare", "base", base, "head", head)
    }

    /// Two runs on one clock.
    pub(crate) fn compare_runs(&self, a: &str, b: &str) -> String {
        self.pair("/compare/runs", "a", a, "b", b)
    }

    /// A scenario's page, led by a metric.
    pub(crate) fn history(&self, scenario: &str, metric: &str, peer: Option<&str>) -> String {
        let page = self.scenario(scenario);
        let sign = if self.query.is_empty() { "?" } else { "&" };
        let metric = peer.map_or_else(|| metric.to_owned(), |peer| format!("{metric}:{peer}"));
        format!("{page}{sign}metric={}", utf8_percent_encode(&metric, SEGMENT))
    }

    /// What happens after a moment, on a machine.
    pub(crate) fn events(&self, host: Option<&str>, since_ms: i64) -> String {
        let host = host.map(|host| format!("&host={}", utf8_percent_encode(host, SEGMENT))).unwrap_or_default();
        format!("/events?since={since_ms}{host}")
    }

    fn of(&self, page: &str, id: &str) -> String {
        format!("/{page}/{}{}", utf8_percent_encode(id, SEGMENT), self.query)
    }

    fn pair(&self, page: &str, first: &str, a: &str, second: &str, b: &str) -> String {
        let encode = |text| utf8_percent_encode(text, SEGMENT);
        let sign = if self.query.is_empty() { "?" } else { "&" };
        format!("{page}{}{sign}{first}={}&{second}={}", self.query, encode(a), encode(b))
    }

    /// A scenario's page. Slashes in its name stay readable, unless a browser would take a part for "here" or "up".
    pub(crate) fn scenario(&self, name: &str) -> String {
        let dots = name.split('/').any(|part| part == "." || part == "..");
        let set = if dots { SEGMENT } else { PATH };
        format!("/scenario/{}{}", utf8_percent_encode(name, set), self.query)
    }

    /// A run's page.
    pub(crate) fn run(&self, id: &str) -> String {
        self.of("run", id)
    }
}

/// A moment, for people and machines.
pub(crate) fn time(ms: i64) -> Markup {
    match Timestamp::from_millisecond(ms) {
        Ok(at) => html! {
            time.nowrap datetime=(at.strftime("%Y-%m-%dT%H:%M:%SZ")) { (at.strftime("%Y-%m-%d %H:%M")) " UTC" }
        },
        Err(_) => html! { "at an unknown time" },
    }
}

/// A commit's short name. What is not known to be a hash is shown whole.
pub(crate) fn short(sha: &str) -> &str {
    if sha.len() >= 12 && sha.bytes().all(|byte| byte.is_ascii_hexdigit()) { &sha[..7] } else { sha }
}

/// A commit as text: short hash, and a plus sign for uncommitted changes.
pub(crate) fn commit_text(sha: Option<&str>, dirty: bool) -> String {
    match sha {
        Some(sha) => format!("{}{}", short(sha), if dirty { "+" } else { "" }),
        None => "no commit".into(),
    }
}

/// A commit on a page.
pub(crate) fn commit(sha: Option<&str>, dirty: bool) -> Markup {
    match sha {
        Some(sha) => html! {
            code.nowrap title=(sha) { (short(sha)) }
            @if dirty { span.quiet title="with uncommitted changes" { "+" } }
        },
        None => html! { span.quiet { "no commit" } },
    }
}

/// A commit, leading to its page.
pub(crate) fn commit_link(frame: &Frame, sha: &str) -> Markup {
    html! { a.commit href=(frame.links.commit(sha)) title=(sha) { code.nowrap { (short(sha)) } } }
}

/// The class of a verdict's colour.
pub(crate) fn verdict_class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Regressed => "bad",
        Verdict::Improved => "good",
        Verdict::Inconclusive | Verdict::Untrusted => "warn",
        Verdict::Unchanged => "quiet",
    }
}

/// A verdict as a word in a frame.
pub(crate) fn verdict(verdict: Verdict) -> Markup {
    badge(verdict_class(verdict), verdict.as_str())
}

/// Which way is better, for a chart.
pub(crate) fn better(metric: Option<&Metric>) -> &'static str {
    match metric.map(|metric| metric.direction) {
        Some(Direction::Higher) => "↑ better",
        Some(Direction::Lower) => "↓ better",
        None => "",
    }
}

/// A subject's name in its colour.
pub(crate) fn subject(name: &str) -> Markup {
    html! { span class=(Ink::of_subject(name).class()) { (name) } }
}

/// How a run ended, in a word and a colour.
pub(crate) fn outcome(outcome: Outcome) -> Markup {
    let (class, word) = outcome_words(outcome);
    badge(class, word)
}

/// The class and the word of an outcome.
pub(crate) fn outcome_words(outcome: Outcome) -> (&'static str, &'static str) {
    match outcome {
        Outcome::Ok => ("quiet", "ok"),
        Outcome::SubjectFailed => ("bad", "failed"),
        Outcome::TimedOut => ("bad", "timed out"),
        Outcome::Untrusted => ("warn", "untrusted"),
        Outcome::SetupFailed => ("bad", "not set up"),
    }
}

/// A word in a frame.
pub(crate) fn badge(class: &str, word: &str) -> Markup {
    html! { span class={ "badge " (class) } { (word) } }
}

/// SVG that the chart module made: it has escaped all texts itself.
pub(crate) fn svg(text: String) -> Markup {
    PreEscaped(text)
}

/// Keeps numbers and their units on one line.
pub(crate) fn glue(text: &str) -> String {
    const UNITS: &[&str] = &[
        "%", "×", "ns", "µs", "ms", "s", "min", "bit/s", "kbit/s", "Mbit/s", "Gbit/s", "B", "KiB", "MiB", "GiB", "TiB",
    ];
    let mut out = String::with_capacity(text.len());
    for word in text.split(' ') {
        if !out.is_empty() {
            let unit = UNITS.contains(&word.trim_end_matches(['.', ',', ':', ';', ')']));
            out.push(if unit && out.ends_with(|c: char| c.is_ascii_digit()) { '\u{a0}' } else { ' ' });
        }
        out.push_str(word);
    }
    out
}

/// "1 run", "3 runs".
pub(crate) fn plural(count: u64, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{} {one}s", longhaul_record::text::count(count as f64)) }
}

/// "a", "a and b", "a, b and c".
pub(crate) fn listed(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

/// A word as a shell takes it.
pub(crate) fn shell(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.into() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// Addresses on this server that a page of ours leads to or loads.
pub(crate) fn links_in(html: &str) -> impl Iterator<Item = String> {
    let ends = html.split("href=\"").skip(1).chain(html.split("src=\"").skip(1));
    let links = ends.filter_map(|rest| rest.split_once('"')).map(|(link, _)| link);
    links.filter(|link| link.starts_with('/')).map(|link| link.replace("&amp;", "&"))
}

/// A page of ours whose links lead to files, from the file that it becomes. `there` names the file of an address; what has none
/// leads nowhere any more.
pub(crate) fn localized(html: &str, file: &str, there: impl Fn(&str) -> Option<String>) -> String {
    let up = "../".repeat(file.matches('/').count());
    let mut out = String::with_capacity(html.len());
    let mut rest = html;
    while let Some((at, name)) = ["href=\"/", "src=\"/"].iter().filter_map(|name| Some((rest.find(name)?, *name))).min()
    {
        let start = at + name.len() - 1;
        let end = rest[start..].find('"').map_or(rest.len(), |end| start + end);
        let link = rest[start..end].replace("&amp;", "&");
        match there(&link) {
            Some(target) => {
                out.push_str(&rest[..start]);
                out.push_str(&up);
                out.push_str(&target);
            }
            // An anchor without an address is plain text.
            None => {
                out.push_str(&rest[..at]);
                out.push_str("data-left-out=\"");
            }
        }
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_hold_any_name() {
        let plain = Links::default();
        let rows = [
            ("local", "/scenario/local"),
            ("nat/home[cgnat]", "/scenario/nat/home%5Bcgnat%5D"),
            ("a b?c#d&e\"'<", "/scenario/a%20b%3Fc%23d%26e%22%27%3C"),
            ("../run/x", "/scenario/..%2Frun%2Fx"),
            ("ü", "/scenario/%C3%BC"),
        ];
        for (name, expect) in rows {
            assert_eq!(plain.scenario(name), expect);
        }
        assert_eq!(Links::within("a&b", "c").run("1"), "/run/1?project=a%26b&host=c");
    }

    #[test]
    fn times_are_utc_and_machine_readable() {
        let html = time(1_793_523_600_000).into_string();
        assert_eq!(html, r#"<time class="nowrap" datetime="2026-11-01T09:00:00Z">2026-11-01 09:00 UTC</time>"#);
        assert_eq!(time(i64::MAX).into_string(), "at an unknown time");
    }

    #[test]
    fn words_for_a_shell() {
        for (word, expect) in [("lossy-1pct", "lossy-1pct"), ("a[b]", "'a[b]'"), ("it's", r"'it'\''s'"), ("", "''")] {
            assert_eq!(shell(word), expect);
        }
    }

    #[test]
    fn units_stay_with_their_numbers() {
        assert_eq!(
            glue("64 MiB in 2.95 s: 45 % of it, 3 times"),
            "64\u{a0}MiB in 2.95\u{a0}s: 45\u{a0}% of it, 3 times"
        );
    }

    #[test]
    fn lists_read_like_sentences() {
        let words = |items: &[&str]| listed(&items.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(words(&[]), "");
        assert_eq!(words(&["a"]), "a");
        assert_eq!(words(&["a", "b", "c"]), "a, b and c");
    }

    #[test]
    fn only_hashes_are_shortened() {
        assert_eq!(short("0123456789abcdef"), "0123456");
        assert_eq!(short("<script>alert(1)</script>"), "<script>alert(1)</script>");
        assert_eq!(short("é123456789012"), "é123456789012");
    }

    #[test]
    fn links_of_an_exported_page_are_relative() {
        let html = "<a href=\"/\">x</a><a href=\"/run/1?a=1&amp;b=2\">y</a><a href=\"/gone\">z</a><a href=\"#main\"></a><script src=\"/s.js\">";
        let there = |link: &str| match link {
            "/" => Some("index.html".to_owned()),
            "/run/1?a=1&b=2" => Some("b/run/1/index.html".to_owned()),
            "/s.js" => Some("s.js".to_owned()),
            _ => None,
        };
        assert_eq!(
            localized(html, "scenario/x/index.html", there),
            "<a href=\"../../index.html\">x</a><a href=\"../../b/run/1/index.html\">y</a><a data-left-out=\"\">z</a>\
             <a href=\"#main\"></a><script src=\"../../s.js\">"
        );
        assert_eq!(links_in(html).collect::<Vec<_>>(), ["/", "/run/1?a=1&b=2", "/gone", "/s.js"]);
    }
}
