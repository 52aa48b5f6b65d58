//! What networks cost as they grow: from two hosts to a thousand, four of them behind each router.

use super::SelfCheckError;
use crate::clock;
use crate::lab::Lab;
use crate::sandbox::available_memory;
use netsim_fabric::{Purpose, Stream};
use netsim_topology::{Access, Gateway, Host, Router, Topology, plan};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::channel;
use std::time::Duration;

/// What a network of one size costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScalePoint {
    /// Hosts.
    pub hosts: usize,
    /// Routers.
    pub routers: usize,
    /// Seconds from a plan to a network that carries packets.
    pub up_s: f64,
    /// Seconds to take it down.
    pub down_s: f64,
    /// Memory the machine had less of while it was up, the kernel's and ours, in bytes.
    pub memory_bytes: u64,
    /// Pairs of hosts that were tried.
    pub pairs: usize,
    /// Pairs of which a packet did not arrive.
    pub unreachable: usize,
    /// Processor time of the emulator per packet, in seconds: one sender, small packets.
    pub cpu_per_packet_s: f64,
    /// Share of a processor the emulator uses while nothing is sent.
    pub idle_share: f64,
}

/// Sizes that are measured.
pub const SCALE: [usize; 5] = [2, 10, 100, 300, 1000];

const HOSTS_PER_ROUTER: usize = 4;
const PAIRS: u64 = 100;
const PACKETS: u32 = 20_000;
const IDLE: Duration = Duration::from_secs(2);
/// Nothing takes that long here, unless it does not come at all.
const PATIENCE: Duration = Duration::from_secs(2);

/// Brings a network of so many hosts up, measures it and takes it down.
pub fn scale(hosts: usize) -> Result<ScalePoint, SelfCheckError> {
    let topology = topology(hosts);
    let plan = plan(&topology)?;
    let before = available_memory().map_err(failed("memory"))?;
    let started = clock::now();
    let lab = Lab::up(&plan, 1)?;
    let up_ns = clock::now().nanos_since(started);
    let memory_bytes = before.saturating_sub(available_memory().map_err(failed("memory"))?);
    let (pairs, unreachable) = try_pairs(&lab, hosts)?;
    let cpu_per_packet_s = cost_of_packets(&lab, hosts)?;
    let idle_share = idle(&lab)?;
    let stopping = clock::now();
    drop(lab);
    Ok(ScalePoint {
        hosts,
        routers: topology.routers.len(),
        up_s: up_ns as f64 / 1e9,
        down_s: clock::now().nanos_since(stopping) as f64 / 1e9,
        memory_bytes,
        pairs,
        unreachable,
        cpu_per_packet_s,
        idle_share,
    })
}

fn topology(hosts: usize) -> Topology {
    let routers = hosts.div_ceil(HOSTS_PER_ROUTER);
    let router = |n| Router::new(&format!("r{n}"), Gateway::OPEN, Access::default());
    let host = |n: usize| Host::new(&format!("h{n}"), Some(&format!("r{}", n / HOSTS_PER_ROUTER)), Access::default());
    Topology {
        routers: (0..routers).map(router).collect(),
        hosts: (0..hosts).map(host).collect(),
        ..Topology::default()
    }
}

fn failed(figure: &'static str) -> impl FnOnce(io::Error) -> SelfCheckError {
    move |source| SelfCheckError::Traffic { figure, source }
}

fn socket(lab: &Lab, host: u64) -> Result<UdpSocket, SelfCheckError> {
    let socket = lab.host(&format!("h{host}"))?.udp().map_err(failed("a socket"))?;
    socket.set_read_timeout(Some(PATIENCE)).map_err(failed("a socket"))?;
    Ok(socket)
}

/// A packet between pairs of hosts that a fixed seed draws.
fn try_pairs(lab: &Lab, hosts: usize) -> Result<(usize, usize), SelfCheckError> {
    let draws = Stream::new(1, 0, Purpose::Damage);
    let mut unreachable = 0;
    for pair in 0..PAIRS {
        let from = draws.below(2 * pair, hosts as u64);
        let to = (from + 1 + draws.below(2 * pair + 1, hosts as u64 - 1)) % hosts as u64;
        let (sender, receiver) = (socket(lab, from)?, socket(lab, to)?);
        let to = receiver.local_addr().map_err(failed("pairs of hosts"))?;
        sender.send_to(&pair.to_be_bytes(), to).map_err(failed("pairs of hosts"))?;
        let mut buffer = [0; 16];
        let arrived = receiver.recv(&mut buffer).is_ok_and(|len| buffer[..len] == pair.to_be_bytes());
        unreachable += usize::from(!arrived);
    }
    Ok((PAIRS as usize, unreachable))
}

fn cost_of_packets(lab: &Lab, hosts: usize) -> Result<f64, SelfCheckError> {
    // Behind different routers where there are some: all kinds of links are on the way.
    let (sender, receiver) = (socket(lab, 0)?, socket(lab, hosts as u64 - 1)?);
    let to: SocketAddr = receiver.local_addr().map_err(failed("cost of packets"))?;
    let before = lab.snapshot()?;
    std::thread::scope(|scope| {
        // Keeps the receiver's buffer from running over; ends when nothing more comes.
        scope.spawn(|| while receiver.recv(&mut [0; 64]).is_ok() {});
        (0..PACKETS).try_for_each(|_| sender.send_to(&[0; 32], to).map(drop))
    })
    .map_err(failed("cost of packets"))?;
    let after = lab.snapshot()?;
    Ok((after.cpu_ns - before.cpu_ns) as f64 / 1e9 / f64::from(PACKETS))
}

fn idle(lab: &Lab) -> Result<f64, SelfCheckError> {
    let (_quiet, pause) = channel::<()>();
    let before = lab.snapshot()?;
    // Nothing is ever sent here: waiting with a time-out is the measurement's length.
    let _ = pause.recv_timeout(IDLE);
    let after = lab.snapshot()?;
    Ok((after.cpu_ns - before.cpu_ns) as f64 / after.at.nanos_since(before.at).max(1) as f64)
}
