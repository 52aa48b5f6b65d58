//! Reads topologies of patchbay, another simulator of networks, into scenario files.
//!
//! Format: patchbay's `docs/reference/toml-reference.md`. Only the network comes along: what its simulations run are
//! subjects here, and payloads. What cannot be said in a scenario is an error or a note, never left out in silence.

use crate::error::{FileError, parse};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write;
use toml::Value;

/// A scenario file made from another simulator's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The scenario file's text.
    pub text: String,
    /// What the user should know before using it.
    pub notes: Vec<String>,
}

#[derive(Deserialize)]
struct Topology {
    #[serde(default)]
    router: Vec<RouterTable>,
    #[serde(default)]
    device: BTreeMap<String, BTreeMap<String, Value>>,
    #[serde(default)]
    region: BTreeMap<String, RegionTable>,
    /// What its simulations do.
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RouterTable {
    name: String,
    region: Option<String>,
    upstream: Option<String>,
    nat: Option<String>,
    ip_support: Option<String>,
    nat_v6: Option<String>,
    ra_enabled: Option<bool>,
    ra_interval_secs: Option<u64>,
    ra_lifetime_secs: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RegionTable {
    #[serde(default)]
    latencies: BTreeMap<String, u32>,
}

/// A device's interface.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Interface {
    gateway: String,
    #[serde(alias = "condition")]
    impair: Option<Value>,
}

/// Makes a scenario named `name` of a patchbay topology. `file` is for error messages.
pub fn from_patchbay(file: &str, text: &str, name: &str) -> Result<Imported, FileError> {
    let topology: Topology = parse(file, text)?;
    let mut notes = Vec::new();
    let left_out: Vec<&str> = topology.rest.keys().map(String::as_str).collect();
    if !left_out.is_empty() {
        notes.push(format!("only the network was read; left out: {}", left_out.join(", ")));
    }
    let delays = region_delays(file, &topology)?;
    let mut out = format!("schema  = 1\nname    = {}\nsummary = {}\n", quoted(name), quoted("imported from patchbay"));
    for (index, router) in topology.router.iter().enumerate() {
        let delay = router.region.as_ref().and_then(|region| delays.get(region)).copied().unwrap_or(0.0);
        write_router(file, index, router, delay, &mut out, &mut notes)?;
    }
    let mut hosts = Vec::new();
    for (device, table) in &topology.device {
        write_device(file, device, table, &mut out, &mut hosts, &mut notes)?;
    }
    let [provider, fetcher, ..] = hosts.as_slice() else {
        return Err(FileError::new(file, "device", "a transfer needs two devices at least"));
    };
    let _ = write!(
        out,
        "\n[payload]\nkind = \"random\"\nsize = \"8MiB\"\n\n[roles]\nprovider = [{}]\nfetcher  = [{}]\n",
        quoted(provider),
        quoted(fetcher)
    );
    notes
        .push(format!("`{provider}` provides and `{fetcher}` fetches 8 MiB; change `roles` and `payload` as you like"));
    Ok(Imported { text: out, notes })
}

fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

/// What each region's routers add to a path, in milliseconds: half the way to every other region's.
///
/// Patchbay gives a latency for each pair of regions. A tree of links can say that only where each region's share adds
/// up with every other's, and where no two routers of a region are meant to be near each other.
fn region_delays(file: &str, topology: &Topology) -> Result<BTreeMap<String, f64>, FileError> {
    let names: Vec<&String> = topology.region.keys().collect();
    let between = |a: &str, b: &str| {
        let there = topology.region.get(a).and_then(|region| region.latencies.get(b));
        let back = topology.region.get(b).and_then(|region| region.latencies.get(a));
        there.or(back).map_or(0.0, |ms| f64::from(*ms))
    };
    let cannot = |message: &str| Err(FileError::new(file, "region", message));
    for name in &names {
        if topology.router.iter().filter(|router| router.region.as_ref() == Some(*name)).count() > 1 {
            return cannot("two routers of one region would be as far apart as regions are; give each its own region");
        }
    }
    let share = |a: &str| -> f64 {
        let others: Vec<&str> = names.iter().map(|name| name.as_str()).filter(|name| *name != a).collect();
        match others[..] {
            [] => 0.0,
            [b] => between(a, b) / 2.0,
            [b, c, ..] => (between(a, b) + between(a, c) - between(b, c)) / 2.0,
        }
    };
    let delays: BTreeMap<String, f64> = names.iter().map(|name| ((*name).clone(), share(name))).collect();
    for (a, here) in &delays {
        let fits = |b: &String, there: &f64| a == b || (here + there - between(a, b)).abs() < 1e-9;
        if *here < 0.0 || !delays.iter().all(|(b, there)| fits(b, there)) {
            return cannot("these latencies do not follow from one delay per region, which is what links can have");
        }
    }
    Ok(delays)
}

fn write_router(
    file: &str,
    index: usize,
    router: &RouterTable,
    delay_ms: f64,
    out: &mut String,
    notes: &mut Vec<String>,
) -> Result<(), FileError> {
    let key = |name: &str| format!("router[{index}].{name}");
    let _ = write!(out, "\n[[router]]\nname   = {}\n", quoted(&router.name));
    if let Some(upstream) = &router.upstream {
        let _ = writeln!(out, "behind = {}", quoted(upstream));
    }
    let nat = match router.nat.as_deref().unwrap_or("none") {
        "none" => None,
        "open" | "full-cone" => Some("full-cone"),
        "moderate" | "home" => Some("home"),
        "strict" | "corporate" => Some("symmetric"),
        "cgnat" => Some("cgnat"),
        "cloud-nat" => Some("cloud"),
        other => {
            let message = format!("\"{other}\" is not known; write none, open, moderate or strict");
            return Err(FileError::new(file, key("nat"), message));
        }
    };
    if let Some(nat) = nat {
        let _ = writeln!(out, "nat    = {}", quoted(nat));
    }
    let ipv6 = match (router.ip_support.as_deref().unwrap_or("v4-only"), router.nat_v6.as_deref().unwrap_or("none")) {
        ("v4-only", _) => "none",
        ("dual-stack" | "v6-only", "none") => "open",
        ("dual-stack" | "v6-only", "nptv6") => "nptv6",
        ("dual-stack" | "v6-only", "masquerade") => "masquerade",
        ("dual-stack" | "v6-only", "nat64") => "nat64",
        (support, translation) => {
            let message = format!("ip_support \"{support}\" with nat_v6 \"{translation}\" is not known");
            return Err(FileError::new(file, key("ip_support"), message));
        }
    };
    let _ = writeln!(out, "ipv6   = {}", quoted(ipv6));
    if router.ip_support.as_deref() == Some("v6-only") && ipv6 != "nat64" {
        notes.push(format!("`{}` was IPv6 only; its hosts have IPv4 as well here", router.name));
    }
    if router.ra_enabled.is_some() || router.ra_interval_secs.is_some() || router.ra_lifetime_secs.is_some() {
        notes.push(format!("`{}`: addresses are given, not learned from router advertisements", router.name));
    }
    if delay_ms > 0.0 {
        let _ = writeln!(out, "uplink = {{ delay = \"{delay_ms}ms\" }}");
    }
    Ok(())
}

fn write_device(
    file: &str,
    device: &str,
    table: &BTreeMap<String, Value>,
    out: &mut String,
    hosts: &mut Vec<String>,
    notes: &mut Vec<String>,
) -> Result<(), FileError> {
    let key = |name: &str| format!("device.{device}.{name}");
    let mut copies = None;
    let mut interfaces = Vec::new();
    for (name, value) in table {
        match (name.as_str(), value) {
            ("count", Value::Integer(count @ 1..=1000)) => copies = Some(*count),
            ("count", _) => return Err(FileError::new(file, key(name), "write a number from 1 to 1000")),
            (_, Value::Table(_)) => {
                let interface: Interface = value
                    .clone()
                    .try_into()
                    .map_err(|error: toml::de::Error| FileError::new(file, key(name), error.message()))?;
                interfaces.push((name, interface));
            }
            _ => return Err(FileError::new(file, key(name), "is neither an interface nor `count`")),
        }
    }
    let mut interfaces = interfaces.into_iter();
    let Some((name, first)) = interfaces.next() else {
        return Err(FileError::new(file, format!("device.{device}"), "has no interface"));
    };
    for (other, _) in interfaces {
        notes.push(format!("`{device}` has one interface here, `{name}`; `{other}` was left out"));
    }
    let link = first.impair.as_ref().map(|impair| condition(impair).map_err(|m| FileError::new(file, key(name), m)));
    let link = link.transpose()?;
    let names = match copies {
        Some(count) => (0..count).map(|n| format!("{device}-{n}")).collect(),
        None => vec![device.to_owned()],
    };
    for host in names {
        let _ = write!(out, "\n[[host]]\nname   = {}\nbehind = {}\n", quoted(&host), quoted(&first.gateway));
        if let Some(link) = &link {
            // As `tc` on the device's interface has it: what it sends.
            let _ = writeln!(out, "link   = {{ up = {{ {link} }} }}");
        }
        hosts.push(host);
    }
    if link.is_some() {
        notes.push(format!("`{device}` impairs what it sends, as patchbay does; jitter keeps order here"));
    }
    Ok(())
}

/// A preset's name or a table of limits, as keys of a link.
fn condition(impair: &Value) -> Result<String, String> {
    let limits = |latency: f64, jitter: f64, loss: f64, rate: f64| {
        BTreeMap::from([("latency_ms", latency), ("jitter_ms", jitter), ("loss_pct", loss), ("rate_kbit", rate)])
    };
    let limits = match impair {
        Value::String(preset) => match preset.as_str() {
            "lan" => limits(0.0, 0.0, 0.0, 0.0),
            "wifi" => limits(5.0, 2.0, 0.1, 0.0),
            "wifi-bad" => limits(40.0, 15.0, 2.0, 20_000.0),
            "mobile" | "mobile-4g" => limits(25.0, 8.0, 0.5, 0.0),
            "mobile-3g" => limits(100.0, 30.0, 2.0, 2_000.0),
            "satellite" => limits(40.0, 7.0, 1.0, 0.0),
            "satellite-geo" => limits(300.0, 20.0, 0.5, 25_000.0),
            other => return Err(format!("the condition \"{other}\" is not known")),
        },
        Value::Table(table) => {
            const KNOWN: [&str; 7] =
                ["latency_ms", "jitter_ms", "loss_pct", "rate_kbit", "reorder_pct", "duplicate_pct", "corrupt_pct"];
            let mut limits = BTreeMap::new();
            for (name, value) in table {
                let known = KNOWN.iter().find(|known| *known == name);
                let known = known.ok_or_else(|| format!("`{name}` is not known; there are: {}", KNOWN.join(", ")))?;
                // Numbers may be written as text there.
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                let number = text.parse::<f64>().ok().filter(|number| *number >= 0.0 && number.is_finite());
                limits.insert(*known, number.ok_or_else(|| format!("`{name}` is not a number from 0 on"))?);
            }
            limits
        }
        _ => return Err("write a condition's name or a table".to_owned()),
    };
    if limits.get("reorder_pct").is_some_and(|share| *share > 0.0) {
        return Err("`reorder_pct` is netem's: some packets are sent at once. Use the scenario's `reorder`".to_owned());
    }
    let words = [
        ("latency_ms", "delay", "ms"),
        ("jitter_ms", "jitter", "ms"),
        ("loss_pct", "loss", "%"),
        ("rate_kbit", "rate", "kbit"),
        ("duplicate_pct", "duplicate", "%"),
        ("corrupt_pct", "corrupt", "%"),
    ];
    let parts = words.iter().filter_map(|(from, to, unit)| {
        let value = limits.get(from).copied().filter(|value| *value > 0.0)?;
        Some(format!("{to} = \"{value}{unit}\""))
    });
    Ok(parts.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NETWORK: &str = r#"
        [[router]]
        name = "dc"
        region = "us"
        [[router]]
        name = "lan"
        nat = "moderate"
        region = "eu"
        [device.server.eth0]
        gateway = "dc"
        impair = { latency_ms = "100", loss_pct = 0.5, rate_kbit = 10000 }
        [device.client]
        count = 2
        [device.client.eth0]
        gateway = "lan"
        impair = "wifi"
        [region.us]
        latencies = { eu = 80 }
        [region.eu]
        [sim]
        name = "x"
    "#;

    #[test]
    fn a_topology_becomes_a_scenario() {
        let imported = from_patchbay("topo.toml", NETWORK, "from-patchbay").unwrap();
        insta::assert_snapshot!(format!("{}\n---\n{}", imported.text, imported.notes.join("\n")));
        let scenario = crate::Scenario::parse("from-patchbay.toml", &imported.text).unwrap();
        assert_eq!((scenario.provider(), scenario.topology.hosts.len()), ("client-0", 3));
    }

    #[test]
    fn what_cannot_be_said_is_refused() {
        let replaced =
            |from: &str, to: &str| from_patchbay("topo.toml", &NETWORK.replace(from, to), "x").unwrap_err().to_string();
        let errors = [
            replaced("\"moderate\"", "\"weird\""),
            replaced("region = \"eu\"", "region = \"us\""),
            replaced("\"wifi\"", "\"pigeon\""),
            replaced("loss_pct", "lots_pct"),
            replaced("count = 2", "count = 0"),
            replaced("impair = \"wifi\"", "mtu = 1280"),
        ];
        insta::assert_snapshot!(errors.join("\n"));
    }
}
