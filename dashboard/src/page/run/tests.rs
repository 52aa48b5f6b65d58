use super::*;
use crate::chart::testing::{HOSTILE, check};
use longhaul_record::{MappingEnd, NatMapping, NetworkChange, PathChange, Series, Stall};
use longhaul_store::testing::sample::{self, Shape};

const SHAPE: Shape = Shape { network: 3, subject: "reference", commit: 0, iteration: 0 };

/// A run to which everything has happened; `name` is in every text.
fn eventful(name: &str) -> RunRecord {
    let mut run = sample::run(SHAPE);
    let path = |at_s, kind: &str| PathChange { host: name.into(), at_s, kind: kind.into(), remote: name.into() };
    run.paths = vec![path(0.1, "relay"), path(0.35, "direct"), path(1.2, name)];
    let mapping = |from_s, until_s, end| NatMapping {
        router: name.into(),
        protocol: name.into(),
        internal: name.into(),
        external: name.into(),
        from_s,
        until_s,
        end,
    };
    run.mappings = vec![
        mapping(-0.2, None, None),
        mapping(0.3, Some(0.9), Some(MappingEnd::Expired)),
        mapping(0.4, Some(0.5), None),
    ];
    run.stalls = vec![Stall { host: name.into(), from_s: 0.5, until_s: 0.8 }];
    run.changes = vec![NetworkChange { at_ns: 500_000_000, what: name.into() }];
    let whole = run.series.iter().find(|series| series.name == "payload").unwrap().clone();
    let peers = ["x", name].map(|peer| Series { peer: Some(peer.into()), ..whole.clone() });
    run.series.extend(peers);
    run
}

fn page(record: &RunRecord) -> String {
    run(&Frame::default(), record, &[]).into_string()
}

#[test]
fn everything_that_happened_is_on_one_axis_and_in_a_table() {
    let html = page(&eventful("bob"));
    let expect = [
        "Payload at bob",
        "Path of bob",
        "direct after 350 ms",
        "NAT mappings of bob",
        "3 made, 1 ended",
        "stall 300 ms",
        "goes on direct by bob",
        "mapping made: bob bob ↔ bob",
        "mapping expired: bob bob ↔ bob",
        "nothing comes for 300 ms",
        "payload at bob, bit/s",
        "/run/",
        ".json\" download",
        "/series.csv\" download",
    ];
    for part in expect {
        assert!(html.contains(part), "{part:?} is missing");
    }
    let svg = html.split("<svg").nth(1).unwrap().split("</svg>").next().unwrap();
    check(&format!("<svg{svg}</svg>"));
}

#[test]
fn an_older_record_has_what_it_has() {
    let html = page(&sample::run(SHAPE));
    for part in ["Path of", "NAT mappings of", "Payload at", "What happened, as a table", "The network"] {
        assert!(!html.contains(part), "{part:?} comes from nowhere");
    }
}

#[test]
fn hostile_texts_stay_texts() {
    for text in HOSTILE {
        let html = page(&eventful(text));
        assert_eq!(html.matches("<script").count(), 1, "{text:?}: no script but our own");
        // In an element a quotation mark is a text like any other; in a tag it would end an attribute.
        let tags = html.split('<').skip(1).filter_map(|part| part.split('>').next());
        assert!(
            tags.clone().count() > 100
                && tags.into_iter().all(|tag| !tag.contains("onload=\"") && !tag.contains(" onload='"))
        );
        for svg in html.split("<svg").skip(1) {
            check(&format!("<svg{}</svg>", svg.split("</svg>").next().unwrap()));
        }
    }
}

#[test]
fn two_runs_are_above_each_other() {
    let (before, after) = (eventful("bob"), sample::run(Shape { iteration: 1, ..SHAPE }));
    let svg = timelines("two runs", 1072, &[("before", &before), ("after", &after)]);
    check(&svg);
    assert!(svg.find(">before</text>") < svg.find(">after</text>"));
    assert_eq!(svg.matches(">Throughput</text>").count(), 2);
}
