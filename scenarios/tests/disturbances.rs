//! What of a timeline cuts a transfer off, and until when.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use longhaul_scenarios::{Disturbance, Scenario};

const SCENARIO: &str = r#"
schema = 1
name = "good"
[[router]]
name = "home"
nat = "home"
[[router]]
name = "carrier"
nat = "mobile"
[[host]]
name = "alice"
[[host]]
name = "bob"
[[host.interface]]
name = "wifi"
behind = "home"
[[host.interface]]
name = "mobile"
behind = "carrier"
[payload]
kind = "random"
size = "1MiB"
[roles]
provider = ["alice"]
fetcher = ["bob"]
"#;

/// Each line of `events` is an `[[at]]`; what is expected is `from..until what`, in milliseconds.
#[track_caller]
fn check(events: &[&str], expect: &[&str]) {
    let events: String = events.iter().map(|event| format!("[[at]]\n{}\n", event.replace("; ", "\n"))).collect();
    let scenario = Scenario::parse("my.toml", &format!("{SCENARIO}{events}")).unwrap();
    let of =
        |Disturbance { from_ns, until_ns, what }| format!("{}..{} {what}", from_ns / 1_000_000, until_ns / 1_000_000);
    let got: Vec<String> = scenario.disturbances().into_iter().map(of).collect();
    assert_eq!(got, expect);
}

#[test]
fn a_link_that_is_down_disturbs_until_it_is_up() {
    let (down, up) =
        ("link = \"alice.link\"; set = { state = \"down\" }", "link = \"alice.link\"; set = { state = \"up\" }");
    let (at_1, at_3) = (format!("time = \"1s\"; {down}"), format!("time = \"3s\"; {up}"));
    check(&[&at_1, &at_3], &["1000..3000 alice.link is down for 2 s"]);
    check(&[&at_1], &["1000..1000 alice.link is down for good"]);
    // Holding is not carrying, and one direction is enough.
    let hold = "time = \"1s\"; link = \"alice.link\"; set = { up = { state = \"down-hold\" } }";
    check(&[hold, &at_3], &["1000..3000 alice.link is down for 2 s"]);
    // A change of what it carries is none.
    check(&["time = \"1s\"; link = \"alice.link\"; set = { rate = \"1Mbit\", loss = \"5%\" }"], &[]);
}

#[test]
fn an_interface_disturbs_where_the_host_goes_another_way() {
    let wifi = |at: &str, state: &str| format!("time = \"{at}\"; interface = \"bob.wifi\"; state = \"{state}\"");
    let mobile = |at: &str, state: &str| format!("time = \"{at}\"; interface = \"bob.mobile\"; state = \"{state}\"");
    check(
        &[&wifi("1s", "down"), &wifi("2s", "up")],
        &["1000..1000 bob loses wifi and goes on by mobile", "2000..2000 bob gets wifi and goes on by wifi"],
    );
    // What it does not use makes no difference.
    check(&[&mobile("1s", "down"), &mobile("2s", "up")], &[]);
    // Cut off until there is any.
    check(
        &[&mobile("1s", "down"), &wifi("2s", "down"), &mobile("3s", "up"), &wifi("4s", "up")],
        &["2000..3000 bob is cut off for 1 s", "4000..4000 bob gets wifi and goes on by wifi"],
    );
}

#[test]
fn forgotten_mappings_and_other_addresses_take_no_time() {
    check(
        &[
            "time = \"1s\"; reboot = \"home\"",
            "time = \"2s\"; renumber = \"home\"",
            "time = \"3s\"; renumber = \"bob\"",
        ],
        &[
            "1000..1000 home starts anew and forgets its mappings",
            "2000..2000 home gets other addresses and forgets its mappings",
            "3000..3000 bob loses its address and gets 192.168.1.11",
        ],
    );
    // Nobody uses it then.
    check(&["time = \"1s\"; renumber = \"bob.mobile\""], &[]);
    // What begins together is one, and over when all of it is.
    check(
        &[
            "time = \"1s\"; reboot = \"home\"",
            "time = \"1s\"; link = \"alice.link\"; set = { state = \"down\" }",
            "time = \"1500ms\"; link = \"alice.link\"; set = { state = \"up\" }",
        ],
        &["1000..1500 home starts anew and forgets its mappings, alice.link is down for 500 ms"],
    );
}
