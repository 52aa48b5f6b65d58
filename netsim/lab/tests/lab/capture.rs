//! Captures: everything that passed a link is in the file, and other programs can read it.

use super::network::{loss, pair, pattern, send_tcp, up};
use netsim_fabric::{LinkConfig, Probability};
use netsim_topology::{Direction, LinkName};
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketOption;
use pcap_file::pcapng::{Block, PcapNgReader};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

pub(crate) fn captures_hold_every_packet() {
    let link = LinkConfig {
        delay_ns: 1_000_000,
        loss: loss(2),
        duplicate: Probability::from_ppb(10_000_000).unwrap(),
        coalesce_ns: 100_000,
        ..LinkConfig::default()
    };
    let (plan, lab) = up(&pair(link), 1);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("all.pcapng");
    let name = |link: &str, direction| LinkName { link: link.into(), direction };
    let names = [name("a.link", Direction::Up), name("a.link", Direction::Down), name("b.link", Direction::Down)];
    lab.restart(1).unwrap();
    let capture = lab.capture(&names, File::create(&path).unwrap()).unwrap();
    let bytes = pattern(1_000_000);
    for address in &plan.addresses.hosts["b"] {
        assert!(send_tcp(&lab, "a", "b", *address, &bytes) == bytes, "to {address}");
    }
    let captured = capture.finish().unwrap();
    // What is under way is not in the file, so the counters are read after it.
    let counters = lab.snapshot().unwrap().links[0];
    assert_eq!(captured.missed, 0);
    let seen = comments(&path);
    assert_eq!(seen.values().sum::<u64>(), captured.packets);
    assert!(seen["enters"] >= 1_400 && seen["dropped: loss"] > 0 && seen["duplicated"] > 0, "{seen:?}");
    assert!(counters.packets >= 1_400 && seen["dropped: loss"] >= counters.lost, "{seen:?} {counters:?}");
    read_by_wireshark(&path);
}

/// How often each verdict is in the file.
fn comments(path: &Path) -> BTreeMap<String, u64> {
    let mut reader = PcapNgReader::new(File::open(path).unwrap()).unwrap();
    let mut seen = BTreeMap::new();
    let mut last = Duration::ZERO;
    while let Some(block) = reader.next_block() {
        let Block::EnhancedPacket(packet) = block.unwrap() else { continue };
        assert_eq!(packet.data.len(), packet.original_len as usize);
        // In order of time, whichever thread saw it.
        assert!(packet.timestamp >= last, "{:?} after {last:?}", packet.timestamp);
        last = packet.timestamp;
        let [EnhancedPacketOption::Comment(comment)] = &packet.options[..] else { panic!("{:?}", packet.options) };
        let (_, verdict) = comment.split_once(": ").unwrap();
        *seen.entry(verdict.to_owned()).or_insert(0) += 1;
    }
    seen
}

fn read_by_wireshark(path: &Path) {
    let bad = "_ws.malformed || ip.checksum.status == 0 || tcp.checksum.status == 0";
    let mut tshark = Command::new("tshark");
    tshark.args(["-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE", "-Y", bad, "-r"]).arg(path);
    // The packets are judged, not the stream: that has losses and copies, and its ports may be those of any protocol.
    tshark.args(["-o", "tcp.desegment_tcp_streams:FALSE", "-d", "tcp.port==1-65535,data"]);
    // Not the settings of whoever's home this is: it may not be ours to read.
    tshark.env("HOME", std::env::temp_dir()).env_remove("XDG_CONFIG_HOME");
    match tshark.output() {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && text.is_empty(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        }
        Err(_) => println!("SKIPPED: captures read by Wireshark: tshark is not installed (Debian: tshark)"),
    }
}
