use super::*;
use crate::chart::topology;

/// A link's resolved form.
fn link(delay_ns: u64, rate: &str, loss: &str) -> String {
    format!(
        "LinkConfig {{ manner: Wire, state: Up, mtu: None, loss: {loss}, duplicate: Probability(0,), corrupt: Probability(0), \
         queue: Queue {{ limit: Bytes(262144), discipline: DropTail, ecn: false }}, rate: {rate}, delay_ns: {delay_ns}, \
         jitter: None, reorder: Never, coalesce_ns: 100000 }}"
    )
}

fn access(delay_ns: u64, rate: &str, loss: &str) -> String {
    format!("Access {{ up: {}, down: {} }}", link(delay_ns, "Unlimited", "None"), link(delay_ns, rate, loss))
}

fn form(fetchers: usize) -> String {
    let host = |name: &str, behind: &str| {
        format!("Host {{ name: {name:?}, behind: {behind}, link: {}, }}", access(1_000_000, "Unlimited", "None"))
    };
    let home = format!(
        "Router {{ name: \"home\", behind: None, gateway: Gateway {{ nat: Some(NatConfig {{ mapping: EndpointIndependent, \
         filtering: AddressAndPortDependent, timeout_ns: 120000000000, }},), }}, uplink: {} }}",
        access(5_000_000, "Constant(\n100000000,\n)", "Bernoulli(Probability(10000000))")
    );
    let names: Vec<String> = (0..fetchers).map(|n| format!("bob-{n}")).collect();
    let lines: String = names.iter().map(|name| format!("fetcher {name:?}\n")).collect();
    let hosts: Vec<String> = names.iter().map(|name| host(name, "Some(\"home\",)")).collect();
    format!(
        "schema 1\nname \"x\"\nprovider \"alice\"\n{lines}relay \"hub\"\nrendezvous \"hub\"\ntimeout 6 ns\npayload Random {{\n \
         bytes: 1 }}\ntopology Topology {{ routers: [{home}], hosts: [{}, {}, {}], }}\ntimeline [x]",
        host("alice", "None"),
        hosts.join(", "),
        host("hub", "None")
    )
}

#[test]
fn a_resolved_form_becomes_a_network() {
    let network = network(&form(1)).unwrap();
    let rows: Vec<(&str, NodeKind, Option<usize>)> =
        network.nodes.iter().map(|node| (node.name.as_str(), node.kind, node.behind)).collect();
    assert_eq!(
        rows,
        [
            ("home", NodeKind::Router, None),
            ("alice", NodeKind::Provider, None),
            ("bob-0", NodeKind::Fetcher, Some(0)),
            ("hub", NodeKind::Other, None),
        ]
    );
    let home = &network.nodes[0];
    assert_eq!(home.down.replace('\u{a0}', " "), "↓ 100 Mbit/s · 5 ms · 1 % loss · queue 256 KiB");
    assert_eq!(home.up.replace('\u{a0}', " "), "↑ 5 ms");
    assert_eq!(
        home.notes,
        ["NAT: endpoint-independent mapping, address-and-port-dependent filtering", "forgets after 120 s"]
    );
    assert_eq!((network.nodes[1].down.as_str(), network.nodes[1].up.as_str()), ("⇅ 1\u{a0}ms", ""));
    assert_eq!(network.nodes[3].notes, ["relay, rendezvous"]);
    crate::chart::testing::picture("network", &topology("a network", 1072, &network));
}

#[test]
fn many_alike_are_one() {
    let network = network(&form(100)).unwrap();
    assert_eq!(network.nodes.len(), 4);
    assert_eq!(
        (network.nodes[2].name.as_str(), network.nodes[2].alike, network.nodes[2].behind),
        ("bob-0", 100, Some(0))
    );
}

#[test]
fn what_cannot_be_read_is_not_drawn() {
    let whole = form(2);
    let rows = [
        String::new(),
        "name = \"x\"\ndelay_ns = 5\n".to_owned(),
        whole.replace("\ntopology ", "\nnetwork "),
        whole[..whole.len() / 2].to_owned(),
        "\ntopology Topology { routers: [], hosts: [] }".to_owned(),
        "\ntopology Topology { routers: [], hosts: [Host { nom: \"x\" }] }".to_owned(),
        "\ntopology \u{0}".to_owned(),
    ];
    for text in rows {
        assert_eq!(network(&text), None, "{text:?}");
    }
    // Unknown parts of hosts and links are only left out.
    let odd = "\ntopology Topology { hosts: [Host { name: \"x\", link: Access { up: 5, down: LinkConfig { rate: Odd(1), \
               loss: Odd, delay_ns: -3, jitter: Odd { a: 1 }, queue: 7, mtu: Some(9) } } }] }";
    assert_eq!(network(odd).unwrap().nodes[0].down, "↓ rate varies · and more, varying · chosen packets lost · MTU 0");
}

#[test]
fn routers_behind_each_other_do_not_hang() {
    let looped = form(5).replace("behind: None, gateway", "behind: Some(\"home\"), gateway");
    let network = network(&looped).unwrap();
    crate::chart::testing::check(&topology("a loop", 348, &network));
}

#[test]
fn few_ways_between_regions_are_told_one_by_one() {
    let form = |count: usize| {
        let way = |n: usize| {
            format!(
                "Transit {{ between: [\"a\", \"b{n}\"], link: {} }}",
                access(n as u64 * 1_000_000, "Unlimited", "None")
            )
        };
        let ways: Vec<String> = (1..=count).map(way).collect();
        format!("\ntopology Topology {{ hosts: [Host {{ name: \"x\" }}], transits: [{}] }}", ways.join(", "))
    };
    let core = |count| network(&form(count)).unwrap().core.join("|").replace('\u{a0}', " ");
    assert_eq!(core(2), "a – b1: 1 ms|a – b2: 2 ms");
    assert_eq!(core(9), "9 ways between regions, 1 ms to 9 ms");
    assert_eq!(core(0), "");
}
