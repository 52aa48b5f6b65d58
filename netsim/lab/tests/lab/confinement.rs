//! Programs that nobody trusts: what they cannot see, do and use.

use super::network::{pair, up};
use super::processes::{LONG, spec, text};
use netsim_fabric::LinkConfig;
use netsim_lab::{Confinement, Ended, Exceeded, How, Lab, Limits, NoLine, Process, ProcessError, Signal, Space, Spec};
use nix::sys::signal::SigHandler;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;

/// A host, and directories for a program on it.
struct Ground {
    lab: Lab,
    directory: TempDir,
    limits: Limits,
}

impl Ground {
    fn new() -> Ground {
        let directory = TempDir::new().unwrap();
        for name in ["home", "out", "tmp", "payload", "secret"] {
            fs::create_dir(directory.path().join(name)).unwrap();
            fs::write(directory.path().join(name).join("file"), "text\n").unwrap();
        }
        let (_, lab) = up(&pair(LinkConfig::default()), 1);
        Ground { lab, directory, limits: Limits::default() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn spec(&self, command: &[&str]) -> Spec {
        let confinement = Confinement {
            readable: vec![self.path("payload")],
            writable: ["home", "out"].map(|name| self.path(name)).into(),
            tmp: self.path("tmp"),
            limits: self.limits,
        };
        let mut spec = Spec { directory: Some(self.path("home")), confinement: Some(confinement), ..spec(command) };
        spec.environment.insert("HOME".into(), self.path("home").into());
        spec.environment.insert("BASE".into(), self.directory.path().into());
        spec
    }

    fn spawn(&self, script: &str) -> Process {
        self.lab.host("a").unwrap().spawn(&self.spec(&["sh", "-c", script])).unwrap()
    }

    /// What a script prints, which must exit with success.
    fn says(&self, script: &str) -> Vec<String> {
        let process = self.spawn(script);
        let lines: Vec<String> = std::iter::from_fn(|| text(process.next_line(LONG))).collect();
        let ended = process.wait(LONG).unwrap();
        assert_eq!(ended.how, How::Code(0), "{lines:?} {}", process.stderr_tail(LONG));
        lines
    }

    fn end_of(&self, script: &str) -> Ended {
        // Without real-time priority a fork bomb keeps the machine busy for a while before it can be ended.
        self.spawn(script).wait(6 * LONG).unwrap()
    }
}

pub(crate) fn nothing_else_can_be_written() {
    let ground = Ground::new();
    let places = "/ /usr /usr/bin /etc /opt /proc /proc/sys/kernel /sys /dev /run /var $BASE/payload \
                  $BASE/home $BASE/out /tmp /var/tmp /dev/shm";
    let written =
        ground.says(&format!("for at in {places}; do (: > $at/new) 2>/dev/null && echo ${{at#$BASE/}}; done; true"));
    assert_eq!(written, ["home", "out", "/tmp", "/var/tmp", "/dev/shm"]);
    let host_name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let changed = "(echo x > /proc/sys/kernel/hostname) 2>/dev/null && echo name; \
                   (: > /etc/passwd) 2>/dev/null && echo passwd; (echo x >> $BASE/payload/file) 2>/dev/null && echo file; \
                   mount -t tmpfs none /tmp 2>/dev/null && echo mount; \
                   mount -o remount,rw / 2>/dev/null && echo remount; true";
    assert_eq!(ground.says(changed), [""; 0]);
    assert_eq!(fs::read_to_string("/proc/sys/kernel/hostname").unwrap(), host_name);
    // The machine's root is not who runs it: root's limits would not be kept, and its files could be read.
    let owner = fs::metadata(ground.path("home/new")).unwrap().uid();
    let root_of_the_machine = fs::read_to_string("/proc/self/uid_map").unwrap().trim().ends_with("4294967295");
    assert_eq!(owner, if root_of_the_machine { 65_534 } else { 0 });
    // What it wrote is where others look for it, and only that.
    for (name, there) in [("home", true), ("out", true), ("tmp", true), ("payload", false), ("secret", false)] {
        assert_eq!(ground.path(name).join("new").exists(), there, "{name}");
    }
}

pub(crate) fn nothing_else_can_be_read() {
    let ground = Ground::new();
    let beside = ground.says("cd $BASE; ls; cat payload/file home/file");
    assert_eq!(beside, ["home", "out", "payload", "text", "text"]);
    let mut root = ground.says("ls -A /");
    root.retain(|name| !matches!(name.as_str(), "bin" | "sbin" | "lib" | "nix" | "gnu" | "opt" | "usr" | "etc"));
    root.retain(|name| !name.starts_with("lib"));
    let base = ground.directory.path().components().nth(1).unwrap().as_os_str().to_string_lossy().into_owned();
    root.retain(|name| *name != base || name == "tmp");
    assert_eq!(root, [".confined", "dev", "proc", "run", "sys", "tmp", "var"]);
    assert_eq!(ground.says("find /home /root /run /mnt /media /srv /boot -type f 2>/dev/null; true"), [""; 0]);
    let devices = ground.says("cd /dev; for at in *; do test -L $at || test -d $at || echo $at; done");
    assert_eq!(devices, ["full", "null", "random", "urandom", "zero"]);
    // Readable by the owner alone, and in the eyes of the kernel that is who runs it, when these tests run as root.
    assert_eq!(ground.says("cat /etc/shadow /etc/gshadow /etc/ssh/ssh_host_*_key 2>/dev/null; true"), [""; 0]);
    // Nothing else is open, either.
    let open = "for n in 3 4 5 6 7 8 9 10 11 12; do test -e /proc/$$/fd/$n && echo $n; done; true";
    assert_eq!(ground.says(open), [""; 0]);
    assert_eq!(ground.says("cat; echo no input"), ["no input"]);
}

pub(crate) fn nobody_else_is_there() {
    let ground = Ground::new();
    let other = ground.spawn("echo up; exec sleep 98765");
    assert_eq!(text(other.next_line(LONG)).as_deref(), Some("up"));
    let others = ground.says("grep -l 9876[5] /proc/[0-9]*/cmdline 2>/dev/null; ls /proc | grep -c '^[0-9]'");
    // `init`, the shell, `ls` and `grep`.
    assert_eq!(others, ["4"]);
    assert_eq!(ground.says("sleep 1000 & kill -9 -1; wait; echo alone"), ["alone"]);
    assert_eq!(other.wait(Duration::ZERO), None, "it reaches nobody else");
    assert_eq!(ground.says("hostname; id -un; cd; pwd | grep -c home"), ["a", "user", "1"]);
}

pub(crate) fn there_are_no_privileges() {
    let ground = Ground::new();
    let status = ground.says("grep -E '^(Cap|NoNewPrivs)' /proc/self/status");
    let values: Vec<&str> = status.iter().map(|line| line.split_once('\t').unwrap().1).collect();
    assert_eq!(values[..5], ["0000000000000000"; 5], "{status:?}");
    assert_eq!(values[5..], ["1"]);
    let more = "unshare --user --map-root-user true 2>/dev/null && echo namespaces; \
                ip link set net0 down 2>/dev/null && echo network; \
                chroot / true 2>/dev/null && echo chroot; su root -c true 2>/dev/null && echo su; \
                cat /proc/1/environ 2>/dev/null && echo init; kill -9 1; echo alive; \
                cat /proc/sys/net/ipv4/ip_unprivileged_port_start";
    assert_eq!(ground.says(more), ["alive", "0"]);
}

pub(crate) fn hogs_are_ended_with_a_reason() {
    let mut ground = Ground::new();
    let space = Space::mount(&ground.path("tmp"), 1 << 20).unwrap();
    ground.limits = Limits { memory_bytes: 64 << 20, processes: 60, files: 20 };
    let hogs = [
        // It keeps the end of its input, which has one line.
        ("head -c 2G /dev/zero | tail", Exceeded::Memory),
        ("for n in $(seq 100); do sleep 1000 & done; wait", Exceeded::Processes),
        ("cat /dev/zero > /tmp/hog", Exceeded::Space),
        ("while :; do cat /dev/zero; done > /tmp/hog 2>/dev/null", Exceeded::Space),
    ];
    for (script, reason) in hogs {
        let ended = ground.end_of(script);
        assert_eq!(ended.exceeded, Some(reason), "{script}: {ended:?}");
        let _ = fs::remove_file(ground.path("tmp/hog"));
    }
    // Whatever becomes of the watch, the kernel starts no more than twice as many processes as it allows.
    let most = ground.says("grep '^Max processes' /proc/self/limits | tr -s ' ' | cut -d' ' -f3,4");
    assert_eq!(most, ["120 120"]);
    assert_eq!(ground.says("ulimit -n"), ["20"]);
    assert_eq!(ground.end_of("exit 4").exceeded, None);
    // A fork bomb may die out at the kernel's limit before it is seen, for most of it gives up at once. It ends with its
    // program at the latest.
    let ended = ground.end_of("bomb() { bomb | bomb & }; bomb; exec sleep 2");
    let expected = [(Some(Exceeded::Processes), How::Signal(9)), (None, How::Code(0))];
    assert!(expected.contains(&(ended.exceeded, ended.how)), "{ended:?}");
    drop(space);
    assert!(ground.path("tmp/file").exists(), "the space is gone");
}

/// Burns about so much processor time that it cannot be overlooked.
const BURN: &str = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done";

pub(crate) fn a_daemon_ends_with_its_program_and_counts() {
    let ground = Ground::new();
    let alone = ground.end_of(&format!("{BURN}; exit 3"));
    let daemon = format!("mkfifo up; setsid sh -c '{BURN}; echo > up; exec sleep 1000' & read it < up; exit 3");
    let process = ground.spawn(&daemon);
    assert_eq!(process.next_line(LONG), Err(NoLine::More), "nobody holds the stream open");
    let ended = process.wait(LONG).unwrap();
    assert_eq!((ended.how, alone.how), (How::Code(3), How::Code(3)));
    let [daemon, alone] = [ended, alone].map(|ended| ended.cpu_user_s + ended.cpu_system_s);
    assert!(daemon > alone / 4.0 && alone > 0.01, "{daemon} {alone}");
    assert!(ended.peak_rss_bytes > 100_000 && ended.context_switches > 0, "{ended:?}");
}

pub(crate) fn a_killed_program_counts() {
    let ground = Ground::new();
    let process = ground.spawn(&format!("sh -c '{BURN}; echo burnt; exec sleep 1000'; true"));
    assert_eq!(text(process.next_line(LONG)).as_deref(), Some("burnt"));
    assert!(process.cpu_s().unwrap() > 0.0);
    let ended = process.kill().unwrap();
    assert_eq!(ended.how, How::Signal(9));
    assert!(ended.cpu_user_s + ended.cpu_system_s > 0.01, "{ended:?}");
}

pub(crate) fn signals_and_statuses_pass() {
    let ground = Ground::new();
    let rows = [("exit 0", How::Code(0)), ("exit 255", How::Code(255)), ("kill -SEGV $$", How::Signal(11))];
    for (script, how) in rows {
        assert_eq!(ground.end_of(script).how, how, "{script}");
    }
    let asked = [
        ("trap 'exit 7' TERM; echo up; while :; do sleep 0.02; done", Signal::SIGTERM, How::Code(7)),
        ("trap 'exit 8' INT; echo up; while :; do sleep 0.02; done", Signal::SIGINT, How::Code(8)),
        ("echo up; exec sleep 1000", Signal::SIGTERM, How::Signal(15)),
        ("echo up; sleep 1000", Signal::SIGQUIT, How::Signal(3)),
        ("echo up; exec sleep 1000", Signal::SIGKILL, How::Signal(9)),
    ];
    // As a shell leaves it to what it starts with `&`.
    #[expect(unsafe_code, reason = "no safe wrapper exists")]
    // SAFETY: no code of ours is called.
    let before = unsafe { nix::sys::signal::signal(Signal::SIGINT, SigHandler::SigIgn) }.unwrap();
    for (script, signal, how) in asked {
        let process = ground.spawn(script);
        assert_eq!(text(process.next_line(LONG)).as_deref(), Some("up"));
        let ended = process.stop(signal, LONG).unwrap();
        assert_eq!(ended.how, how, "{script} {signal}: {ended:?}");
    }
    #[expect(unsafe_code, reason = "no safe wrapper exists")]
    // SAFETY: it was so before.
    let _ = unsafe { nix::sys::signal::signal(Signal::SIGINT, before) };
    let deaf = ground.spawn("trap '' TERM; (sleep 1000; echo child) & echo up; wait");
    assert_eq!(text(deaf.next_line(LONG)).as_deref(), Some("up"));
    assert_eq!(deaf.stop(Signal::SIGTERM, Duration::from_millis(50)).unwrap().how, How::Signal(9));
    assert_eq!(deaf.next_line(LONG), Err(NoLine::More));
}

pub(crate) fn what_is_not_there_is_named() {
    let mut ground = Ground::new();
    let refused = |ground: &Ground, command: &[&str]| {
        let error = ground.lab.host("a").unwrap().spawn(&ground.spec(command)).unwrap_err();
        (matches!(error, ProcessError::Confine { .. }), error.to_string())
    };
    assert_eq!(refused(&ground, &["/no/such/program"]), (false, "cannot start `/no/such/program`".into()));
    let secret = ground.path("secret/file").to_string_lossy().into_owned();
    assert_eq!(refused(&ground, &[&secret]), (false, format!("cannot start `{secret}`")));
    fs::remove_dir_all(ground.path("out")).unwrap();
    let taking = format!("cannot confine a program: taking {}", ground.path("out").display());
    assert_eq!(refused(&ground, &["true"]), (true, format!("{taking}; `longhaul doctor` says more")));
    ground.directory = TempDir::new().unwrap();
    assert!(refused(&ground, &["true"]).0);
}

/// Confining takes some milliseconds; the time of a program begins after it.
pub(crate) fn nothing_of_it_is_in_its_time() {
    let ground = Ground::new();
    let host = ground.lab.host("a").unwrap();
    let median = |spec: &Spec| {
        let mut times: Vec<[u64; 2]> = (0..50)
            .map(|_| {
                let asked = netsim_lab::now();
                let process = host.spawn(spec).unwrap();
                let whole = netsim_lab::now().nanos_since(asked);
                [process.wait(LONG).unwrap().at.nanos_since(process.started()), whole]
            })
            .collect();
        let mut of = |n: usize| {
            times.sort_by_key(|time| time[n]);
            times[times.len() / 2][n]
        };
        [of(0), of(1)].map(Duration::from_nanos)
    };
    let confined = median(&ground.spec(&["true"]));
    let plain = median(&spec(&["true"]));
    println!("`true`, in its own time and until it has started: confined {confined:?}, plain {plain:?}");
    assert!(confined[0] < plain[0] + Duration::from_secs(3), "{confined:?} {plain:?}");
}
