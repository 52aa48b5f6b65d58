//! Who hangs on whom, checked once and then looked up by position.

use crate::model::{Ipv6, Lan, Router, Topology};
use crate::plan::PlanError;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

/// A topology's routers as a tree whose root is the public internet.
#[derive(Debug)]
pub(crate) struct Tree<'a> {
    pub(crate) routers: &'a [Router],
    /// The router each router hangs on.
    parents: Vec<Option<usize>>,
    /// The routers each host hangs on, by interface.
    pub(crate) hosts: Vec<Vec<Option<usize>>>,
    /// Which of its interfaces each host uses at first.
    primary: Vec<usize>,
    /// The region each host is in by each of its interfaces, if that is behind no router.
    regions: Vec<Vec<Option<&'a str>>>,
}

impl<'a> Tree<'a> {
    /// Resolves all names.
    pub(crate) fn new(topology: &'a Topology) -> Result<Tree<'a>, PlanError> {
        let routers = &topology.routers[..];
        let index: BTreeMap<&str, usize> = routers.iter().enumerate().map(|(n, r)| (r.name.as_str(), n)).collect();
        let known = || -> Vec<String> { routers.iter().map(|router| router.name.clone()).collect() };
        let resolve = |behind: &Option<String>| match behind {
            Some(name) => index.get(name.as_str()).copied().map(Some).ok_or(name.clone()),
            None => Ok(None),
        };
        let parents = routers.iter().map(|router| {
            resolve(&router.behind).map_err(|upstream| PlanError::UnknownUpstream {
                router: router.name.clone(),
                upstream,
                known: known(),
            })
        });
        let hosts = topology.hosts.iter().map(|host| {
            let routers = host.interfaces.iter().map(|interface| {
                resolve(&interface.behind).map_err(|router| PlanError::UnknownRouter {
                    host: host.name.clone(),
                    router,
                    known: known(),
                })
            });
            routers.collect::<Result<Vec<_>, _>>()
        });
        let primary = topology.hosts.iter().map(|host| host.interfaces.iter().position(|own| own.up).unwrap_or(0));
        let regions =
            topology.hosts.iter().map(|host| host.interfaces.iter().map(|own| own.region.as_deref()).collect());
        let tree = Tree {
            routers,
            parents: parents.collect::<Result<_, _>>()?,
            hosts: hosts.collect::<Result<_, _>>()?,
            primary: primary.collect(),
            regions: regions.collect(),
        };
        tree.check_cycles()?;
        tree.check_ipv6()?;
        Ok(tree)
    }

    /// `router` and all routers above it, innermost first.
    pub(crate) fn upwards(&self, router: Option<usize>) -> impl Iterator<Item = usize> {
        core::iter::successors(router, |&router| self.parents[router])
    }

    /// The router that host `host`'s primary interface hangs on. A host without one is nowhere, and behind nothing.
    pub(crate) fn host(&self, host: usize) -> Option<usize> {
        self.hosts[host].get(self.primary[host]).copied().flatten()
    }

    /// The region of host `host` by the interface it uses at first.
    pub(crate) fn region(&self, host: usize) -> Option<&'a str> {
        self.interface_region(host, *self.primary.get(host)?)
    }

    /// The same by interface number `rank`.
    pub(crate) fn interface_region(&self, host: usize, rank: usize) -> Option<&'a str> {
        match self.hosts[host].get(rank)? {
            Some(router) => self.router_region(*router),
            None => self.regions[host][rank],
        }
    }

    /// The region of the outermost router that a router is behind, or of itself.
    pub(crate) fn router_region(&self, router: usize) -> Option<&'a str> {
        let routers: &'a [Router] = self.routers;
        self.upwards(Some(router)).last().and_then(|outermost| routers[outermost].region.as_deref())
    }

    pub(crate) fn parent(&self, router: usize) -> Option<usize> {
        self.parents[router]
    }

    /// Whether the hosts behind a router live in a network of its own, for IPv4.
    pub(crate) fn translates(&self, router: usize) -> bool {
        self.routers[router].gateway.nat.is_some()
    }

    /// The router in whose network a place behind `router` has its IPv4 address; `None`: the public internet.
    pub(crate) fn domain(&self, router: Option<usize>) -> Option<usize> {
        self.upwards(router).find(|&router| self.translates(router))
    }

    /// How many routers above this one use the same range of addresses.
    pub(crate) fn nesting(&self, router: usize) -> usize {
        let lan = |router: usize| self.routers[router].gateway.lan;
        let above = self.upwards(self.parents[router]);
        above.filter(|&other| self.translates(other) && lan(other) == lan(router)).count()
    }

    /// Every router's chain ends at the internet.
    fn check_cycles(&self) -> Result<(), PlanError> {
        // 0: not looked at, 1: on the way up now, 2: known to end.
        let mut state = alloc::vec![0_u8; self.routers.len()];
        for start in 0..self.routers.len() {
            let mut way = Vec::new();
            let mut next = Some(start);
            while let Some(router) = next.filter(|&router| state[router] != 2) {
                if state[router] == 1 {
                    let from = way.iter().position(|&other| other == router).unwrap_or(0);
                    let routers = way[from..].iter().map(|&router: &usize| self.routers[router].name.clone()).collect();
                    return Err(PlanError::Cycle { routers });
                }
                state[router] = 1;
                way.push(router);
                next = self.parents[router];
            }
            way.into_iter().for_each(|router| state[router] = 2);
        }
        Ok(())
    }

    /// A router can only pass on IPv6 that reaches it.
    fn check_ipv6(&self) -> Result<(), PlanError> {
        for (router, parent) in self.parents.iter().enumerate() {
            let Some(upstream) = parent.map(|parent| &self.routers[parent]) else { continue };
            let wants = self.routers[router].gateway.ipv6 != Ipv6::None;
            let gives = matches!(upstream.gateway.ipv6, Ipv6::Firewall | Ipv6::Open);
            if wants && !gives {
                let router = self.routers[router].name.clone();
                return Err(PlanError::NoIpv6Upstream { router, upstream: upstream.name.clone() });
            }
        }
        Ok(())
    }
}

impl Lan {
    /// Hosts and routers that one network of the kind holds.
    pub(crate) fn capacity(self) -> usize {
        match self {
            Lan::Home => 245,
            Lan::Carrier | Lan::Corporate => 65_000,
        }
    }

    /// How often networks of the kind can hang behind each other.
    pub(crate) fn depth(self) -> usize {
        match self {
            Lan::Carrier => 64,
            Lan::Home | Lan::Corporate => 254,
        }
    }
}
