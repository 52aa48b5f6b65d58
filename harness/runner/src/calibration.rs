//! The proof of a run's network, from before it.

use longhaul_record::{Calibration, Fidelity, Tolerance};
use longhaul_scenarios::Scenario;
use longhaul_stats::judge;
use netsim_lab::{CalibrateError, Lab, calibrate, calibrate_access, check_nat};
use netsim_topology::{Topology, discovery, path};
use std::collections::BTreeSet;

/// Calibration sees other losses than the transfer: otherwise it would prove only what the seed already says.
const CALIBRATION_SEED: u64 = 0x6361_6c69_6272_6174;
/// A busy machine can spoil a calibration of a few hundred milliseconds: it gets this many tries. The record holds the
/// last one, which counts.
const CALIBRATIONS: u64 = 3;

/// Measures the network of a scenario that is up, and judges it.
pub(crate) fn calibration(
    lab: &Lab,
    scenario: &Scenario,
    seed: u64,
    tolerance: &Tolerance,
) -> Result<Calibration, CalibrateError> {
    let pairs = unlike_pairs(scenario);
    let mut last = Calibration::default();
    for attempt in 0..CALIBRATIONS {
        last = Calibration::default();
        for (provider, fetcher) in &pairs {
            let seed = seed ^ CALIBRATION_SEED.rotate_left(attempt as u32);
            let of_pair = calibrate_pair(lab, &scenario.topology, seed, provider, fetcher)?;
            last.paths.extend(of_pair.paths);
            last.nats.extend(of_pair.nats);
        }
        if judge(&last, &Fidelity::default(), tolerance).is_empty() {
            break;
        }
    }
    Ok(last)
}

/// Each fetcher with one of the providers, and each provider with one of the fetchers; of pairs with the same links and
/// routers between them, the first.
fn unlike_pairs(scenario: &Scenario) -> Vec<(&str, &str)> {
    let (topology, providers, fetchers) = (&scenario.topology, &scenario.roles.providers, &scenario.roles.fetchers);
    let count = providers.len().max(fetchers.len());
    let pair =
        |n: usize| Some((providers.get(n % providers.len())?.as_str(), fetchers.get(n % fetchers.len())?.as_str()));
    let mut known = BTreeSet::new();
    let mut unlike = |(provider, fetcher): &(&str, &str)| {
        let profile = [path(topology, provider, fetcher), path(topology, fetcher, provider)];
        let found = [discovery(topology, provider), discovery(topology, fetcher)];
        known.insert(format!("{profile:?}{found:?}"))
    };
    (0..count).filter_map(pair).filter(|pair| unlike(pair)).collect()
}

fn calibrate_pair(
    lab: &Lab,
    topology: &Topology,
    seed: u64,
    provider: &str,
    fetcher: &str,
) -> Result<Calibration, CalibrateError> {
    let nats = [fetcher, provider].into_iter().filter_map(|host| check_nat(lab, topology, host).transpose());
    let nats = nats.collect::<Result<_, CalibrateError>>()?;
    // Routers were classified over perfect links.
    lab.restart(seed)?;
    // Nobody can probe a provider that lies behind a NAT or firewall: then both are probed from the internet's core.
    let paths = if discovery(topology, provider).is_none() {
        Vec::from(calibrate(lab, topology, fetcher, provider)?)
    } else {
        let each = [[fetcher, provider], [provider, fetcher]];
        let each = each.map(|[host, peer]| calibrate_access(lab, topology, host, peer));
        each.into_iter().collect::<Result<Vec<_>, _>>()?.concat()
    };
    Ok(Calibration { paths, nats })
}
