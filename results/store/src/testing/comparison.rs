//! An invented comparison.

use super::sample::{commit_detail, host, sha};
use longhaul_record::{
    COMPARISON_SCHEMA, Compared, Comparison, End, MetricChange, RanIn, SeedGain, Side, SuccessChange, Trigger, Verdict,
};

/// The comparison of a commit, from 1, with the one before, with every field filled.
pub fn comparison(commit: u32, verdict: Option<Verdict>) -> Comparison {
    let side = |commit: u32, revision: &str| Side {
        revision: revision.into(),
        commit: sha(commit),
        detail: commit_detail(commit),
        version: Some("0.1.0".into()),
        programs_hash: format!("{commit:064x}"),
    };
    let started_ms = commit_detail(commit).authored_ms + 60_000;
    Comparison {
        schema: COMPARISON_SCHEMA,
        id: format!("00000000-0000-7000-9000-{commit:012x}"),
        project: "longhaul".into(),
        subject: "reference".into(),
        host: host(),
        base: side(commit - 1, "main"),
        head: side(commit, "HEAD"),
        seed: 1,
        started_ms,
        ended_ms: started_ms + 300_000,
        budget_s: 600.0,
        trigger: Trigger::Ci,
        end: End::Decided,
        verdict,
        questions: 3,
        scenarios: vec![RanIn {
            scenario: "lossy-1pct".into(),
            scenario_hash: format!("{:064x}", 0x5ce3),
            compared: compared(verdict.unwrap_or(Verdict::Inconclusive)),
        }],
    }
}

fn compared(verdict: Verdict) -> Compared {
    let success = SuccessChange {
        base_ok: 20,
        head_ok: 19,
        base_interval: Some([0.84, 1.0]),
        head_interval: Some([0.76, 0.99]),
        only_base: 1,
        only_head: 0,
        p: 1.0,
        q: 1.0,
        detectable: Some(0.55),
        verdict: Verdict::Inconclusive,
    };
    let bytes = MetricChange {
        metric: "wire_bytes".into(),
        peer: None,
        decides: true,
        noisy: false,
        difference: false,
        delta: 0.01,
        blocks: 19,
        base: 17.8e6,
        head: 19.1e6,
        shift: 0.073,
        interval: Some([0.061, 0.084]),
        p: 0.0002,
        q: 0.0006,
        detectable: Some(0.018),
        noise: Some(0.011),
        seeds: Some(SeedGain { ratio: 8.1, interval: [3.2, 20.4], blocks: 20 }),
        verdict,
    };
    let stalls = MetricChange {
        metric: "stall_time".into(),
        peer: Some("fetcher".into()),
        difference: true,
        delta: 0.1,
        base: 0.0,
        head: 0.0,
        shift: 0.0,
        interval: None,
        detectable: None,
        noise: None,
        seeds: None,
        ..bytes
    };
    Compared {
        blocks: 20,
        untrusted: 1,
        share: 0.11,
        success,
        metrics: vec![bytes, stalls],
        missing: vec!["instructions".into()],
    }
}
