//! A UDP socket whose receive times come from the kernel: a busy machine delays the thread that reads a packet, but
//! not the time the packet carries.

use crate::clock;
use netsim_fabric::{Ecn, Time};
use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt::IpRecvTos, sockopt::RcvBufForce,
    sockopt::ReceiveTimestampns, sockopt::UdpGsoSegment,
};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

/// Room for a whole train that is not read in time.
const RECEIVE_BUFFER: usize = 16 << 20;

pub(crate) struct Socket {
    socket: UdpSocket,
}

/// A datagram's length, sender, time of arrival, and whether a link on the way was congested (RFC 3168).
pub(crate) struct Received {
    pub(crate) len: usize,
    pub(crate) from: Option<SocketAddr>,
    pub(crate) at: Time,
    pub(crate) congested: bool,
}

impl Socket {
    pub(crate) fn new(socket: UdpSocket) -> io::Result<Socket> {
        forget_mtu(&socket)?;
        setsockopt(&socket, ReceiveTimestampns, &true)?;
        setsockopt(&socket, IpRecvTos, &true)?;
        // Only root may; an ordinary user's trains lose packets if the machine is very busy, and calibration says so.
        let _ = setsockopt(&socket, RcvBufForce, &RECEIVE_BUFFER);
        Ok(Socket { socket })
    }

    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    pub(crate) fn set_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.socket.set_read_timeout(Some(timeout))
    }

    pub(crate) fn send(&self, payload: &[u8], to: SocketAddr) -> io::Result<()> {
        self.socket.send_to(payload, to).map(drop)
    }

    /// Makes the kernel cut every payload sent from now on into datagrams of `bytes`; 0 stops that.
    pub(crate) fn cut_into(&self, bytes: usize) -> io::Result<()> {
        Ok(setsockopt(&self.socket, UdpGsoSegment, &i32::try_from(bytes).unwrap_or(0))?)
    }

    pub(crate) fn receive(&self, buffer: &mut [u8]) -> io::Result<Received> {
        let mut parts = [IoSliceMut::new(buffer)];
        let mut control = nix::cmsg_space!(TimeSpec, u8);
        let message =
            recvmsg::<SockaddrStorage>(self.socket.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::empty())?;
        let (mut stamp, mut congested) = (None, false);
        for control in message.cmsgs()? {
            match control {
                ControlMessageOwned::ScmTimestampns(time) => stamp = Some(time),
                ControlMessageOwned::Ipv4Tos(tos) => congested = Ecn::from_bits(tos) == Ecn::CongestionExperienced,
                _ => {}
            }
        }
        let from = message.address.as_ref().and_then(|address| {
            let v4 = address.as_sockaddr_in().map(|v4| SocketAddr::new(IpAddr::V4(v4.ip()), v4.port()));
            v4.or_else(|| address.as_sockaddr_in6().map(|v6| SocketAddr::new(IpAddr::V6(v6.ip()), v6.port())))
        });
        Ok(Received { len: message.bytes, from, at: stamp.map_or_else(clock::now, monotonic), congested })
    }
}

/// The kernel stamps with the wall clock; the difference between both clocks is taken anew each time, because the wall
/// clock may be set.
fn monotonic(stamp: TimeSpec) -> Time {
    let nanos = |time: TimeSpec| i128::from(time.tv_sec()) * 1_000_000_000 + i128::from(time.tv_nsec());
    let Ok(wall) = clock_gettime(ClockId::CLOCK_REALTIME) else { return clock::now() };
    let now = clock::now();
    let age = u64::try_from(nanos(wall) - nanos(stamp)).unwrap_or(0);
    Time::from_nanos(now.as_nanos().saturating_sub(age))
}

/// What probes learn of the path's MTU is not kept: the kernel would tell the programs that come after them.
fn forget_mtu(socket: &UdpSocket) -> io::Result<()> {
    let (level, option, value) = if socket.local_addr()?.is_ipv6() {
        (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_INTERFACE)
    } else {
        (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_INTERFACE)
    };
    #[expect(unsafe_code, reason = "nix has no such option")]
    // SAFETY: the descriptor is open, and the value is an integer of the size that is given.
    let result = unsafe {
        let size = size_of::<libc::c_int>() as libc::socklen_t;
        libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), size)
    };
    Errno::result(result).map(drop).map_err(io::Error::from)
}
