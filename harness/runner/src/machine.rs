//! The machine a run is measured on.

use longhaul_record::HostDetail;
use netsim_lab::Engines;
use std::fs;

/// What is known of this machine. Facts that cannot be read are empty or 0.
pub fn machine(runner_version: &str, engines: Engines) -> HostDetail {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let cpuinfo = read("/proc/cpuinfo");
    let meminfo = read("/proc/meminfo");
    let cpu = value_after(&cpuinfo, "model name").unwrap_or("unknown").to_owned();
    let memory_kib: u64 =
        value_after(&meminfo, "MemTotal").and_then(|text| text.split(' ').next()?.parse().ok()).unwrap_or(0);
    let cores = std::thread::available_parallelism().map_or(0, |n| u32::try_from(n.get()).unwrap_or(u32::MAX));
    let kernel = read("/proc/sys/kernel/osrelease");
    // Memory is rounded to GiB: the kernel's own share changes between boots.
    let tcp_congestion_control = read("/proc/sys/net/ipv4/tcp_congestion_control");
    let plane = engines.to_string();
    let memory_gib = memory_kib.div_ceil(1 << 20);
    let stable = format!("{cpu}\n{cores}\n{memory_gib}\n{kernel}\n{tcp_congestion_control}\n{plane}\n");
    HostDetail {
        fingerprint: blake3::hash(stable.as_bytes()).to_hex()[..16].to_owned(),
        cpu,
        cores,
        memory_bytes: memory_kib * 1024,
        kernel,
        boot_id: read("/proc/sys/kernel/random/boot_id"),
        runner_version: runner_version.to_owned(),
        tcp_congestion_control,
        plane,
    }
}

/// The value of the first `key : value` line.
fn value_after<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let line = text.lines().find(|line| line.starts_with(key))?;
    Some(line.split_once(':')?.1.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use netsim_lab::{Attachment, LinkEngine, NatEngine};
    use std::num::NonZeroUsize;

    #[test]
    fn values_are_found() {
        let text = "processor\t: 0\nmodel name\t: Quick One\nmodel name\t: Quick Two\nMemTotal:  12 kB";
        assert_eq!(value_after(text, "model name"), Some("Quick One"));
        assert_eq!(value_after(text, "MemTotal"), Some("12 kB"));
        assert_eq!(value_after(text, "Swap"), None);
    }

    #[test]
    fn the_fingerprint_is_stable() {
        let threads = NonZeroUsize::MIN;
        let (attachment, links, nat) = (Attachment::Tun, LinkEngine::Userspace, NatEngine::Userspace);
        let tun = Engines { attachment, links, nat, threads };
        assert_eq!(tun.to_string(), "userspace/tun");
        let [one, two] = ["1", "2"].map(|version| machine(version, tun));
        assert_eq!(one.fingerprint, two.fingerprint);
        assert!(one.cores > 0);
        // Other engines are not as fast: their results are another series.
        for other in [
            Engines { attachment: Attachment::Packet, ..tun },
            Engines { links: LinkEngine::Netem, ..tun },
            Engines { nat: NatEngine::Nftables, ..tun },
            Engines { threads: threads.saturating_add(1), ..tun },
        ] {
            assert_ne!(machine("1", other).fingerprint, one.fingerprint, "{other}");
        }
    }
}
