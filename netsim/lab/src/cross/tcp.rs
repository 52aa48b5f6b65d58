//! A TCP flow that sends as fast as it may.

use super::{Clock, addresses, drain, not_open, open_until_ns, rate_bps, reachable, stop_ns};
use crate::lab::Host;
use longhaul_record::CrossReport;
use netsim_topology::{Cross, Opening};
use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, SockaddrStorage, bind, connect, getsockopt, recv, setsockopt, socket,
    sockopt,
};
use std::ffi::OsString;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// Sockets of a flow that is not open yet.
#[derive(Debug)]
pub(super) struct TcpFlow {
    listener: TcpListener,
    opener: OwnedFd,
    target: SocketAddr,
    sender_opens: bool,
}

impl TcpFlow {
    /// `hosts`: sender, receiver; `ports`: of the side that listens, of the side that opens.
    pub(super) fn open(
        hosts: [&Host; 2],
        ports: [u16; 2],
        opening: Opening,
        congestion: Option<&str>,
    ) -> io::Result<TcpFlow> {
        let sender_opens = opening != Opening::Receiver;
        let [from, to] = addresses(hosts)?;
        let (opens, listens) =
            if sender_opens { ((hosts[0], from), (hosts[1], to)) } else { ((hosts[1], to), (hosts[0], from)) };
        let listener = listens.0.run(|| TcpListener::bind((listens.1, ports[0])))??;
        listener.set_nonblocking(true)?;
        let opener = opens.0.run(|| bound(SocketAddr::new(opens.1, ports[1])))??;
        if let Some(name) = congestion {
            // What a listener has, its connections have. The receiver's own choice matters to nobody.
            setsockopt(&listener, sockopt::TcpCongestion, &OsString::from(name))?;
            setsockopt(&opener, sockopt::TcpCongestion, &OsString::from(name))?;
        }
        let target = reachable(opens.1, SocketAddr::new(listens.1, ports[0]));
        Ok(TcpFlow { listener, opener, target, sender_opens })
    }

    /// The sender's congestion control.
    pub(super) fn congestion(&self) -> String {
        getsockopt(&self.opener, sockopt::TcpCongestion)
            .map_or_else(|_| String::new(), |name| name.to_string_lossy().into_owned())
    }

    /// Opens the connection and sends until the flow's stop, or the sign to.
    pub(super) fn run(self, flow: &Cross, clock: &Clock, report: &mut CrossReport) -> Result<(), String> {
        let sender_opens = self.sender_opens;
        let connected =
            self.connect(open_until_ns(flow), clock).map_err(|error| format!("could not connect: {error}"))?;
        let Some((opened, accepted)) = connected else { return not_open(flow, clock) };
        let (sender, receiver) = if sender_opens { (opened, accepted) } else { (accepted, opened) };
        let mut pump = Pump { sender, receiver, buffer: vec![0; CHUNK], last_ns: 0 };
        let started_ns = clock.elapsed_ns();
        report.started_ns = Some(started_ns);
        let result = pump.run(stop_ns(flow), clock, report);
        report.stopped_ns = Some(clock.elapsed_ns());
        pump.close(clock, report);
        report.goodput_bps = rate_bps(report.received_bytes, started_ns, pump.last_ns);
        result.map_err(|error| format!("its connection broke: {error}"))
    }

    /// Both ends of the connection; `None` if it did not come about in time.
    fn connect(self, until_ns: u64, clock: &Clock) -> io::Result<Option<(TcpStream, TcpStream)>> {
        match connect(self.opener.as_raw_fd(), &SockaddrStorage::from(self.target)) {
            Ok(()) | Err(Errno::EINPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        let opened = TcpStream::from(self.opener);
        let (mut connected, mut accepted) = (false, None);
        while clock.elapsed_ns() < until_ns {
            let connecting = if connected { PollFlags::empty() } else { PollFlags::POLLOUT };
            let accepting = if accepted.is_some() { PollFlags::empty() } else { PollFlags::POLLIN };
            let woken = clock.wait([(opened.as_fd(), connecting), (self.listener.as_fd(), accepting)], until_ns);
            if woken.stopped {
                return Ok(None);
            }
            if woken.ready[0] {
                if let Some(error) = opened.take_error()? {
                    return Err(error);
                }
                connected = true;
            }
            if woken.ready[1] && accepted.is_none() {
                let (stream, _) = self.listener.accept()?;
                stream.set_nonblocking(true)?;
                accepted = Some(stream);
            }
            if connected && let Some(accepted) = accepted.take() {
                return Ok(Some((opened, accepted)));
            }
        }
        Ok(None)
    }
}

/// A socket that can connect from a port of its own, without waiting.
fn bound(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv6() { AddressFamily::Inet6 } else { AddressFamily::Inet };
    let socket = socket(family, SockType::Stream, SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    bind(socket.as_raw_fd(), &SockaddrStorage::from(address))?;
    Ok(socket)
}

/// So much is written or read at once.
const CHUNK: usize = 256 << 10;

/// An open connection.
struct Pump {
    sender: TcpStream,
    receiver: TcpStream,
    /// Zeros to send, and room for what comes.
    buffer: Vec<u8>,
    /// When the last bytes arrived.
    last_ns: u64,
}

impl Pump {
    fn run(&mut self, stop_ns: u64, clock: &Clock, report: &mut CrossReport) -> io::Result<()> {
        while clock.elapsed_ns() < stop_ns {
            let ends = [(self.sender.as_fd(), PollFlags::POLLOUT), (self.receiver.as_fd(), PollFlags::POLLIN)];
            let woken = clock.wait(ends, stop_ns);
            if woken.stopped {
                break;
            }
            if woken.ready[0] {
                match self.sender.write(&self.buffer) {
                    Ok(sent) => report.sent_bytes += sent as u64,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            }
            if woken.ready[1] && self.receive(clock, report)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }

    /// Takes bytes from the receiver without looking at them; 0 at their end.
    fn receive(&mut self, clock: &Clock, report: &mut CrossReport) -> io::Result<usize> {
        // The kernel drops the bytes instead of copying them, see tcp(7).
        match recv(self.receiver.as_raw_fd(), &mut self.buffer, MsgFlags::MSG_TRUNC) {
            Ok(received) => {
                report.received_bytes += received as u64;
                self.last_ns = clock.elapsed_ns();
                Ok(received)
            }
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(1),
            Err(error) => Err(error.into()),
        }
    }

    /// Resets the connection, so that the kernel sends nothing more, and takes what is still under way.
    fn close(&mut self, clock: &Clock, report: &mut CrossReport) {
        report.lost_packets = retransmissions(&self.sender);
        let abrupt = libc::linger { l_onoff: 1, l_linger: 0 };
        for end in [&self.sender, &self.receiver] {
            // Without it, the kernel would go on for a while.
            let _ = setsockopt(end, sockopt::Linger, &abrupt);
        }
        // The sender's half goes; the descriptor that takes its place is the receiver's.
        if let Ok(receiver) = self.receiver.try_clone() {
            drop(std::mem::replace(&mut self.sender, receiver));
        }
        let Ok(socket) = self.receiver.try_clone() else { return };
        drain(clock, socket.as_fd(), || self.receive(clock, report).is_ok_and(|received| received > 0));
    }
}

/// Segments that a sender sent again.
fn retransmissions(sender: &TcpStream) -> u64 {
    #[expect(unsafe_code, reason = "no safe wrapper exists")]
    // SAFETY: an all-zero `tcp_info` is valid, and the kernel writes at most its given length into it.
    let (answered, info) = unsafe {
        let mut info: libc::tcp_info = std::mem::zeroed();
        let mut len = size_of::<libc::tcp_info>() as libc::socklen_t;
        let fd = sender.as_raw_fd();
        (libc::getsockopt(fd, libc::IPPROTO_TCP, libc::TCP_INFO, (&raw mut info).cast(), &raw mut len) == 0, info)
    };
    if answered { u64::from(info.tcpi_total_retrans) } else { 0 }
}
