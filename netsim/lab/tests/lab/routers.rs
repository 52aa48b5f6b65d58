//! Routers as real kernels meet them: what they say, how they translate, whom they let talk.

use crate::network::up;
use crate::{STALL, host};
use netsim_fabric::LinkConfig;
use netsim_lab::Lab;
use netsim_topology::{Access, Router, Topology, nat_preset};
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};

/// Hosts `a` and `c` behind a router of that preset, `b` in public.
fn behind(preset: &str) -> Topology {
    let wire = LinkConfig::default;
    let router = Router::new("router", nat_preset(preset).unwrap(), Access { up: wire(), down: wire() });
    let hosts = vec![host("a", Some("router"), wire()), host("b", None, wire()), host("c", Some("router"), wire())];
    Topology { routers: vec![router], hosts, ..Topology::default() }
}

/// How host `a` sees an IPv4 address: without IPv4 of its own, through NAT64.
fn seen_from(lab: &Lab, addr: IpAddr) -> IpAddr {
    let has_v4 = lab.host("a").unwrap().addresses().iter().any(IpAddr::is_ipv4);
    if has_v4 { addr } else { netsim_fabric::nat64_from_v4(addr) }
}

/// A datagram to a port nobody listens at comes back as an error that the sender's kernel believes.
pub(crate) fn errors_reach_the_socket_they_are_about() {
    for preset in ["home", "symmetric", "ipv6-only", "ipv6-firewall"] {
        let (plan, lab) = up(&behind(preset), 1);
        let router = plan.addresses.routers["router"].inside[0];
        let public = seen_from(&lab, lab.host("b").unwrap().addresses()[0]);
        for (what, target) in [("the public host", public), ("the router", router)] {
            let socket = lab.host("a").unwrap().udp().unwrap();
            socket.set_read_timeout(Some(STALL)).unwrap();
            socket.connect((target, 9)).unwrap();
            let asked = || {
                socket.send(b"anyone?").unwrap();
                socket.recv(&mut [0; 8]).unwrap_err()
            };
            // A busy machine may lose one of them; it does not lose three.
            let mut errors = (0..3).map(|_| asked());
            let refused = errors.find(|error| error.kind() == ErrorKind::ConnectionRefused);
            let error = refused.unwrap_or_else(asked);
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{preset}, {what}: {error}");
        }
    }
}

/// TCP with super-packets, both ways, between a host without IPv4 and one reached over it.
pub(crate) fn nat64_carries_tcp() {
    let (_, lab) = up(&behind("ipv6-only"), 1);
    let server = lab.host("b").unwrap();
    let listener: TcpListener = server.tcp_listener(0).unwrap();
    let target = listener.local_addr().unwrap();
    let target = SocketAddr::new(seen_from(&lab, target.ip()), target.port());
    assert!(target.is_ipv6());
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut stream, _) = listener.accept().unwrap();
            let mut got = Vec::new();
            stream.read_to_end(&mut got).unwrap();
            stream.write_all(&got).unwrap();
        });
        let mut stream = lab.host("a").unwrap().run(|| TcpStream::connect(target)).unwrap().unwrap();
        stream.write_all(&bytes).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut got = Vec::new();
        stream.read_to_end(&mut got).unwrap();
        assert!(got == bytes, "{} of {} bytes", got.len(), bytes.len());
    });
}

/// mDNS between two hosts behind one router; the kernel's own talk to groups counts for nothing.
pub(crate) fn neighbours_find_each_other() {
    const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
    let (_, lab) = up(&behind("home"), 1);
    let member = |name: &str| -> UdpSocket {
        let host = lab.host(name).unwrap();
        let IpAddr::V4(own) = host.addresses()[0] else { panic!("{name} has no IPv4") };
        let socket = host.run(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 5353))).unwrap().unwrap();
        socket.join_multicast_v4(&GROUP, &own).unwrap();
        socket.set_multicast_loop_v4(false).unwrap();
        socket.set_read_timeout(Some(STALL)).unwrap();
        socket
    };
    let [a, b, c] = ["a", "b", "c"].map(member);
    a.send_to(b"who is there?", (GROUP, 5353)).unwrap();
    let mut buffer = [0; 32];
    let (len, from) = c.recv_from(&mut buffer).unwrap();
    assert_eq!((&buffer[..len], from.ip()), (&b"who is there?"[..], lab.host("a").unwrap().addresses()[0]));
    assert!(b.recv_from(&mut buffer).is_err(), "the internet does not hear it");
    let snapshot = lab.snapshot().unwrap();
    let flows = ["a", "b", "c"].map(|name| snapshot.flows[lab.host(name).unwrap().index()]);
    assert_eq!(flows, [1, 0, 0], "IGMP and MLD are not the subject's");
}
