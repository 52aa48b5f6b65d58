//! The servers of a network, on real sockets in namespaces of their own: STUN, DNS, NAT-PMP, PCP and UPnP.
//!
//! What they say is decided by [`netsim_services`]; here it is only carried. One thread serves all sockets of a
//! namespace. Connections are short and come one after the other.

mod port_mapping;

use crate::engine::Handle;
use crate::netns::NetNs;
use netsim_fabric::NodeId;
use netsim_services::dns::{self, Zone};
use netsim_services::stun;
use netsim_topology::Service;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::EventFd;
use port_mapping::PortMapping;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// Running servers. They end when dropped.
#[derive(Debug)]
pub(crate) struct Servers {
    stop: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
    /// Held for as long as they run.
    _namespace: NetNs,
}

/// What servers are to do, and for whom.
pub(crate) struct Job<'a> {
    /// Their addresses; those of the internet's servers come in pairs.
    pub(crate) addresses: &'a [IpAddr],
    pub(crate) services: &'a [Service],
    /// The names of the network's hosts.
    pub(crate) zone: Zone,
    /// The router they belong to, if any.
    pub(crate) router: Option<NodeId>,
}

impl Servers {
    /// Starts them in `namespace`.
    pub(crate) fn start(namespace: NetNs, job: &Job<'_>, engine: &Handle) -> io::Result<Servers> {
        let desks = namespace.run(|| open(job, engine))??;
        let stop = Arc::new(EventFd::new()?);
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("servers".into()).spawn(move || serve(desks, &stopped))?;
        Ok(Servers { stop, thread: Some(thread), _namespace: namespace })
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        let told = self.stop.write(1).is_ok();
        if let Some(thread) = self.thread.take().filter(|_| told) {
            let _ = thread.join();
        }
    }
}

/// Answers a datagram from a client, through the socket it came to.
type AnswerDatagram = Box<dyn FnMut(&UdpSocket, &[u8], SocketAddr) + Send>;
type AnswerConnection = Box<dyn FnMut(TcpStream) + Send>;

/// A socket and what answers on it.
enum Desk {
    Udp(UdpSocket, AnswerDatagram),
    Tcp(TcpListener, AnswerConnection),
}

impl AsFd for Desk {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Desk::Udp(socket, _) => socket.as_fd(),
            Desk::Tcp(listener, _) => listener.as_fd(),
        }
    }
}

fn open(job: &Job<'_>, engine: &Handle) -> io::Result<Vec<Desk>> {
    let mut desks = Vec::new();
    for service in job.services {
        match service {
            Service::Stun => desks.extend(stun_desks(job.addresses)?),
            Service::Dns { dns64 } => {
                desks.extend(dns_desks(job.addresses, &Zone { dns64: *dns64, ..job.zone.clone() })?);
            }
            Service::PortMapping => {
                let inside =
                    job.addresses.iter().find_map(|addr| if let IpAddr::V4(v4) = addr { Some(*v4) } else { None });
                if let (Some(inside), Some(router)) = (inside, job.router) {
                    desks.extend(PortMapping::new(engine.clone(), router).desks(inside)?);
                }
            }
        }
    }
    Ok(desks)
}

/// How long a client may take to say what it wants, and to hear the answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// The largest datagram.
const MAX_DATAGRAM: usize = 65_536;

fn serve(mut desks: Vec<Desk>, stop: &EventFd) {
    let mut buffer = vec![0; MAX_DATAGRAM];
    loop {
        let mut waiting: Vec<PollFd<'_>> =
            desks.iter().map(|desk| PollFd::new(desk.as_fd(), PollFlags::POLLIN)).collect();
        waiting.push(PollFd::new(stop.as_fd(), PollFlags::POLLIN));
        if poll(&mut waiting, PollTimeout::NONE).is_err() {
            continue;
        }
        let ready: Vec<bool> = waiting.iter().map(|waiting| waiting.any().unwrap_or(false)).collect();
        if ready.last() == Some(&true) {
            return;
        }
        for (desk, _) in desks.iter_mut().zip(ready).filter(|(_, ready)| *ready) {
            match desk {
                Desk::Udp(socket, answer) => {
                    if let Ok((len, client)) = socket.recv_from(&mut buffer) {
                        answer(socket, &buffer[..len], client);
                    }
                }
                Desk::Tcp(listener, answer) => {
                    if let Ok((stream, _)) = listener.accept() {
                        let patient = stream.set_read_timeout(Some(PATIENCE));
                        if patient.and_then(|()| stream.set_write_timeout(Some(PATIENCE))).is_ok() {
                            answer(stream);
                        }
                    }
                }
            }
        }
    }
}

/// A UDP socket; one whose packet is gone by the time it is read must not keep the others waiting.
fn udp(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// One desk for each endpoint of a server per family. Each can answer from all of them.
fn stun_desks(addresses: &[IpAddr]) -> io::Result<Vec<Desk>> {
    let mut desks = Vec::new();
    for v6 in [false, true] {
        let family: Vec<IpAddr> = addresses.iter().copied().filter(|addr| addr.is_ipv6() == v6).collect();
        let [primary, alternate] = family[..] else { continue };
        let server = stun::Server {
            primary: SocketAddr::new(primary, stun::PORT),
            alternate: SocketAddr::new(alternate, stun::PORT + 1),
        };
        let sockets: Vec<(SocketAddr, UdpSocket)> =
            server.endpoints().into_iter().map(|at| Ok((at, udp(at)?))).collect::<io::Result<_>>()?;
        for (here, socket) in &sockets {
            let here = *here;
            let others =
                sockets.iter().map(|(at, socket)| Ok((*at, socket.try_clone()?))).collect::<io::Result<Vec<_>>>()?;
            let answer = move |_: &UdpSocket, request: &[u8], client: SocketAddr| {
                let Some(reply) = server.answer(request, client, here) else { return };
                if let Some((_, from)) = others.iter().find(|(at, _)| *at == reply.from) {
                    // A client that is gone needs no answer.
                    let _ = from.send_to(&reply.bytes, client);
                }
            };
            desks.push(Desk::Udp(socket.try_clone()?, Box::new(answer)));
        }
    }
    Ok(desks)
}

/// Answers by UDP are cut at this length (RFC 1035, section 4.2.1).
const DNS_BY_UDP: usize = 512;

fn dns_desks(addresses: &[IpAddr], zone: &Zone) -> io::Result<Vec<Desk>> {
    let mut desks = Vec::new();
    for address in addresses {
        let at = SocketAddr::new(*address, dns::PORT);
        let by_udp = zone.clone();
        let answer = move |socket: &UdpSocket, query: &[u8], client: SocketAddr| {
            if let Some(answer) = by_udp.answer(query, DNS_BY_UDP) {
                let _ = socket.send_to(&answer, client);
            }
        };
        desks.push(Desk::Udp(udp(at)?, Box::new(answer)));
        let by_tcp = zone.clone();
        let answer = move |stream: TcpStream| {
            // A client that leaves, or says nonsense, needs no answer.
            let _ = answer_by_tcp(&by_tcp, stream);
        };
        desks.push(Desk::Tcp(TcpListener::bind(at)?, Box::new(answer)));
    }
    Ok(desks)
}

/// Messages by TCP have their length in front (RFC 1035, section 4.2.2).
fn answer_by_tcp(zone: &Zone, mut stream: TcpStream) -> io::Result<()> {
    let mut len = [0; 2];
    stream.read_exact(&mut len)?;
    let mut query = vec![0; usize::from(u16::from_be_bytes(len))];
    stream.read_exact(&mut query)?;
    let Some(answer) = zone.answer(&query, usize::from(u16::MAX)) else { return Ok(()) };
    let len = u16::try_from(answer.len()).map_err(io::Error::other)?;
    stream.write_all(&[&len.to_be_bytes()[..], &answer].concat())
}
