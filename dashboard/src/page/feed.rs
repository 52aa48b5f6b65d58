//! What got worse, as an Atom feed (RFC 4287).

use super::Frame;
use jiff::Timestamp;
use longhaul_record::Alert;
use maud::{Markup, PreEscaped, html};

/// The feed, with links to `host`.
pub(crate) fn feed(frame: &Frame, alerts: &[Alert], host: &str) -> String {
    let updated = alerts.iter().filter_map(|alert| alert.history.last()).map(|event| event.at_ms).max();
    let project = frame.scope.as_ref().map_or("longhaul", |scope| scope.project.as_str());
    let body = html! {
        feed xmlns="http://www.w3.org/2005/Atom" {
            id { "urn:longhaul:alerts:" (project) }
            title { "What got slower: " (project) }
            updated { (moment(updated.unwrap_or(0))) }
            author { name { "longhaul" } }
            link rel="self" href={ "http://" (host) "/feed.atom" } {}
            @for alert in alerts { (entry(frame, alert, host)) }
        }
    };
    format!("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n{}", body.into_string())
}

fn entry(frame: &Frame, alert: &Alert, host: &str) -> Markup {
    let (first, last) = (alert.history.first(), alert.history.last());
    html! {
        entry {
            id { "urn:uuid:" (alert.id) }
            title { (alert.sentence()) @if !alert.state.is_open() { " (" (alert.state.as_str()) ")" } }
            link href={ "http://" (host) (frame.links.alert(&alert.id)) } {}
            @if let Some(first) = first { published { (moment(first.at_ms)) } }
            updated { (moment(last.map_or(0, |event| event.at_ms))) }
            summary { "Since " (alert.range.first_after) "; it is " (alert.state.as_str()) "." }
        }
    }
}

fn moment(ms: i64) -> Markup {
    let at = Timestamp::from_millisecond(ms).unwrap_or_default();
    PreEscaped(at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}
