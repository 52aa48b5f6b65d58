//! What a packet from one host to another must meet on its way.

use crate::model::Topology;
use crate::plan::{Direction, HOST_MTU, LinkName};
use crate::tree::Tree;
use alloc::vec::Vec;
use core::num::NonZeroU64;
use netsim_fabric::{Jitter, LinkConfig, Loss, Manner, Reorder};

/// The links of a path taken together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PathProfile {
    /// The directed links, in the order a packet meets them.
    pub links: Vec<LinkConfig>,
}

/// The way from host `from` to host `to`, by the interfaces that both use at first, or `None` if either does not exist or
/// hangs nowhere.
pub fn path(topology: &Topology, from: &str, to: &str) -> Option<PathProfile> {
    let links = way(topology, from, to)?.into_iter().map(|(_, config)| config.clone()).collect();
    Some(PathProfile { links })
}

/// The directed links of that way, by name, in the order a packet meets them.
pub fn way<'a>(topology: &'a Topology, from: &str, to: &str) -> Option<Vec<(LinkName, &'a LinkConfig)>> {
    let host = |name: &str| topology.hosts.iter().position(|host| host.name == name);
    let (from, to) = (host(from)?, host(to)?);
    let tree = Tree::new(topology).ok()?;
    let [up, down] = [from, to].map(|host| tree.upwards(tree.host(host)).collect::<Vec<usize>>());
    // They meet at the innermost router that both are behind, or in the internet's core.
    let common = up.iter().rev().zip(down.iter().rev()).take_while(|(a, b)| a == b).count();
    let own = |host: usize| {
        let (host, primary) = (&topology.hosts[host], topology.hosts[host].primary()?);
        Some((host.link_name(primary), &primary.link))
    };
    let uplink = |router: &usize| (topology.routers[*router].link_name(), &topology.routers[*router].uplink);
    let rise = core::iter::once(own(from)?).chain(up[..up.len() - common].iter().map(uplink));
    let fall = down[..down.len() - common].iter().rev().map(uplink).chain([own(to)?]);
    let rise = rise.map(|(link, access)| (LinkName { link, direction: Direction::Up }, &access.up));
    let fall = fall.map(|(link, access)| (LinkName { link, direction: Direction::Down }, &access.down));
    let across = (common == 0).then(|| transit(topology, tree.region(from), tree.region(to))).flatten();
    Some(rise.chain(across).chain(fall).collect())
}

/// The directed link from one region to another; nothing within one.
fn transit<'a>(topology: &'a Topology, from: Option<&str>, to: Option<&str>) -> Option<(LinkName, &'a LinkConfig)> {
    let (transit, up) = topology.transit(from?, to?)?;
    let (direction, config) =
        if up { (Direction::Up, &transit.link.up) } else { (Direction::Down, &transit.link.down) };
    Some((LinkName { link: transit.link_name(), direction }, config))
}

/// The region whose part of the internet's core a host hangs on, by the interface it uses at first.
pub fn region<'a>(topology: &'a Topology, host: &str) -> Option<&'a str> {
    let host = topology.hosts.iter().position(|other| other.name == host)?;
    Tree::new(topology).ok()?.region(host)
}

/// The way from host `host` to the internet's core, and back; `None` if it does not exist or hangs nowhere. Where the core
/// has regions, it is the part of `at` that counts; absent, the host's own.
pub fn access_path(topology: &Topology, host: &str, at: Option<&str>) -> Option<[PathProfile; 2]> {
    let host = topology.hosts.iter().position(|other| other.name == host)?;
    let tree = Tree::new(topology).ok()?;
    let own = tree.region(host);
    let uplinks = tree.upwards(tree.host(host)).map(|router| &topology.routers[router].uplink);
    let links: Vec<_> = core::iter::once(&topology.hosts[host].primary()?.link).chain(uplinks).collect();
    let [out, home] =
        [(own, at), (at, own)].map(|(from, to)| transit(topology, from, to).map(|(_, link)| link.clone()));
    let there = links.iter().map(|link| link.up.clone()).chain(out).collect();
    let back = home.into_iter().chain(links.iter().rev().map(|link| link.down.clone())).collect();
    Some([PathProfile { links: there }, PathProfile { links: back }])
}

impl PathProfile {
    /// Fixed delay of a packet of `len` bytes over idle links: propagation and its own serialisation, in nanoseconds. A
    /// link whose rate varies is taken at its best.
    pub fn idle_delay_ns(&self, len: u32) -> u64 {
        self.links
            .iter()
            .map(|link| {
                let rate = link.rate.mean_bps().filter(|_| !link.rate.varies());
                link.delay_ns + rate.map_or(0, |rate| u64::from(len) * 8_000_000_000 / rate.get())
            })
            .sum()
    }

    /// Largest deviation the links' jitter can add up to, in nanoseconds.
    pub fn jitter_ns(&self) -> u64 {
        let largest = |(least, most): (i64, i64)| least.unsigned_abs().max(most.unsigned_abs());
        self.links.iter().map(|link| largest(link.jitter.bounds_ns())).sum()
    }

    /// How much earlier than the fixed delay half of the packets may be, in nanoseconds. Only measured deviations need
    /// not be balanced.
    pub fn early_ns(&self) -> u64 {
        let links = self.links.iter().filter(|link| matches!(link.jitter, Jitter::Samples(_)));
        links.map(|link| link.jitter.bounds_ns().0.min(0).unsigned_abs()).sum()
    }

    /// Whether how long a packet takes depends on when it is sent.
    pub fn varies(&self) -> bool {
        self.links.iter().any(|link| link.rate.varies())
    }

    /// The longest that links can be silent, and what they then take longer, in nanoseconds.
    pub fn pause_ns(&self) -> u64 {
        self.links.iter().map(|link| link.rate.longest_pause_ns() + link.rate.extra_delay_ns()).sum()
    }

    /// Whether a link lets packets overtake each other.
    pub fn reorders(&self) -> bool {
        self.links.iter().any(|link| match link.manner {
            Manner::Wire => link.reorder != Reorder::Never,
            Manner::Netem => link.jitter != Jitter::None,
        })
    }

    /// How often a packet arrives twice, in parts per billion.
    pub fn duplicate_ppb(&self) -> u32 {
        let copies = self.links.iter().map(|link| u64::from(link.duplicate.ppb())).sum::<u64>();
        u32::try_from(copies.min(1_000_000_000)).unwrap_or(u32::MAX)
    }

    /// How many packets are lost by lists.
    pub fn scripted_losses(&self) -> u64 {
        let lost = |link: &LinkConfig| match &link.loss {
            Loss::Scripted(script) => script.numbers().len() as u64,
            _ => 0,
        };
        self.links.iter().map(lost).sum()
    }

    /// How many thousandths of its variance bursts add to the number of losses, on the link where they add most.
    pub fn clumping_permille(&self) -> u32 {
        self.links.iter().map(|link| link.loss.clumping_permille()).max().unwrap_or(0)
    }

    /// Probability of loss over all links, in parts per billion. A receiver's kernel drops a corrupted packet, so that
    /// counts as loss too.
    pub fn loss_ppb(&self) -> u32 {
        const BILLION: u64 = 1_000_000_000;
        let losses = self.links.iter().flat_map(|link| [link.loss.mean_ppb(), link.corrupt.ppb()]);
        let kept = losses.fold(BILLION, |kept, ppb| kept * (BILLION - u64::from(ppb)) / BILLION);
        (BILLION - kept) as u32
    }

    /// The slowest link in the long run, if any has a rate.
    pub fn bottleneck(&self) -> Option<&LinkConfig> {
        self.links.iter().filter(|link| link.rate.mean_bps().is_some()).min_by_key(|link| link.rate.mean_bps())
    }

    /// The largest packet that all links and both hosts take, in bytes of IP.
    pub fn mtu(&self) -> u32 {
        let links = self.links.iter().filter_map(|link| Some(link.mtu?.bytes));
        links.fold(HOST_MTU, u32::min)
    }

    /// The slowest link's mean rate in bits per second.
    pub fn rate_bps(&self) -> Option<NonZeroU64> {
        self.bottleneck().and_then(|link| link.rate.mean_bps())
    }
}
