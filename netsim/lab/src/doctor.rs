//! What this machine can do, and how to mend what it cannot.

use crate::confine;
use crate::device::{Attachment, DEVICE, DeviceSpec, Routes, TUN_PATH, Workshop};
use crate::engine;
use crate::netns::NetNs;
use crate::nftables::{self, NftablesError};
use longhaul_record::text;
use std::net::IpAddr;

/// What runs of subjects need, and no other lab does.
const CONFINEMENT: &str = "confinement of subjects";

/// One thing the lab needs or would like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub what: &'static str,
    /// How it went.
    pub state: State,
    /// What was found, and the fix if it is not well.
    pub detail: String,
}

/// How a finding went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Well,
    /// Works, but measurements are less exact.
    Weak,
    /// Does not work.
    Missing,
}

/// Looks at this machine. Call it inside the sandbox: outside, an ordinary user may make no namespaces.
pub fn doctor() -> Vec<Finding> {
    let mut findings = Vec::new();
    let namespace = NetNs::new();
    findings.push(match &namespace {
        Ok(_) => well("network namespaces", "can be made"),
        Err(error) => missing("network namespaces", format!("{error}; run as root, or allow user namespaces")),
    });
    if let Ok(namespace) = namespace {
        findings.push(devices(&namespace));
        findings.push(second_nat(&namespace));
    }
    findings.push(match confine::try_out() {
        Ok(()) => well(CONFINEMENT, "possible: namespaces of their own, a read-only system, no privileges"),
        Err(error) => missing(CONFINEMENT, text::chain(&error)),
    });
    let realtime = std::thread::spawn(|| engine::ask_for_realtime(engine::PRIORITY)).join().unwrap_or(false);
    findings.push(if realtime {
        well("real-time priority", "permitted: packets leave on time also when the machine is busy")
    } else {
        Finding {
            what: "real-time priority",
            state: State::Weak,
            detail: "not permitted: packets leave up to some milliseconds late when the machine is busy; \
                     run as root, or allow it with `ulimit -r 50` (limits.conf: `rtprio 50`)"
                .into(),
        }
    });
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    findings.push(Finding {
        what: "processors",
        state: if cores >= 2 { State::Well } else { State::Weak },
        detail: match cores {
            1 => "1: the emulator and the programs under test share it; use a machine with 2 or more".into(),
            n => format!("{n}"),
        },
    });
    findings
}

/// TUN devices are better, packet sockets will do.
fn devices(namespace: &NetNs) -> Finding {
    const WHAT: &str = "network devices with offloads";
    let attachment = Attachment::pick();
    let addresses = [IpAddr::from([198, 18, 0, 1])];
    let spec = DeviceSpec { name: DEVICE, addresses: &addresses, routes: Routes::Everything, mtu: 1500, up: true };
    match (Workshop::new(attachment, 1).and_then(|mut workshop| workshop.device(namespace, &spec)), attachment) {
        (Ok(_), Attachment::Tun) => well(WHAT, "can be made: TUN"),
        (Ok(_), Attachment::Packet) => Finding {
            what: WHAT,
            state: State::Weak,
            detail: format!(
                "can be made, but only the slower kind: veth and packet sockets, because {TUN_PATH} may not be opened; \
                 as root: `modprobe tun; chmod 0666 {TUN_PATH}`"
            ),
        },
        (Err(error), _) => missing(WHAT, text::chain(&error)),
    }
}

/// Only for who asks for it.
fn second_nat(namespace: &NetNs) -> Finding {
    const WHAT: &str = "NAT by nftables (optional)";
    match try_nftables(namespace) {
        Ok(()) => well(WHAT, "rules can be loaded"),
        Err(error) => Finding { what: WHAT, state: State::Weak, detail: text::chain(&error) },
    }
}

/// Why this machine has no NAT by nftables; nothing if it has. Call it inside the sandbox.
pub fn nftables_missing() -> Option<String> {
    match NetNs::new() {
        Ok(namespace) => try_nftables(&namespace).err().map(|error| text::chain(&error)),
        Err(error) => Some(error.to_string()),
    }
}

fn try_nftables(namespace: &NetNs) -> Result<(), NftablesError> {
    namespace.run(nftables::try_out).unwrap_or_else(|source| Err(NftablesError::Program(source)))
}

fn well(what: &'static str, detail: &str) -> Finding {
    Finding { what, state: State::Well, detail: detail.into() }
}

fn missing(what: &'static str, detail: String) -> Finding {
    Finding { what, state: State::Missing, detail }
}
