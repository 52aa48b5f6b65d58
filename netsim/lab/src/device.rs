//! A host's network device and the fabric's hold on it.
//!
//! There are two ways to get packets out of a host's kernel and back in, alike in what they carry: whole super-packets
//! with a `virtio_net_hdr` in front. A TUN device is the faster one, but its device file may be closed to ordinary
//! users. The second is a pair of `veth` devices with a packet socket at the far end, and works in every user namespace.

mod address;
pub(crate) mod ethtool;
mod packet;
mod pipe;
mod tun;

use crate::netem::NetemError;
use crate::netns::NetNs;
use netsim_fabric::Prefix;
use netsim_topology::Interface;
use nix::net::if_::if_nametoindex;
use packet::PacketSocket;
use rtnetlink::packet_route::link::LinkAttribute;
use rtnetlink::{Handle, LinkUnspec};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, IoSlice, Read, Write};
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::OnceLock;

pub(crate) use address::{connect, disconnect, readdress};
pub(crate) use packet::wire;
pub(crate) use pipe::Plumbing;
pub(crate) use tun::PATH as TUN_PATH;

/// The device's name where nobody chose one.
pub(crate) const DEVICE: &str = Interface::ONLY;

/// The ring between kernel and fabric. Too small a one drops silently when the fabric is busy for a moment; drops are
/// counted in [`device_drops`].
const QUEUE_LEN: u32 = 8192;

/// How hosts are attached to the fabric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attachment {
    /// A TUN device in each host. Needs a `/dev/net/tun` that this user may open.
    Tun,
    /// A pair of `veth` devices for each host, and a packet socket (`AF_PACKET`) at the far end. Works always; one more
    /// copy of every packet.
    Packet,
}

impl Attachment {
    /// TUN where this user may have it and the kernel does what is needed, else packet sockets.
    pub fn pick() -> Attachment {
        static PICKED: OnceLock<Attachment> = OnceLock::new();
        *PICKED.get_or_init(|| {
            // A trial: a file that opens may still belong to a kernel without the offloads.
            let made = NetNs::new().and_then(|namespace| namespace.run(|| tun::create(DEVICE).is_ok()));
            if made.unwrap_or(false) { Attachment::Tun } else { Attachment::Packet }
        })
    }

    /// The attachment as it is written in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Attachment::Tun => "tun",
            Attachment::Packet => "packet",
        }
    }
}

impl fmt::Display for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a host's device could not be made.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The device file.
    #[error("cannot open {TUN_PATH}; as root: `modprobe tun; chmod 0666 {TUN_PATH}`, or run as root")]
    Open(#[source] io::Error),
    /// A kernel without what the data plane needs.
    #[error("the kernel refused {what}; Linux 6.2 or newer is needed")]
    Create {
        /// Which device or call.
        what: &'static str,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// Addresses and routes.
    #[error("cannot configure the network device: {what}")]
    Configure {
        /// Which step.
        what: String,
        /// What the kernel said.
        #[source]
        source: Box<rtnetlink::Error>,
    },
    /// The kernel does not take an address into use.
    #[error(
        "the kernel still takes in nothing for {address}, 10 s after it was told of it; is the machine overloaded?"
    )]
    NotReady {
        /// The address.
        address: IpAddr,
    },
    /// The local runtime that talks netlink.
    #[error("cannot talk netlink")]
    Netlink(#[source] io::Error),
    /// A link by netem.
    #[error(transparent)]
    Netem(Box<NetemError>),
    /// The host cannot be kept from sending super-packets.
    #[error("cannot switch segmentation offload off")]
    Segmentation(#[source] io::Error),
    /// No namespace to make it in.
    #[error("cannot enter a network namespace")]
    Namespace(#[source] io::Error),
}

/// The fabric's end of a host's device. Closing it removes the device.
#[derive(Debug)]
pub(crate) enum Device {
    /// A TUN device's file.
    Tun(File),
    /// The packet socket at the far end of a pair of `veth` devices.
    Packet(Box<PacketSocket>),
    /// The same where datagrams are written one by one: to netem a super-packet is one packet, and older kernels drop it.
    Single(Box<PacketSocket>),
}

impl Device {
    /// Whether several datagrams may be written as one.
    pub(crate) fn takes_joined(&self) -> bool {
        !matches!(self, Device::Single(_))
    }

    /// Reads one packet with its [`netsim_fabric::wire::Offload`] in front, IP header first.
    pub(crate) fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Device::Tun(file) => file.read(into),
            Device::Packet(socket) | Device::Single(socket) => socket.read(into),
        }
    }

    /// Hands one packet, again with its offload header in front, to the host's kernel.
    pub(crate) fn write(&mut self, header: &[u8], payload: &[u8]) -> io::Result<usize> {
        match self {
            Device::Tun(file) => file.write_vectored(&[IoSlice::new(header), IoSlice::new(payload)]),
            Device::Packet(socket) | Device::Single(socket) => socket.write(header, payload),
        }
    }

    /// Packets lost at the fabric's end since the device was made. Those lost at the host's are in [`device_drops`].
    pub(crate) fn drops(&mut self) -> u64 {
        match self {
            Device::Tun(_) => 0,
            Device::Packet(socket) | Device::Single(socket) => socket.drops(),
        }
    }
}

impl AsFd for Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Device::Tun(file) => file.as_fd(),
            Device::Packet(socket) | Device::Single(socket) => socket.as_fd(),
        }
    }
}

/// A device to be made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DeviceSpec<'a> {
    /// Its name, unique in its namespace.
    pub(crate) name: &'a str,
    /// Its addresses; it may have none where its routes say what is behind it.
    pub(crate) addresses: &'a [IpAddr],
    /// What is reached through it.
    pub(crate) routes: Routes<'a>,
    /// Largest IP packet.
    pub(crate) mtu: u32,
    /// Whether it is up. One that is down has no addresses and no routes.
    pub(crate) up: bool,
}

/// What is reached through a device.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Routes<'a> {
    /// Everything, in the families that it has an address of.
    Everything,
    /// The same, as one of several devices of which the one with the lowest number is preferred. What comes from its
    /// addresses leaves by it, whichever that is.
    Ranked(u32),
    /// This.
    To(&'a [Prefix]),
}

/// Makes the devices of one lab.
#[derive(Debug)]
pub(crate) enum Workshop {
    /// TUN devices need nothing but their file.
    Tun,
    /// Where the far ends of all pairs are: a namespace without addresses, in which nothing else happens.
    Packet {
        /// The namespace.
        far: NetNs,
        /// Frames of each ring.
        frames: usize,
        /// Pairs made so far: the far ends' names must differ.
        made: u32,
    },
}

impl Workshop {
    /// For a lab of so many hosts.
    pub(crate) fn new(attachment: Attachment, hosts: usize) -> Result<Workshop, DeviceError> {
        match attachment {
            Attachment::Tun => Ok(Workshop::Tun),
            Attachment::Packet => {
                Ok(Workshop::Packet { far: silent_namespace()?, frames: packet::frames_for(hosts), made: 0 })
            }
        }
    }

    /// Makes a device in the namespace `near`, up and configured.
    pub(crate) fn device(&mut self, near: &NetNs, spec: &DeviceSpec<'_>) -> Result<Device, DeviceError> {
        match self {
            Workshop::Tun => near
                .run(|| {
                    let file = tun::create(spec.name)?;
                    quiet_ipv6(spec.name);
                    open_low_ports();
                    netlink(async |handle| configure(&handle, spec).await)?;
                    Ok(Device::Tun(file))
                })
                .map_err(DeviceError::Namespace)?,
            Workshop::Packet { far, frames, made } => {
                *made += 1;
                let peer = format!("w{made}");
                let there = || -> Result<(), DeviceError> {
                    netlink(async |handle| packet::make_pair(&handle, spec.name, &peer, far).await)?;
                    quiet_ipv6(spec.name);
                    open_low_ports();
                    netlink(async |handle| configure(&handle, spec).await)
                };
                near.run(there).map_err(DeviceError::Namespace)??;
                let super_packets = hands_over_udp_super_packets();
                if !super_packets {
                    let switched = near.run(|| ethtool::one_by_one(spec.name)).map_err(DeviceError::Namespace)?;
                    switched.map_err(DeviceError::Segmentation)?;
                }
                let socket =
                    far.run(|| PacketSocket::of_host(&peer, spec.mtu, *frames)).map_err(DeviceError::Namespace)??;
                let socket = Box::new(socket);
                Ok(if super_packets { Device::Packet(socket) } else { Device::Single(socket) })
            }
        }
    }
}

/// Whether packet sockets pass UDP super-packets on: since Linux 6.2. Older kernels drop them.
fn hands_over_udp_super_packets() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or(0_u32));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (6, 2)
}

/// A namespace whose devices are no one's addresses.
fn silent_namespace() -> Result<NetNs, DeviceError> {
    let namespace = NetNs::new().map_err(DeviceError::Namespace)?;
    // Best effort, as in `quiet_ipv6`.
    let silence = || fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1").ok();
    namespace.run(silence).map_err(DeviceError::Namespace)?;
    Ok(namespace)
}

/// Talks netlink in the current thread's namespace. A runtime is needed only for these few messages.
pub(crate) fn netlink(work: impl AsyncFnOnce(Handle) -> Result<(), DeviceError>) -> Result<(), DeviceError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    let runtime = runtime.map_err(DeviceError::Netlink)?;
    runtime.block_on(async {
        let (connection, handle, _) = rtnetlink::new_connection().map_err(DeviceError::Netlink)?;
        let driver = tokio::spawn(connection);
        let result = work(handle).await;
        driver.abort();
        result
    })
}

fn failed(what: impl Into<String>) -> impl FnOnce(rtnetlink::Error) -> DeviceError {
    let what = what.into();
    move |source| DeviceError::Configure { what, source: Box::new(source) }
}

fn index_of(name: &str) -> Result<u32, DeviceError> {
    if_nametoindex(name).map_err(|errno| DeviceError::Netlink(errno.into()))
}

/// Keeps the kernel from sending packets of its own (router solicitations), which would be counted as the subject's.
/// Best effort: the fabric ignores multicast anyway.
fn quiet_ipv6(device: &str) {
    for (key, value) in [("accept_ra", "0"), ("router_solicitations", "0"), ("addr_gen_mode", "1")] {
        let _ = fs::write(format!("/proc/sys/net/ipv6/conf/{device}/{key}"), value);
    }
}

/// Everybody on a host may serve at any port: a program under test has no privileges. Best effort: few need a low one.
fn open_low_ports() {
    let _ = fs::write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
}

/// Everything about a new device, in its namespace.
async fn configure(handle: &Handle, spec: &DeviceSpec<'_>) -> Result<(), DeviceError> {
    let (device, loopback) = (index_of(spec.name)?, index_of("lo")?);
    let loopback_up = LinkUnspec::new_with_index(loopback).up().build();
    handle.link().set(loopback_up).execute().await.map_err(failed("lo up"))?;
    let queue = LinkAttribute::TxQueueLen(QUEUE_LEN);
    let sizes = LinkUnspec::new_with_index(device).mtu(spec.mtu).append_extra_attribute(queue).build();
    handle.link().set(sizes).execute().await.map_err(failed("device sizes"))?;
    if spec.up { connect(handle, spec.name, spec.addresses, spec.routes).await } else { Ok(()) }
}

/// Packets the kernel could not hand to the fabric because the ring was full, since the device was made. Must run in
/// the device's namespace.
pub(crate) fn device_drops(name: &str) -> io::Result<u64> {
    let table = fs::read_to_string("/proc/thread-self/net/dev")?;
    // "net0: rx_bytes packets errs drop fifo frame compressed multicast tx_bytes packets errs drop ..."
    const TX_DROP: usize = 11;
    table
        .lines()
        .filter_map(|line| line.trim().strip_prefix(name)?.strip_prefix(':'))
        .find_map(|fields| fields.split_whitespace().nth(TX_DROP)?.parse().ok())
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no device in /proc/net/dev"))
}
