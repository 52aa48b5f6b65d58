//! Simulated networks by hand, and the engines of all of them.

use clap::Subcommand;
use netsim_lab::{Engines, Lab, LabError, LinkEngine, NatEngine};
use netsim_topology::Plan;
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum LabCommand {
    /// Show a scenario's hosts, routers and links
    Show {
        /// Name or file of a scenario
        scenario: String,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Bring a scenario's network up and keep it up until Ctrl-C, for `exec` and `shell` in other terminals
    Up {
        /// Name or file of a scenario
        scenario: String,
        /// What `exec` and `shell` are to call it, instead of the scenario's name
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        network: NetworkArgs,
    },
    /// Run a program on a simulated host, with this terminal
    Exec {
        /// A network that is up, or the name or file of a scenario whose network is brought up for this program alone
        #[arg(value_name = "NAME|SCENARIO")]
        scenario: String,
        /// The host
        host: String,
        #[command(flatten)]
        network: NetworkArgs,
        /// Program and arguments, after `--`
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
    /// Open a shell on a simulated host
    Shell {
        /// A network that is up, or the name or file of a scenario whose network is brought up for this shell alone
        #[arg(value_name = "NAME|SCENARIO")]
        scenario: String,
        /// The host
        host: String,
        #[command(flatten)]
        network: NetworkArgs,
    },
    /// Measure what networks cost as they grow, from 2 hosts to 1,000
    Scale {
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Run a program on a simulated host and keep what passes the links, as a pcapng file for Wireshark
    Capture {
        /// Name or file of a scenario
        scenario: String,
        /// The host
        host: String,
        /// The file
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// A link, both directions of it, for example bob.link or home.uplink; may be given several times. Without it, all
        #[arg(long = "link", value_name = "LINK")]
        links: Vec<String>,
        #[command(flatten)]
        network: NetworkArgs,
        /// Program and arguments, after `--`
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
    /// Try everything routers and links must do, on every engine, with real packets; takes about a minute
    Conformance {
        /// Only this engine; without it, all that this machine has
        #[arg(long, value_enum, value_name = "ENGINE")]
        engine: Option<Tested>,
        /// Print one line of JSON, for --add
        #[arg(long, conflicts_with = "markdown")]
        json: bool,
        /// Print the table that is in docs/netsim-conformance.md
        #[arg(long)]
        markdown: bool,
        /// With --markdown: more columns, from what --json printed elsewhere; other lines of the file do not matter
        #[arg(long, value_name = "FILE", requires = "markdown")]
        add: Vec<PathBuf>,
    },
    /// Measure the network of a scenario, or what this machine makes of the simulated links themselves
    Calibrate {
        /// Name or file of a scenario: every host's way to the internet, the transfer's path, and each NAT, beside what
        /// was asked; ends with 4 where that is outside tolerance
        #[arg(value_name = "SCENARIO", required_unless_present = "of_self", conflicts_with = "of_self")]
        scenario: Option<String>,
        #[command(flatten)]
        network: NetworkArgs,
        /// Measure the links beside a plain pair of network devices, and the reference transfer beside raw QUIC and curl
        #[arg(long = "self")]
        of_self: bool,
        /// How often to measure everything with --self; 5 rounds take about a minute and a half
        #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
        rounds: u32,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
}

/// A network that is brought up by hand.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct NetworkArgs {
    /// Seed of the network, where it is brought up
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) engines: EngineArgs,
}

impl NetworkArgs {
    /// Brings it up.
    pub(crate) fn up(self, plan: &Plan) -> Result<Lab, LabError> {
        Lab::up_with(plan, self.seed, self.engines.engines())
    }
}

/// What networks are made of.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct EngineArgs {
    /// What delays and loses packets
    #[arg(long, value_enum, value_name = "ENGINE", default_value_t = Links::Userspace)]
    link_engine: Links,
    /// What translates and filters in routers
    #[arg(long, value_enum, value_name = "ENGINE", default_value_t = Nat::Userspace)]
    nat_engine: Nat,
    /// The most threads that may carry packets, from 1 to 64; without it, what suits the machine. Networks that meet only in
    /// the internet's core can have a thread each
    #[arg(long, value_name = "N", value_parser = threads)]
    threads: Option<NonZeroUsize>,
}

/// A number of threads that a machine can have.
fn threads(text: &str) -> Result<NonZeroUsize, String> {
    const MOST: usize = 64;
    let number = text.parse().ok().filter(|number: &NonZeroUsize| number.get() <= MOST);
    number.ok_or_else(|| format!("use a number from 1 to {MOST}"))
}

impl EngineArgs {
    /// With the best attachment that this machine has for them.
    pub(crate) fn engines(self) -> Engines {
        let links = match self.link_engine {
            Links::Userspace => LinkEngine::Userspace,
            Links::Netem => LinkEngine::Netem,
        };
        let best = Engines::default();
        let threads = self.threads.unwrap_or(best.threads);
        Engines { links, nat: self.nat_engine.engine(), threads, ..best }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Nat {
    /// The simulator's own: everything, decided by the seed
    Userspace,
    /// Linux's connection tracking: what it does otherwise is refused
    Nftables,
}

/// An engine of the conformance suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Tested {
    /// The simulator's own routers and links
    Userspace,
    /// Routers of Linux's connection tracking
    Nftables,
    /// Links of the kernel's netem
    Netem,
}

impl Nat {
    pub(crate) fn engine(self) -> NatEngine {
        match self {
            Nat::Userspace => NatEngine::Userspace,
            Nat::Nftables => NatEngine::Nftables,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Links {
    /// The simulator's own: everything, decided by the seed
    Userspace,
    /// The kernel's netem: no seed decides, and what it does otherwise is refused
    Netem,
}
