//! What single stages of a link do, against hand-worked examples and against the distributions they were asked for.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{MS, Out, SECOND, Sent, US, bps, drive, net, ppb};
use netsim_fabric::{
    Cause, Cellular, CoDelConfig, Discipline, Ecn, Jitter, Limit, LineError, LinkConfig, LinkState, Loss, Mtu, Outage,
    Oversize, Probability, Queue, Rate, RedConfig, Reorder, Samples, Schedule, ScheduleError, Script, Shift, Step,
    Time, Trace,
};
use std::num::NonZeroU64;
use std::sync::Arc;

/// A packet of 1,000 bytes on the wire every `gap` nanoseconds, the first one at once.
fn steady(gap: u64, count: usize) -> Vec<Sent> {
    (0..count).map(|n| (if n == 0 { 0 } else { gap }, 972, 1)).collect()
}

fn link() -> LinkConfig {
    LinkConfig::default()
}

fn numbers(out: &[Out]) -> Vec<usize> {
    out.iter().map(|o| o.packet).collect()
}

fn times(out: &[Out]) -> Vec<u64> {
    out.iter().map(|o| o.at).collect()
}

/// Whether packet n of `count` was lost.
fn losses(seed: u64, loss: Loss, count: usize) -> Vec<bool> {
    let mut lost = vec![true; count];
    for o in drive(seed, LinkConfig { loss, ..link() }, &steady(1000, count)) {
        lost[o.packet] = false;
    }
    lost
}

/// The sum of (observed - expected)^2 / expected.
fn chi_square(cells: &[(f64, f64)]) -> f64 {
    cells.iter().map(|(observed, expected)| (observed - expected).powi(2) / expected).sum()
}

#[test]
fn bernoulli_losses_are_independent_and_as_frequent_as_asked() {
    // 100,000 packets at 10 %, in blocks of four: losses per block are binomial. Five cells, four degrees of freedom:
    // 18.5 is exceeded once in a thousand seeds.
    let p: f64 = 0.1;
    let lost = losses(1, Loss::Bernoulli(ppb(100_000_000)), 100_000);
    let mut cells = [0.0; 5];
    for block in lost.chunks(4) {
        cells[block.iter().filter(|lost| **lost).count()] += 1.0;
    }
    let ways = [1.0, 4.0, 6.0, 4.0, 1.0];
    let expected = |k: usize| 25_000.0 * ways[k] * p.powi(k as i32) * (1.0 - p).powi(4 - k as i32);
    // The last two together: alone the last one is too rare.
    let cells = [
        (cells[0], expected(0)),
        (cells[1], expected(1)),
        (cells[2], expected(2)),
        (cells[3] + cells[4], expected(3) + expected(4)),
    ];
    assert!(chi_square(&cells) < 16.3, "{cells:?}");
}

#[test]
fn gilbert_elliott_bursts_are_geometric() {
    // Good to bad 1 %, bad to good 25 %, everything lost while bad: bursts of 4 on average, 1/26 of all packets.
    let loss = Loss::GilbertElliott {
        fail: ppb(10_000_000),
        recover: ppb(250_000_000),
        loss_good: Probability::ZERO,
        loss_bad: Probability::ONE,
    };
    assert_eq!(loss.mean_ppb(), 1_000_000_000 / 26);
    let lost = losses(2, loss, 400_000);
    let share = lost.iter().filter(|lost| **lost).count() as f64 / 400_000.0;
    // Losses within a burst depend on each other: about 3,800 bursts, whose mean is known to 1/sqrt(3,800) of itself.
    assert!((share * 26.0 - 1.0).abs() < 0.08, "{share}");
    let bursts: Vec<usize> = lost.split(|lost| !lost).map(<[bool]>::len).filter(|len| *len > 0).collect();
    let total = bursts.len() as f64;
    let cell = |len: usize| {
        let observed = bursts.iter().filter(|burst| **burst == len).count() as f64;
        (observed, total * 0.25 * 0.75_f64.powi(len as i32 - 1))
    };
    let mut cells: Vec<(f64, f64)> = (1..=12).map(cell).collect();
    cells.push((bursts.iter().filter(|len| **len > 12).count() as f64, total * 0.75_f64.powi(12)));
    // 12 degrees of freedom: 32.9 is exceeded once in a thousand seeds.
    assert!(chi_square(&cells) < 32.9, "{cells:?}");
}

#[test]
fn scripted_losses_are_exactly_these() {
    let lost = losses(3, Loss::Scripted(Script::new(vec![7, 0, 3, 3, 4])), 10);
    let expect: Vec<bool> = (0..10).map(|n| [0, 3, 4, 7].contains(&n)).collect();
    assert_eq!(lost, expect);
}

/// Largest distance between the empirical distribution of `sample` and `cdf`, times the square root of its size.
/// 1.95 is exceeded once in a thousand samples that do come from `cdf` (Kolmogorov).
fn kolmogorov_smirnov(mut sample: Vec<f64>, cdf: impl Fn(f64) -> f64) -> f64 {
    sample.sort_by(f64::total_cmp);
    let n = sample.len() as f64;
    let gap = |(i, x): (usize, &f64)| (cdf(*x) - i as f64 / n).abs().max((cdf(*x) - (i + 1) as f64 / n).abs());
    sample.iter().enumerate().map(gap).fold(0.0, f64::max) * n.sqrt()
}

#[test]
fn jitter_follows_its_distribution() {
    let ms = MS as f64;
    let normal = |x: f64| 0.5 * libm::erfc(-x / (2.0 * ms) / std::f64::consts::SQRT_2);
    let lomax = |x: f64| if x < 0.0 { 0.0 } else { 1.0 - (1.0 + x / (2.0 * ms)).powf(-2.5) };
    let samples = Samples::parse("# measured\n-1000000\n0\n\n3000000\n").unwrap();
    type Cdf<'a> = &'a dyn Fn(f64) -> f64;
    let rows: [(Jitter, Cdf, (i64, i64)); 3] = [
        (Jitter::Uniform { ns: 5 * MS }, &|x| (x + 5.0 * ms) / (10.0 * ms), (-5_000_000, 5_000_000)),
        (Jitter::Normal { sigma_ns: 2 * MS }, &normal, (-6_974_512, 6_974_512)),
        (Jitter::Pareto { scale_ns: 2 * MS, shape_milli: 2500 }, &lomax, (0, 53_711_570)),
    ];
    for (jitter, cdf, bounds) in rows {
        let (least, most) = jitter.bounds_ns();
        assert!((least - bounds.0).abs() < 2000 && (most - bounds.1).abs() < 100_000, "{jitter:?}: {least} {most}");
        // Packets far apart never wait for each other.
        let config = LinkConfig { delay_ns: 100 * MS, jitter: jitter.clone(), ..link() };
        let out = drive(5, config, &steady(SECOND, 20_000));
        let deviations = out.iter().map(|o| o.at as f64 - (o.packet as u64 * SECOND + 100 * MS) as f64).collect();
        let distance = kolmogorov_smirnov(deviations, cdf);
        assert!(distance < 1.95, "{jitter:?}: {distance}");
    }
    let out = drive(5, LinkConfig { delay_ns: MS, jitter: Jitter::Samples(samples), ..link() }, &steady(SECOND, 3000));
    let count = |ns: u64| out.iter().filter(|o| o.at % SECOND == ns).count() as f64;
    // Two degrees of freedom.
    assert!(chi_square(&[(count(0), 1000.0), (count(MS), 1000.0), (count(4 * MS), 1000.0)]) < 13.8);
}

#[test]
fn copies_follow_their_originals() {
    let out = drive(1, LinkConfig { duplicate: Probability::ONE, rate: bps(8_000_000), ..link() }, &steady(10 * MS, 3));
    assert_eq!(numbers(&out), [0, 0, 1, 1, 2, 2]);
    assert_eq!(times(&out), [1, 2, 11, 12, 21, 22].map(|ms| ms * MS));
}

#[test]
fn packets_leave_out_of_turn_when_asked_to() {
    let reordered = |reorder, delay_ns| {
        let mut net = net(9, LinkConfig { delay_ns, reorder, ..link() });
        let out = net.drive(&steady(MS, 1000));
        (out, net.counters().reordered)
    };
    let share = ppb(100_000_000);
    // Late by 2.5 ms: two others overtake. The late one is the reordered one (RFC 4737).
    let (out, count) = reordered(Reorder::Share { share, shift: Shift::Behind(2_500 * US) }, 10 * MS);
    let late = |o: &&Out| o.at == o.packet as u64 * MS + 12_500 * US;
    assert_eq!(out.iter().filter(late).count() as u64, count);
    assert!((70..=130).contains(&count), "{count}");
    assert_eq!(
        out.iter().filter(|o| !late(o)).count(),
        out.iter().filter(|o| o.at == o.packet as u64 * MS + 10 * MS).count()
    );
    // Early by 2.5 ms: both that were overtaken count as reordered. Never before the packet was sent.
    let (out, count) = reordered(Reorder::Share { share, shift: Shift::Ahead(2_500 * US) }, 10 * MS);
    assert!((130..=260).contains(&count), "{count}");
    assert!(out.iter().all(|o| [7_500, 10_000].contains(&((o.at - o.packet as u64 * MS) / US))));
    let (out, _) = reordered(Reorder::Share { share, shift: Shift::Ahead(SECOND) }, MS);
    assert!(out.iter().all(|o| [0, MS].contains(&(o.at - o.packet as u64 * MS))));
    // By jitter, as netem does.
    let jitter = Jitter::Uniform { ns: 5 * MS };
    let mut net = net(9, LinkConfig { delay_ns: 10 * MS, jitter, reorder: Reorder::ByJitter, ..link() });
    let out = net.drive(&steady(MS, 1000));
    assert!(net.counters().reordered > 300 && out.windows(2).all(|w| w[0].at <= w[1].at));
}

#[test]
fn queues_hold_what_fits() {
    // 1,000 bytes take 1 ms; ten come at once. The one being sent takes up room too.
    let check = |limit, expect: usize| {
        let queue = Queue { limit, ..Queue::default() };
        let mut net = net(1, LinkConfig { rate: bps(8_000_000), queue, ..link() });
        assert_eq!(net.drive(&steady(0, 10)).len(), expect, "{limit:?}");
        assert_eq!(net.counters().queue_full, 10 - expect as u64);
    };
    check(Limit::Unbounded, 10);
    check(Limit::Bytes(3_999), 3);
    check(Limit::Bytes(4_000), 4);
    check(Limit::Packets(4), 4);
}

/// Ten times the packets a link of 8 Mbit/s can carry, for two seconds: one per 100 us.
fn overload(discipline: Discipline, ecn: bool, mark: Ecn) -> (Vec<Out>, netsim_fabric::LinkCounters) {
    let queue = Queue { limit: Limit::Unbounded, discipline, ecn };
    let (mut net, mut out) = (net(1, LinkConfig { rate: bps(8_000_000), queue, ..link() }), Vec::new());
    for n in 0..20_000 {
        net.run_until(n * 100 * US, &mut out);
        net.send(n * 100 * US, n as usize, 972, 1, mark);
    }
    let counters = net.counters();
    net.run_until(u64::MAX, &mut out);
    (out, counters)
}

#[test]
fn codel_drops_as_in_its_rfc() {
    let (out, counters) = overload(Discipline::CoDel(CoDelConfig::default()), false, Ecn::NotCapable);
    assert!(counters.aqm > 0 && counters.queue_full == 0);
    // Packet k is sent at k ms and came at k / 10 ms. The wait reaches 5 ms with packet 6, sent at 6 ms: 100 ms later,
    // packet 106 is the first to go. The n-th gap is 100 ms / sqrt(n); drops happen when a packet is about to be sent, at
    // whole milliseconds. A dropped packet takes no time, so packet numbers run ahead of milliseconds by drops.
    let sent: Vec<usize> = numbers(&out);
    let dropped: Vec<usize> = (0..2000).filter(|n| sent.binary_search(n).is_err()).collect();
    let mut expect = Vec::new();
    let (mut due, mut n) = (106.0_f64, 0_u32);
    while expect.len() < 20 {
        expect.push(due.ceil() as usize + expect.len());
        n += 1;
        due += 100.0 / f64::from(n).sqrt();
    }
    assert_eq!(dropped[..20], expect);
}

#[test]
fn marks_take_the_place_of_drops() {
    let red = RedConfig { min_bytes: 20_000, max_bytes: 20_000_000, max_probability: ppb(20_000_000), weight_shift: 9 };
    for discipline in [Discipline::CoDel(CoDelConfig::default()), Discipline::Red(red)] {
        let (out, counters) = overload(discipline, true, Ecn::Capable1);
        let marked = out.iter().filter(|o| o.ecn == Ecn::CongestionExperienced).count();
        assert!(marked > 10 && counters.aqm == 0, "{discipline:?}: {marked} marked, {} dropped", counters.aqm);
        assert!(out.iter().all(|o| o.ecn != Ecn::NotCapable && o.ecn != Ecn::Capable0));
        // Without the sender's or the queue's consent packets are dropped.
        for (ecn, mark) in [(true, Ecn::NotCapable), (false, Ecn::Capable1)] {
            let (out, counters) = overload(discipline, ecn, mark);
            assert!(counters.aqm > 10 && counters.marked == 0, "{discipline:?}");
            assert!(out.iter().all(|o| o.ecn == mark));
        }
    }
}

#[test]
fn red_keeps_short_bursts_and_stops_long_ones() {
    let red = RedConfig { min_bytes: 20_000, max_bytes: 60_000, max_probability: ppb(20_000_000), weight_shift: 9 };
    let config = LinkConfig {
        rate: bps(8_000_000),
        queue: Queue { discipline: Discipline::Red(red), ..Queue::default() },
        ..link()
    };
    assert_eq!(drive(1, config, &steady(0, 60)).len(), 60, "a burst of 60,000 bytes moves the average little");
    let (_, counters) = overload(Discipline::Red(red), false, Ecn::NotCapable);
    // The average settles where as much is dropped as is too much: between the thresholds of the gentle ramp.
    assert!((17_000..18_100).contains(&counters.aqm), "{}", counters.aqm);
    assert!(counters.peak_queueing_ns < 500 * MS, "{}", counters.peak_queueing_ns);
}

#[test]
fn traces_are_replayed_as_mahimahi_does() {
    let trace = |text: &str| Rate::Trace(Arc::new(Trace::parse(text).unwrap()));
    let check = |text: &str, packets: &[(u64, u32)], expect: &[u64]| {
        let mut net = net(1, LinkConfig { rate: trace(text), ..link() });
        let mut out = Vec::new();
        for (index, &(us, len)) in packets.iter().enumerate() {
            net.run_until(us * US, &mut out);
            net.send(us * US, index, len - 28, 1, Ecn::NotCapable);
        }
        net.run_until(100 * MS, &mut out);
        assert_eq!(times(&out), expect.iter().map(|ms| ms * MS).collect::<Vec<_>>(), "{text:?} {packets:?}");
    };
    // Opportunities at 2, 2, 5 and 10 ms, then 12, 12, 15 and 20.
    let text = "2\n2\n5\n10\n";
    check(text, &[(0, 1500), (0, 1500), (0, 1500), (0, 1500), (0, 1500)], &[2, 2, 5, 10, 12]);
    // Small packets share an opportunity; what is left of it goes to the next one's beginning.
    check(text, &[(0, 600), (0, 600), (0, 600), (0, 1500)], &[2, 2, 2, 5]);
    // What is left over is lost when nothing waits, and an opportunity at the very moment has passed.
    check(text, &[(0, 100), (2_000, 1500), (5_000, 1500)], &[2, 5, 10]);
    // One larger than an opportunity takes two and leaves with the second.
    check(text, &[(0, 3000), (0, 1500), (0, 100)], &[2, 5, 10]);
    check(text, &[(7_000, 2000), (7_000, 1000)], &[12, 12]);
    // The length is the last line: 0 comes again with it.
    check("0\n4\n", &[(1_000, 1500), (1_000, 1500), (1_000, 1500), (1_000, 1500)], &[4, 4, 8, 8]);
}

#[test]
fn broken_traces_are_named() {
    let error = |text: &str| Trace::parse(text).unwrap_err();
    assert_eq!(error("# nothing\n\n"), LineError::Empty);
    assert_eq!(error("0\n0\n"), LineError::NoDuration);
    assert_eq!(error("1\nx\n"), LineError::NotANumber { line: 2, text: "x".into() });
    assert_eq!(error("1\n-2\n").to_string(), "line 2: `-2` is not a whole number in range");
    assert_eq!(error("5\n\n4\n").to_string(), "line 3: 4 ms comes after 5 ms; times must not decrease");
    let step = |from_ns, rate_bps| Step { from_ns, rate_bps, extra_delay_ns: 0 };
    let error = |steps: &[Step], period| Schedule::new(steps.to_vec(), NonZeroU64::new(period)).unwrap_err();
    assert_eq!(error(&[], 0), ScheduleError::Start);
    assert_eq!(error(&[step(1, 1)], 0), ScheduleError::Start);
    assert_eq!(error(&[step(0, 1), step(5, 1), step(5, 2)], 0), ScheduleError::Order { step: 3 });
    assert_eq!(error(&[step(0, 1), step(5, 1)], 5), ScheduleError::Period);
    assert_eq!(error(&[step(0, 0), step(5, 0)], 9), ScheduleError::NothingSent);
}

#[test]
fn recorded_traces_parse() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/traces");
    let Ok(files) = std::fs::read_dir(folder) else {
        println!("skipped: there are no recorded traces at {folder}");
        return;
    };
    for path in files.map(|file| file.unwrap().path()).filter(|path| path.extension().is_none_or(|ext| ext != "md")) {
        let trace = Trace::parse(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert!(trace.times_ms().len() > 1000 && trace.mean_bps() > 100_000, "{}", path.display());
    }
}

#[test]
fn synthetic_traces_are_what_the_model_says() {
    let model = Cellular {
        mean_bps: 12_000_000,
        spread_milli: 500,
        memory_ms: 1000,
        between_outages_ms: 0,
        outage_ms: 0,
        duration_ms: 600_000,
    };
    let trace = model.trace(1).unwrap();
    assert_eq!(trace.period_ms(), 600_000);
    // 300 independent stretches of two memories, each with deviation 0.53 of its mean: 3 % of standard error.
    let ratio = trace.mean_bps() as f64 / 12e6;
    assert!((0.88..1.12).contains(&ratio), "{ratio}");
    assert_eq!(Trace::parse(&model.text(1).unwrap()).unwrap(), trace);
    assert_ne!(model.trace(2).unwrap(), trace);
    let longest = |trace: &Trace| trace.times_ms().windows(2).map(|w| w[1] - w[0]).max().unwrap();
    assert!(longest(&trace) < 100, "{}", longest(&trace));
    let broken = Cellular { between_outages_ms: 10_000, outage_ms: 1000, ..model }.trace(1).unwrap();
    assert!(longest(&broken) > 1000, "{}", longest(&broken));
    // 10 of 11 seconds are outside outages.
    let share = broken.mean_bps() as f64 / trace.mean_bps() as f64;
    assert!((0.8..0.97).contains(&share), "{share}");
}

#[test]
fn schedules_change_rate_and_delay() {
    let steps = vec![
        Step { from_ns: 0, rate_bps: 8_000_000, extra_delay_ns: 0 },
        Step { from_ns: 3 * MS, rate_bps: 0, extra_delay_ns: 0 },
        Step { from_ns: 10 * MS, rate_bps: 16_000_000, extra_delay_ns: 5 * MS },
    ];
    let rate = Rate::Schedule(Schedule::new(steps, NonZeroU64::new(20 * MS)).unwrap());
    assert_eq!(rate.mean_bps().unwrap().get(), (3 * 8_000_000 + 10 * 16_000_000) / 20);
    let config = LinkConfig { rate, delay_ns: MS, ..link() };
    // 1,000 bytes take 1 ms, later half; three fit before the outage, then 20 in 10 ms, then the schedule repeats.
    let out = drive(1, config.clone(), &steady(0, 25));
    let fast = (1..=20).map(|n| 10 * MS + n * 500 * US + 6 * MS);
    let mut expect: Vec<u64> = [2, 3, 4].map(|ms| ms * MS).into_iter().chain(fast).collect();
    // The last one of the fast stretch is sent as the next round begins, without the extra delay; order is kept.
    expect[22] = expect[21];
    // Those after it would be there at 22 and 23 ms, but must not overtake.
    expect.extend([expect[21], expect[21]]);
    assert_eq!(times(&out), expect);
    // One that is being sent when the outage begins finishes after it.
    let out = drive(1, config, &[(2_500 * US, 972, 1)]);
    assert_eq!(times(&out), [10 * MS + 250 * US + 6 * MS]);
}

#[test]
fn large_packets_are_refused() {
    for (oversize, cause) in [(Oversize::TooBig, Cause::TooBig), (Oversize::BlackHole, Cause::BlackHole)] {
        let mut net = net(1, LinkConfig { mtu: Some(Mtu { bytes: 1400, oversize }), ..link() });
        let out = net.drive(&[(0, 1372, 1), (0, 1373, 1), (0, 1373, 3), (0, 1372, 3)]);
        assert_eq!(numbers(&out), [0, 3, 3, 3]);
        let drops: Vec<_> = net.counters().by_cause().into_iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(drops, [(cause, 4)]);
    }
}

/// Four packets at 0 into a link that takes 1 ms for each, a change at 1.5 ms, another two packets at 2 ms, a change
/// back at 10 ms.
fn changed(change: impl Fn(&mut LinkConfig)) -> (Vec<Out>, netsim_fabric::LinkCounters) {
    let config = LinkConfig { rate: bps(8_000_000), delay_ns: 5 * MS, ..link() };
    let mut other = config.clone();
    change(&mut other);
    let (mut net, mut out) = (net(1, config.clone()), Vec::new());
    for n in 0..4 {
        net.send(0, n, 972, 1, Ecn::NotCapable);
    }
    net.run_until(1_500 * US, &mut out);
    net.fabric.set_link(Time::from_nanos(1_500 * US), net.link, other);
    net.run_until(2 * MS, &mut out);
    net.send(2 * MS, 4, 972, 1, Ecn::NotCapable);
    net.send(2 * MS, 5, 972, 1, Ecn::NotCapable);
    net.run_until(10 * MS, &mut out);
    net.fabric.set_link(Time::from_nanos(10 * MS), net.link, config);
    net.run_until(u64::MAX, &mut out);
    (out, net.counters())
}

#[test]
fn links_change_while_they_run() {
    let check = |name: &str, change: &dyn Fn(&mut LinkConfig), packets: &[usize], half_ms: &[u64], down: u64| {
        let (out, counters) = changed(change);
        assert_eq!(numbers(&out), packets, "{name}");
        assert_eq!(times(&out), half_ms.iter().map(|half| half * 500 * US).collect::<Vec<_>>(), "{name}");
        assert_eq!((counters.down, counters.dropped(), counters.queued()), (down, down, 0), "{name}");
    };
    let all = [0, 1, 2, 3, 4, 5];
    check("nothing", &|_| {}, &all, &[12, 14, 16, 18, 20, 22], 0);
    // Packet 1 is being sent and finishes at 2 ms; the others take 2 ms each.
    check("slower", &|c| c.rate = bps(4_000_000), &all, &[12, 14, 18, 22, 26, 30], 0);
    check("no limit", &|c| c.rate = Rate::Unlimited, &all, &[12, 14, 14, 14, 14, 14], 0);
    // What is under way or being sent arrives as it would have; followers do not overtake it.
    check("nearer", &|c| c.delay_ns = 0, &all, &[12, 14, 14, 14, 14, 14], 0);
    check("farther", &|c| c.delay_ns = 10 * MS, &all, &[12, 14, 26, 28, 30, 32], 0);
    // Packets 2 and 3 were waiting, 4 and 5 come while it is down.
    check("down, drop", &|c| c.state = LinkState::Down(Outage::Drop), &[0, 1], &[12, 14], 4);
    check("down, hold", &|c| c.state = LinkState::Down(Outage::Hold), &all, &[12, 14, 32, 34, 36, 38], 0);
}

#[test]
fn a_link_that_goes_down_within_a_super_packet_is_not_waited_for() {
    // Ten segments of 1 ms that may leave together within 20 ms; down at 2.5 ms, when three have been begun.
    let config = LinkConfig { rate: bps(8_000_000), coalesce_ns: 20 * MS, ..link() };
    let (mut net, mut out) = (net(1, config.clone()), Vec::new());
    net.send(0, 0, 972, 10, Ecn::NotCapable);
    net.run_until(2_500 * US, &mut out);
    let hold = LinkConfig { state: LinkState::Down(Outage::Hold), ..config.clone() };
    net.fabric.set_link(Time::from_nanos(2_500 * US), net.link, hold);
    net.run_until(100 * MS, &mut out);
    net.fabric.set_link(Time::from_nanos(100 * MS), net.link, config);
    net.run_until(u64::MAX, &mut out);
    // Payload segments of 972 bytes under 28 of header.
    let expect: Vec<u64> = [[3; 3].as_slice(), &[107; 7]].concat().iter().map(|ms| ms * MS).collect();
    assert_eq!(times(&out), expect);
}
