//! What is seen at tapped links, as bytes, on its way to whoever looks.

use super::pool::Buffer;
use netsim_fabric::wire::{MAX_HEADER, MAX_WRITTEN, write_segment};
use netsim_fabric::{Body, Fabric, LinkId, Packet, Segments, Sight, Time};
use std::sync::mpsc::SyncSender;

/// One wire segment seen at a tapped link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) link: LinkId,
    pub(crate) at: Time,
    /// Its number on the link.
    pub(crate) number: u64,
    pub(crate) sight: Sight,
    /// Whether a bit of it was turned over on the way.
    pub(crate) damaged: bool,
    /// The packet from its IP header on, with finished checksums.
    pub(crate) bytes: Vec<u8>,
}

/// The links someone looks at.
#[derive(Debug, Default)]
pub(super) struct Taps {
    links: Vec<LinkId>,
    to: Option<SyncSender<Seen>>,
    /// Packets that were not looked at fast enough.
    missed: u64,
}

impl Taps {
    /// Looks at these links from now on; nobody else does any more.
    pub(super) fn open(&mut self, fabric: &mut Fabric<Buffer>, links: Vec<LinkId>, to: SyncSender<Seen>) {
        self.close(fabric);
        for link in &links {
            fabric.tap(*link, true);
        }
        *self = Taps { links, to: Some(to), missed: 0 };
    }

    /// Stops looking. Returns how many packets were missed.
    pub(super) fn close(&mut self, fabric: &mut Fabric<Buffer>) -> u64 {
        for link in self.links.drain(..) {
            fabric.tap(link, false);
        }
        self.to = None;
        std::mem::take(&mut self.missed)
    }

    /// Passes on what was seen. Never waits: the network's time goes on.
    pub(super) fn pass_on(&mut self, fabric: &mut Fabric<Buffer>) {
        let Some(to) = &self.to else { return };
        for link in &self.links {
            for sighting in fabric.take_sightings(*link) {
                let run = sighting.packet.segments;
                for index in run.first..run.first + run.count {
                    let seen = Seen {
                        link: *link,
                        at: sighting.at,
                        number: sighting.number + u64::from(index - run.first),
                        sight: sighting.sight,
                        damaged: sighting.packet.damage.is_some(),
                        bytes: bytes(&sighting.packet, index),
                    };
                    self.missed += u64::from(to.try_send(seen).is_err());
                }
            }
        }
    }
}

/// One segment of a packet as it is on the wire.
fn bytes(packet: &Packet<Buffer>, index: u16) -> Vec<u8> {
    let body = &packet.body;
    let segment = Segments { first: index, count: 1, ..packet.segments };
    let original = body.bytes();
    let mut out = vec![0; usize::try_from(segment.wire_len(index)).unwrap_or(0) + MAX_WRITTEN - MAX_HEADER + 40];
    let len = write_segment(&body.offload(), original, body.layout(), &segment, &packet.head, packet.damage, &mut out);
    out.truncate(len);
    out
}
