//! A simulated machine: where programs run and sockets are made.

use super::LabError;
use crate::device;
use crate::interface::Interface;
use crate::netns::NetNs;
use crate::process::{self, Process, ProcessError, Spec};
use crate::resolver::Resolver;
use netsim_fabric::NodeId;
use nix::errno::Errno;
use std::io;
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A simulated machine: a network namespace, mostly with one device.
#[derive(Debug)]
pub struct Host {
    name: String,
    node: NodeId,
    namespace: Arc<NetNs>,
    addresses: Vec<IpAddr>,
    resolver: Resolver,
    devices: Vec<String>,
    /// In order of creation: first the one that is used at first.
    pub(super) interfaces: Vec<Arc<Interface>>,
    /// Drops of the devices before the counters were last set to 0.
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
        let namespace = Arc::new(namespace);
        let (name, addresses) = (name.to_owned(), addresses.to_vec());
        let (devices, interfaces) = (Vec::new(), Vec::new());
        Ok(Host { name, node, namespace, addresses, resolver, devices, interfaces, drops_before })
    }

    /// The host's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn add_device(&mut self, name: &str) {
        self.devices.push(name.to_owned());
    }

    /// The names of its network devices, first the one that is used at first.
    pub fn devices(&self) -> &[String] {
        &self.devices
    }

    /// The place in [`Snapshot`](crate::Snapshot)'s lists of the interface that is used at first.
    pub fn index(&self) -> usize {
        self.node.index()
    }

    /// The host's own addresses at first, IPv4 first: of the interface that is used then.
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

    pub(crate) fn namespace(&self) -> &Arc<NetNs> {
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
        let drops = || self.devices.iter().map(|name| device::device_drops(name)).sum::<io::Result<u64>>();
        self.run(drops).map_err(failed)?.map_err(failed)
    }
}
