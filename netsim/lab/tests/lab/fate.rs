//! What is left of a lab whose program is killed: nothing.

use super::network::{pair, up};
use netsim_fabric::LinkConfig;
use netsim_lab::Spec;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

/// Marks a victim and all its children, in their environment.
const MARK: &str = "NETSIM_LAB_TEST_VICTIM";
/// What a victim has done when it says so.
const STAGES: [&str; 3] = ["entered", "up", "running"];

/// If this process was started as a victim: brings a lab up step by step, says so, and waits to be killed.
pub(crate) fn victim_main() -> Option<i32> {
    let mark = std::env::var_os(MARK)?;
    let sandbox = netsim_lab::enter().unwrap();
    fs::write(sandbox.scratch().join("payload"), mark.as_bytes()).unwrap();
    println!("entered");
    let (_, lab) = up(&pair(LinkConfig::default()), 1);
    println!("up");
    let environment = [(MARK.into(), mark), ("PATH".into(), "/usr/bin:/bin".into())].into();
    // A child that leaves its process group, as daemons do.
    let command = ["setsid", "sleep", "1000"].map(Into::into).into();
    let _process = lab.host("a").unwrap().spawn(&Spec { command, environment, ..Spec::default() }).unwrap();
    println!("running");
    loop {
        std::thread::park();
    }
}

pub(crate) fn kill_at_any_moment_leaves_nothing_behind() {
    let namespaces = network_namespaces();
    for stage in STAGES {
        for generation in 0..3 {
            let mark = format!("{stage}-{generation}");
            let mut victim =
                Command::new(std::env::current_exe().unwrap()).env(MARK, &mark).stdout(Stdio::piped()).spawn().unwrap();
            let lines = BufReader::new(victim.stdout.take().unwrap()).lines();
            // Keeps the pipe: its end says that the last process that held it is gone.
            let mut lines = lines.map(Result::unwrap);
            assert!(lines.any(|line| line == stage), "{mark}: the victim ended early");
            // Outer, init or program, whichever is that many generations below; fewer if it has not come so far.
            let family = marked(&mark);
            assert!(family.len() >= 3, "{mark}: {family:?}");
            kill(Pid::from_raw(family[generation]), Signal::SIGKILL).unwrap();
            victim.wait().unwrap();
            lines.for_each(drop);
            wait_until_gone(&mark, &namespaces);
            let payload = fs::read("/dev/shm/payload").unwrap_or_default();
            assert_ne!(payload, mark.as_bytes(), "{mark}: a scratch file is left");
        }
    }
}

/// The processes that carry the mark, oldest first.
fn marked(mark: &str) -> Vec<i32> {
    let wanted = format!("{MARK}={mark}");
    let mut pids: Vec<i32> = processes()
        .filter(|pid| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|entry| entry == wanted.as_bytes())
        })
        .collect();
    pids.sort_unstable();
    pids
}

fn processes() -> impl Iterator<Item = i32> {
    fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// The kernel takes a moment to end a namespace's processes; each pass of this loop reads all of /proc. A process that
/// is ending has no environment any more while it still closes its devices, inside its namespace.
fn wait_until_gone(mark: &str, namespaces: &BTreeSet<String>) {
    for _ in 0..10_000 {
        if marked(mark).is_empty() && network_namespaces() == *namespaces {
            return;
        }
        std::thread::yield_now();
    }
    let left = (marked(mark), network_namespaces());
    panic!("{mark}: processes or namespaces are left: {left:?}; there were {namespaces:?}");
}

/// The network namespaces that any process is in.
fn network_namespaces() -> BTreeSet<String> {
    processes()
        .filter_map(|pid| Some(fs::read_link(format!("/proc/{pid}/ns/net")).ok()?.to_string_lossy().into_owned()))
        .collect()
}
