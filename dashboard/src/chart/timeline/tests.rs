use super::lanes::{rows, thinned};
use super::*;
use crate::chart::testing::{HOSTILE, check, picture};

fn trace(label: &str, ink: Ink, values: &[f64]) -> Trace {
    Trace { label: label.into(), ink, interval_s: 0.05, values: values.into() }
}

fn bar(from: f64, to: Option<f64>, label: &str, ink: Ink) -> Bar {
    Bar { from, to, label: label.into(), ink, detail: format!("{label}, in more words") }
}

fn run(label: &str, level: f64) -> Section {
    let rate = |i: usize| match i {
        0..=2 => 0.0,
        80..=100 => 0.0,
        i if i > 180 => 10e6 * level,
        i => level * 1e6 * (90.0 + ((i * 7919) % 11) as f64),
    };
    let rates: Vec<f64> = (0..240).map(rate).collect();
    let wire: Vec<f64> = rates.iter().map(|rate| rate * 1.07).collect();
    let queue: Vec<f64> =
        (0..240).map(|i| if i > 180 { 0.042 } else { 0.004 + 0.0001 * ((i * 31) % 17) as f64 }).collect();
    let lost: Vec<f64> = (0..240).map(|i| if (i * 37) % 29 == 0 { 1.0 + (i % 3) as f64 } else { 0.0 }).collect();
    let payload = vec![trace("on the wire", Ink::Soft, &wire), trace("payload", Ink::Subject(0), &rates)];
    let path = vec![
        bar(0.15, Some(0.34), "relay", Ink::Warn),
        bar(0.34, Some(8.1), "direct", Ink::Good),
        bar(8.1, None, "relay", Ink::Warn),
    ];
    let mappings = vec![
        bar(-0.4, None, "192.168.1.10:4433 ↔ 198.18.7.2:4433", Ink::Soft),
        bar(0.2, Some(3.9), "192.168.1.10:4434 ↔ 198.18.7.2:4434", Ink::Soft),
        bar(4.4, None, "192.168.1.10:4434 ↔ 198.18.7.2:61002", Ink::Soft),
    ];
    Section {
        label: label.into(),
        lanes: vec![
            Lane { limit: Some(104e6), ..Lane::new("Throughput", Unit::BitsPerSecond, Content::Rate(payload)) },
            Lane::new(
                "Queue at the slowest link",
                Unit::Seconds,
                Content::Level(vec![trace("queue", Ink::Queue, &queue)]),
            ),
            Lane::new("Packets lost", Unit::Count, Content::Events(vec![trace("lost", Ink::Bad, &lost)])),
            Lane::new("Path of bob", Unit::Count, Content::Bars(path)),
            Lane::new("Mappings of home-b", Unit::Count, Content::Bars(mappings)),
            Lane::new("Retransmissions", Unit::Count, Content::Level(vec![])),
        ],
        marks: vec![4.0, 9.0, 9.1],
        stalls: vec![(4.0, 5.05)],
    }
}

fn draw(width: u32, runs: &[Section]) -> String {
    timeline(&Timeline { title: "a run", width, runs })
}

#[test]
fn timelines_look_like_this() {
    let rates = [0.0, 20e6, 90e6, 94e6, f64::NAN, 95e6, 91e6, 94e6];
    let lanes = vec![
        Lane::new(
            "Throughput",
            Unit::BitsPerSecond,
            Content::Rate(vec![
                trace("wire", Ink::Soft, &rates.map(|rate| rate * 1.07)),
                trace("payload", Ink::Subject(0), &rates),
            ]),
        ),
        Lane::new(
            "Lost packets",
            Unit::Count,
            Content::Events(vec![trace("lost", Ink::Bad, &[0.0, 0.0, 3.0, 0.0, 1.0])]),
        ),
        Lane::new("Path", Unit::Count, Content::Bars(vec![bar(0.1, None, "direct", Ink::Good)])),
        Lane::new("Missing", Unit::Count, Content::Level(vec![])),
        Lane::new("Quiet", Unit::Seconds, Content::Level(vec![trace("quiet", Ink::Queue, &[0.0; 8])])),
    ];
    let short =
        Section { lanes, marks: vec![0.3, 99.0], stalls: vec![(0.2, 0.25), (77.0, 78.0)], ..Section::default() };
    insta::assert_snapshot!(draw(360, &[short]));
    let nothing = Lane::new("Missing", Unit::Count, Content::Rate(vec![]));
    insta::assert_snapshot!(draw(360, &[Section { lanes: vec![nothing], marks: vec![0.4], ..Section::default() }]));
    picture("timeline-wide", &draw(1072, &[run("", 1.0)]));
    picture("timeline-small", &draw(348, &[run("", 1.0)]));
    picture("timeline-pair", &draw(1072, &[run("before: 1a2b3c4", 1.0), run("after: 5d6e7f8", 0.8)]));
}

#[test]
fn two_runs_share_their_axes() {
    let svg = draw(1072, &[run("before", 1.0), run("after", 0.5)]);
    check(&svg);
    // The same values on the same axis: the limit's line is at the same height in both.
    let metadata = svg.split("<metadata>").nth(1).unwrap().split("</metadata>").next().unwrap();
    let data: serde_json::Value = serde_json::from_str(metadata).unwrap();
    let lanes = data["lanes"].as_array().unwrap();
    assert_eq!(lanes.len(), 12);
    assert_eq!(lanes[0]["divisor"], lanes[6]["divisor"]);
    assert_eq!(svg.matches(">100 Mbit/s</text>").count(), 2, "both have the larger one's ticks");
    assert_eq!(lanes[6]["run"], "after");
    assert!(lanes[6]["top"].as_u64().unwrap() > lanes[5]["bottom"].as_u64().unwrap());
}

#[test]
fn an_hour_stays_small_and_keeps_its_spike() {
    let mut values: Vec<f64> = (0..72_000).map(|i| 90e6 + f64::from(i % 13) * 1e5).collect();
    values[50_001] = 400e6;
    let lane = |title: &str| Lane::new(title, Unit::BitsPerSecond, Content::Rate(vec![trace("x", Ink::Soft, &values)]));
    let svg = draw(1072, &[Section { lanes: ["a", "b", "c"].map(lane).into(), ..Section::default() }]);
    assert!(svg.len() < 100_000, "{} bytes", svg.len());
    assert!(svg.contains("4e8"), "the spike is told of");
    check(&svg);
}

#[test]
fn thinning_keeps_every_spike() {
    let mut values = vec![1.0; 10_000];
    values[4321] = 99.0;
    values[7777] = -5.0;
    values[5000..5100].fill(f64::NAN);
    let thin = thinned(&trace("x", Ink::Soft, &values), 300);
    assert!(thin.len() <= 600);
    assert!(thin.iter().any(|(_, value)| *value == 99.0) && thin.iter().any(|(_, value)| *value == -5.0));
    assert!(thin.iter().any(|(_, value)| value.is_nan()), "a gap is a gap");
    assert!(thin.is_sorted_by(|a, b| a.0 < b.0));
}

#[test]
fn bars_do_not_stand_on_each_other() {
    let bars = [
        bar(0.0, Some(1.0), "a", Ink::Soft),
        bar(0.5, Some(2.0), "b", Ink::Soft),
        bar(1.0, None, "c", Ink::Soft),
        bar(5.0, None, "d", Ink::Soft),
    ];
    assert_eq!(rows(&bars), [0, 1, 0, 1]);
    let many: Vec<Bar> = (0..40).map(|i| bar(f64::from(i) * 0.01, None, "x", Ink::Soft)).collect();
    let lane = Lane::new("Mappings", Unit::Count, Content::Bars(many));
    let svg = draw(348, &[Section { lanes: vec![lane], ..Section::default() }]);
    assert!(svg.contains("40, 32 of them not drawn"), "{svg}");
    check(&svg);
}

#[test]
fn hostile_texts_stay_texts() {
    for text in HOSTILE {
        let mut section = run(text, 1.0);
        for lane in &mut section.lanes {
            lane.title = text.into();
            match &mut lane.content {
                Content::Bars(bars) => {
                    bars.iter_mut().for_each(|bar| (bar.label, bar.detail) = (text.into(), text.into()));
                }
                Content::Rate(traces) | Content::Level(traces) | Content::Events(traces) => {
                    traces.iter_mut().for_each(|trace| trace.label = text.into());
                }
            }
        }
        check(&timeline(&Timeline { title: text, width: 348, runs: &[section] }));
    }
}
