//! Measures the actual path between two hosts with real packets, as a transfer would meet it.
//!
//! Probes go from a UDP socket of one host to one of the other, which reflects them. Both ends share the machine's
//! clock, so each direction's delay is measured on its own. A train of packets sent faster than the bottleneck, and
//! timed as it arrives, gives the rate (Keshav's packet-pair idea, with a long train).

mod mtu;

use crate::clock;
use crate::engine::ask_for_realtime;
use crate::lab::{Host, Lab};
use crate::socket::{Received, Socket};
use longhaul_record::{DelayCheck, DelayQuantile, LossCheck, PathCheck, RateCheck};
use netsim_topology::{HOST_MTU, PathProfile, Topology, access_path, path, region};
use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Why a path could not be measured at all.
#[derive(Debug, thiserror::Error)]
pub enum CalibrateError {
    /// A host that is not there.
    #[error(transparent)]
    Lab(#[from] crate::LabError),
    /// A socket of a host.
    #[error("cannot send probes between `{from}` and `{to}`")]
    Socket {
        /// The host that probes.
        from: String,
        /// The host that reflects.
        to: String,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// What lies in front of a host could not be asked about.
    #[error("cannot ask what lies in front of `{host}`")]
    Classify {
        /// The host.
        host: String,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// Not one probe came through.
    #[error("no probe from `{from}` reached `{to}` and came back within {seconds} s")]
    Unreachable {
        /// The host that probes.
        from: String,
        /// The host that reflects.
        to: String,
        /// How long was waited.
        seconds: u64,
    },
}

/// Bytes of a probe's UDP payload: sequence number, time sent, time reflected, padding.
const PROBE_PAYLOAD: usize = 32;
/// IPv4 and UDP headers.
const HEADERS: u32 = 28;
/// UDP payload of a train's packets, where they are not too large for the path.
const TRAIN_PAYLOAD: usize = 1200;
/// Probes where no loss is configured.
const PROBES: u32 = 200;
/// Probes are enough for this many losses to be expected, up to [`MAX_PROBES`].
const LOSSES: u64 = 20;
const MAX_PROBES: u32 = 5_000;
/// Sending probes takes no longer than this, or less of them are sent.
const PROBING: Duration = Duration::from_secs(3);
/// Probes use at most this share of the bottleneck, so that they do not queue behind each other.
const SHARE_OF_BOTTLENECK: u64 = 8;
const MAX_PROBES_PER_SECOND: u64 = 10_000;
/// How long after the last probe to wait for stragglers, beyond the path's own delay.
const GRACE: Duration = Duration::from_millis(300);
/// A train lasts about this long at the bottleneck's rate.
const TRAIN_NS: u64 = 40_000_000;
/// And no longer than this where jitter asks for more.
const MAX_TRAIN_NS: u64 = 400_000_000;
const MIN_TRAIN: u64 = 20;
const MAX_TRAIN: u64 = 10_000;

/// Packets handed to the kernel at once.
const BURST: u64 = 10;
/// Real-time priority of the threads that reflect and receive, where permitted: below the emulator's.
const PRIORITY: i32 = 40;

/// What is known of one probe at the reflector or back at the sender.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) sequence: u32,
    pub(crate) delay_ns: u64,
}

/// Measures both directions between hosts `from` and `to`: first `from` → `to`, then back. `from` may be behind a NAT.
pub fn calibrate(lab: &Lab, topology: &Topology, from: &str, to: &str) -> Result<[PathCheck; 2], CalibrateError> {
    let ends = [lab.host(from)?, lab.host(to)?];
    let paths = path(topology, from, to).zip(path(topology, to, from));
    measure(ends, paths.map(<[PathProfile; 2]>::from))
}

/// The same between host `name` and the internet's core: its own link, and those of all routers in front of it. Where the
/// core has regions, that is where host `peer` hangs on it, so that the way between the two regions is measured too.
pub fn calibrate_access(
    lab: &Lab,
    topology: &Topology,
    name: &str,
    peer: &str,
) -> Result<[PathCheck; 2], CalibrateError> {
    let at = region(topology, peer);
    measure([lab.host(name)?, lab.internet(at)?], access_path(topology, name, at))
}

fn measure([from, to]: [&Host; 2], paths: Option<[PathProfile; 2]>) -> Result<[PathCheck; 2], CalibrateError> {
    let (from_name, to_name) = (from.name(), to.name());
    let unreachable =
        |seconds| CalibrateError::Unreachable { from: from_name.to_owned(), to: to_name.to_owned(), seconds };
    // The lab was built from another topology.
    let Some([there, back]) = paths else { return Err(unreachable(0)) };
    let failed = |source| CalibrateError::Socket { from: from_name.to_owned(), to: to_name.to_owned(), source };
    let prober = from.udp().and_then(Socket::new).map_err(failed)?;
    let reflector = to.udp().and_then(Socket::new).map_err(failed)?;
    let target = reflector.address().map_err(failed)?;
    let plan = ProbePlan {
        count: probe_count(&there, &back),
        interval_ns: interval_ns(&there, &back),
        wait: wait_for(&there, &back),
        in_order: [&there, &back].iter().all(|path| !path.reorders() && path.duplicate_ppb() == 0),
    };
    let probes = probe(&prober, &reflector, &plan).map_err(failed)?;
    let (Some(_), Some(peer)) = (probes.back.first(), probes.peer) else {
        return Err(unreachable(plan.wait.as_secs()));
    };
    let rate_there = rate(&prober, target, &reflector, &there).map_err(failed)?;
    let rate_back = rate(&reflector, peer, &prober, &back).map_err(failed)?;
    let mtu_there = mtu::measure(&prober, target, &reflector, &there).map_err(failed)?;
    let mtu_back = mtu::measure(&reflector, peer, &prober, &back).map_err(failed)?;
    let all: Vec<u32> = (0..plan.count).collect();
    let reflected = unique(&probes.there);
    Ok([
        PathCheck {
            rate: rate_there,
            mtu: Some(mtu_there),
            ..check([from_name, to_name], &there, &probes.there, &all)
        },
        PathCheck {
            rate: rate_back,
            mtu: Some(mtu_back),
            ..check([to_name, from_name], &back, &probes.back, &reflected)
        },
    ])
}

fn probe_count(there: &PathProfile, back: &PathProfile) -> u32 {
    let wanted = |path: &PathProfile| match path.loss_ppb() {
        0 => PROBES,
        ppb => {
            // Losses that come together say less than as many that do not.
            let losses = LOSSES + LOSSES * u64::from(path.clumping_permille()) / 1000;
            u32::try_from(losses * 1_000_000_000 / u64::from(ppb)).unwrap_or(u32::MAX).clamp(PROBES, MAX_PROBES)
        }
    };
    let in_time = PROBING.as_nanos() as u64 / interval_ns(there, back);
    wanted(there).max(wanted(back)).min(u32::try_from(in_time).unwrap_or(u32::MAX).max(PROBES))
}

/// How long a probe may take there and back.
fn wait_for(there: &PathProfile, back: &PathProfile) -> Duration {
    let len = HEADERS + PROBE_PAYLOAD as u32;
    let nanos = |path: &PathProfile| path.idle_delay_ns(len) + path.jitter_ns() + path.pause_ns();
    Duration::from_nanos(nanos(there) + nanos(back)) + GRACE
}

/// How probes are sent and waited for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProbePlan {
    /// How many.
    pub(crate) count: u32,
    /// From one to the next.
    pub(crate) interval_ns: u64,
    /// How long nothing may come before no more is expected.
    pub(crate) wait: Duration,
    /// Nothing comes after the last one.
    pub(crate) in_order: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Probes {
    /// What the reflector received.
    pub(crate) there: Vec<Seen>,
    /// What came back.
    pub(crate) back: Vec<Seen>,
    /// Where the reflector saw the prober: behind a NAT, not the prober's own address.
    peer: Option<SocketAddr>,
}

/// Sends probes at equal intervals and lets them be reflected.
pub(crate) fn probe(prober: &Socket, reflector: &Socket, plan: &ProbePlan) -> io::Result<Probes> {
    let target = reflector.address()?;
    // Time-outs bound both receivers: they end by themselves when nothing has come for longer than anything may take.
    reflector.set_timeout(plan.wait)?;
    prober.set_timeout(plan.wait)?;
    std::thread::scope(|scope| {
        let reflecting = scope.spawn(|| reflect(reflector, plan));
        let receiving = scope.spawn(|| receive(prober, plan));
        // Nothing is ever sent here: waiting for it with a time-out is the pause between probes.
        let (_quiet, pause) = channel();
        let sent = send_paced(prober, target, plan.count, plan.interval_ns, &pause);
        let (there, peer) = reflecting.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let back = receiving.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        sent.map(|()| Probes { there, back, peer })
    })
}

fn interval_ns(there: &PathProfile, back: &PathProfile) -> u64 {
    let slowest = there.rate_bps().into_iter().chain(back.rate_bps()).min();
    let bits = u64::from(HEADERS + PROBE_PAYLOAD as u32) * 8;
    let share = slowest.map_or(0, |rate| bits * SHARE_OF_BOTTLENECK * 1_000_000_000 / rate.get());
    share.max(1_000_000_000 / MAX_PROBES_PER_SECOND)
}

/// Sends probes at equal intervals.
fn send_paced(socket: &Socket, to: SocketAddr, count: u32, interval_ns: u64, pause: &Receiver<()>) -> io::Result<()> {
    let start = clock::now();
    for sequence in 0..count {
        let due = start + u64::from(sequence) * interval_ns;
        let left = due.nanos_since(clock::now());
        if left > 0 {
            let _ = pause.recv_timeout(Duration::from_nanos(left));
        }
        let mut payload = [0; PROBE_PAYLOAD];
        payload[..4].copy_from_slice(&sequence.to_be_bytes());
        payload[8..16].copy_from_slice(&clock::now().as_nanos().to_be_bytes());
        socket.send(&payload, to)?;
    }
    Ok(())
}

fn read_u64(payload: &[u8], at: usize) -> u64 {
    payload.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_be_bytes)
}

fn read_sequence(payload: &[u8]) -> u32 {
    payload.get(..4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_be_bytes)
}

/// Sends every probe back with the time it came, a copy of one not again; ends when nothing comes any more.
fn reflect(socket: &Socket, plan: &ProbePlan) -> (Vec<Seen>, Option<SocketAddr>) {
    ask_for_realtime(PRIORITY);
    let (mut seen, mut known) = (Vec::new(), vec![false; plan.count as usize]);
    let mut peer = None;
    let mut payload = [0; PROBE_PAYLOAD];
    while let Ok(Received { len: PROBE_PAYLOAD, from: Some(from), at, .. }) = socket.receive(&mut payload) {
        let sequence = read_sequence(&payload);
        seen.push(Seen { sequence, delay_ns: at.as_nanos().saturating_sub(read_u64(&payload, 8)) });
        peer = Some(from);
        let is_first = known.get_mut(sequence as usize).is_some_and(|known| !std::mem::replace(known, true));
        if is_first {
            payload[16..24].copy_from_slice(&clock::now().as_nanos().to_be_bytes());
            // A reflection the kernel does not take is a lost one, and counted so.
            let _ = socket.send(&payload, from);
        }
        if plan.in_order && sequence + 1 == plan.count {
            break;
        }
    }
    (seen, peer)
}

fn receive(socket: &Socket, plan: &ProbePlan) -> Vec<Seen> {
    ask_for_realtime(PRIORITY);
    let mut seen = Vec::new();
    let mut payload = [0; PROBE_PAYLOAD];
    while let Ok(Received { len: PROBE_PAYLOAD, at, .. }) = socket.receive(&mut payload) {
        let sequence = read_sequence(&payload);
        seen.push(Seen { sequence, delay_ns: at.as_nanos().saturating_sub(read_u64(&payload, 16)) });
        if plan.in_order && sequence + 1 == plan.count {
            break;
        }
    }
    seen
}

/// The rate of the bottleneck between two sockets; `None` where no link has a rate. A train that did not come through
/// has rate 0.
fn rate(sender: &Socket, to: SocketAddr, receiver: &Socket, path: &PathProfile) -> io::Result<Option<RateCheck>> {
    let Some(asked) = path.rate_bps() else { return Ok(None) };
    // Jitter moves the first and the last packet: a longer train is moved by less of its length.
    let jitter = path.jitter_ns();
    let nanos = TRAIN_NS.max(jitter.saturating_mul(20)).min(MAX_TRAIN_NS);
    let train = Train::new(asked.get(), nanos, path.mtu());
    let train = Train { packets: train.packets.clamp(MIN_TRAIN, MAX_TRAIN), ..train };
    let takes_ns = train.packets * train.wire_bits() * 1_000_000_000 / asked.get();
    let moved_permille = (2 * jitter).saturating_mul(1000) / takes_ns.max(1);
    let lost_permille = u64::from(path.loss_ppb() / 1_000_000);
    let slack_permille = u32::try_from(moved_permille + lost_permille).unwrap_or(u32::MAX).min(1000);
    let got = train.run(sender, to, receiver, wait_one_way(path))?;
    Ok(Some(RateCheck { asked_bps: asked.get(), got_bps: got.unwrap_or(0), varies: path.varies(), slack_permille }))
}

/// How long a full packet may take.
fn wait_one_way(path: &PathProfile) -> Duration {
    Duration::from_nanos(path.idle_delay_ns(HOST_MTU) + path.jitter_ns() + path.pause_ns()) + GRACE
}

/// Packets that follow each other a little faster than a rate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Train {
    rate_bps: u64,
    packets: u64,
    /// Bytes of UDP payload of each.
    payload: usize,
}

impl Train {
    /// One that keeps a line of this rate and MTU busy for so long.
    pub(crate) fn new(rate_bps: u64, nanos: u64, mtu: u32) -> Train {
        let payload = TRAIN_PAYLOAD.min(mtu.saturating_sub(HEADERS) as usize);
        let train = Train { rate_bps, packets: 0, payload };
        Train { packets: nanos * rate_bps / 1_000_000_000 / train.wire_bits(), ..train }
    }

    /// IP bits of a packet.
    fn wire_bits(self) -> u64 {
        (u64::from(HEADERS) + self.payload as u64) * 8
    }

    /// At which rate, in bits per second, its packets arrive. `None` where fewer than two arrived.
    pub(crate) fn run(
        self,
        sender: &Socket,
        to: SocketAddr,
        receiver: &Socket,
        wait: Duration,
    ) -> io::Result<Option<u64>> {
        receiver.set_timeout(wait)?;
        let arrivals = std::thread::scope(|scope| {
            let receiving = scope.spawn(|| self.receive(receiver));
            let sent = self.send(sender, to);
            let arrivals = receiving.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            sent.map(|()| arrivals)
        })?;
        Ok(match (arrivals.first(), arrivals.last()) {
            (Some(first), Some(last)) if last > first => {
                // Packets of one burst may carry one time: those of the first are the start, not part of the interval.
                let at_start = arrivals.iter().take_while(|at| *at == first).count();
                Some((arrivals.len() - at_start) as u64 * self.wire_bits() * 1_000_000_000 / (last - first))
            }
            _ => None,
        })
    }

    /// Sends a little faster than the bottleneck, so that it is never idle and its queue does not overflow. In bursts
    /// that the kernel cuts, so that one processor suffices for any rate.
    fn send(self, sender: &Socket, to: SocketAddr) -> io::Result<()> {
        let rate = (self.rate_bps / 10 * 12).max(1);
        // The bottleneck must have something to do while this thread is being scheduled: some bursts go out at once.
        let ahead = 2 * BURST;
        let start = clock::now();
        let payload = vec![0x5a; self.payload * BURST as usize];
        sender.cut_into(self.payload)?;
        let mut sent = 0;
        let mut result = Ok(());
        while sent < self.packets && result.is_ok() {
            let due = start + sent.saturating_sub(ahead) * self.wire_bits() * 1_000_000_000 / rate;
            while clock::now() < due {
                std::thread::yield_now();
            }
            let burst = BURST.min(self.packets - sent);
            result = sender.send(&payload[..self.payload * burst as usize], to);
            sent += burst;
        }
        sender.cut_into(0)?;
        result
    }

    /// When each packet arrived, in nanoseconds.
    fn receive(self, receiver: &Socket) -> Vec<u64> {
        ask_for_realtime(PRIORITY);
        let mut arrivals = Vec::new();
        let mut payload = [0; 2 * TRAIN_PAYLOAD];
        while (arrivals.len() as u64) < self.packets {
            match receiver.receive(&mut payload) {
                Ok(Received { len, at, .. }) if len == self.payload => arrivals.push(at.as_nanos()),
                // A late probe.
                Ok(_) => {}
                Err(_) => break,
            }
        }
        arrivals
    }
}

/// The sequence numbers of probes, each once, in order.
fn unique(seen: &[Seen]) -> Vec<u32> {
    let mut unique: Vec<u32> = seen.iter().map(|probe| probe.sequence).collect();
    unique.sort_unstable();
    unique.dedup();
    unique
}

/// Shares of probes whose delay is kept, in thousandths.
const QUANTILES: [u32; 7] = [10, 100, 250, 500, 750, 900, 990];

/// What became of the probes in `sent`, on the way between two hosts.
fn check([from, to]: [&str; 2], path: &PathProfile, seen: &[Seen], sent: &[u32]) -> PathCheck {
    let mut delays: Vec<u64> = seen.iter().map(|probe| probe.delay_ns).collect();
    delays.sort_unstable();
    let quantile =
        |permille: u32| delays.get(delays.len().saturating_sub(1) * permille as usize / 1000).copied().unwrap_or(0);
    let unique = unique(seen);
    let lost: Vec<bool> = sent.iter().map(|sequence| unique.binary_search(sequence).is_err()).collect();
    let begins = |n: usize| lost[n] && !n.checked_sub(1).is_some_and(|before| lost[before]);
    PathCheck {
        from: from.to_owned(),
        to: to.to_owned(),
        delay: DelayCheck {
            asked_ns: path.idle_delay_ns(HEADERS + PROBE_PAYLOAD as u32),
            jitter_ns: path.jitter_ns(),
            median_ns: quantile(500),
            p99_ns: quantile(990),
            early_ns: path.early_ns(),
            varies: path.varies(),
            quantiles: QUANTILES.map(|permille| DelayQuantile { permille, ns: quantile(permille) }).into(),
        },
        loss: LossCheck {
            asked_ppb: path.loss_ppb(),
            sent: sent.len() as u64,
            lost: lost.iter().filter(|lost| **lost).count() as u64,
            clumping_permille: path.clumping_permille(),
            scripted: path.scripted_losses(),
            bursts: (0..lost.len()).filter(|n| begins(*n)).count() as u64,
        },
        rate: None,
        mtu: None,
        reordered: seen.windows(2).filter(|pair| pair[1].sequence < pair[0].sequence).count() as u64,
        duplicated: (seen.len() - unique.len()) as u64,
        reorder_asked: path.reorders(),
        duplicate_ppb: path.duplicate_ppb(),
    }
}
