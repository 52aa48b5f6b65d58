//! The reference subject: a verified transfer over QUIC, with its two yardsticks.
//!
//! A provider imports a file or a tree of files into **one content-addressed blob**: its BLAKE3 hash names it, and a
//! hash tree over chunk groups of 16 KiB (`bao`) lets a fetcher check each group the moment it arrives. The blob
//! travels as one QUIC stream. Nothing is written that has not been verified.
//!
//! Pure parts come first and know no socket, file or clock: [`ticket`], [`paths`], [`manifest`], [`layout`], [`frame`],
//! [`ranges`] and [`verified`]. Around them stands the shell: [`payload`] reads what is served, [`sink`] writes what arrived,
//! [`quic`] sets up connections, and [`provide`], [`fetch`], [`raw`] and [`http`] are the commands.
//!
//! **Invariant:** nothing in longhaul links this crate to run a transfer. The runner starts the binary and reads the
//! subject protocol from its standard output, as it does for every other subject.

pub mod ticket;

pub mod paths;

pub mod manifest;

pub mod layout;

pub mod frame;

pub mod ranges;

pub mod verified;

pub mod nodes;

pub mod clock;
pub mod events;

pub mod payload;
pub mod pool;

pub mod sink;

pub mod record;

pub mod coalesce;

pub mod keys;

pub mod quic;

pub mod share;

pub mod gate;

pub mod provide;

pub mod backup;

pub mod rendezvous;

pub mod fetch;

pub mod raw;

pub mod http;
