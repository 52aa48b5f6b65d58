//! How other threads talk to the engine: commands in, answers back. Where the engine is several threads, nobody notices.

use super::agenda::Act;
use super::pool::Buffer;
use super::snapshot::Snapshot;
use super::taps::Seen;
use crate::clock;
use netsim_fabric::{Fabric, LinkId, NodeId, Time};
use netsim_topology::Shards;
use nix::sys::eventfd::EventFd;
use std::io;
use std::sync::mpsc::{Sender, SyncSender, channel};
use std::sync::{Arc, Mutex, PoisonError};

/// Something to do on an engine's thread, between two packets.
pub(super) type Deed = Box<dyn FnOnce(&mut Fabric<Buffer>, Time) + Send>;

/// A new beginning, the same for all threads.
#[derive(Debug, Clone)]
pub(super) struct Restart {
    /// Counts restarts.
    pub(super) epoch: u64,
    /// When it is.
    pub(super) now: Time,
    pub(super) seed: u64,
    pub(super) acts: Vec<(u64, Act)>,
    pub(super) keep: bool,
}

pub(super) enum Command {
    Restart(Restart, Sender<()>),
    Act(Act),
    Tap(Vec<LinkId>, SyncSender<Seen>),
    Untap(Sender<u64>),
    Do(Deed),
    Snapshot(Sender<Snapshot>),
    /// For tests: do nothing for so many nanoseconds.
    Stall(u64),
    Stop,
}

/// The way to one thread.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) commands: Sender<Command>,
    pub(super) wake: Arc<EventFd>,
}

impl Line {
    pub(super) fn send(&self, command: Command) -> Result<(), EngineError> {
        self.commands.send(command).map_err(|_| EngineError::Gone)?;
        self.wake.write(1).map(drop).map_err(|_| EngineError::Gone)
    }
}

/// The other threads' way to talk to the engine, however many threads it has itself.
#[derive(Debug, Clone)]
pub(crate) struct Handle {
    /// By shard.
    lines: Arc<[Line]>,
    shards: Arc<Shards>,
    /// Restarts so far. Held during one, so that all threads see them in the same order.
    epoch: Arc<Mutex<u64>>,
}

impl Handle {
    pub(super) fn new(lines: Vec<Line>, shards: Arc<Shards>) -> Handle {
        Handle { lines: lines.into(), shards, epoch: Arc::default() }
    }

    /// Empties the network, sets all counters to 0 and starts again with `seed`. Each act happens so many nanoseconds
    /// later. `keep`: routers keep what they know.
    pub(crate) fn restart(&self, seed: u64, acts: Vec<(u64, Act)>, keep: bool) -> Result<(), EngineError> {
        let mut epoch = self.epoch.lock().unwrap_or_else(PoisonError::into_inner);
        *epoch += 1;
        let restart = Restart { epoch: *epoch, now: clock::now(), seed, acts, keep };
        self.ask_all(|done| Command::Restart(restart.clone(), done)).map(drop)
    }

    /// Does something to the network now, or asks it something: where `node` is.
    pub(crate) fn with<T: Send + 'static>(
        &self,
        node: NodeId,
        deed: impl FnOnce(&mut Fabric<Buffer>, Time) -> T + Send + 'static,
    ) -> Result<T, EngineError> {
        let (reply, wait) = channel();
        let deed: Deed = Box::new(move |fabric, now| {
            let _ = reply.send(deed(fabric, now));
        });
        self.lines[self.shards.of_node(node)].send(Command::Do(deed))?;
        wait.recv().map_err(|_| EngineError::Gone)
    }

    /// Does one thing now, and returns when it is done.
    pub(crate) fn act(&self, act: Act) -> Result<(), EngineError> {
        self.tell_all(|_| Command::Act(act.clone()))?;
        let nothing = |done: Sender<()>| -> Deed {
            Box::new(move |_, _| {
                let _ = done.send(());
            })
        };
        self.ask_all(|done| Command::Do(nothing(done))).map(drop)
    }

    /// Passes on all that is seen at these links.
    pub(crate) fn tap(&self, links: Vec<LinkId>, to: SyncSender<Seen>) -> Result<(), EngineError> {
        self.tell_all(|shard| {
            let own = links.iter().copied().filter(|link| self.shards.of_link(*link) == shard);
            Command::Tap(own.collect(), to.clone())
        })
    }

    /// Stops that. Returns how many packets were not taken fast enough.
    pub(crate) fn untap(&self) -> Result<u64, EngineError> {
        Ok(self.ask_all(Command::Untap)?.into_iter().sum())
    }

    pub(crate) fn snapshot(&self) -> Result<Box<Snapshot>, EngineError> {
        let parts = self.ask_all(Command::Snapshot)?;
        Snapshot::merge(parts, &self.shards).map(Box::new).ok_or(EngineError::Gone)
    }

    /// Stops moving packets for a while: what a test of the fidelity record needs.
    pub(crate) fn stall(&self, nanos: u64) -> Result<(), EngineError> {
        self.tell_all(|_| Command::Stall(nanos))
    }

    /// Ends all threads that still run.
    pub(super) fn stop(&self) {
        for line in &*self.lines {
            let _ = line.send(Command::Stop);
        }
    }

    fn tell_all(&self, command: impl Fn(usize) -> Command) -> Result<(), EngineError> {
        self.lines.iter().enumerate().try_for_each(|(shard, line)| line.send(command(shard)))
    }

    /// All threads' answers, by shard. They are asked before the first is waited for.
    fn ask_all<T>(&self, command: impl Fn(Sender<T>) -> Command) -> Result<Vec<T>, EngineError> {
        let ask = |line: &Line| {
            let (reply, answer) = channel();
            line.send(command(reply)).map(|()| answer)
        };
        let answers = self.lines.iter().map(ask).collect::<Result<Vec<_>, _>>()?;
        answers.into_iter().map(|answer| answer.recv().map_err(|_| EngineError::Gone)).collect()
    }
}

/// Why the engine does not answer.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The thread could not be started.
    #[error("cannot start the network emulator's threads")]
    Start(#[source] io::Error),
    /// The thread is gone.
    #[error("a thread of the network emulator ended unexpectedly")]
    Gone,
}
