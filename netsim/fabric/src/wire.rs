//! Packet bytes: reads the headers the fabric needs and writes its changes back.
//!
//! Linux hands over *super-packets* with a `virtio_net_hdr` in front ([`Offload`]): one header, a payload of up to
//! 64 KiB, the size to cut it by, and a transport checksum of which only the pseudo-header part is filled in. What
//! [`parse`] takes apart, [`write_header`] puts together again for any run of its segments, following the rules by
//! which the kernel itself would cut (`tcp_gso_segment`, `__udp_gso_segment`): sequence numbers and IPv4 identifiers
//! advance, FIN and PSH stay on the last segment, CWR on the first, and checksums are patched, not recomputed
//! (RFC 1624). A header may come out in the other IP family: that is NAT64 (RFC 7915).
//!
//! Datagrams of one flow that leave at one time can be joined to one super-packet ([`Joined`]).
//!
//! Routers speak too: ICMP errors and answers to pings are made here, and errors that pass a NAT are rewritten.

mod checksum;
mod damage;
mod header;
mod icmp;
mod join;
mod parse;

pub use damage::write_segment;
pub use header::{MAX_HEADER, MAX_WRITTEN, write_header};
pub use icmp::{IcmpError, Quote, echo_reply, icmp_error, quote, rewrite_error};
pub use join::Joined;
pub(crate) use parse::options_len;
pub use parse::{Layout, Malformed, Offload, Parsed, parse};
