//! Prints what searches for a culprit are worth, by simulation: how often they name it, how sure they say they are, and how many
//! runs that takes. `docs/statistics.md` has the table.

#![allow(clippy::print_stdout, reason = "it prints a table")]

use longhaul_stats::Random;
use longhaul_stats::bisection::{Bisection, Effort, Next, Probe, Told};

const SEED: u64 = 20_261_122;
/// The good commit, and those after it.
const COMMITS: usize = 65;

fn main() {
    let repeats: u64 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(1000);
    println!("Seed {SEED}, {repeats} searches a row.\n");
    println!("| Change | Found | of these, right | said to be | No difference seen | Spent | Runs, mean |");
    println!("|---|---|---|---|---|---|---|");
    let row = |name, step, noise| Row { name, step, noise, spikes: 0.0, failing: 0.0 };
    row("+5 %, CV 1 %", 0.05, 0.01).print(repeats);
    row("+5 %, CV 2 %", 0.05, 0.02).print(repeats);
    row("+3 %, CV 2 %", 0.03, 0.02).print(repeats);
    row("+10 %, CV 5 %", 0.10, 0.05).print(repeats);
    row("+5 %, CV 5 %", 0.05, 0.05).print(repeats);
    Row { spikes: 0.05, ..row("+5 %, CV 2 %, 5 % spikes of +25 %", 0.05, 0.02) }.print(repeats);
    Row { failing: 0.1, ..row("+5 %, CV 2 %, one run in ten fails", 0.05, 0.02) }.print(repeats);
    row("none, CV 2 %", 0.0, 0.02).print(repeats);
}

/// A kind of project.
struct Row {
    name: &'static str,
    step: f64,
    noise: f64,
    spikes: f64,
    failing: f64,
}

impl Row {
    fn told(&self, probe: Probe, culprit: usize, random: &mut Random) -> Told {
        if random.share() < self.failing {
            return Told::Failed;
        }
        let of_seed = (probe.seed * 7 % 5) as f64 * 0.03;
        let of_commit = if probe.commit >= culprit { self.step } else { 0.0 };
        let spike = if random.share() < self.spikes { 0.25 } else { 0.0 };
        Told::Value(of_seed + of_commit + spike + self.noise * random.normal())
    }

    fn print(&self, repeats: u64) {
        let (mut found, mut right, mut said, mut none, mut spent, mut runs) = (0, 0, 0.0, 0, 0, 0);
        for number in 0..repeats {
            let mut random = Random::new(SEED + number);
            let culprit = 1 + (random.share() * (COMMITS - 1) as f64) as usize;
            let effort = Effort { values: 200, ..Effort::default() };
            let mut search = Bisection::new(COMMITS, effort);
            let end = loop {
                match search.next() {
                    Next::Probe(probe) => search.tell(probe, self.told(probe, culprit, &mut random)),
                    end => break end,
                }
            };
            runs += search.asked();
            match end {
                Next::Found(suspects) => {
                    found += 1;
                    right += u64::from((suspects.range.0..=suspects.range.1).contains(&culprit));
                    said += suspects.probability;
                }
                Next::Spent(_) => spent += 1,
                _ => none += 1,
            }
        }
        let share = |count: u64| count as f64 / repeats as f64;
        let of_found = |sum: f64| if found == 0 { "\u{2013}".to_owned() } else { format!("{:.3}", sum / found as f64) };
        println!(
            "| {} | {:.3} | {} | {} | {:.3} | {:.3} | {:.0} |",
            self.name,
            share(found),
            of_found(right as f64),
            of_found(said),
            share(none),
            share(spent),
            runs as f64 / repeats as f64
        );
    }
}
