//! Programs inside hosts.

use super::network::{pair, up};
use netsim_fabric::LinkConfig;
use netsim_lab::{How, Lab, Line, NoLine, Process, ProcessError, Signal, Spec};
use std::time::Duration;

pub(crate) const LONG: Duration = Duration::from_secs(20);

pub(crate) fn spec(command: &[&str]) -> Spec {
    let environment = [("PATH".into(), "/usr/sbin:/usr/bin:/sbin:/bin".into())].into();
    Spec { command: command.iter().map(Into::into).collect(), environment, ..Spec::default() }
}

fn shell(script: &str) -> (Lab, Process) {
    let (_, lab) = up(&pair(LinkConfig::default()), 1);
    let process = lab.host("a").unwrap().spawn(&spec(&["sh", "-c", script])).unwrap();
    (lab, process)
}

pub(crate) fn text(line: Result<Line, NoLine>) -> Option<String> {
    match line.ok()? {
        Line::Text { text, .. } => Some(text),
        other => Some(format!("{other:?}")),
    }
}

pub(crate) fn output_and_usage_are_captured() {
    let (_lab, process) = shell(
        "cat /proc/net/dev | grep -c net0; echo oops >&2; i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; exit 3",
    );
    assert_eq!(text(process.next_line(LONG)).as_deref(), Some("1"), "it sees the host's device");
    let ended = process.wait(LONG).unwrap();
    assert_eq!(ended.how, How::Code(3));
    assert!(ended.cpu_user_s + ended.cpu_system_s > 0.0 && ended.peak_rss_bytes > 100_000, "{ended:?}");
    assert_eq!(process.stderr_tail(LONG), "oops\n");
    assert_eq!(process.next_line(LONG), Err(NoLine::More));
}

pub(crate) fn a_hanging_program_is_ended_with_its_children() {
    // The child ignores SIGTERM and would print after it; only the end of the whole group closes the pipe.
    let (_lab, process) = shell("trap '' TERM; (sleep 1000; echo child) & echo started; wait");
    assert_eq!(text(process.next_line(LONG)).as_deref(), Some("started"));
    let ended = process.stop(Signal::SIGTERM, Duration::from_millis(50)).unwrap();
    assert_eq!(ended.how, How::Signal(9));
    assert_eq!(process.next_line(LONG), Err(NoLine::More), "the pipe is closed: the child is gone as well");
}

pub(crate) fn a_flood_does_not_block() {
    let (_lab, process) = shell("head -c 80000000 /dev/zero | tr '\\0' '\\n'; exit 0");
    let mut floods = 0;
    while let Ok(line) = process.next_line(LONG) {
        floods += usize::from(line == Line::Flood);
    }
    assert_eq!(floods, 1);
    assert_eq!(process.wait(LONG).unwrap().how, How::Code(0));
}

pub(crate) fn a_missing_program_is_named() {
    let (_, lab) = up(&pair(LinkConfig::default()), 1);
    let host = lab.host("a").unwrap();
    let error = host.spawn(&spec(&["/no/such/program"])).unwrap_err();
    assert_eq!(error.to_string(), "cannot start `/no/such/program`");
    assert!(matches!(host.spawn(&spec(&[])), Err(ProcessError::Empty)));
    assert_eq!(lab.host("c").unwrap_err().to_string(), "no host `c`; there are: a, b");
}
