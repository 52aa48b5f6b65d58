//! The one place where measurements become statements.
//!
//! [`judge`] decides whether a run may be believed: it compares what the scenario asked of the network with what
//! probes and the emulator itself saw. [`median`] and [`quantile`] are the summaries that stores keep and pages draw,
//! so that no two readers disagree about a middle value. [`Success`] says how
//! often something works, [`score`] for how many of a population. [`change_points`] says when a series changed, [`compare`] what
//! pairs of runs say about a change, and [`Sampling`] which run is next and when there are enough. [`chi_square`] and
//! [`kolmogorov_smirnov`] say whether counts and
//! samples are what a distribution says.
//!
//! **Invariant:** this crate is pure. It has no clock, file system, process, network or random source. Verdicts are
//! computed here and nowhere else.

mod alerts;
pub mod bisection;
mod changes;
mod fit;
mod interval;
mod judge;
mod ladder;
mod multiple;
mod paired;
mod quantile;
mod random;
mod rank;
mod sampling;
mod score;
mod seeds;
mod success;
mod trend;
mod yardstick;

pub use alerts::{History, reconcile};
pub use changes::{ChangePoint, Detection, change_points};
pub use fit::{chi_square, kolmogorov_smirnov, normal_cdf, normal_quantile};
pub use interval::{Interval, Z_95, Z_999, wilson};
pub use judge::{Deviation, judge, judge_cross, loss_interval};
pub use ladder::{ALPHA, CALLED, Ladder, Look, STEPS};
pub use multiple::{false_discovery, mcnemar};
pub use paired::{Block, Choice, Ran, Seen, compare, is_untrusted, overall};
pub use quantile::{median, quantile};
pub use random::Random;
pub use rank::{EXACT, Shift, mann_whitney, shift, shift_between, signed_rank};
pub use sampling::{Limits, Next, Sampling, Task};
pub use score::{Cell, Score, score};
pub use success::Success;
pub use trend::theil_sen;
pub use yardstick::{Made, Yardstick, yardstick};
