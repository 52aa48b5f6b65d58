//! The contract between longhaul's rooms.
//!
//! Everything that crosses a room's wall is defined here once: the [`RunRecord`] a runner writes and a store keeps,
//! the [`Metric`] definitions that give its numbers a unit and a direction, the [`Event`]s a subject prints on its
//! standard output, and the [`Exit`] codes the command line promises.
//!
//! **Invariant:** this crate is pure. It has no clock, file system, process, network or random source, and it never
//! depends on `netsim`: the dashboard and the gate read records without being able to run anything.

mod alert;
mod calibration;
mod comparison;
mod cross;
mod exit;
mod happening;
mod metric;
mod protocol;
mod run;
pub mod text;

pub use alert::{Alert, AlertEvent, AlertKind, AlertState, CommitRange, SeriesName};
pub use calibration::{
    Calibration, DelayCheck, DelayQuantile, Dependence, Fidelity, Hairpinned, LatenessBucket, LinkReport, LossCheck,
    MtuCheck, NatBehaviour, NatCheck, PathCheck, RateCheck, Tolerance,
};
pub use comparison::{
    Arm, COMPARISON_SCHEMA, Compared, Comparison, End, MetricChange, Pairing, RanIn, SeedGain, Side, SuccessChange,
    Verdict,
};
pub use cross::{CrossKind, CrossReport};
pub use exit::Exit;
pub use happening::{MAX_HAPPENINGS, MappingEnd, NatMapping, PathChange, Stall};
pub use metric::{Direction, METRICS, Metric, Standing, Unit, metric};
pub use protocol::{Event, MAX_EVENT_BYTES, ProtocolError};
pub use run::{
    CommitDetail, ExitState, HostDetail, NetworkChange, Outcome, ProcessReport, Recovery, Role, RunRecord, SCHEMA,
    SYNTHETIC_HOST, Sample, Series, SubjectDetail, Trigger,
};
