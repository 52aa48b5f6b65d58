//! Traffic beside the transfer: in the record, in the table, and missed where it is missing.

use super::files::{COPY, GOOD, Scripts, scenario};
use super::ground::{DB, Ground};
use longhaul_record::{CrossKind, Outcome, RunRecord};

/// A transfer that lasts for a while, and needs no network.
fn slow_copy() -> String {
    Scripts { fetcher: &format!("sleep 0.7; {COPY}"), ..GOOD }.text()
}

fn with(name: &str, more: &str) -> String {
    let text = scenario(name).replace("\"1s\"", "\"20s\"");
    let carol = "[[host]]\nname = \"carol\"\nlink = { delay = \"1ms\" }\n\n[payload]";
    text.replace("[payload]", carol) + more
}

const FLOWS: &str = r#"
[[cross]]
kind = "tcp"
from = "carol"
to = "bob"
stop = "300ms"
congestion = "reno"
[[cross]]
kind = "udp"
from = "alice"
to = "carol"
rate = "2Mbit"
start = "100ms"
[[cross]]
kind = "tcp"
from = "alice"
to = "carol"
start = "15s"
"#;

pub(crate) fn other_traffic_is_recorded() {
    let ground = Ground::new();
    let subject = ground.file("slow.toml", &slow_copy());
    let file = ground.file("crossed.toml", &with("crossed", FLOWS));
    let ended = ground.longhaul(&["run", file, "--subject", subject, "--json", "--db", DB]);
    let records = ended.records();
    assert_eq!(ground.records(), records, "what is printed is kept");
    let record: &RunRecord = records.last().unwrap();
    let [tcp, udp, late] = &record.cross[..] else { panic!("{:?}", record.cross) };
    assert_eq!(tcp.label(), "TCP carol → bob");
    assert_eq!((&tcp.kind, &tcp.failure), (&CrossKind::Tcp { congestion: "reno".into() }, &None));
    assert!(tcp.started_ns.is_some() && tcp.received_bytes > 0 && tcp.stopped_ns >= Some(300_000_000), "{tcp:?}");
    let CrossKind::Udp { rate_bps: 2_000_000, packet_bytes: 1200, due_packets, sent_packets } = udp.kind else {
        panic!("{udp:?}")
    };
    assert!(sent_packets > 0 && sent_packets <= due_packets, "{udp:?}");
    assert!(udp.started_ns >= Some(100_000_000) && udp.stopped_ns > udp.started_ns, "{udp:?}");
    // Its time has not come, which is nobody's fault.
    assert_eq!((late.started_ns, &late.failure), (None, &None));
    if record.outcome == Outcome::Ok {
        // The fetcher's link carried more than the subject's packets.
        assert!(record.value("total_time", None).is_some() && record.value("wire_bytes", None).is_none());
    } else {
        assert_eq!((record.outcome, ended.code), (Outcome::Untrusted, Some(4)), "{:?}", record.reason);
    }
    let ended = ground.longhaul(&["run", file, "--subject", subject, "--db", DB]);
    for part in ["Other traffic", "UDP alice → carol", "2 Mbit/s", "not started"] {
        assert!(ended.stdout.contains(part), "{part}: {ended:?}");
    }
}

pub(crate) fn missing_traffic_makes_a_run_untrusted() {
    let ground = Ground::new();
    let subject = ground.file("slow.toml", &slow_copy());
    let dead = "[[at]]\ntime = \"0s\"\nlink = \"carol.link\"\nset = { state = \"down\" }\n\
                [[cross]]\nkind = \"tcp\"\nfrom = \"carol\"\nto = \"alice\"\nstop = \"300ms\"\n";
    let file = ground.file("dead.toml", &with("dead", dead));
    let ended = ground.longhaul(&["run", file, "--subject", subject, "--json", "--db", DB]);
    assert_eq!(ended.code, Some(4), "{ended:?}");
    let record = ended.records().pop().unwrap();
    let reason = record.reason.unwrap();
    assert!(reason.contains("cross traffic TCP carol → alice: could not be opened within 0.3 s"), "{reason}");
}

pub(crate) fn a_machine_without_the_algorithm_is_told_so() {
    let ground = Ground::new();
    let text = with("odd", &FLOWS.replace("reno", "nonsense"));
    let file = ground.file("odd.toml", &text);
    let expect = ["TCP carol → bob", "no TCP congestion control `nonsense`; it has: ", "reno"];
    ground.longhaul(&["run", file, "--db", DB]).refused(6, &expect);
    assert!(!ground.path(DB).exists());
    let ended = ground.longhaul(&["scenario", "check", file]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("Until 300 ms a TCP flow (nonsense) from carol to bob shares bob.link (down)"));
    assert!(ended.stderr.contains("not on this machine"), "{ended:?}");
}
