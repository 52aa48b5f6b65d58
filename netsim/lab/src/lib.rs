//! Simulated networks of real Linux network namespaces.
//!
//! A [`Lab`] turns a [`netsim_topology::Plan`] into hosts that any program can run in. Each host is a network namespace
//! with a network device, or several; a thread of this process carries packets between the devices through a
//! [`netsim_fabric::Fabric`]. Namespaces and devices are held by file descriptors alone, so they are gone when the
//! process is, however it ends. [`enter`] does the same for processes and scratch files.
//!
//! ```no_run
#![doc = include_str!("../examples/two_hosts.rs")]
//! ```
//!
//! The feature `testing` gives every `#[test]` a lab of its own (`testing::in_lab`).
//!
//! **Invariant:** this is the only crate that needs privilege, and it touches nothing but namespaces it made itself.

mod calibrate;
mod capture;
mod classify;
mod clock;
mod confine;
pub mod conformance;
mod cross;
mod device;
mod doctor;
mod door;
mod engine;
mod interface;
mod lab;
mod netem;
mod netns;
mod nftables;
mod process;
mod resolver;
mod sandbox;
mod selfcheck;
mod servers;
mod socket;
mod space;
#[cfg(feature = "testing")]
pub mod testing;

pub use calibrate::{CalibrateError, calibrate, calibrate_access};
pub use capture::{Capture, CaptureError, Captured};
pub use classify::{Patience, check_nat, classify};
pub use clock::now;
pub use confine::{Confinement, Exceeded, Limits, hand_over, run_if_init};
pub use cross::{CrossError, CrossFlows, CrossTraffic, check_congestion};
pub use device::{Attachment, DeviceError};
pub use doctor::{Finding, State, doctor, nftables_missing};
pub use door::{Door, DoorError, KnockError, Visit, door_path, knock};
pub use engine::{EngineError, INTERVAL_NS, Interval, LinkInterval, Snapshot};
pub use lab::{Engines, Host, Lab, LabError, LinkEngine, NatEngine};
pub use netem::NetemError;
#[doc(no_inline)]
pub use netsim_fabric as fabric;
pub use netsim_fabric::Time;
pub use netsim_services::behaviour::{Behaviour, BehaviourError, Hairpinned};
#[doc(no_inline)]
pub use netsim_topology as topology;
pub use nftables::NftablesError;
pub use process::{Ended, How, Line, MAX_STDOUT_BYTES, NoLine, Process, ProcessError, Signal, Spec};
pub use sandbox::{Sandbox, SandboxError, enter};
pub use selfcheck::{
    Effort, Figure, SCALE, ScalePoint, SelfCheckError, SelfReport, Spread, Target, Unit, Yardstick, scale, self_check,
};
pub use space::Space;
