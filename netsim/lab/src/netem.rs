//! Links by the kernel's `netem`, through `tc`: the second link engine, to compare the first with.
//!
//! What netem cannot do as our links do it is refused, never approximated; and what `tc` says it has set is read back and
//! compared, because a kernel without `sch_netem` may say yes to anything.
//!
//! Manual: tc-netem(8); `net/sched/sch_netem.c` of the kernel.

use netsim_fabric::{Discipline, Jitter, Limit, LinkConfig, LinkState, Loss, Manner, Probability, Rate, Reorder};
use serde_json::Value;
use std::io;
use std::process::{Command, Stdio};

/// Why a link cannot be one of netem's.
#[derive(Debug, thiserror::Error)]
pub enum NetemError {
    /// netem has no such thing, or it does something else by that name.
    #[error("netem cannot do {what}; {instead}, or use the userspace engine")]
    Unsupported {
        /// What was asked for.
        what: &'static str,
        /// What netem can do.
        instead: &'static str,
    },
    /// The program is not there.
    #[error("cannot run `tc`; install it (Debian: apt-get install iproute2)")]
    NoTc(#[source] io::Error),
    /// The kernel, or `tc`, refused.
    #[error("`tc {arguments}` failed: {message}; the kernel may lack sch_netem (`modprobe sch_netem`)")]
    Refused {
        /// What it was asked.
        arguments: String,
        /// What it said.
        message: String,
    },
    /// The kernel says it has set something else.
    #[error("netem was asked for {asked} and says it has set {got}")]
    Differs {
        /// What was asked for.
        asked: String,
        /// What was read back.
        got: String,
    },
}

/// Packets that netem holds at once: enough for any delay and rate that this engine is used with.
const LIMIT: u32 = 100_000;

/// A pipe is a pair of Ethernet devices, but a link's rate is one of IP packets: so many bytes of a frame do not count.
const ETHERNET: u32 = 14;

/// The arguments of `tc qdisc add dev DEVICE root netem`.
pub(crate) fn arguments(link: &LinkConfig) -> Result<Vec<String>, NetemError> {
    check(link)?;
    let mut arguments: Vec<String> = ["limit".into(), limit(link).to_string()].into();
    let mut add = |words: &[&str]| arguments.extend(words.iter().map(|word| (*word).to_owned()));
    let delay = microseconds(link.delay_ns);
    match &link.jitter {
        Jitter::None if link.delay_ns == 0 => {}
        Jitter::None => add(&["delay", &delay]),
        Jitter::Uniform { ns } => add(&["delay", &delay, &microseconds(*ns)]),
        Jitter::Normal { sigma_ns } => add(&["delay", &delay, &microseconds(*sigma_ns), "distribution", "normal"]),
        // `check` has refused them.
        Jitter::Pareto { .. } | Jitter::Samples(_) => {}
    }
    match &link.loss {
        Loss::None | Loss::Scripted(_) => {}
        Loss::Bernoulli(share) => add(&["loss", "random", &percent(*share)]),
        Loss::GilbertElliott { fail, recover, loss_good, loss_bad } => {
            add(&["loss", "gemodel", &percent(*fail), &percent(*recover), &percent(*loss_bad), &percent(*loss_good)]);
        }
    }
    for (name, share) in [("duplicate", link.duplicate), ("corrupt", link.corrupt)] {
        if share != Probability::ZERO {
            add(&[name, &percent(share)]);
        }
    }
    if let Rate::Constant(rate) = link.rate {
        add(&["rate", &format!("{rate}bit"), &format!("-{ETHERNET}")]);
    }
    Ok(arguments)
}

/// A link that is asked to be like netem has netem's own limit.
fn limit(link: &LinkConfig) -> u64 {
    match (link.manner, link.queue.limit) {
        (Manner::Netem, Limit::Packets(packets)) => packets,
        _ => LIMIT.into(),
    }
}

/// Older versions of `tc` know no nanoseconds, but fractions.
fn microseconds(nanos: u64) -> String {
    format!("{}.{:03}us", nanos / 1000, nanos % 1000)
}

fn percent(share: Probability) -> String {
    format!("{}%", f64::from(share.ppb()) / 1e7)
}

fn check(link: &LinkConfig) -> Result<(), NetemError> {
    let unsupported = |what, instead| Err(NetemError::Unsupported { what, instead });
    match link.jitter {
        Jitter::Pareto { .. } => return unsupported("this Pareto jitter", "it has a Pareto distribution of its own"),
        Jitter::Samples(_) => return unsupported("jitter from samples", "use uniform or normal jitter"),
        Jitter::Uniform { .. } | Jitter::Normal { .. }
            if link.reorder != Reorder::ByJitter && link.manner != Manner::Netem =>
        {
            return unsupported("jitter that keeps order", "let the jitter reorder");
        }
        _ => {}
    }
    match (&link.loss, link.reorder, link.queue.limit, link.queue.discipline) {
        (Loss::Scripted(_), ..) => unsupported("a list of lost packets", "use random or bursty loss"),
        (_, Reorder::Share { .. }, ..) => unsupported("reordering by a fixed distance", "let the jitter reorder"),
        (_, _, Limit::Bytes(_), _) => unsupported("a queue in bytes", "leave the queue unbounded"),
        // Its limit counts packets under way too.
        (_, _, Limit::Packets(_), _) if link.manner != Manner::Netem => {
            unsupported("a queue in packets", "leave the queue unbounded")
        }
        (_, _, _, Discipline::CoDel(_) | Discipline::Red(_)) => {
            unsupported("queue management in the same link", "leave the queue drop-tail")
        }
        _ if link.state != LinkState::Up => unsupported("a link that is down", "start with it up"),
        _ if link.mtu.is_some() => unsupported("an MTU", "leave it out"),
        _ if matches!(link.rate, Rate::Schedule(_) | Rate::Trace(_)) => {
            unsupported("a rate that changes", "use a constant rate")
        }
        _ => Ok(()),
    }
}

/// Sets up netem on `device`, in the current thread's namespace, and compares what was set with what was asked.
pub(crate) fn set(device: &str, link: &LinkConfig) -> Result<(), NetemError> {
    let mut words: Vec<String> = ["qdisc", "add", "dev", device, "root", "netem"].map(str::to_owned).into();
    words.extend(arguments(link)?);
    tc(&words)?;
    let shown = tc(&["-j", "qdisc", "show", "dev", device].map(str::to_owned))?;
    verify(link, &shown)
}

fn tc(arguments: &[String]) -> Result<String, NetemError> {
    let output = Command::new("tc").args(arguments).stdin(Stdio::null()).output().map_err(NetemError::NoTc)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let message = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
    Err(NetemError::Refused { arguments: arguments.join(" "), message })
}

/// Relative and absolute rounding of what `tc` prints: shares are kept in 32 bits, times in nanoseconds or ticks.
const ROUNDING: (f64, f64) = (1e-3, 1e-6);

/// Compares what `tc -j qdisc show` prints with what was asked.
pub(crate) fn verify(link: &LinkConfig, shown: &str) -> Result<(), NetemError> {
    let found: Value = serde_json::from_str(shown).unwrap_or_default();
    let netem = found.as_array().into_iter().flatten().find(|qdisc| qdisc["kind"] == "netem");
    let options = netem
        .map(|netem| &netem["options"])
        .ok_or_else(|| NetemError::Differs { asked: "netem".to_owned(), got: shown.trim().to_owned() })?;
    let share = |probability: Probability| f64::from(probability.ppb()) / 1e9;
    let jitter_ns = match link.jitter {
        Jitter::Uniform { ns } => ns,
        Jitter::Normal { sigma_ns } => sigma_ns,
        _ => 0,
    };
    let mut asked: Vec<(&str, &str, f64)> = vec![
        ("delay", "delay", link.delay_ns as f64 / 1e9),
        ("delay", "jitter", jitter_ns as f64 / 1e9),
        ("duplicate", "duplicate", share(link.duplicate)),
        ("corrupt", "corrupt", share(link.corrupt)),
    ];
    if let Rate::Constant(rate) = link.rate {
        // In bytes per second.
        asked.push(("rate", "rate", rate.get() as f64 / 8.0));
        asked.push(("rate", "packetoverhead", -f64::from(ETHERNET)));
    }
    match &link.loss {
        Loss::Bernoulli(probability) => asked.push(("loss-random", "loss", share(*probability))),
        Loss::GilbertElliott { fail, recover, loss_good, loss_bad } => asked.extend([
            ("loss-gemodel", "p", share(*fail)),
            ("loss-gemodel", "r", share(*recover)),
            ("loss-gemodel", "1-h", share(*loss_bad)),
            ("loss-gemodel", "1-k", share(*loss_good)),
        ]),
        Loss::None | Loss::Scripted(_) => asked.push(("loss-random", "loss", 0.0)),
    }
    for (group, name, asked) in asked {
        let got = options[group][name].as_f64().unwrap_or(0.0);
        if (got - asked).abs() > ROUNDING.1 + asked.abs() * ROUNDING.0 {
            return Err(NetemError::Differs { asked: format!("{group} {name} {asked}"), got: got.to_string() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use netsim_fabric::Queue;
    use std::num::NonZeroU64;

    fn share(ppb: u32) -> Probability {
        Probability::from_ppb(ppb).unwrap()
    }

    fn rich() -> LinkConfig {
        LinkConfig {
            delay_ns: 20_000_000,
            jitter: Jitter::Normal { sigma_ns: 2_000_000 },
            reorder: Reorder::ByJitter,
            loss: Loss::GilbertElliott {
                fail: share(10_000_000),
                recover: share(250_000_000),
                loss_good: Probability::ZERO,
                loss_bad: Probability::ONE,
            },
            duplicate: share(5_000_000),
            corrupt: share(1_000_000),
            rate: Rate::Constant(NonZeroU64::new(10_000_000).unwrap()),
            ..LinkConfig::default()
        }
    }

    #[test]
    fn links_become_arguments() {
        for (link, expect) in [
            (LinkConfig::default(), "limit 100000"),
            (LinkConfig { delay_ns: 1_500_000, ..LinkConfig::default() }, "limit 100000 delay 1500.000us"),
            (
                rich(),
                "limit 100000 delay 20000.000us 2000.000us distribution normal loss gemodel 1% 25% 100% 0% \
                 duplicate 0.5% corrupt 0.1% rate 10000000bit -14",
            ),
        ] {
            assert_eq!(arguments(&link).unwrap().join(" "), expect);
        }
    }

    #[test]
    fn what_netem_cannot_do_is_refused() {
        let base = LinkConfig::default;
        for (link, expect) in [
            (LinkConfig { jitter: Jitter::Uniform { ns: 1 }, ..base() }, "jitter that keeps order"),
            (LinkConfig { queue: Queue::drop_tail(1000), ..base() }, "a queue in bytes"),
            (LinkConfig { jitter: Jitter::Pareto { scale_ns: 1, shape_milli: 3000 }, ..base() }, "Pareto"),
        ] {
            let error = arguments(&link).unwrap_err().to_string();
            assert!(error.contains(expect) && error.contains("userspace engine"), "{error}");
        }
    }

    #[test]
    fn what_was_set_is_compared() {
        // As printed by `tc -j` of iproute2 6.1 on Linux 6.1.
        let shown = r#"[{"kind":"netem","handle":"8001:","root":true,"refcnt":2,"options":{"limit":100000,
            "delay":{"delay":0.02,"jitter":0.002,"correlation":0},
            "loss-gemodel":{"p":0.01,"r":0.25,"1-h":1,"1-k":0},
            "duplicate":{"duplicate":0.005,"correlation":0},"corrupt":{"corrupt":0.001,"correlation":0},
            "rate":{"rate":1250000,"packetoverhead":-14,"cellsize":0,"celloverhead":0},"ecn":false,"gap":0}}]"#;
        verify(&rich(), shown).unwrap();
        for (from, to, expect) in [
            ("\"delay\":0.02", "\"delay\":0.00002", "delay delay 0.02"),
            ("\"r\":0.25", "\"r\":0.3", "loss-gemodel r 0.25"),
            ("1250000", "125000", "rate rate 1250000"),
            (":-14", ":0", "rate packetoverhead -14"),
            ("\"netem\"", "\"noqueue\"", "netem"),
        ] {
            let error = verify(&rich(), &shown.replace(from, to)).unwrap_err().to_string();
            assert!(error.contains(expect), "{error}");
        }
        assert!(verify(&rich(), "[]").is_err());
    }
}
