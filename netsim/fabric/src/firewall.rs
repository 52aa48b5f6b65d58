//! What a router lets through: policies on what leaves, and a stateful filter on what comes in (RFC 6092 for IPv6; the
//! same for IPv4 where no NAT does it).

use crate::link::Cause;
use crate::nat::Filtering;
use crate::packet::{Endpoint, Head, Proto};
use crate::session::{Expiry, Session, Timeouts};
use crate::time::Time;
use crate::wire::Quote;
use alloc::collections::BTreeMap;

/// What hosts inside may send out. ICMP errors always may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Outbound {
    /// Everything.
    #[default]
    All,
    /// Everything but UDP, which does not come in either.
    NoUdp,
    /// Connections to web servers: TCP to ports 80 and 443.
    WebOnly {
        /// UDP to port 443 too, for HTTP/3.
        quic: bool,
    },
    /// What a captive portal needs: UDP and TCP to port 53, TCP to port 80. It stays so: nobody logs in.
    Captive,
}

/// How a router filters. Packets between hosts behind it never are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirewallConfig {
    /// What may leave.
    pub outbound: Outbound,
    /// Who may answer what left, where IPv4 is not translated; absent: everything may come in.
    pub inbound_v4: Option<Filtering>,
    /// The same for IPv6, translated by prefix or not at all.
    pub inbound_v6: Option<Filtering>,
    /// Whether senders are told (ICMP "administratively prohibited") rather than left waiting.
    pub reject: bool,
    /// How long unused state lives, in nanoseconds; established TCP lives as RFC 5382 and RFC 6092 want it.
    pub timeout_ns: u64,
}

impl Default for FirewallConfig {
    /// Nothing is filtered. State would live 5 minutes (RFC 6092, REC-14: at least 2).
    fn default() -> FirewallConfig {
        FirewallConfig {
            outbound: Outbound::All,
            inbound_v4: None,
            inbound_v6: None,
            reject: false,
            timeout_ns: 300_000_000_000,
        }
    }
}

/// An inside endpoint's state is found by this.
type Key = (Proto, Endpoint);

/// A firewall's state.
#[derive(Debug)]
pub(crate) struct Firewall {
    config: FirewallConfig,
    sessions: BTreeMap<Key, Session>,
    /// Openings that hosts asked for, until then.
    pinholes: BTreeMap<Key, Time>,
    expiry: Expiry<Key>,
}

/// Established TCP lives this long (RFC 6092, REC-35).
const TCP_NS: u64 = 7_440_000_000_000;
/// New state clears away at most so much that has ended.
const SWEEP: usize = 4;
/// More is not remembered, so that a flood of ports cannot eat the memory; its answers stay outside.
const MAX_SESSIONS: usize = 262_144;

impl Firewall {
    pub(crate) fn new(config: FirewallConfig) -> Firewall {
        Firewall { config, sessions: BTreeMap::new(), pinholes: BTreeMap::new(), expiry: Expiry::new() }
    }

    /// Loses all state, as at a reboot.
    pub(crate) fn flush(&mut self) {
        *self = Firewall::new(self.config);
    }

    pub(crate) fn config(&self) -> &FirewallConfig {
        &self.config
    }

    fn timeouts(&self) -> Timeouts {
        Timeouts { idle: self.config.timeout_ns, unanswered: None, settling: None, tcp: TCP_NS, lifetime: None }
    }

    /// Whether policy lets a packet leave.
    pub(crate) fn permits(&self, head: &Head, quote: Option<&Quote>) -> Result<(), Cause> {
        let permitted = quote.is_some()
            || match (self.config.outbound, head.proto, head.dst.port) {
                (Outbound::All, ..) => true,
                (Outbound::NoUdp, proto, _) => proto != Proto::Udp,
                (Outbound::WebOnly { .. }, Proto::Tcp, port) => matches!(port, 80 | 443),
                (Outbound::WebOnly { quic }, Proto::Udp, port) => quic && port == 443,
                (Outbound::Captive, Proto::Tcp, port) => matches!(port, 53 | 80),
                (Outbound::Captive, Proto::Udp, port) => port == 53,
                (Outbound::WebOnly { .. } | Outbound::Captive, ..) => false,
            };
        if permitted { Ok(()) } else { Err(Cause::Firewall) }
    }

    /// Whether policy lets a packet in at all, before any state is asked.
    pub(crate) fn permits_inbound(&self, head: &Head) -> Result<(), Cause> {
        let forbidden = self.config.outbound == Outbound::NoUdp && head.proto == Proto::Udp;
        if forbidden { Err(Cause::Firewall) } else { Ok(()) }
    }

    /// Who may answer untranslated packets of a family. What may leave only in part may come in only as an answer.
    fn filtering(&self, v6: bool) -> Option<Filtering> {
        let own = if v6 { self.config.inbound_v6 } else { self.config.inbound_v4 };
        let strict = matches!(self.config.outbound, Outbound::WebOnly { .. } | Outbound::Captive);
        own.or(strict.then_some(Filtering::AddressAndPortDependent))
    }

    /// Remembers an untranslated packet that leaves.
    pub(crate) fn track(&mut self, now: Time, head: &Head, quote: Option<&Quote>) {
        let Some(filtering) = self.filtering(head.src.addr.is_ipv6()) else { return };
        if quote.is_some() {
            return;
        }
        let timeouts = self.timeouts();
        let key = (head.proto, head.src);
        if self.sessions.get(&key).is_none_or(|session| session.deadline(&timeouts) <= now) {
            self.sweep(now, &timeouts);
            if self.sessions.len() >= MAX_SESSIONS {
                return;
            }
            let session = Session::new(now, head.proto);
            self.expiry.insert(session.deadline(&timeouts), key);
            self.sessions.insert(key, session);
        }
        let Some(session) = self.sessions.get_mut(&key) else { return };
        if session.sent(now, filtering.scope(head.dst), head.closing, &timeouts) {
            self.expiry.insert(session.deadline(&timeouts), key);
        }
    }

    /// Whether an untranslated packet may come in: as an answer, through a pinhole, or as an error about what left.
    pub(crate) fn admit(&mut self, now: Time, head: &Head, quote: Option<&Quote>) -> Result<(), Cause> {
        let Some(filtering) = self.filtering(head.dst.addr.is_ipv6()) else { return Ok(()) };
        let timeouts = self.timeouts();
        let key = quote.map_or((head.proto, head.dst), |quote| (quote.proto, quote.src));
        if self.pinholes.get(&key).is_some_and(|until| now < *until) {
            return Ok(());
        }
        let session = self.sessions.get_mut(&key).filter(|session| now < session.deadline(&timeouts));
        let session = session.ok_or(Cause::Firewall)?;
        if quote.is_some() {
            return Ok(());
        }
        let from = filtering.scope(head.src);
        if !session.admits(now, from, &timeouts) {
            return Err(Cause::Firewall);
        }
        if session.received(now, from, head.closing, true, &timeouts) {
            self.expiry.insert(session.deadline(&timeouts), key);
        }
        Ok(())
    }

    /// Lets anyone send to `inside` (PCP, RFC 6887, in a firewall).
    pub(crate) fn open(&mut self, proto: Proto, inside: Endpoint, until: Time) {
        self.pinholes.insert((proto, inside), until);
    }

    /// Ends that. Returns whether there was such an opening.
    pub(crate) fn close(&mut self, now: Time, proto: Proto, inside: Endpoint) -> bool {
        self.pinholes.remove(&(proto, inside)).is_some_and(|until| now < until)
    }

    fn sweep(&mut self, now: Time, timeouts: &Timeouts) {
        for _ in 0..SWEEP {
            let Some(key) = self.expiry.pop_due(now) else { return };
            let Some(at) = self.sessions.get(&key).map(|session| session.deadline(timeouts)) else { continue };
            if at <= now {
                self.sessions.remove(&key);
            } else {
                self.expiry.insert(at, key);
            }
        }
    }
}
