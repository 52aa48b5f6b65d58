//! The threads that move packets: they read them from the hosts' devices, ask the fabric, write them at their time.
//!
//! Each has a fabric of the whole network and carries one shard of it, mostly all. A thread sleeps in `epoll_pwait2` until shortly before the next release, then looks at the
//! clock without pause for the last stretch, with real-time priority where that is permitted. At high packet rates it
//! waits a little between rounds, so that more packets are handled per system call.

mod agenda;
mod fidelity;
mod handle;
mod pace;
mod pool;
mod port;
mod snapshot;
mod taps;
mod timeline;
mod trunk;

use crate::clock;
use crate::device::Device;
use agenda::Agenda;
use fidelity::Watch;
use handle::{Command, Line, Restart};
use netsim_fabric::{Fabric, LinkId, MappingEvent, NodeId, Time};
use netsim_topology::Shards;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::eventfd::EventFd;
use pace::{Pace, SpinBudget, WakeUps};
use pool::{Buffer, Pool};
use port::Port;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use taps::Taps;
use timeline::Timeline;
use trunk::Trunk;

pub use handle::EngineError;
pub use snapshot::{INTERVAL_NS, Interval, LinkInterval, Snapshot};

pub(crate) use agenda::Act;
pub(crate) use fidelity::fidelity_record;
pub(crate) use handle::Handle;
pub(crate) use taps::Seen;

/// The longest sleep: also an idle engine notices within this time that it was stopped.
const MAX_SLEEP_NS: u64 = 10_000_000;
/// Where packets come fast and together, the pause between rounds.
const MODERATION_NS: u64 = 50_000;
/// Packets read from one device before the others get their turn.
const BATCH: usize = 64;
/// Bytes read before what is due is written: few enough for a processor's own cache, so that a payload is still there
/// when it is copied again.
const BATCH_BYTES: usize = 256 * 1024;

/// The engine's threads. Dropping it stops them and closes the devices.
#[derive(Debug)]
pub(crate) struct Engine {
    handle: Handle,
    threads: Vec<JoinHandle<()>>,
}

/// Hosts with their devices; made on the caller's thread, used on the engine's.
pub(crate) type Devices = Vec<(NodeId, Device)>;

impl Engine {
    /// Starts a thread for each shard. `build` makes the fabric of one on its thread.
    pub(crate) fn start(
        build: impl Fn(usize) -> FabricParts + Clone + Send + 'static,
        devices: Devices,
        shards: Shards,
    ) -> Result<Engine, EngineError> {
        let wakes: Vec<Arc<EventFd>> = (0..shards.count())
            .map(|_| EventFd::new().map(Arc::new))
            .collect::<Result<_, _>>()
            .map_err(|errno| EngineError::Start(errno.into()))?;
        let shards = Arc::new(shards);
        let (lines, inboxes): (Vec<Line>, Vec<Receiver<Command>>) = wakes
            .iter()
            .map(|wake| {
                let (commands, inbox) = channel();
                (Line { commands, wake: Arc::clone(wake) }, inbox)
            })
            .unzip();
        let mut shares: Vec<Devices> = wakes.iter().map(|_| Devices::new()).collect();
        for (node, device) in devices {
            shares[shards.of_node(node)].push((node, device));
        }
        let trunks = Trunk::all(&shards, &wakes);
        // Whoever fails, those that run already are stopped when it is dropped.
        let mut engine = Engine { handle: Handle::new(lines, shards), threads: Vec::new() };
        let (ready, started) = channel();
        for (shard, ((inbox, trunk), devices)) in inboxes.into_iter().zip(trunks).zip(shares).enumerate() {
            let seat = Seat { shard, threads: wakes.len(), inbox, wake: Arc::clone(&wakes[shard]), trunk };
            let (build, ready) = (build.clone(), ready.clone());
            let thread = std::thread::Builder::new().name(format!("netsim-{shard}"));
            let thread = thread.spawn(move || match Loop::new(build(shard), devices, seat) {
                Ok(mut engine) => {
                    let _ = ready.send(Ok(()));
                    engine.run();
                    engine.close_devices();
                }
                Err(error) => {
                    let _ = ready.send(Err(error));
                }
            });
            engine.threads.push(thread.map_err(EngineError::Start)?);
        }
        drop(ready);
        for _ in &engine.threads {
            started.recv().map_err(|_| EngineError::Gone)?.map_err(EngineError::Start)?;
        }
        Ok(engine)
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.handle.stop();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// A shard's fabric and how many links it has. Made on the engine's thread, because buffers are counted without locks.
pub(crate) struct FabricParts {
    pub(crate) fabric: Fabric<Buffer>,
    pub(crate) links: Vec<LinkId>,
    pub(crate) nodes: Vec<NodeId>,
    /// When the network starts.
    pub(crate) start: Time,
}

/// A thread's place among the others.
struct Seat {
    shard: usize,
    threads: usize,
    inbox: Receiver<Command>,
    wake: Arc<EventFd>,
    trunk: Trunk,
}

struct Loop {
    fabric: Fabric<Buffer>,
    agenda: Agenda,
    taps: Taps,
    trunk: Trunk,
    links: Vec<LinkId>,
    nodes: Vec<NodeId>,
    /// By [`NodeId::index`].
    ports: Vec<Option<Port>>,
    /// Ports that may hold packets.
    written: Vec<usize>,
    pool: Pool,
    epoll: Epoll,
    inbox: Receiver<Command>,
    wake: Arc<EventFd>,
    realtime: bool,
    since: Time,
    watch: Watch,
    timeline: Timeline,
    /// What happened at each node's NATs before the last restart that kept its table.
    mappings: Vec<Vec<MappingEvent>>,
    pace: Pace,
    spin: SpinBudget,
    wake_ups: WakeUps,
}

/// The epoll tag of the event descriptor; devices use their node's index.
const WAKE: u64 = u64::MAX;

impl Loop {
    fn new(parts: FabricParts, devices: Devices, seat: Seat) -> io::Result<Loop> {
        let FabricParts { fabric, links, nodes, start } = parts;
        let Seat { shard, threads, inbox, wake, trunk } = seat;
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(wake.as_ref(), EpollEvent::new(EpollFlags::EPOLLIN, WAKE))?;
        let mut ports: Vec<Option<Port>> = nodes.iter().map(|_| None).collect();
        for (node, device) in devices {
            epoll.add(&device, EpollEvent::new(EpollFlags::EPOLLIN, node.index() as u64))?;
            ports[node.index()] = Some(Port::new(device));
        }
        // A sleep that may end 50 µs late by design would be most of our error.
        let _ = nix::sys::prctl::set_timerslack(1);
        let now = clock::now();
        Ok(Loop {
            timeline: Timeline::new(links.clone(), start),
            mappings: vec![Vec::new(); nodes.len()],
            fabric,
            agenda: Agenda::new(shard == 0),
            taps: Taps::default(),
            trunk,
            links,
            nodes,
            ports,
            written: Vec::new(),
            pool: Pool::default(),
            epoll,
            inbox,
            wake,
            realtime: ask_for_realtime(PRIORITY),
            since: start,
            watch: Watch::new(now),
            pace: Pace::default(),
            spin: SpinBudget::new(now, threads),
            wake_ups: WakeUps::default(),
        })
    }

    fn run(&mut self) {
        let mut events = [EpollEvent::empty(); 64];
        loop {
            let waiting = self.trunk.receive(&mut self.fabric);
            let now = clock::now();
            let released = self.release(now);
            self.trunk.send(&mut self.fabric);
            self.taps.pass_on(&mut self.fabric);
            self.timeline.catch_up(now, &mut self.fabric);
            let timeout = if released || waiting { 0 } else { self.sleep_ns(now) };
            let asleep = clock::now();
            self.watch.going_to_sleep(asleep, timeout);
            let ready = self.wait(&mut events, timeout);
            let awake = clock::now();
            self.watch.awake(awake);
            if ready == 0 && timeout > 0 {
                self.wake_ups.took(awake.nanos_since(asleep + timeout));
            }
            let mut arrival = Some(self.wake_ups.event_before(awake).max(asleep));
            let (mut received, mut more) = (0, waiting);
            for event in &events[..ready] {
                match event.data() {
                    WAKE if !self.obey() => return,
                    WAKE => {}
                    node => {
                        let (packets, exhausted) = self.receive(node as usize, arrival.take());
                        received += packets;
                        more |= !exhausted;
                    }
                }
            }
            let now = clock::now();
            self.watch.read(now, more);
            self.pace.count(now, received);
            // Where packets are waiting already, nothing is gained by waiting for more.
            if !more {
                self.moderate();
            }
        }
    }

    /// Does everything that is due, in order of time. Returns whether there was anything.
    fn release(&mut self, now: Time) -> bool {
        let mut any = false;
        while let Some(at) = self.agenda.next().filter(|at| *at <= now) {
            while self.hand_over(at) {}
            self.agenda.act(&mut self.fabric);
            any = true;
        }
        self.hand_over(now) | any
    }

    /// Hands over packets that are due at `now`, some at a time. Returns whether there were any.
    fn hand_over(&mut self, now: Time) -> bool {
        let mut any = false;
        // Bounded, so that devices are read also when the network is flooded.
        for _ in 0..4 * BATCH {
            let Some(egress) = self.fabric.poll(now) else { break };
            any = true;
            self.watch.released(clock::now(), egress.scheduled);
            let host = egress.host.index();
            if let Some(port) = &mut self.ports[host] {
                port.write(egress.packet);
                if self.written.last() != Some(&host) {
                    self.written.push(host);
                }
            }
        }
        for host in self.written.drain(..) {
            if let Some(port) = &mut self.ports[host] {
                port.flush();
            }
        }
        any
    }

    /// How long to sleep, 0 for not at all.
    fn sleep_ns(&mut self, now: Time) -> u64 {
        let next = self.fabric.next_wakeup().map_or(MAX_SLEEP_NS, |at| {
            let left = at.nanos_since(now);
            match left {
                // Still far: sleep all but the last stretch.
                _ if left > MAX_SLEEP_NS => MAX_SLEEP_NS,
                _ => left.saturating_sub(self.spin.may_watch_for(now, at, self.wake_ups.at_most_ns())),
            }
        });
        let agenda = self.agenda.next().map_or(MAX_SLEEP_NS, |at| at.nanos_since(now));
        next.min(agenda).min(self.timeline.end().nanos_since(now))
    }

    fn wait(&self, events: &mut [EpollEvent], timeout_ns: u64) -> usize {
        let timeout = libc::timespec { tv_sec: 0, tv_nsec: timeout_ns as libc::c_long };
        #[expect(unsafe_code, reason = "epoll_pwait2 is the only wait for several descriptors in nanoseconds")]
        // SAFETY: `EpollEvent` is a transparent `epoll_event`; pointer and length belong together; the signal mask is
        // absent.
        let ready = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.epoll.0.as_raw_fd(),
                events.as_mut_ptr(),
                events.len() as libc::c_int,
                &raw const timeout,
                std::ptr::null::<libc::sigset_t>(),
                0_usize,
            )
        };
        usize::try_from(ready).unwrap_or(0)
    }

    /// Takes in what a host has sent, up to a limit. Returns how many packets, and whether that was all. The first of
    /// them may be known to have come at an earlier time.
    fn receive(&mut self, node: usize, mut first: Option<Time>) -> (u64, bool) {
        let Some(port) = &mut self.ports[node] else { return (0, true) };
        let (mut packets, mut bytes) = (0, 0);
        while packets < BATCH as u64 && bytes < BATCH_BYTES {
            let Some(packet) = port.read(&self.pool) else { return (packets, true) };
            packets += 1;
            bytes += packet.as_ref().map_or(0, |packet| packet.body.packet().len());
            if let Some(packet) = packet {
                let at = first.take().unwrap_or_else(clock::now);
                self.fabric.ingress(at, self.nodes[node], packet);
            }
        }
        (packets, false)
    }

    /// At high rates, lets packets gather before the next round.
    fn moderate(&self) {
        if !self.pace.gathers() {
            return;
        }
        let now = clock::now();
        let due = self.fabric.next_wakeup().map_or(MODERATION_NS, |at| at.nanos_since(now));
        // Below this, falling asleep and waking up takes longer than the pause.
        const WORTH_NS: u64 = 10_000;
        let pause = due.min(MODERATION_NS);
        if pause > WORTH_NS {
            let pause = libc::timespec { tv_sec: 0, tv_nsec: (pause - WORTH_NS / 2) as libc::c_long };
            #[expect(unsafe_code, reason = "no safe wrapper sleeps for microseconds without the disallowed std one")]
            // SAFETY: both pointers are valid or null; a signal that ends the pause early does no harm.
            unsafe {
                libc::clock_nanosleep(libc::CLOCK_MONOTONIC, 0, &raw const pause, std::ptr::null_mut());
            }
        }
    }

    /// Closing a device takes the kernel some 20 ms, most of them waiting; several can be waited for at once.
    fn close_devices(&mut self) {
        const AT_ONCE: usize = 16;
        let mut devices: Vec<Device> = self.ports.drain(..).flatten().map(Port::into_device).collect();
        let share = devices.len().div_ceil(AT_ONCE).max(1);
        std::thread::scope(|scope| {
            while !devices.is_empty() {
                let some = devices.split_off(devices.len().saturating_sub(share));
                // Without a thread, they are closed here and now.
                let _ = std::thread::Builder::new().spawn_scoped(scope, move || drop(some));
            }
        });
    }

    /// Carries out what the other threads asked for. Returns whether to go on.
    fn obey(&mut self) -> bool {
        let _ = self.wake.read();
        while let Ok(command) = self.inbox.try_recv() {
            match command {
                Command::Stop => return false,
                Command::Snapshot(reply) => {
                    let _ = reply.send(self.snapshot());
                }
                Command::Act(act) => self.agenda.act_now(&mut self.fabric, clock::now(), act),
                Command::Tap(links, to) => self.taps.open(&mut self.fabric, links, to),
                Command::Untap(missed) => {
                    self.taps.pass_on(&mut self.fabric);
                    let _ = missed.send(self.taps.close(&mut self.fabric));
                }
                Command::Do(deed) => deed(&mut self.fabric, clock::now()),
                Command::Restart(restart, done) => {
                    self.restart(restart);
                    let _ = done.send(());
                }
                Command::Stall(nanos) => {
                    let until = clock::now() + nanos;
                    while clock::now() < until {
                        std::hint::spin_loop();
                    }
                }
            }
        }
        true
    }

    fn restart(&mut self, Restart { epoch, now, seed, acts, keep }: Restart) {
        for port in self.ports.iter_mut().flatten() {
            port.forget_drops();
        }
        self.agenda.restart(&mut self.fabric, now, acts);
        for (&node, earlier) in self.nodes.iter().zip(&mut self.mappings) {
            // A table that is kept was filled by somebody. The fabric forgets whom it has told of that.
            let events = self.fabric.take_mapping_events(now, node);
            if keep { earlier.extend(events) } else { earlier.clear() }
        }
        if keep {
            self.fabric.restart_keeping_state(now, seed);
        } else {
            self.fabric.restart(now, seed);
        }
        self.trunk.restart(&mut self.fabric, epoch);
        self.since = now;
        // The thread is not to blame for how long the others' command took to get here.
        self.watch = Watch::new(clock::now());
        self.timeline.restart(now);
    }

    /// What happened at each node's NATs since this was last asked.
    fn mapping_events(&mut self, now: Time) -> Vec<Vec<MappingEvent>> {
        let all = self.nodes.iter().zip(&mut self.mappings);
        all.map(|(&node, earlier)| {
            let mut events = std::mem::take(earlier);
            events.extend(self.fabric.take_mapping_events(now, node));
            events
        })
        .collect()
    }

    fn snapshot(&mut self) -> Snapshot {
        let now = clock::now();
        self.watch.still_awake(now);
        self.timeline.catch_up(now, &mut self.fabric);
        Snapshot {
            since: self.since,
            at: now,
            links: self.links.iter().map(|&link| self.fabric.link_counters(link)).collect(),
            routers: self.nodes.iter().map(|&node| self.fabric.router_drops(node)).collect(),
            flows: self.nodes.iter().map(|&node| self.fabric.flows(node) as u64).collect(),
            mappings: self.mapping_events(now),
            timeline: self.timeline.so_far(&mut self.fabric),
            watch: self.watch.clone(),
            port_drops: self.ports.iter_mut().map(|port| port.as_mut().map(Port::drops).unwrap_or_default()).collect(),
            trunk_drops: self.trunk.drops(),
            realtime: self.realtime,
            cpu_ns: clock::thread_cpu_ns(),
        }
    }
}

/// The emulator's real-time priority.
pub(crate) const PRIORITY: i32 = 50;

/// Asks for real-time priority for the calling thread. Most users may not have it; the record says so. They get at least
/// a short time slice: the kernel then lets the thread run sooner when it wakes up on a busy machine.
pub(crate) fn ask_for_realtime(priority: i32) -> bool {
    #[expect(unsafe_code, reason = "no safe wrapper exists")]
    // SAFETY: the structure is fully initialised; 0 means the calling thread.
    let granted = unsafe {
        let parameters = libc::sched_param { sched_priority: priority };
        libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameters) == 0
    };
    if !granted {
        ask_for_short_slice();
    }
    granted
}

/// Linux 6.12 and newer take the run time of an ordinary thread as the length of its slice (EEVDF); older ones ignore it.
fn ask_for_short_slice() {
    const SLICE_NS: u64 = 100_000;
    #[expect(unsafe_code, reason = "no safe wrapper exists")]
    // SAFETY: an all-zero `sched_attr` asks for SCHED_OTHER; its size is given; 0 means the calling thread.
    unsafe {
        let mut wanted: libc::sched_attr = std::mem::zeroed();
        wanted.size = size_of::<libc::sched_attr>() as u32;
        wanted.sched_runtime = SLICE_NS;
        // Best effort: without it, packets leave later when the machine is busy, and the record says how late.
        libc::syscall(libc::SYS_sched_setattr, 0, &raw const wanted, 0);
    }
}
