//! A plan whose routers are kernels: links stay the fabric's, what happens between them is Linux's own.

use crate::plan::{Direction, HOST_MTU, INNER, LabStep, LinkName, Place, Plan};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use netsim_fabric::{LinkConfig, Prefix, RouterConfig};

/// The same network with every router that translates or filters split in two: a router of the fabric that joins its
/// hosts and does nothing to packets, and behind that a kernel ([`LabStep::AddKernelRouter`]), whose outer device is
/// where the router's uplink starts. Links keep their numbers, and so what their seed decides. A packet meets one more
/// hop.
pub fn with_kernel_routers(plan: &Plan) -> Plan {
    let split: BTreeSet<&String> = plan.steps.iter().filter_map(does_something).collect();
    let inside = inside(plan, &split);
    let mut steps = Vec::new();
    let mut last = Vec::new();
    for step in &plan.steps {
        match step {
            LabStep::AddRouter { place: Place::Router(name), config } if split.contains(name) => {
                let own = &config.inside;
                let joint = RouterConfig { inside: own.clone(), outside: own.clone(), ..RouterConfig::default() };
                steps.push(LabStep::AddRouter { place: Place::Router(name.clone()), config: joint });
                let inside = inside.get(name).cloned().unwrap_or_default();
                let (name, config) = (name.clone(), config.clone());
                steps.push(LabStep::AddKernelRouter { name: name.clone(), config, inside, mtu: HOST_MTU });
                connect(&mut last, name);
            }
            LabStep::AddLink { name, from, to, config } => {
                let move_end = |place: &Place| match place {
                    Place::Router(router) if split.contains(router) && name.is_uplink_of(router) => {
                        Place::Outer(router.clone())
                    }
                    place => place.clone(),
                };
                let (from, to) = (move_end(from), move_end(to));
                steps.push(LabStep::AddLink { name: name.clone(), from, to, config: config.clone() });
            }
            // The way out is the inner device now.
            LabStep::AddRoute { at: Place::Router(router), to: None, .. } if split.contains(router) => {}
            step => steps.push(step.clone()),
        }
    }
    steps.extend(last);
    Plan { addresses: plan.addresses.clone(), steps }
}

/// The name of a router that does more than forward.
fn does_something(step: &LabStep) -> Option<&String> {
    match step {
        LabStep::AddRouter { place: Place::Router(name), config } => {
            let RouterConfig { nat, ipv6, firewall, .. } = RouterConfig::default();
            (config.nat != nat || config.ipv6 != ipv6 || config.firewall != firewall).then_some(name)
        }
        _ => None,
    }
}

/// What each router reaches behind it.
fn inside(plan: &Plan, split: &BTreeSet<&String>) -> BTreeMap<String, Vec<Prefix>> {
    let mut inside: BTreeMap<String, Vec<Prefix>> = BTreeMap::new();
    for step in &plan.steps {
        if let LabStep::AddRoute { at: Place::Router(router), to: Some(to), .. } = step
            && split.contains(router)
        {
            inside.entry(router.clone()).or_default().push(*to);
        }
    }
    inside
}

/// The perfect links between the hosts' router and the inner device. They come last, so that they change no number of
/// what the scenario names.
fn connect(steps: &mut Vec<LabStep>, router: String) {
    let link = alloc::format!("{router}{INNER}");
    let [up, down] = [Direction::Up, Direction::Down].map(|direction| LinkName { link: link.clone(), direction });
    let (joint, inner) = (Place::Router(router.clone()), Place::Inner(router));
    let config = Box::new(LinkConfig::default());
    let (from, to) = (joint.clone(), inner.clone());
    steps.push(LabStep::AddLink { name: up.clone(), from, to, config: config.clone() });
    steps.push(LabStep::AddLink { name: down, from: inner, to: joint.clone(), config });
    steps.push(LabStep::AddRoute { at: joint, to: None, via: up });
}

impl LinkName {
    fn is_uplink_of(&self, router: &str) -> bool {
        self.link.strip_prefix(router) == Some(".uplink")
    }
}
