//! Packet capture at links, as a pcapng file that Wireshark reads.
//!
//! Every direction of a link is two interfaces, its entrance and its exit. Each packet is a wire segment with a finished
//! checksum, and its comment says what the link did with it.

use crate::engine::{Handle, Seen};
use crate::lab::{Lab, LabError};
use netsim_fabric::{LinkId, Sight, Time};
use netsim_topology::LinkName;
use nix::time::{ClockId, clock_gettime};
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{InterfaceDescriptionBlock, InterfaceDescriptionOption};
use pcap_file::{DataLink, PcapError};
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Why there is no capture, or only part of one.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// A link that is not there, or a lab that is gone.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// The file.
    #[error("cannot write the capture file")]
    Write(#[source] PcapError),
    /// No thread to write it.
    #[error("cannot start the thread that writes the capture file")]
    Thread(#[source] std::io::Error),
}

/// What a capture has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Captured {
    /// Packets written: one for each time a segment was seen.
    pub packets: u64,
    /// Packets seen but not written, because writing was too slow.
    pub missed: u64,
}

/// A capture under way.
#[derive(Debug)]
pub struct Capture {
    engine: Handle,
    thread: Option<JoinHandle<Result<u64, PcapError>>>,
}

/// Packets between the network's thread and the one that writes.
const WAITING: usize = 65_536;

impl Lab {
    /// Captures at these links, in the directions named, until [`Capture::finish`]. A lab has one capture at a time.
    pub fn capture(&self, links: &[LinkName], file: impl Write + Send + 'static) -> Result<Capture, CaptureError> {
        let ids: Vec<LinkId> = links.iter().map(|name| self.link(name)).collect::<Result<_, LabError>>()?;
        let (to, from) = sync_channel(WAITING);
        let named: Vec<(LinkId, String)> = ids.iter().copied().zip(links.iter().map(ToString::to_string)).collect();
        let offset = realtime_offset();
        let write = move || write(file, &named, offset, &from);
        let thread = std::thread::Builder::new().name("capture".into()).spawn(write).map_err(CaptureError::Thread)?;
        let engine = self.engine().clone();
        engine.tap(ids, to).map_err(LabError::from)?;
        Ok(Capture { engine, thread: Some(thread) })
    }
}

impl Capture {
    /// Ends the capture and waits until the file is whole.
    pub fn finish(mut self) -> Result<Captured, CaptureError> {
        let missed = self.engine.untap().map_err(LabError::from)?;
        let thread = self.thread.take();
        let written =
            thread.map_or(Ok(0), |thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        Ok(Captured { packets: written.map_err(CaptureError::Write)?, missed })
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = self.engine.untap();
            let _ = thread.join();
        }
    }
}

/// Nanoseconds from the lab's clock, which starts at boot, to the calendar's.
fn realtime_offset() -> u64 {
    let read = |clock| clock_gettime(clock).map_or(Duration::ZERO, Duration::from);
    let offset = read(ClockId::CLOCK_REALTIME).saturating_sub(read(ClockId::CLOCK_MONOTONIC));
    u64::try_from(offset.as_nanos()).unwrap_or(0)
}

fn write(file: impl Write, links: &[(LinkId, String)], offset: u64, from: &Receiver<Seen>) -> Result<u64, PcapError> {
    let mut writer = PcapNgWriter::new(file)?;
    let mut interfaces = BTreeMap::new();
    for (link, name) in links {
        for (side, entrance) in [("entrance", true), ("exit", false)] {
            interfaces.insert((*link, entrance), interfaces.len() as u32);
            let options = vec![
                InterfaceDescriptionOption::IfName(format!("{name} {side}").into()),
                // 10^-9 seconds.
                InterfaceDescriptionOption::IfTsResol(9),
            ];
            writer.write_pcapng_block(InterfaceDescriptionBlock { linktype: DataLink::RAW, snaplen: 0, options })?;
        }
    }
    let mut write = |seen: Seen| -> Result<u64, PcapError> {
        let key = (seen.link, seen.sight != Sight::Left);
        let Some(interface_id) = interfaces.get(&key).copied() else { return Ok(0) };
        let comment = comment(&seen);
        writer.write_pcapng_block(EnhancedPacketBlock {
            interface_id,
            timestamp: Duration::from_nanos(seen.at.as_nanos() + offset),
            original_len: seen.bytes.len() as u32,
            data: seen.bytes.into(),
            options: vec![EnhancedPacketOption::Comment(comment.into())],
        })?;
        Ok(1)
    };
    let (mut packets, mut sorter) = (0, Sorter::default());
    // Ends when the network's threads have let go of the other end.
    for seen in from {
        sorter.put(seen);
        while let Some(seen) = sorter.take() {
            packets += write(seen)?;
        }
    }
    for (_, seen) in sorter.held {
        packets += write(seen)?;
    }
    writer.into_inner().flush().map_err(PcapError::IoError)?;
    Ok(packets)
}

/// Brings what several links and threads saw into the order of time. It holds things back for a while, because what
/// comes may have happened before what has come.
#[derive(Debug, Default)]
struct Sorter {
    /// By time, then in the order in which they came.
    held: BTreeMap<(Time, u64), Seen>,
    put: u64,
}

impl Sorter {
    /// How long something is held back: more than threads are apart on a busy machine.
    const HORIZON_NS: u64 = 1_000_000_000;
    /// At most so many are held back.
    const MOST: usize = WAITING;

    fn put(&mut self, seen: Seen) {
        self.put += 1;
        self.held.insert((seen.at, self.put), seen);
    }

    /// The next one, unless it might not be.
    fn take(&mut self) -> Option<Seen> {
        let ((newest, _), _) = self.held.last_key_value()?;
        let (newest, many) = (*newest, self.held.len() > Self::MOST);
        let first = self.held.first_entry()?;
        (many || newest.nanos_since(first.key().0) > Self::HORIZON_NS).then(|| first.remove())
    }
}

fn comment(seen: &Seen) -> String {
    let number = seen.number;
    let verdict = match seen.sight {
        Sight::Entered => "enters".to_owned(),
        Sight::Copied => "duplicated".to_owned(),
        Sight::Dropped(cause) => format!("dropped: {}", cause.as_str()),
        Sight::Left if seen.damaged => "delivered with one bit wrong".to_owned(),
        Sight::Left => "delivered".to_owned(),
    };
    format!("packet {number}: {verdict}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use netsim_fabric::{Fabric, LinkConfig};

    fn seen(at: u64, number: u64) -> Seen {
        let mut fabric = Fabric::<()>::new(0);
        let (from, to) = (fabric.add_host(), fabric.add_host());
        let (link, _) = fabric.connect(from, to, LinkConfig::default());
        let (at, sight) = (Time::from_nanos(at), Sight::Entered);
        Seen { link, at, number, sight, damaged: false, bytes: Vec::new() }
    }

    #[test]
    fn what_threads_saw_comes_in_order_of_time() {
        let mut sorter = Sorter::default();
        let mut got = Vec::new();
        // Two threads, one of them 0.9 s behind.
        for n in 0..100_u64 {
            for (behind_ns, number) in [(0, 2 * n), (900_000_000, 2 * n + 1)] {
                let at = 5_000_000_000 + n * 20_000_000 - behind_ns;
                sorter.put(seen(at, number));
                got.extend(std::iter::from_fn(|| sorter.take()).map(|seen| (seen.at, seen.number)));
            }
        }
        assert!(got.len() > 90, "{} of 200", got.len());
        got.extend(sorter.held.into_values().map(|seen| (seen.at, seen.number)));
        assert_eq!(got.len(), 200);
        assert!(got.is_sorted_by_key(|(at, _)| *at));
    }

    #[test]
    fn one_moment_keeps_its_order() {
        let mut sorter = Sorter::default();
        for number in 0..=Sorter::MOST as u64 {
            sorter.put(seen(7, number));
        }
        assert_eq!(sorter.take().map(|seen| seen.number), Some(0));
        assert!(sorter.take().is_none());
    }
}
