//! Writers that are killed, for every backend's tests: what a store has told a writer that it keeps, it keeps, whole.
//!
//! The test program starts itself as a [`writer`], which says on standard output what has been acknowledged. [`kill`] ends it
//! with SIGKILL at a random point, and [`inspect`] compares what it said with what is there.

use super::sample::{self, Shape};
use crate::{Inserted, RunFilter, Store, Upkeep};
use longhaul_record::{Outcome, RunRecord};
use std::collections::BTreeSet;
use std::hint::black_box;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

/// Random numbers of a seed (SplitMix64, Steele, Lea and Flood 2014).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Of the variable `LONGHAUL_CRASH_SEED`, or 1. Printed, so that a failure can be repeated as far as killing can be.
    #[expect(clippy::print_stdout, reason = "a test says its seed")]
    pub fn from_environment() -> Random {
        let seed = std::env::var("LONGHAUL_CRASH_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
        println!("LONGHAUL_CRASH_SEED={seed}");
        Random(seed)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}

/// The most runs that are inserted at once.
const BATCH: u64 = 4;

/// Writers number their runs from here on, each from a thousand of its own.
pub fn first_of(writer: u64) -> u64 {
    writer * 1000
}

/// The run of a number: of five commits, so that points grow, and every seventh a failure.
pub fn run(number: u64) -> RunRecord {
    let shape = Shape { network: 1, subject: "reference", commit: number as u32 % 5, iteration: number as u32 };
    let mut run = match number % 7 {
        0 => sample::failed(shape, Outcome::TimedOut, "still running after 60 s", ""),
        _ => sample::run(shape),
    };
    run.id = format!("crash-{number}");
    run
}

/// Inserts runs from a number on, one by one and by batches, and says the number of each that was acknowledged. Ends when it
/// is killed, when nobody listens, or after a thousand.
pub async fn writer(store: &dyn Store, first: u64) -> Result<(), Box<dyn std::error::Error>> {
    let mut out = std::io::stdout();
    let mut random = Random(first);
    let mut number = first;
    while number < first + 1000 - BATCH {
        let many = 1 + random.below(BATCH);
        let runs: Vec<RunRecord> = (number..number + many).map(run).collect();
        let inserted = match &runs[..] {
            [run] => vec![store.insert_run(run).await?],
            runs => store.insert_runs(runs).await?,
        };
        assert!(inserted.iter().all(|inserted| *inserted == Inserted::New));
        for acknowledged in number..number + many {
            writeln!(out, "{acknowledged}")?;
        }
        out.flush()?;
        number += many;
    }
    Ok(())
}

/// Starts a writer, and ends it by `end` after some acknowledgements and a moment more. Returns what it had acknowledged.
pub fn kill(command: &mut Command, random: &mut Random, end: impl FnOnce(&mut std::process::Child)) -> Vec<u64> {
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let wanted = random.below(8) as usize;
    let mut said: Vec<String> = lines.by_ref().take(wanted).map(|line| line.unwrap()).collect();
    // A moment of processor time, not of a clock: a new process wants longer to get anywhere than one that is at it.
    for turn in 0..random.below(if wanted == 0 { 20_000_000 } else { 1_000_000 }) {
        black_box(turn);
    }
    end(&mut child);
    // What was in the pipe was said too.
    said.extend(lines.map_while(Result::ok));
    child.wait().unwrap();
    said.iter().filter_map(|line| line.parse().ok()).collect()
}

/// Everything that was acknowledged is there as it was written, nothing is there by halves, and of what was not
/// acknowledged at most the batch that was on its way.
pub async fn inspect(store: &dyn Upkeep, acknowledged: &BTreeSet<u64>, writers: u64) {
    assert_eq!(store.check().await.unwrap(), []);
    for number in acknowledged {
        let expect = run(*number);
        assert_eq!(store.run(&expect.id).await.unwrap(), Some(expect));
    }
    let all = RunFilter { limit: u32::MAX, ..RunFilter::default() };
    let stored = store.runs(&all).await.unwrap();
    let number = |id: &str| id.strip_prefix("crash-").and_then(|number| number.parse::<u64>().ok()).unwrap();
    let unsaid: Vec<u64> =
        stored.iter().map(|run| number(&run.id)).filter(|number| !acknowledged.contains(number)).collect();
    assert!(unsaid.len() as u64 <= BATCH * writers, "{unsaid:?} were kept without a word");
    for writer in 0..writers {
        let of = |number: &&u64| (first_of(writer)..first_of(writer + 1)).contains(number);
        let last = acknowledged.iter().filter(of).max();
        let from = last.map_or(first_of(writer), |last| last + 1);
        let mut own: Vec<u64> = unsaid.iter().copied().filter(|number| of(&number)).collect();
        own.sort_unstable();
        let expect: Vec<u64> = (from..from + own.len() as u64).collect();
        assert_eq!(own, expect, "the next batch, or nothing");
    }
}
