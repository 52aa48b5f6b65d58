//! The rendezvous server as two ends meet it, over sockets.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Stdio};
use std::time::Duration;

use common::binary;
use longhaul_record::Event;
use longhaul_transfer::keys::Identity;
use longhaul_transfer::rendezvous::{Cookie, Message, register_text};

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
        self.send(&Message::Hello);
        match self.message() {
            Message::Cookie { cookie, observed } => {
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

    let cookie = provider.cookie();
    let signature = identity.sign(&register_text(&cookie));
    provider.send(&Message::Register { cookie, key, signature, candidates });
    assert_eq!(provider.message(), Message::Registered { seconds: 60, observed: provider.address() });
    let cookie = fetcher.cookie();
    fetcher.send(&meet(cookie));
    assert_eq!(fetcher.message(), Message::Peer { token, candidates: vec![provider.address()] });
    let of_fetcher = vec![fetcher.address(), ([10, 0, 0, 1], 7).into()];
    assert_eq!(provider.message(), Message::Peer { token, candidates: of_fetcher });

    for (from, to) in [(&fetcher, &provider), (&provider, &fetcher)] {
        let packet = [Message::Relay { token }.encode(), vec![0xc3; 1200]].concat();
        from.0.send(&packet).unwrap();
        assert_eq!(to.receive(), packet);
    }
}
