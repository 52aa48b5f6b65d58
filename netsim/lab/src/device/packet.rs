//! A packet socket (`AF_PACKET`) at the far end of a pair of `veth` devices, with `PACKET_VNET_HDR`.
//!
//! What hosts send is read from a ring of memory shared with the kernel: a socket's ordinary buffer holds a few
//! super-packets at most, unless the user is root. Every frame of the ring has room for the largest packet, so
//! super-packets are kept smaller here than on a TUN device. What hosts get is sent with one system call per run.
//!
//! Contract: `Documentation/networking/packet_mmap.rst` and `net/packet/af_packet.c` of the kernel (`tpacket_rcv`,
//! `packet_snd`). Ethernet is a formality here: both ends have fixed addresses and no ARP.

use super::{DeviceError, failed, index_of, netlink};
use crate::netns::NetNs;
use netsim_fabric::wire::Offload;
use nix::net::if_::if_nametoindex;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use rtnetlink::packet_route::link::LinkAttribute;
use rtnetlink::{Handle, LinkUnspec, LinkVeth};
use std::ffi::c_int;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

/// The address of every host's device: each is alone on its wire.
const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// Destination, source, type.
const ETHERNET: usize = 14;
const ETHERTYPE_V4: [u8; 2] = [0x08, 0x00];
const ETHERTYPE_V6: [u8; 2] = [0x86, 0xdd];

/// Makes the pair in the current thread's namespace: `name`, and `peer`, which moves to `far`.
pub(super) async fn make_pair(handle: &Handle, name: &str, peer: &str, far: &NetNs) -> Result<(), DeviceError> {
    let pair = LinkVeth::new(name, peer).build();
    handle.link().add(pair).execute().await.map_err(failed("a pair of veth devices"))?;
    let moved = LinkUnspec::new_with_name(peer).setns_by_fd(far.as_fd().as_raw_fd()).build();
    handle.link().set(moved).execute().await.map_err(failed("the far end of a pair of veth devices"))?;
    let near = LinkUnspec::new_with_index(index_of(name)?).address(MAC.to_vec()).arp(false);
    let near = near.append_extra_attribute(LinkAttribute::GsoMaxSize(LARGEST)).build();
    handle.link().set(near).execute().await.map_err(failed("device address and largest packet"))
}

/// The far end of one host's device.
#[derive(Debug)]
pub(crate) struct PacketSocket {
    ring: Ring,
    socket: OwnedFd,
    /// Drops the kernel has reported so far; it forgets them when asked.
    drops: u64,
}

impl PacketSocket {
    /// The far end of a host's device. What is sent goes past the kernel's queues, of which there are none to go through: when
    /// the host's end has come up again, the kernel gives this one its own back a moment later, and drops all until then.
    pub(super) fn of_host(peer: &str, mtu: u32, frames: usize) -> Result<PacketSocket, DeviceError> {
        let made = PacketSocket::new(peer, mtu, frames)?;
        let past = set_option(&made.socket, libc::PACKET_QDISC_BYPASS, &1_i32);
        past.map_err(|source| DeviceError::Create { what: "a packet socket past all queues", source })?;
        Ok(made)
    }

    /// Brings the device `peer` of the current thread's namespace up and listens to it.
    pub(super) fn new(peer: &str, mtu: u32, frames: usize) -> Result<PacketSocket, DeviceError> {
        let refused = |what| move |source| DeviceError::Create { what, source };
        let index = index_of(peer)?;
        let socket = listen().map_err(refused("a packet socket with offloads"))?;
        let ring = Ring::of(&socket, frames).map_err(refused("a packet socket's ring"))?;
        netlink(async |handle| {
            let up = LinkUnspec::new_with_index(index).mtu(mtu).arp(false).up().build();
            handle.link().set(up).execute().await.map_err(failed("far end up"))
        })?;
        // Last: bound to a device that is down, its first packet would fail.
        bind(&socket, index, libc::ETH_P_ALL).map_err(refused("a packet socket on a veth device"))?;
        Ok(PacketSocket { ring, socket, drops: 0 })
    }

    /// Reads one packet: offload header, then the packet from its IP header on.
    pub(super) fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let Some(frame) = self.ring.next() else { return Err(io::ErrorKind::WouldBlock.into()) };
        // What does not fit is cut off, as by a read from a TUN device. Frames that are too short become empty packets,
        // which the parser refuses.
        let ip = frame.packet().get(ETHERNET..).unwrap_or_default();
        let len = ip.len().min(into.len().saturating_sub(Offload::LEN));
        if let Some((header, packet)) = into.split_first_chunk_mut() {
            *header = without_ethernet(Offload::read(&frame.offload())).write();
            packet[..len].copy_from_slice(&ip[..len]);
        }
        frame.release();
        Ok(Offload::LEN + len)
    }

    /// Sends one packet into the host: offload header and packet headers in `header`, the rest in `payload`.
    pub(super) fn write(&mut self, header: &[u8], payload: &[u8]) -> io::Result<usize> {
        let Some((offload, ip)) = header.split_first_chunk() else { return Ok(0) };
        let offload = with_ethernet(Offload::read(offload)).write();
        let kind = if ip.first().is_some_and(|byte| byte >> 4 == 6) { ETHERTYPE_V6 } else { ETHERTYPE_V4 };
        let mut ethernet = [0; ETHERNET];
        ethernet[..6].copy_from_slice(&MAC);
        ethernet[12..].copy_from_slice(&kind);
        let parts = [&offload[..], &ethernet, ip, payload].map(io::IoSlice::new);
        Ok(nix::sys::uio::writev(&self.socket, &parts)?)
    }

    /// Packets that found the ring full since the socket was made.
    pub(super) fn drops(&mut self) -> u64 {
        let mut stats = libc::tpacket_stats { tp_packets: 0, tp_drops: 0 };
        let mut len = size_of::<libc::tpacket_stats>() as libc::socklen_t;
        #[expect(unsafe_code, reason = "no safe wrapper for PACKET_STATISTICS")]
        // SAFETY: pointer and length describe one writable structure.
        let result = unsafe {
            let fd = self.socket.as_raw_fd();
            libc::getsockopt(fd, libc::SOL_PACKET, libc::PACKET_STATISTICS, (&raw mut stats).cast(), &raw mut len)
        };
        if result == 0 {
            self.drops += u64::from(stats.tp_drops);
        }
        self.drops
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Offsets of a packet socket count from the Ethernet header, ours from the IP header.
fn without_ethernet(mut offload: Offload) -> Offload {
    // Whether the kernel has checked the checksum (`DATA_VALID`) is no one's business further on.
    offload.flags &= Offload::NEEDS_CSUM;
    offload.header_len = offload.header_len.saturating_sub(ETHERNET as u16);
    offload.csum_start = offload.csum_start.saturating_sub(ETHERNET as u16);
    offload
}

fn with_ethernet(mut offload: Offload) -> Offload {
    offload.header_len += ETHERNET as u16;
    if offload.flags & Offload::NEEDS_CSUM != 0 {
        offload.csum_start += ETHERNET as u16;
    }
    offload
}

/// All IPv4 packets that reach the device `name` of the current thread's namespace, and a way to send some, without its
/// kernel's having a say. Reads and writes are of one packet each, IP header first, and do not wait.
pub(crate) fn wire(name: &str) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Packet, SockType::Datagram, flags, None)?;
    bind(&socket, if_nametoindex(name)?, libc::ETH_P_IP)?;
    Ok(socket)
}

/// A socket that hears nothing yet, because its ring must be there first.
fn listen() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    #[expect(unsafe_code, reason = "nix makes packet sockets, but not ones of protocol 0")]
    // SAFETY: plain numbers; a descriptor that is not negative is new and ours.
    let socket = unsafe {
        match libc::socket(libc::AF_PACKET, kind, 0) {
            -1 => return Err(io::Error::last_os_error()),
            fd => OwnedFd::from_raw_fd(fd),
        }
    };
    set_option(&socket, libc::PACKET_VERSION, &(libc::tpacket_versions::TPACKET_V2 as c_int))?;
    set_option(&socket, libc::PACKET_VNET_HDR, &1_i32)?;
    set_option(&socket, libc::PACKET_IGNORE_OUTGOING, &1_i32)?;
    Ok(socket)
}

fn set_option<T>(socket: &OwnedFd, option: c_int, value: &T) -> io::Result<()> {
    #[expect(unsafe_code, reason = "no safe wrapper for these options")]
    // SAFETY: pointer and length describe `value`, which the kernel only reads.
    let result = unsafe {
        let (fd, len) = (socket.as_raw_fd(), size_of::<T>() as libc::socklen_t);
        libc::setsockopt(fd, libc::SOL_PACKET, option, std::ptr::from_ref(value).cast(), len)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn bind(socket: &OwnedFd, index: u32, protocol: c_int) -> io::Result<()> {
    #[expect(unsafe_code, reason = "nix offers no constructor for link-layer addresses")]
    // SAFETY: an all-zero `sockaddr_ll` is valid; pointer and length belong together.
    let result = unsafe {
        let mut address: libc::sockaddr_ll = std::mem::zeroed();
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = (protocol as u16).to_be();
        address.sll_ifindex = index as c_int;
        let len = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
        libc::bind(socket.as_raw_fd(), (&raw const address).cast(), len)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Frames shared with the kernel, each with room for the largest packet and all headers.
#[derive(Debug)]
struct Ring {
    memory: NonNull<u8>,
    frames: usize,
    next: usize,
}

#[expect(unsafe_code, reason = "the mapping belongs to the ring, and only `&mut` gets at it")]
// SAFETY: nothing of the mapping is tied to a thread.
unsafe impl Send for Ring {}

/// The largest super-packet a host sends, in bytes.
const LARGEST: u32 = 16 * 1024;
/// A multiple of the page size.
const FRAME: usize = 20 * 1024;
/// A ring holds bursts of some milliseconds at the highest packet rates; 40 MiB.
const MAX_FRAMES: usize = 2048;
/// All rings of a lab together: 640 MiB.
const ALL_FRAMES: usize = 32_768;
/// So few that even 1,000 hosts fit into a small machine.
const MIN_FRAMES: usize = 32;

/// How many frames each ring of a lab of so many hosts has.
pub(super) fn frames_for(hosts: usize) -> usize {
    (ALL_FRAMES / hosts.max(1)).clamp(MIN_FRAMES, MAX_FRAMES)
}

impl Ring {
    fn of(socket: &OwnedFd, frames: usize) -> io::Result<Ring> {
        let request = libc::tpacket_req {
            tp_block_size: FRAME as u32,
            tp_block_nr: frames as u32,
            tp_frame_size: FRAME as u32,
            tp_frame_nr: frames as u32,
        };
        set_option(socket, libc::PACKET_RX_RING, &request)?;
        #[expect(unsafe_code, reason = "a mapping shared with the kernel")]
        // SAFETY: a new mapping at an address of the kernel's choice, of the size that was just asked for.
        let memory = unsafe {
            let access = libc::PROT_READ | libc::PROT_WRITE;
            libc::mmap(std::ptr::null_mut(), FRAME * frames, access, libc::MAP_SHARED, socket.as_raw_fd(), 0)
        };
        match NonNull::new(memory.cast::<u8>()) {
            Some(start) if memory != libc::MAP_FAILED => Ok(Ring { memory: start, frames, next: 0 }),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// The next frame, if the kernel has filled it.
    fn next(&mut self) -> Option<Frame<'_>> {
        #[expect(unsafe_code, reason = "memory shared with the kernel")]
        // SAFETY: `next` is below `frames`, so the frame lies inside the mapping; its first word is only ever accessed
        // atomically, and aligned, because frames are.
        let (memory, status) = unsafe {
            let memory = self.memory.add(self.next * FRAME);
            (memory, memory.cast::<AtomicU32>().as_ref())
        };
        if status.load(Ordering::Acquire) & libc::TP_STATUS_USER == 0 {
            return None;
        }
        #[expect(unsafe_code, reason = "memory shared with the kernel")]
        // SAFETY: as above; the kernel leaves the frame alone until its status is given back, which takes the `Frame`.
        let bytes = unsafe { std::slice::from_raw_parts(memory.as_ptr().add(4), FRAME - 4) };
        Some(Frame { status, bytes, frames: self.frames, next: &mut self.next })
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "the counterpart of the mapping's making")]
        // SAFETY: nothing borrows from the ring any more.
        unsafe {
            libc::munmap(self.memory.as_ptr().cast(), FRAME * self.frames);
        }
    }
}

/// A filled frame: ours until it is released.
struct Frame<'a> {
    status: &'a AtomicU32,
    /// The frame from after its status word on.
    bytes: &'a [u8],
    frames: usize,
    next: &'a mut usize,
}

impl<'a> Frame<'a> {
    /// The frame from its Ethernet header on; empty if the kernel's header makes no sense.
    fn packet(&self) -> &'a [u8] {
        let start = self.start();
        self.bytes.get(start..start + self.word(8)).unwrap_or_default()
    }

    /// The kernel puts it right in front of the packet.
    fn offload(&self) -> [u8; Offload::LEN] {
        self.start()
            .checked_sub(Offload::LEN)
            .and_then(|at| self.bytes.get(at..)?.first_chunk().copied())
            .unwrap_or_default()
    }

    /// `tp_mac` of `struct tpacket2_hdr`: status, length, captured length, then 16 bits each of MAC and network offset.
    fn start(&self) -> usize {
        usize::from(u16::from_ne_bytes([self.bytes[8], self.bytes[9]])).saturating_sub(4)
    }

    /// The 32-bit word at offset `at` of the kernel's header.
    fn word(&self, at: usize) -> usize {
        let at = at - 4;
        u32::from_ne_bytes([self.bytes[at], self.bytes[at + 1], self.bytes[at + 2], self.bytes[at + 3]]) as usize
    }

    fn release(self) {
        self.status.store(libc::TP_STATUS_KERNEL, Ordering::Release);
        *self.next = (*self.next + 1) % self.frames;
    }
}
