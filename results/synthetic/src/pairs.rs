//! Invented pairs of runs, and what the real verdicts say of them.

use crate::network::Network;
use crate::record::{commit_detail, host, reached, subject_name};
use crate::{PROJECT, Plan};
use longhaul_record::{COMPARISON_SCHEMA, Comparison, End, Outcome, RanIn, Side, Trigger};
use longhaul_stats::{Block, Choice, Look, Ran, Seen, compare, overall};
use std::collections::BTreeMap;

/// Pairs of a comparison.
const BLOCKS: u32 = 20;

/// A comparison of every eighth commit with the one before it, of the last commits with theirs, and of every tenth with itself.
pub fn comparisons(plan: &Plan) -> Vec<Comparison> {
    let with_before = (1..plan.commits).filter(|commit| commit % 8 == 0 || commit + 16 >= plan.commits);
    let with_itself = (0..plan.commits).filter(|commit| commit % 10 == 0);
    let pairs = with_before.map(|commit| (commit - 1, commit)).chain(with_itself.map(|commit| (commit, commit)));
    let mut all: Vec<Comparison> = pairs.map(|(base, head)| comparison(plan, base, head)).collect();
    all.sort_by_key(|one| one.started_ms);
    all
}

fn comparison(plan: &Plan, base: u32, head: u32) -> Comparison {
    // As many networks as a job of a few minutes has time for.
    let networks: Vec<Network> = (3..plan.scenarios.min(7)).map(Network::of).collect();
    let blocks: Vec<Vec<Block>> = networks.iter().map(|network| blocks(plan, network, base, head)).collect();
    let last = Look { blocks: BLOCKS, share: 1.0 };
    let seen: Vec<Seen<'_>> =
        blocks.iter().map(|blocks| Seen { blocks, untrusted: 0, independent: &[], share: 1.0, last }).collect();
    let compared = compare(&seen, &Choice::default());
    let verdict = overall(&compared);
    let questions = compared.iter().map(|one| one.metrics.len() as u32 + 1).sum();
    let ran = networks.iter().zip(compared).map(|(network, compared)| RanIn {
        scenario: network.name.clone(),
        scenario_hash: "0".repeat(64),
        compared,
    });
    let started_ms = plan.authored_ms(head) + 7_200_000;
    let side = |commit: u32, revision: &str| Side {
        revision: revision.into(),
        commit: plan.sha(commit),
        detail: commit_detail(plan, commit),
        version: Some(format!("0.{}.0", commit / 20)),
        programs_hash: format!("{commit:064x}"),
    };
    Comparison {
        schema: COMPARISON_SCHEMA,
        id: format!("{:08x}-{:04x}-7000-9000-{base:06x}{head:06x}", started_ms >> 16, started_ms & 0xffff),
        project: PROJECT.into(),
        subject: subject_name(0),
        host: host(),
        base: side(base, "main"),
        head: side(head, "HEAD"),
        seed: 4711,
        started_ms,
        ended_ms: started_ms + 570_000,
        budget_s: 600.0,
        trigger: Trigger::Synthetic,
        end: End::Blocks,
        verdict,
        questions,
        scenarios: ran.collect(),
    }
}

fn blocks(plan: &Plan, network: &Network, base: u32, head: u32) -> Vec<Block> {
    let arm = |commit: u32, block: u32, arm: u64| {
        let mut random =
            plan.random(&[4, u64::from(base), u64::from(head), u64::from(block), arm, network.payload_mib]);
        let reached = reached(plan, network, commit, 0, &mut random);
        let wire = network.payload() as f64 * (1.043 + network.loss * (1.0 + 0.02 * random.normal()));
        let values = [
            ("goodput", None, reached.goodput),
            ("total_time", None, network.payload() as f64 * 8.0 / reached.goodput),
            ("wire_bytes", None, wire),
            ("cpu_seconds", Some("fetcher"), reached.cpu),
        ];
        let values = values.map(|(metric, peer, value)| ((metric.to_owned(), peer.map(str::to_owned)), value));
        Ran { outcome: Outcome::Ok, values: BTreeMap::from(values) }
    };
    (0..BLOCKS).map(|block| Block { base: arm(base, block, 0), head: arm(head, block, 1) }).collect()
}
