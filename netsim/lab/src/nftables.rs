//! The second NAT engine: routers that are namespaces of their own, with Linux's forwarding, connection tracking and
//! nftables.
//!
//! What people's routers run, as it is. It can do what Linux does and nothing else; the rest is refused by name. Links
//! stay the fabric's: such a router has an inner device towards its hosts and an outer one where its uplink starts (see
//! [`netsim_topology::with_kernel_routers`]).

mod conntrack;
mod rules;

use crate::device::{Device, DeviceError, DeviceSpec, Routes, Workshop};
use crate::netns::NetNs;
use conntrack::Conntrack;
use netsim_fabric::{Prefix, RouterConfig};
use netsim_topology::{LabStep, Plan, Service};
use rules::Ruleset;
use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

/// The device towards the hosts.
pub(crate) const INNER: &str = "inner0";
/// The device towards the internet.
pub(crate) const OUTER: &str = "outer0";

/// Why a router could not be made of Linux's own parts.
#[derive(Debug, thiserror::Error)]
pub enum NftablesError {
    /// Linux does otherwise.
    #[error(
        "router `{router}`: `{key}` cannot be what it is with NAT by nftables: {why}; or use the userspace NAT engine"
    )]
    Unsupported {
        /// The router.
        router: String,
        /// The key of the router in a scenario.
        key: &'static str,
        /// What Linux does, and what could be asked for in place.
        why: &'static str,
    },
    /// No namespace.
    #[error("cannot make the network namespace of router `{router}`; `longhaul doctor` says what is missing")]
    Namespace {
        /// The router.
        router: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// No device.
    #[error("cannot make a network device of router `{router}`")]
    Device {
        /// The router.
        router: String,
        /// Which step failed.
        #[source]
        source: DeviceError,
    },
    /// The program is not there.
    #[error("cannot start `nft`; install it (Debian and Fedora: package `nftables`)")]
    Program(#[source] io::Error),
    /// The kernel, or the program, does not know what is needed.
    #[error("nft refused the rules of a router: {said}; the kernel needs nf_tables with NAT and masquerading")]
    Refused {
        /// What the program said.
        said: String,
    },
    /// A switch of the kernel.
    #[error("cannot set net/{key}; the kernel needs connection tracking (nf_conntrack)")]
    Switch {
        /// Below `/proc/sys/net`.
        key: &'static str,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The table of connections.
    #[error("cannot empty the table of connections; the kernel needs nf_conntrack_netlink")]
    Flush(#[source] io::Error),
}

/// A router of Linux's own parts. Dropping it, and its devices, takes it down.
#[derive(Debug)]
pub(crate) struct KernelRouter {
    namespace: NetNs,
    conntrack: Conntrack,
    /// Drops of its devices before the counters were last set to 0.
    drops_before: AtomicU64,
}

/// The fabric's ends of a router's devices.
#[derive(Debug)]
pub(crate) struct Ends {
    pub(crate) inner: Device,
    pub(crate) outer: Device,
}

/// Whether all that a plan's kernels are to do can be had; needs neither privilege nor a kernel.
pub(crate) fn check(plan: &Plan) -> Result<(), NftablesError> {
    let mut kernels = BTreeSet::new();
    for step in &plan.steps {
        match step {
            LabStep::AddKernelRouter { name, config, .. } => {
                ruleset(name, config)?;
                kernels.insert(name);
            }
            LabStep::AddServers { of: Some(router), services, .. }
                if kernels.contains(router) && services.contains(&Service::PortMapping) =>
            {
                let why = "nobody tells its rules what hosts ask for; use false";
                return Err(NftablesError::Unsupported { router: router.clone(), key: "port_mapping", why });
            }
            _ => {}
        }
    }
    Ok(())
}

fn ruleset(name: &str, config: &RouterConfig) -> Result<Ruleset, NftablesError> {
    rules::ruleset(config).map_err(|rules::Unsupported { key, why }| NftablesError::Unsupported {
        router: name.to_owned(),
        key,
        why,
    })
}

impl KernelRouter {
    /// Makes it, up and with its rules.
    pub(crate) fn new(
        name: &str,
        config: &RouterConfig,
        inside: &[Prefix],
        mtu: u32,
        workshop: &mut Workshop,
    ) -> Result<(KernelRouter, Ends), NftablesError> {
        let rules = ruleset(name, config)?;
        let no_namespace = |source| NftablesError::Namespace { router: name.to_owned(), source };
        let no_device = |source| NftablesError::Device { router: name.to_owned(), source };
        let namespace = NetNs::new().map_err(no_namespace)?;
        let conntrack = namespace.run(|| furnish(&rules)).map_err(no_namespace)??;
        let inner = DeviceSpec { name: INNER, addresses: &[], routes: Routes::To(inside), mtu, up: true };
        let outer = DeviceSpec { name: OUTER, addresses: &config.outside, routes: Routes::Everything, mtu, up: true };
        let inner = workshop.device(&namespace, &inner).map_err(no_device)?;
        let outer = workshop.device(&namespace, &outer).map_err(no_device)?;
        let drops_before = AtomicU64::new(0);
        Ok((KernelRouter { namespace, conntrack, drops_before }, Ends { inner, outer }))
    }

    /// Forgets all connections, as at a reboot.
    pub(crate) fn flush(&self) -> io::Result<()> {
        self.conntrack.flush()
    }

    /// As at the first moment: no drops and, unless `keep`, no connections.
    pub(crate) fn restart(&self, keep: bool) -> io::Result<()> {
        if !keep {
            self.flush()?;
        }
        self.drops_before.store(self.total_device_drops()?, Ordering::Relaxed);
        Ok(())
    }

    /// Packets its devices could not hand to the fabric since the last restart.
    pub(crate) fn device_drops(&self) -> io::Result<u64> {
        Ok(self.total_device_drops()?.saturating_sub(self.drops_before.load(Ordering::Relaxed)))
    }

    fn total_device_drops(&self) -> io::Result<u64> {
        let drops = || Ok(crate::device::device_drops(INNER)? + crate::device::device_drops(OUTER)?);
        self.namespace.run(drops)?
    }
}

/// Rules and switches of the current thread's namespace. Rules first: they make the kernel load what the switches are of.
fn furnish(rules: &Ruleset) -> Result<Conntrack, NftablesError> {
    run_nft(&rules.script)?;
    for (key, value) in &rules.sysctls {
        fs::write(format!("/proc/sys/net/{key}"), value.to_string())
            .map_err(|source| NftablesError::Switch { key, source })?;
    }
    let conntrack = Conntrack::open().map_err(NftablesError::Flush)?;
    conntrack.flush().map_err(NftablesError::Flush)?;
    Ok(conntrack)
}

/// Looks whether rules can be loaded in the current thread's namespace.
pub(crate) fn try_out() -> Result<(), NftablesError> {
    let nat = netsim_topology::nat_preset("linux").and_then(|gateway| gateway.nat);
    let rules = ruleset("", &RouterConfig { nat, ..RouterConfig::default() })?;
    furnish(&rules).map(drop)
}

fn run_nft(script: &str) -> Result<(), NftablesError> {
    // Ordinary users often do not have the system's programs in their path.
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let mut nft = Command::new("nft");
    nft.args(["-f", "-"]).env("PATH", path);
    let nft = nft.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = nft.spawn().map_err(NftablesError::Program)?;
    if let Some(mut stdin) = child.stdin.take() {
        // What it did not read it will complain about.
        let _ = stdin.write_all(script.as_bytes());
    }
    let ended = child.wait_with_output().map_err(NftablesError::Program)?;
    if ended.status.success() {
        return Ok(());
    }
    Err(NftablesError::Refused { said: String::from_utf8_lossy(&ended.stderr).trim().replace('\n', "; ") })
}
