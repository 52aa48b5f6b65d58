//! The two files a user writes, read strictly and explained back.
//!
//! A *scenario* says who is where, what is sent and over which network; a *subject* says how to run a program that
//! sends it. Both are TOML. Reading happens in two steps: the file as written ([`serde`] types that refuse unknown
//! keys), then the resolved form ([`Scenario`], [`Subject`]) in which every default and preset is spelled out. The
//! resolved form is what is hashed, stored and shown.
//!
//! The files shipped with longhaul are part of this crate: see [`suite`] and [`subjects`].
//!
//! **Invariant:** pure. Files are handed in as text; the programs and places they name are looked up elsewhere.

mod cross;
mod disturbance;
mod draft;
mod drawing;
mod error;
mod expect;
mod extend;
mod files;
mod gateway;
mod host;
mod link;
mod matrix;
mod patchbay;
mod payload;
mod policy;
mod quantity;
mod region;
mod roles;
mod scenario;
mod schema;
mod shipped;
mod subject;
mod timeline;
mod weights;
mod words;

pub use disturbance::Disturbance;
pub use draft::Draft;
pub use error::FileError;
pub use expect::{Expect, ExpectedPath};
pub use files::Read;
pub use patchbay::{Imported, from_patchbay};
pub use payload::{Payload, Sort};
pub use policy::{Inconclusive, Policy};
pub use roles::Roles;
pub use scenario::{Head, Scenario};
pub use schema::{policy_schema, scenario_schema, subject_schema};
pub use shipped::{subjects, suite};
pub use subject::{
    Amount, Build, Capture, Commands, Delivers, FanIn, Limits, Milestone, Program, Ready, Source, Stop, StopSignal,
    Subject, Values, VersionSpec, What,
};
pub use weights::Weights;
