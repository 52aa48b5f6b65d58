//! What tests of charts have in common.

use std::fmt::Write;

/// Names that somebody might give to something.
pub(crate) const HOSTILE: [&str; 9] = [
    "",
    "<script>alert(1)</script>",
    "</metadata></svg><script>alert(1)</script>",
    "\" onload=\"alert(1)",
    "' onload='alert(1)",
    "a very long name that goes on and on and on and on and on and on and on and on and on and on and on and on and on",
    "مرحبا بالعالم \u{202e}drawkcab",
    "]]>&amp;&#x3c;\u{0}\u{8}\u{ffff}",
    "\\\"},{\"x\":\"\\u003c漢字漢字漢字漢字漢字漢字漢字漢字漢字",
];

/// Panics unless the SVG is well-formed, has no script and no number that is none, and its JSON can be read.
pub(crate) fn check(svg: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = svg;
    while let Some(at) = rest.find('<') {
        let end = at + rest[at..].find('>').expect("an element ends");
        let tag = &rest[at + 1..end];
        assert!(tag.matches('"').count().is_multiple_of(2) && !tag.contains('<') && !tag.contains('\''), "{tag}");
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap();
        let known = "svg title desc metadata text tspan path rect circle line polyline polygon a g";
        assert!(known.split(' ').any(|known| known == name), "<{tag}>");
        let names = tag.split('"').step_by(2);
        assert!(names.clone().all(|name| !name.contains(" on") && !name.contains("style")), "{tag}");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "{svg}");
        } else if !tag.ends_with('/') {
            open.push(name);
        }
        rest = &rest[end + 1..];
    }
    assert!(open.is_empty(), "{open:?}");
    assert!(!svg.contains("NaN") && !svg.contains("inf\""), "{svg}");
    assert!(svg.chars().all(|c| !c.is_control() && c != '\u{202e}'), "{svg:?}");
    for json in svg.split("<metadata>").skip(1) {
        let json = json.split("</metadata>").next().unwrap();
        serde_json::from_str::<serde_json::Value>(json).unwrap_or_else(|error| panic!("{error}: {json}"));
    }
}

/// Puts a picture on a page of its own where `LONGHAUL_PICTURES` names a directory: to be looked at, in light and dark.
pub(crate) fn picture(name: &str, svg: &str) {
    check(svg);
    let Some(directory) = std::env::var_os("LONGHAUL_PICTURES") else { return };
    let style = include_str!("../../assets/style.css");
    let mut page = String::new();
    for scheme in ["light", "dark"] {
        // The media query's rules apply to one half only.
        let mut style = style.to_owned();
        while let Some((before, inside)) = style.split_once("@media (prefers-color-scheme: dark) {") {
            let (rules, after) = inside.split_once("\n}\n").unwrap();
            style = format!("{before}{}{after}", if scheme == "dark" { rules } else { "" });
        }
        page.clear();
        let _ = write!(
            page,
            "<!doctype html><meta charset=utf-8><style>{style} :root {{ color-scheme: {scheme} }} \
             svg.chart {{ width: auto }} body {{ padding: 16px }}</style><figure>{svg}</figure>"
        );
        std::fs::write(std::path::Path::new(&directory).join(format!("{name}-{scheme}.html")), &page).unwrap();
    }
}
