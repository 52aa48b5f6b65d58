//! One network in several fabrics: each has all of its nodes and links, under the same numbers, and carries some of them.
//!
//! What a seed decides follows from those numbers, so it is the same in however many fabrics the network is.

use super::Fabric;
use crate::link::LinkId;
use crate::packet::{Body, Packet};
use crate::time::Time;

/// A packet that a link of another fabric is to carry on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crossing<B> {
    /// The link it enters.
    pub link: LinkId,
    /// When it does. However late the other fabric learns of it, that is its time.
    pub at: Time,
    /// The packet.
    pub packet: Packet<B>,
}

impl<B: Body> Fabric<B> {
    /// Another fabric carries this link: what would enter it is among [`Fabric::take_crossings`].
    pub fn entrust(&mut self, link: LinkId) {
        self.elsewhere[link.index()] = true;
    }

    /// What was to enter links of other fabrics since this was last asked, in the order in which it happened. Whoever
    /// entrusts links must ask after every [`Fabric::poll`] and [`Fabric::ingress`]: everything is kept until then.
    pub fn take_crossings(&mut self) -> impl Iterator<Item = Crossing<B>> {
        self.crossings.drain(..)
    }

    /// Whether [`Fabric::take_crossings`] has something.
    pub fn has_crossings(&self) -> bool {
        !self.crossings.is_empty()
    }

    /// Takes in what another fabric could not carry on. It may be late, and so due already.
    pub fn cross(&mut self, crossing: Crossing<B>) {
        self.offer(crossing.at, crossing.link, crossing.packet);
    }
}
