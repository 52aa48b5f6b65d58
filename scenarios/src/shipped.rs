//! The files shipped with longhaul, as text inside the program: it runs without its source tree.

/// Every shipped scenario: file name and text. A file is named after its scenario, for others to extend it.
pub fn suite() -> &'static [(&'static str, &'static str)] {
    &[
        ("suite/local.toml", include_str!("../suite/local.toml")),
        ("suite/latency-20ms.toml", include_str!("../suite/latency-20ms.toml")),
        ("suite/latency-200ms.toml", include_str!("../suite/latency-200ms.toml")),
        ("suite/lossy-1pct.toml", include_str!("../suite/lossy-1pct.toml")),
        ("suite/home-nat.toml", include_str!("../suite/home-nat.toml")),
        ("suite/dsl.toml", include_str!("../suite/dsl.toml")),
        ("suite/tree.toml", include_str!("../suite/tree.toml")),
        ("suite/latency.toml", include_str!("../suite/latency.toml")),
        ("suite/lossy.toml", include_str!("../suite/lossy.toml")),
        ("suite/jitter.toml", include_str!("../suite/jitter.toml")),
        ("suite/bufferbloat.toml", include_str!("../suite/bufferbloat.toml")),
        ("suite/presets.toml", include_str!("../suite/presets.toml")),
        ("suite/traces.toml", include_str!("../suite/traces.toml")),
        ("suite/regions.toml", include_str!("../suite/regions.toml")),
        ("suite/wifi-bad.toml", include_str!("../suite/wifi-bad.toml")),
        ("suite/crossed-dsl.toml", include_str!("../suite/crossed-dsl.toml")),
        ("suite/cgnat.toml", include_str!("../suite/cgnat.toml")),
        ("suite/outage.toml", include_str!("../suite/outage.toml")),
        ("suite/wifi-to-mobile.toml", include_str!("../suite/wifi-to-mobile.toml")),
        ("suite/lte-train.toml", include_str!("../suite/lte-train.toml")),
        ("suite/satellite-leo.toml", include_str!("../suite/satellite-leo.toml")),
        ("suite/small.toml", include_str!("../suite/small.toml")),
        ("suite/throughput.toml", include_str!("../suite/throughput.toml")),
        ("suite/swarm.toml", include_str!("../suite/swarm.toml")),
        ("suite/nat.toml", include_str!("../suite/nat.toml")),
    ]
}

/// Every shipped subject: file name and text.
pub fn subjects() -> &'static [(&'static str, &'static str)] {
    &[
        ("subjects/reference.toml", include_str!("../subjects/reference.toml")),
        ("subjects/curl.toml", include_str!("../subjects/curl.toml")),
        ("subjects/nginx.toml", include_str!("../subjects/nginx.toml")),
        ("subjects/nginx-https.toml", include_str!("../subjects/nginx-https.toml")),
        ("subjects/http3.toml", include_str!("../subjects/http3.toml")),
        ("subjects/rsync.toml", include_str!("../subjects/rsync.toml")),
        ("subjects/scp.toml", include_str!("../subjects/scp.toml")),
        ("subjects/aria2.toml", include_str!("../subjects/aria2.toml")),
        ("subjects/magic-wormhole.toml", include_str!("../subjects/magic-wormhole.toml")),
        ("subjects/deltachat.toml", include_str!("../subjects/deltachat.toml")),
        ("subjects/helia.toml", include_str!("../subjects/helia.toml")),
        ("subjects/beetle.toml", include_str!("../subjects/beetle.toml")),
        ("subjects/iroh.toml", include_str!("../subjects/iroh.toml")),
        ("subjects/iroh-relay-only.toml", include_str!("../subjects/iroh-relay-only.toml")),
        ("subjects/sendme.toml", include_str!("../subjects/sendme.toml")),
        ("subjects/kubo.toml", include_str!("../subjects/kubo.toml")),
        ("subjects/raw-quic.toml", include_str!("../subjects/raw-quic.toml")),
        ("subjects/iperf3-tcp.toml", include_str!("../subjects/iperf3-tcp.toml")),
        ("subjects/iperf3-udp.toml", include_str!("../subjects/iperf3-udp.toml")),
    ]
}
