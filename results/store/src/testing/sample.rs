//! Invented records that look like real ones. Everything is computed from the arguments, so that a test can name the
//! value it expects.

use longhaul_record::{
    Calibration, CommitDetail, CrossKind, CrossReport, DelayCheck, ExitState, Fidelity, HostDetail, LatenessBucket,
    LinkReport, LossCheck, MtuCheck, NetworkChange, Outcome, PathCheck, ProcessReport, RateCheck, Role, RunRecord,
    SCHEMA, Sample, Series, SubjectDetail, Tolerance, Trigger,
};
use std::collections::BTreeMap;

/// 2026-11-01T09:00:00Z.
const FIRST_COMMIT_MS: i64 = 1_793_523_600_000;
const DAY_MS: i64 = 86_400_000;

/// An invented network.
#[derive(Debug, Clone, Copy)]
pub struct Network {
    /// Scenario name.
    pub name: &'static str,
    /// The scenario in words.
    pub words: &'static str,
    /// One-way delay.
    pub delay_ns: u64,
    /// Loss per direction.
    pub loss_ppb: u32,
    /// Bottleneck.
    pub rate_bps: Option<u64>,
    /// Payload.
    pub payload_bytes: u64,
    /// What the reference reaches, in bit/s.
    pub reference_bps: f64,
    /// What curl reaches, in bit/s.
    pub curl_bps: f64,
}

/// The networks of [`history`].
pub const NETWORKS: &[Network] = &[
    network("local", "alice sends 256 MiB to bob over an unimpaired network.", 50_000, 0, None, 256, [2.71e9, 3.94e9]),
    network(
        "latency-20ms",
        "alice sends 128 MiB to bob over a round trip of 20 ms.",
        10_000_000,
        0,
        None,
        128,
        [1.12e9, 1.31e9],
    ),
    network(
        "latency-200ms",
        "alice sends 64 MiB to bob over a round trip of 200 ms.",
        100_000_000,
        0,
        None,
        64,
        [212e6, 164e6],
    ),
    network(
        "lossy-1pct",
        "alice sends 32 MiB to bob over a round trip of 20 ms that loses 1 % of the packets each way.",
        10_000_000,
        10_000_000,
        None,
        32,
        [48.2e6, 31.7e6],
    ),
    network(
        "home-nat",
        "alice sends 64 MiB to bob, who is at home behind a NAT and a 100 Mbit/s line.",
        12_000_000,
        0,
        Some(100_000_000),
        64,
        [93.1e6, 92.4e6],
    ),
    network(
        "dsl",
        "alice sends 16 MiB to bob over a DSL line of 50 Mbit/s down and 10 Mbit/s up with a deep buffer.",
        15_000_000,
        0,
        Some(50_000_000),
        16,
        [45.8e6, 46.1e6],
    ),
    network(
        "tree",
        "alice sends 12,418 small files to bob over a round trip of 20 ms.",
        10_000_000,
        0,
        None,
        82,
        [301e6, 88e6],
    ),
];

const fn network(
    name: &'static str,
    words: &'static str,
    delay_ns: u64,
    loss_ppb: u32,
    rate_bps: Option<u64>,
    payload_mib: u64,
    [reference_bps, curl_bps]: [f64; 2],
) -> Network {
    Network { name, words, delay_ns, loss_ppb, rate_bps, payload_bytes: payload_mib << 20, reference_bps, curl_bps }
}

/// Which run to invent.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Index into [`NETWORKS`].
    pub network: usize,
    /// `reference` or `curl`.
    pub subject: &'static str,
    /// Which commit, from 0.
    pub commit: u32,
    /// Which repetition, from 0.
    pub iteration: u32,
}

/// A complete, trusted run with every field filled.
pub fn run(shape: Shape) -> RunRecord {
    let network = &NETWORKS[shape.network];
    let base = if shape.subject == "curl" { network.curl_bps } else { network.reference_bps };
    let serial = serial(shape);
    let goodput = base * (1.0 + 0.03 * noise(serial));
    let seconds = network.payload_bytes as f64 * 8.0 / goodput;
    let started_ms = FIRST_COMMIT_MS + i64::from(shape.commit) * DAY_MS + 3_600_000 + i64::from(serial) * 20_000;
    RunRecord {
        schema: SCHEMA,
        id: format!("{:08x}-{:04x}-7000-8000-{serial:012x}", started_ms >> 16, started_ms & 0xffff),
        project: "longhaul".into(),
        commit: Some(sha(shape.commit)),
        commit_detail: Some(commit_detail(shape.commit)),
        scenario: network.name.into(),
        scenario_hash: format!("{:064x}", 0x5ce0 + shape.network),
        scenario_resolved: format!("name = \"{}\"\ndelay_ns = {}\n", network.name, network.delay_ns),
        scenario_words: network.words.into(),
        subject: shape.subject.into(),
        subject_detail: SubjectDetail {
            version: Some("0.1.0".into()),
            binary_hash: Some(format!("{:064x}", shape.commit)),
            delivers_nothing: false,
        },
        host: host(),
        seed: 4711 + u64::from(serial),
        iteration: shape.iteration,
        started_ms,
        ended_ms: started_ms + (seconds * 1000.0) as i64 + 900,
        trigger: Trigger::Local,
        outcome: Outcome::Ok,
        reason: None,
        pairing: None,
        payload_bytes: network.payload_bytes,
        payload_files: if network.name == "tree" { 12_418 } else { 1 },
        calibration: calibration(network, serial),
        fidelity: fidelity(serial),
        tolerance: Tolerance::default(),
        links: links(network, seconds),
        cross: cross(network, seconds),
        changes: changes(network, seconds),
        recoveries: Vec::new(),
        paths: Vec::new(),
        mappings: Vec::new(),
        stalls: Vec::new(),
        processes: processes(shape.subject, seconds),
        samples: samples(network, goodput, seconds, shape.subject),
        series: series(network, goodput, seconds, serial),
    }
}

/// `run` turned into one that ended otherwise: no samples (unless untrusted), a reason, the fetcher's last words.
pub fn failed(shape: Shape, outcome: Outcome, reason: &str, stderr: &str) -> RunRecord {
    let mut run = run(shape);
    run.outcome = outcome;
    run.reason = Some(reason.into());
    if outcome != Outcome::Untrusted {
        run.samples.clear();
        run.processes[1].exit = ExitState::Code(1);
        run.processes[1].stderr_tail = stderr.into();
        for series in &mut run.series {
            series.values.truncate(series.values.len() / 3);
        }
    }
    run
}

/// Twelve commits, every network, both subjects, two repetitions, with what a real history has: a slower commit, a
/// changed scenario, a dirty tree, a failure, an untrusted run. Oldest first.
pub fn history() -> Vec<RunRecord> {
    let mut runs = Vec::new();
    for commit in 0..12 {
        for network in 0..NETWORKS.len() {
            for subject in ["reference", "curl"] {
                for iteration in 0..2 {
                    runs.push(eventful(Shape { network, subject, commit, iteration }));
                }
            }
        }
    }
    runs
}

fn eventful(shape: Shape) -> RunRecord {
    let name = NETWORKS[shape.network].name;
    let mut run = match (name, shape.subject, shape.commit, shape.iteration) {
        ("home-nat", "curl", 11, _) => failed(
            shape,
            Outcome::SubjectFailed,
            "fetcher exited with status 7 after 0.2 s",
            "curl: (7) Failed to connect to 198.18.0.2 port 8080 after 131 ms: Connection refused\n",
        ),
        ("dsl", "reference", 6, 1) => {
            failed(shape, Outcome::TimedOut, "still running after 60 s", "waiting for provider\n")
        }
        ("latency-200ms", "reference", 11, 1) => untrusted(shape),
        _ => run(shape),
    };
    if name == "lossy-1pct" && shape.subject == "reference" && shape.commit >= 8 {
        slow_down(&mut run, 0.886);
    }
    if name == "dsl" && shape.commit >= 5 {
        run.scenario_hash = format!("{:064x}", 0xd51);
    }
    if let (4, Some(detail)) = (shape.commit, &mut run.commit_detail) {
        detail.dirty = true;
    }
    run
}

fn untrusted(shape: Shape) -> RunRecord {
    let mut run = failed(
        shape,
        Outcome::Untrusted,
        "alice → bob: asked for 100 ms one way, measured 131 ms; the emulator stood still for 412 ms; 100 ms is allowed",
        "",
    );
    run.calibration.paths[0].delay.median_ns = 131_000_000;
    run.fidelity.longest_gap_ns = 412_000_000;
    run.fidelity.gaps = 9;
    run
}

fn slow_down(run: &mut RunRecord, factor: f64) {
    for sample in &mut run.samples {
        match sample.metric.as_str() {
            "goodput" => sample.value *= factor,
            "transfer_time" | "total_time" => sample.value /= factor,
            _ => {}
        }
    }
}

/// What is in the fixtures of formats from 4 on: several runs of a commit, one that comes late, another version of the scenario,
/// another subject with fewer numbers, a failed run, an untrusted one, and one outside a repository.
pub fn fixture() -> Vec<RunRecord> {
    let shape = Shape { network: 1, subject: "reference", commit: 0, iteration: 0 };
    let at = |commit, iteration| run(Shape { commit, iteration, ..shape });
    let mut runs = vec![at(0, 0), at(0, 1), at(0, 2), at(2, 0), at(1, 0), at(2, 1), at(2, 2)];
    for changed in [5, 6] {
        runs[changed].scenario_hash = "f".repeat(64);
    }
    runs.push(untrusted(Shape { commit: 2, iteration: 3, ..shape }));
    runs.push(failed(Shape { commit: 3, ..shape }, Outcome::TimedOut, "still running after 60 s", ""));
    runs.push(run(Shape { subject: "curl", commit: 1, ..shape }));
    runs[9].samples.truncate(3);
    runs[9].id = "not a UUID".into();
    runs.push(run(Shape { subject: "curl", commit: 2, ..shape }));
    runs[10].commit = None;
    runs[10].commit_detail = None;
    for run in &mut runs {
        // A fixture is read by people too.
        run.series.truncate(1);
    }
    runs
}

/// Full hash of the `n`th invented commit.
pub fn sha(n: u32) -> String {
    let word = 0x9e37_79b9u32.wrapping_mul(n + 7);
    format!("{word:08x}{:032x}", n + 1)
}

pub(super) fn commit_detail(n: u32) -> CommitDetail {
    const SUMMARIES: [&str; 6] = [
        "transfer: verify chunk groups as they arrive",
        "Reuse the read buffer between files",
        "quinn: raise the initial window",
        "pace acks per path",
        "Refuse a ticket of another version",
        "provider: open files lazily",
    ];
    CommitDetail {
        parents: if n == 0 { vec![] } else { vec![sha(n - 1)] },
        authored_ms: FIRST_COMMIT_MS + i64::from(n) * DAY_MS,
        branch: Some("main".into()),
        summary: SUMMARIES[n as usize % SUMMARIES.len()].into(),
        dirty: false,
    }
}

pub(super) fn host() -> HostDetail {
    HostDetail {
        fingerprint: "7f3a9c51e0d24b68".into(),
        cpu: "AMD EPYC 7B13".into(),
        cores: 8,
        memory_bytes: 33_500_000_000,
        kernel: "6.12.9".into(),
        boot_id: "0f2c7a54-1b1e-4c0e-9a0e-5f4f1c2d3e4a".into(),
        runner_version: "0.1.0".into(),
        tcp_congestion_control: "cubic".into(),
        plane: "userspace/tun".into(),
    }
}

fn calibration(network: &Network, serial: u32) -> Calibration {
    let check = |from: &str, to: &str, twist: u32| {
        let error = (18_000.0 + 9_000.0 * noise(serial ^ twist)) as u64;
        PathCheck {
            from: from.into(),
            to: to.into(),
            delay: DelayCheck {
                asked_ns: network.delay_ns,
                jitter_ns: 0,
                median_ns: network.delay_ns + error,
                p99_ns: network.delay_ns + error * 5,
                ..DelayCheck::default()
            },
            loss: LossCheck {
                asked_ppb: network.loss_ppb,
                sent: 4000,
                lost: u64::from(network.loss_ppb) * 4 / 1_000_000 + u64::from(network.loss_ppb > 0) * 3,
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
    Calibration { paths: vec![check("alice", "bob", 0x51), check("bob", "alice", 0xa3)], nats: Vec::new() }
}

fn fidelity(serial: u32) -> Fidelity {
    let p50 = (18_000.0 + 4_000.0 * noise(serial ^ 0x77)) as u64;
    Fidelity {
        released: 48_211,
        lateness_p50_ns: p50,
        lateness_p99_ns: p50 * 5,
        lateness_p999_ns: p50 * 14,
        lateness_max_ns: p50 * 40,
        lateness: vec![
            LatenessBucket { le_ns: 16_384, count: 21_000 },
            LatenessBucket { le_ns: 65_536, count: 26_700 },
            LatenessBucket { le_ns: 1_048_576, count: 511 },
        ],
        longest_gap_ns: 1_300_000,
        gaps: 1,
        unintended_drops: BTreeMap::from([("device queue".into(), 0)]),
        busy_share: 0.31,
        backlog_share: 0.02,
        realtime: true,
    }
}

fn links(network: &Network, seconds: f64) -> Vec<LinkReport> {
    let packets = network.payload_bytes / 1350;
    let lost = packets * u64::from(network.loss_ppb) / 1_000_000_000;
    let queue = if network.rate_bps.is_some() { 42_000_000 } else { 0 };
    let link = |name: &str, direction: &str, packets: u64, size: u64, lost: u64, queue: u64| LinkReport {
        link: name.into(),
        direction: direction.into(),
        packets,
        bytes: packets * size,
        delivered: packets - lost,
        dropped: if lost > 0 { BTreeMap::from([("loss".into(), lost)]) } else { BTreeMap::new() },
        peak_queueing_delay_ns: queue,
        impairment_trace: format!("{:016x}", (seconds * 1e6) as u64),
    };
    vec![
        link("alice.link", "up", packets, 1400, 0, 0),
        link("alice.link", "down", packets / 12, 72, 0, 0),
        link("bob.link", "up", packets / 12, 72, lost / 12, 0),
        link("bob.link", "down", packets, 1400, lost, queue),
    ]
}

/// On `dsl` alone: one flow each way.
/// A slow network gets slower on the way.
fn changes(network: &Network, seconds: f64) -> Vec<NetworkChange> {
    let what = "bob.link down changes to 2 Mbit/s".to_owned();
    let change = NetworkChange { at_ns: (seconds * 0.6e9) as u64, what };
    network.rate_bps.filter(|rate| *rate < 20_000_000).map(|_| change).into_iter().collect()
}

fn cross(network: &Network, seconds: f64) -> Vec<CrossReport> {
    if network.name != "dsl" {
        return Vec::new();
    }
    let flow = |kind, from: &str, to: &str, bytes: u64| CrossReport {
        kind,
        from: from.into(),
        to: to.into(),
        asked_start_ns: 250_000_000,
        asked_stop_ns: None,
        started_ns: Some(250_000_000),
        stopped_ns: Some((seconds * 1e9) as u64),
        sent_bytes: bytes + 11_720,
        received_bytes: bytes,
        lost_packets: 10,
        goodput_bps: bytes as f64 * 8.0 / seconds,
        failure: None,
    };
    let udp = CrossKind::Udp { rate_bps: 4_000_000, packet_bytes: 1200, due_packets: 1_061, sent_packets: 1_060 };
    vec![
        flow(CrossKind::Tcp { congestion: "cubic".into() }, "carol", "alice", 3_000_000),
        flow(udp, "alice", "carol", 1_230_600),
    ]
}

fn processes(subject: &str, seconds: f64) -> Vec<ProcessReport> {
    let process = |role: Role, host: &str, command: &[&str], exit: ExitState, share: f64, rss: u64| ProcessReport {
        role,
        host: host.into(),
        command: command.iter().map(ToString::to_string).collect(),
        exit,
        cpu_user_s: seconds * share,
        cpu_system_s: seconds * share * 0.6,
        peak_rss_bytes: rss << 20,
        context_switches: 4_321,
        instructions: None,
        stderr_tail: String::new(),
    };
    let (serve, fetch): (&[&str], &[&str]) = match subject {
        "curl" => {
            (&["longhaul-transfer", "serve-http", "payload"], &["curl", "-sS", "-o", "out", "http://198.18.0.2:8080/"])
        }
        _ => (&["longhaul-transfer", "provide", "payload"], &["longhaul-transfer", "fetch", "ticket", "out"]),
    };
    vec![
        process(Role::Provider, "alice", serve, ExitState::Stopped, 0.2, 31),
        process(Role::Fetcher, "bob", fetch, ExitState::Code(0), 0.3, 24),
    ]
}

fn samples(network: &Network, goodput: f64, seconds: f64, subject: &str) -> Vec<Sample> {
    let setup = 0.004 + network.delay_ns as f64 / 1e9 * 2.0;
    let overhead = if subject == "curl" { 1.043 } else { 1.068 };
    let wire = network.payload_bytes as f64 * overhead;
    let queue = if network.rate_bps.is_some() { 0.042 } else { 0.0 };
    let mut out: Vec<Sample> = [
        ("goodput", goodput),
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
    for (peer, share, rss) in [("provider", 0.32, 31.0), ("fetcher", 0.48, 24.0)] {
        let peer = Some(peer.to_string());
        out.push(Sample { metric: "cpu_seconds".into(), peer: peer.clone(), value: seconds * share });
        out.push(Sample { metric: "peak_rss".into(), peer, value: rss * 1_048_576.0 });
    }
    out
}

fn series(network: &Network, goodput: f64, seconds: f64, serial: u32) -> Vec<Series> {
    let interval_ms = 50;
    let steps = ((seconds / 0.05) as u32).clamp(4, 400);
    let over_time = |f: &dyn Fn(u32) -> f64| (0..steps).map(f).collect::<Vec<f64>>();
    let ramp = |i: u32| (f64::from(i) / (2.0 + network.delay_ns as f64 / 1e7)).min(1.0);
    let payload = over_time(&|i| goodput * ramp(i) * (1.04 + 0.05 * noise(serial ^ (i << 8))));
    let wire = payload.iter().map(|rate| rate * 1.07).collect();
    let lost = over_time(&|i| if network.loss_ppb > 0 && noise(i * 31 + serial) > 0.2 { 3.0 } else { 0.0 });
    let queue = over_time(&|i| match network.rate_bps {
        Some(_) => (0.03 * ramp(i) * (1.0 + 0.3 * noise(i * 7 + serial))).max(0.0),
        None => 0.0,
    });
    [("payload", "bit/s", payload), ("wire", "bit/s", wire), ("lost", "packets", lost), ("queue", "s", queue)]
        .map(|(name, unit, values)| Series { name: name.into(), peer: None, unit: unit.into(), interval_ms, values })
        .into()
}

/// A number that no two shapes share.
fn serial(shape: Shape) -> u32 {
    let subject = u32::from(shape.subject == "curl");
    ((shape.commit * 32 + shape.network as u32) * 2 + subject) * 16 + shape.iteration
}

/// A value in -1..1 that looks random and is a function of `n` (the finalizer of MurmurHash3).
fn noise(n: u32) -> f64 {
    let mut x = n ^ 0x9e37_79b9;
    for factor in [0x85eb_ca6b_u32, 0xc2b2_ae35] {
        x = (x ^ (x >> 16)).wrapping_mul(factor);
    }
    f64::from(x ^ (x >> 16)) / f64::from(u32::MAX) * 2.0 - 1.0
}
