//! The rendezvous server as two ends meet it, over sockets.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::{Server, binary, done, events, failure, random_bytes};
use longhaul_record::Event;
use longhaul_transfer::keys::Identity;
use longhaul_transfer::rendezvous::{Cookie, Message, pair_id, register_text};

struct Rendezvous {
    child: Child,
    address: SocketAddr,
}

impl Rendezvous {
    fn start() -> Rendezvous {
        let mut child =
            binary().args(["rendezvous", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let read = BufReader::new(child.stdout.take().unwrap()).read_line(&mut line);
        let mut rendezvous = Rendezvous { child, address: ([0, 0, 0, 0], 0).into() };
        read.unwrap();
        match Event::parse(line.trim_end()) {
            Ok(Event::Ready { ticket: Some(address), .. }) => rendezvous.address = address.parse().unwrap(),
            other => panic!("not ready: {other:?}"),
        }
        rendezvous
    }
}

impl Drop for Rendezvous {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct End(UdpSocket);

impl End {
    fn new(server: SocketAddr) -> End {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(server).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        End(socket)
    }

    fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    fn send(&self, message: &Message) {
        self.0.send(&message.encode()).unwrap();
    }

    fn receive(&self) -> Vec<u8> {
        let mut buffer = [0; 2048];
        let bytes = self.0.recv(&mut buffer).unwrap();
        buffer[..bytes].to_vec()
    }

    fn message(&self) -> Message {
        Message::decode(&self.receive()).unwrap()
    }

    fn cookie(&self) -> Cookie {
        self.send(&Message::Hello { nonce: 3 });
        match self.message() {
            Message::Cookie { nonce: 3, cookie, observed } => {
                assert_eq!(observed, self.address());
                cookie
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn two_ends_meet_and_are_relayed() {
    let server = Rendezvous::start();
    let (provider, fetcher) = (End::new(server.address), End::new(server.address));
    let identity = Identity::fresh().unwrap();
    let key = identity.public();
    let (token, candidates) = ([9; 16], Vec::new());
    let meet = |cookie| Message::Meet { cookie, key, token, candidates: vec![([10, 0, 0, 1], 7).into()] };
    let cookie = fetcher.cookie();
    fetcher.send(&meet(cookie));
    assert_eq!(fetcher.message(), Message::Absent { token });

    let shown = provider.cookie();
    let signature = identity.sign(&register_text(&shown));
    provider.send(&Message::Register { cookie: shown, key, signature, candidates });
    assert_eq!(provider.message(), Message::Registered { seconds: 60, observed: provider.address() });
    let cookie = fetcher.cookie();
    fetcher.send(&meet(cookie));
    assert_eq!(fetcher.message(), Message::Peer { cookie, token, candidates: vec![provider.address()] });
    let of_fetcher = vec![fetcher.address(), ([10, 0, 0, 1], 7).into()];
    assert_eq!(provider.message(), Message::Peer { cookie: shown, token, candidates: of_fetcher });

    for (from, to) in [(&fetcher, &provider), (&provider, &fetcher)] {
        let packet = [Message::Relay { pair: pair_id(&token) }.encode(), vec![0xc3; 1200]].concat();
        from.0.send(&packet).unwrap();
        assert_eq!(to.receive(), packet);
    }
}

fn provide(payload: &Path, server: SocketAddr, extra: &[&str]) -> Server {
    Server::provide_with(payload, &[&["--rendezvous", &server.to_string()], extra].concat())
}

fn fetch(ticket: &str, server: SocketAddr, out: &Path, extra: &[&str]) -> Command {
    let mut command = binary();
    command.args(["fetch", "--rendezvous", &server.to_string(), "--ticket", ticket, "--out"]).arg(out).args(extra);
    command
}

/// The ways that a fetch took, in their order.
fn ways(events: &[Event]) -> Vec<&str> {
    events
        .iter()
        .filter_map(|event| if let Event::Path { kind, .. } = event { Some(kind.as_str()) } else { None })
        .collect()
}

#[test]
fn a_payload_comes_directly_and_by_the_relay() {
    const BYTES: usize = 3_000_000;
    let directory = tempfile::tempdir().unwrap();
    let payload = directory.path().join("payload");
    fs::write(&payload, random_bytes(11, BYTES)).unwrap();
    let server = Rendezvous::start();
    let provider = provide(&payload, server.address, &[]);
    for (option, way, direct_only) in [
        ("--no-relay", "direct", Some(true)),
        ("--no-direct", "relay", Some(false)),
        ("--stock-socket", "direct", None),
    ] {
        let out = directory.path().join(option);
        let output = fetch(&provider.ticket, server.address, &out, &[option]).output().unwrap();
        assert_eq!(done(&output), BYTES as u64);
        assert!(fs::read(&out).unwrap() == fs::read(&payload).unwrap(), "{option}");
        let events = events(&output);
        assert_eq!(ways(&events).last(), Some(&way), "{option}: {events:?}");
        let Some(Event::Done { direct_bytes: Some(direct), relayed_bytes: Some(relayed), .. }) = events.last() else {
            panic!("{events:?}")
        };
        assert_eq!(direct + relayed, BYTES as u64, "{option}");
        match direct_only {
            Some(true) => assert_eq!((ways(&events), *relayed), (vec!["direct"], 0)),
            Some(false) => assert_eq!((ways(&events), *direct), (vec!["relay"], 0)),
            None => {}
        }
    }
    assert_eq!(provider.stop(), (Some(0), String::new()));
}

#[test]
fn several_fetchers_at_once_are_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let payload = directory.path().join("payload");
    fs::write(&payload, random_bytes(12, 1_000_000)).unwrap();
    let server = Rendezvous::start();
    let provider = provide(&payload, server.address, &[]);
    let start = |n: usize| {
        let (out, options) =
            (directory.path().join(n.to_string()), [&[][..], &["--no-direct"], &["--no-relay"]][n % 3]);
        let mut command = fetch(&provider.ticket, server.address, &out, options);
        (out, command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    };
    let fetchers: Vec<_> = (0..6).map(start).collect();
    for (out, child) in fetchers {
        done(&child.wait_with_output().unwrap());
        assert!(fs::read(&out).unwrap() == fs::read(&payload).unwrap());
    }
}

#[test]
fn who_cannot_be_met_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let payload = directory.path().join("payload");
    fs::write(&payload, b"small").unwrap();
    let server = Rendezvous::start();
    let elsewhere = Server::provide(&payload);
    let out = directory.path().join("out");
    let message = failure(&fetch(&elsewhere.ticket, server.address, &out, &[]).output().unwrap());
    assert!(message.contains("knows no provider of this ticket"), "{message}");

    let only_relay = provide(&payload, server.address, &["--no-direct"]);
    let message = failure(&fetch(&only_relay.ticket, server.address, &out, &["--no-relay"]).output().unwrap());
    assert!(message.contains("no direct path was found"), "{message}");

    let nobody = UdpSocket::bind("127.0.0.1:0").unwrap();
    let message = failure(&fetch(&elsewhere.ticket, nobody.local_addr().unwrap(), &out, &[]).output().unwrap());
    assert!(message.contains("the rendezvous server did not answer"), "{message}");
    assert!(!out.exists());
}
