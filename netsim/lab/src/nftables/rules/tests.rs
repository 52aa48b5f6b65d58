use super::*;
use netsim_topology::{Gateway, LabStep, Router, Topology, nat_preset, plan, with_kernel_routers};
use std::num::NonZeroU8;

/// What the kernel is told of a router.
fn told(gateway: Gateway) -> Result<Ruleset, Unsupported> {
    let router = Router::new("router", gateway, netsim_topology::Access::default());
    let plan = plan(&Topology { routers: vec![router], hosts: vec![], ..Topology::default() }).unwrap();
    let kernel = with_kernel_routers(&plan).steps.into_iter().find_map(|step| match step {
        LabStep::AddKernelRouter { config, .. } => Some(config),
        _ => None,
    });
    ruleset(&kernel.unwrap())
}

#[test]
fn rules_are_what_they_were() {
    let linux = nat_preset("linux").unwrap().nat.unwrap();
    let four = NatConfig { addresses: NonZeroU8::new(4).unwrap(), ..linux };
    for (name, gateway) in [
        ("linux", nat_preset("linux").unwrap()),
        ("azure", nat_preset("azure").unwrap()),
        ("nat66", nat_preset("nat66").unwrap()),
        ("ipv6-firewall", nat_preset("ipv6-firewall").unwrap()),
        ("four-addresses", Gateway::with_nat(four)),
    ] {
        insta::assert_snapshot!(name, told(gateway).unwrap().script);
    }
    insta::assert_debug_snapshot!("sysctls", told(nat_preset("linux").unwrap()).unwrap().sysctls);
}

/// Each term that Linux does not know, alone.
#[test]
fn what_cannot_be_said_exactly_is_refused() {
    const SECOND_AND_A_HALF: u64 = 1_500_000_000;
    let linux = nat_preset("linux").unwrap().nat.unwrap();
    for (key, nat) in [
        ("mapping", NatConfig { mapping: Mapping::EndpointIndependent, ..linux }),
        ("filtering", NatConfig { filtering: Filtering::AddressDependent, ..linux }),
        ("ports", NatConfig { ports: PortAssignment::Sequential, ..linux }),
        ("parity", NatConfig { parity: true, ..linux }),
        ("port_block", NatConfig { port_block: std::num::NonZeroU16::new(512), ..linux }),
        ("collision", NatConfig { collision: Collision::NextFree, ..linux }),
        ("pooling", NatConfig { pooling: Pooling::Arbitrary, addresses: NonZeroU8::new(2).unwrap(), ..linux }),
        ("lifetime", NatConfig { lifetime_ns: Some(SECOND), ..linux }),
        ("inbound_refresh", NatConfig { inbound_refresh: false, ..linux }),
        ("hairpin", NatConfig { hairpin: Hairpin::ExternalSource, ..linux }),
        ("timeout", NatConfig { timeout_ns: SECOND_AND_A_HALF, ..linux }),
        ("unanswered_timeout", NatConfig { settling_ns: None, ..linux }),
    ] {
        assert_eq!(told(Gateway::with_nat(nat)).map_err(|refused| refused.key), Err(key));
    }
}
