//! What happens to a network while it runs.

use crate::plan::LinkName;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;
use netsim_fabric::LinkConfig;

/// A change at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Nanoseconds after the start of the measurement.
    pub at_ns: u64,
    /// What happens.
    pub change: Change,
}

/// What happens to a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A directed link does something else from now on. What waits in it meets the new rate and delay.
    Link {
        /// Which.
        name: LinkName,
        /// All that it does from now on.
        config: Box<LinkConfig>,
    },
    /// A router starts anew and forgets its mappings.
    Reboot {
        /// Which.
        router: String,
    },
    /// A router gets other addresses from its provider and forgets its mappings.
    Renumber {
        /// Which.
        router: String,
        /// Its new addresses towards the internet.
        outside: Vec<IpAddr>,
    },
    /// A host's interface goes up or down, with its addresses and the routes through it.
    Interface {
        /// The host.
        host: String,
        /// The interface.
        interface: String,
        /// Whether it is up from now on.
        up: bool,
    },
    /// A host's interface gets other addresses, as from a new lease, and loses those it had. What NATs have translated
    /// for the old ones stays until it times out.
    Readdress {
        /// The host.
        host: String,
        /// The interface.
        interface: String,
        /// Its addresses from now on, one of each family it has.
        addresses: Vec<IpAddr>,
    },
}
