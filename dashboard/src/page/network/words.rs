//! What links and routers do, in as few words as possible: the scenario's sentence says it in full.

use super::form::Value;
use crate::html::glue;
use longhaul_record::text;

/// What an access link does towards its owner and from it. Where both are the same, the first says so and the second is
/// empty.
pub(super) fn link(access: Option<&Value>) -> [String; 2] {
    let direction = |name: &str| access.and_then(|access| access.field(name)).map(one_way).unwrap_or_default();
    match [direction("down"), direction("up")].map(|words| glue(&words)) {
        [down, up] if down == up && down.is_empty() => [String::new(), String::new()],
        [down, up] if down == up => [format!("⇅ {down}"), String::new()],
        [down, up] => [("↓", down), ("↑", up)].map(|(arrow, words)| match words.as_str() {
            "" => format!("{arrow} nothing in the way"),
            words => format!("{arrow} {words}"),
        }),
    }
}

/// What one direction of a link does: `100 Mbit/s · 5 ms ± 1 ms · 1 % loss · queue 512 KiB`.
fn one_way(link: &Value) -> String {
    let parts = [rate(link), delay(link), loss(link), oddities(link), queue(link), mtu(link)];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

fn rate(link: &Value) -> Option<String> {
    let rate = link.field("rate")?;
    match rate.name() {
        "Constant" => Some(text::trimmed(text::bits_per_second(rate.number()?))),
        "Unlimited" => None,
        _ => Some("rate varies".into()),
    }
}

fn delay(link: &Value) -> Option<String> {
    let delay = Some(link.count("delay_ns")).filter(|ns| *ns > 0.0).map(ns_text);
    let spread = link.field("jitter").and_then(|jitter| match jitter.name() {
        "None" => None,
        "Uniform" => Some(format!("± {}", ns_text(jitter.count("ns")))),
        "Normal" => Some(format!("σ {}", ns_text(jitter.count("sigma_ns")))),
        _ => Some("and more, varying".into()),
    });
    match (delay, spread) {
        (None, None) => None,
        (delay, spread) => Some([delay, spread].into_iter().flatten().collect::<Vec<_>>().join(" ")),
    }
}

fn ns_text(ns: f64) -> String {
    text::trimmed(text::seconds(ns / 1e9))
}

/// Chances are in billionths.
fn percent(chance: f64) -> String {
    text::percent(chance / 1e9)
}

fn loss(link: &Value) -> Option<String> {
    let loss = link.field("loss")?;
    match loss.name() {
        "None" => None,
        "Bernoulli" => Some(format!("{} loss", percent(loss.number()?))).filter(|_| loss.number() != Some(0.0)),
        "GilbertElliott" => Some("loss in bursts".into()),
        _ => Some("chosen packets lost".into()),
    }
}

/// Rare things: duplicates, damage, order, state.
fn oddities(link: &Value) -> Option<String> {
    let mut parts = Vec::new();
    for (field, word) in [("duplicate", "twice"), ("corrupt", "damaged")] {
        let chance = link.count(field);
        if chance > 0.0 {
            parts.push(format!("{} {word}", percent(chance)));
        }
    }
    if link.field("reorder").is_some_and(|reorder| reorder.name() != "Never") {
        parts.push("reorders".into());
    }
    if link.field("state").is_some_and(|state| state.name() == "Down") {
        parts.push("down at first".into());
    }
    (!parts.is_empty()).then(|| parts.join(" · "))
}

/// A queue is only met where there is a rate.
fn queue(link: &Value) -> Option<String> {
    let queue = link.field("queue")?;
    let limit = queue.field("limit")?;
    let size = match limit.name() {
        "Bytes" => format!("queue {}", text::bytes(limit.number()?)),
        "Packets" => format!("queue {} packets", text::count(limit.number()?)),
        _ => String::new(),
    };
    let discipline = match queue.field("discipline")?.name() {
        "DropTail" | "" => "",
        other => other,
    };
    let words = format!("{size} {discipline}");
    Some(words.trim().to_owned()).filter(|words| !words.is_empty() && !link.is("rate", "Unlimited"))
}

fn mtu(link: &Value) -> Option<String> {
    let mtu = link.field("mtu")?.inner()?;
    let hole = if mtu.is("oversize", "BlackHole") { ", black hole" } else { "" };
    Some(format!("MTU {}{hole}", mtu.count("bytes")))
}

/// A router's notes: its NAT in RFC 4787's words, or what else it does.
pub(super) fn router(router: &Value) -> Vec<String> {
    let Some(gateway) = router.field("gateway") else { return Vec::new() };
    let mut notes = Vec::new();
    match gateway.field("nat").and_then(Value::inner) {
        Some(nat) => {
            let word = |field: &str| kebab(nat.field(field).map(Value::name).unwrap_or_default());
            notes.push(format!("NAT: {} mapping, {} filtering", word("mapping"), word("filtering")));
            let timeout = nat.count("timeout_ns");
            if timeout > 0.0 {
                notes.push(format!("forgets after {}", ns_text(timeout)));
            }
        }
        None => notes.push("router without NAT".into()),
    }
    notes.extend(router.text("region").map(|region| format!("in {region}")));
    notes
}

/// `EndpointIndependent` as the RFC writes it: `endpoint-independent`.
fn kebab(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !out.is_empty() {
            out.push('-');
        }
        out.extend(c.to_lowercase());
    }
    out
}

/// A host's further interface: `also by mobile behind carrier-b: 20 Mbit/s`.
pub(super) fn other_way(way: &Value, behind: Option<&str>) -> String {
    let name = way.text("name").unwrap_or("another way");
    let behind = behind.map(|router| format!(" behind {router}")).unwrap_or_default();
    let [down, up] = link(way.field("link"));
    let what = [down, up].into_iter().filter(|words| !words.is_empty()).collect::<Vec<_>>().join(", ");
    let what = if what.is_empty() { String::new() } else { format!(": {what}") };
    let state = if way.is("up", "false") { ", down at first" } else { "" };
    format!("also by {name}{behind}{state}{what}")
}
