//! Random traffic: what real sockets see must be what the reference model sees.

use super::model::Model;
use super::rows::{Kind, Row, Shape};
use super::script::{self, HOME, INSIDE, SOCKETS};
use netsim_fabric::{Collision, Filtering, Hairpin, Mapping, NatConfig, PortAssignment, Purpose, Stream};
use netsim_topology::{Gateway, nat_preset, plan};

/// Sendings of each row.
const LENGTH: u64 = 40;
/// Rows of each router.
const SEEDS: u32 = 3;

/// Random scripts for routers of all kinds, with what the model sees as what must be seen.
pub(super) fn rows() -> Vec<Row> {
    let linux = nat_preset("linux").and_then(|gateway| gateway.nat).unwrap_or_default();
    let linux = NatConfig { unanswered_timeout_ns: None, settling_ns: None, ..linux };
    let random = NatConfig { ports: PortAssignment::Random, ..linux };
    let cone = NatConfig { filtering: Filtering::EndpointIndependent, hairpin: Hairpin::Off, ..NatConfig::default() };
    let restricted = NatConfig { filtering: Filtering::AddressDependent, ..cone };
    let halfway = NatConfig { mapping: Mapping::AddressDependent, collision: Collision::Overload, ..restricted };
    let symmetric = NatConfig {
        mapping: Mapping::AddressAndPortDependent,
        filtering: Filtering::AddressAndPortDependent,
        ports: PortAssignment::Random,
        ..cone
    };
    let routers = [
        ("Linux, preserve", linux),
        ("Linux, random", random),
        ("full cone", cone),
        ("restricted cone", restricted),
        ("address-dependent, overload", halfway),
        ("symmetric", symmetric),
    ];
    let rows = routers.iter().flat_map(|(name, nat)| (0..SEEDS).filter_map(move |seed| row(name, *nat, seed)));
    rows.collect()
}

fn row(name: &str, nat: NatConfig, seed: u32) -> Option<Row> {
    let mut row = Row {
        about: "random traffic",
        terms: format!("{name}, seed {seed}"),
        gateway: Gateway::with_nat(nat),
        v6: false,
        kind: Kind::Udp,
        shape: Shape::Home,
        script: random_script(seed),
        expected: String::new(),
    };
    let plan = plan(&super::topology(&row)).ok()?;
    let mut model = Model::new(&plan, &row, super::SEED)?;
    row.expected = script::play(&mut model, &row.script, "", row.script_terms()).ok()?;
    Some(row)
}

/// Sendings from inside and back. No reboots: which port a collision leads to after one is not said by any term.
fn random_script(seed: u32) -> String {
    let stream = Stream::new(u64::from(seed) + 1, 0, Purpose::NatPort);
    let mut draws = 0;
    let mut draw = |bound: usize| {
        draws += 1;
        stream.below(draws, bound as u64) as usize
    };
    let mut sent = [false; HOME];
    let mut words = Vec::new();
    for _ in 0..LENGTH {
        let (inside, outside) = (draw(HOME), INSIDE + draw(SOCKETS.len() - INSIDE));
        let (near, far) = (SOCKETS[inside].0, SOCKETS[outside].0);
        let back = draw(20) < 9;
        words.push(if back && sent[inside] { format!("{far}>{near}") } else { format!("{near}>{far}") });
        sent[inside] = true;
    }
    words.join(" ")
}
