//! One host's device: super-packets in, runs of segments out.

use super::pool::{Buffer, Pool};
use crate::device::Device;
use netsim_fabric::wire::{Joined, MAX_HEADER, MAX_WRITTEN, Offload, parse, write_header, write_segment};
use netsim_fabric::{Body, Damage, Packet};
use std::ops::AddAssign;

/// Packets lost between a device and the fabric, by cause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct PortDrops {
    /// The ring between kernel and fabric was full, at the fabric's end.
    pub(crate) ring: u64,
    /// No buffer was free.
    pub(crate) no_buffer: u64,
    /// The kernel refused a packet.
    pub(crate) write: u64,
    /// The fabric could not read a packet's headers.
    pub(crate) malformed: u64,
}

impl AddAssign for PortDrops {
    fn add_assign(&mut self, other: PortDrops) {
        self.ring += other.ring;
        self.no_buffer += other.no_buffer;
        self.write += other.write;
        self.malformed += other.malformed;
    }
}

#[derive(Debug)]
pub(super) struct Port {
    device: Device,
    drops: PortDrops,
    /// The ring's drops before they were last set to 0.
    ring_before: u64,
    /// A datagram, and how many like it follow: they are written as one.
    held: Option<(Packet<Buffer>, Joined)>,
    /// The payloads of all that are held, where there are several; the room is kept.
    payloads: Vec<u8>,
}

impl Port {
    pub(super) fn new(device: Device) -> Port {
        Port { device, drops: PortDrops::default(), ring_before: 0, held: None, payloads: Vec::new() }
    }

    pub(super) fn into_device(self) -> Device {
        self.device
    }

    pub(super) fn drops(&mut self) -> PortDrops {
        PortDrops { ring: self.device.drops() - self.ring_before, ..self.drops }
    }

    pub(super) fn forget_drops(&mut self) {
        self.drops = PortDrops::default();
        self.ring_before = self.device.drops();
    }

    /// Reads one packet. `None`: there is none now. `Some(None)`: there was one, but it cannot be carried.
    pub(super) fn read(&mut self, pool: &Pool) -> Option<Option<Packet<Buffer>>> {
        let Some(mut blank) = pool.take() else {
            // Read it all the same: left in the ring, it would be lost there, and all after it late.
            let _truncated = self.device.read(&mut [0; 16]).ok()?;
            self.drops.no_buffer += 1;
            return Some(None);
        };
        let Ok(len) = self.device.read(&mut blank.bytes) else {
            pool.give_back(blank);
            return None;
        };
        let offload = blank.bytes.first_chunk().map(Offload::read).unwrap_or_default();
        let packet = blank.bytes.get(Offload::LEN..len).unwrap_or_default();
        match parse(&offload, packet) {
            Ok(parsed) if usize::from(parsed.layout.payload) <= MAX_HEADER => {
                let body = Buffer::new(blank, len, offload, parsed.layout);
                Some(Some(Packet { head: parsed.head, segments: parsed.segments, damage: None, body }))
            }
            _ => {
                pool.give_back(blank);
                self.drops.malformed += 1;
                Some(None)
            }
        }
    }

    /// Hands a run of segments to the host's kernel, in order, some of them with the next [`Port::flush`].
    pub(super) fn write(&mut self, packet: Packet<Buffer>) {
        if let Some((first, joined)) = &mut self.held {
            let (body, before) = (&packet.body, joined.count());
            let next = (&packet, body.packet(), &body.offload(), body.layout());
            if joined.push((first, first.body.packet()), next) {
                if before == 1 {
                    self.payloads.clear();
                    self.payloads.extend_from_slice(payload(first));
                }
                self.payloads.extend_from_slice(payload(&packet));
                return;
            }
            self.flush();
        }
        match Joined::start(&packet, &packet.body.offload(), packet.body.layout()) {
            Some(joined) if self.device.takes_joined() => self.held = Some((packet, joined)),
            _ => self.write_now(&packet),
        }
    }

    /// Hands over what is held. The kernel takes it in before the call returns.
    pub(super) fn flush(&mut self) {
        let Some((first, joined)) = self.held.take() else { return };
        if joined.count() == 1 {
            return self.write_now(&first);
        }
        let mut header = [0; Offload::LEN + MAX_WRITTEN];
        let (offload_part, header_part) = header.split_at_mut(Offload::LEN);
        let body = &first.body;
        let offload = joined.write(&first, &body.offload(), body.packet(), body.layout(), header_part);
        offload_part.copy_from_slice(&offload.write());
        let payloads = std::mem::take(&mut self.payloads);
        self.send(joined.count() as u64, &header[..Offload::LEN + usize::from(offload.header_len)], &payloads);
        self.payloads = payloads;
    }

    fn write_now(&mut self, packet: &Packet<Buffer>) {
        if let Some(damage) = packet.damage {
            return self.write_damaged(packet, damage);
        }
        let body = &packet.body;
        let (layout, original) = (body.layout(), body.packet());
        let header_len = usize::from(layout.payload);
        let mut header = [0; Offload::LEN + MAX_WRITTEN];
        let (offload_part, header_part) = header.split_at_mut(Offload::LEN);
        let offload = write_header(&body.offload(), original, layout, &packet.segments, &packet.head, header_part);
        offload_part.copy_from_slice(&offload.write());
        let (from, to) = packet.segments.run_range();
        let payload = &original[header_len + from as usize..header_len + to as usize];
        self.send(packet.segments.count.into(), &header[..Offload::LEN + usize::from(offload.header_len)], payload);
    }

    /// The bytes are shared with intact segments: a damaged one is copied first.
    fn write_damaged(&mut self, packet: &Packet<Buffer>, damage: Damage) {
        let Packet { head, segments, body, .. } = packet;
        let mut bytes = vec![0; body.bytes().len() + MAX_WRITTEN - MAX_HEADER];
        let len = write_segment(&body.offload(), body.bytes(), body.layout(), segments, head, Some(damage), &mut bytes);
        self.send(segments.count.into(), &Offload::default().write(), &bytes[..len]);
    }

    fn send(&mut self, packets: u64, header: &[u8], payload: &[u8]) {
        match self.device.write(header, payload) {
            Ok(_) => {}
            // A device that is down takes nothing, like an unplugged cable.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EIO | libc::ENETDOWN)) => {}
            Err(_) => self.drops.write += packets,
        }
    }
}

/// A plain datagram's.
fn payload(packet: &Packet<Buffer>) -> &[u8] {
    packet.body.packet().get(usize::from(packet.body.layout().payload)..).unwrap_or_default()
}
