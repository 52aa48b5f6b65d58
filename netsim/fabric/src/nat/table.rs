//! A NAT's state: mappings, found from inside and from outside, in the order in which they end.

use super::ports::{PortSet, Range};
use super::{
    Collision, Filtering, MapError, MappingEnd, MappingEvent, MappingInfo, NatConfig, Pooling, PortAssignment,
};
use crate::link::Cause;
use crate::packet::{Endpoint, Head, Proto};
use crate::random::{Purpose, Stream};
use crate::session::{Expiry, Scope, Session};
use crate::time::Time;
use crate::wire::Quote;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::net::IpAddr;

/// What a mapping is looked up by from inside.
type InsideKey = (Proto, Endpoint, Scope);
/// What a mapping is looked up by from outside. The scope is [`Scope::Anyone`] but for shared ports.
type OutsideKey = (Proto, Endpoint, Scope);
/// Mappings are numbered in the order in which they are made.
type Id = u64;

#[derive(Debug)]
struct Binding {
    inside: InsideKey,
    outside: OutsideKey,
    session: Session,
    /// A host asked for it, until then.
    explicit_until: Option<Time>,
}

/// A NAT's state.
#[derive(Debug)]
pub(crate) struct Nat {
    config: NatConfig,
    externals: Vec<IpAddr>,
    random: Stream,
    /// Mappings made so far: the counter of the random stream and of sequential assignment.
    assigned: u64,
    bindings: BTreeMap<Id, Binding>,
    by_inside: BTreeMap<InsideKey, Id>,
    by_outside: BTreeMap<OutsideKey, Id>,
    /// The mappings of one internal endpoint in the order of their making, where ports are shared.
    by_source: BTreeSet<(Proto, Endpoint, Id)>,
    explicit: BTreeMap<(Proto, Endpoint), Id>,
    expiry: Expiry<Id>,
    /// Ports with a binding, dead or alive: finds a free one without walking the table.
    taken: BTreeMap<(Proto, IpAddr), PortSet>,
    /// With paired pooling, each internal address's place in `externals`.
    paired: BTreeMap<IpAddr, usize>,
    /// The latest events, oldest first.
    events: VecDeque<MappingEvent>,
}

/// A new mapping clears away at most this many that have ended.
const SWEEP: usize = 4;
/// Shared ports have no end of mappings; Linux keeps as many (`nf_conntrack_max` on an ordinary machine).
const MAX_BINDINGS: usize = 262_144;
/// Events kept for the timeline.
const MAX_EVENTS: usize = 4096;

impl Nat {
    /// A NAT with these external addresses, of which there must be at least one, or it translates nothing.
    pub(crate) fn new(seed: u64, router: u32, externals: Vec<IpAddr>, config: NatConfig) -> Nat {
        Nat {
            config,
            externals,
            random: Stream::new(seed, router, Purpose::NatPort),
            assigned: 0,
            bindings: BTreeMap::new(),
            by_inside: BTreeMap::new(),
            by_outside: BTreeMap::new(),
            by_source: BTreeSet::new(),
            explicit: BTreeMap::new(),
            expiry: Expiry::new(),
            taken: BTreeMap::new(),
            paired: BTreeMap::new(),
            events: VecDeque::new(),
        }
    }

    /// The same router with an empty table.
    pub(crate) fn restarted(&self, seed: u64, router: u32) -> Nat {
        Nat::new(seed, router, self.externals.clone(), self.config)
    }

    /// The same router with the same table; what it draws and reports begins anew.
    pub(crate) fn reseed(&mut self, seed: u64, router: u32) {
        self.random = Stream::new(seed, router, Purpose::NatPort);
        self.events.clear();
    }

    /// Loses all mappings, as at a reboot.
    pub(crate) fn flush(&mut self, now: Time) {
        while let Some((&id, _)) = self.bindings.first_key_value() {
            self.remove(id, now, MappingEnd::Flushed);
        }
        self.expiry = Expiry::new();
        self.paired.clear();
    }

    /// Loses all mappings and gets other external addresses.
    pub(crate) fn renumber(&mut self, now: Time, externals: Vec<IpAddr>) {
        self.flush(now);
        self.externals = externals;
        self.taken.clear();
    }

    pub(crate) fn is_external(&self, addr: IpAddr) -> bool {
        self.externals.contains(&addr)
    }

    pub(crate) fn config(&self) -> &NatConfig {
        &self.config
    }

    /// Translates a packet from inside: its source becomes the mapped external endpoint.
    ///
    /// `quote` is what an ICMP error is about; it makes no mapping and keeps none alive (RFC 5508, REQ-3 to REQ-5).
    pub(crate) fn outbound(&mut self, now: Time, head: &mut Head, quote: Option<&mut Quote>) -> Result<(), Cause> {
        if let Some(quote) = quote {
            let proto = translatable(quote.proto)?;
            let id = self.find_inside(now, proto, quote.dst, quote.src).ok_or(Cause::NatNoMapping)?;
            quote.dst = self.bindings[&id].outside.1;
            head.src.addr = quote.dst.addr;
            return Ok(());
        }
        let proto = translatable(head.proto)?;
        let id = match self.find_inside(now, proto, head.src, head.dst) {
            Some(id) => id,
            None => self.bind(now, proto, head.src, head.dst)?,
        };
        let (permission, timeouts) = (self.config.filtering.scope(head.dst), self.config.timeouts());
        let binding = self.bindings.get_mut(&id).ok_or(Cause::NatNoMapping)?;
        if binding.session.sent(now, permission, head.closing, &timeouts) {
            self.expiry.insert(binding.session.deadline(&timeouts), id);
        }
        head.src = binding.outside.1;
        Ok(())
    }

    /// Translates a packet from outside: its destination becomes the mapped internal endpoint.
    pub(crate) fn inbound(&mut self, now: Time, head: &mut Head, quote: Option<&mut Quote>) -> Result<(), Cause> {
        if let Some(quote) = quote {
            let proto = translatable(quote.proto)?;
            let id = self.find_outside(now, proto, quote.src, quote.dst).ok_or(Cause::NatNoMapping)?;
            quote.src = self.bindings[&id].inside.1;
            head.dst.addr = quote.src.addr;
            return Ok(());
        }
        let proto = translatable(head.proto)?;
        let id = self.find_outside(now, proto, head.dst, head.src).ok_or(Cause::NatNoMapping)?;
        let (from, timeouts) = (self.config.filtering.scope(head.src), self.config.timeouts());
        let binding = self.bindings.get_mut(&id).ok_or(Cause::NatNoMapping)?;
        if binding.explicit_until.is_none() && !binding.session.admits(now, from, &timeouts) {
            return Err(Cause::NatFiltered);
        }
        if binding.session.received(now, from, head.closing, self.config.inbound_refresh, &timeouts) {
            self.expiry.insert(binding.session.deadline(&timeouts), id);
        }
        head.dst = binding.inside.1;
        Ok(())
    }

    /// Makes or renews the mapping a host asks for: endpoint-independent and open to anyone while it lives (RFC 6887,
    /// section 11). Its external port is the one it has already, else the wanted one, else the next free one.
    pub(crate) fn map(
        &mut self,
        now: Time,
        proto: Proto,
        internal: Endpoint,
        wanted: Option<u16>,
        lifetime_ns: u64,
    ) -> Result<Endpoint, MapError> {
        if !matches!(proto, Proto::Tcp | Proto::Udp) {
            return Err(MapError::NotInside);
        }
        // Sweeping finds also what ended at this very moment; the rest is as old as its last use.
        self.sweep(now, usize::MAX);
        let own = self.by_inside.get(&(proto, internal, Scope::Anyone)).copied();
        let id = match self.explicit.get(&(proto, internal)).copied().or(own) {
            Some(id) => id,
            None => {
                let external = self
                    .free_endpoint(now, proto, Endpoint::new(internal.addr, wanted.unwrap_or(internal.port)), None)
                    .map_err(|_| MapError::Exhausted)?;
                self.insert(now, (proto, internal, Scope::Anyone), (proto, external, Scope::Anyone))
            }
        };
        self.explicit.insert((proto, internal), id);
        let binding = self.bindings.get_mut(&id).ok_or(MapError::Exhausted)?;
        binding.explicit_until = Some(now + lifetime_ns);
        self.expiry.insert(now + lifetime_ns, id);
        // The old key may have been for one remote of a shared port.
        let (old, external) = (binding.outside, binding.outside.1);
        binding.outside.2 = Scope::Anyone;
        self.by_outside.remove(&old);
        self.by_outside.insert((proto, external, Scope::Anyone), id);
        Ok(external)
    }

    /// Ends the mapping a host asked for. Returns whether there was one.
    pub(crate) fn unmap(&mut self, now: Time, proto: Proto, internal: Endpoint) -> bool {
        let id = self.explicit.get(&(proto, internal)).copied();
        id.is_some_and(|id| {
            let lives = self.is_alive(now, id);
            self.remove(id, now, MappingEnd::Deleted);
            lives
        })
    }

    /// All mappings that live at `now`, in the order in which they were made.
    pub(crate) fn mappings(&self, now: Time) -> Vec<MappingInfo> {
        let info = |binding: &Binding| MappingInfo {
            proto: binding.inside.0,
            internal: binding.inside.1,
            external: binding.outside.1,
            remotes: binding.inside.2,
            explicit: binding.explicit_until.is_some(),
            created: binding.session.created(),
            expires: self.deadline(binding),
        };
        self.bindings.values().map(info).filter(|info| info.expires > now).collect()
    }

    /// What happened since this was last asked, oldest first. Of very many events only the latest are kept.
    pub(crate) fn take_events(&mut self, now: Time) -> Vec<MappingEvent> {
        self.sweep(now, usize::MAX);
        self.events.drain(..).collect()
    }

    fn deadline(&self, binding: &Binding) -> Time {
        binding.explicit_until.unwrap_or_else(|| binding.session.deadline(&self.config.timeouts()))
    }

    fn is_alive(&self, now: Time, id: Id) -> bool {
        self.bindings.get(&id).is_some_and(|binding| now < self.deadline(binding))
    }

    /// The living mapping for packets from `internal` to `remote`.
    fn find_inside(&mut self, now: Time, proto: Proto, internal: Endpoint, remote: Endpoint) -> Option<Id> {
        let key = (proto, internal, self.config.mapping.scope(remote));
        let id = self.explicit.get(&(proto, internal)).or_else(|| self.by_inside.get(&key)).copied()?;
        if self.is_alive(now, id) {
            return Some(id);
        }
        self.expire(id);
        None
    }

    /// The living mapping for packets from `remote` to `external`.
    fn find_outside(&self, now: Time, proto: Proto, external: Endpoint, remote: Endpoint) -> Option<Id> {
        let find = |scope| self.by_outside.get(&(proto, external, scope)).copied().filter(|id| self.is_alive(now, *id));
        let id = find(Scope::Anyone);
        if id.is_some() || self.config.collision == Collision::NextFree {
            return id;
        }
        find(self.config.mapping.scope(remote)).or_else(|| self.owner_admitting(now, proto, external, remote))
    }

    /// Of the owners of a shared port, the one whose filter lets `remote` in; the oldest where none does.
    fn owner_admitting(&self, now: Time, proto: Proto, external: Endpoint, remote: Endpoint) -> Option<Id> {
        let (from, timeouts) = (self.config.filtering.scope(remote), self.config.timeouts());
        let admits = |id: &Id| self.bindings[id].session.admits(now, from, &timeouts);
        let mut owners = self.owners(proto, external).filter(|id| self.is_alive(now, *id)).peekable();
        let oldest = owners.peek().copied();
        // Where mappings are as narrow as the filter, no other owner than the one asked for can let it in.
        match self.config.filtering {
            Filtering::AddressAndPortDependent if self.config.mapping.scope(remote) == from => oldest,
            _ => owners.find(admits).or(oldest),
        }
    }

    fn owners(&self, proto: Proto, external: Endpoint) -> impl Iterator<Item = Id> {
        let last = Endpoint::new(IpAddr::from([u8::MAX; 16]), u16::MAX);
        self.by_outside
            .range((proto, external, Scope::Anyone)..=(proto, external, Scope::Endpoint(last)))
            .map(|(_, id)| *id)
    }

    /// Makes a new mapping.
    fn bind(&mut self, now: Time, proto: Proto, internal: Endpoint, remote: Endpoint) -> Result<Id, Cause> {
        self.sweep(now, SWEEP);
        if self.bindings.len() >= MAX_BINDINGS {
            self.sweep(now, usize::MAX);
            if self.bindings.len() >= MAX_BINDINGS {
                return Err(Cause::NatExhausted);
            }
        }
        let external = self.free_endpoint(now, proto, internal, Some(remote))?;
        let scope = match self.config.collision {
            Collision::NextFree => Scope::Anyone,
            Collision::Overload => self.shared_scope(remote),
        };
        let inside = (proto, internal, self.config.mapping.scope(remote));
        Ok(self.insert(now, inside, (proto, external, scope)))
    }

    /// What tells the owners of a shared port apart: what the mapping is for, or the remote it was made for.
    fn shared_scope(&self, remote: Endpoint) -> Scope {
        match self.config.mapping.scope(remote) {
            Scope::Anyone => Scope::Endpoint(remote),
            scope => scope,
        }
    }

    fn insert(&mut self, now: Time, inside: InsideKey, outside: OutsideKey) -> Id {
        let id = self.assigned;
        self.assigned += 1;
        let (proto, external, _) = outside;
        let session = Session::new(now, proto);
        self.expiry.insert(session.deadline(&self.config.timeouts()), id);
        self.by_inside.insert(inside, id);
        self.by_outside.insert(outside, id);
        if self.config.collision == Collision::Overload {
            self.by_source.insert((proto, inside.1, id));
        }
        self.taken.entry((proto, external.addr)).or_default().insert(external.port);
        self.bindings.insert(id, Binding { inside, outside, session, explicit_until: None });
        self.record(MappingEvent { at: now, proto, internal: inside.1, external, ended: None });
        id
    }

    fn expire(&mut self, id: Id) {
        if let Some(at) = self.bindings.get(&id).map(|binding| self.deadline(binding)) {
            self.remove(id, at, MappingEnd::Expired);
        }
    }

    fn remove(&mut self, id: Id, at: Time, end: MappingEnd) {
        let Some(Binding { inside, outside, .. }) = self.bindings.remove(&id) else { return };
        // Another mapping may have taken the key over.
        if self.by_inside.get(&inside) == Some(&id) {
            self.by_inside.remove(&inside);
        }
        if self.explicit.get(&(inside.0, inside.1)) == Some(&id) {
            self.explicit.remove(&(inside.0, inside.1));
        }
        self.by_outside.remove(&outside);
        self.by_source.remove(&(inside.0, inside.1, id));
        let (proto, external, _) = outside;
        if self.owners(proto, external).next().is_none() {
            self.taken.entry((proto, external.addr)).or_default().remove(external.port);
        }
        self.record(MappingEvent { at, proto, internal: inside.1, external, ended: Some(end) });
    }

    fn record(&mut self, event: MappingEvent) {
        if self.events.len() == MAX_EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    /// Forgets at most `limit` mappings that have ended. Those whose turn comes but who were used since are put back,
    /// at most once per timeout.
    fn sweep(&mut self, now: Time, limit: usize) {
        for _ in 0..limit {
            let Some(id) = self.expiry.pop_due(now) else { return };
            let Some(at) = self.bindings.get(&id).map(|binding| self.deadline(binding)) else { continue };
            if at <= now {
                self.remove(id, at, MappingEnd::Expired);
            } else {
                self.expiry.insert(at, id);
            }
        }
    }

    /// A free external endpoint for `internal`, wanted by the assignment behaviour or near that. With a `remote`, one
    /// that is not free but can be shared will do where ports are overloaded.
    fn free_endpoint(
        &mut self,
        now: Time,
        proto: Proto,
        internal: Endpoint,
        remote: Option<Endpoint>,
    ) -> Result<Endpoint, Cause> {
        let (addr, range) = self.place(internal.addr).ok_or(Cause::NatExhausted)?;
        let parity = self.config.parity && proto == Proto::Udp;
        // A host that asks for a port gets that one, however the NAT would assign them.
        let assignment = if remote.is_some() { self.config.ports } else { PortAssignment::Preserve };
        let mut wanted = match assignment {
            PortAssignment::Preserve => range.nearest(internal.port),
            // Half of the ports are of the wrong parity.
            PortAssignment::Sequential => range.port(self.assigned << u8::from(parity)),
            PortAssignment::Random => range.port(self.random.below(self.assigned, range.size())),
        };
        if parity && wanted % 2 != internal.port % 2 {
            wanted = range.nearest(wanted ^ 1);
        }
        let external = Endpoint::new(addr, wanted);
        let kept = if assignment == PortAssignment::Preserve { self.latest(now, proto, internal) } else { None };
        for external in kept.into_iter().chain([external]) {
            self.clear(now, proto, external, remote);
            if remote.is_some_and(|remote| self.can_share(now, proto, internal, external, remote)) {
                return Ok(external);
            }
        }
        let free = |nat: &mut Nat| nat.taken.entry((proto, addr)).or_default().next_free(wanted, range, parity);
        let port = free(self).or_else(|| {
            self.sweep(now, usize::MAX);
            free(self)
        });
        port.map(|port| Endpoint::new(addr, port)).ok_or(Cause::NatExhausted)
    }

    /// What an internal endpoint was mapped to last, where ports are shared. Linux looks there first
    /// (`find_appropriate_src`).
    fn latest(&self, now: Time, proto: Proto, internal: Endpoint) -> Option<Endpoint> {
        let all = (proto, internal, Id::MIN)..=(proto, internal, Id::MAX);
        let latest = self.by_source.range(all).rev().find(|(.., id)| self.is_alive(now, *id));
        latest.map(|(.., id)| self.bindings[id].outside.1)
    }

    /// Removes what has ended from where a new mapping of `external` would be.
    fn clear(&mut self, now: Time, proto: Proto, external: Endpoint, remote: Option<Endpoint>) {
        let scopes = [Some(Scope::Anyone), remote.map(|remote| self.shared_scope(remote))];
        for scope in scopes.into_iter().flatten() {
            let owner = self.by_outside.get(&(proto, external, scope)).copied();
            if let Some(ended) = owner.filter(|id| !self.is_alive(now, *id)) {
                self.expire(ended);
            }
        }
    }

    /// Whether one more owner of `external` can be told apart from the others when `remote` answers. Mappings of one
    /// internal endpoint need not be.
    fn can_share(&self, now: Time, proto: Proto, internal: Endpoint, external: Endpoint, remote: Endpoint) -> bool {
        let config = &self.config;
        let (filter, timeouts) = (config.filtering.scope(remote), config.timeouts());
        let is_free = |scope| !self.by_outside.contains_key(&(proto, external, scope));
        let is_rival = |id: Id| {
            let binding = &self.bindings[&id];
            binding.inside.1 != internal && self.is_alive(now, id) && binding.session.admits(now, filter, &timeouts)
        };
        config.collision == Collision::Overload
            && is_free(Scope::Anyone)
            && is_free(self.shared_scope(remote))
            // Where mappings are as narrow as the filter, the key alone tells owners apart.
            && (config.mapping.scope(remote) == filter && filter != Scope::Anyone
                || !self.owners(proto, external).any(is_rival))
    }

    /// The external address and the ports a new mapping of an internal address may use.
    fn place(&mut self, internal: IpAddr) -> Option<(IpAddr, Range)> {
        let count = self.externals.len();
        if let Some(block) = self.config.port_block {
            // RFC 7422: blocks are laid out one after the other over all addresses, so that no log is needed to find
            // the subscriber of a port.
            let blocks = (Range::ALL.size() / u64::from(block.get())).max(1);
            let index = subscriber(internal) % (blocks * count.max(1) as u64);
            let first = Range::ALL.first + ((index % blocks) * u64::from(block.get())) as u16;
            let range = Range { first, last: first.saturating_add(block.get() - 1) };
            return self.externals.get((index / blocks) as usize).map(|addr| (*addr, range));
        }
        let index = match self.config.pooling {
            _ if count <= 1 => 0,
            Pooling::Paired => {
                let next = self.paired.len() % count;
                *self.paired.entry(internal).or_insert(next)
            }
            // The stream's other end: ports use the front.
            Pooling::Arbitrary => self.random.below(u64::MAX - self.assigned, count as u64) as usize,
        };
        self.externals.get(index).map(|addr| (*addr, Range::ALL))
    }
}

/// A subscriber's number: the host part of its address. 22 bits are what 100.64.0.0/10 leaves (RFC 6598).
fn subscriber(internal: IpAddr) -> u64 {
    match internal {
        IpAddr::V4(addr) => u64::from(u32::from(addr) & 0x3f_ffff),
        IpAddr::V6(addr) => u128::from(addr) as u64 & 0xffff_ffff,
    }
}

fn translatable(proto: Proto) -> Result<Proto, Cause> {
    match proto {
        Proto::Other(_) => Err(Cause::NatProtocol),
        proto => Ok(proto),
    }
}
