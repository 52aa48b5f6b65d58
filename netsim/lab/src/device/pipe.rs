//! A link carried by the kernel: a pair of `veth` devices with `netem` at both, and a packet socket at either end.

use super::packet::{self, PacketSocket};
use super::{Device, DeviceError, failed, index_of, netlink};
use crate::netem;
use crate::netns::NetNs;
use netsim_fabric::LinkConfig;
use rtnetlink::{LinkUnspec, LinkVeth};

/// Makes the pipes of one lab.
#[derive(Debug)]
pub(crate) struct Plumbing {
    /// Where all pipes are: a namespace without addresses.
    namespace: NetNs,
    frames: usize,
    made: u32,
}

impl Plumbing {
    /// For so many pipes.
    pub(crate) fn new(pipes: usize) -> Result<Plumbing, DeviceError> {
        let namespace = super::silent_namespace()?;
        Ok(Plumbing { namespace, frames: packet::frames_for(2 * pipes), made: 0 })
    }

    /// Makes a pipe: its near end, from which packets go up, and its far end, from which they go down.
    pub(crate) fn pipe(&mut self, up: &LinkConfig, down: &LinkConfig, mtu: u32) -> Result<[Device; 2], DeviceError> {
        self.made += 1;
        let [near, far] = ["a", "b"].map(|end| format!("p{}{end}", self.made));
        let frames = self.frames;
        let make = || -> Result<[Device; 2], DeviceError> {
            netlink(async |handle| {
                let pair = LinkVeth::new(&near, &far).build();
                handle.link().add(pair).execute().await.map_err(failed("a pair of veth devices"))?;
                for end in [&near, &far] {
                    let silent = LinkUnspec::new_with_index(index_of(end)?).arp(false).build();
                    handle.link().set(silent).execute().await.map_err(failed("an end of a pipe"))?;
                }
                Ok(())
            })?;
            let ends = [PacketSocket::new(&near, mtu, frames)?, PacketSocket::new(&far, mtu, frames)?];
            for (end, link) in [(&near, up), (&far, down)] {
                netem::set(end, link).map_err(|error| DeviceError::Netem(Box::new(error)))?;
            }
            Ok(ends.map(|end| Device::Single(Box::new(end))))
        };
        self.namespace.run(make).map_err(DeviceError::Namespace)?
    }
}
