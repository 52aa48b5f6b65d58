//! Runs that are interrupted or killed: what was recorded stays, and nothing else does.

use super::files::{GOOD, Scripts, scenario};
use super::ground::{DB, DEADLINE, Ended, Ground, Running};
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// How long an interrupted program may take to end: an impatient person's patience.
const SOON: Duration = Duration::from_secs(5);

/// A run whose fetcher hangs, together with children that left its process group.
struct Hanging {
    ground: Ground,
    running: Running,
    mark: String,
    /// Says something once the fetcher hangs, and again when the last of its processes is gone.
    pipe: Receiver<usize>,
}

impl Hanging {
    fn start() -> Hanging {
        let ground = Ground::new();
        let mark = ground.path("mark").to_string_lossy().into_owned();
        // What it sees of this ground is where a program lies that it needs.
        let tool = ground.path("shared/tool");
        fs::create_dir(ground.path("shared")).unwrap();
        File::options().write(true).create(true).truncate(true).mode(0o755).open(&tool).unwrap();
        let fifo = ground.path("shared/fifo");
        nix::unistd::mkfifo(&fifo, Mode::S_IRWXU).unwrap();
        // Subjects are another user than root.
        fs::set_permissions(&fifo, fs::Permissions::from_mode(0o777)).unwrap();
        // Both sleepers hold the pipe; the first has left the process group before the fetcher goes on.
        let fetcher = format!(
            "exec > {}; mkfifo up; setsid sh -c 'echo > up; exec sleep 1000' & read it < up; \
             echo hanging; exec sleep 1000",
            fifo.display()
        );
        let hangs = Scripts { name: "hangs", fetcher: &fetcher, ..GOOD };
        let good = ground.file("good.toml", &GOOD.text());
        let needs = format!("schema = 1\nneeds = [{tool:?}]\n");
        let hangs = ground.file("hangs.toml", &hangs.text().replacen("schema = 1\n", &needs, 1));
        let file = ground.file("small.toml", &scenario("small").replace("\"1s\"", "\"600s\""));
        ground.record_one();
        let arguments = ["run", file, "--subject", good, "--subject", hangs, "--json", "--db", DB];
        let running = ground.start_marked(&arguments, &mark);
        let (to, pipe) = channel();
        std::thread::spawn(move || {
            let mut pipe = File::open(fifo).unwrap();
            let mut buffer = [0; 100];
            while let Ok(len) = pipe.read(&mut buffer)
                && to.send(len).is_ok()
                && len > 0
            {}
        });
        let hanging = Hanging { ground, running, mark, pipe };
        assert_eq!(hanging.pipe.recv_timeout(DEADLINE), Ok("hanging\n".len()));
        hanging
    }

    /// Waits for its end, and checks that only what was recorded is left.
    fn end(self) -> Ended {
        let ended = self.running.end_within(SOON);
        assert_eq!(self.pipe.recv_timeout(SOON), Ok(0), "a process of the subject is left");
        wait_until_gone(&self.mark);
        // The one from before, and the good subject's.
        let records = self.ground.records();
        assert_eq!(records.len(), 2);
        assert_eq!(ended.records(), &records[1..]);
        ended
    }
}

pub(crate) fn interruption_keeps_what_is_recorded() {
    type Send = fn(&Running, Signal);
    let rows: [(Send, Signal); 4] = [
        (Running::signal_all, Signal::SIGINT),
        (Running::signal, Signal::SIGINT),
        (Running::signal, Signal::SIGTERM),
        (Running::signal_all, Signal::SIGTERM),
    ];
    for (send, signal) in rows {
        let hanging = Hanging::start();
        send(&hanging.running, signal);
        let ended = hanging.end();
        assert_eq!(ended.code, Some(130), "{signal}: {ended:?}");
        assert_eq!(ended.stderr.lines().last(), Some("longhaul: interrupted; 1 finished run is recorded"), "{signal}");
    }
}

pub(crate) fn a_killed_run_leaves_nothing_behind() {
    let hanging = Hanging::start();
    hanging.running.signal(Signal::SIGKILL);
    assert_eq!(hanging.end().code, None);
}

/// The kernel takes a moment to end a namespace's processes; each pass of this loop reads all of /proc.
fn wait_until_gone(mark: &str) {
    for _ in 0..10_000 {
        if marked(mark).is_empty() {
            return;
        }
        std::thread::yield_now();
    }
    panic!("processes are left: {:?}", marked(mark));
}

/// The processes that carry the mark in their environment.
fn marked(mark: &str) -> Vec<i32> {
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let carries = |pid: &i32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|entry| entry.ends_with(mark.as_bytes()))
    };
    processes.filter(carries).collect()
}
