#![allow(missing_docs, reason = "tests")]

use netsim_lab::fabric::LinkConfig;
use netsim_lab::testing::in_lab;
use netsim_lab::topology::{Access, Allowed, Expected, Host, Router, Topology, expected, nat_preset};
use std::time::Duration;

netsim_lab::sandboxed!();

/// Two hosts on the public internet, 5 ms apart.
#[test]
fn a_datagram_takes_its_time() {
    let far = Access::both(LinkConfig { delay_ns: 5_000_000, ..LinkConfig::default() });
    let hosts = vec![Host::new("alice", None, Access::default()), Host::new("bob", None, far)];
    in_lab(&Topology { routers: vec![], hosts, ..Topology::default() }, 1, |lab| {
        let [alice, bob] = ["alice", "bob"].map(|name| lab.host(name).unwrap().udp().unwrap());
        let sent = netsim_lab::now();
        alice.send_to(b"hello", bob.local_addr().unwrap()).unwrap();
        let (_, from) = bob.recv_from(&mut [0; 64]).unwrap();
        assert_eq!(from, alice.local_addr().unwrap());
        assert!(netsim_lab::now().nanos_since(sent) >= 5_000_000);
    });
}

/// Two hosts behind home routers punch a hole, as the standard's terms say they can.
#[test]
fn two_homes_can_meet() {
    let router = |name| Router::new(name, nat_preset("home").unwrap(), Access::default());
    let host = |name, router| Host::new(name, Some(router), Access::default());
    let topology = Topology {
        routers: vec![router("home-a"), router("home-b")],
        hosts: vec![host("alice", "home-a"), host("bob", "home-b"), Host::new("hub", None, Access::default())],
        ..Topology::default()
    };
    assert_eq!(expected(&topology, "alice", "bob", Allowed::default()), Some(Expected::Direct));
    in_lab(&topology, 1, |lab| {
        let hub = lab.host("hub").unwrap().udp().unwrap();
        let peers = ["alice", "bob"].map(|name| lab.host(name).unwrap().udp().unwrap());
        let seen = peers.each_ref().map(|peer| {
            peer.send_to(b"where am I?", hub.local_addr().unwrap()).unwrap();
            hub.recv_from(&mut [0; 64]).unwrap().1
        });
        peers[0].send_to(b"opens the way back", seen[1]).unwrap();
        peers[1].set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        peers[1].send_to(b"comes in", seen[0]).unwrap();
        let (_, from) = peers[0].recv_from(&mut [0; 64]).unwrap();
        assert_eq!(from, seen[1]);
    });
}
