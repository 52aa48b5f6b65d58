//! Classifies what lies between a host and the internet in RFC 4787's terms, by asking the network's STUN server with
//! real packets (RFC 5780).

use crate::calibrate::CalibrateError;
use crate::lab::{Host, Lab};
use longhaul_record::{Dependence, Hairpinned, NatBehaviour, NatCheck};
use netsim_fabric::{Filtering, LinkConfig, Mapping};
use netsim_services::behaviour::{self, Behaviour, BehaviourError, Client, Socket};
use netsim_services::stun::{self, Answer, Change};
use netsim_topology::{
    Change as NetworkChange, Direction, Discovery, Found, LinkName, Router, Topology, Turned, discovery,
};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

/// How long to wait for an answer, and how often to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Longer than a packet takes there and back, on a busy machine too: an answer that comes later is none.
    pub wait: Duration,
    /// More than once where packets are lost.
    pub tries: u32,
}

impl Default for Patience {
    /// A quarter of a second, three times.
    fn default() -> Patience {
        Patience { wait: Duration::from_millis(250), tries: 3 }
    }
}

/// Classifies the way from `host` to the internet, with the STUN server whose primary endpoint is `server`.
pub fn classify(host: &Host, server: SocketAddr, patience: Patience) -> Result<Behaviour, BehaviourError<io::Error>> {
    let mut prober = Prober::new(host, server, patience).map_err(BehaviourError::Client)?;
    // A router that hairpins with the internal source sends a host its own address, which kernels do not believe.
    believe_own_address(host, true).map_err(BehaviourError::Client)?;
    let behaviour = behaviour::classify(&mut prober, server);
    believe_own_address(host, false).map_err(BehaviourError::Client)?;
    behaviour
}

/// Compares what lies in front of host `name` with what its routers were asked to do; `None` where nothing is.
///
/// It is the routers that are asked about, so every link is perfect meanwhile, and until the next restart: one question
/// suffices, and an answer that has not come soon will not come.
pub fn check_nat(lab: &Lab, topology: &Topology, name: &str) -> Result<Option<NatCheck>, CalibrateError> {
    const PATIENCE: Patience = Patience { wait: Duration::from_millis(150), tries: 1 };
    let Some(asked) = discovery(topology, name) else { return Ok(None) };
    let own = topology.hosts.iter().find(|host| host.name == name);
    let own = own.and_then(|host| Some(host.link_name(host.primary()?)));
    for link in topology.routers.iter().map(Router::link_name).chain(own) {
        for direction in [Direction::Up, Direction::Down] {
            let name = LinkName { link: link.clone(), direction };
            lab.change(&NetworkChange::Link { name, config: Box::new(LinkConfig::default()) })?;
        }
    }
    let host = lab.host(name)?;
    let v6 = host.addresses().first().is_some_and(std::net::IpAddr::is_ipv6);
    let Some(server) = lab.stun_server(v6) else { return Ok(None) };
    let got = match classify(host, server, PATIENCE) {
        Ok(behaviour) => Some(record_of(&behaviour)),
        Err(BehaviourError::Silent { .. } | BehaviourError::OneAddress { .. }) => None,
        Err(BehaviourError::Client(source)) => return Err(CalibrateError::Classify { host: name.to_owned(), source }),
    };
    let asked = match asked {
        Discovery::Silence => None,
        Discovery::Found(found) => Some(asked_of(found)),
    };
    Ok(Some(NatCheck { host: name.to_owned(), asked, got }))
}

fn asked_of(found: Found) -> NatBehaviour {
    NatBehaviour {
        mapping: found.mapping.map(mapping_record),
        filtering: filtering_record(found.filtering),
        port_preserved: found.port_preserved,
        hairpin: match found.hairpin {
            Turned::Nothing => Hairpinned::Nothing,
            Turned::FromOutside => Hairpinned::FromOutside,
            Turned::FromInside => Hairpinned::FromInside,
        },
    }
}

fn record_of(got: &Behaviour) -> NatBehaviour {
    NatBehaviour {
        mapping: got.mapping.map(mapping_record),
        filtering: filtering_record(got.filtering),
        port_preserved: got.port_preserved,
        hairpin: match got.hairpin {
            behaviour::Hairpinned::Nothing => Hairpinned::Nothing,
            behaviour::Hairpinned::FromOutside => Hairpinned::FromOutside,
            behaviour::Hairpinned::FromInside => Hairpinned::FromInside,
        },
    }
}

fn mapping_record(mapping: Mapping) -> Dependence {
    match mapping {
        Mapping::EndpointIndependent => Dependence::EndpointIndependent,
        Mapping::AddressDependent => Dependence::AddressDependent,
        Mapping::AddressAndPortDependent => Dependence::AddressAndPortDependent,
    }
}

fn filtering_record(filtering: Filtering) -> Dependence {
    match filtering {
        Filtering::EndpointIndependent => Dependence::EndpointIndependent,
        Filtering::AddressDependent => Dependence::AddressDependent,
        Filtering::AddressAndPortDependent => Dependence::AddressAndPortDependent,
    }
}

fn believe_own_address(host: &Host, believe: bool) -> io::Result<()> {
    let switch = |device: &String| {
        std::fs::write(format!("/proc/sys/net/ipv4/conf/{device}/accept_local"), if believe { "1" } else { "0" })
    };
    host.run(|| host.devices().iter().try_for_each(switch))?
}

struct Prober {
    sockets: [UdpSocket; 3],
    patience: Patience,
    asked: u128,
}

impl Prober {
    fn new(host: &Host, server: SocketAddr, patience: Patience) -> io::Result<Prober> {
        let fitting = host.addresses().iter().find(|addr| addr.is_ipv4() == server.is_ipv4());
        let address = *fitting.ok_or(io::ErrorKind::AddrNotAvailable)?;
        let socket = || -> io::Result<UdpSocket> {
            let socket = host.run(|| UdpSocket::bind((address, 0)))??;
            socket.set_read_timeout(Some(patience.wait))?;
            Ok(socket)
        };
        Ok(Prober { sockets: [socket()?, socket()?, socket()?], patience, asked: 0 })
    }

    fn socket(&self, socket: Socket) -> &UdpSocket {
        &self.sockets[socket as usize]
    }

    /// What arrives at a socket and is accepted, within the time an answer may take.
    fn await_answer<T>(
        &self,
        socket: Socket,
        accept: impl Fn(&[u8], SocketAddr) -> Option<T>,
    ) -> io::Result<Option<T>> {
        let deadline = crate::clock::now() + self.patience.wait.as_nanos() as u64;
        let mut buffer = [0; 1500];
        while crate::clock::now() < deadline {
            match self.socket(socket).recv_from(&mut buffer) {
                Ok((len, from)) => {
                    if let Some(accepted) = accept(&buffer[..len], from) {
                        return Ok(Some(accepted));
                    }
                }
                // Nothing came, or an ICMP error did: both are no answer.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Ok(None),
            }
        }
        Ok(None)
    }
}

impl Client for Prober {
    type Error = io::Error;

    fn local(&self, socket: Socket) -> SocketAddr {
        // The socket is bound, see `new`.
        self.socket(socket).local_addr().unwrap_or_else(|_| SocketAddr::from(([0, 0, 0, 0], 0)))
    }

    fn ask(&mut self, socket: Socket, to: SocketAddr, change: Change) -> io::Result<Option<Answer>> {
        for _ in 0..self.patience.tries {
            self.asked += 1;
            let transaction = self.asked;
            // A host's kernel may refuse to send after an ICMP error; the next try goes out.
            let _ = self.socket(socket).send_to(&stun::request(transaction, change), to);
            let accept = |bytes: &[u8], _| stun::read_answer(bytes).filter(|answer| answer.transaction == transaction);
            if let Some(answer) = self.await_answer(socket, accept)? {
                return Ok(Some(answer));
            }
        }
        Ok(None)
    }

    fn hairpin(&mut self, to: SocketAddr, opening: SocketAddr) -> io::Result<Option<SocketAddr>> {
        const WORDS: &[u8] = b"longhaul hairpin";
        for _ in 0..self.patience.tries {
            let _ = self.socket(Socket::Mapping).send_to(b"longhaul opening", opening);
            let _ = self.socket(Socket::Hairpin).send_to(WORDS, to);
            let accept = |bytes: &[u8], from| (bytes == WORDS).then_some(from);
            if let Some(from) = self.await_answer(Socket::Mapping, accept)? {
                return Ok(Some(from));
            }
        }
        Ok(None)
    }
}
