//! Endpoints, and the relay they may use.

use crate::say;
use clap::Args;
use data_encoding::HEXLOWER;
use iroh::endpoint::presets;
use iroh::tls::CaTlsConfig;
use iroh::{Endpoint, RelayMap, RelayMode};
use iroh_relay::server::{CertConfig, QuicConfig, RelayConfig as RelayServer, Server, ServerConfig, TlsConfig};
use iroh_relay::{RelayConfig, RelayQuicConfig};
use longhaul_record::Event;
use n0_error::{Result, StdResultExt};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::future::pending;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

/// What both ends are told about their network and machine.
#[derive(Debug, Args)]
pub(crate) struct NetArgs {
    /// The relay's ticket; without it there is no relay, and direct addresses alone
    #[arg(long, value_name = "TICKET")]
    pub(crate) relay: Option<Relay>,
    /// Send nothing but by the relay
    #[arg(long, requires = "relay")]
    pub(crate) relay_only: bool,
    /// Where the store of blobs shall be
    #[arg(long, value_name = "DIR")]
    pub(crate) store: PathBuf,
}

impl NetArgs {
    /// An endpoint; on a port of its own if none is named.
    pub(crate) async fn endpoint(&self, listen: Option<SocketAddrV4>) -> Result<Endpoint> {
        let builder = Endpoint::builder(presets::Minimal);
        let mut builder = match &self.relay {
            None => builder.relay_mode(RelayMode::Disabled),
            Some(relay) => {
                let trusted = CaTlsConfig::custom_roots([relay.certificate.clone()]);
                builder.relay_mode(RelayMode::Custom(relay.map()?)).ca_tls_config(trusted)
            }
        };
        if self.relay_only {
            builder = builder.clear_ip_transports();
        } else if let Some(listen) = listen {
            builder = builder.bind_addr(listen)?;
        }
        Ok(builder.bind().await?)
    }
}

/// A relay as its users know it: `ADDR:PORT/CERTIFICATE`, the port of HTTPS over TCP and of QUIC over UDP.
#[derive(Debug, Clone)]
pub(crate) struct Relay {
    address: SocketAddr,
    certificate: CertificateDer<'static>,
}

impl Relay {
    fn map(&self) -> Result<RelayMap> {
        let url = format!("https://{}", self.address).parse().anyerr()?;
        Ok(RelayConfig::new(url, Some(RelayQuicConfig::new(self.address.port()))).into())
    }

    fn ticket(&self) -> String {
        format!("{}/{}", self.address, HEXLOWER.encode(&self.certificate))
    }
}

impl FromStr for Relay {
    type Err = String;

    fn from_str(text: &str) -> Result<Relay, String> {
        let (address, certificate) = text.split_once('/').ok_or("not a relay's ticket: it has no `/`")?;
        let address = address.parse().map_err(|error| format!("{address:?}: {error}"))?;
        let certificate = HEXLOWER.decode(certificate.as_bytes()).map_err(|error| error.to_string())?;
        Ok(Relay { address, certificate: certificate.into() })
    }
}

/// Where a relay is.
#[derive(Debug, Args)]
pub(crate) struct RelayArgs {
    /// The address its users reach it at; its certificate is for that
    #[arg(long, value_name = "ADDR:PORT")]
    address: SocketAddr,
    /// The port of plain HTTP, by which its users look for captive portals
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    http_port: u16,
}

/// Runs a relay with a certificate made for the occasion.
pub(crate) async fn relay(args: RelayArgs) -> Result<()> {
    let made = rcgen::generate_simple_self_signed([args.address.ip().to_string()]).anyerr()?;
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let server_config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .anyerr()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .anyerr()?;
    let all = |port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    let mut relay = RelayServer::new(all(args.http_port));
    relay.tls = Some(TlsConfig::new(all(args.address.port()), CertConfig::Manual { server_config }));
    let mut config = ServerConfig::default();
    config.relay = Some(relay);
    config.quic = Some(QuicConfig::new(all(args.address.port())));
    let _server = Server::spawn(config).await?;
    let ticket = Relay { address: args.address, certificate }.ticket();
    say(&Event::Ready { t: None, ticket: Some(ticket), import_seconds: None })?;
    pending().await
}
