//! A simulated machine: where programs run and sockets are made.

use super::LabError;
use crate::device::{self, DEVICE};
use crate::netns::NetNs;
use crate::process::{self, Process, ProcessError, Spec};
use crate::resolver::Resolver;
use netsim_fabric::NodeId;
use nix::errno::Errno;
use std::io;
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};

/// A simulated machine: a network namespace with one device.
#[derive(Debug)]
pub struct Host {
    name: String,
    node: NodeId,
    namespace: NetNs,
    addresses: Vec<IpAddr>,
    resolver: Resolver,
    /// Drops of the device before the counters were last set to 0.
    drops_before: AtomicU64,
}

impl Host {
    pub(super) fn new(
        name: &str,
        node: NodeId,
        namespace: NetNs,
        addresses: &[IpAddr],
        resolvers: &[IpAddr],
    ) -> Result<Host, LabError> {
        let resolver =
            Resolver::new(resolvers).map_err(|source| LabError::Resolver { host: name.to_owned(), source })?;
        let drops_before = AtomicU64::new(0);
        Ok(Host { name: name.to_owned(), node, namespace, addresses: addresses.to_vec(), resolver, drops_before })
    }

    /// The host's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The host's place in [`crate::Snapshot`]'s lists.
    pub fn index(&self) -> usize {
        self.node.index()
    }

    /// The host's own addresses, IPv4 first.
    pub fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    /// Runs `work` on a thread inside the host's network. Sockets made there stay there.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> io::Result<T> {
        self.namespace.run(work)
    }

    pub(crate) fn resolver(&self) -> &Resolver {
        &self.resolver
    }

    pub(crate) fn namespace(&self) -> &NetNs {
        &self.namespace
    }

    /// A UDP socket of this host on any port of its first address.
    pub fn udp(&self) -> io::Result<UdpSocket> {
        let address = *self.addresses.first().ok_or(Errno::EADDRNOTAVAIL)?;
        self.run(|| UdpSocket::bind((address, 0)))?
    }

    /// A TCP listener of this host on `port`; 0 for any.
    pub fn tcp_listener(&self, port: u16) -> io::Result<TcpListener> {
        let address = *self.addresses.first().ok_or(Errno::EADDRNOTAVAIL)?;
        self.run(|| TcpListener::bind((address, port)))?
    }

    /// Starts a program on this host.
    pub fn spawn(&self, spec: &Spec) -> Result<Process, ProcessError> {
        Process::spawn(spec, self)
    }

    /// Runs a command on this host to its end, with whatever streams and environment the caller has set.
    pub fn run_command(&self, command: &mut std::process::Command) -> io::Result<std::process::ExitStatus> {
        process::enter_on_exec(command, self)?;
        command.status()
    }

    pub(super) fn device_drops(&self) -> Result<u64, LabError> {
        let total = self.total_device_drops()?;
        Ok(total.saturating_sub(self.drops_before.load(Ordering::Relaxed)))
    }

    pub(super) fn forget_drops(&self) -> Result<(), LabError> {
        self.drops_before.store(self.total_device_drops()?, Ordering::Relaxed);
        Ok(())
    }

    fn total_device_drops(&self) -> Result<u64, LabError> {
        let failed = |source| LabError::Counters { host: self.name.clone(), source };
        self.run(|| device::device_drops(DEVICE)).map_err(failed)?.map_err(failed)
    }
}
