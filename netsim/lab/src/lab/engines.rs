//! What a network is made of, and by how many threads it is carried.

use crate::device::Attachment;
use std::fmt;
use std::num::NonZeroUsize;

/// What a network is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Engines {
    /// How hosts are attached.
    pub attachment: Attachment,
    /// What delays and loses packets.
    pub links: LinkEngine,
    /// What translates and filters.
    pub nat: NatEngine,
    /// The most threads that may carry packets. A network has no more of them than there are links of the internet's core
    /// with hosts behind: what is behind one router is one thread's.
    ///
    /// By default 1 on fewer than 4 processors, else half as many as processors, at most 8: programs, and what the kernel
    /// does for them, need the others.
    pub threads: NonZeroUsize,
}

impl Default for Engines {
    /// The fabric for everything, the best attachment there is, and threads for the processors that this program may use.
    fn default() -> Engines {
        let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Engines {
            attachment: Attachment::pick(),
            links: LinkEngine::Userspace,
            nat: NatEngine::Userspace,
            threads: threads_for(processors),
        }
    }
}

/// The default of [`Engines::threads`].
fn threads_for(processors: usize) -> NonZeroUsize {
    const MOST: usize = 8;
    let threads = if processors < 4 { 1 } else { (processors / 2).min(MOST) };
    NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN)
}

/// What delays and loses packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LinkEngine {
    /// The fabric: everything a link can be asked for, decided by the seed.
    Userspace,
    /// The kernel's `netem`. What it does otherwise is refused ([`crate::NetemError::Unsupported`]); no seed decides.
    Netem,
}

/// What translates and filters in routers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NatEngine {
    /// The fabric: all of RFC 4787's behaviours, decided by the seed.
    Userspace,
    /// Linux's connection tracking, in a namespace per router. What it does otherwise is refused
    /// ([`crate::NftablesError::Unsupported`]); ports it draws do not follow from the seed.
    Nftables,
}

/// As it is written in records.
impl fmt::Display for Engines {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.links {
            LinkEngine::Userspace => write!(f, "userspace/{}", self.attachment),
            LinkEngine::Netem => write!(f, "netem/{}", self.attachment),
        }?;
        match self.nat {
            NatEngine::Userspace => Ok(()),
            NatEngine::Nftables => write!(f, "/{}", self.nat.as_str()),
        }?;
        match self.threads.get() {
            1 => Ok(()),
            threads => write!(f, "/{threads}-threads"),
        }
    }
}

impl NatEngine {
    /// The engine as it is written in records and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            NatEngine::Userspace => "userspace",
            NatEngine::Nftables => "nftables",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_leave_processors_to_programs() {
        for (processors, threads) in [(1, 1), (2, 1), (3, 1), (4, 2), (6, 3), (8, 4), (16, 8), (128, 8)] {
            assert_eq!(threads_for(processors).get(), threads, "of {processors} processors");
        }
    }
}
