//! What both stores cost, side by side, as the page `docs/store.md`:
//!
//! ```text
//! cargo run --release -p longhaul-postgres --example figures >docs/store.md
//! ```
//!
//! Ten million invented samples: 30 scenarios × 10 subjects on 200 commits, five runs each with 33 metrics, and one scenario
//! with a single run on each of 3,000 commits. A number as argument is how many commits the 300 have, for a quick look.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program's output")]

use longhaul_postgres::PostgresStore;
use longhaul_postgres::testing::Server;
use longhaul_record::{RunRecord, Sample};
use longhaul_sqlite::SqliteStore;
use longhaul_store::testing::sample::{self, Shape};
use longhaul_store::{OverviewQuery, SeriesQuery, Store, Upkeep};
use std::error::Error;
use std::process::Command;
use std::time::{Duration, Instant};

const SCENARIOS: u32 = 30;
const SUBJECTS: u32 = 10;
const REPETITIONS: u32 = 5;
const METRICS: usize = 33;
const LONG: u32 = 3000;
/// Runs of one transaction.
const BATCH: usize = 500;
/// How often each question is asked.
const QUESTIONS: usize = 400;

type Fallible<T> = Result<T, Box<dyn Error>>;

fn main() -> Fallible<()> {
    let commits = std::env::args().nth(1).map_or(Ok(200), |text| text.parse())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let directory = tempfile::tempdir()?;
        let store = SqliteStore::open(directory.path().join("longhaul.db")).await?;
        let sqlite =
            figures("SQLite", &store, commits, async || Ok(longhaul_sqlite::testing::sample_bytes(&store).await?))
                .await?;
        store.close().await;
        drop(directory);
        let server = Server::durable()?;
        let store = PostgresStore::open(&server.database().await).await?;
        let size = async || Ok(longhaul_postgres::testing::sample_bytes(&store).await?);
        let postgres = figures("PostgreSQL", &store, commits, size).await?;
        print(&sqlite, &postgres, &server.version())
    })
}

/// What was measured of a store.
struct Figures {
    samples: u64,
    runs: u64,
    /// Samples per second of each tenth of the load.
    insert: Vec<f64>,
    single_ms: Vec<f64>,
    series_ms: Vec<f64>,
    overview_ms: Vec<f64>,
    sample_bytes: u64,
    total_bytes: u64,
}

#[expect(clippy::disallowed_methods, reason = "what is measured is time")]
fn now() -> Instant {
    Instant::now()
}

/// Sizes are of samples and what is made of them, and of everything.
async fn figures(
    name: &str,
    store: &dyn Upkeep,
    commits: u32,
    size: impl AsyncFnOnce() -> Fallible<(u64, u64)>,
) -> Fallible<Figures> {
    let (insert, runs) = load(name, store, commits).await?;
    let (sample_bytes, total_bytes) = size().await?;
    let series = SeriesQuery {
        scenario: "long".into(),
        project: Some("longhaul".into()),
        subject: Some("subject-0".into()),
        metric: Some("goodput".into()),
        commits: LONG,
        values: false,
        ..SeriesQuery::default()
    };
    let found = store.series(&series).await?;
    assert_eq!((found.series.len(), found.series[0].points.len()), (1, LONG as usize));
    let overview = OverviewQuery { project: None, host: None, metrics: vec!["goodput".into()], recent: 30 };
    let rows = (SCENARIOS * SUBJECTS + 1) as usize;
    assert_eq!(store.overview(&overview).await?.len(), rows);
    let (mut series_ms, mut overview_ms, mut single_ms) = (Vec::new(), Vec::new(), Vec::new());
    for question in 0..QUESTIONS {
        let start = now();
        store.series(&series).await?;
        series_ms.push(ms(start.elapsed()));
        let start = now();
        store.overview(&overview).await?;
        overview_ms.push(ms(start.elapsed()));
        let run = run(question as u32 % SCENARIOS, 0, commits - 1, REPETITIONS + 1 + question as u32);
        let start = now();
        store.insert_run(&run).await?;
        single_ms.push(ms(start.elapsed()));
    }
    let samples = runs * METRICS as u64;
    Ok(Figures { samples, runs, insert, single_ms, series_ms, overview_ms, sample_bytes, total_bytes })
}

/// Writes everything, in the order of the commits. Only inserting counts, not inventing.
async fn load(name: &str, store: &dyn Store, commits: u32) -> Fallible<(Vec<f64>, u64)> {
    let mut batch: Vec<RunRecord> = Vec::with_capacity(BATCH);
    let mut spent = Vec::new();
    let mut runs = 0;
    for commit in 0..commits {
        let places = (0..SCENARIOS).flat_map(|scenario| (0..SUBJECTS).map(move |subject| (scenario, subject)));
        let of_all = places.flat_map(|(s, subject)| (0..REPETITIONS).map(move |i| run(s, subject, commit, i)));
        let first = commit * LONG / commits;
        let of_long = (first..(commit + 1) * LONG / commits).map(long_run);
        let mut fresh = of_all.chain(of_long).peekable();
        while let Some(next) = fresh.next() {
            batch.push(next);
            if batch.len() == BATCH || (commit + 1 == commits && fresh.peek().is_none()) {
                let start = now();
                store.insert_runs(&batch).await?;
                spent.push((batch.len(), start.elapsed()));
                runs += batch.len() as u64;
                batch.clear();
            }
        }
        if commit % 20 == 0 {
            eprintln!("{name}: {commit} of {commits} commits");
        }
    }
    let tenth = spent.len().div_ceil(10);
    let rate = |batches: &[(usize, Duration)]| {
        let seconds: f64 = batches.iter().map(|(_, time)| time.as_secs_f64()).sum();
        (batches.iter().map(|(runs, _)| runs).sum::<usize>() * METRICS) as f64 / seconds
    };
    Ok((spent.chunks(tenth).map(rate).collect(), runs))
}

/// A run with its evidence, as the reference leaves it after a second of transfer, and with 33 metrics.
fn run(scenario: u32, subject: u32, commit: u32, iteration: u32) -> RunRecord {
    let mut run = sample::run(Shape { network: 1, subject: "reference", commit, iteration: iteration % 16 });
    run.id = format!("{:08x}-{scenario:04x}-7000-8{subject:03x}-{iteration:012x}", commit);
    run.scenario = format!("scenario-{scenario}");
    run.subject = format!("subject-{subject}");
    let shift = f64::from(scenario * 31 + subject * 7 + iteration) * 1e-6;
    run.samples = (0..METRICS)
        .map(|metric| Sample {
            metric: if metric == 0 { "goodput".into() } else { format!("metric_{metric}") },
            peer: None,
            value: run.samples[metric % run.samples.len()].value * (1.0 + shift),
        })
        .collect();
    run
}

fn long_run(commit: u32) -> RunRecord {
    let mut run = run(SCENARIOS, 0, commit, 0);
    run.scenario = "long".into();
    run
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// The nearest rank.
fn rank(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len()) - 1]
}

fn print(sqlite: &Figures, postgres: &Figures, version: &str) -> Fallible<()> {
    let said = |program: &str, arguments: &[&str]| -> Fallible<String> {
        Ok(String::from_utf8(Command::new(program).args(arguments).output()?.stdout)?.trim().to_owned())
    };
    let cpu = std::fs::read_to_string("/proc/cpuinfo")?;
    let model =
        cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map_or("unknown", |m| m.1);
    let cores = std::thread::available_parallelism()?;
    println!("# What the stores cost\n");
    println!(
        "Made by `cargo run --release -p longhaul-postgres --example figures`: {} on {cores} cores,",
        model.trim()
    );
    println!(
        "Linux {}, {}. SQLite in WAL mode, PostgreSQL {version} with its",
        said("uname", &["-r"])?,
        said("date", &["-u", "+%F"])?
    );
    println!("default settings on the same machine, both durable: a run is on the disk before it is acknowledged.");
    let load = std::fs::read_to_string("/proc/loadavg")?;
    let load = load.split(' ').nth(1).unwrap_or("unknown");
    println!("Load at the end, of these two programs and whatever else ran (5 minutes): {load}.\n");
    println!(
        "{} samples of {} runs with all their evidence: 30 scenarios × 10 subjects on",
        thousands(sqlite.samples),
        thousands(sqlite.runs)
    );
    println!(
        "{} commits, five runs each, 33 metrics; and one scenario with a run on each of 3,000 commits. Each question is",
        (sqlite.runs - u64::from(LONG)) / u64::from(SCENARIOS * SUBJECTS * REPETITIONS)
    );
    println!("asked {QUESTIONS} times, between single inserts.\n");
    println!("| | goal | SQLite | PostgreSQL |");
    println!("|---|---|---|---|");
    let row = |name: &str, goal: &str, figure: &dyn Fn(&Figures) -> String| {
        println!("| {name} | {goal} | {} | {} |", figure(sqlite), figure(postgres));
    };
    row("insert, 500 runs at once, samples/s (slowest to fastest tenth of the load)", "≥ 100,000", &|f| {
        let mean = f.insert.len() as f64 / f.insert.iter().map(|rate| 1.0 / rate).sum::<f64>();
        let [low, high] = [0.0, 1.0].map(|share| thousands(rank(&f.insert, share) as u64));
        verdict(mean >= 1e5, format!("{} ({low} to {high})", thousands(mean as u64)))
    });
    let times = |values: &[f64]| {
        format!("{:.1} ms (median {:.1}, largest {:.1})", rank(values, 0.95), rank(values, 0.5), rank(values, 1.0))
    };
    row("a series of 3,000 points, p95", "≤ 5 ms", &|f| {
        verdict(rank(&f.series_ms, 0.95) <= 5.0, times(&f.series_ms))
    });
    row("overview of 301 series, p95", "≤ 50 ms", &|f| {
        verdict(rank(&f.overview_ms, 0.95) <= 50.0, times(&f.overview_ms))
    });
    row("bytes for a sample, indices included", "≤ 40", &|f| {
        let each = f.sample_bytes as f64 / f.samples as f64;
        verdict(each <= 40.0, format!("{each:.1}"))
    });
    row("insert of a single run, p95", "", &|f| times(&f.single_ms));
    row("bytes for a run's metadata and evidence", "", &|f| thousands((f.total_bytes - f.sample_bytes) / f.runs));
    row("the whole database", "", &|f| format!("{:.2} GB", f.total_bytes as f64 / 1e9));
    println!("\n**Bold**: the goal is missed.");
    Ok(())
}

fn verdict(reached: bool, text: String) -> String {
    if reached { text } else { format!("**{text}**") }
}

fn thousands(value: u64) -> String {
    let digits = value.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join(",")
}
