//! `longhaul lab calibrate SCENARIO`: what the network of a scenario really does, beside what it was asked to do.

use crate::args::NetworkArgs;
use crate::catalog;
use crate::error::CliError;
use crate::output;
use crate::table;
use longhaul_record::{Calibration, Exit, Fidelity, NatCheck, PathCheck, Tolerance, text};
use longhaul_scenarios::Scenario;
use longhaul_stats::{judge, loss_interval};
use netsim_lab::{CalibrateError, Lab, calibrate, calibrate_access, check_nat};
use netsim_topology::{discovery, plan};
use serde_json::{Value, json};

/// A busy machine can spoil a measurement: each gets this many tries, and the last one counts.
const TRIES: u64 = 3;

/// Brings the network up, measures every host's way to the internet and the path of the transfer, and prints all of it.
pub(crate) fn command(name: &str, network: NetworkArgs, as_json: bool) -> Result<Exit, CliError> {
    let scenario = catalog::scenario(name)?;
    let plan = plan(&scenario.topology)?;
    let _sandbox = netsim_lab::enter()?;
    let lab = network.up(&plan)?;
    let seed = network.seed;
    let measured = Measured::of(&lab, &scenario, seed)?;
    if as_json {
        output::json(&measured.json(&scenario, seed))?;
    } else {
        measured.print()?;
    }
    Ok(if measured.holds() { Exit::Pass } else { Exit::Untrusted })
}

/// Each measurement with the sentences that speak against it.
struct Measured {
    paths: Vec<(PathCheck, Vec<String>)>,
    nats: Vec<(NatCheck, Vec<String>)>,
}

impl Measured {
    fn of(lab: &Lab, scenario: &Scenario, seed: u64) -> Result<Measured, CliError> {
        let (topology, provider, fetcher) = (&scenario.topology, scenario.provider(), scenario.fetcher());
        let mut measured = Measured { paths: Vec::new(), nats: Vec::new() };
        for (host, n) in topology.hosts.iter().zip(1..) {
            let name = &host.name;
            // Losses that were seen already prove nothing.
            let seed = seed.wrapping_add(n << 16);
            output::note(format!("measuring {name} … internet"));
            let access = tried(lab, seed, || Ok(calibrate_access(lab, topology, name, name)?.map(path_verdict)))?;
            measured.paths.extend(access);
            measured.nats.extend(tried(lab, seed, || Ok(check_nat(lab, topology, name)?.map(nat_verdict)))?);
        }
        // Nobody can probe a provider that lies behind a NAT or firewall.
        if discovery(topology, provider).is_none() {
            output::note(format!("measuring {fetcher} … {provider}"));
            let path = tried(lab, seed, || Ok(calibrate(lab, topology, fetcher, provider)?.map(path_verdict)))?;
            measured.paths.extend(path);
        }
        Ok(measured)
    }

    fn holds(&self) -> bool {
        let mut verdicts = self.paths.iter().map(|(_, verdict)| verdict).chain(self.nats.iter().map(|(_, v)| v));
        verdicts.all(Vec::is_empty)
    }

    fn print(&self) -> Result<(), CliError> {
        const HEADER: [&str; 10] = [
            "Direction",
            "Delay asked",
            "Got, p50, p99",
            "p10 to p90",
            "Loss asked",
            "Got",
            "Rate",
            "MTU",
            "Odd",
            "Verdict",
        ];
        output::line(table::plain(&HEADER, self.paths.iter().map(path_row)))?;
        if !self.nats.is_empty() {
            let rows = self.nats.iter().flat_map(nat_rows);
            let header = ["In front of", "", "Mapping", "Filtering", "Port", "Hairpinning", "Verdict"];
            output::line(format!("\n{}", table::plain(&header, rows)))?;
        }
        let against = self.paths.iter().flat_map(|(_, verdict)| verdict).chain(self.nats.iter().flat_map(|(_, v)| v));
        for sentence in against {
            output::line(format!("outside tolerance: {sentence}"))?;
        }
        Ok(())
    }

    fn json(&self, scenario: &Scenario, seed: u64) -> Value {
        let path = |(check, against): &(PathCheck, Vec<String>)| json!({ "measured": check, "deviations": against });
        let nat = |(check, against): &(NatCheck, Vec<String>)| json!({ "measured": check, "deviations": against });
        json!({
            "schema": 1,
            "scenario": scenario.name,
            "seed": seed,
            "holds": self.holds(),
            "paths": self.paths.iter().map(path).collect::<Vec<Value>>(),
            "nats": self.nats.iter().map(nat).collect::<Vec<Value>>(),
        })
    }
}

/// Measures on a network that starts anew, again while something speaks against it. A path without a single answer has
/// nothing to be shown, and ends the command.
fn tried<T, L>(lab: &Lab, seed: u64, measure: impl Fn() -> Result<L, CalibrateError>) -> Result<L, CliError>
where
    for<'a> &'a L: IntoIterator<Item = &'a (T, Vec<String>)>,
    T: 'static,
{
    let mut attempt = 0;
    loop {
        lab.restart(seed.wrapping_add(attempt << 48))?;
        let measured = measure()?;
        attempt += 1;
        if attempt == TRIES || (&measured).into_iter().all(|(_, against)| against.is_empty()) {
            return Ok(measured);
        }
    }
}

fn path_verdict(check: PathCheck) -> (PathCheck, Vec<String>) {
    let calibration = Calibration { paths: vec![check.clone()], nats: Vec::new() };
    (check, against(&calibration))
}

fn nat_verdict(check: NatCheck) -> (NatCheck, Vec<String>) {
    let calibration = Calibration { nats: vec![check.clone()], ..Calibration::default() };
    // That no path is among it is no fault of the router's.
    let against = against(&calibration).split_off(1);
    (check, against)
}

fn against(calibration: &Calibration) -> Vec<String> {
    judge(calibration, &Fidelity::default(), &Tolerance::default()).iter().map(ToString::to_string).collect()
}

fn path_row((check, against): &(PathCheck, Vec<String>)) -> Vec<String> {
    let ns = text::nanoseconds;
    let PathCheck { delay, loss, .. } = check;
    let at = |permille| delay.quantiles.iter().find(|quantile| quantile.permille == permille).map_or(0, |q| q.ns);
    let mut asked = ns(delay.asked_ns);
    if delay.jitter_ns > 0 {
        asked += &format!(" ± {}", ns(delay.jitter_ns));
    }
    if delay.varies {
        asked += " at best";
    }
    let percent = |share: f64| text::trimmed(text::percent(share));
    let lost = loss_interval(loss).filter(|_| loss.lost > 0).map_or_else(
        || format!("none of {}", loss.sent),
        |interval| {
            let burst = loss.lost as f64 / loss.bursts.max(1) as f64;
            let share = percent(loss.lost as f64 / loss.sent.max(1) as f64);
            format!("{share} ({} to {}), {burst:.1} in a row", percent(interval.low), percent(interval.high))
        },
    );
    let rate = check.rate.as_ref().map_or_else(
        || "no limit".into(),
        |rate| {
            let [asked, got] = [rate.asked_bps, rate.got_bps].map(|bps| text::bits_per_second(bps as f64));
            let kind = if rate.varies { " on average, at once " } else { ", got " };
            format!("{}{kind}{got}", text::trimmed(asked))
        },
    );
    let odd = [(check.reordered, "out of order"), (check.duplicated, "twice")];
    let odd: Vec<String> =
        odd.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    vec![
        format!("{} → {}", check.from, check.to),
        asked,
        format!("{}, {}", ns(delay.median_ns), ns(delay.p99_ns)),
        format!("{} to {}", ns(at(100)), ns(at(900))),
        if loss.asked_ppb == 0 { "none".into() } else { percent(f64::from(loss.asked_ppb) / 1e9) },
        lost,
        rate,
        check.mtu.map_or_else(|| "–".into(), |mtu| format!("{}, got {}", mtu.asked, mtu.got)),
        if odd.is_empty() { "–".into() } else { odd.join(", ") },
        verdict(against),
    ]
}

fn nat_rows((check, against): &(NatCheck, Vec<String>)) -> [Vec<String>; 2] {
    let row = |host: &str, which: &str, behaviour: Option<longhaul_record::NatBehaviour>, verdict: String| {
        let parts =
            behaviour.map_or(["no UDP", "–", "–", "–"], |behaviour| behaviour.parts().map(|(_, word)| word));
        let words = [host, which].into_iter().chain(parts).map(ToOwned::to_owned);
        words.chain([verdict]).collect()
    };
    [row(&check.host, "asked", check.asked, String::new()), row("", "got", check.got, verdict(against))]
}

fn verdict(against: &[String]) -> String {
    if against.is_empty() { "holds" } else { "OUTSIDE TOLERANCE" }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_record::{DelayCheck, LossCheck, MtuCheck, RateCheck};

    fn good() -> PathCheck {
        PathCheck {
            from: "bob".into(),
            to: "internet".into(),
            delay: DelayCheck {
                asked_ns: 10_000_000,
                median_ns: 10_060_000,
                p99_ns: 10_200_000,
                ..DelayCheck::default()
            },
            loss: LossCheck { asked_ppb: 10_000_000, sent: 2000, lost: 20, bursts: 10, ..LossCheck::default() },
            rate: Some(RateCheck { asked_bps: 20_000_000, got_bps: 19_900_000, ..RateCheck::default() }),
            mtu: Some(MtuCheck { asked: 1492, got: 1492 }),
            ..PathCheck::default()
        }
    }

    #[test]
    fn a_row_shows_what_was_asked_and_got() {
        let row = path_row(&path_verdict(good())).join(" | ");
        assert!(row.starts_with("bob → internet | 10 ms | 10.1 ms, 10.2 ms |"), "{row}");
        // Wilson's interval at 99.9 %: centre 1.264 %, half its width 0.776 %.
        let rest =
            "| 1 % | 1 % (0.488 % to 2.04 %), 2.0 in a row | 20 Mbit/s, got 19.9 Mbit/s | 1492, got 1492 | – | holds";
        assert!(row.contains(rest), "{row}");
    }

    #[test]
    fn a_deviation_is_told_and_fails() {
        let late = PathCheck { delay: DelayCheck { median_ns: 20_000_000, ..good().delay }, ..good() };
        let nat = NatCheck { host: "bob".into(), asked: None, got: None };
        let measured = |check| Measured { paths: vec![path_verdict(check)], nats: vec![nat_verdict(nat.clone())] };
        assert!(measured(good()).holds());
        let bad = measured(late);
        assert!(!bad.holds() && bad.nats[0].1.is_empty());
        assert_eq!(bad.paths[0].1, ["bob → internet: asked for 10 ms one way, measured 20 ms"]);
    }
}
