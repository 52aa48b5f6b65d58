//! Networks that could be.

/// A network and what `driftwood` reaches on it before anything happens.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Network {
    pub(crate) name: String,
    pub(crate) words: String,
    /// One-way delay, in milliseconds.
    pub(crate) delay_ms: f64,
    /// Loss each way.
    pub(crate) loss: f64,
    /// The line's rate in bit/s, if it has one.
    pub(crate) rate_bps: Option<u64>,
    pub(crate) payload_mib: u64,
    /// Goodput in bit/s.
    pub(crate) goodput: f64,
    /// How far runs of one commit lie apart, relative.
    pub(crate) noise: f64,
    /// Whether both routers let a direct way through; `None` where there are no routers.
    pub(crate) direct: Option<bool>,
}

/// Name, words, delay in ms, loss, rate in Mbit/s (0: none), MiB, Mbit/s of goodput, noise in percent.
type Row = (&'static str, &'static str, f64, f64, u64, u64, f64, f64);

const NAMED: [Row; 12] = [
    ("throughput/1-to-1", "alice sends 1 GiB to bob on one switch.", 0.05, 0.0, 0, 1024, 7_900.0, 3.0),
    ("throughput/1-to-10", "alice sends 1 GiB to each of ten hosts on one switch.", 0.05, 0.0, 0, 1024, 9_400.0, 2.2),
    ("tree/linux-kernel", "alice sends 78,579 small files to bob.", 0.5, 0.0, 0, 1314, 3_900.0, 2.6),
    ("latency/20ms", "alice sends 128 MiB to bob over a round trip of 20 ms.", 10.0, 0.0, 0, 128, 1_120.0, 1.8),
    ("latency/200ms", "alice sends 64 MiB to bob over a round trip of 200 ms.", 100.0, 0.0, 0, 64, 512.0, 1.2),
    (
        "lossy/0.1pct",
        "alice sends 64 MiB to bob; 0.1 % of the packets are lost each way.",
        10.0,
        0.001,
        0,
        64,
        402.0,
        2.0,
    ),
    ("lossy/1pct", "alice sends 32 MiB to bob; 1 % of the packets are lost each way.", 10.0, 0.01, 0, 32, 148.0, 2.4),
    ("lossy/bursty", "alice sends 32 MiB to bob; packets are lost in bursts.", 10.0, 0.02, 0, 32, 61.0, 6.5),
    ("presets/dsl", "alice sends 16 MiB to bob over a DSL line of 50 Mbit/s.", 15.0, 0.0, 50, 16, 46.1, 0.4),
    ("presets/wifi-bad", "alice sends 8 MiB to bob over a bad Wi-Fi.", 8.0, 0.03, 20, 8, 11.2, 7.0),
    ("home/behind-router", "alice sends 64 MiB to bob, who is at home behind a router.", 12.0, 0.0, 100, 64, 93.1, 0.5),
    ("backup/phone-to-phone", "a phone sends its backup to another over Wi-Fi.", 3.0, 0.005, 200, 256, 131.0, 3.0),
];

/// Kinds of routers, and how hard each is to get through.
pub(crate) const ROUTERS: [(&str, u8); 6] =
    [("no-nat", 0), ("home", 1), ("full-cone", 1), ("cgnat", 1), ("symmetric", 2), ("udp-blocked", 3)];

impl Network {
    /// The `n`th. After the named ones, loss and delay go round.
    pub(crate) fn of(n: u32) -> Network {
        let (name, words, delay_ms, loss, rate, payload_mib, goodput, noise) = NAMED[n as usize % NAMED.len()];
        let round = n / NAMED.len() as u32;
        let more = f64::from(round);
        Network {
            name: if round == 0 { name.into() } else { format!("{name}/{}", round + 1) },
            words: words.into(),
            delay_ms: delay_ms * (1.0 + more),
            loss,
            rate_bps: (rate > 0).then_some(rate * 1_000_000),
            payload_mib,
            goodput: goodput * 1e6 / (1.0 + more * 0.3),
            noise: noise / 100.0,
            direct: None,
        }
    }

    /// Every pair of routers.
    pub(crate) fn routers() -> Vec<Network> {
        let pairs = ROUTERS.iter().flat_map(|a| ROUTERS.iter().map(move |b| (a, b)));
        pairs.map(|((a, hard_a), (b, hard_b))| Network::behind(a, b, hard_a + hard_b < 3)).collect()
    }

    fn behind(a: &str, b: &str, direct: bool) -> Network {
        Network {
            name: format!("nat[nat.a={a},nat.b={b}]"),
            words: format!("alice, behind a router of kind {a}, sends 2 MiB to bob behind {b}."),
            delay_ms: 10.0,
            loss: 0.0,
            rate_bps: Some(40_000_000),
            payload_mib: 2,
            goodput: if direct { 31e6 } else { 18e6 },
            noise: 0.02,
            direct: Some(direct),
        }
    }

    /// One-way delay in nanoseconds.
    pub(crate) fn delay_ns(&self) -> u64 {
        (self.delay_ms * 1e6) as u64
    }

    /// The payload in bytes.
    pub(crate) fn payload(&self) -> u64 {
        self.payload_mib << 20
    }
}
