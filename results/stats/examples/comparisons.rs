//! Prints what paired comparisons are worth, by simulation: how often intervals hold the truth, how often two equal versions
//! are told apart, which changes are found, and whether what is said to be detectable is. `docs/statistics.md` has the tables.

#![allow(clippy::print_stdout, reason = "it prints tables")]

use longhaul_record::{Compared, Direction, METRICS, MetricChange, Outcome, Standing, Verdict};
use longhaul_stats::{Block, Choice, Limits, Look, Next, Ran, Random, Sampling, Seen, compare, overall};

const SEED: u64 = 20_261_122;

fn main() {
    let repeats: u64 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(2000);
    println!("Seed {SEED}, {repeats} comparisons a row.\n");
    coverage(repeats);
    equal(repeats);
    power(repeats);
    detectable(repeats);
}

/// What a metric's values are like: their logarithms have a part that both runs of a block share, by their seed, and a part of
/// their own.
#[derive(Clone, Copy)]
struct Noise {
    shared: f64,
    own: f64,
    shape: Shape,
}

#[derive(Clone, Copy)]
enum Shape {
    Normal,
    /// One run in twenty takes a quarter longer.
    Spikes,
    /// Two levels, five hundredths apart, as with two kinds of processors.
    Levels,
    /// Rounded to hundredths of the mean: many ties.
    Coarse,
}

impl Noise {
    fn draw(self, shared: f64, random: &mut Random) -> f64 {
        let log = self.shared * shared + self.own * random.normal();
        let value = log.exp();
        match self.shape {
            Shape::Normal => value,
            Shape::Spikes => value * if random.share() < 0.05 { 1.25 } else { 1.0 },
            Shape::Levels => value * if random.share() < 0.5 { 1.05 } else { 1.0 },
            Shape::Coarse => (value * 100.0).round() / 100.0,
        }
    }
}

const fn normal(own: f64) -> Noise {
    Noise { shared: 0.0, own, shape: Shape::Normal }
}

/// A block of metrics, each with its noise and how much head is off.
fn block(metrics: &[(&'static str, Option<&'static str>, Noise, f64)], random: &mut Random) -> Block {
    let mut arms = [(); 2].map(|()| Ran { outcome: Outcome::Ok, values: std::collections::BTreeMap::new() });
    for (metric, peer, noise, factor) in metrics {
        let shared = random.normal();
        for (arm, factor) in arms.iter_mut().zip([1.0, *factor]) {
            let key = ((*metric).to_owned(), peer.map(str::to_owned));
            arm.values.insert(key, factor * noise.draw(shared, random));
        }
    }
    let [base, head] = arms;
    Block { base, head }
}

fn only(metric: &str) -> Choice {
    Choice { metrics: [(metric.to_owned(), None)].into() }
}

/// Runs a whole comparison as the command line does, with no end of time.
fn whole(blocks: u32, choice: &Choice, mut make: impl FnMut() -> Block) -> Vec<Compared> {
    let mut sampling = Sampling::new(1, Limits { blocks, budget_s: f64::MAX }, choice.clone(), 1, false);
    while let Next::Run(task) = sampling.next(0.0) {
        sampling.ran(task, make(), 1.0, 0.0);
    }
    sampling.compared()
}

fn share(hits: u64, of: u64) -> String {
    format!("{:.3}", hits as f64 / of as f64)
}

/// Intervals at a fixed number of blocks, and at the end of the ladder, where it may have stopped early.
fn coverage(repeats: u64) {
    println!(
        "| Intervals that hold the true shift (+2 %) | 8 blocks | 20 blocks | 40 blocks | up to 40, stopped early |"
    );
    println!("|---|---|---|---|---|");
    let spiky = |shape| Noise { shape, ..normal(0.02) };
    let rows = [
        ("normal, CV 2 %", normal(0.02)),
        ("normal, CV 10 %", normal(0.1)),
        ("5 % spikes of +25 %", spiky(Shape::Spikes)),
        ("two levels, 5 % apart", spiky(Shape::Levels)),
        ("rounded to 1 %", spiky(Shape::Coarse)),
    ];
    for (name, noise) in rows {
        let mut random = Random::new(SEED);
        let mut hits = [0; 4];
        let true_shift = 0.02;
        for _ in 0..repeats {
            let mut make = || block(&[("transfer_time", None, noise, 1.0 + true_shift)], &mut random);
            let holds = |change: &MetricChange| {
                change.interval.is_some_and(|[low, high]| low <= true_shift + 1e-9 && true_shift <= high + 1e-9)
            };
            for (hit, n) in hits.iter_mut().zip([8, 20, 40]) {
                let blocks: Vec<Block> = (0..n).map(|_| make()).collect();
                let seen = Seen {
                    blocks: &blocks,
                    untrusted: 0,
                    independent: &[],
                    share: 1.0,
                    last: Look { blocks: 40, share: 1.0 },
                };
                *hit += u64::from(holds(&compare(&[seen], &only("transfer_time"))[0].metrics[0]));
            }
            hits[3] += u64::from(holds(&whole(40, &only("transfer_time"), &mut make)[0].metrics[0]));
        }
        let cells = hits.map(|hit| share(hit, repeats)).join(" | ");
        println!("| {name} | {cells} |");
    }
    println!();
}

/// Noise of a comparison of the reference with itself, as it was seen (docs/statistics.md says where): in percent, what both
/// runs of a block share by their seed, and what each has of its own.
struct Place {
    name: &'static str,
    bytes: [f64; 2],
    packets: [f64; 2],
    cpu: f64,
    total: [f64; 2],
    other: f64,
}

const PLACES: [Place; 4] = [
    Place { name: "lossy-1pct", bytes: [0.09, 0.02], packets: [0.5, 0.34], cpu: 18.0, total: [6.7, 1.4], other: 5.0 },
    Place { name: "home-nat", bytes: [0.2, 0.27], packets: [3.0, 3.5], cpu: 12.0, total: [0.0, 2.7], other: 5.0 },
    Place { name: "local", bytes: [0.0, 1.5], packets: [0.0, 1.5], cpu: 6.0, total: [0.0, 47.0], other: 50.0 },
    Place { name: "a quiet machine", bytes: [0.1, 0.02], packets: [0.5, 0.2], cpu: 2.0, total: [6.0, 1.4], other: 3.0 },
];

type Metrics = Vec<(&'static str, Option<&'static str>, Noise, f64)>;

impl Place {
    fn metrics(&self, shape: Shape) -> Metrics {
        let noise = |[shared, own]: [f64; 2]| Noise { shared: shared / 100.0, own: own / 100.0, shape };
        let others = ["transfer_time", "setup_time", "time_to_first_byte", "fairness"];
        let mut metrics: Metrics = vec![
            ("wire_bytes", None, noise(self.bytes), 1.0),
            ("wire_packets", None, noise(self.packets), 1.0),
            ("total_time", None, noise(self.total), 1.0),
        ];
        metrics.extend(others.map(|id| (id, None, noise([0.0, self.other]), 1.0)));
        for side in ["provider", "fetcher"] {
            metrics.push(("cpu_seconds", Some(side), noise([0.0, self.cpu]), 1.0));
            metrics.push(("peak_rss", Some(side), noise([0.0, self.other]), 1.0));
        }
        metrics
    }
}

/// A version and itself.
fn equal(repeats: u64) {
    println!("| A version and itself | unchanged | inconclusive | regressed or improved | blocks, median |");
    println!("|---|---|---|---|---|");
    let of = |place: &Place, shape| (place.name.to_owned(), place.metrics(shape));
    let mut rows: Vec<(String, u32, Metrics)> = Vec::new();
    for place in &PLACES {
        for most in [8, 20, 40] {
            let (name, metrics) = of(place, Shape::Normal);
            rows.push((format!("{name}, up to {most} blocks"), most, metrics));
        }
    }
    for (what, shape) in [("with 5 % spikes of +25 %", Shape::Spikes), ("with two levels, 5 % apart", Shape::Levels)] {
        let (name, metrics) = of(&PLACES[0], shape);
        rows.push((format!("{name} {what}, up to 40"), 40, metrics));
    }
    for (name, most, metrics) in rows {
        let mut random = Random::new(SEED);
        let (mut unchanged, mut open, mut called) = (0, 0, 0);
        let mut blocks = Vec::new();
        for _ in 0..repeats {
            let compared = whole(most, &Choice::default(), || block(&metrics, &mut random));
            blocks.push(f64::from(compared[0].blocks));
            let any = compared[0].metrics.iter().any(|m| matches!(m.verdict, Verdict::Regressed | Verdict::Improved));
            match overall(&compared) {
                _ if any => called += 1,
                Some(Verdict::Unchanged) => unchanged += 1,
                _ => open += 1,
            }
        }
        let cells = [unchanged, open, called].map(|hits| share(hits, repeats)).join(" | ");
        println!("| {name} | {cells} | {} |", longhaul_stats::median(&blocks).unwrap_or(0.0));
    }
    println!();
}

/// One metric, with δ 3 %, becomes worse.
fn power(repeats: u64) {
    println!("| Found, of a change of one metric | up to 8 blocks | 12 | 20 | 40 | blocks of up to 40, median |");
    println!("|---|---|---|---|---|---|");
    for (noise, shift) in [(0.02, 0.05), (0.02, 0.1), (0.05, 0.05), (0.05, 0.1), (0.1, 0.05), (0.1, 0.1)] {
        let mut random = Random::new(SEED);
        let mut cells = Vec::new();
        let mut middle = 0.0;
        for most in [8, 12, 20, 40] {
            let (mut hits, mut blocks) = (0, Vec::new());
            for _ in 0..repeats {
                let metrics = [("transfer_time", None, normal(noise), 1.0 + shift)];
                let compared = whole(most, &only("transfer_time"), || block(&metrics, &mut random));
                hits += u64::from(compared[0].metrics[0].verdict == Verdict::Regressed);
                blocks.push(f64::from(compared[0].blocks));
            }
            cells.push(share(hits, repeats));
            middle = longhaul_stats::median(&blocks).unwrap_or(0.0);
        }
        println!("| +{:.0} %, CV {:.0} % | {} | {middle} |", shift * 100.0, noise * 100.0, cells.join(" | "));
    }
    println!();
}

/// Changes exactly as large as what is said to be detectable: 4 in 5 should be called.
fn detectable(repeats: u64) {
    println!("| Called, of changes as large as is said to be detectable | 12 blocks | 20 | 40 |");
    println!("|---|---|---|---|");
    for (name, noise, questions) in [
        ("CV 2 %, one question", normal(0.02), 1),
        ("CV 5 %, one question", normal(0.05), 1),
        ("CV 5 %, twelve questions", normal(0.05), 12),
        ("CV 2 %, 5 % spikes", Noise { shape: Shape::Spikes, ..normal(0.02) }, 1),
    ] {
        let cells = [12, 20, 40].map(|n| {
            let mut random = Random::new(SEED);
            let others: Vec<&'static str> = METRICS
                .iter()
                .filter(|m| {
                    !matches!(m.standing, Standing::Restated(_))
                        && m.least_difference.is_none()
                        && m.direction == Direction::Lower
                })
                .map(|m| m.id)
                .take(questions)
                .collect();
            let look = |factor: f64, random: &mut Random| {
                let metrics: Vec<_> = others
                    .iter()
                    .enumerate()
                    .map(|(i, id)| (*id, None, noise, if i == 0 { factor } else { 1.0 }))
                    .collect();
                let blocks: Vec<Block> = (0..n).map(|_| block(&metrics, random)).collect();
                let seen = Seen {
                    blocks: &blocks,
                    untrusted: 0,
                    independent: &[],
                    share: 1.0,
                    last: Look { blocks: 40, share: 1.0 },
                };
                compare(&[seen], &Choice::default()).remove(0)
            };
            let of = |compared: &Compared| compared.metrics.iter().find(|m| m.metric == others[0]).cloned();
            let said: Vec<f64> = (0..200).filter_map(|_| of(&look(1.0, &mut random))?.detectable).collect();
            let Some(usual) = longhaul_stats::median(&said) else { return "none is".to_owned() };
            let hits = (0..repeats)
                .filter(|_| of(&look(1.0 + usual, &mut random)).is_some_and(|m| m.verdict == Verdict::Regressed));
            format!("{} (+{:.1} %)", share(hits.count() as u64, repeats), usual * 100.0)
        });
        println!("| {name} | {} |", cells.join(" | "));
    }
}
