//! How two machines behind NATs find each other: the design, its messages, the clients and the server.
//!
//! A **rendezvous server** has an address that both reach. It tells each what address it is seen at, introduces them, and
//! carries their packets until they have a direct path, or for good if there is none. It can read nothing and pretend
//! nothing: what it carries is QUIC between two ends that know each other's keys.
//!
//! ```text
//! provider                      server                      fetcher
//!    │── hello ───────────────────►│                           │   each end first shows that it receives
//!    │◄────────── cookie, observed │                           │   at the address it sends from
//!    │── register: key, signature ►│                           │
//!    │◄────────────── registered ──│◄─ hello … meet: key ──────│
//!    │◄── peer: token, fetcher's ──│── peer: token, provider's►│   both learn all addresses of the other
//!    │◄───────── relay: token, any QUIC packet ───────────────►│   the transfer begins at once
//!    │◄═══════════ probe / answer on all pairs of addresses ══►│   meanwhile both send: simultaneous open
//!    │◄═══════════ the same QUIC connection, directly ════════►│   the first pair that works is used
//! ```
//!
//! **One socket.** All this and QUIC share each end's UDP socket, or the NAT would give each its own mapping and observed
//! addresses would be worthless. QUIC's packets have the second highest bit of their first byte set (RFC 9000, section 17;
//! RFC 9443 on telling protocols apart); the first byte of a [message](Message) is below 64. Endpoints must therefore not
//! grease that bit (RFC 9287).
//!
//! **One connection.** quinn sees a peer at one made-up address for the whole life of a connection. A socket between quinn
//! and the kernel ([`coalesce`](crate::coalesce) is where it goes) sends what is addressed to it by the path in use, and
//! gives what arrives by any path of the peer that made-up source. So changing from the relay to a direct path and back
//! loses nothing, needs no help from either side's QUIC, and works in both directions (QUIC's own migration, RFC 9000
//! section 9, is for clients only, and validates one path at a time). What it costs: the congestion controller is not told.
//! So it is wrapped in one that begins anew with each change of path, as RFC 9000, section 9.4, asks for, and does not count
//! packets that took the old one; quinn's estimate of the round trip adapts by itself.
//!
//! **Both families.** One IPv6 socket sends IPv4 too (RFC 4291, section 2.5.5.2). An end says hello to all addresses of the
//! server, of which the first to answer is its home; where the others see it goes along with its own addresses. In a network
//! without IPv4 it reaches IPv4 addresses by NAT64's well-known prefix (RFC 6052).
//!
//! **Which path.** A path works once a [probe](Message::Probe) sent there has been answered from there, until it is silent
//! for four of its round trips and 400 ms while probes were asked. Direct paths come before the relay, and among them the
//! shortest round trip, unless the one in use is within 2 ms of it. To addresses that have not answered, probes go out after
//! 20 ms three times, then at doubling intervals up to 5 s; each 5 s on paths that work, which keeps awake NATs that forget
//! after 30 s. Where authentic probes come from is tried as well, named or not. When its addresses change, its path falls
//! silent or nothing comes from the relay, an end says hello again and a fetcher meets again under the same token: the peer
//! learns the new addresses, while the relay carries on.
//!
//! **What an attacker can do.** Who has not shown a cookie gets nothing but a cookie, which is shorter than what he sent. A
//! provider's place can be taken only by the owner of its key, who signs the cookie. A fetcher needs to know the key, which
//! is in the ticket. Cookies come back with the hello's nonce and introductions with the cookie last shown, so that only
//! the server, or who listens on the way to it, can introduce. A token is 128 random bits from the fetcher and travels in
//! introductions alone; all other messages carry a name that follows from it, and probes and answers a seal that only who
//! knows it can make, each end with another key, so that they cannot be thrown back. Who only knows addresses and names can
//! neither redirect nor use a path. Whoever sits on the path can drop packets, as ever, or replay a probe from elsewhere:
//! that place is then probed, does not answer, and is not used.
//!
//! **What a relay costs.** Each pair has its quota of bytes a second and a burst of 1 MiB; what is more is dropped, as by any
//! narrow line, and nothing is queued. Providers and pairs are counted, and at most 10,000 of each are kept.
//!
//! **Round trips.** Once both know each other (`peer` has arrived), the first probes cross in half a round trip, open both
//! NATs, and the second ones are answered: a direct path after at most two round trips wherever mapping does not depend on
//! the destination, or filtering lets the other's packets in.

mod message;
mod wire;

mod pair;

mod client;

mod switch;

mod restart;

mod end;

mod server;

mod serve;

pub use end::{Door, MeetError, Meeting, Place, bind_anywhere, connect, listen};
pub use message::{
    Cookie, MAX_CANDIDATES, Message, MessageError, PairId, RELAY_HEADER_BYTES, Seal, Side, Token, pair_id,
    register_text, seal_key,
};
pub use pair::{Route, Ways};
pub(crate) use restart::Restarting;
pub use serve::{RendezvousError, serve};
pub use server::{Action, Server};
