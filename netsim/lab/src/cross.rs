//! Cross traffic on real sockets of a network's hosts: TCP as fast as it may, UDP at a constant rate.
//!
//! Each flow has one thread, which serves both of its ends: they are sockets of two namespaces. Nothing of a flow is left
//! when it has been stopped.

mod tcp;
mod udp;

use crate::clock;
use crate::lab::{Host, Lab, LabError};
use longhaul_record::{CrossKind, CrossReport};
use netsim_fabric::{Time, nat64_from_v4};
use netsim_topology::{Cross, Traffic};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::eventfd::EventFd;
use nix::sys::time::TimeSpec;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tcp::TcpFlow;
use udp::UdpFlow;

/// Why there is no cross traffic.
#[derive(Debug, thiserror::Error)]
pub enum CrossError {
    /// A host that is not there.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// A congestion control that the kernel does not have.
    #[error(
        "cross traffic {flow}: this kernel has no TCP congestion control `{name}`; it has: {known} \
         (others may be modules: `modprobe tcp_{name}`)"
    )]
    Congestion {
        /// Which flow.
        flow: String,
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// No sockets.
    #[error("cannot open the sockets of cross traffic {flow}")]
    Socket {
        /// Which flow.
        flow: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// No thread, or nothing to stop it by.
    #[error("cannot start a thread for cross traffic")]
    Thread(#[source] io::Error),
}

/// Refuses flows that ask for a congestion control the kernel does not have.
pub fn check_congestion(flows: &[Cross]) -> Result<(), CrossError> {
    const KNOWN: &str = "/proc/sys/net/ipv4/tcp_available_congestion_control";
    let known = std::fs::read_to_string(KNOWN).unwrap_or_default();
    for flow in flows {
        if let Traffic::Tcp { congestion: Some(name) } = &flow.traffic
            && !known.split_whitespace().any(|other| other == name)
        {
            let known = known.split_whitespace().collect::<Vec<_>>().join(", ");
            return Err(CrossError::Congestion { flow: flow.label(), name: name.clone(), known });
        }
    }
    Ok(())
}

/// Flows whose sockets are open, and that have not begun.
#[derive(Debug)]
pub struct CrossFlows {
    flows: Vec<(Cross, Sockets)>,
}

#[derive(Debug)]
enum Sockets {
    Tcp(TcpFlow),
    Udp(UdpFlow),
}

impl Lab {
    /// Opens the sockets of these flows, without sending anything. Ports are 20000 and up for the side that is reached, and
    /// 21000 and up for the other: below those that a kernel gives out, and the same in every run.
    pub fn cross(&self, flows: &[Cross]) -> Result<CrossFlows, CrossError> {
        check_congestion(flows)?;
        let open = |(n, flow): (usize, &Cross)| {
            let hosts = [self.host(&flow.from)?, self.host(&flow.to)?];
            let ports = [20_000, 21_000].map(|first| first + u16::try_from(n).unwrap_or(u16::MAX));
            let sockets = match &flow.traffic {
                Traffic::Tcp { congestion } => {
                    TcpFlow::open(hosts, ports, flow.opening, congestion.as_deref()).map(Sockets::Tcp)
                }
                Traffic::Udp { packet_bytes, .. } => {
                    UdpFlow::open(self, hosts, ports, flow.opening, *packet_bytes).map(Sockets::Udp)
                }
            };
            let sockets = sockets.map_err(|source| CrossError::Socket { flow: flow.label(), source })?;
            Ok((flow.clone(), sockets))
        };
        Ok(CrossFlows { flows: flows.iter().enumerate().map(open).collect::<Result<_, CrossError>>()? })
    }
}

impl CrossFlows {
    /// Lets every flow start at its time after `origin`.
    pub fn start(self, origin: Time) -> Result<CrossTraffic, CrossError> {
        let stop = Arc::new(EventFd::new().map_err(|error| CrossError::Thread(error.into()))?);
        let mut traffic = CrossTraffic { stop, threads: Vec::new() };
        for (flow, sockets) in self.flows {
            let clock = Clock { origin, stop: Arc::clone(&traffic.stop) };
            let thread = std::thread::Builder::new().name("cross".into());
            traffic.threads.push(thread.spawn(move || run(&flow, sockets, &clock)).map_err(CrossError::Thread)?);
        }
        Ok(traffic)
    }
}

/// Running flows. They end when dropped.
#[derive(Debug)]
pub struct CrossTraffic {
    stop: Arc<EventFd>,
    threads: Vec<JoinHandle<CrossReport>>,
}

impl CrossTraffic {
    /// Stops all flows, waits at most some seconds for what is still under way, and says what each of them did.
    pub fn stop(mut self) -> Vec<CrossReport> {
        self.end()
    }

    /// Whether every flow has come to its own stop.
    pub fn ended(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    fn end(&mut self) -> Vec<CrossReport> {
        let told = self.stop.write(1).is_ok();
        let threads = self.threads.drain(..).filter(|_| told);
        threads.map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    }
}

impl Drop for CrossTraffic {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.end();
        }
    }
}

/// A flow that is not open after so long has failed.
const OPEN_TIMEOUT_NS: u64 = 10_000_000_000;
/// One that the end of the transfer surprises sooner than this after its start has not.
const OPEN_GRACE_NS: u64 = 1_000_000_000;

fn run(flow: &Cross, sockets: Sockets, clock: &Clock) -> CrossReport {
    let mut report = CrossReport {
        kind: match (&flow.traffic, &sockets) {
            (Traffic::Udp { rate_bps, packet_bytes }, _) => {
                let (rate_bps, packet_bytes) = (rate_bps.get(), *packet_bytes);
                CrossKind::Udp { rate_bps, packet_bytes, due_packets: 0, sent_packets: 0 }
            }
            (Traffic::Tcp { .. }, Sockets::Tcp(tcp)) => CrossKind::Tcp { congestion: tcp.congestion() },
            (Traffic::Tcp { congestion }, Sockets::Udp(_)) => {
                CrossKind::Tcp { congestion: congestion.clone().unwrap_or_default() }
            }
        },
        from: flow.from.clone(),
        to: flow.to.clone(),
        asked_start_ns: flow.start_ns,
        asked_stop_ns: flow.stop_ns,
        started_ns: None,
        stopped_ns: None,
        sent_bytes: 0,
        received_bytes: 0,
        lost_packets: 0,
        goodput_bps: 0.0,
        failure: None,
    };
    if clock.sleep_until(flow.start_ns) {
        let result = match sockets {
            Sockets::Tcp(tcp) => tcp.run(flow, clock, &mut report),
            Sockets::Udp(udp) => udp.run(flow, clock, &mut report),
        };
        report.failure = result.err();
    }
    report
}

/// The moment at which a flow has to be open, or stopped.
fn stop_ns(flow: &Cross) -> u64 {
    flow.stop_ns.unwrap_or(u64::MAX)
}

fn open_until_ns(flow: &Cross) -> u64 {
    stop_ns(flow).min(flow.start_ns.saturating_add(OPEN_TIMEOUT_NS))
}

/// What to say of a flow that did not open in time.
fn not_open(flow: &Cross, clock: &Clock) -> Result<(), String> {
    let tried_ns = clock.elapsed_ns().saturating_sub(flow.start_ns);
    if tried_ns < OPEN_GRACE_NS && clock.elapsed_ns() < stop_ns(flow) {
        return Ok(());
    }
    Err(format!("could not be opened within {:.1} s", Duration::from_nanos(tried_ns).as_secs_f64()))
}

/// The transfer's clock, and the sign to stop.
struct Clock {
    origin: Time,
    stop: Arc<EventFd>,
}

/// What ended a wait.
struct Woken<const N: usize> {
    /// The sign to stop.
    stopped: bool,
    /// Which of the sockets is ready.
    ready: [bool; N],
}

impl Clock {
    fn elapsed_ns(&self) -> u64 {
        clock::now().nanos_since(self.origin)
    }

    /// Waits for a socket, the sign to stop, or a moment.
    fn wait<const N: usize>(&self, sockets: [(BorrowedFd<'_>, PollFlags); N], until_ns: u64) -> Woken<N> {
        let mut waiting = Vec::with_capacity(N + 1);
        waiting.extend(sockets.map(|(socket, flags)| PollFd::new(socket, flags)));
        waiting.push(PollFd::new(self.stop.as_fd(), PollFlags::POLLIN));
        let any = self.poll(&mut waiting, until_ns);
        let ready = |n: usize| any && waiting.get(n).and_then(PollFd::any).unwrap_or(false);
        Woken { stopped: ready(N), ready: std::array::from_fn(ready) }
    }

    /// Waits for a socket or a moment, also after the sign to stop.
    fn wait_on(&self, socket: BorrowedFd<'_>, until_ns: u64) -> bool {
        self.poll(&mut [PollFd::new(socket, PollFlags::POLLIN)], until_ns)
    }

    /// Whether the moment came before the sign to stop.
    fn sleep_until(&self, until_ns: u64) -> bool {
        loop {
            if self.wait([], until_ns).stopped {
                return false;
            }
            if self.elapsed_ns() >= until_ns {
                return true;
            }
        }
    }

    fn poll(&self, waiting: &mut [PollFd<'_>], until_ns: u64) -> bool {
        let left = Duration::from_nanos(until_ns.saturating_sub(self.elapsed_ns()));
        ppoll(waiting, Some(TimeSpec::from_duration(left)), None).is_ok_and(|ready| ready > 0)
    }
}

/// After its stop, a flow's receiver waits so long for the next packet that is still under way, in nanoseconds,
const QUIET_NS: u64 = 250_000_000;
/// and for all of them together at most so long.
const DRAIN_NS: u64 = 2_000_000_000;

/// Calls `receive` while something arrives; it returns false when there is nothing more to come.
fn drain(clock: &Clock, socket: BorrowedFd<'_>, mut receive: impl FnMut() -> bool) {
    let end_ns = clock.elapsed_ns() + DRAIN_NS;
    loop {
        let until_ns = end_ns.min(clock.elapsed_ns() + QUIET_NS);
        if !clock.wait_on(socket, until_ns) || !receive() || clock.elapsed_ns() >= end_ns {
            return;
        }
    }
}

/// Bits per second of `bytes` between two moments.
fn rate_bps(bytes: u64, from_ns: u64, to_ns: u64) -> f64 {
    bytes as f64 * 8e9 / to_ns.saturating_sub(from_ns).max(1) as f64
}

/// The addresses by which two hosts talk: IPv4 if both have it, then IPv6 if both have that; else one needs a translator.
fn addresses(hosts: [&Host; 2]) -> io::Result<[IpAddr; 2]> {
    let of = |host: &Host, v6: bool| host.addresses().iter().copied().find(|addr| addr.is_ipv6() == v6);
    let pair = |v6| Some([of(hosts[0], v6)?, of(hosts[1], v6)?]);
    let first = || Some([*hosts[0].addresses().first()?, *hosts[1].addresses().first()?]);
    let none = || io::Error::new(io::ErrorKind::AddrNotAvailable, "a host without an address");
    pair(false).or_else(|| pair(true)).or_else(first).ok_or_else(none)
}

/// How a socket of `own` address reaches `target`: hosts without IPv4 find it behind NAT64.
fn reachable(own: IpAddr, target: SocketAddr) -> SocketAddr {
    let addr = if own.is_ipv6() { nat64_from_v4(target.ip()) } else { target.ip() };
    SocketAddr::new(addr, target.port())
}
