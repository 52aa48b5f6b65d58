use super::*;

const SMALL: Size = Size { width: 348, height: 210 };
const WIDE: Size = Size { width: 1072, height: 280 };

/// Noise that is the same everywhere.
fn noise(i: usize) -> f64 {
    let mixed = (i as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40) as f64 / (1 << 24) as f64 - 0.5
}

fn line(label: &str, medians: &[(usize, &'static str, f64)]) -> Line<'static> {
    let mark = |(commit, version, median): &(usize, &'static str, f64)| Mark {
        commit: *commit,
        version,
        median: *median,
        low: median * 0.99,
        high: median * 1.01,
        runs: 3,
        carried: false,
        points: [0.99, 1.0, 1.01]
            .map(|factor| Point { value: median * factor, href: "/run/1".into(), title: "one <run>".into() })
            .into(),
    };
    Line { label: label.into(), ink: Ink::of_subject(label), marks: medians.iter().map(mark).collect() }
}

/// A line with a step at two thirds, without single runs.
fn long(label: &str, level: f64, commits: usize) -> Line<'static> {
    let marks = (0..commits).map(|commit| {
        let level = if commit * 3 > commits * 2 { level * 0.9 } else { level };
        let median = level * (1.0 + 0.03 * noise(commit + label.len() * 77));
        Mark { commit, version: "a", median, low: median * 0.985, high: median * 1.012, runs: 5, ..Mark::default() }
    });
    Line { label: label.into(), ink: Ink::of_subject(label), marks: marks.collect() }
}

fn names(commits: usize) -> Vec<String> {
    (0..commits).map(|i| format!("{:07x}", (i * 0x9e_3779) & 0x0fff_ffff)).collect()
}

fn chart(size: Size, lines: Vec<Line<'static>>, commits: usize) -> History<'static> {
    History::new(size, ("Goodput", "↑ better"), Unit::BitsPerSecond, names(commits), lines)
}

fn change(commit: usize, line: usize, text: &str, mood: Mood) -> Change {
    Change { commit, line, text: text.into(), mood, href: Some("/alerts#1".into()) }
}

/// Everything at once.
fn full(size: Size) -> History<'static> {
    let mut lines = vec![long("reference", 88e6, 60), long("curl", 70e6, 60)];
    lines[0].marks[30].median = 60e6;
    lines[1].marks.drain(20..28);
    for mark in &mut lines[1].marks[45..] {
        mark.carried = true;
    }
    History {
        changes: vec![change(41, 0, "−9.9 %", Mood::Bad), change(12, 1, "+4.2 %", Mood::Good)],
        boundaries: vec![Boundary { value: 75e6, label: "alarm below".into() }],
        ceiling: Some(95.6e6),
        flags: vec![Flag { commit: 34, text: "new kernel".into(), href: None }],
        first: 340,
        ..chart(size, lines, 60)
    }
}

#[test]
fn histories_look_like_this() {
    let reference = line("reference", &[(0, "a", 48e6), (1, "a", 47e6), (3, "a", 48e6), (4, "b", 40e6)]);
    let curl = line("curl", &[(0, "a", 31e6), (1, "a", 32e6), (2, "a", 31e6), (3, "a", 30e6), (4, "b", 39e6)]);
    insta::assert_snapshot!(history(&chart(SMALL, vec![reference, curl], 5)));
    insta::assert_snapshot!(history(&chart(SMALL, vec![line("curl", &[(0, "a", 31e6)])], 1)));
    insta::assert_snapshot!(history(&chart(SMALL, vec![], 3)));
}

#[test]
fn everything_that_can_stand_on_a_line() {
    insta::assert_snapshot!(history(&full(SMALL)));
    crate::chart::testing::picture("history-wide", &history(&full(WIDE)));
    crate::chart::testing::picture("history-small", &history(&full(SMALL)));
    let log = History { scale: Scale::Log, ..chart(WIDE, vec![long("iroh", 2e6, 90), long("curl", 300e6, 90)], 90) };
    crate::chart::testing::picture("history-log", &history(&log));
    let six: Vec<Line> = ["reference", "iroh", "curl", "rsync", "other", "quiche"]
        .iter()
        .zip(1..)
        .map(|(l, n)| long(l, 1e7 * f64::from(n), 3000))
        .collect();
    let changes = (0..6).map(|n| change(2001, n, "−10 %", Mood::Bad)).collect();
    crate::chart::testing::picture("history-many", &history(&History { changes, ..chart(WIDE, six, 3000) }));
    let few = line("reference", &[(0, "a", 48e6), (1, "a", 47e6), (3, "a", 48e6), (4, "b", 40e6)]);
    crate::chart::testing::picture("history-few", &history(&chart(SMALL, vec![few], 5)));
}

#[test]
fn three_thousand_commits_stay_small_and_keep_their_spikes_and_changes() {
    let subjects = ["reference", "iroh", "curl", "rsync", "other", "quiche"];
    for (size, most) in [(WIDE, 60_000), (SMALL, 45_000)] {
        let mut lines: Vec<Line> = subjects.iter().map(|subject| long(subject, 80e6, 3000)).collect();
        lines[3].marks[1777].median = 12e6;
        let changes = (0..6).map(|n| change(n * 400 + 13, n, "−10 %", Mood::Bad)).collect();
        let svg = history(&History { changes, ..chart(size, lines, 3000) });
        assert!(svg.len() <= most, "{} bytes at {}", svg.len(), size.width);
        assert!(svg.contains("12e6"), "the spike is told of");
        assert_eq!(svg.matches("change\"").count(), 6);
        assert_eq!(svg.matches("class=\"dot").count(), 0);
    }
}

#[test]
fn dots_make_room_for_bands() {
    let lines = |commits: usize| {
        let medians: Vec<(usize, &str, f64)> = (0..commits).map(|i| (i, "a", 1e6)).collect();
        vec![line("curl", &medians)]
    };
    let dots = |commits: usize| history(&chart(SMALL, lines(commits), commits)).matches("class=\"dot").count();
    assert_eq!(dots(80), 240);
    assert_eq!(dots(81), 0);
}

#[test]
fn a_far_limit_does_not_press_the_lines_flat() {
    let near = History { ceiling: Some(95e6), ..chart(SMALL, vec![long("curl", 88e6, 9)], 9) };
    assert!(history(&near).contains("physical limit 95 Mbit/s"));
    let far = History { ceiling: Some(10e9), ..chart(SMALL, vec![long("curl", 88e6, 9)], 9) };
    let svg = history(&far);
    assert!(svg.contains("limit 10 Gbit/s is above") && !svg.contains("physical limit 10 Gbit/s<"), "{svg}");
}

#[test]
fn an_axis_that_cannot_be_logarithmic_says_so() {
    let zero = Line { marks: vec![Mark { runs: 1, ..Mark::default() }], ..line("x", &[]) };
    let svg = history(&History { scale: Scale::Log, ..chart(SMALL, vec![zero], 1) });
    assert!(svg.contains("linear: not all is above zero") && !svg.contains("NaN"), "{svg}");
    let log = history(&History { scale: Scale::Log, ..chart(SMALL, vec![long("curl", 88e6, 9)], 9) });
    assert!(log.contains("logarithmic axis") && log.contains(" log\""), "{log}");
}

#[test]
fn the_newest_commit_is_always_named() {
    for count in [1, 2, 7, 100, 3000] {
        let svg = history(&chart(SMALL, vec![long("curl", 1e6, count)], count));
        let newest = names(count).pop().unwrap();
        assert!(svg.contains(&format!(">{newest}</text>")), "{count}");
    }
}

#[test]
fn what_is_outside_or_no_number_is_left_out() {
    let mut odd = long("curl", 1e6, 5);
    odd.marks[2].median = f64::NAN;
    odd.marks[3].high = f64::INFINITY;
    odd.marks[4].commit = 99;
    let chart = History {
        changes: vec![change(77, 0, "x", Mood::Bad), change(1, 8, "x", Mood::Bad)],
        flags: vec![Flag { commit: 77, text: "x".into(), href: None }],
        boundaries: vec![Boundary { value: f64::NAN, label: "x".into() }],
        ..chart(SMALL, vec![odd], 5)
    };
    let svg = history(&chart);
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    assert_eq!(svg.matches("change\"").count(), 0);
}

#[test]
fn hostile_texts_stay_texts() {
    for text in crate::chart::testing::HOSTILE {
        let mut hostile = full(SMALL);
        hostile.title = text;
        hostile.better = text;
        hostile.commits = vec![text.to_string(); 60];
        hostile.lines[0].label = text.to_string();
        hostile.changes[0].text = text.to_string();
        hostile.changes[0].href = Some(text.to_string());
        hostile.flags[0].text = text.to_string();
        hostile.boundaries[0].label = text.to_string();
        hostile.lines[0].marks[0].points = vec![Point { value: 1.0, href: text.to_string(), title: text.to_string() }];
        crate::chart::testing::check(&history(&hostile));
    }
}
