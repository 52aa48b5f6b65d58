//! Hosts' interfaces as they change while the network runs: up, down, other addresses.
//!
//! The fabric's part of a change happens at its very moment, on the engine's thread. The kernel takes milliseconds for its
//! own, in which the engine must not stand still: another thread does that, one change after the other.

use crate::clock;
use crate::device::{DeviceError, Routes, connect, disconnect, netlink, readdress};
use crate::netns::NetNs;
use netsim_fabric::{LinkId, NodeId};
use std::fs;
use std::io;
use std::net::IpAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// A host's network device.
#[derive(Debug)]
pub(crate) struct Interface {
    pub(crate) host: String,
    pub(crate) name: String,
    /// Its place in the fabric.
    pub(crate) node: NodeId,
    /// The link that leads to it.
    pub(crate) link: LinkId,
    namespace: Arc<NetNs>,
    rank: Option<u32>,
    first: State,
    now: Mutex<State>,
}

/// What the kernel is told of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) up: bool,
    /// What it has, or will have once it is up.
    pub(crate) addresses: Vec<IpAddr>,
}

/// What is to become of an interface.
#[derive(Debug, Clone)]
pub(crate) enum Turn {
    Up,
    Down,
    /// It gets other addresses.
    Addresses(Vec<IpAddr>),
    /// Everything is as it was at first.
    First,
}

/// What is reached through an interface of that rank, or through the only one.
pub(crate) fn routes(rank: Option<u32>) -> Routes<'static> {
    rank.map_or(Routes::Everything, Routes::Ranked)
}

impl Interface {
    /// The interface `name` of `host`, whose device is in `namespace` and in the state `first`.
    pub(crate) fn new(
        (host, name): (&str, &str),
        (node, link): (NodeId, LinkId),
        namespace: Arc<NetNs>,
        rank: Option<u32>,
        first: State,
    ) -> Interface {
        let (host, name, now) = (host.to_owned(), name.to_owned(), Mutex::new(first.clone()));
        Interface { host, name, node, link, namespace, rank, first, now }
    }

    fn take(&self, turn: &Turn) -> Result<(), DeviceError> {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = match turn {
            Turn::Up => State { up: true, ..now.clone() },
            Turn::Down => State { up: false, ..now.clone() },
            Turn::Addresses(addresses) => State { addresses: addresses.clone(), ..now.clone() },
            Turn::First => self.first.clone(),
        };
        if wanted != *now {
            self.namespace.run(|| self.turn(&now, &wanted)).map_err(DeviceError::Namespace)??;
            let settled = || wanted.addresses.iter().filter(|_| wanted.up).for_each(|address| settle(*address));
            self.namespace.run(settled).map_err(DeviceError::Namespace)?;
        }
        *now = wanted;
        Ok(())
    }

    fn turn(&self, now: &State, wanted: &State) -> Result<(), DeviceError> {
        let (name, routes) = (self.name.as_str(), routes(self.rank));
        netlink(async |handle| match (now.up, wanted.up) {
            (true, true) => readdress(&handle, name, &now.addresses, &wanted.addresses, routes).await,
            (true, false) => disconnect(&handle, name, &now.addresses, routes).await,
            (false, true) => connect(&handle, name, &wanted.addresses, routes).await,
            (false, false) => Ok(()),
        })
    }
}

/// The longest that [`settle`] waits.
const SETTLING_NS: u64 = 1_000_000_000;

/// Waits until the kernel takes packets for a new IPv6 address, which it sees to in a worker of its own (`addrconf`), mostly
/// within a millisecond. For this thread there is no event to wait for but that the table has changed. Must run in the
/// host's namespace.
fn settle(address: IpAddr) {
    let IpAddr::V6(address) = address else { return };
    // As in the table: without colons.
    let wanted: String = address.octets().iter().map(|byte| format!("{byte:02x}")).collect();
    const LOCAL: u32 = 0x8000_0000;
    let is_local = |line: &str| {
        let mut fields = line.split_whitespace();
        let flags = || u32::from_str_radix(fields.clone().nth(8)?, 16).ok();
        flags().is_some_and(|flags| flags & LOCAL != 0) && fields.next() == Some(&wanted)
    };
    let give_up = clock::now() + SETTLING_NS;
    while clock::now() < give_up {
        let table = fs::read_to_string("/proc/thread-self/net/ipv6_route").unwrap_or_default();
        if table.lines().any(is_local) {
            return;
        }
        std::thread::yield_now();
    }
}

/// An interface that could not be changed.
#[derive(Debug)]
pub(crate) struct Stuck {
    pub(crate) interface: Arc<Interface>,
    pub(crate) source: DeviceError,
}

enum Job {
    Turn(Arc<Interface>, Turn),
    /// Says when everything before is done, and what of it failed first.
    Report(Sender<Option<Stuck>>),
    Stop,
}

/// Asks for one change. Can be sent to another thread.
#[derive(Debug, Clone)]
pub(crate) struct Errand {
    interface: Arc<Interface>,
    turn: Turn,
    jobs: Sender<Job>,
}

impl Errand {
    /// Has it done, soon. What fails is reported by [`Operator::report`].
    pub(crate) fn run(self) {
        // Without an operator, the lab is being taken down.
        let _ = self.jobs.send(Job::Turn(self.interface, self.turn));
    }
}

/// The thread that changes interfaces. It ends when dropped.
#[derive(Debug)]
pub(crate) struct Operator {
    jobs: Sender<Job>,
    thread: Option<JoinHandle<()>>,
}

impl Operator {
    pub(crate) fn start() -> io::Result<Operator> {
        let (jobs, inbox) = channel();
        let thread = std::thread::Builder::new().name("interfaces".into()).spawn(move || operate(&inbox))?;
        Ok(Operator { jobs, thread: Some(thread) })
    }

    pub(crate) fn errand(&self, interface: &Arc<Interface>, turn: Turn) -> Errand {
        Errand { interface: Arc::clone(interface), turn, jobs: self.jobs.clone() }
    }

    /// Waits until everything asked for is done. Returns what failed first since this was last asked.
    pub(crate) fn report(&self) -> Option<Stuck> {
        let (reply, wait) = channel();
        self.jobs.send(Job::Report(reply)).ok()?;
        wait.recv().ok().flatten()
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let told = self.jobs.send(Job::Stop).is_ok();
        if let Some(thread) = self.thread.take().filter(|_| told) {
            let _ = thread.join();
        }
    }
}

fn operate(inbox: &Receiver<Job>) {
    let mut stuck = None;
    while let Ok(job) = inbox.recv() {
        match job {
            Job::Turn(interface, turn) => {
                if let Err(source) = interface.take(&turn) {
                    stuck.get_or_insert(Stuck { interface, source });
                }
            }
            Job::Report(reply) => drop(reply.send(stuck.take())),
            Job::Stop => return,
        }
    }
}
