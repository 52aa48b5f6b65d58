//! Connections of libp2p.

use crate::blocks::Memory;
use anyhow::{Result, anyhow};
use futures::StreamExt;
use iroh_bitswap::{Bitswap, Config};
use libp2p::core::upgrade::Version;
use libp2p::core::{muxing::StreamMuxerBox, transport::Boxed};
use libp2p::identity::Keypair;
use libp2p::swarm::SwarmEvent;
use libp2p::tcp::{Config as TcpConfig, tokio::Transport as Tcp};
use libp2p::yamux::YamuxConfig;
use libp2p::{Multiaddr, PeerId, Swarm, Transport, noise};
use tokio::sync::oneshot;

/// What both ends speak: this says it in place of libp2p's `identify`.
const PROTOCOL: &str = "/ipfs/bitswap/1.2.0";

fn transport(keys: &Keypair) -> Result<Boxed<(PeerId, StreamMuxerBox)>> {
    let keys = noise::Keypair::<noise::X25519Spec>::new().into_authentic(keys)?;
    let tcp = Tcp::new(TcpConfig::default().nodelay(true)).upgrade(Version::V1);
    let encrypted = tcp.authenticate(noise::NoiseConfig::xx(keys).into_authenticated());
    Ok(encrypted.multiplex(YamuxConfig::default()).boxed())
}

/// Runs a swarm in the background; `connected` is told when there are that many connections.
fn run(mut swarm: Swarm<Bitswap<Memory>>, connections: usize, connected: oneshot::Sender<()>) {
    tokio::spawn(async move {
        let (mut seen, mut connected) = (0, Some(connected));
        loop {
            match swarm.select_next_some().await {
                SwarmEvent::ConnectionEstablished { peer_id, .. } => {
                    swarm.behaviour().on_identify(&peer_id, &[PROTOCOL.to_owned()]);
                    seen += 1;
                    if seen == connections {
                        connected.take().map(|connected| connected.send(()));
                    }
                }
                SwarmEvent::OutgoingConnectionError { error, .. } => eprintln!("cannot dial: {error}"),
                _ => {}
            }
        }
    });
}

/// Serves blocks at an address; the peer's name is returned.
pub(crate) async fn serve(memory: Memory, address: &str) -> Result<PeerId> {
    let keys = Keypair::generate_ed25519();
    let peer = keys.public().to_peer_id();
    let bitswap = Bitswap::new(peer, memory, Config::default()).await;
    let mut swarm = Swarm::with_tokio_executor(transport(&keys)?, bitswap, peer);
    swarm.listen_on(address.parse()?)?;
    // It listens when it has said so.
    while !matches!(swarm.select_next_some().await, SwarmEvent::NewListenAddr { .. }) {}
    run(swarm, 0, oneshot::channel().0);
    Ok(peer)
}

/// Connects to all of these.
pub(crate) async fn dial(addresses: Vec<Multiaddr>) -> Result<Bitswap<Memory>> {
    let keys = Keypair::generate_ed25519();
    let peer = keys.public().to_peer_id();
    let bitswap = Bitswap::new(peer, Memory::default(), Config::default_client_mode()).await;
    let mut swarm = Swarm::with_tokio_executor(transport(&keys)?, bitswap.clone(), peer);
    let connections = addresses.len();
    for address in addresses {
        swarm.dial(address)?;
    }
    let (connected, told) = oneshot::channel();
    run(swarm, connections, connected);
    told.await.map_err(|_| anyhow!("the swarm has ended"))?;
    Ok(bitswap)
}
