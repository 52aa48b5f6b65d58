//! What the servers of a simulated network answer, as pure functions: bytes in, bytes and effects out.
//!
//! Real networks have a STUN server somewhere, a name server, and routers that map ports on request. The lab gives each
//! a namespace with real sockets, so that any client program meets them; what they say is decided here:
//!
//! - [`stun`]: a server that can answer from its other address and port (RFC 8489, RFC 5780), and the questions a
//!   client asks it.
//! - [`behaviour`]: which questions to ask in which order to classify a NAT in RFC 4787's terms (RFC 5780, section 4).
//! - [`dns`]: names of hosts, with synthesised IPv6 addresses behind a NAT64 (RFC 6147).
//! - [`port_mapping`]: NAT-PMP (RFC 6886) and PCP (RFC 6887).
//! - [`upnp`]: UPnP's Internet Gateway Device, discovery and port mapping.
//!
//! **Invariant:** no sockets, no clock, no random source. Whatever the bytes, nothing here panics.

pub mod behaviour;
pub mod dns;
pub mod port_mapping;
pub mod stun;
pub mod upnp;
