//! A router's NAT-PMP, PCP and UPnP servers.

use super::{Desk, udp};
use crate::clock;
use crate::engine::Handle;
use netsim_fabric::{Endpoint, MapError, NodeId, Proto, Time};
use netsim_services::port_mapping::{self, Refusal, Router, Wish};
use netsim_services::upnp::{self, Gateway, Http};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};

/// The router as its servers know it.
#[derive(Debug, Clone)]
pub(super) struct PortMapping {
    engine: Handle,
    router: NodeId,
    started: Time,
}

impl PortMapping {
    pub(super) fn new(engine: Handle, router: NodeId) -> PortMapping {
        PortMapping { engine, router, started: clock::now() }
    }

    /// The sockets of all three protocols.
    pub(super) fn desks(&self, inside: Ipv4Addr) -> io::Result<Vec<Desk>> {
        Ok(vec![self.pcp(inside)?, self.ssdp(inside)?, self.http(inside)?])
    }

    fn pcp(&self, inside: Ipv4Addr) -> io::Result<Desk> {
        let mut router = self.clone();
        let mut server = port_mapping::Server::default();
        let answer = move |socket: &UdpSocket, request: &[u8], client: SocketAddr| {
            let SocketAddr::V4(client) = client else { return };
            let epoch_s = clock::now().nanos_since(router.started) / 1_000_000_000;
            let epoch_s = u32::try_from(epoch_s).unwrap_or(u32::MAX);
            if let Some(answer) = server.answer(request, client, epoch_s, &mut router) {
                let _ = socket.send_to(&answer, client);
            }
        };
        Ok(Desk::Udp(udp(SocketAddr::new(inside.into(), port_mapping::PORT))?, Box::new(answer)))
    }

    fn ssdp(&self, inside: Ipv4Addr) -> io::Result<Desk> {
        // Bound to any address: what is sent to a group does not come to a socket bound to another address.
        let socket = udp(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), upnp::SSDP.port()))?;
        socket.join_multicast_v4(upnp::SSDP.ip(), &inside)?;
        let answer = move |socket: &UdpSocket, request: &[u8], client: SocketAddr| {
            if let Some(answer) = upnp::answer_search(request, inside) {
                let _ = socket.send_to(&answer, client);
            }
        };
        Ok(Desk::Udp(socket, Box::new(answer)))
    }

    fn http(&self, inside: Ipv4Addr) -> io::Result<Desk> {
        let gateway = Arc::new(Mutex::new(Gateway::default()));
        let router = self.clone();
        let answer = move |stream: TcpStream| {
            let (gateway, mut router) = (Arc::clone(&gateway), router.clone());
            // A slow client must not keep the others from their answers. Each has a few seconds, then it is cut off.
            let talk = move || {
                let _ = converse(stream, &gateway, &mut router);
            };
            let _ = std::thread::Builder::new().name("upnp".into()).spawn(talk);
        };
        Ok(Desk::Tcp(TcpListener::bind((inside, upnp::HTTP_PORT))?, Box::new(answer)))
    }
}

fn converse(mut stream: TcpStream, gateway: &Mutex<Gateway>, router: &mut PortMapping) -> io::Result<()> {
    let IpAddr::V4(client) = stream.peer_addr()?.ip() else { return Ok(()) };
    let mut request = Vec::new();
    let mut part = [0; 4096];
    loop {
        match stream.read(&mut part)? {
            0 => return Ok(()),
            len => request.extend_from_slice(&part[..len]),
        }
        let answer = gateway.lock().unwrap_or_else(PoisonError::into_inner).http(&request, client, router);
        if let Http::Answer(answer) = answer {
            return stream.write_all(&answer);
        }
    }
}

/// A router that has gone away with its network refuses everything.
impl Router for PortMapping {
    fn external(&self) -> Ipv4Addr {
        let router = self.router;
        let addresses = self.engine.with(router, move |fabric, _| fabric.outside_addresses(router)).unwrap_or_default();
        let v4 = addresses.into_iter().find_map(|addr| if let IpAddr::V4(v4) = addr { Some(v4) } else { None });
        v4.unwrap_or(Ipv4Addr::UNSPECIFIED)
    }

    fn map(&mut self, wish: &Wish) -> Result<SocketAddrV4, Refusal> {
        let Wish { proto, internal, external_port, exact, lifetime_s } = *wish;
        let (router, inside) = (self.router, Endpoint::from(SocketAddr::V4(internal)));
        let wanted = (external_port != 0).then_some(external_port);
        let mapped = self.engine.with(router, move |fabric, now| {
            let had =
                fabric.mappings(now, router).iter().any(|mapping| (mapping.proto, mapping.internal) == (proto, inside));
            let mapped = fabric.map_port(now, router, proto, inside, wanted, u64::from(lifetime_s) * 1_000_000_000)?;
            if exact && Some(mapped.port) != wanted {
                if !had {
                    fabric.unmap_port(now, router, proto, inside);
                }
                return Ok(None);
            }
            Ok(Some(mapped))
        });
        match mapped.unwrap_or(Err(MapError::NoNat)) {
            Ok(Some(Endpoint { addr: IpAddr::V4(addr), port })) => Ok(SocketAddrV4::new(addr, port)),
            Ok(_) => Err(Refusal::Taken),
            Err(MapError::Exhausted) => Err(Refusal::Exhausted),
            Err(_) => Err(Refusal::Disabled),
        }
    }

    fn unmap(&mut self, proto: Proto, internal: SocketAddrV4) {
        let (router, inside) = (self.router, Endpoint::from(SocketAddr::V4(internal)));
        let _ = self.engine.with(router, move |fabric, now| {
            if inside.port != 0 {
                fabric.unmap_port(now, router, proto, inside);
                return;
            }
            for mapping in fabric.mappings(now, router) {
                if mapping.proto == proto && mapping.internal.addr == inside.addr {
                    fabric.unmap_port(now, router, proto, mapping.internal);
                }
            }
        });
    }
}
