//! Two hosts with a router between them, and traffic from one to the other.

#![allow(dead_code, reason = "each test program uses some of it")]

use netsim_fabric::{Ecn, Fabric, LinkConfig, LinkCounters, LinkId, NodeId, Packet, Probability, Rate, Segments, Time};
use std::num::NonZeroU64;

pub(crate) const US: u64 = 1_000;
pub(crate) const MS: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1_000_000_000;

/// A packet of the generated traffic: nanoseconds after the one before it, payload bytes per segment, segments.
pub(crate) type Sent = (u64, u32, u16);

/// Two hosts, a router, and the link under test from the router to the second host.
pub(crate) struct Net {
    pub(crate) fabric: Fabric<usize>,
    pub(crate) a: NodeId,
    pub(crate) b: NodeId,
    pub(crate) link: LinkId,
}

pub(crate) fn net(seed: u64, config: LinkConfig) -> Net {
    let mut fabric = Fabric::new(seed);
    let (a, b) = (fabric.add_host(), fabric.add_host());
    let core = fabric.add_router(None);
    fabric.connect(a, core, LinkConfig::default());
    let (link, _) = fabric.connect(core, b, config);
    fabric.add_route(core, "198.18.0.2".parse().unwrap(), link);
    Net { fabric, a, b, link }
}

/// One wire segment that came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Out {
    /// Which packet of the traffic.
    pub(crate) packet: usize,
    pub(crate) segment: u16,
    pub(crate) at: u64,
    pub(crate) len: u32,
    pub(crate) ecn: Ecn,
    pub(crate) damaged: bool,
}

impl Net {
    pub(crate) fn counters(&self) -> LinkCounters {
        self.fabric.link_counters(self.link)
    }

    /// Hands packet number `index` of the traffic to the first host.
    pub(crate) fn send(&mut self, now: u64, index: usize, len: u32, segments: u16, ecn: Ecn) {
        let mut packet = Packet::udp("198.18.0.1:1", "198.18.0.2:2", 28 + len, index).unwrap();
        packet.head.ecn = ecn;
        if segments > 1 {
            packet.segments = Segments::cut(28, len * u32::from(segments), u16::try_from(len).unwrap());
        }
        self.fabric.ingress(Time::from_nanos(now), self.a, packet);
    }

    /// What comes out until then, by waking up whenever the fabric asks for it.
    pub(crate) fn run_until(&mut self, until: u64, out: &mut Vec<Out>) {
        while let Some(at) = self.fabric.next_wakeup().filter(|at| at.as_nanos() <= until) {
            let before = out.len();
            self.poll(at.as_nanos(), out);
            assert!(out[before..].iter().all(|o| o.at == at.as_nanos()), "woken late");
        }
    }

    /// What comes out in one go.
    pub(crate) fn poll(&mut self, now: u64, out: &mut Vec<Out>) {
        while let Some(egress) = self.fabric.poll(Time::from_nanos(now)) {
            assert_eq!(egress.host, self.b);
            assert!(egress.scheduled.as_nanos() <= now);
            let Packet { head, segments: run, damage, body } = egress.packet;
            out.extend((run.first..run.first + run.count).map(|segment| Out {
                packet: body,
                segment,
                at: egress.scheduled.as_nanos(),
                len: run.wire_len(segment),
                ecn: head.ecn,
                damaged: damage.is_some(),
            }));
        }
    }

    /// Sends all of `traffic` and lets everything come out.
    pub(crate) fn drive(&mut self, traffic: &[Sent]) -> Vec<Out> {
        let (mut now, mut out) = (0, Vec::new());
        for (index, &(gap, len, segments)) in traffic.iter().enumerate() {
            now += gap;
            self.run_until(now, &mut out);
            self.send(now, index, len, segments, Ecn::Capable0);
        }
        self.run_until(u64::MAX, &mut out);
        out
    }
}

pub(crate) fn drive(seed: u64, config: LinkConfig, traffic: &[Sent]) -> Vec<Out> {
    net(seed, config).drive(traffic)
}

pub(crate) fn ppb(ppb: u32) -> Probability {
    Probability::from_ppb(ppb).unwrap()
}

pub(crate) fn bps(rate: u64) -> Rate {
    Rate::Constant(NonZeroU64::new(rate).unwrap())
}
