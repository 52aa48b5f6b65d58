//! Every way a command can fail, with the exit code it leads to.

use longhaul_dashboard::{BindError, ExportError};
use longhaul_record::Exit;
use longhaul_runner::{PrepareError, YardstickError};
use longhaul_scenarios::FileError;
use longhaul_sqlite::OpenError;
use longhaul_store::{BackupError, InsertError, ReadError, Trouble};
use netsim_lab::{
    CalibrateError, CaptureError, CrossError, DoorError, KnockError, LabError, SandboxError, SelfCheckError,
};
use std::io;
use std::path::PathBuf;

/// Why a command ends without having done what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// A scenario or subject file.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file that cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// Another tool's results.
    #[error(transparent)]
    Import(#[from] longhaul_interop::ImportError),
    /// A directory in which nothing was measured.
    #[error("no results of Criterion below {}; run `cargo bench` first", directory.display())]
    NothingToImport { directory: PathBuf },
    /// A file without what `longhaul lab conformance --json` prints.
    #[error("no conformance document in {}", path.display())]
    Conformance {
        path: PathBuf,
        #[source]
        source: netsim_lab::conformance::NotOne,
    },
    /// A name that is neither scenario, tag nor file.
    #[error("no scenario or tag is named `{name}`, and there is no such file; `longhaul scenario list` shows them all")]
    UnknownScenario { name: String },
    /// A name of several scenarios where one is wanted.
    #[error("`{name}` is {count} scenarios, one is wanted here; name it, for example '{first}'")]
    SeveralScenarios { name: String, count: usize, first: String },
    /// A name that is neither subject nor file.
    #[error("no subject is named `{name}`, and there is no such file; there are: {}", known.join(", "))]
    UnknownSubject { name: String, known: Vec<String> },
    /// A host that is not in the scenario.
    #[error("scenario `{scenario}` has no host `{name}`; there are: {}", known.join(", "))]
    UnknownHost { scenario: String, name: String, known: Vec<String> },
    /// A link that is not in the scenario.
    #[error("no link is named `{name}`; there are: {}", known.join(", "))]
    UnknownLink { name: String, known: Vec<String> },
    /// A file that cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A capture that could not be kept.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// A scenario whose network cannot be built.
    #[error(transparent)]
    Plan(#[from] netsim_topology::PlanError),
    /// No namespaces.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// No network.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// Other traffic that this machine cannot make.
    #[error(transparent)]
    Cross(#[from] CrossError),
    /// A lab that others cannot enter.
    #[error(transparent)]
    Door(#[from] DoorError),
    /// A lab that is up, but does not let us in.
    #[error(transparent)]
    Knock(#[from] KnockError),
    /// A path that could not be measured.
    #[error(transparent)]
    Calibrate(#[from] CalibrateError),
    /// Our links could not be measured.
    #[error(transparent)]
    SelfCheck(#[from] SelfCheckError),
    /// The reference transfer could not be measured.
    #[error(transparent)]
    Yardstick(#[from] YardstickError),
    /// Something this machine lacks.
    #[error("this machine cannot run simulated networks: {missing}")]
    Doctor { missing: String },
    /// A subject that was asked for by name cannot run here.
    #[error("subject `{subject}` cannot run on this machine")]
    Subject {
        subject: String,
        #[source]
        source: PrepareError,
    },
    /// A revision that git does not know, or knows several of.
    #[error("no commit is named `{revision}` in the repository of this directory; use a branch, a tag or a hash")]
    UnknownCommit { revision: String },
    /// What git does not take for a history.
    #[error("`{range}` names no commits in the repository of this directory ({said}); use for example v1.0..main")]
    NoHistory { range: String, said: String },
    /// Commits with none between them.
    #[error("no way leads from `{good}` to `{bad}`: {why}")]
    NoPath { good: String, bad: String, why: &'static str },
    /// A commit was named, but nothing of it would be measured.
    #[error("nothing is built from this repository for {}; write a `[build]` in the subject's file", subjects.join(", "))]
    NotBuiltHere { subjects: Vec<String> },
    /// None of the shipped subjects is built from the repository.
    #[error(
        "no subject is built from the repository of this directory; name one with --subject, with a `[build]` in its file"
    )]
    NothingBuiltHere,
    /// A metric that there is not.
    #[error("no metric is named `{name}`; there are: {}", known.join(", "))]
    UnknownMetric { name: String, known: Vec<&'static str> },
    /// What was measured before cannot be told from what is here.
    #[error(
        "`--resume` leaves out what was measured of a commit, and there is none here, or the tree differs from it; commit first"
    )]
    NoCommit,
    /// Instructions cannot be counted.
    #[error("`valgrind` counts instructions and is not installed; install it (Debian: apt-get install valgrind)")]
    NoValgrind,
    /// None of the subjects can run here.
    #[error("none of the subjects can run on this machine; `longhaul subject list` says why")]
    NoSubject,
    /// The database cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database of a server cannot be used.
    #[error(transparent)]
    OpenServer(#[from] longhaul_postgres::OpenError),
    /// The database cannot be changed.
    #[error(transparent)]
    Database(#[from] Trouble),
    /// There is no copy of the database.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The database is not as it was written.
    #[error(
        "{place}: {findings} findings; its runs can still be read where nothing is said of them. Restore a backup, or start \
         a new database and `longhaul db merge` this one into it"
    )]
    Unsound { place: String, findings: usize },
    /// Runs of another database cannot be kept.
    #[error("{from}: its runs could not all be merged; repeat when this is mended, what is there is not copied twice")]
    Merge {
        from: String,
        #[source]
        source: InsertError,
    },
    /// Results cannot be read.
    #[error(transparent)]
    Results(#[from] ReadError),
    /// A run could not be kept.
    #[error("run {id} of `{scenario}` could not be recorded; what was recorded before is kept")]
    Insert {
        id: String,
        scenario: String,
        #[source]
        source: InsertError,
    },
    /// A run for which there was no network, or nothing to send.
    #[error("a run could not be set up: {reason}; what was recorded is kept")]
    Setup { reason: String },
    /// A comparison could not be kept.
    #[error("comparison {id} could not be recorded; its runs are kept")]
    InsertComparison {
        id: String,
        #[source]
        source: InsertError,
    },
    /// No token, or more than one, is called so.
    #[error("{}", if *count == 0 { format!("there is no token {id}; `longhaul token list` shows all") } else { format!("{count} tokens end with {id}; say more of the id") })]
    UnknownToken {
        /// What was asked for.
        id: String,
        /// How many there are.
        count: usize,
    },
    /// A token could not be kept.
    #[error("the token could not be recorded")]
    PutToken(#[source] InsertError),
    /// What is new could not be sent.
    #[error(
        "the webhook does not take what is new: {reason}; the alerts are kept all the same, and `longhaul alert list` shows them"
    )]
    Webhook {
        /// Why.
        reason: String,
    },
    /// The dashboard as files.
    #[error(transparent)]
    Site(#[from] ExportError),
    /// The dashboard's address.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A program for a simulated host.
    #[error("cannot start `{program}` on host `{host}`")]
    Program {
        program: String,
        host: String,
        #[source]
        source: io::Error,
    },
    /// The machine itself.
    #[error("{what}")]
    Environment {
        what: &'static str,
        #[source]
        source: io::Error,
    },
    /// Ctrl-C or a termination signal.
    #[error("interrupted; {recorded} finished {} recorded", if *recorded == 1 { "run is" } else { "runs are" })]
    Interrupted { recorded: usize },
    /// Columns of bytes would do a terminal no good.
    #[error("Parquet is not for terminals; name a file with `--out`, or send it on with `>`")]
    Terminal,
    /// A run that no database takes.
    #[error("run {id} in {file}")]
    Unfit {
        id: String,
        file: String,
        #[source]
        problem: longhaul_store::Problem,
    },
    /// An id that is not one alert's.
    #[error("`{id}` is {}; `longhaul alert list --all` shows them all", if *count == 0 { "no alert".to_owned() } else { format!("{count} alerts") })]
    UnknownAlert { id: String, count: usize },
    /// Alerts could not be kept.
    #[error("the alerts could not be recorded; what was recorded before is kept")]
    PutAlerts(#[source] InsertError),
    /// Invented data is never put beside measurements.
    #[error("{place} holds measurements; invented data needs a database of its own: name a new file with --db")]
    HoldsMeasurements {
        /// The database.
        place: String,
    },
    /// Invented data could not be kept.
    #[error("the invented data could not be recorded")]
    Demo(#[source] InsertError),
    /// Nobody reads our output any more.
    #[error("standard output is closed")]
    OutputClosed,
}

impl CliError {
    /// The documented exit code.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            CliError::File(_)
            | CliError::Read { .. }
            | CliError::Conformance { .. }
            | CliError::Import(_)
            | CliError::NothingToImport { .. }
            | CliError::UnknownScenario { .. }
            | CliError::SeveralScenarios { .. }
            | CliError::UnknownSubject { .. }
            | CliError::UnknownHost { .. }
            | CliError::UnknownCommit { .. }
            | CliError::NoHistory { .. }
            | CliError::NoPath { .. }
            | CliError::NotBuiltHere { .. }
            | CliError::NothingBuiltHere
            | CliError::UnknownMetric { .. }
            | CliError::OpenServer(longhaul_postgres::OpenError::Address { .. })
            | CliError::Backup(BackupError::Exists { .. } | BackupError::Elsewhere { .. })
            | CliError::NoCommit
            | CliError::UnknownAlert { .. }
            | CliError::HoldsMeasurements { .. }
            | CliError::UnknownToken { .. }
            | CliError::Site(ExportError::NotEmpty { .. })
            | CliError::Terminal
            | CliError::Unfit { .. }
            | CliError::UnknownLink { .. }
            | CliError::Door(DoorError::Taken { .. })
            | CliError::Knock(KnockError::NoSuchHost { .. })
            | CliError::Plan(_) => Exit::Usage,
            CliError::Calibrate(CalibrateError::Unreachable { .. }) => Exit::Untrusted,
            CliError::Subject { source: PrepareError::Build(error), .. } if error.is_the_subjects() => {
                Exit::SubjectFailed
            }
            CliError::Sandbox(_)
            | CliError::Lab(_)
            | CliError::Cross(_)
            | CliError::Door(_)
            | CliError::Knock(_)
            | CliError::Write { .. }
            | CliError::Capture(_)
            | CliError::Calibrate(_)
            | CliError::SelfCheck(_)
            | CliError::Doctor { .. }
            | CliError::Subject { .. }
            | CliError::NoSubject
            | CliError::NoValgrind
            | CliError::Open(_)
            | CliError::OpenServer(_)
            | CliError::Database(_)
            | CliError::Backup(_)
            | CliError::Unsound { .. }
            | CliError::Merge { .. }
            | CliError::Results(_)
            | CliError::Insert { .. }
            | CliError::PutAlerts(_)
            | CliError::Demo(_)
            | CliError::PutToken(_)
            | CliError::Webhook { .. }
            | CliError::Site(_)
            | CliError::InsertComparison { .. }
            | CliError::Setup { .. }
            | CliError::Bind(_)
            | CliError::Program { .. }
            | CliError::Environment { .. } => Exit::Environment,
            CliError::Yardstick(_) => Exit::SubjectFailed,
            CliError::Interrupted { .. } => Exit::Interrupted,
            CliError::OutputClosed => Exit::Pass,
        }
    }
}
