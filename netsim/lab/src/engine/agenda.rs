//! What is to be done to the network at given moments after its start.

use super::pool::Buffer;
use crate::interface::Errand;
use crate::nftables::KernelRouter;
use netsim_fabric::{Fabric, LinkConfig, LinkId, NodeId, Time};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// One thing to do: [`netsim_topology::Change`] with numbers in place of names.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    SetLink(LinkId, Box<LinkConfig>),
    Reboot(NodeId),
    Renumber(NodeId, Vec<IpAddr>),
    RebootKernel(Arc<KernelRouter>),
    SetInterface(NodeId, bool, Errand),
    Readdress(LinkId, Vec<IpAddr>, Errand),
}

/// Things to do, in order of time. Every thread does them to its fabric; what happens outside of fabrics is done by one.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    /// Whether this thread is the one.
    runs_errands: bool,
    /// When, and what; the next one last.
    left: Vec<(Time, Act)>,
    /// What changed links did at first.
    first: BTreeMap<LinkId, LinkConfig>,
}

impl Agenda {
    pub(super) fn new(runs_errands: bool) -> Agenda {
        Agenda { runs_errands, ..Agenda::default() }
    }

    /// Undoes what has been done and starts anew at `start`, with acts so many nanoseconds later. Those of one moment
    /// happen in the order given.
    pub(super) fn restart(&mut self, fabric: &mut Fabric<Buffer>, start: Time, acts: Vec<(u64, Act)>) {
        for (link, config) in std::mem::take(&mut self.first) {
            fabric.set_link(start, link, config);
        }
        self.left = acts.into_iter().map(|(after, act)| (start + after, act)).collect();
        self.left.sort_by_key(|(at, _)| *at);
        self.left.reverse();
    }

    /// When the next act is due.
    pub(super) fn next(&self) -> Option<Time> {
        self.left.last().map(|(at, _)| *at)
    }

    /// Does the next thing. Everything that happened before must have been done in the fabric.
    pub(super) fn act(&mut self, fabric: &mut Fabric<Buffer>) {
        if let Some((at, act)) = self.left.pop() {
            self.act_now(fabric, at, act);
        }
    }

    /// Does something that was not planned.
    pub(super) fn act_now(&mut self, fabric: &mut Fabric<Buffer>, at: Time, act: Act) {
        match act {
            Act::SetLink(link, config) => {
                self.first.entry(link).or_insert_with(|| fabric.link_config(link).clone());
                fabric.set_link(at, link, *config);
            }
            Act::Reboot(router) => fabric.reboot_router(at, router),
            Act::Renumber(router, outside) => fabric.renumber(at, router, outside),
            // It was done once already when the network came up, so there is nothing that could forbid it.
            Act::RebootKernel(router) if self.runs_errands => drop(router.flush()),
            Act::RebootKernel(_) => {}
            Act::SetInterface(host, up, errand) => {
                fabric.set_interface(host, up);
                self.run(errand);
            }
            Act::Readdress(link, addresses, errand) => {
                fabric.readdress(link, &addresses);
                self.run(errand);
            }
        }
    }

    fn run(&self, errand: Errand) {
        if self.runs_errands {
            errand.run();
        }
    }
}
