//! Counting instructions: the subject's programs run under Valgrind's Callgrind, which is slow and hardly ever differs.
//!
//! Manual: <https://valgrind.org/docs/manual/cl-manual.html>. Each process leaves a log in its home, whose last lines have
//! `Collected : N`, the instructions it executed outside the kernel.

use super::confined::read_below;
use std::path::Path;

/// How the logs' names begin.
const LOG: &str = "callgrind-";
/// A log is some lines long, if it is one.
const MAX_LOG: u64 = 64 << 10;

/// The command line under Callgrind, found at `valgrind`.
pub(super) fn under(valgrind: &Path, home: &Path, command: Vec<String>) -> Vec<String> {
    let log = home.join(format!("{LOG}%p"));
    let options = ["--tool=callgrind", "--trace-children=yes", "--callgrind-out-file=/dev/null"].map(str::to_owned);
    let log = format!("--log-file={}", log.display());
    [valgrind.display().to_string()].into_iter().chain(options).chain([log, "--".to_owned()]).chain(command).collect()
}

/// What the processes that have ended since the last time executed, all together; nothing if none of them left a log.
pub(super) fn collected(home: &Path) -> Option<u64> {
    let names = std::fs::read_dir(home).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let count = |name: String| {
        let count = count_in(&read_below(home, &name, MAX_LOG).ok()?)?;
        // Each counts once, and who goes on has no count yet.
        std::fs::remove_file(home.join(name)).ok()?;
        Some(count)
    };
    names.filter(|name| name.starts_with(LOG)).filter_map(count).reduce(u64::saturating_add)
}

fn count_in(log: &str) -> Option<u64> {
    log.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn every_process_counts_once_when_it_has_ended() {
        let home = tempfile::tempdir().unwrap();
        let log = |name: &str, text: &str| fs::write(home.path().join(name), text).unwrap();
        assert_eq!(collected(home.path()), None);
        log("callgrind-7", "==7== Events    : Ir\n==7== Collected : 600\n==7== \n==7== I   refs:      600\n");
        log("callgrind-8", "==8== Callgrind, a call-graph generating cache profiler\n");
        log("other", "Collected : 1000\n");
        std::os::unix::fs::symlink("other", home.path().join("callgrind-9")).unwrap();
        assert_eq!(collected(home.path()), Some(600));
        log("callgrind-8", "==8== Collected : 50\n");
        log("callgrind-10", "==8== Collected : 18446744073709551615\n");
        assert_eq!(collected(home.path()), Some(u64::MAX));
        assert_eq!(collected(home.path()), None);
    }
}
