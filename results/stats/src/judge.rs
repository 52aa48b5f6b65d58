//! Whether a run may be believed.

use crate::{Interval, Z_999, wilson};
use longhaul_record::{
    Calibration, CrossKind, CrossReport, DelayCheck, Fidelity, LossCheck, MtuCheck, NatBehaviour, NatCheck, PathCheck,
    Tolerance, Unit, text,
};
use std::fmt;

/// One way in which the network was not what the scenario says. Its text is a sentence for people.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Deviation {
    /// Nothing was probed, so nothing is proven.
    NotCalibrated,
    /// The median one-way delay is off.
    Delay {
        /// The direction, `alice → bob`.
        path: String,
        /// Configured delay.
        asked_ns: u64,
        /// Median of the probes.
        got_ns: u64,
    },
    /// The configured loss lies outside the 99.9 % interval of what was lost.
    Loss {
        /// The direction.
        path: String,
        /// Configured probability, in parts per billion.
        asked_ppb: u32,
        /// Probes sent.
        sent: u64,
        /// Probes lost.
        lost: u64,
    },
    /// The rate is off.
    Rate {
        /// The direction.
        path: String,
        /// Configured rate.
        asked_bps: u64,
        /// Measured rate.
        got_bps: u64,
    },
    /// Probes overtook each other although nothing in a scenario reorders.
    Reordered {
        /// The direction.
        path: String,
        /// How many.
        probes: u64,
    },
    /// Probes arrived twice although nothing in a scenario duplicates.
    Duplicated {
        /// The direction.
        path: String,
        /// How many.
        probes: u64,
    },
    /// What lies in front of a host behaves in another way.
    Nat {
        /// The host.
        host: String,
        /// What its routers' terms come to; absent: no UDP gets through.
        asked: Option<NatBehaviour>,
        /// What its packets met.
        got: Option<NatBehaviour>,
    },
    /// The emulator handed packets over too late.
    Late {
        /// Lateness at the 99th percentile.
        p99_ns: u64,
        /// What is allowed.
        allowed_ns: u64,
    },
    /// Larger packets than the path's MTU come through, or only smaller ones.
    Mtu {
        /// From where to where.
        path: String,
        /// What was asked, in bytes of IP.
        asked: u32,
        /// What was measured.
        got: u32,
    },
    /// The emulator's loop stood still for too long.
    Gap {
        /// The longest gap.
        longest_ns: u64,
        /// What is allowed.
        allowed_ns: u64,
    },
    /// Packets waited for the emulator, so it was the bottleneck and not the network.
    Bottleneck {
        /// For this share of the time, 0 to 1.
        share: f64,
        /// What is allowed.
        allowed: f64,
    },
    /// The emulator lost packets that the scenario did not.
    Dropped {
        /// Where: device queue, buffer pool, write error.
        cause: String,
        /// How many.
        packets: u64,
    },
    /// A flow beside the transfer did not come about, or broke off.
    CrossFailed {
        /// Which, `TCP neighbour → server`.
        flow: String,
        /// Why.
        reason: String,
    },
    /// The sender of a constant-rate flow was too late to keep its rate.
    CrossSlow {
        /// Which.
        flow: String,
        /// Packets that were due.
        due: u64,
        /// Packets that were sent.
        sent: u64,
    },
}

/// Every deviation of a run's evidence from what was asked; empty when the run may be trusted.
///
/// Deviations come in the order of the evidence: path by path, host by host, then the emulator itself.
pub fn judge(calibration: &Calibration, fidelity: &Fidelity, tolerance: &Tolerance) -> Vec<Deviation> {
    let mut found = Vec::new();
    if calibration.paths.is_empty() {
        found.push(Deviation::NotCalibrated);
    }
    for check in &calibration.paths {
        judge_path(check, tolerance, &mut found);
    }
    for NatCheck { host, asked, got } in &calibration.nats {
        if asked != got {
            found.push(Deviation::Nat { host: host.clone(), asked: *asked, got: *got });
        }
    }
    if fidelity.lateness_p99_ns > tolerance.lateness_p99_ns {
        found.push(Deviation::Late { p99_ns: fidelity.lateness_p99_ns, allowed_ns: tolerance.lateness_p99_ns });
    }
    if fidelity.longest_gap_ns > tolerance.gap_ns {
        found.push(Deviation::Gap { longest_ns: fidelity.longest_gap_ns, allowed_ns: tolerance.gap_ns });
    }
    let allowed = f64::from(tolerance.backlog_permille) / 1000.0;
    if fidelity.backlog_share > allowed {
        found.push(Deviation::Bottleneck { share: fidelity.backlog_share, allowed });
    }
    for (cause, &packets) in &fidelity.unintended_drops {
        if packets > 0 {
            found.push(Deviation::Dropped { cause: cause.clone(), packets });
        }
    }
    found
}

/// Every way in which the flows beside the transfer were less than what was asked for. What the network lost of them is
/// the scenario's own doing.
pub fn judge_cross(cross: &[CrossReport], tolerance: &Tolerance) -> Vec<Deviation> {
    let mut found = Vec::new();
    for report in cross {
        if let Some(reason) = &report.failure {
            found.push(Deviation::CrossFailed { flow: report.label(), reason: reason.clone() });
        } else if let CrossKind::Udp { due_packets: due, sent_packets: sent, .. } = report.kind
            && u128::from(due.saturating_sub(sent)) > permille(due, tolerance.cross_permille)
        {
            found.push(Deviation::CrossSlow { flow: report.label(), due, sent });
        }
    }
    found
}

fn judge_path(check: &PathCheck, tolerance: &Tolerance, found: &mut Vec<Deviation>) {
    let path = format!("{} → {}", check.from, check.to);
    let delay = &check.delay;
    if !delay_holds(delay, tolerance) {
        found.push(Deviation::Delay { path: path.clone(), asked_ns: delay.asked_ns, got_ns: delay.median_ns });
    }
    let loss = &check.loss;
    if !loss_holds(loss) {
        found.push(Deviation::Loss { path: path.clone(), asked_ppb: loss.asked_ppb, sent: loss.sent, lost: loss.lost });
    }
    if let Some(rate) = &check.rate {
        let allowed = permille(rate.asked_bps, tolerance.rate_permille.saturating_add(rate.slack_permille));
        if !rate.varies && u128::from(rate.asked_bps.abs_diff(rate.got_bps)) > allowed {
            found.push(Deviation::Rate { path: path.clone(), asked_bps: rate.asked_bps, got_bps: rate.got_bps });
        }
    }
    if let Some(MtuCheck { asked, got }) = check.mtu
        && asked != got
    {
        found.push(Deviation::Mtu { path: path.clone(), asked, got });
    }
    if check.reordered > 0 && !check.reorder_asked {
        found.push(Deviation::Reordered { path: path.clone(), probes: check.reordered });
    }
    if check.duplicated > 0 && check.duplicate_ppb == 0 {
        found.push(Deviation::Duplicated { path, probes: check.duplicated });
    }
}

/// Jitter goes both ways, but keeping the order holds packets back, so it can move the median up and not down.
fn delay_holds(delay: &DelayCheck, tolerance: &Tolerance) -> bool {
    let slack = u128::from(tolerance.delay_ns).max(permille(delay.asked_ns, tolerance.delay_permille));
    let (asked, got) = (u128::from(delay.asked_ns), u128::from(delay.median_ns));
    let not_too_late = delay.varies || got <= asked + u128::from(delay.jitter_ns) + slack;
    got + slack + u128::from(delay.early_ns) >= asked && not_too_late
}

/// The 99.9 % interval of a share of losses (Wilson), as wide as so many independent probes make it as vary alike: bursts
/// make neighbours share their fate. `None` without probes.
pub fn loss_interval(loss: &LossCheck) -> Option<Interval> {
    let independent = |count: u64| count * 1000 / (1000 + u64::from(loss.clumping_permille));
    let (lost, sent) = (independent(loss.lost), independent(loss.sent));
    // No loss at all says as much as it would without bursts, or a few losses would vanish.
    wilson(if loss.lost > 0 { lost.max(1) } else { 0 }, sent.max(u64::from(loss.sent > 0)), Z_999)
}

fn loss_holds(loss: &LossCheck) -> bool {
    // Each of the listed packets may have been a probe, or not.
    let least = LossCheck { lost: loss.lost.saturating_sub(loss.scripted), ..loss.clone() };
    if loss.asked_ppb == 0 {
        return loss.sent > 0 && least.lost == 0;
    }
    let share = f64::from(loss.asked_ppb) / 1e9;
    let (low, high) = (loss_interval(&least), loss_interval(loss));
    low.zip(high).is_some_and(|(low, high)| low.low <= share && share <= high.high)
}

fn permille(of: u64, permille: u32) -> u128 {
    u128::from(of) * u128::from(permille) / 1000
}

impl fmt::Display for Deviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Deviation::NotCalibrated => write!(f, "no path was probed, so nothing proves what the network was"),
            Deviation::Delay { path, asked_ns, got_ns } => {
                let (asked, got) = alike(Unit::Seconds, *asked_ns as f64 / 1e9, *got_ns as f64 / 1e9);
                write!(f, "{path}: asked for {asked} one way, measured {got}")
            }
            Deviation::Loss { path, sent: 0, .. } => write!(f, "{path}: no loss probe was sent"),
            Deviation::Loss { path, asked_ppb, sent, lost } => {
                let asked = match asked_ppb {
                    0 => "no loss".to_string(),
                    ppb => format!("{} loss", text::percent(f64::from(*ppb) / 1e9)),
                };
                let got = text::percent(*lost as f64 / *sent as f64);
                write!(f, "{path}: asked for {asked}, lost {lost} of {sent} probes ({got})")
            }
            Deviation::Rate { path, asked_bps, got_bps } => {
                let (asked, got) = alike(Unit::BitsPerSecond, *asked_bps as f64, *got_bps as f64);
                write!(f, "{path}: asked for {asked}, measured {got}")
            }
            Deviation::Reordered { path, probes } => {
                write!(f, "{path}: {} overtook others; no scenario asks for that", probes_text(*probes))
            }
            Deviation::Duplicated { path, probes } => {
                write!(f, "{path}: {} arrived twice; no scenario asks for that", probes_text(*probes))
            }
            Deviation::Nat { host, asked, got } => write!(f, "{host}: {}", nat_text(*asked, *got)),
            Deviation::Late { p99_ns, allowed_ns } => write!(
                f,
                "the emulator released packets {} late at the 99th percentile; {} is allowed",
                text::nanoseconds(*p99_ns),
                text::nanoseconds(*allowed_ns)
            ),
            Deviation::Mtu { path, asked, got } => {
                write!(f, "{path}: asked for an MTU of {asked} bytes, measured {got}")
            }
            Deviation::Gap { longest_ns, allowed_ns } => write!(
                f,
                "the emulator stood still for {}; {} is allowed",
                text::nanoseconds(*longest_ns),
                text::nanoseconds(*allowed_ns)
            ),
            Deviation::Bottleneck { share, allowed } => write!(
                f,
                "the emulator was the bottleneck: packets waited for it {} of the time; {} is allowed",
                text::percent((share * 100.0).round() / 100.0),
                text::percent(*allowed)
            ),
            Deviation::Dropped { cause, packets } => write!(
                f,
                "the emulator itself dropped {} ({cause})",
                if *packets == 1 { "1 packet".into() } else { format!("{packets} packets") }
            ),
            Deviation::CrossFailed { flow, reason } => write!(f, "cross traffic {flow}: {reason}"),
            Deviation::CrossSlow { flow, due, sent } => write!(
                f,
                "cross traffic {flow}: its sender was too late to keep the rate and sent {sent} of {due} packets ({})",
                text::percent(*sent as f64 / (*due).max(1) as f64)
            ),
        }
    }
}

/// What differs, and nothing else.
fn nat_text(asked: Option<NatBehaviour>, got: Option<NatBehaviour>) -> String {
    let (Some(asked), Some(got)) = (asked, got) else {
        return match asked {
            Some(_) => "asked for a network that lets UDP through, got no answer".into(),
            None => "asked for a network that lets no UDP through, got an answer".into(),
        };
    };
    let pairs = asked.parts().into_iter().zip(got.parts()).filter(|(asked, got)| asked != got);
    let words: Vec<String> =
        pairs.map(|((part, asked), (_, got))| format!("asked for {part} {asked}, found {got}")).collect();
    words.join("; ")
}

fn probes_text(probes: u64) -> String {
    if probes == 1 { "1 probe".into() } else { format!("{probes} probes") }
}

/// Both values in the unit of the larger one, so that a reader can compare the numbers.
fn alike(unit: Unit, a: f64, b: f64) -> (String, String) {
    let (divisor, name) = unit.scale(a.max(b));
    let one = |value: f64| text::trimmed(format!("{} {name}", text::digits(value / divisor)));
    (one(a), one(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_record::{Dependence, Hairpinned, RateCheck};

    fn rate(asked_bps: u64, got_bps: u64) -> RateCheck {
        RateCheck { asked_bps, got_bps, ..RateCheck::default() }
    }

    fn good() -> (Calibration, Fidelity) {
        let check = PathCheck {
            from: "alice".into(),
            to: "bob".into(),
            delay: DelayCheck {
                asked_ns: 100_000_000,
                median_ns: 100_100_000,
                p99_ns: 100_900_000,
                ..DelayCheck::default()
            },
            loss: LossCheck { asked_ppb: 10_000_000, sent: 2000, lost: 22, ..LossCheck::default() },
            rate: Some(rate(100_000_000, 99_000_000)),
            ..PathCheck::default()
        };
        (
            Calibration { paths: vec![check], nats: Vec::new() },
            Fidelity { lateness_p99_ns: 94_000, ..Fidelity::default() },
        )
    }

    /// Spoils the good evidence and compares the sentences.
    fn check(spoil: impl FnOnce(&mut PathCheck, &mut Fidelity), expect: &[&str]) {
        let (mut calibration, mut fidelity) = good();
        spoil(&mut calibration.paths[0], &mut fidelity);
        let got: Vec<String> =
            judge(&calibration, &fidelity, &Tolerance::default()).iter().map(ToString::to_string).collect();
        assert_eq!(got, expect);
    }

    #[test]
    fn what_holds_is_not_mentioned() {
        check(|_, _| (), &[]);
        check(|p, _| p.delay.median_ns = 102_000_000, &[]);
        check(|p, _| p.delay.median_ns = 98_000_000, &[]);
        check(|p, _| (p.delay.jitter_ns, p.delay.median_ns) = (5_000_000, 107_000_000), &[]);
        check(|p, _| (p.delay.asked_ns, p.delay.median_ns) = (0, 500_000), &[]);
        check(|p, _| (p.loss.asked_ppb, p.loss.lost) = (0, 0), &[]);
        check(|p, _| p.loss.lost = 10, &[]);
        check(|p, _| p.rate = None, &[]);
        check(|_, f| f.lateness_p99_ns = 2_000_000, &[]);
        check(|_, f| f.longest_gap_ns = 100_000_000, &[]);
        check(|p, _| p.mtu = Some(MtuCheck { asked: 1280, got: 1280 }), &[]);
        check(|_, f| f.backlog_share = 0.05, &[]);
        check(|_, f| f.unintended_drops = [("device queue".into(), 0)].into(), &[]);
    }

    #[test]
    fn what_cannot_be_foretold_is_not_held_against_the_network() {
        // (how the evidence is spoiled, without and with what excuses it)
        type Twist = fn(&mut PathCheck);
        let rows: [(Twist, Twist); 6] = [
            (|p| p.delay.median_ns = 97_000_000, |p| p.delay.early_ns = 2_000_000),
            (|p| p.delay.median_ns = 900_000_000, |p| p.delay.varies = true),
            (|p| p.loss.lost = 45, |p| p.loss.clumping_permille = 5_000),
            (|p| (p.loss.asked_ppb, p.loss.lost) = (0, 2), |p| p.loss.scripted = 2),
            (
                |p| p.rate = Some(rate(100_000_000, 90_000_000)),
                |p| {
                    p.rate = Some(RateCheck { slack_permille: 70, ..rate(100_000_000, 90_000_000) });
                },
            ),
            (|p| (p.reordered, p.duplicated) = (3, 3), |p| (p.reorder_asked, p.duplicate_ppb) = (true, 1)),
        ];
        for (n, (spoil, excuse)) in rows.into_iter().enumerate() {
            let deviations = |excused: bool| {
                let (mut calibration, fidelity) = good();
                spoil(&mut calibration.paths[0]);
                if excused {
                    excuse(&mut calibration.paths[0]);
                }
                judge(&calibration, &fidelity, &Tolerance::default()).len()
            };
            assert!(deviations(false) > 0, "row {n}");
            assert_eq!(deviations(true), 0, "row {n}");
        }
        // An excuse has its limits.
        check(
            |p, _| (p.loss.asked_ppb, p.loss.lost, p.loss.scripted) = (0, 3, 2),
            &["alice → bob: asked for no loss, lost 3 of 2000 probes (0.15 %)"],
        );
        check(
            |p, _| (p.delay.median_ns, p.delay.varies) = (50_000_000, true),
            &["alice → bob: asked for 100 ms one way, measured 50 ms"],
        );
    }

    #[test]
    fn each_deviation_is_one_sentence() {
        check(|p, _| p.delay.median_ns = 200_000, &["alice → bob: asked for 100 ms one way, measured 0.2 ms"]);
        check(|p, _| p.delay.median_ns = 102_000_001, &["alice → bob: asked for 100 ms one way, measured 102 ms"]);
        check(
            |p, _| (p.delay.jitter_ns, p.delay.median_ns) = (5_000_000, 97_000_000),
            &["alice → bob: asked for 100 ms one way, measured 97 ms"],
        );
        check(|p, _| p.loss.lost = 0, &["alice → bob: asked for 1 % loss, lost 0 of 2000 probes (0 %)"]);
        check(|p, _| p.loss.lost = 60, &["alice → bob: asked for 1 % loss, lost 60 of 2000 probes (3 %)"]);
        check(
            |p, _| (p.loss.asked_ppb, p.loss.lost) = (0, 1),
            &["alice → bob: asked for no loss, lost 1 of 2000 probes (0.05 %)"],
        );
        check(|p, _| (p.loss.sent, p.loss.lost) = (0, 0), &["alice → bob: no loss probe was sent"]);
        check(
            |p, _| p.rate = Some(rate(100_000_000, 75_500_000)),
            &["alice → bob: asked for 100 Mbit/s, measured 75.5 Mbit/s"],
        );
        check(|p, _| p.reordered = 1, &["alice → bob: 1 probe overtook others; no scenario asks for that"]);
        check(|p, _| p.duplicated = 3, &["alice → bob: 3 probes arrived twice; no scenario asks for that"]);
        check(
            |_, f| f.lateness_p99_ns = 5_000_000,
            &["the emulator released packets 5 ms late at the 99th percentile; 2 ms is allowed"],
        );
        check(|_, f| f.longest_gap_ns = 250_000_000, &["the emulator stood still for 250 ms; 100 ms is allowed"]);
        let said = "alice → bob: asked for an MTU of 1280 bytes, measured 1500";
        check(|p, _| p.mtu = Some(MtuCheck { asked: 1280, got: 1500 }), &[said]);
        let said = "the emulator was the bottleneck: packets waited for it 83 % of the time; 5 % is allowed";
        check(|_, f| f.backlog_share = 0.831, &[said]);
        check(
            |_, f| f.unintended_drops = [("device queue".into(), 7)].into(),
            &["the emulator itself dropped 7 packets (device queue)"],
        );
    }

    #[test]
    fn a_router_is_what_was_asked_for_in_every_part() {
        let asked = NatBehaviour {
            mapping: Some(Dependence::EndpointIndependent),
            filtering: Dependence::AddressAndPortDependent,
            port_preserved: true,
            hairpin: Hairpinned::Nothing,
        };
        let dependent = NatBehaviour { mapping: Some(Dependence::AddressDependent), port_preserved: false, ..asked };
        for (asked, got, expect) in [
            (Some(asked), Some(asked), vec![]),
            (None, None, vec![]),
            (
                Some(asked),
                Some(dependent),
                vec![
                    "bob: asked for mapping endpoint-independent, found address-dependent; asked for port preserved, found \
                     changed",
                ],
            ),
            (Some(asked), None, vec!["bob: asked for a network that lets UDP through, got no answer"]),
            (None, Some(asked), vec!["bob: asked for a network that lets no UDP through, got an answer"]),
        ] {
            let (mut calibration, fidelity) = good();
            calibration.nats.push(NatCheck { host: "bob".into(), asked, got });
            let found = judge(&calibration, &fidelity, &Tolerance::default());
            assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<String>>(), expect);
        }
    }

    #[test]
    fn nothing_probed_proves_nothing() {
        let got = judge(&Calibration::default(), &Fidelity::default(), &Tolerance::default());
        assert_eq!(got, [Deviation::NotCalibrated]);
    }

    #[test]
    fn the_worst_numbers_do_not_overflow() {
        check(|p, _| (p.delay.asked_ns, p.delay.jitter_ns, p.delay.median_ns) = (u64::MAX, u64::MAX, u64::MAX), &[]);
    }

    #[test]
    fn cross_traffic_must_be_what_was_asked_for() {
        let report = |kind, failure: Option<&str>| CrossReport {
            kind,
            from: "neighbour".into(),
            to: "server".into(),
            asked_start_ns: 0,
            asked_stop_ns: None,
            started_ns: Some(0),
            stopped_ns: Some(1),
            sent_bytes: 0,
            received_bytes: 0,
            lost_packets: 5_000,
            goodput_bps: 0.0,
            failure: failure.map(Into::into),
        };
        let udp =
            |due_packets, sent_packets| CrossKind::Udp { rate_bps: 1, packet_bytes: 1200, due_packets, sent_packets };
        let tcp = CrossKind::Tcp { congestion: "cubic".into() };
        let rows = [
            (report(tcp.clone(), None), None),
            (report(udp(0, 0), None), None),
            (report(udp(1000, 950), None), None),
            (
                report(udp(1000, 949), None),
                Some("its sender was too late to keep the rate and sent 949 of 1000 packets (94.9 %)"),
            ),
            (report(tcp, Some("could not connect within 10 s")), Some("could not connect within 10 s")),
        ];
        for (report, expect) in rows {
            let got: Vec<String> = judge_cross(std::slice::from_ref(&report), &Tolerance::default())
                .iter()
                .map(ToString::to_string)
                .collect();
            let expect: Vec<String> =
                expect.iter().map(|words| format!("cross traffic {}: {words}", report.label())).collect();
            assert_eq!(got, expect);
        }
    }
}
