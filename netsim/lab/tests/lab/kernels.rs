//! Routers that are kernels: NAT by nftables.

use crate::{STALL, host};
use netsim_fabric::{Filtering, LinkConfig, Mapping};
use netsim_lab::{Engines, Hairpinned, Lab, LabError, NatEngine, NftablesError, Patience, classify};
use netsim_topology::{Access, Change, Router, Topology, nat_preset, plan};
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};

fn up(topology: &Topology) -> Result<Lab, LabError> {
    Lab::up_with(&plan(topology).unwrap(), 1, Engines { nat: NatEngine::Nftables, ..crate::engines() })
}

/// Host `a` behind a router of that preset, `b` in public.
fn behind(preset: &str) -> Topology {
    let wire = LinkConfig::default;
    let router = Router::new("router", nat_preset(preset).unwrap(), Access::default());
    Topology {
        routers: vec![router],
        hosts: vec![host("a", Some("router"), wire()), host("b", None, wire())],
        ..Topology::default()
    }
}

fn heard(socket: &UdpSocket) -> Option<(Vec<u8>, std::net::SocketAddr)> {
    socket.set_read_timeout(Some(STALL)).unwrap();
    let mut buffer = [0; 64];
    socket.recv_from(&mut buffer).ok().map(|(len, from)| (buffer[..len].to_vec(), from))
}

/// In the words of RFC 4787 Linux is what its preset says.
pub(crate) fn linux_is_what_its_preset_says() {
    let lab = up(&behind("linux")).unwrap();
    let got = classify(lab.host("a").unwrap(), lab.stun_server(false).unwrap(), Patience::default()).unwrap();
    assert_eq!(got.mapping, Some(Mapping::EndpointIndependent), "preserved ports look so: {got:?}");
    assert_eq!(got.filtering, Filtering::AddressAndPortDependent);
    assert_eq!(got.hairpin, Hairpinned::Nothing);
}

/// Answers come in, strangers do not, and after a reboot answers do not either.
pub(crate) fn a_kernel_forgets_at_a_reboot() {
    let lab = up(&behind("linux")).unwrap();
    let (a, b) = (lab.host("a").unwrap().udp().unwrap(), lab.host("b").unwrap().udp().unwrap());
    a.send_to(b"hello", b.local_addr().unwrap()).unwrap();
    let (_, external) = heard(&b).unwrap();
    assert_eq!(external.port(), a.local_addr().unwrap().port(), "ports are kept");
    assert_eq!(Some(external.ip()), lab.addresses().external("router").map(Into::into));
    b.send_to(b"answer", external).unwrap();
    assert_eq!(heard(&a).unwrap().0, b"answer");
    let stranger = lab.host("b").unwrap().udp().unwrap();
    stranger.send_to(b"stranger", external).unwrap();
    assert_eq!(heard(&a), None);
    lab.change(&Change::Reboot { router: "router".into() }).unwrap();
    lab.snapshot().unwrap();
    b.send_to(b"too late", external).unwrap();
    assert_eq!(heard(&a), None);
    a.send_to(b"again", b.local_addr().unwrap()).unwrap();
    assert_eq!(heard(&b).unwrap().0, b"again");
}

/// Super-packets pass a kernel whole, in both families.
pub(crate) fn kernels_carry_tcp() {
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    for (preset, v6) in [("linux", false), ("nat66", true), ("ipv6-firewall", true)] {
        let lab = up(&behind(preset)).unwrap();
        let b = lab.host("b").unwrap();
        let at = *b.addresses().iter().find(|addr| addr.is_ipv6() == v6).unwrap();
        let listener = b.run(|| std::net::TcpListener::bind((at, 0))).unwrap().unwrap();
        let target = listener.local_addr().unwrap();
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
            assert!(got == bytes, "{preset}: {} of {} bytes", got.len(), bytes.len());
        });
    }
}

/// What Linux does otherwise is refused by name.
pub(crate) fn kernels_refuse_what_they_cannot() {
    for (preset, refused) in [
        ("home", "mapping"),
        ("symmetric", "collision"),
        ("full-cone", "mapping"),
        ("corporate", "outbound"),
        ("nptv6", "ipv6"),
        ("ipv6-only", "ipv6"),
    ] {
        let error = up(&behind(preset)).unwrap_err();
        let LabError::Nftables(error) = error else { panic!("{preset}: {error}") };
        let NftablesError::Unsupported { router, key, .. } = *error else { panic!("{preset}: {error}") };
        assert_eq!((router.as_str(), key), ("router", refused), "{preset}");
    }
    for preset in ["linux", "azure", "nat66", "ipv6-firewall", "no-nat"] {
        up(&behind(preset)).unwrap();
    }
}
