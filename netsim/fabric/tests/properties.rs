//! What must hold for every traffic over every link: conservation, order, rate, and decisions that follow the seed.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{MS, Net, Out, Sent, bps, drive, net, ppb};
use netsim_fabric::{
    CoDelConfig, Discipline, Ecn, Jitter, Limit, LinkConfig, LinkState, Loss, Manner, Mtu, Outage, Oversize,
    Probability, Queue, Rate, RedConfig, Reorder, Samples, Schedule, Script, Shift, Step, Time, Trace,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::Arc;

fn traffic() -> impl Strategy<Value = Vec<Sent>> {
    proptest::collection::vec((0_u64..2_000_000, 1_u32..1400, 1_u16..40), 1..100)
}

fn probability() -> impl Strategy<Value = Probability> {
    prop_oneof![2 => Just(Probability::ZERO), 1 => (0_u32..300_000_000).prop_map(ppb)]
}

fn loss() -> impl Strategy<Value = Loss> {
    let burst = (probability(), 1_u32..1_000_000_000, probability(), probability());
    prop_oneof![
        Just(Loss::None),
        probability().prop_map(Loss::Bernoulli),
        burst.prop_map(|(fail, recover, loss_good, loss_bad)| Loss::GilbertElliott {
            fail,
            recover: ppb(recover),
            loss_good,
            loss_bad
        }),
        proptest::collection::vec(0_u64..500, 0..50).prop_map(|numbers| Loss::Scripted(Script::new(numbers))),
    ]
}

fn jitter() -> impl Strategy<Value = Jitter> {
    prop_oneof![
        2 => Just(Jitter::None),
        1 => (0_u64..20_000_000).prop_map(|ns| Jitter::Uniform { ns }),
        1 => (0_u64..5_000_000).prop_map(|sigma_ns| Jitter::Normal { sigma_ns }),
        1 => (0_u64..5_000_000, 1_500_u32..4_000)
            .prop_map(|(scale_ns, shape_milli)| Jitter::Pareto { scale_ns, shape_milli }),
        1 => proptest::collection::vec(-3_000_000_i64..9_000_000, 1..20)
            .prop_map(|samples| Jitter::Samples(Samples::new(samples).unwrap())),
    ]
}

/// A rate schedule of a few steps, some of them outages, repeated.
fn schedule() -> impl Strategy<Value = Rate> {
    let step = (1_u64..50_000_000, prop_oneof![Just(0_u64), 100_000_u64..500_000_000], 0_u64..10_000_000);
    (100_000_u64..500_000_000, proptest::collection::vec(step, 0..5)).prop_map(|(first, rest)| {
        let mut steps = vec![Step { from_ns: 0, rate_bps: first, extra_delay_ns: 0 }];
        let mut from_ns = 0;
        for (after, rate_bps, extra_delay_ns) in rest {
            from_ns += after;
            steps.push(Step { from_ns, rate_bps, extra_delay_ns });
        }
        Rate::Schedule(Schedule::new(steps, NonZeroU64::new(from_ns + 7_000_000)).unwrap())
    })
}

fn trace() -> impl Strategy<Value = Rate> {
    proptest::collection::vec(0_u32..200, 1..200).prop_map(|mut times| {
        times.sort_unstable();
        let text: String = times.iter().chain([&200]).map(|ms| format!("{ms}\n")).collect();
        Rate::Trace(Arc::new(Trace::parse(&text).unwrap()))
    })
}

fn limited_rate() -> impl Strategy<Value = Rate> {
    prop_oneof![2 => (100_000_u64..2_000_000_000).prop_map(bps), 1 => schedule(), 1 => trace()]
}

fn queue() -> impl Strategy<Value = Queue> {
    let limit = prop_oneof![
        Just(Limit::Unbounded),
        (1_500_u64..500_000).prop_map(Limit::Bytes),
        (1_u64..300).prop_map(Limit::Packets)
    ];
    let red = RedConfig { min_bytes: 5_000, max_bytes: 30_000, max_probability: ppb(100_000_000), weight_shift: 4 };
    let discipline = prop_oneof![
        2 => Just(Discipline::DropTail),
        1 => Just(Discipline::CoDel(CoDelConfig { target_ns: MS, interval_ns: 10 * MS })),
        1 => Just(Discipline::Red(red)),
    ];
    (limit, discipline, any::<bool>()).prop_map(|(limit, discipline, ecn)| Queue { limit, discipline, ecn })
}

fn reorder() -> impl Strategy<Value = Reorder> {
    let shift = prop_oneof![(0_u64..9_000_000).prop_map(Shift::Behind), (0_u64..90_000_000).prop_map(Shift::Ahead)];
    prop_oneof![
        Just(Reorder::ByJitter),
        (probability(), shift).prop_map(|(share, shift)| Reorder::Share { share, shift })
    ]
}

fn mtu() -> impl Strategy<Value = Option<Mtu>> {
    let oversize = prop_oneof![Just(Oversize::TooBig), Just(Oversize::BlackHole)];
    proptest::option::of((300_u32..1500, oversize).prop_map(|(bytes, oversize)| Mtu { bytes, oversize }))
}

/// A link that keeps order, with everything else.
fn config() -> impl Strategy<Value = LinkConfig> {
    let rate = prop_oneof![1 => Just(Rate::Unlimited), 2 => limited_rate()];
    let coalesce = prop_oneof![Just(0_u64), Just(100_000)];
    ((mtu(), loss(), probability(), probability()), (queue(), rate, 0_u64..50_000_000, jitter(), coalesce)).prop_map(
        |((mtu, loss, duplicate, corrupt), (queue, rate, delay_ns, jitter, coalesce_ns))| LinkConfig {
            manner: Manner::Wire,
            state: LinkState::Up,
            mtu,
            loss,
            duplicate,
            corrupt,
            queue,
            rate,
            delay_ns,
            jitter,
            reorder: Reorder::Never,
            coalesce_ns,
        },
    )
}

/// What happened to packet and copy number n, whatever it was called.
fn conserved(net: &Net, out: &[Out], sent: u64) -> Result<(), TestCaseError> {
    let counters = net.counters();
    prop_assert_eq!(counters.packets, sent);
    prop_assert_eq!(counters.delivered, out.len() as u64);
    prop_assert_eq!(counters.packets + counters.duplicated, counters.delivered + counters.dropped());
    prop_assert_eq!(counters.queued(), 0);
    prop_assert_eq!(counters.delivered_bytes, out.iter().map(|o| u64::from(o.len)).sum::<u64>());
    let marked = out.iter().filter(|o| o.ecn == Ecn::CongestionExperienced).count() as u64;
    // What is marked may still be dropped by a discipline that comes later.
    prop_assert!(marked <= counters.marked);
    prop_assert!(out.iter().filter(|o| o.damaged).count() as u64 <= counters.corrupted);
    Ok(())
}

proptest! {
    /// In = delivered + dropped by cause + queued, with everything switched on, reordering and changes on the way too.
    #[test]
    fn packets_are_conserved(
        seed: u64, config in config(), reorder in reorder(), reorders: bool, traffic in traffic(), other in config(),
        down in prop_oneof![Just(LinkState::Up), Just(LinkState::Down(Outage::Drop)), Just(LinkState::Down(Outage::Hold))],
        as_netem: bool,
    ) {
        let reorder = if reorders { reorder } else { Reorder::Never };
        let config = LinkConfig { reorder, ..config };
        let sent: u64 = traffic.iter().map(|&(_, _, segments)| u64::from(segments)).sum();
        let mut plain = net(seed, config.clone());
        let out = plain.drive(&traffic);
        conserved(&plain, &out, sent)?;
        prop_assert_eq!(plain.counters().marked, out.iter().filter(|o| o.ecn == Ecn::CongestionExperienced).count() as u64);

        let manner = if as_netem { Manner::Netem } else { Manner::Wire };
        let mut changed = net(seed, LinkConfig { manner, ..config });
        let (mut now, mut out) = (0, Vec::new());
        for (index, &(gap, len, segments)) in traffic.iter().enumerate() {
            now += gap;
            changed.run_until(now, &mut out);
            changed.send(now, index, len, segments, Ecn::Capable1);
            let at = Time::from_nanos(now);
            match index {
                20 => changed.fabric.set_link(at, changed.link, LinkConfig { state: down, ..other.clone() }),
                40 => changed.fabric.set_link(at, changed.link, other.clone()),
                _ => {}
            }
        }
        changed.fabric.set_link(Time::from_nanos(now), changed.link, other);
        changed.run_until(u64::MAX, &mut out);
        conserved(&changed, &out, sent)?;
    }

    /// Packets leave in the order they came, jitter or not, and never before their delay has passed.
    #[test]
    fn order_is_kept(seed: u64, config in config(), traffic in traffic()) {
        let (earliest, _) = config.jitter.bounds_ns();
        let least = config.delay_ns.saturating_add_signed(earliest);
        let mut net = net(seed, config);
        let out = net.drive(&traffic);
        prop_assert!(out.windows(2).all(|w| (w[0].packet, w[0].segment) <= (w[1].packet, w[1].segment)), "of packets");
        prop_assert!(out.windows(2).all(|w| w[0].at <= w[1].at), "of times");
        prop_assert_eq!(net.counters().reordered, 0);
        let mut arrival = 0;
        let arrivals: Vec<u64> = traffic.iter().map(|t| { arrival += t.0; arrival }).collect();
        for o in out {
            prop_assert!(o.at >= arrivals[o.packet] + least);
        }
    }

    /// How often and when the fabric is asked changes nothing.
    #[test]
    fn results_do_not_depend_on_polling(
        seed: u64, config in config(), reorder in reorder(), reorders: bool, traffic in traffic(),
        pauses in proptest::collection::vec(0_u64..3_000_000, 1..50),
    ) {
        let config = LinkConfig { reorder: if reorders { reorder } else { Reorder::Never }, ..config };
        let mut awake = net(seed, config.clone());
        let expect = awake.drive(&traffic);
        // Another one sleeps through and reads everything late, or looks at odd times.
        let (mut sleepy, mut now, mut looked, mut out) = (net(seed, config), 0, 0, Vec::new());
        let mut pauses = pauses.iter().cycle();
        for (index, &(gap, len, segments)) in traffic.iter().enumerate() {
            now += gap;
            while looked + pauses.clone().next().unwrap() <= now {
                looked += pauses.next().unwrap() + 1;
                sleepy.poll(looked.min(now), &mut out);
            }
            sleepy.send(now, index, len, segments, Ecn::Capable0);
        }
        sleepy.run_until(u64::MAX, &mut out);
        prop_assert_eq!(out, expect);
        prop_assert_eq!(sleepy.counters(), awake.counters());
    }

    /// A super-packet fares as its segments would have, one by one.
    #[test]
    fn super_packets_fare_as_their_segments(
        seed: u64, config in config(), len in 1_u32..1400, segments in 2_u16..40, packets in 1_usize..10, gap in 0_u64..2_000_000,
    ) {
        let config = LinkConfig { coalesce_ns: 0, ..config };
        let times = |out: Vec<Out>| -> Vec<(u64, u32, Ecn, bool)> {
            out.iter().map(|o| (o.at, o.len, o.ecn, o.damaged)).collect()
        };
        let together: Vec<Sent> = (0..packets).map(|_| (gap, len, segments)).collect();
        let apart: Vec<Sent> = together.iter().flat_map(|&(gap, len, segments)| {
            (0..segments).map(move |n| (if n == 0 { gap } else { 0 }, len, 1))
        }).collect();
        prop_assert_eq!(times(drive(seed, config.clone(), &together)), times(drive(seed, config, &apart)));
    }

    /// Over any window, no more bytes leave than the rate allows (to the rounding of one nanosecond).
    #[test]
    fn rate_is_never_exceeded(seed: u64, config in config(), rate in 100_000_u64..2_000_000_000, traffic in traffic()) {
        // Jitter behind the serialiser may bunch packets, and coalescing does so on purpose.
        let config = LinkConfig { jitter: Jitter::None, coalesce_ns: 0, rate: bps(rate), ..config };
        let out = drive(seed, config, &traffic);
        let mut sent = 0_u128;
        let mut least_slack = i128::MAX;
        // sum(i+1..=j) * 8e9 / rate <= t_j - t_i + 1 for all i < j, in one pass: compare with the best start so far.
        for Out { at, len, .. } in out {
            let at = i128::from(at) * i128::from(rate);
            let bits = i128::try_from(sent).unwrap() * 8_000_000_000;
            sent += u128::from(len);
            let with_this = i128::try_from(sent).unwrap() * 8_000_000_000;
            if least_slack != i128::MAX {
                prop_assert!(with_this - at <= least_slack + i128::from(rate), "too fast");
            }
            least_slack = least_slack.min(bits + i128::from(len) * 8_000_000_000 - at);
        }
    }

    /// The same for a schedule: what leaves in a window fits into the integral of the rate over it.
    #[test]
    fn schedules_are_never_exceeded(seed: u64, rate in schedule(), traffic in traffic()) {
        let Rate::Schedule(schedule) = &rate else { unreachable!() };
        // Steps with the same delay, so that arrivals are departures.
        let steps: Vec<Step> = schedule.steps().iter().map(|step| Step { extra_delay_ns: 0, ..*step }).collect();
        let period = steps.last().unwrap().from_ns + 7_000_000;
        let integral = |until: u64| -> u128 {
            let ends = steps.iter().skip(1).map(|step| step.from_ns).chain([period]);
            let over = |until: u64| -> u128 {
                steps.iter().zip(ends.clone()).map(|(step, end)| {
                    u128::from(end.min(until).saturating_sub(step.from_ns)) * u128::from(step.rate_bps)
                }).sum()
            };
            u128::from(until / period) * over(period) + over(until % period)
        };
        let rate = Rate::Schedule(Schedule::new(steps.clone(), NonZeroU64::new(period)).unwrap());
        let out = drive(seed, LinkConfig { rate, ..LinkConfig::default() }, &traffic);
        let fastest = u128::from(steps.iter().map(|step| step.rate_bps).max().unwrap());
        let (mut bits, mut most) = (0_u128, None::<i128>);
        for Out { at, len, .. } in out {
            let done = integral(at);
            bits += u128::from(len) * 8_000_000_000;
            // bits(i+1..=j) <= integral(t_i..t_j) + rounding, for all i < j.
            let slack = done as i128 - bits as i128;
            if let Some(before) = most {
                prop_assert!(slack + 2 * fastest as i128 >= before, "too fast");
            }
            most = Some(most.map_or(slack, |before| before.max(slack)));
        }
    }

    /// And for a trace: no more than 1,500 bytes per opportunity, counted over any window of whole milliseconds.
    #[test]
    fn traces_are_never_exceeded(seed: u64, rate in trace(), traffic in traffic()) {
        let Rate::Trace(trace) = &rate else { unreachable!() };
        let (times, period) = (trace.times_ms().to_vec(), u64::from(trace.period_ms()));
        let out = drive(seed, LinkConfig { rate: rate.clone(), ..LinkConfig::default() }, &traffic);
        let mut bytes: BTreeMap<u64, u64> = BTreeMap::new();
        for o in &out {
            prop_assert_eq!(o.at % MS, 0, "leaves at an opportunity");
            *bytes.entry(o.at / MS).or_default() += u64::from(o.len);
        }
        let opportunities = |from: u64, to: u64| -> u64 {
            (from..=to).map(|ms| {
                let at = |ms: u64| times.iter().filter(|time| u64::from(**time) == ms).count() as u64;
                at(ms % period) + if ms % period == 0 && ms > 0 { at(period) } else { 0 }
            }).sum()
        };
        let busy: Vec<(&u64, &u64)> = bytes.iter().collect();
        for window in [1, 2, 5, 20] {
            for part in busy.windows(window) {
                let sent: u64 = part.iter().map(|(_, bytes)| **bytes).sum();
                // The first packet may have been begun before the window.
                let allowed = opportunities(*part[0].0, *part[window - 1].0) * 1500;
                prop_assert!(sent <= allowed + 1428, "{} > {}", sent, allowed);
            }
        }
    }

    /// A link that is kept busy is not slower than its rate either.
    #[test]
    fn rate_is_reached(rate in 100_000_u64..2_000_000_000, len in 1_u32..1400, count in 2_u16..500) {
        let traffic: Vec<Sent> = (0..count).map(|_| (0, len, 1)).collect();
        let out = drive(0, LinkConfig { rate: bps(rate), ..LinkConfig::default() }, &traffic);
        let bits = u128::from(count) * u128::from(28 + len) * 8;
        let expect = u64::try_from((bits * 1_000_000_000).div_ceil(u128::from(rate))).unwrap();
        prop_assert_eq!(out.last().unwrap().at, expect);
    }

    /// The queue never holds more bytes than it may.
    #[test]
    fn queue_is_bounded(seed: u64, config in config(), traffic in traffic(), rate in 100_000_u64..100_000_000, limit in 1_500_u64..500_000) {
        let queue = Queue { limit: Limit::Bytes(limit), ..config.queue };
        let mut net = net(seed, LinkConfig { jitter: Jitter::None, rate: bps(rate), queue, ..config });
        net.drive(&traffic);
        let peak = u128::from(net.counters().peak_queueing_ns);
        prop_assert!(peak * u128::from(rate) / 8_000_000_000 <= u128::from(limit));
    }

    /// Which packets are lost, doubled, damaged or sent out of turn follows from the seed alone: not from arrival times,
    /// sizes, rates, jitter, or from which other stages are on.
    #[test]
    fn decisions_follow_the_seed(
        seed: u64, loss in loss(), duplicate in probability(), corrupt in probability(), share in probability(),
        first in traffic(), second in traffic(), jitter in jitter(), rate in limited_rate(),
    ) {
        let plain = LinkConfig { delay_ns: 10 * MS, ..LinkConfig::default() };
        let everything = LinkConfig {
            loss: loss.clone(), duplicate, corrupt,
            reorder: Reorder::Share { share, shift: Shift::Behind(1_000) },
            jitter, rate, ..plain
        };
        // Per packet number: how many came out, how many of them damaged.
        let fates = |config, traffic: &[Sent]| {
            let mut firsts = Vec::new();
            let mut number = 0;
            for &(_, _, segments) in traffic {
                firsts.push(number);
                number += usize::from(segments);
            }
            let mut fates = vec![(0, 0); number];
            for o in drive(seed, config, traffic) {
                let fate: &mut (u32, u32) = &mut fates[firsts[o.packet] + usize::from(o.segment)];
                *fate = (fate.0 + 1, fate.1 + u32::from(o.damaged));
            }
            fates
        };
        let all = fates(everything.clone(), &first);
        let lossy = fates(LinkConfig { loss, ..plain.clone() }, &first);
        let double = fates(LinkConfig { duplicate, ..plain.clone() }, &first);
        let broken = fates(LinkConfig { corrupt, duplicate, ..plain }, &first);
        for (((all, lossy), double), broken) in all.iter().zip(&lossy).zip(&double).zip(&broken) {
            prop_assert_eq!(all.0, lossy.0 * double.0);
            prop_assert_eq!(all.1, lossy.0 * broken.1);
        }
        let other = fates(everything, &second);
        let common = all.len().min(other.len());
        prop_assert_eq!(&all[..common], &other[..common]);
    }
}

#[test]
fn restart_replays_the_same_decisions() {
    let config = LinkConfig {
        loss: Loss::Bernoulli(ppb(100_000_000)),
        duplicate: ppb(50_000_000),
        corrupt: ppb(50_000_000),
        reorder: Reorder::Share { share: ppb(50_000_000), shift: Shift::Behind(3 * MS) },
        ..LinkConfig::default()
    };
    let traffic: Vec<Sent> = (0..500).map(|_| (1000, 100, 3)).collect();
    let mut net = net(42, config);
    let first = net.drive(&traffic);
    let trace = net.counters().impairment_trace;
    net.fabric.restart(Time::ZERO, 43);
    assert_ne!(net.drive(&traffic), first);
    assert_ne!(net.counters().impairment_trace, trace);
    net.fabric.restart(Time::ZERO, 42);
    assert_eq!(net.drive(&traffic), first);
    assert_eq!(net.counters().impairment_trace, trace);
}

#[test]
fn the_trace_of_loss_alone_is_what_it_always_was() {
    // Stored records are compared by it: SplitMix64's finaliser over the numbers of the lost packets, counted from 1.
    let mix = |mut z: u64| {
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    };
    let mut net = net(1, LinkConfig { loss: Loss::Bernoulli(ppb(10_000_000)), ..LinkConfig::default() });
    let came: Vec<u16> = net.drive(&[(1000, 100, 4000)]).iter().map(|o| o.segment).collect();
    let lost = (0..4000_u16).filter(|n| came.binary_search(n).is_err());
    let expect = lost.fold(0, |trace, n| mix(trace ^ (u64::from(n) + 1)));
    assert_ne!(expect, 0);
    assert_eq!(net.counters().impairment_trace, expect);
}
