//! Hosts with several interfaces, and interfaces that change while programs use them.

use crate::network::up;
use crate::{STALL, host};
use netsim_fabric::{LinkConfig, LinkState, Outage};
use netsim_lab::{Engines, Lab, LabError, NatEngine, calibrate_access, check_nat};
use netsim_topology::{Access, Change, Event, Host, Interface, Plan, Router, Topology, nat_preset, plan};
use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpStream, UdpSocket};
use std::time::Duration;

const MS: u64 = 1_000_000;
/// Longer than any of this takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Host `phone` with `wifi` and `mobile` behind routers of those presets, and a public host `b`.
fn phone(wifi: &str, mobile: &str, mobile_up: bool) -> Topology {
    let router = |name: &str, preset: &str| Router::new(name, nat_preset(preset).unwrap(), Access::default());
    let interface = |name: &str, behind: &str, up| Interface {
        name: name.into(),
        behind: Some(behind.into()),
        region: None,
        link: Access::default(),
        up,
    };
    let interfaces = vec![interface("wifi", "home", true), interface("mobile", "carrier", mobile_up)];
    let phone = Host { name: "phone".into(), interfaces };
    let routers = vec![router("home", wifi), router("carrier", mobile)];
    Topology { routers, hosts: vec![phone, host("b", None, LinkConfig::default())], ..Topology::default() }
}

fn switch(interface: &str, up: bool) -> Change {
    Change::Interface { host: "phone".into(), interface: interface.into(), up }
}

/// The address under which the internet sees what leaves by that interface.
fn seen(plan: &Plan, interface: &str) -> IpAddr {
    let router = if interface == "wifi" { "home" } else { "carrier" };
    let own = plan.addresses.interface("phone", interface)[0];
    plan.addresses.external(router).filter(|_| !is_public(own)).map_or(own, IpAddr::V4)
}

fn is_public(addr: IpAddr) -> bool {
    matches!(addr, IpAddr::V4(v4) if v4.octets()[0] == 198)
}

/// Who a datagram from `socket` seems to come from at `listener`.
fn source(socket: &UdpSocket, listener: &UdpSocket) -> IpAddr {
    try_source(socket, listener).unwrap()
}

/// The same, if it arrives.
fn try_source(socket: &UdpSocket, listener: &UdpSocket) -> Option<IpAddr> {
    socket.send_to(b"hello", listener.local_addr().unwrap()).ok()?;
    let mut buffer = [0; 16];
    let (len, from) = listener.recv_from(&mut buffer).ok()?;
    assert_eq!(&buffer[..len], b"hello");
    listener.send_to(b"answer", from).unwrap();
    let (len, _) = socket.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..len], b"answer");
    Some(from.ip())
}

fn socket(lab: &Lab, on: &str, at: IpAddr) -> UdpSocket {
    let socket = lab.host(on).unwrap().run(|| UdpSocket::bind((at, 0))).unwrap().unwrap();
    socket.set_read_timeout(Some(STALL)).unwrap();
    socket
}

const ANY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// What the kernel of a host holds of addresses and routes, in all tables.
fn kernel(lab: &Lab, on: &str) -> String {
    let files = ["fib_trie", "route", "if_inet6", "ipv6_route"];
    let read = |name: &str| fs::read_to_string(format!("/proc/thread-self/net/{name}")).unwrap_or_default();
    let texts = lab.host(on).unwrap().run(|| files.iter().map(|name| read(name)).collect::<Vec<_>>()).unwrap();
    // The order in which IPv6 keeps its lines is not the same, and a table that had a route once stays, with none but this.
    let empty_table = |line: &String| line.starts_with("00000000000000000000000000000000 00") && line.ends_with(" lo");
    let mut lines: Vec<String> = texts.join("\n").lines().map(stable).filter(|line| !empty_table(line)).collect();
    lines.sort_unstable();
    lines.join("\n")
}

/// A line of `/proc/net` without what counts use.
fn stable(line: &str) -> String {
    let fields: Vec<&str> = line.split_whitespace().collect();
    match fields[..] {
        // Destination, source, next hop with their lengths, metric, references, use, flags, device (`ipv6_route`).
        [dst, len, src, src_len, hop, metric, _, _, flags, device] if hop.len() == 32 => {
            [dst, len, src, src_len, hop, metric, flags, device].join(" ")
        }
        _ => fields.join(" "),
    }
}

/// An unbound socket goes on by the other interface, with that one's address; a bound one stays where its address is.
pub(crate) fn sockets_leave_by_the_interface_of_their_address() {
    for (wifi, mobile) in [("home", "cgnat"), ("no-nat", "home"), ("no-nat", "no-nat")] {
        let (plan, lab) = up(&phone(wifi, mobile, true), 1);
        let b = socket(&lab, "b", ANY);
        let listener = socket(&lab, "b", lab.host("b").unwrap().addresses()[0]);
        let free = socket(&lab, "phone", ANY);
        let [by_wifi, by_mobile] =
            ["wifi", "mobile"].map(|name| socket(&lab, "phone", plan.addresses.interface("phone", name)[0]));
        drop(b);
        assert_eq!(source(&free, &listener), seen(&plan, "wifi"), "{wifi}, {mobile}: the preferred one");
        assert_eq!(source(&by_mobile, &listener), seen(&plan, "mobile"), "{wifi}, {mobile}: bound");
        assert_eq!(source(&by_wifi, &listener), seen(&plan, "wifi"), "{wifi}, {mobile}: bound");
        lab.change(&switch("wifi", false)).unwrap();
        assert_eq!(source(&free, &listener), seen(&plan, "mobile"), "{wifi}, {mobile}: after the switch");
        assert!(by_wifi.send_to(b"lost", listener.local_addr().unwrap()).is_err(), "its address is gone");
        lab.change(&switch("wifi", true)).unwrap();
        assert_eq!(source(&free, &listener), seen(&plan, "wifi"), "{wifi}, {mobile}: and back");
        assert_eq!(source(&by_wifi, &listener), seen(&plan, "wifi"), "{wifi}, {mobile}: and back");
        assert_eq!(source(&by_mobile, &listener), seen(&plan, "mobile"), "{wifi}, {mobile}: all the time");
    }
}

/// The same in IPv6, whose rules and tables are others.
pub(crate) fn ipv6_sockets_do_too() {
    let (plan, lab) = up(&phone("no-nat", "no-nat", true), 1);
    let v6 = |addresses: &[IpAddr]| *addresses.iter().find(|addr| addr.is_ipv6()).unwrap();
    let [wifi, mobile] = ["wifi", "mobile"].map(|name| v6(plan.addresses.interface("phone", name)));
    let listener = socket(&lab, "b", v6(&plan.addresses.hosts["b"]));
    let any = "::".parse().unwrap();
    let (free, bound) = (socket(&lab, "phone", any), socket(&lab, "phone", mobile));
    assert_eq!((source(&free, &listener), source(&bound, &listener)), (wifi, mobile));
    lab.change(&switch("wifi", false)).unwrap();
    assert_eq!((source(&free, &listener), source(&bound, &listener)), (mobile, mobile));
    lab.restart(2).unwrap();
    assert_eq!((source(&free, &listener), source(&bound, &listener)), (wifi, mobile));
}

/// An event at its time: what comes for the old interface is dropped by name, not as the emulator's fault.
pub(crate) fn what_comes_for_a_lost_interface_is_dropped_by_name() {
    let (plan, lab) = up(&phone("no-nat", "home", true), 1);
    let listener = socket(&lab, "b", lab.host("b").unwrap().addresses()[0]);
    lab.play(1, &[Event { at_ns: 0, change: switch("wifi", false) }]).unwrap();
    let free = socket(&lab, "phone", ANY);
    // The kernel takes a moment; what it sends by Wi-Fi until then is lost.
    while try_source(&free, &listener) != Some(seen(&plan, "mobile")) {}
    let old = plan.addresses.interface("phone", "wifi")[0];
    for _ in 0..10 {
        listener.send_to(b"too late", (old, 9)).unwrap();
    }
    assert_eq!(source(&free, &listener), seen(&plan, "mobile"), "sent after them");
    let snapshot = lab.snapshot().unwrap();
    let report =
        lab.link_reports(&snapshot).into_iter().find(|link| link.link == "phone.wifi.link" && link.direction == "down");
    assert_eq!(report.unwrap().dropped, [("interface_down".to_owned(), 10)].into());
    assert_eq!(lab.fidelity(&snapshot).unwrap().unintended_drops, [].into());
    assert!(lab.flows(&snapshot, lab.host("phone").unwrap()) >= 1);
}

/// A connection belongs to its addresses: it stalls, and goes on when its own is back.
pub(crate) fn tcp_waits_for_its_address() {
    let (plan, lab) = up(&phone("home", "cgnat", true), 1);
    let listener = lab.host("b").unwrap().tcp_listener(0).unwrap();
    let target = listener.local_addr().unwrap();
    let mut phone = lab.host("phone").unwrap().run(|| TcpStream::connect(target)).unwrap().unwrap();
    let (mut b, from) = listener.accept().unwrap();
    assert_eq!(from.ip(), seen(&plan, "wifi"));
    assert_eq!(phone.local_addr().unwrap().ip(), plan.addresses.interface("phone", "wifi")[0]);
    let mut buffer = [0; 8];
    phone.write_all(b"before").unwrap();
    assert_eq!(b.read(&mut buffer).unwrap(), 6);
    lab.change(&switch("wifi", false)).unwrap();
    phone.write_all(b"during").unwrap();
    b.set_read_timeout(Some(STALL)).unwrap();
    assert!(b.read(&mut buffer).is_err(), "nothing comes, although mobile is up");
    lab.change(&switch("wifi", true)).unwrap();
    b.set_read_timeout(Some(PATIENCE)).unwrap();
    b.read_exact(&mut buffer[..6]).unwrap();
    assert_eq!(&buffer[..6], b"during");
    phone.set_read_timeout(Some(PATIENCE)).unwrap();
    b.write_all(b"after").unwrap();
    assert_eq!(phone.read(&mut buffer).unwrap(), 5);
}

/// Whatever events left behind, a restart starts from the first state; also one that was down then.
pub(crate) fn a_restart_brings_interfaces_back() {
    for mobile_up in [true, false] {
        let (plan, lab) = up(&phone("home", "no-nat", mobile_up), 1);
        let (before, others) = (kernel(&lab, "phone"), kernel(&lab, "b"));
        let addresses = plan.addresses.clone().renumber_host("phone", "wifi").unwrap();
        let readdress = Change::Readdress { host: "phone".into(), interface: "wifi".into(), addresses };
        let mine = |at_ms: u64, change: &Change| Event { at_ns: at_ms * MS, change: change.clone() };
        let rows: [&[Event]; 5] = [
            &[mine(0, &switch("wifi", false))],
            &[mine(0, &switch("mobile", !mobile_up)), mine(0, &readdress)],
            &[mine(0, &switch("wifi", false)), mine(0, &readdress), mine(0, &switch("wifi", true))],
            &[mine(0, &switch("wifi", false)), mine(0, &switch("mobile", false))],
            // Planned, and never done.
            &[mine(3_600_000, &switch("wifi", false))],
        ];
        for (n, events) in rows.into_iter().enumerate() {
            lab.play(n as u64, events).unwrap();
            // The same once more now, when the first time is over: it changes nothing.
            for event in events.iter().filter(|event| event.at_ns == 0) {
                lab.change(&event.change).unwrap();
            }
            assert_eq!(n < 4, kernel(&lab, "phone") != before, "row {n} changes something");
            lab.restart(n as u64).unwrap();
            assert_eq!(kernel(&lab, "phone"), before, "row {n}, mobile up: {mobile_up}");
        }
        assert_eq!(kernel(&lab, "b"), others);
        let listener = socket(&lab, "b", lab.host("b").unwrap().addresses()[0]);
        assert_eq!(source(&socket(&lab, "phone", ANY), &listener), seen(&plan, "wifi"));
    }
}

/// A new lease for a host with one interface, and for one of several.
pub(crate) fn a_renumbered_host_has_its_new_address_alone() {
    for (name, interface, topology) in [
        ("phone", "mobile", phone("home", "no-nat", true)),
        ("b", "net0", phone("home", "no-nat", true)),
        ("phone", "wifi", phone("no-nat", "no-nat", true)),
    ] {
        let (plan, lab) = up(&topology, 1);
        let other = if name == "b" { "phone" } else { "b" };
        let old = plan.addresses.interface(name, interface).to_vec();
        let new = plan.addresses.clone().renumber_host(name, interface).unwrap();
        assert!(old.len() == 2 && new.len() == 2, "{old:?} {new:?}");
        // What is sent to the address that nobody has comes first, so it would be heard first.
        let check = |wanted: &[IpAddr], unwanted: &[IpAddr], when: &str| {
            // From behind a NAT without IPv6, only IPv4 goes out.
            let families = if other == "phone" { 1 } else { 2 };
            for (wanted, unwanted) in wanted.iter().zip(unwanted).take(families) {
                let any = if wanted.is_ipv4() { ANY } else { "::".parse().unwrap() };
                let inside = socket(&lab, name, any);
                let port = inside.local_addr().unwrap().port();
                for (at, what) in [(unwanted, b"unwanted"), (wanted, b"expected")] {
                    socket(&lab, other, any).send_to(what, (*at, port)).unwrap();
                }
                let mut buffer = [0; 8];
                inside.recv(&mut buffer).unwrap();
                assert_eq!(&buffer, b"expected", "{name} at {wanted} and not {unwanted}, {when}");
            }
        };
        check(&old, &new, "at first");
        let (host, interface) = (name.to_owned(), interface.to_owned());
        lab.change(&Change::Readdress { host, interface, addresses: new.clone() }).unwrap();
        check(&new, &old, "renumbered");
        lab.restart(1).unwrap();
        check(&old, &new, "restarted");
    }
}

/// The engines that are not the fabric's can do it, or say that they cannot.
pub(crate) fn kernels_let_hosts_switch_and_not_move() {
    let topology = phone("linux", "linux", true);
    let plan = plan(&topology).unwrap();
    let lab = Lab::up_with(&plan, 1, Engines { nat: NatEngine::Nftables, ..crate::engines() }).unwrap();
    let listener = socket(&lab, "b", lab.host("b").unwrap().addresses()[0]);
    let free = socket(&lab, "phone", ANY);
    assert_eq!(source(&free, &listener), seen(&plan, "wifi"));
    lab.change(&switch("wifi", false)).unwrap();
    assert_eq!(source(&free, &listener), seen(&plan, "mobile"));
    let (host, interface) = ("phone".into(), "mobile".into());
    let change = Change::Readdress { host, interface, addresses: vec!["100.64.0.99".parse().unwrap()] };
    let error = lab.change(&change).unwrap_err();
    assert!(matches!(error, LabError::KernelRouter { .. }), "{error}");
}

/// Names are known by the interface used at first, others by theirs; and what is not there is named.
pub(crate) fn interfaces_have_names() {
    let (plan, lab) = up(&phone("no-nat", "no-nat", true), 1);
    let asked = |name: &str| {
        let mut command = std::process::Command::new("getent");
        let (mut reader, writer) = std::io::pipe().unwrap();
        command.args(["ahostsv4", name]).stdout(writer);
        lab.host("b").unwrap().run_command(&mut command).unwrap();
        drop(command);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        text.split_whitespace().next().unwrap_or_default().to_owned()
    };
    for (name, interface) in [("phone", "wifi"), ("wifi.phone", "wifi"), ("mobile.phone.lab.internal", "mobile")] {
        assert_eq!(asked(name), plan.addresses.interface("phone", interface)[0].to_string(), "{name}");
    }
    assert_eq!(asked("lan.phone.lab.internal"), "");
    assert_eq!(lab.host("phone").unwrap().devices(), ["wifi", "mobile"]);
    let error = lab.change(&switch("wlan", false)).unwrap_err();
    assert_eq!(error.to_string(), "host `phone` has no interface `wlan`; it has: wifi, mobile");
}

/// What is measured before a run is the way that is used at first.
pub(crate) fn the_first_way_is_the_one_that_is_measured() {
    for (wifi_up, asked) in [(true, "home"), (false, "cgnat")] {
        let mut topology = phone("home", "cgnat", true);
        topology.hosts[0].interfaces[0].up = wifi_up;
        let (plan, lab) = up(&topology, 1);
        assert_eq!(lab.host("phone").unwrap().addresses(), plan.addresses.hosts["phone"], "{asked}");
        let check = check_nat(&lab, &topology, "phone").unwrap().unwrap();
        assert_eq!(check.got, check.asked, "{asked}");
        let paths = calibrate_access(&lab, &topology, "phone", "b").unwrap();
        assert!(paths.iter().all(|path| path.loss.sent > 0 && path.loss.lost == 0), "{asked}: {paths:?}");
    }
}

/// A link can be down and its interface up: both are asked.
pub(crate) fn links_and_interfaces_are_two_things() {
    let (plan, lab) = up(&phone("home", "home", true), 1);
    let listener = socket(&lab, "b", lab.host("b").unwrap().addresses()[0]);
    let free = socket(&lab, "phone", ANY);
    let name = netsim_topology::LinkName { link: "phone.wifi.link".into(), direction: netsim_topology::Direction::Up };
    let down = LinkConfig { state: LinkState::Down(Outage::Drop), ..LinkConfig::default() };
    lab.change(&Change::Link { name, config: Box::new(down) }).unwrap();
    free.send_to(b"lost", listener.local_addr().unwrap()).unwrap();
    assert!(listener.recv(&mut [0; 8]).is_err(), "nobody told the host");
    lab.change(&switch("wifi", false)).unwrap();
    assert_eq!(source(&free, &listener), seen(&plan, "mobile"));
}
