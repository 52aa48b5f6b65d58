//! The way between the threads: what leaves one thread's part of the network for another's.
//!
//! A packet carries its own time over, so a thread that is slow to take it in makes it late, but its delay no longer.

use super::pool::{Buffer, Parcel, Parcels};
use netsim_fabric::{Crossing, Fabric, Packet};
use netsim_topology::Shards;
use nix::sys::eventfd::EventFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};

/// Runs of packets that wait for one thread.
const WAITING: usize = 16_384;
/// Runs that a thread takes in before others get their turn.
const AT_ONCE: usize = 256;

/// A run of packets on its way to another thread.
struct Shipment {
    /// Which restart of the network it belongs to.
    epoch: u64,
    crossing: Crossing<Arc<Parcel>>,
}

/// Where a thread takes packets from others.
struct Dock {
    to: SyncSender<Shipment>,
    wake: Arc<EventFd>,
}

/// One thread's end of the ways to all others.
pub(super) struct Trunk {
    shards: Arc<Shards>,
    docks: Arc<[Dock]>,
    inbox: Receiver<Shipment>,
    parcels: Parcels,
    epoch: u64,
    /// From threads that have restarted already.
    early: Vec<Shipment>,
    /// Which docks have got something and are not told yet.
    untold: Vec<bool>,
    drops: u64,
}

impl Trunk {
    /// The ends of all threads, by shard; `wakes` wakes each of them up.
    pub(super) fn all(shards: &Arc<Shards>, wakes: &[Arc<EventFd>]) -> Vec<Trunk> {
        // One alone gets nothing.
        let waiting = if wakes.len() > 1 { WAITING } else { 0 };
        let (docks, inboxes): (Vec<Dock>, Vec<Receiver<Shipment>>) = wakes
            .iter()
            .map(|wake| {
                let (to, inbox) = sync_channel(waiting);
                (Dock { to, wake: Arc::clone(wake) }, inbox)
            })
            .unzip();
        let (docks, parcels): (Arc<[Dock]>, _) = (docks.into(), Parcels::default());
        let end = |inbox| Trunk {
            shards: Arc::clone(shards),
            docks: Arc::clone(&docks),
            inbox,
            parcels: parcels.clone(),
            epoch: 0,
            early: Vec::new(),
            untold: vec![false; docks.len()],
            drops: 0,
        };
        inboxes.into_iter().map(end).collect()
    }

    /// Hands over what the fabric could not carry on. Never waits: what finds no room is dropped and counted.
    pub(super) fn send(&mut self, fabric: &mut Fabric<Buffer>) {
        if !fabric.has_crossings() {
            return;
        }
        for Crossing { link, at, packet } in fabric.take_crossings() {
            let shard = self.shards.of_link(link);
            let (Packet { head, segments, damage, body }, dock) = (packet, &self.docks[shard]);
            let shipped = body.parcel(&self.parcels).is_some_and(|body| {
                let crossing = Crossing { link, at, packet: Packet { head, segments, damage, body } };
                dock.to.try_send(Shipment { epoch: self.epoch, crossing }).is_ok()
            });
            if shipped {
                self.untold[shard] = true;
            } else {
                self.drops += u64::from(segments.count);
            }
        }
        for (dock, untold) in self.docks.iter().zip(&mut self.untold) {
            if std::mem::take(untold) {
                // It fails if the thread is gone, and the network with it.
                let _ = dock.wake.write(1);
            }
        }
    }

    /// Takes in what others have handed over, up to a limit. Returns whether there may be more.
    pub(super) fn receive(&mut self, fabric: &mut Fabric<Buffer>) -> bool {
        for _ in 0..AT_ONCE {
            match self.inbox.try_recv() {
                Ok(shipment) if shipment.epoch == self.epoch => unload(fabric, shipment),
                Ok(shipment) if shipment.epoch > self.epoch => self.early.push(shipment),
                // Of a network that was emptied meanwhile.
                Ok(_) => {}
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return false,
            }
        }
        true
    }

    /// Starts anew: what was handed over before is forgotten, what came from threads that did so already is not.
    pub(super) fn restart(&mut self, fabric: &mut Fabric<Buffer>, epoch: u64) {
        self.epoch = epoch;
        self.drops = 0;
        for shipment in std::mem::take(&mut self.early) {
            match shipment.epoch.cmp(&epoch) {
                std::cmp::Ordering::Less => {}
                std::cmp::Ordering::Equal => unload(fabric, shipment),
                std::cmp::Ordering::Greater => self.early.push(shipment),
            }
        }
    }

    /// Packets that found no room since the start.
    pub(super) fn drops(&self) -> u64 {
        self.drops
    }
}

fn unload(fabric: &mut Fabric<Buffer>, shipment: Shipment) {
    let Crossing { link, at, packet: Packet { head, segments, damage, body } } = shipment.crossing;
    let body = Buffer::from_parcel(body);
    fabric.cross(Crossing { link, at, packet: Packet { head, segments, damage, body } });
}

#[cfg(test)]
mod tests {
    use super::*;
    use netsim_fabric::{Body, LinkConfig, LinkId, NodeId, Time};
    use netsim_topology::{Access, Host, Topology, build, plan};
    use std::num::NonZeroUsize;

    /// A UDP datagram of 4 bytes of payload, from `a` to `b` of the network below.
    fn datagram(from: std::net::IpAddr, to: std::net::IpAddr) -> Packet<Buffer> {
        let (std::net::IpAddr::V4(from), std::net::IpAddr::V4(to)) = (from, to) else { panic!("IPv4") };
        let mut bytes = vec![0x45, 0, 0, 32, 0, 0, 0, 0, 64, 17, 0, 0];
        bytes.extend(from.octets());
        bytes.extend(to.octets());
        bytes.extend([4, 0, 8, 0, 0, 12, 0, 0, 1, 2, 3, 4]);
        Packet::from_bytes(bytes).unwrap()
    }

    struct Half {
        fabric: Fabric<Buffer>,
        trunk: Trunk,
    }

    /// Two public hosts, each on its thread: the halves, `a`'s node, its link up and `b`'s down, and a packet between them.
    fn halves() -> ([Half; 2], NodeId, [LinkId; 2], Packet<Buffer>) {
        let hosts = ["a", "b"].map(|name| Host::new(name, None, Access::both(LinkConfig::default()))).into();
        let plan = plan(&Topology { routers: vec![], hosts, ..Topology::default() }).unwrap();
        let whole = build(&plan.steps, Fabric::<()>::new(0));
        let shards = Arc::new(Shards::new(&plan.steps, &whole, NonZeroUsize::new(2).unwrap()));
        let wakes = [(); 2].map(|()| Arc::new(EventFd::new().unwrap()));
        let halves: Vec<Half> = (0..)
            .zip(Trunk::all(&shards, &wakes))
            .map(|(shard, trunk)| {
                let mut built = build(&plan.steps, Fabric::new(0));
                shards.keep_only(shard, &mut built);
                Half { fabric: built.fabric, trunk }
            })
            .collect();
        let [a, b] = ["a", "b"].map(|name| plan.addresses.hosts[name][0]);
        let link = |name: &str| whole.links.iter().find(|(link, _)| link.to_string() == name).unwrap().1;
        let node = whole.nodes[&netsim_topology::Place::Host("a".into())];
        let Ok(halves) = halves.try_into() else { panic!("two shards") };
        (halves, node, [link("a.link up"), link("b.link down")], datagram(a, b))
    }

    #[test]
    fn what_was_under_way_at_a_restart_is_forgotten() {
        let at = Time::from_nanos(1000);
        // (how often the sender and the receiver have started anew when the packet is taken in, and then at last) -> whether it
        // arrives
        for (sender, receiver, at_last, arrives) in
            [(0, 0, 0, true), (0, 1, 1, false), (1, 0, 0, false), (1, 0, 1, true), (2, 0, 1, false), (2, 1, 2, true)]
        {
            let ([mut a, mut b], node, [up, down], packet) = halves();
            a.trunk.restart(&mut a.fabric, sender);
            b.trunk.restart(&mut b.fabric, receiver);
            a.fabric.ingress(at, node, packet.clone());
            assert!(a.fabric.poll(at).is_none());
            a.trunk.send(&mut a.fabric);
            assert!(!b.trunk.receive(&mut b.fabric));
            if at_last != receiver {
                b.trunk.restart(&mut b.fabric, at_last);
            }
            let got = b.fabric.poll(at);
            assert_eq!(got.is_some(), arrives, "{sender} {receiver} {at_last}");
            assert!(got.is_none_or(|got| got.scheduled == at && got.packet.body.bytes() == packet.body.bytes()));
            assert_eq!((a.fabric.link_counters(up).packets, a.fabric.link_counters(down).packets), (1, 0));
        }
    }

    #[test]
    fn what_finds_no_room_is_counted() {
        let ([mut a, mut b], node, [_, down], packet) = halves();
        for _ in 0..WAITING + 3 {
            a.fabric.ingress(Time::ZERO, node, packet.clone());
        }
        assert!(a.fabric.poll(Time::ZERO).is_none());
        a.trunk.send(&mut a.fabric);
        assert_eq!(a.trunk.drops(), 3);
        while b.trunk.receive(&mut b.fabric) {}
        assert_eq!(b.fabric.link_counters(down).packets, WAITING as u64);
        a.trunk.restart(&mut a.fabric, 1);
        assert_eq!(a.trunk.drops(), 0);
    }
}
