//! One invented run, with every field filled.

use crate::network::Network;
use crate::{PROJECT, Plan, Shape, events};
use longhaul_record::{
    Calibration, CommitDetail, DelayCheck, ExitState, Fidelity, HostDetail, LinkReport, LossCheck, MtuCheck,
    NatMapping, Outcome, PathChange, PathCheck, ProcessReport, RateCheck, Role, RunRecord, SCHEMA, SYNTHETIC_HOST,
    Sample, Series, SubjectDetail, Tolerance, Trigger,
};
use longhaul_stats::Random;
use std::collections::BTreeMap;

/// Programs beside the project's own: name, and what they reach of its goodput. They are the same on every commit.
const OTHERS: [(&str, f64); 9] = [
    ("curl", 0.93),
    ("pontoon", 0.81),
    ("kelp", 1.04),
    ("anchor", 0.72),
    ("seagull", 0.66),
    ("lighthouse", 0.88),
    ("tugboat", 0.79),
    ("plankton", 0.58),
    ("barnacle", 0.49),
];

/// What a run reached.
pub(crate) struct Reached {
    /// In bit/s.
    pub(crate) goodput: f64,
    /// CPU seconds of the fetcher.
    pub(crate) cpu: f64,
    /// Bytes of the fetcher's memory.
    memory: f64,
}

/// What `subject` reaches on a commit: the network's value, what happened to the project, and noise.
pub(crate) fn reached(plan: &Plan, network: &Network, commit: u32, subject: u32, random: &mut Random) -> Reached {
    let part = plan.part(commit);
    let own = subject == 0;
    let mut goodput = network.goodput * if own { 1.0 } else { OTHERS[(subject as usize - 1) % OTHERS.len()].1 };
    let (mut cpu, mut memory) = (0.9, 24.0);
    for event in events::felt(network, part).filter(|_| own) {
        goodput *= event.goodput;
        cpu *= event.cpu;
        memory *= event.memory;
    }
    if let Some(rate) = network.rate_bps {
        goodput = goodput.min(rate as f64 * 0.957);
    }
    let noise = |random: &mut Random, share: f64| (random.normal() * share).exp();
    let gib = network.payload() as f64 / f64::from(1 << 30);
    Reached {
        goodput: goodput * noise(random, network.noise),
        cpu: gib * cpu * if own { events::drift(network, part) } else { 0.6 } * noise(random, 0.03),
        memory: (memory * noise(random, 0.01)).max(1.0) * 1_048_576.0,
    }
}

/// A run of the plan.
pub(crate) fn record(plan: &Plan, network: &Network, shape: Shape) -> RunRecord {
    let Shape { commit, subject, run } = shape;
    let name = network.name.bytes().fold(0u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let mut random = plan.random(&[3, name, u64::from(commit), u64::from(subject), u64::from(run)]);
    let reached = reached(plan, network, commit, subject, &mut random);
    let seconds = network.payload() as f64 * 8.0 / reached.goodput;
    // All runs of a commit within its hour, in their order.
    let started_ms = plan.authored_ms(commit) + 600_000;
    let hash = u64::from(network.name == "presets/dsl" && plan.part(commit) > 0.35);
    let mut record = RunRecord {
        schema: SCHEMA,
        id: format!("{:08x}-{:04x}-7000-8000-{:012x}", started_ms >> 16, started_ms & 0xffff, random.draw() >> 16),
        project: PROJECT.into(),
        commit: Some(plan.sha(commit)),
        commit_detail: Some(commit_detail(plan, commit)),
        scenario: network.name.clone(),
        scenario_hash: format!("{:064x}", name.wrapping_add(hash)),
        scenario_resolved: format!("# Invented.\nname = \"{}\"\ndelay_ns = {}\n", network.name, network.delay_ns()),
        scenario_words: network.words.clone(),
        subject: subject_name(subject),
        subject_detail: SubjectDetail {
            version: Some(format!("0.{}.0", commit / 20)),
            binary_hash: Some(format!("{commit:064x}")),
            delivers_nothing: false,
        },
        host: host(),
        seed: 4711 + u64::from(run),
        iteration: run,
        started_ms,
        ended_ms: started_ms + (seconds * 1e3) as i64 + 900,
        trigger: Trigger::Synthetic,
        outcome: Outcome::Ok,
        reason: None,
        pairing: None,
        payload_bytes: network.payload(),
        payload_files: if network.name.starts_with("tree") { 78_579 } else { 1 },
        calibration: calibration(network, plan.part(commit), &mut random),
        fidelity: fidelity(&mut random),
        tolerance: Tolerance::default(),
        links: links(network),
        cross: Vec::new(),
        changes: Vec::new(),
        recoveries: Vec::new(),
        paths: Vec::new(),
        mappings: Vec::new(),
        stalls: Vec::new(),
        processes: processes(subject, &reached),
        samples: samples(network, &reached, seconds, &mut random),
        series: Vec::new(),
    };
    // Curves only where somebody will look: they are most of a database.
    if run == 0 && commit + 12 >= plan.commits && network.direct.is_none() {
        record.series = series(network, reached.goodput, seconds, &mut random);
        if network.name.starts_with("home") {
            (record.paths, record.mappings) = ways();
        }
    }
    misfortune(&mut record, network, &mut random);
    record
}

/// Some runs fail, and some cannot be trusted.
fn misfortune(record: &mut RunRecord, network: &Network, random: &mut Random) {
    let fails = if network.noise > 0.05 { 0.01 } else { 0.002 };
    match random.share() {
        luck if luck < fails => {
            record.outcome = Outcome::SubjectFailed;
            record.reason = Some("fetcher exited with status 1 after 12.4 s: connection lost".into());
            record.samples.clear();
            if let Some(fetcher) = record.processes.last_mut() {
                fetcher.exit = ExitState::Code(1);
                fetcher.stderr_tail = "Error: connection lost: timed out\n".into();
            }
        }
        luck if luck < fails + 0.008 => {
            record.outcome = Outcome::Untrusted;
            record.reason = Some("the emulator stood still for 412 ms; 100 ms is allowed".into());
            record.fidelity.longest_gap_ns = 412_000_000;
            record.fidelity.gaps = 9;
        }
        _ => {}
    }
}

/// A program's name.
pub(crate) fn subject_name(subject: u32) -> String {
    match subject.checked_sub(1) {
        None => "driftwood".into(),
        Some(n) => OTHERS.get(n as usize).map_or_else(|| format!("vessel-{n}"), |(name, _)| (*name).into()),
    }
}

const SUMMARIES: [&str; 9] = [
    "verify chunk groups as they arrive",
    "reuse the read buffer between files",
    "raise the initial window",
    "refuse a ticket of another version",
    "open files lazily",
    "log what a peer says when it closes",
    "update dependencies",
    "explain the ticket in the manual",
    "split the state machine of a request",
];

pub(crate) fn commit_detail(plan: &Plan, commit: u32) -> CommitDetail {
    let before = commit.checked_sub(1).map(|before| plan.part(before));
    let words = before.and_then(|before| events::words(before, plan.part(commit)));
    CommitDetail {
        parents: commit.checked_sub(1).map(|before| plan.sha(before)).into_iter().collect(),
        authored_ms: plan.authored_ms(commit),
        branch: Some("main".into()),
        summary: words.unwrap_or(SUMMARIES[commit as usize % SUMMARIES.len()]).into(),
        dirty: false,
    }
}

/// The machine that is none.
pub(crate) fn host() -> HostDetail {
    HostDetail {
        fingerprint: SYNTHETIC_HOST.into(),
        cpu: "none".into(),
        cores: 8,
        memory_bytes: 32 << 30,
        kernel: "0.0.0".into(),
        boot_id: "00000000-0000-0000-0000-000000000000".into(),
        runner_version: env!("CARGO_PKG_VERSION").into(),
        tcp_congestion_control: "cubic".into(),
        plane: "userspace/tun".into(),
    }
}

fn calibration(network: &Network, part: f64, random: &mut Random) -> Calibration {
    let mut check = |from: &str, to: &str| {
        let error = (18_000.0 * (random.normal() * 0.2).exp() * (1.0 + 0.3 * part)) as u64;
        let loss_ppb = (network.loss * 1e9) as u32;
        PathCheck {
            from: from.into(),
            to: to.into(),
            delay: DelayCheck {
                asked_ns: network.delay_ns(),
                median_ns: network.delay_ns() + error,
                p99_ns: network.delay_ns() + error * 5,
                ..DelayCheck::default()
            },
            loss: LossCheck {
                asked_ppb: loss_ppb,
                sent: 4000,
                lost: (network.loss * 4000.0).round() as u64,
                ..LossCheck::default()
            },
            rate: network.rate_bps.map(|asked_bps| RateCheck {
                asked_bps,
                got_bps: asked_bps - asked_bps / 1000,
                ..RateCheck::default()
            }),
            mtu: Some(MtuCheck { asked: 1500, got: 1500 }),
            ..PathCheck::default()
        }
    };
    Calibration { paths: vec![check("alice", "bob"), check("bob", "alice")], nats: Vec::new() }
}

fn fidelity(random: &mut Random) -> Fidelity {
    let p50 = (18_000.0 * (random.normal() * 0.2).exp()) as u64;
    Fidelity {
        released: 48_211,
        lateness_p50_ns: p50,
        lateness_p99_ns: p50 * 5,
        lateness_p999_ns: p50 * 14,
        lateness_max_ns: p50 * 40,
        longest_gap_ns: 1_300_000,
        gaps: 1,
        unintended_drops: BTreeMap::from([("device queue".into(), 0)]),
        busy_share: 0.31,
        backlog_share: 0.0,
        realtime: true,
        ..Fidelity::default()
    }
}

fn links(network: &Network) -> Vec<LinkReport> {
    let packets = network.payload() / 1350;
    let lost = (packets as f64 * network.loss) as u64;
    let link = |name: &str, direction: &str, packets: u64, bytes: u64, lost: u64| LinkReport {
        link: name.into(),
        direction: direction.into(),
        packets,
        bytes,
        delivered: packets - lost,
        dropped: if lost > 0 { BTreeMap::from([("loss".into(), lost)]) } else { BTreeMap::new() },
        peak_queueing_delay_ns: 0,
        impairment_trace: "0".repeat(16),
    };
    vec![link("alice.link", "up", packets, packets * 1400, 0), link("bob.link", "down", packets, packets * 1400, lost)]
}

fn processes(subject: u32, reached: &Reached) -> Vec<ProcessReport> {
    let process = |role: Role, host: &str, verb: &str, exit: ExitState, share: f64| ProcessReport {
        role,
        host: host.into(),
        command: vec![subject_name(subject), verb.into()],
        exit,
        cpu_user_s: reached.cpu * share * 0.6,
        cpu_system_s: reached.cpu * share * 0.4,
        peak_rss_bytes: reached.memory as u64,
        context_switches: 4_321,
        instructions: None,
        stderr_tail: String::new(),
    };
    vec![
        process(Role::Provider, "alice", "provide", ExitState::Stopped, 0.7),
        process(Role::Fetcher, "bob", "fetch", ExitState::Code(0), 1.0),
    ]
}

fn samples(network: &Network, reached: &Reached, seconds: f64, random: &mut Random) -> Vec<Sample> {
    let mut noise = |share: f64| (random.normal() * share).exp();
    let setup = (0.004 + network.delay_ms / 1e3 * 2.0) * noise(0.01);
    let overhead = 1.043 + network.loss * 1.1 * noise(0.05);
    let wire = network.payload() as f64 * overhead;
    let queue = if network.rate_bps.is_some() { 0.042 * noise(0.05) } else { 0.0 };
    let gib = network.payload() as f64 / f64::from(1 << 30);
    let mut out: Vec<Sample> = [
        ("goodput", reached.goodput),
        ("transfer_time", seconds),
        ("setup_time", setup),
        ("time_to_first_byte", setup * 1.6),
        ("total_time", seconds + setup + 0.012),
        ("wire_bytes", wire.round()),
        ("wire_packets", (wire / 1300.0).round()),
        ("wire_overhead", overhead),
        ("flows", 1.0),
        ("peak_queueing_delay", queue),
    ]
    .map(|(metric, value)| Sample { metric: metric.into(), peer: None, value })
    .into();
    if network.direct == Some(true) && noise(1.0) < 30.0 {
        out.push(Sample { metric: "time_to_direct".into(), peer: None, value: setup * 2.1 });
    }
    for (peer, share) in [("provider", 0.7), ("fetcher", 1.0)] {
        let mut put =
            |metric: &str, value: f64| out.push(Sample { metric: metric.into(), peer: Some(peer.into()), value });
        put("cpu_seconds", reached.cpu * share);
        put("cpu_per_gib", reached.cpu * share / gib);
        put("peak_rss", reached.memory * share);
    }
    out
}

/// By a relay at first, then directly through the router's hole.
fn ways() -> (Vec<PathChange>, Vec<NatMapping>) {
    let way = |at_s: f64, kind: &str, remote: &str| PathChange {
        host: "bob".into(),
        at_s,
        kind: kind.into(),
        remote: remote.into(),
    };
    let mapping = |external: &str, from_s: f64| NatMapping {
        router: "home".into(),
        protocol: "udp".into(),
        internal: "192.168.1.10:4433".into(),
        external: external.into(),
        from_s,
        until_s: None,
        end: None,
    };
    (
        vec![way(0.031, "relay", "198.18.9.1:443"), way(0.186, "direct", "198.18.7.2:4433")],
        vec![mapping("198.18.3.1:4433", 0.008)],
    )
}

fn series(network: &Network, goodput: f64, seconds: f64, random: &mut Random) -> Vec<Series> {
    let interval_ms = 50;
    let steps = ((seconds / 0.05) as u32).clamp(4, 400);
    let ramp = |i: u32| (f64::from(i) / (2.0 + network.delay_ms / 10.0)).min(1.0);
    let payload: Vec<f64> = (0..steps).map(|i| goodput * ramp(i) * (1.01 + 0.02 * random.normal()).max(0.0)).collect();
    let most = network.rate_bps.map_or(f64::MAX, |rate| rate as f64);
    let wire = payload.iter().map(|rate| (rate * 1.04).min(most)).collect();
    let per_step = goodput / 8.0 / 1350.0 * 0.05 * network.loss;
    let lost = (0..steps).map(|_| (per_step * 2.0 * random.share()).round()).collect();
    let queue = (0..steps)
        .map(|i| if network.rate_bps.is_some() { 0.03 * ramp(i) * (1.0 + 0.3 * random.share()) } else { 0.0 });
    let queue = queue.collect();
    [("payload", "bit/s", payload), ("wire", "bit/s", wire), ("lost", "packets", lost), ("queue", "s", queue)]
        .map(|(name, unit, values)| Series { name: name.into(), unit: unit.into(), interval_ms, peer: None, values })
        .into()
}
