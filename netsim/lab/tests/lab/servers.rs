//! The servers of a network, asked by real clients.

use super::network::up;
use crate::host;
use netsim_fabric::{Filtering, Hairpin, LinkConfig, Mapping, NatConfig, Proto};
use netsim_lab::{Behaviour, Hairpinned, Lab, Patience, check_nat, classify};
use netsim_services::port_mapping::{self, Wish, pcp_map_request, read_pcp_map_answer};
use netsim_topology::{Access, Gateway, Ipv6, Router, Topology, link_preset, nat_preset};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::time::Duration;

fn behind(gateway: Gateway) -> Topology {
    let router = Router::new("home", gateway, Access::default());
    let wire = LinkConfig::default;
    Topology {
        routers: vec![router],
        hosts: vec![host("a", Some("home"), wire()), host("b", None, wire())],
        ..Topology::default()
    }
}

fn output(lab: &Lab, on: &str, command: &[&str]) -> String {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut child = Command::new(command[0]);
    child.args(&command[1..]).stdin(Stdio::null()).stdout(writer);
    lab.host(on).unwrap().run_command(&mut child).unwrap();
    drop(child);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    text
}

pub(crate) fn hosts_have_names() {
    let (plan, lab) = up(&behind(Gateway::with_nat(NatConfig::default())), 1);
    let address = plan.addresses.hosts["b"][0].to_string();
    for name in ["b", "b.lab.internal", "B.LAB.internal"] {
        let text = output(&lab, "a", &["getent", "ahostsv4", name]);
        assert!(text.starts_with(&address), "{name}: {text:?}");
    }
    assert_eq!(output(&lab, "a", &["getent", "ahostsv4", "c.lab.internal"]), "");
    // The machine's own file is as it was.
    let there = output(&lab, "a", &["cat", "/etc/resolv.conf"]);
    assert!(there.starts_with("search lab.internal\nnameserver 198.19.255.254\n"), "{there}");
    assert_ne!(std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default(), there);
}

pub(crate) fn ipv6_only_hosts_reach_ipv4_by_name() {
    let gateway = Gateway { ipv6: Ipv6::Nat64, ..Gateway::with_nat(NatConfig::default()) };
    let (plan, lab) = up(&behind(gateway), 1);
    let IpAddr::V4(v4) = plan.addresses.hosts["b"][0] else { panic!("{:?}", plan.addresses) };
    let made_up = netsim_services::dns::embed(v4);
    let (a, b) = (lab.host("a").unwrap(), lab.host("b").unwrap());
    let listener = b.run(|| std::net::TcpListener::bind((v4, 0))).unwrap().unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut stream = a.run(|| TcpStream::connect((made_up, port))).unwrap().unwrap();
    stream.write_all(&[7; 100_000]).unwrap();
    drop(stream);
    let (mut got, mut bytes) = (listener.accept().unwrap().0, Vec::new());
    got.read_to_end(&mut bytes).unwrap();
    assert!(bytes == [7; 100_000], "{} bytes", bytes.len());
}

pub(crate) fn routers_are_classified() {
    use Filtering as F;
    use Mapping as M;
    for (mapping, filtering, hairpin) in [
        // An internal source is a remote like any other: only this filter lets it in.
        (M::EndpointIndependent, F::EndpointIndependent, Hairpin::InternalSource),
        (M::EndpointIndependent, F::AddressDependent, Hairpin::ExternalSource),
        (M::EndpointIndependent, F::AddressAndPortDependent, Hairpin::Off),
        (M::AddressDependent, F::AddressDependent, Hairpin::Off),
        (M::AddressAndPortDependent, F::AddressAndPortDependent, Hairpin::Off),
    ] {
        let nat = NatConfig { mapping, filtering, hairpin, ..NatConfig::default() };
        let (_, lab) = up(&behind(Gateway::with_nat(nat)), 1);
        let server = lab.stun_server(false).unwrap();
        let patience = Patience { tries: 2, ..Patience::default() };
        let got: Behaviour = classify(lab.host("a").unwrap(), server, patience).unwrap();
        let came_back = match hairpin {
            Hairpin::Off => Hairpinned::Nothing,
            Hairpin::ExternalSource => Hairpinned::FromOutside,
            Hairpin::InternalSource => Hairpinned::FromInside,
        };
        assert_eq!((got.mapping, got.filtering, got.hairpin), (Some(mapping), filtering, came_back), "{got:?}");
        let open = classify(lab.host("b").unwrap(), server, patience).unwrap();
        assert_eq!((open.mapping, open.filtering), (None, F::EndpointIndependent), "{open:?}");
    }
}

/// Whatever the links are like: a slow and lossy one is in the way, and in the way again afterwards.
pub(crate) fn routers_are_what_they_were_asked_to_be() {
    for name in ["home", "fritzbox", "symmetric", "cgnat", "udp-blocked", "ipv6-only", "no-nat"] {
        let mut topology = behind(nat_preset(name).unwrap());
        topology.routers[0].uplink = link_preset("satellite-geo").unwrap();
        let (_, lab) = up(&topology, 1);
        let check = check_nat(&lab, &topology, "a").unwrap();
        assert_eq!(check.is_none(), name == "no-nat", "{name}");
        if let Some(check) = check {
            assert_eq!(check.got, check.asked, "{name}");
        }
        assert_eq!(check_nat(&lab, &topology, "b").unwrap(), None);
        // Asked for something else than what is there.
        let other = behind(nat_preset("full-cone").unwrap());
        assert!(check_nat(&lab, &other, "a").unwrap().is_some_and(|check| check.got != check.asked), "{name}");
    }
}

/// A host asks its router for a port, and then anyone can reach it there.
pub(crate) fn ports_are_mapped_on_request() {
    let gateway = Gateway { port_mapping: true, ..Gateway::with_nat(NatConfig::default()) };
    let (plan, lab) = up(&behind(gateway), 1);
    let (a, b) = (lab.host("a").unwrap(), lab.host("b").unwrap().udp().unwrap());
    let inside = a.udp().unwrap();
    inside.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let SocketAddr::V4(internal) = inside.local_addr().unwrap() else { panic!("{inside:?}") };
    let external = plan.addresses.external("home").unwrap();
    let router = Ipv4Addr::new(192, 168, 1, 1);
    let reached = |at: SocketAddrV4, words: &[u8]| {
        b.send_to(words, at).unwrap();
        let mut buffer = [0; 100];
        let len = inside.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..len], words);
    };
    // PCP.
    let wish = Wish { proto: Proto::Udp, internal, external_port: 7001, exact: true, lifetime_s: 60 };
    let asker = a.udp().unwrap();
    let granted = ask(&asker, &pcp_map_request(*internal.ip(), &wish, [1; 12]), router);
    assert_eq!(read_pcp_map_answer(&granted), Some(Ok((SocketAddrV4::new(external, 7001), 60))));
    reached(SocketAddrV4::new(external, 7001), b"by PCP");
    // NAT-PMP says where that is.
    assert_eq!(ask(&asker, &[0, 0], router)[8..12], external.octets());
    // UPnP: the device is found by multicast, and the mapping that is there is in the way of another host's.
    let found = a.udp().unwrap();
    let search = "M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: \"ssdp:discover\"\r\nMX: 1\r\n\
                  ST: upnp:rootdevice\r\n\r\n";
    found.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    found.send_to(search.as_bytes(), "239.255.255.250:1900").unwrap();
    let mut buffer = [0; 1500];
    let len = found.recv(&mut buffer).unwrap();
    let answer = String::from_utf8_lossy(&buffer[..len]);
    assert!(answer.contains("LOCATION: http://192.168.1.1:5000/device.xml"), "{answer}");
    let mut page = String::new();
    let mut stream = a.run(|| TcpStream::connect((router, 5000))).unwrap().unwrap();
    stream.write_all(b"GET /device.xml HTTP/1.1\r\n\r\n").unwrap();
    stream.read_to_string(&mut page).unwrap();
    assert!(page.contains("WANIPConnection:1"), "{page}");
}

fn ask(socket: &UdpSocket, request: &[u8], router: Ipv4Addr) -> Vec<u8> {
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket.send_to(request, (router, port_mapping::PORT)).unwrap();
    let mut buffer = vec![0; 1500];
    let len = socket.recv(&mut buffer).unwrap();
    buffer.truncate(len);
    buffer
}

/// Two hosts behind one router hear each other's multicast; a host elsewhere does not.
pub(crate) fn neighbours_find_each_other() {
    let mut topology = behind(Gateway::with_nat(NatConfig::default()));
    topology.hosts.push(host("c", Some("home"), LinkConfig::default()));
    let (plan, lab) = up(&topology, 1);
    let group = Ipv4Addr::new(224, 0, 0, 251);
    let listen = |name: &str| {
        let host = lab.host(name).unwrap();
        let IpAddr::V4(own) = host.addresses()[0] else { panic!("{name}") };
        let socket = host.run(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 5353))).unwrap().unwrap();
        socket.join_multicast_v4(&group, &own).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        socket
    };
    let (near, far) = (listen("c"), listen("b"));
    let speaker = lab.host("a").unwrap().udp().unwrap();
    speaker.send_to(b"anyone?", (group, 5353)).unwrap();
    let mut buffer = [0; 100];
    let (len, from) = near.recv_from(&mut buffer).unwrap();
    assert_eq!((&buffer[..len], from.ip()), (&b"anyone?"[..], plan.addresses.hosts["a"][0]));
    // What came to `c` has long been dropped on its way to `b`: the fabric is done with it.
    far.set_nonblocking(true).unwrap();
    assert!(far.recv_from(&mut buffer).is_err());
}
