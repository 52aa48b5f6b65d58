//! How much a confined program uses, looked at from outside: it is charged for nothing.

use super::init::{BY_SIGNAL, END, Report, word};
use super::{Exceeded, Limits};
use crate::clock;
use crate::process::{Ended, How};
use netsim_fabric::Time;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::statvfs::statvfs;
use nix::unistd::{SysconfVar, sysconf};
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How often, in milliseconds. In that time a program can take some hundred MiB, or start some thousand processes.
const EVERY_MS: u16 = 100;
/// So many are watched that often; where there are more, each is looked at more rarely. All watching in real time together
/// shall not keep the processors from the network.
const AT_ONCE: usize = 20;
/// How many are watched.
static WATCHED: AtomicUsize = AtomicUsize::new(0);
/// After so many times `init` is killed, if it has not ended all by then.
const PATIENCE: u32 = 50;
/// A file system with less room than this is full.
const FULL_BYTES: u64 = 64 << 10;

/// What is known of a running confined program.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(super) control: UnixStream,
    /// Its namespace's `/proc`.
    pub(super) proc: File,
    pub(super) limits: Limits,
    /// A directory of the file system it writes to.
    pub(super) space: PathBuf,
}

/// How it ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct End {
    /// When `init` said so, or was gone.
    at: Time,
    /// What `init` said; nothing if it was killed.
    report: Option<Report>,
    /// What it wanted too much of.
    exceeded: Option<Exceeded>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Use {
    private_pages: u64,
    threads: u64,
}

impl Watch {
    /// Waits for the end of the program, and ends it by a signal to `init` when it uses too much.
    pub(crate) fn until_end(&self, signal: impl Fn(Signal)) -> End {
        let mut exceeded = None;
        let mut patience = PATIENCE;
        WATCHED.fetch_add(1, Ordering::Relaxed);
        loop {
            let mut ready = [PollFd::new(self.control.as_fd(), PollFlags::POLLIN)];
            let every_ms = if exceeded.is_none() { every_ms(WATCHED.load(Ordering::Relaxed)) } else { EVERY_MS };
            match poll(&mut ready, PollTimeout::from(every_ms)) {
                Ok(0) if exceeded.is_none() => {
                    exceeded = self.exceeded();
                    if exceeded.is_some() {
                        signal(END);
                    }
                }
                Ok(0) if patience == 0 => signal(Signal::SIGKILL),
                Ok(0) => patience -= 1,
                Err(_) => {}
                Ok(_) => break,
            }
        }
        WATCHED.fetch_sub(1, Ordering::Relaxed);
        let report = self.report();
        let failed = report.is_none_or(|report| report.how != 0);
        // What fills the space in no time complains and exits.
        let full = || (failed && self.is_full()).then_some(Exceeded::Space);
        End { at: clock::now(), report, exceeded: exceeded.or_else(full) }
    }

    fn report(&self) -> Option<Report> {
        let mut message = [0; 1 + Report::BYTES];
        (&self.control).read_exact(&mut message).ok()?;
        let [word::ENDED, numbers @ ..] = message else { return None };
        Some(Report::from_bytes(numbers))
    }

    fn exceeded(&self) -> Option<Exceeded> {
        let processes = self.processes()?;
        // Counted before anything else is read: there may be very many.
        if processes.len() as u64 > self.limits.processes {
            return Some(Exceeded::Processes);
        }
        let used = processes.iter().filter_map(|process| self.used(process)).fold(Use::default(), |all, one| Use {
            private_pages: all.private_pages + one.private_pages,
            threads: all.threads + one.threads,
        });
        if used.private_pages * page_bytes() > self.limits.memory_bytes {
            Some(Exceeded::Memory)
        } else if used.threads > self.limits.processes {
            Some(Exceeded::Processes)
        } else {
            self.is_full().then_some(Exceeded::Space)
        }
    }

    fn is_full(&self) -> bool {
        let Ok(stat) = statvfs(&self.space) else { return false };
        stat.blocks_available() * stat.fragment_size() < FULL_BYTES || (stat.files() > 0 && stat.files_free() == 0)
    }

    fn path(&self, below: &str) -> String {
        format!("/proc/self/fd/{}/{below}", self.proc.as_raw_fd())
    }

    /// All of the namespace but `init`.
    fn processes(&self) -> Option<Vec<String>> {
        let names = fs::read_dir(self.path("")).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        Some(names.filter(|name| name != "1" && name.bytes().all(|byte| byte.is_ascii_digit())).collect())
    }

    /// What one process uses; nothing if it has just ended.
    fn used(&self, process: &str) -> Option<Use> {
        let read = |file| fs::read_to_string(self.path(&format!("{process}/{file}"))).ok();
        parse(&read("statm")?, &read("stat")?)
    }

    /// Processor time of all processes until now, in seconds; those that have ended count once they were collected.
    pub(crate) fn cpu_s(&self) -> Option<f64> {
        let own = self.processes()?;
        let ticks = |process: &str| ticks(&fs::read_to_string(self.path(&format!("{process}/stat"))).ok()?);
        // What was collected by a process counts with it, so `init` stands for the orphans.
        let collected = ticks("1").map_or(0, |[_, _, user, system]| user + system);
        let total = own.iter().filter_map(|process| ticks(process)).map(|ticks| ticks.iter().sum::<u64>()).sum::<u64>();
        let per_second = sysconf(SysconfVar::CLK_TCK).ok()??;
        Some((total + collected) as f64 / per_second as f64)
    }
}

/// How often one of so many is looked at.
fn every_ms(watched: usize) -> u16 {
    u16::try_from(watched.div_ceil(AT_ONCE)).unwrap_or(u16::MAX).max(1).saturating_mul(EVERY_MS)
}

/// From `statm` and `stat`, see proc(5).
fn parse(statm: &str, stat: &str) -> Option<Use> {
    let mut pages = statm.split(' ').skip(1).map(|number| number.parse::<u64>().ok());
    let (resident, shared) = (pages.next()??, pages.next()??);
    let threads = fields(stat)?.nth(17)?.parse().ok()?;
    Some(Use { private_pages: resident.saturating_sub(shared), threads })
}

/// User and system time, then those of collected children.
fn ticks(stat: &str) -> Option<[u64; 4]> {
    let mut ticks = fields(stat)?.skip(11).map(|number| number.parse().ok());
    Some([ticks.next()??, ticks.next()??, ticks.next()??, ticks.next()??])
}

/// What comes behind the program's name, which may hold anything.
fn fields(stat: &str) -> Option<impl Iterator<Item = &str>> {
    Some(stat.rsplit_once(") ")?.1.split(' '))
}

fn page_bytes() -> u64 {
    sysconf(SysconfVar::PAGE_SIZE).ok().flatten().and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(4096)
}

impl End {
    /// What `init` said goes before what was seen of `init` itself.
    pub(crate) fn over(self, seen: Ended) -> Ended {
        let seen = Ended { at: self.at, exceeded: self.exceeded, ..seen };
        let Some(report) = self.report else { return seen };
        let signal = i32::try_from(report.how - BY_SIGNAL).ok().filter(|signal| *signal >= 0);
        let code = i32::try_from(report.how).unwrap_or(-1);
        let unsigned = |number: i64| u64::try_from(number).unwrap_or(0);
        Ended {
            how: signal.map_or(How::Code(code), How::Signal),
            cpu_user_s: report.user_us as f64 / 1e6,
            cpu_system_s: report.system_us as f64 / 1e6,
            peak_rss_bytes: unsigned(report.peak_rss_kib) * 1024,
            context_switches: unsigned(report.context_switches),
            ..seen
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_proc_says_is_understood() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 2 3 4 11 12 13 14 20 0 5 0 99 1000 300 1844 1";
        assert_eq!(parse("1000 300 100 1 0 50 0\n", stat), Some(Use { private_pages: 200, threads: 5 }));
        assert_eq!(ticks(stat), Some([11, 12, 13, 14]));
        assert_eq!(parse("", stat), None);
        assert_eq!(ticks("7 (a) S 1"), None);
    }

    #[test]
    fn many_are_looked_at_more_rarely() {
        assert_eq!([0, 1, 20, 21, 500, usize::MAX].map(every_ms), [100, 100, 100, 200, 2500, u16::MAX]);
    }
}
