//! How two machines behind NATs find each other: the design, its messages and the server. The clients' side is to come.
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
//! It is reset by hand when a direct path replaces the relay.
//!
//! **Which path.** A path is usable while its last answered [probe](Message::Probe) is younger than 5 s. Direct paths come
//! before the relay, and among them the shortest round trip, unless the one in use is within 2 ms of it. Probes go out
//! each 20 ms in the first second, then at doubling intervals up to 5 s, on the path in use and to all addresses that have
//! not answered; NATs that forget after 30 s are kept awake by that. When an interface comes or goes, an end says hello
//! again and meets again under the same token: the peer learns the new addresses, while the relay carries on.
//!
//! **What an attacker can do.** Who has not shown a cookie gets nothing but a cookie, which is shorter than what he sent. A
//! provider's place can be taken only by the owner of its key, who signs the cookie. A fetcher needs to know the key, which
//! is in the ticket. Tokens are 128 random bits from the fetcher, so that only the two ends and the server can use a relayed
//! session or have a probe answered. Whoever sits on the path can drop packets, as ever, or lead a path astray by
//! replaying a probe: the path then fails to carry QUIC and its probes go unanswered, and another takes its place.
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
