//! Ctrl-C and termination signals, as a flag that long work looks at.

use crate::error::CliError;
use longhaul_record::Exit;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Set once the user wants to stop. A second wish ends the program at once.
#[derive(Debug, Clone)]
pub(crate) struct Stop {
    wanted: Arc<AtomicBool>,
    /// Closed with the first wish.
    wish: Arc<Mutex<Receiver<()>>>,
}

/// A signal to a whole process group reaches this program more than once: each of the processes around it passes its
/// own on. All that comes within this time is one wish, in nanoseconds.
const ONE_WISH_NS: u64 = 300_000_000;

impl Stop {
    /// Starts listening.
    pub(crate) fn on_signals() -> Result<Stop, CliError> {
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])
            .map_err(|source| CliError::Environment { what: "cannot listen for signals", source })?;
        let wanted = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&wanted);
        let (open, wish) = channel();
        std::thread::spawn(move || {
            let (mut first, mut open) = (None, Some(open));
            for _ in signals.forever() {
                let now = netsim_lab::now();
                if now.nanos_since(*first.get_or_insert(now)) > ONE_WISH_NS {
                    std::process::exit(Exit::Interrupted.code().into());
                }
                flag.store(true, Ordering::Relaxed);
                open = None;
            }
            drop(open);
        });
        Ok(Stop { wanted, wish: Arc::new(Mutex::new(wish)) })
    }

    /// Waits until the user wants to stop.
    pub(crate) fn wait(&self) {
        // Nothing is ever sent; the other end is dropped.
        let _ = self.wish.lock().unwrap_or_else(PoisonError::into_inner).recv();
    }

    /// Whether the user wanted to stop when something failed: from a terminal, the signal ends builds and git too, and may
    /// reach this program a moment later than them.
    pub(crate) fn ended_it(&self) -> bool {
        const MOMENT: Duration = Duration::from_secs(1);
        // Nothing is ever sent; the other end is dropped, or the time is over.
        let _ = self.wish.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(MOMENT);
        self.wanted()
    }

    pub(crate) fn wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }
}
