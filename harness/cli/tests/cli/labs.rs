//! Networks that stay up, and programs that visit them.

use super::ground::Ground;
use nix::sys::signal::Signal;

pub(crate) fn programs_visit_a_network_that_is_up() {
    let ground = Ground::new();
    let up = ground.start(&["lab", "up", "dsl", "--name", "mine"]);
    assert!(up.says().starts_with("`mine` is up until Ctrl-C"));
    let addresses = ground.longhaul(&["lab", "show", "dsl", "--json"]).json()["hosts"].clone();
    for (host, index) in [("alice", 0), ("bob", 1)] {
        let address = addresses[index]["addresses"][0].as_str().unwrap().to_owned();
        let script = "cat /proc/net/fib_trie; echo \"$LONGHAUL_HOST\" >&2; exit 7";
        let ended = ground.longhaul(&["lab", "exec", "mine", host, "--", "sh", "-c", script]);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(7), format!("{host}\n").as_str()));
        assert!(ended.stdout.contains(&address), "{address} is not in {}", ended.stdout);
    }
    ground.longhaul(&["lab", "exec", "mine", "carol", "--", "true"]).refused(2, &["`carol`", "alice, bob"]);
    ground.longhaul(&["lab", "up", "local", "--name", "mine"]).refused(2, &["up already", "--name"]);
    up.signal(Signal::SIGINT);
    assert_eq!(up.end().code, Some(0));
    ground.longhaul(&["lab", "exec", "mine", "bob", "--", "true"]).refused(2, &["`mine`"]);
}

pub(crate) fn a_killed_network_makes_room_for_the_next() {
    let ground = Ground::new();
    for _ in 0..2 {
        let up = ground.start(&["lab", "up", "dsl"]);
        assert!(up.says().starts_with("`dsl` is up until Ctrl-C"));
        up.signal(Signal::SIGKILL);
        assert_eq!(up.end().code, None);
    }
}

/// Every host's way to the internet, the transfer's path, and the NAT, each with what was asked of it.
pub(crate) fn a_network_is_calibrated() {
    let ended = Ground::new().longhaul(&["lab", "calibrate", "home-nat", "--json"]);
    // A busy machine may spoil it, and says so.
    assert!(matches!(ended.code, Some(0 | 4)), "{ended:?}");
    let document = ended.json();
    assert_eq!(document["holds"], ended.code == Some(0), "{document}");
    let paths: Vec<String> = document["paths"]
        .as_array()
        .unwrap()
        .iter()
        .map(|path| {
            let path = &path["measured"];
            format!("{} {} {}", path["from"], path["to"], path["delay"]["asked_ns"].as_u64().unwrap() / 1_000_000)
        })
        .collect();
    let expect =
        ["alice internet 0", "internet alice 0", "bob internet 6", "internet bob 6", "bob alice 6", "alice bob 6"];
    assert_eq!(
        paths,
        expect.map(|line| {
            let [from, to, ms] = line.split(' ').collect::<Vec<&str>>().try_into().unwrap();
            format!("\"{from}\" \"{to}\" {ms}")
        })
    );
    let nat = &document["nats"][0]["measured"];
    assert_eq!((&nat["host"], &nat["asked"]["mapping"]), (&"bob".into(), &"endpoint-independent".into()));
    let neither = Ground::new().longhaul(&["lab", "calibrate"]);
    assert_eq!(neither.code, Some(2), "{neither:?}");
}
