//! The server on a socket.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use tokio::net::UdpSocket as AsyncSocket;

use super::server::{Action, Server};
use super::wire::Wire;
use crate::clock::Clock;
use crate::keys::{self, KeyError};

/// The longest datagram: what fits any path's MTU, and more.
const MAX_DATAGRAM_BYTES: usize = 2048;

/// Why there is no rendezvous.
#[derive(Debug, thiserror::Error)]
pub enum RendezvousError {
    /// The socket cannot be used.
    #[error("cannot use the UDP socket")]
    Socket(#[source] io::Error),
    /// No secret for the cookies.
    #[error("cannot make a secret")]
    Key(#[from] KeyError),
}

/// Serves on a bound socket until `stop` completes, relaying at most so many bytes a second for each pair. `ready` is
/// called once it listens, with its address.
pub async fn serve<E>(
    socket: UdpSocket,
    clock: Clock,
    relay_bytes_per_s: u64,
    ready: impl FnOnce(SocketAddr) -> Result<(), E>,
    stop: impl Future<Output = ()>,
) -> Result<Result<(), E>, RendezvousError> {
    socket.set_nonblocking(true).map_err(RendezvousError::Socket)?;
    let socket = AsyncSocket::from_std(socket).map_err(RendezvousError::Socket)?;
    let mut secret = [0; 32];
    keys::random(&mut secret)?;
    let mut server = Server::new(secret, relay_bytes_per_s);
    let own = socket.local_addr().map_err(RendezvousError::Socket)?;
    if let Err(error) = ready(own) {
        return Ok(Err(error));
    }
    let wire = Wire { six: own.is_ipv6(), nat64: false };
    // A full socket means a lost packet, as it would in any router. Nobody is waited for.
    let send = |to, datagram: &[u8]| drop(wire.outward(to).map(|to| socket.try_send_to(datagram, to)));
    let serving = async {
        let mut buffer = vec![0; MAX_DATAGRAM_BYTES];
        loop {
            // An error of one peer's (an ICMP message, mostly) is no reason to stop for all.
            let Ok((bytes, from)) = socket.recv_from(&mut buffer).await else { continue };
            let datagram = &buffer[..bytes];
            match server.handle(clock.elapsed(), wire.inward(from), datagram) {
                Action::Ignore => {}
                Action::Send(replies) => replies.iter().for_each(|(to, reply)| send(*to, &reply.encode())),
                Action::Forward(to) => send(to, datagram),
            }
        }
    };
    tokio::select! {
        () = serving => {}
        () = stop => {}
    }
    Ok(Ok(()))
}
