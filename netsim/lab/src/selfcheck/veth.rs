//! The plain wire our links are compared with: two namespaces joined by the kernel's pair of devices.

use crate::netns::NetNs;
use nix::net::if_::if_nametoindex;
use rtnetlink::{LinkUnspec, LinkVeth};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, AsRawFd};

/// The device's name at both ends.
const DEVICE: &str = "net0";
/// The far end's name until it has been moved.
const PEER: &str = "net1";
/// As our devices have it.
const MTU: u32 = 1500;
const ADDRESSES: [Ipv4Addr; 2] = [Ipv4Addr::new(198, 18, 0, 1), Ipv4Addr::new(198, 18, 0, 2)];

/// Why there is no plain wire.
#[derive(Debug, thiserror::Error)]
pub(super) enum VethError {
    #[error("cannot make network namespaces")]
    Namespace(#[source] io::Error),
    #[error("cannot talk netlink")]
    Netlink(#[source] io::Error),
    #[error("cannot make a pair of veth devices: {step}")]
    Configure {
        step: &'static str,
        #[source]
        source: rtnetlink::Error,
    },
}

/// A pair of namespaces with nothing but a wire between them. Gone when dropped.
#[derive(Debug)]
pub(super) struct PlainWire {
    pub(super) ends: [(NetNs, IpAddr); 2],
}

impl PlainWire {
    pub(super) fn up() -> Result<PlainWire, VethError> {
        let namespace = || NetNs::new().map_err(VethError::Namespace);
        let ends = [namespace()?, namespace()?];
        let far = ends[1].as_fd().as_raw_fd();
        ends[0].run(|| block_on(join(far))).map_err(VethError::Namespace)??;
        for (end, address) in ends.iter().zip(ADDRESSES) {
            end.run(|| block_on(configure(address))).map_err(VethError::Namespace)??;
        }
        let [near, far] = ends;
        Ok(PlainWire { ends: [(near, ADDRESSES[0].into()), (far, ADDRESSES[1].into())] })
    }
}

/// Netlink needs a runtime only for a few messages.
fn block_on(work: impl Future<Output = Result<(), VethError>>) -> Result<(), VethError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(VethError::Netlink)?;
    runtime.block_on(work)
}

/// Makes the pair in the current thread's namespace and moves one end into `far`.
async fn join(far: i32) -> Result<(), VethError> {
    let failed = |step| move |source| VethError::Configure { step, source };
    let (connection, handle, _) = rtnetlink::new_connection().map_err(VethError::Netlink)?;
    let driver = tokio::spawn(connection);
    handle.link().add(LinkVeth::new(DEVICE, PEER).build()).execute().await.map_err(failed("add"))?;
    let moved = LinkUnspec::new_with_name(PEER).setns_by_fd(far).build();
    handle.link().set(moved).execute().await.map_err(failed("move"))?;
    driver.abort();
    Ok(())
}

/// Brings the end in the current thread's namespace up.
async fn configure(address: Ipv4Addr) -> Result<(), VethError> {
    let failed = |step| move |source| VethError::Configure { step, source };
    let (connection, handle, _) = rtnetlink::new_connection().map_err(VethError::Netlink)?;
    let driver = tokio::spawn(connection);
    let index = |name: &str| if_nametoindex(name).map_err(|errno| VethError::Netlink(errno.into()));
    let device = index(DEVICE).or_else(|_| index(PEER))?;
    for up in [LinkUnspec::new_with_index(index("lo")?), LinkUnspec::new_with_index(device).mtu(MTU)] {
        handle.link().set(up.up().build()).execute().await.map_err(failed("up"))?;
    }
    handle.address().add(device, address.into(), 24).execute().await.map_err(failed("address"))?;
    driver.abort();
    Ok(())
}
