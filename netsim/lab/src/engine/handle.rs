//! How other threads talk to the engine: commands in, answers back.

use super::agenda::Act;
use super::pool::Buffer;
use super::snapshot::Snapshot;
use super::taps::Seen;
use netsim_fabric::{Fabric, LinkId, Time};
use nix::sys::eventfd::EventFd;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Sender, SyncSender, channel};

/// Something to do on the engine's thread, between two packets.
pub(super) type Deed = Box<dyn FnOnce(&mut Fabric<Buffer>, Time) + Send>;

pub(super) enum Command {
    Restart(u64, Vec<(u64, Act)>, Sender<()>),
    Act(Act),
    Tap(Vec<LinkId>, SyncSender<Seen>),
    Untap(Sender<u64>),
    Do(Deed),
    Snapshot(Sender<Box<Snapshot>>),
    /// For tests: do nothing for so many nanoseconds.
    Stall(u64),
    Stop,
}

/// The other threads' way to talk to the engine.
#[derive(Debug, Clone)]
pub(crate) struct Handle {
    pub(super) commands: Sender<Command>,
    pub(super) wake: Arc<EventFd>,
}

impl Handle {
    /// Empties the network, sets all counters to 0 and starts again with `seed`. Each act happens so many nanoseconds
    /// later.
    pub(crate) fn restart(&self, seed: u64, acts: Vec<(u64, Act)>) -> Result<(), EngineError> {
        let (done, wait) = channel();
        self.send(Command::Restart(seed, acts, done))?;
        wait.recv().map_err(|_| EngineError::Gone)
    }

    /// Does something to the network now, or asks it something.
    pub(crate) fn with<T: Send + 'static>(
        &self,
        deed: impl FnOnce(&mut Fabric<Buffer>, Time) -> T + Send + 'static,
    ) -> Result<T, EngineError> {
        let (reply, wait) = channel();
        let deed: Deed = Box::new(move |fabric, now| {
            let _ = reply.send(deed(fabric, now));
        });
        self.send(Command::Do(deed))?;
        wait.recv().map_err(|_| EngineError::Gone)
    }

    /// Does one thing now.
    pub(crate) fn act(&self, act: Act) -> Result<(), EngineError> {
        self.send(Command::Act(act))
    }

    /// Passes on all that is seen at these links.
    pub(crate) fn tap(&self, links: Vec<LinkId>, to: SyncSender<Seen>) -> Result<(), EngineError> {
        self.send(Command::Tap(links, to))
    }

    /// Stops that. Returns how many packets were not taken fast enough.
    pub(crate) fn untap(&self) -> Result<u64, EngineError> {
        let (missed, wait) = channel();
        self.send(Command::Untap(missed))?;
        wait.recv().map_err(|_| EngineError::Gone)
    }

    pub(crate) fn snapshot(&self) -> Result<Box<Snapshot>, EngineError> {
        let (reply, wait) = channel();
        self.send(Command::Snapshot(reply))?;
        wait.recv().map_err(|_| EngineError::Gone)
    }

    /// Stops moving packets for a while: what a test of the fidelity record needs.
    pub(crate) fn stall(&self, nanos: u64) -> Result<(), EngineError> {
        self.send(Command::Stall(nanos))
    }

    pub(super) fn send(&self, command: Command) -> Result<(), EngineError> {
        self.commands.send(command).map_err(|_| EngineError::Gone)?;
        self.wake.write(1).map(drop).map_err(|_| EngineError::Gone)
    }
}

/// Why the engine does not answer.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The thread could not be started.
    #[error("cannot start the network emulator's thread")]
    Start(#[source] io::Error),
    /// The thread is gone.
    #[error("the network emulator's thread ended unexpectedly")]
    Gone,
}
