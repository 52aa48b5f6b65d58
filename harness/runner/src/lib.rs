//! Runs one subject in one scenario and makes the record of it.
//!
//! The steps, each in its own module: [`Payload`] stages what is sent, `build` makes programs from their source, at a
//! commit if one is named, [`Prepared`] finds them, `transfer` runs them inside a lab that has been calibrated, `metrics`
//! (pure) turns what was seen into numbers, and [`run`] puts it all together into a [`longhaul_record::RunRecord`].
//! Whatever goes wrong becomes an outcome with a reason; it never becomes a number.

mod build;
mod calibration;
mod clock;
mod git;
mod happenings;
mod machine;
mod metrics;
mod observed;
mod payload;
mod program;
mod run;
mod transfer;
mod yardstick;

pub use build::{BuildError, Built, Source};
pub use clock::wall_ms;
pub use git::{Repository, Revision, history, is_ancestor, repository, repository_at};
pub use machine::machine;
pub use payload::{Payload, PayloadError};
pub use program::{PrepareError, Prepared, Programs};
pub use run::{Order, new_id, run};
pub use transfer::{Interrupt, Progress};
pub use yardstick::{Bound, Case, Cost, Goal, YardstickError, Yardsticks, yardsticks};
