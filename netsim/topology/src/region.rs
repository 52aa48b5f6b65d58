//! Regions: the internet's core in several parts, with a way between every two of them.
//!
//! Each region that a place is in has a router of its own. All that hangs on the internet there hangs on it; a *transit*
//! joins every two, and perfect links lead to the middle, where the internet's servers are. So those are equally near to
//! everybody, as real ones that have one address everywhere (anycast) nearly are.

use crate::model::{Access, Topology};
use crate::plan::{Direction, LabStep, LinkName, Place, PlanError, access, down, servers};
use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use netsim_fabric::{Prefix, RouterConfig};

/// What the names of links from a region to the middle end with.
pub(crate) const CENTRE: &str = ".core";
/// Addresses are kept for so many.
const MAX_REGIONS: usize = 50;

/// The core of a network, as the places on it have to know it.
#[derive(Debug)]
pub(crate) struct Core<'a> {
    topology: &'a Topology,
    regions: Vec<&'a str>,
}

impl<'a> Core<'a> {
    /// Checks that everything is somewhere, and every two regions are joined.
    pub(crate) fn new(topology: &'a Topology) -> Result<Core<'a>, PlanError> {
        let core = Core { topology, regions: topology.regions() };
        core.check_places()?;
        let mut joined = BTreeSet::new();
        for transit in &topology.transits {
            let [a, b] = &transit.between;
            if a == b || !joined.insert((a.min(b), a.max(b))) {
                return Err(PlanError::BadTransit { between: transit.between.clone() });
            }
        }
        for (n, a) in core.regions.iter().enumerate() {
            if let Some(b) = core.regions[..n].iter().find(|b| topology.transit(a, b).is_none()) {
                return Err(PlanError::NoTransit { between: [*b, *a].map(ToString::to_string) });
            }
        }
        let (count, limit) = (core.regions.len(), MAX_REGIONS);
        if count > limit { Err(PlanError::TooManyRegions { count, limit }) } else { Ok(core) }
    }

    fn check_places(&self) -> Result<(), PlanError> {
        let routers = self.topology.routers.iter().map(|own| (&own.name, &own.behind, &own.region));
        let of_host = |host: &'a crate::model::Host| {
            host.interfaces.iter().map(move |own| (&host.name, &own.behind, &own.region))
        };
        for (place, behind, region) in routers.chain(self.topology.hosts.iter().flat_map(of_host)) {
            let place = || place.clone();
            match (behind, region) {
                (Some(_), Some(_)) => return Err(PlanError::RegionBehindRouter { place: place() }),
                (None, None) if !self.regions.is_empty() => return Err(PlanError::NoRegion { place: place() }),
                _ => {}
            }
        }
        Ok(())
    }

    /// The names of regions, which nothing else may have.
    pub(crate) fn names(&self) -> impl Iterator<Item = String> {
        self.regions.iter().map(ToString::to_string)
    }

    /// The routers of all regions and the links between them.
    pub(crate) fn build(&self, steps: &mut Vec<LabStep>) {
        for (n, region) in self.regions.iter().enumerate() {
            let own = Vec::from(addresses(n));
            let config = RouterConfig { inside: own.clone(), outside: own, ..RouterConfig::default() };
            steps.push(LabStep::AddRouter { place: place(region), config });
            let up = access(steps, &centre(region), place(region), Place::Internet, &Access::default());
            steps.push(LabStep::AddRoute { at: place(region), to: None, via: up });
        }
        for transit in &self.topology.transits {
            let [a, b] = &transit.between;
            // A table of regions may hold more than are in use.
            if self.regions.contains(&a.as_str()) && self.regions.contains(&b.as_str()) {
                access(steps, &transit.link_name(), place(a), place(b), &transit.link);
            }
        }
    }

    /// Something that answers in each region, so that a path to there can be measured.
    pub(crate) fn add_servers(&self, steps: &mut Vec<LabStep>) {
        for (n, region) in self.regions.iter().enumerate() {
            let link = servers(steps, place(region), Some(region), addresses(n).into(), &[]);
            for address in addresses(n) {
                self.announce_beyond(steps, region, Prefix::host(address));
                steps.push(LabStep::AddRoute { at: place(region), to: Some(Prefix::host(address)), via: link.clone() });
            }
        }
    }

    /// Tells the core that `to` is at the near end of `link`, which hangs on `region`.
    pub(crate) fn announce(&self, steps: &mut Vec<LabStep>, region: Option<&str>, link: String, to: Prefix) {
        let at = region.map_or(Place::Internet, place);
        steps.push(LabStep::AddRoute { at, to: Some(to), via: down(link) });
        if let Some(region) = region {
            self.announce_beyond(steps, region, to);
        }
    }

    /// Tells everybody else in the core that `to` is in `region`.
    fn announce_beyond(&self, steps: &mut Vec<LabStep>, region: &str, to: Prefix) {
        steps.push(LabStep::AddRoute { at: Place::Internet, to: Some(to), via: down(centre(region)) });
        for other in self.regions.iter().filter(|other| **other != region) {
            let Some((transit, is_up)) = self.topology.transit(other, region) else { continue };
            let direction = if is_up { Direction::Up } else { Direction::Down };
            let via = LinkName { link: transit.link_name(), direction };
            steps.push(LabStep::AddRoute { at: place(other), to: Some(to), via });
        }
    }
}

fn place(region: &str) -> Place {
    Place::Region(region.to_string())
}

fn centre(region: &str) -> String {
    alloc::format!("{region}{CENTRE}")
}

/// The addresses of region number `n`: below those of the core's middle.
fn addresses(n: usize) -> [IpAddr; 2] {
    // Checked: fewer than what is kept.
    let n = n as u8;
    [Ipv4Addr::new(198, 19, 255, 252 - n).into(), Ipv6Addr::new(0x2001, 2, 0, 0xffff, 0, 0, 0, 3 + u16::from(n)).into()]
}
