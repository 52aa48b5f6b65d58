//! What `netem` does otherwise than a wire, by its source: `netem_enqueue` in `net/sched/sch_netem.c`.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{MS, Out, Sent, bps, drive, net, ppb};
use netsim_fabric::{Jitter, Limit, LinkConfig, Loss, Manner, Queue};
use std::collections::BTreeMap;

fn netem() -> LinkConfig {
    LinkConfig { manner: Manner::Netem, ..LinkConfig::default() }
}

fn arrivals(out: &[Out]) -> Vec<(usize, u64)> {
    out.iter().map(|o| (o.packet, o.at)).collect()
}

/// Which segments of which packet arrived how often.
fn shares(out: &[Out]) -> BTreeMap<usize, usize> {
    let mut shares = BTreeMap::new();
    for o in out {
        *shares.entry(o.packet).or_insert(0) += 1;
    }
    shares
}

/// The mistake that makes TCP too fast: a super-packet of 40 is lost or not, its segments are not asked.
#[test]
fn super_packets_are_lost_whole() {
    let traffic: Vec<Sent> = vec![(MS, 1000, 40); 1000];
    let config = LinkConfig { loss: Loss::Bernoulli(ppb(100_000_000)), ..netem() };
    let arrived = shares(&drive(1, config.clone(), &traffic));
    assert!(arrived.values().all(|segments| *segments == 40));
    assert!((850..950).contains(&arrived.len()), "{} of 1000 at 10 %", arrived.len());
    // A wire loses segments of nearly every one.
    let wire = shares(&drive(1, LinkConfig { manner: Manner::Wire, ..config }, &traffic));
    assert!(wire.values().filter(|segments| **segments == 40).count() < 50);
}

/// The default of 1000 packets is what caps a fast link with a long delay.
#[test]
fn the_limit_counts_what_is_on_its_way() {
    let queue = Queue { limit: Limit::Packets(10), ..Queue::default() };
    let config = LinkConfig { queue, delay_ns: 100 * MS, ..netem() };
    let mut net = net(1, config);
    // Ten at once, more while they travel, and one when they have arrived.
    let mut traffic: Vec<Sent> = vec![(MS, 100, 1); 15];
    traffic.push((100 * MS, 100, 1));
    let out = net.drive(&traffic);
    let expected: Vec<usize> = (0..10).chain([15]).collect();
    assert_eq!(out.iter().map(|o| o.packet).collect::<Vec<_>>(), expected);
    assert_eq!(net.counters().queue_full, 5);
}

#[test]
fn jitter_reorders_unless_there_is_a_rate() {
    let jittered = LinkConfig { delay_ns: 20 * MS, jitter: Jitter::Uniform { ns: 10 * MS }, ..netem() };
    let traffic: Vec<Sent> = vec![(MS, 100, 1); 500];
    let disorder =
        |config| drive(1, config, &traffic).windows(2).filter(|pair| pair[1].packet < pair[0].packet).count();
    assert!(disorder(jittered.clone()) > 100);
    assert_eq!(disorder(LinkConfig { rate: bps(100_000_000), ..jittered }), 0);
}

/// It sends what has waited for its delay; a super-packet leaves whole, with its last bit.
#[test]
fn the_rate_comes_after_the_delay() {
    let config = LinkConfig { delay_ns: 10 * MS, rate: bps(8_000_000), ..netem() };
    // 1028 bytes take 1.028 ms; two of them have one header each.
    let out = drive(1, config, &[(0, 1000, 1), (0, 1000, 1), (0, 1000, 2)]);
    let us = 1028 * 1000;
    let (first, second, last) = (10 * MS + us, 10 * MS + 2 * us, 10 * MS + 4 * us);
    assert_eq!(arrivals(&out), [(0, first), (1, second), (2, last), (2, last)]);
}

/// A copy has a fate of its own; a packet that is both copied and lost is simply there.
#[test]
fn copies_are_packets_again() {
    let traffic: Vec<Sent> = vec![(MS, 100, 3); 1000];
    let half = ppb(500_000_000);
    let mut net = net(7, LinkConfig { duplicate: half, loss: Loss::Bernoulli(half), ..netem() });
    let arrived = shares(&net.drive(&traffic));
    // Copied and not lost: 1/4, of which the copy is lost half of the time. Copied and lost: 1/4 once. Neither: 1/4 once.
    let times = |copies: usize| arrived.values().filter(|segments| **segments == 3 * copies).count();
    assert!((90..160).contains(&times(2)), "{} twice", times(2));
    assert!((560..690).contains(&times(1)), "{} once", times(1));
    let counters = net.counters();
    assert_eq!(counters.packets + counters.duplicated, counters.delivered + counters.dropped());
}

#[test]
fn one_segment_of_a_super_packet_is_damaged() {
    let out = drive(1, LinkConfig { corrupt: ppb(1_000_000_000), ..netem() }, &[(0, 100, 5)]);
    let damaged: Vec<u16> = out.iter().filter(|o| o.damaged).map(|o| o.segment).collect();
    assert_eq!((out.len(), damaged), (5, vec![0]));
}
