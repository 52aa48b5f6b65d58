//! Which questions classify a NAT or firewall, and what the answers mean (RFC 5780, section 4).
//!
//! The procedure only asks and compares: how a question travels, and how long to wait for an answer, is up to the
//! [`Client`]. Each part uses local sockets of its own, because every question opens the way for answers to it.

use crate::stun::{Answer, Change};
use netsim_fabric::{Filtering, Mapping};
use std::net::SocketAddr;

/// A local socket: each has another port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Socket {
    /// For the mapping tests; hairpinned packets should reach it.
    Mapping,
    /// For the filtering tests.
    Filtering,
    /// Sends what should be hairpinned.
    Hairpin,
}

/// What carries the questions.
pub trait Client {
    /// Why a question could not be sent. That no answer came is not an error.
    type Error;

    /// The address and port of a local socket.
    fn local(&self, socket: Socket) -> SocketAddr;

    /// Asks the server at `to`, repeatedly if need be. `None`: no answer, however often it was asked.
    fn ask(&mut self, socket: Socket, to: SocketAddr, change: Change) -> Result<Option<Answer>, Self::Error>;

    /// Sends from [`Socket::Hairpin`] to `to`; says from where it arrived at [`Socket::Mapping`], if it did. Before that,
    /// sends from there to `opening`, so that no filter is in the way.
    fn hairpin(&mut self, to: SocketAddr, opening: SocketAddr) -> Result<Option<SocketAddr>, Self::Error>;
}

/// How what lies between a host and the internet behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Behaviour {
    /// Where the host's mapping socket is seen from outside.
    pub external: SocketAddr,
    /// For which destinations a mapping is reused; absent where nothing is translated.
    pub mapping: Option<Mapping>,
    /// Who may answer.
    pub filtering: Filtering,
    /// Whether the external port was the internal one.
    pub port_preserved: bool,
    /// How a packet to the host's own external endpoint comes back.
    pub hairpin: Hairpinned,
}

/// What became of a packet that a host sent to an external endpoint of its own router.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hairpinned {
    /// It did not come back.
    Nothing,
    /// It came back with an external source address (RFC 4787, REQ-9a).
    FromOutside,
    /// It came back with the sender's internal address.
    FromInside,
}

/// Why there is no classification.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BehaviourError<E: std::error::Error + 'static> {
    /// The client's own trouble.
    #[error("cannot ask the STUN server")]
    Client(#[source] E),
    /// The server did not answer the simplest question.
    #[error("the STUN server at {server} does not answer; UDP may be blocked")]
    Silent {
        /// The server.
        server: SocketAddr,
    },
    /// The server has but one address.
    #[error("the STUN server at {server} has no second address, which RFC 5780's tests need")]
    OneAddress {
        /// The server.
        server: SocketAddr,
    },
}

/// Classifies the way between the client and the server whose primary endpoint is `server`.
pub fn classify<C: Client>(client: &mut C, server: SocketAddr) -> Result<Behaviour, BehaviourError<C::Error>>
where
    C::Error: std::error::Error + 'static,
{
    let silent = BehaviourError::Silent { server };
    let here = Change::default();
    let first = client.ask(Socket::Mapping, server, here).map_err(BehaviourError::Client)?.ok_or(silent)?;
    let alternate = first.other.ok_or(BehaviourError::OneAddress { server })?;
    let local = client.local(Socket::Mapping);
    let mapping = if first.mapped == local { None } else { mapping(client, &first, server, alternate)? };
    Ok(Behaviour {
        external: first.mapped,
        mapping,
        filtering: filtering(client, server)?,
        port_preserved: first.mapped.port() == local.port(),
        hairpin: hairpin(client, server, first.mapped)?,
    })
}

/// RFC 5780, section 4.3: tests II and III. A way without answers counts as one with other mappings.
fn mapping<C: Client>(
    client: &mut C,
    first: &Answer,
    server: SocketAddr,
    alternate: SocketAddr,
) -> Result<Option<Mapping>, BehaviourError<C::Error>>
where
    C::Error: std::error::Error + 'static,
{
    let mut ask = |to| client.ask(Socket::Mapping, to, Change::default()).map_err(BehaviourError::Client);
    let other_address = ask(SocketAddr::new(alternate.ip(), server.port()))?.map(|answer| answer.mapped);
    if other_address == Some(first.mapped) {
        return Ok(Some(Mapping::EndpointIndependent));
    }
    let other_port = ask(alternate)?.map(|answer| answer.mapped);
    let same = other_port.is_some() && other_port == other_address;
    Ok(Some(if same { Mapping::AddressDependent } else { Mapping::AddressAndPortDependent }))
}

/// RFC 5780, section 4.4: the server answers from elsewhere.
fn filtering<C: Client>(client: &mut C, server: SocketAddr) -> Result<Filtering, BehaviourError<C::Error>>
where
    C::Error: std::error::Error + 'static,
{
    let mut ask = |ip, port| {
        let answer = client.ask(Socket::Filtering, server, Change { ip, port });
        answer.map(|answer| answer.is_some()).map_err(BehaviourError::Client)
    };
    // The plain question first: it makes the mapping that the others are answered through.
    if !ask(false, false)? {
        return Err(BehaviourError::Silent { server });
    }
    Ok(if ask(true, true)? {
        Filtering::EndpointIndependent
    } else if ask(false, true)? {
        Filtering::AddressDependent
    } else {
        Filtering::AddressAndPortDependent
    })
}

/// RFC 5780, section 4.5, with RFC 4787's question which address is seen.
fn hairpin<C: Client>(
    client: &mut C,
    server: SocketAddr,
    external: SocketAddr,
) -> Result<Hairpinned, BehaviourError<C::Error>>
where
    C::Error: std::error::Error + 'static,
{
    let inside = client.local(Socket::Hairpin);
    let answer = client.ask(Socket::Hairpin, server, Change::default()).map_err(BehaviourError::Client)?;
    let Some(Answer { mapped: opening, .. }) = answer else { return Err(BehaviourError::Silent { server }) };
    Ok(match client.hairpin(external, opening).map_err(BehaviourError::Client)? {
        None => Hairpinned::Nothing,
        Some(from) if from == inside => Hairpinned::FromInside,
        Some(_) => Hairpinned::FromOutside,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;
    use std::net::{IpAddr, Ipv4Addr};

    /// A router on paper: what RFC 4787 says of its terms, and nothing else.
    struct Paper {
        mapping: Option<Mapping>,
        filtering: Filtering,
        hairpin: Hairpinned,
        preserves: bool,
        asked: Vec<(Socket, SocketAddr)>,
    }

    const SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 18, 0, 1)), 3478);
    const ALTERNATE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 18, 0, 2)), 3479);
    const INSIDE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 1, 10));
    const EXTERNAL: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 18, 0, 9));

    impl Paper {
        fn mapped(&self, socket: Socket, to: SocketAddr) -> SocketAddr {
            let local = self.local(socket);
            let offset = match self.mapping {
                None => return local,
                Some(Mapping::EndpointIndependent) => 0,
                Some(Mapping::AddressDependent) => u16::from(to.ip() == ALTERNATE.ip()),
                Some(Mapping::AddressAndPortDependent) => u16::from(to.ip() == ALTERNATE.ip()) * 2 + to.port() % 2,
            };
            SocketAddr::new(EXTERNAL, local.port() + offset + if self.preserves { 0 } else { 100 })
        }
    }

    impl Client for Paper {
        type Error = Infallible;

        fn local(&self, socket: Socket) -> SocketAddr {
            SocketAddr::new(INSIDE, 5000 + 10 * socket as u16)
        }

        fn ask(&mut self, socket: Socket, to: SocketAddr, change: Change) -> Result<Option<Answer>, Infallible> {
            self.asked.push((socket, to));
            let ip = if change.ip { ALTERNATE.ip() } else { to.ip() };
            let from = SocketAddr::new(ip, if change.port { ALTERNATE.port() } else { to.port() });
            let passes =
                self.asked.iter().filter(|(other, _)| *other == socket).any(|(_, sent)| match self.filtering {
                    Filtering::EndpointIndependent => true,
                    Filtering::AddressDependent => sent.ip() == from.ip(),
                    Filtering::AddressAndPortDependent => *sent == from,
                });
            let mapped = self.mapped(socket, to);
            Ok(passes.then_some(Answer { transaction: 0, mapped, other: Some(ALTERNATE) }))
        }

        fn hairpin(&mut self, to: SocketAddr, opening: SocketAddr) -> Result<Option<SocketAddr>, Infallible> {
            assert_eq!(to, self.mapped(Socket::Mapping, SERVER));
            assert_eq!(opening, self.mapped(Socket::Hairpin, SERVER));
            Ok(match self.hairpin {
                Hairpinned::Nothing => None,
                Hairpinned::FromInside => Some(self.local(Socket::Hairpin)),
                Hairpinned::FromOutside => Some(self.mapped(Socket::Hairpin, to)),
            })
        }
    }

    #[test]
    fn every_combination_is_told_apart() {
        use Filtering as F;
        use Mapping as M;
        let mappings =
            [None, Some(M::EndpointIndependent), Some(M::AddressDependent), Some(M::AddressAndPortDependent)];
        for mapping in mappings {
            for filtering in [F::EndpointIndependent, F::AddressDependent, F::AddressAndPortDependent] {
                for hairpin in [Hairpinned::Nothing, Hairpinned::FromInside, Hairpinned::FromOutside] {
                    // Without translation, the own address is no detour.
                    let hairpin = if mapping.is_none() { Hairpinned::FromInside } else { hairpin };
                    let mut paper = Paper { mapping, filtering, hairpin, preserves: true, asked: vec![] };
                    let got = classify(&mut paper, SERVER).unwrap();
                    assert_eq!((got.mapping, got.filtering, got.hairpin), (mapping, filtering, hairpin));
                    // 3478 is even: the first of the paper's endpoint-dependent ports is the internal one.
                    assert!(got.port_preserved);
                }
            }
        }
        let mapping = Some(M::EndpointIndependent);
        let hairpin = Hairpinned::Nothing;
        let mut paper = Paper { mapping, filtering: F::AddressDependent, hairpin, preserves: false, asked: vec![] };
        assert!(!classify(&mut paper, SERVER).unwrap().port_preserved);
    }

    #[test]
    fn silence_is_an_error() {
        struct Deaf;
        impl Client for Deaf {
            type Error = Infallible;
            fn local(&self, _: Socket) -> SocketAddr {
                SERVER
            }
            fn ask(&mut self, _: Socket, _: SocketAddr, _: Change) -> Result<Option<Answer>, Infallible> {
                Ok(None)
            }
            fn hairpin(&mut self, _: SocketAddr, _: SocketAddr) -> Result<Option<SocketAddr>, Infallible> {
                Ok(None)
            }
        }
        assert_eq!(classify(&mut Deaf, SERVER), Err(BehaviourError::Silent { server: SERVER }));
    }
}
