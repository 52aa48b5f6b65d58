//! Addresses of a device, and what is reached through it. All in the device's namespace.
//!
//! A host with several devices chooses as such hosts do (`ip-rule(8)`): the default route of the preferred one has the
//! lowest metric, and a rule per address sends what comes from there to a table in which only its own device occurs. So a
//! socket that is bound to an address never leaves by another device, from which its packets would come with a source
//! that nobody can answer.

use super::{DeviceError, Routes, failed, index_of};
use netsim_fabric::Prefix;
use rtnetlink::packet_route::address::{AddressHeaderFlags, AddressMessage};
use rtnetlink::packet_route::rule::{RuleAction, RuleMessage};
use rtnetlink::{Handle, LinkUnspec, RouteMessageBuilder};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// Metric of the preferred device's default route; each further one has so much more.
const METRIC: u32 = 100;
/// The routing table of the preferred device; the others have the next numbers. Rules have the same number as priority.
const TABLE: u32 = 100;
const EVERYTHING: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];

/// Takes a device up, with its addresses and the routes through it.
pub(crate) async fn connect(
    handle: &Handle,
    name: &str,
    addresses: &[IpAddr],
    routes: Routes<'_>,
) -> Result<(), DeviceError> {
    let device = index_of(name)?;
    let up = LinkUnspec::new_with_index(device).up().build();
    handle.link().set(up).execute().await.map_err(failed("device up"))?;
    for address in addresses {
        add_address(handle, device, *address, routes).await?;
    }
    for address in addresses {
        ready(*address).await?;
    }
    let everything = EVERYTHING.iter().filter(|all| addresses.iter().any(|own| own.is_ipv4() == all.is_ipv4()));
    let everything = everything.map(|all| Prefix::new(*all, 0));
    match routes {
        Routes::Everything => {
            for to in everything {
                add_route(handle, device, to, None, None).await?;
            }
        }
        Routes::Ranked(rank) => {
            allow_several_ways();
            for to in everything {
                add_route(handle, device, to, None, Some((rank + 1) * METRIC)).await?;
                add_route(handle, device, to, Some(TABLE + rank), None).await?;
            }
        }
        Routes::To(prefixes) => {
            for to in prefixes {
                add_route(handle, device, *to, None, None).await?;
            }
        }
    }
    Ok(())
}

/// Takes a device down. The kernel removes the routes through it; its addresses go too, as when a lease is given up.
pub(crate) async fn disconnect(
    handle: &Handle,
    name: &str,
    addresses: &[IpAddr],
    routes: Routes<'_>,
) -> Result<(), DeviceError> {
    let device = index_of(name)?;
    for address in addresses {
        remove_address(handle, device, *address, routes).await?;
    }
    let down = LinkUnspec::new_with_index(device).down().build();
    handle.link().set(down).execute().await.map_err(failed("device down"))
}

/// Exchanges the addresses of a device that is up. The new ones come first: without any, the kernel would remove the
/// routes.
pub(crate) async fn readdress(
    handle: &Handle,
    name: &str,
    old: &[IpAddr],
    new: &[IpAddr],
    routes: Routes<'_>,
) -> Result<(), DeviceError> {
    let device = index_of(name)?;
    for address in new.iter().filter(|address| !old.contains(address)) {
        add_address(handle, device, *address, routes).await?;
    }
    for address in new {
        ready(*address).await?;
    }
    for address in old.iter().filter(|address| !new.contains(address)) {
        remove_address(handle, device, *address, routes).await?;
    }
    Ok(())
}

/// Strict checking of the way back (RFC 3704), which some machines ask for, would drop what comes by a device that is not
/// the preferred one; the rules above satisfy the loose one. Best effort: most machines check nothing.
fn allow_several_ways() {
    let _ = fs::write("/proc/sys/net/ipv4/conf/all/rp_filter", "2");
}

fn message(handle: &Handle, device: u32, address: IpAddr) -> AddressMessage {
    let alone = if address.is_ipv4() { 32 } else { 128 };
    let mut message = handle.address().add(device, address, alone).message_mut().clone();
    // The search for duplicates would find none, but until it has been called off, no program can bind to the address.
    message.header.flags = AddressHeaderFlags::Nodad;
    message
}

/// What comes from `address` uses the table of its device.
fn rule(handle: &Handle, address: IpAddr, rank: u32) -> RuleMessage {
    let number = TABLE + rank;
    let rule = handle.rule().add().action(RuleAction::ToTable).table_id(number).priority(number);
    match address {
        IpAddr::V4(own) => rule.v4().source_prefix(own, 32).message_mut().clone(),
        IpAddr::V6(own) => rule.v6().source_prefix(own, 128).message_mut().clone(),
    }
}

async fn add_address(handle: &Handle, device: u32, address: IpAddr, routes: Routes<'_>) -> Result<(), DeviceError> {
    if let Routes::Ranked(rank) = routes {
        let mut add = handle.rule().add();
        *add.message_mut() = rule(handle, address, rank);
        add.execute().await.map_err(failed(format!("rule for {address}")))?;
    }
    let mut add = handle.address().add(device, address, 0);
    *add.message_mut() = message(handle, device, address);
    add.execute().await.map_err(failed(format!("address {address}")))
}

/// So long may it take until an address is in use, in milliseconds. Usually it is some microseconds.
const READY_MS: u64 = 10_000;

/// Waits until packets for an address are taken in. For IPv6 the kernel sees to that later, in a worker (`addrconf_dad_work`),
/// and until then drops them.
async fn ready(address: IpAddr) -> Result<(), DeviceError> {
    let IpAddr::V6(v6) = address else { return Ok(()) };
    for _ in 0..READY_MS {
        let routes = fs::read_to_string("/proc/thread-self/net/ipv6_route").map_err(DeviceError::Netlink)?;
        if routes.lines().any(|route| is_local_route(route, v6)) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Err(DeviceError::NotReady { address })
}

/// Whether a line of `/proc/net/ipv6_route` says that packets for an address are for this machine: "destination length
/// source length next-hop metric references uses flags device".
fn is_local_route(route: &str, address: Ipv6Addr) -> bool {
    const FLAGS: usize = 6;
    const LOCAL: u32 = 0x8000_0000;
    let mut fields = route.split_ascii_whitespace();
    let (destination, length) = (fields.next(), fields.next());
    let flags = fields.nth(FLAGS).and_then(|flags| u32::from_str_radix(flags, 16).ok()).unwrap_or(0);
    destination == Some(&*format!("{:032x}", u128::from(address))) && length == Some("80") && flags & LOCAL != 0
}

async fn remove_address(handle: &Handle, device: u32, address: IpAddr, routes: Routes<'_>) -> Result<(), DeviceError> {
    let gone = handle.address().del(message(handle, device, address));
    gone.execute().await.map_err(failed(format!("address {address}, which is to go")))?;
    if let Routes::Ranked(rank) = routes {
        let gone = handle.rule().del(rule(handle, address, rank));
        gone.execute().await.map_err(failed(format!("rule for {address}, which is to go")))?;
    }
    Ok(())
}

/// In the main table, unless another is named.
async fn add_route(
    handle: &Handle,
    device: u32,
    to: Prefix,
    table: Option<u32>,
    metric: Option<u32>,
) -> Result<(), DeviceError> {
    let what = format!("route to {}/{}", to.addr(), to.len());
    macro_rules! route {
        ($family:ty, $addr:expr) => {{
            let route =
                RouteMessageBuilder::<$family>::new().destination_prefix($addr, to.len()).output_interface(device);
            let route = table.into_iter().fold(route, |route, table| route.table_id(table));
            metric.into_iter().fold(route, |route, metric| route.priority(metric)).build()
        }};
    }
    let route = match to.addr() {
        IpAddr::V4(addr) => route!(Ipv4Addr, addr),
        IpAddr::V6(addr) => route!(Ipv6Addr, addr),
    };
    handle.route().add(route).execute().await.map_err(failed(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_routes_are_told_from_others() {
        // As Linux 6.18 prints them: the address's own route, and the one that makes the machine take packets in.
        let routes = [
            "20010002000000000000000000000002 80 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     net0",
            "20010002000000000000000000000002 80 00000000000000000000000000000000 00 00000000000000000000000000000000 00000000 00000002 00000000 80200001     net0",
        ];
        let address: Ipv6Addr = "2001:2::2".parse().unwrap();
        assert_eq!(routes.map(|route| is_local_route(route, address)), [false, true]);
        assert_eq!(routes.map(|route| is_local_route(route, "2001:2::3".parse().unwrap())), [false, false]);
    }
}
