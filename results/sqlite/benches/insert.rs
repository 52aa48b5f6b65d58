//! What it costs to keep a run: `cargo bench -p longhaul-sqlite`.
//!
//! Three figures: a whole run with its evidence (each one durable before the call returns), the same run again, and
//! the reads behind the two pages that are opened most.

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use longhaul_sqlite::SqliteStore;
use longhaul_store::testing::sample::{self, Shape};
use longhaul_store::{OverviewQuery, SeriesQuery, Store};
use std::hint::black_box;
use tokio::runtime::Runtime;

fn bench(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let dir = tempfile::tempdir().expect("a directory");
    let store = runtime.block_on(SqliteStore::open(dir.path().join("bench.db"))).expect("opens");

    let mut iteration = 0;
    let mut fresh = || {
        iteration += 1;
        let mut run = sample::run(Shape { network: 1, subject: "reference", commit: iteration % 500, iteration });
        run.id = format!("bench-{iteration}");
        run
    };
    c.bench_function("insert one run of 14 samples and 4 series", |b| {
        b.iter_batched(
            &mut fresh,
            |run| runtime.block_on(store.insert_run(&run)).expect("inserts"),
            BatchSize::SmallInput,
        );
    });
    let known = fresh();
    runtime.block_on(store.insert_run(&known)).expect("inserts");
    c.bench_function("insert a run that is there", |b| {
        b.iter(|| runtime.block_on(store.insert_run(&known)).expect("inserts"));
    });

    let overview = OverviewQuery { project: None, host: None, metrics: vec!["goodput".into()], recent: 60 };
    c.bench_function("overview", |b| {
        b.iter(|| black_box(runtime.block_on(store.overview(&overview)).expect("reads")));
    });
    let series = SeriesQuery {
        scenario: known.scenario.clone(),
        metric: Some("goodput".into()),
        commits: 3000,
        values: false,
        ..SeriesQuery::default()
    };
    c.bench_function("one metric over 500 commits", |b| {
        b.iter(|| black_box(runtime.block_on(store.series(&series)).expect("reads")));
    });
}

criterion_group!(benches, bench);
criterion_main!(benches);
