//! What happened to the project in its year.

use crate::network::Network;

/// Something a commit did.
pub(crate) struct Event {
    /// Where in the year, from 0 to 1.
    from: f64,
    /// Where it was mended, if it was.
    until: f64,
    /// The commit that did it, in its own words.
    pub(crate) words: &'static str,
    /// The commit that mended it.
    pub(crate) mended: &'static str,
    /// Which networks feel it.
    feels: fn(&Network) -> bool,
    /// What goodput is multiplied by.
    pub(crate) goodput: f64,
    /// What CPU time is multiplied by.
    pub(crate) cpu: f64,
    /// What memory is multiplied by.
    pub(crate) memory: f64,
}

const NEVER: f64 = 2.0;

const EVENTS: [Event; 5] = [
    Event {
        from: 0.22,
        until: NEVER,
        words: "send: hand batches of segments to the kernel",
        mended: "",
        feels: |network| network.rate_bps.is_none() && network.loss == 0.0,
        goodput: 1.09,
        cpu: 0.84,
        memory: 1.0,
    },
    Event {
        from: 0.41,
        until: 0.55,
        words: "store: keep whole files in memory while they are verified",
        mended: "store: verify in windows of 1 MiB",
        feels: |network| network.payload_mib >= 256,
        goodput: 1.0,
        cpu: 1.0,
        memory: 1.62,
    },
    Event {
        from: 0.63,
        until: 0.78,
        words: "loss detection: wait for three rounds",
        mended: "loss detection: back to one round, with reordering in mind",
        feels: |network| network.loss > 0.0,
        goodput: 0.87,
        cpu: 1.0,
        memory: 1.0,
    },
    Event {
        from: 0.71,
        until: NEVER,
        words: "tree: read directories ahead",
        mended: "",
        feels: |network| network.name.starts_with("tree"),
        goodput: 1.07,
        cpu: 1.0,
        memory: 1.0,
    },
    Event {
        from: 0.94,
        until: NEVER,
        words: "pace acknowledgements per path",
        mended: "",
        feels: |network| network.loss >= 0.01 && network.noise < 0.05,
        goodput: 0.886,
        cpu: 1.04,
        memory: 1.0,
    },
];

/// The events that `network` feels at a part of the year.
pub(crate) fn felt(network: &Network, part: f64) -> impl Iterator<Item = &'static Event> {
    EVENTS.iter().filter(move |event| (event.feels)(network) && event.from <= part && part < event.until)
}

/// What the commit at `part` did, where the one before was at `before`.
pub(crate) fn words(before: f64, part: f64) -> Option<&'static str> {
    let crossed = |at: f64| before < at && at <= part;
    EVENTS.iter().find_map(|event| match (crossed(event.from), crossed(event.until)) {
        (true, _) => Some(event.words),
        (_, true) => Some(event.mended),
        _ => None,
    })
}

/// How CPU time creeps up over the last half of the year, where most of it is spent.
pub(crate) fn drift(network: &Network, part: f64) -> f64 {
    let share = if network.name.starts_with("throughput") { 0.08 } else { 0.0 };
    1.0 + share * (part - 0.5).max(0.0) * 2.0
}
