//! The keys of a scenario's `[[router]]` that say what it does to packets.

use crate::error::nearest;
use crate::quantity::Nanos;
use crate::schema::{NatName, any_of};
use netsim_fabric::{
    Collision, Filtering, FirewallConfig, Hairpin, Mapping, NatConfig, Outbound, Pooling, PortAssignment,
};
use netsim_topology::{Gateway, Ipv6, Lan, NAT_PRESETS, nat_preset};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{Deserializer, Error, value::MapAccessDeserializer};
use std::fmt;
use std::num::{NonZeroU8, NonZeroU16};

/// The name of a preset, or the standard's own terms.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NatChoice(Gateway);

/// What hosts have of IPv6.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Ipv6Choice {
    None,
    Firewall,
    Open,
    Nptv6,
    Masquerade,
    Nat64,
}

/// What is filtered.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FirewallChoice {
    None,
    BlockInbound,
    BlockUdp,
    WebOnly,
    WebAndQuic,
    Captive,
}

/// Which addresses there are behind the NAT.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LanChoice {
    Home,
    Carrier,
    Corporate,
}

/// What a router's keys say, put together: a preset or table first, then each key that overrides a part of it.
pub(crate) fn resolve(
    nat: Option<NatChoice>,
    ipv6: Option<Ipv6Choice>,
    firewall: Option<FirewallChoice>,
    lan: Option<LanChoice>,
    port_mapping: Option<bool>,
) -> Gateway {
    let mut gateway = nat.map_or(Gateway::OPEN, |choice| choice.0);
    if let Some(ipv6) = ipv6 {
        gateway.ipv6 = match ipv6 {
            Ipv6Choice::None => Ipv6::None,
            Ipv6Choice::Firewall => Ipv6::Firewall,
            Ipv6Choice::Open => Ipv6::Open,
            Ipv6Choice::Nptv6 => Ipv6::Nptv6,
            Ipv6Choice::Masquerade => Ipv6::Masquerade(gateway.nat.unwrap_or_default()),
            Ipv6Choice::Nat64 => Ipv6::Nat64,
        };
    }
    if let Some(firewall) = firewall {
        gateway.firewall = firewall.resolve();
    }
    if let Some(lan) = lan {
        gateway.lan = match lan {
            LanChoice::Home => Lan::Home,
            LanChoice::Carrier => Lan::Carrier,
            LanChoice::Corporate => Lan::Corporate,
        };
    }
    gateway.port_mapping = port_mapping.unwrap_or(gateway.port_mapping);
    gateway
}

impl FirewallChoice {
    fn resolve(self) -> FirewallConfig {
        let open = FirewallConfig::default();
        let outbound = |outbound| FirewallConfig { outbound, ..open };
        let inbound = Some(Filtering::AddressAndPortDependent);
        match self {
            FirewallChoice::None => open,
            FirewallChoice::BlockInbound => FirewallConfig { inbound_v4: inbound, inbound_v6: inbound, ..open },
            FirewallChoice::BlockUdp => outbound(Outbound::NoUdp),
            FirewallChoice::WebOnly => outbound(Outbound::WebOnly { quic: false }),
            FirewallChoice::WebAndQuic => outbound(Outbound::WebOnly { quic: true }),
            FirewallChoice::Captive => outbound(Outbound::Captive),
        }
    }
}

any_of!(NatChoice, "Nat", "A preset, or a table in the terms of RFC 4787", [NatName, NatFile]);

impl<'de> Deserialize<'de> for NatChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<NatChoice, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = NatChoice;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a NAT preset ({}) or a table of RFC 4787 terms", preset_names().join(", "))
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<NatChoice, E> {
                nat_preset(name).map(NatChoice).ok_or_else(|| {
                    let known = preset_names();
                    let meant = nearest(name, known.iter().copied());
                    let hint = meant.map_or_else(String::new, |near| format!("; did you mean \"{near}\"?"));
                    E::custom(format!("unknown NAT preset \"{name}\"; there are {}{hint}", known.join(", ")))
                })
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<NatChoice, A::Error> {
                let file = NatFile::deserialize(MapAccessDeserializer::new(map))?;
                let preset = match &file.preset {
                    Some(name) => self.visit_str(name)?.0,
                    None => Gateway::with_nat(NatConfig::default()),
                };
                let Some(nat) = preset.nat else {
                    let name = file.preset.unwrap_or_default();
                    return Err(A::Error::custom(format!("the preset \"{name}\" has no NAT that keys could change")));
                };
                Ok(NatChoice(Gateway { nat: Some(file.resolve(nat)), ..preset }))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

fn preset_names() -> Vec<&'static str> {
    NAT_PRESETS.iter().map(|preset| preset.name).collect()
}

/// RFC 4787's terms; what is left out is as in the preset, or without one as RFC 4787 recommends.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct NatFile {
    #[schemars(with = "Option<NatName>")]
    preset: Option<String>,
    mapping: Option<Scope>,
    filtering: Option<Scope>,
    ports: Option<Ports>,
    parity: Option<bool>,
    port_block: Option<NonZeroU16>,
    collision: Option<Collisions>,
    addresses: Option<NonZeroU8>,
    pooling: Option<Pool>,
    timeout: Option<Nanos>,
    unanswered_timeout: Option<Nanos>,
    settling: Option<Nanos>,
    tcp_timeout: Option<Nanos>,
    lifetime: Option<Nanos>,
    inbound_refresh: Option<bool>,
    hairpin: Option<Hairpinning>,
}

/// RFC 4787's three kinds of mapping and of filtering.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Scope {
    EndpointIndependent,
    AddressDependent,
    AddressAndPortDependent,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Ports {
    Preserve,
    Sequential,
    Random,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Collisions {
    NextFree,
    Overload,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Pool {
    Paired,
    Arbitrary,
}

/// Whether and how, or `false` and `true`: with the external source, as the standard wants it.
#[derive(Debug, Clone, Copy)]
struct Hairpinning(Hairpin);

any_of!(Hairpinning, "Hairpin", "Whether, or with which source", [bool, HairpinWord]);

/// The words for it, for the schema.
#[derive(JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(dead_code, reason = "only its schema is used")]
enum HairpinWord {
    Off,
    ExternalSource,
    InternalSource,
}

impl<'de> Deserialize<'de> for Hairpinning {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Hairpinning, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Whether(bool),
            How(String),
        }
        let hairpin = match Written::deserialize(deserializer)? {
            Written::Whether(false) => Hairpin::Off,
            Written::Whether(true) => Hairpin::ExternalSource,
            Written::How(how) => match how.as_str() {
                "off" => Hairpin::Off,
                "external-source" => Hairpin::ExternalSource,
                "internal-source" => Hairpin::InternalSource,
                _ => {
                    let known = "\"off\", \"external-source\", \"internal-source\", true and false";
                    return Err(D::Error::custom(format!("unknown hairpinning \"{how}\"; there are {known}")));
                }
            },
        };
        Ok(Hairpinning(hairpin))
    }
}

impl NatFile {
    /// What it makes of a NAT.
    fn resolve(self, base: NatConfig) -> NatConfig {
        NatConfig {
            mapping: match self.mapping {
                None => base.mapping,
                Some(Scope::EndpointIndependent) => Mapping::EndpointIndependent,
                Some(Scope::AddressDependent) => Mapping::AddressDependent,
                Some(Scope::AddressAndPortDependent) => Mapping::AddressAndPortDependent,
            },
            filtering: match self.filtering {
                None => base.filtering,
                Some(Scope::EndpointIndependent) => Filtering::EndpointIndependent,
                Some(Scope::AddressDependent) => Filtering::AddressDependent,
                Some(Scope::AddressAndPortDependent) => Filtering::AddressAndPortDependent,
            },
            ports: match self.ports {
                None => base.ports,
                Some(Ports::Preserve) => PortAssignment::Preserve,
                Some(Ports::Sequential) => PortAssignment::Sequential,
                Some(Ports::Random) => PortAssignment::Random,
            },
            parity: self.parity.unwrap_or(base.parity),
            port_block: self.port_block.or(base.port_block),
            collision: match self.collision {
                None => base.collision,
                Some(Collisions::NextFree) => Collision::NextFree,
                Some(Collisions::Overload) => Collision::Overload,
            },
            addresses: self.addresses.unwrap_or(base.addresses),
            pooling: match self.pooling {
                None => base.pooling,
                Some(Pool::Paired) => Pooling::Paired,
                Some(Pool::Arbitrary) => Pooling::Arbitrary,
            },
            timeout_ns: self.timeout.map_or(base.timeout_ns, |timeout| timeout.0),
            unanswered_timeout_ns: self.unanswered_timeout.map(|timeout| timeout.0).or(base.unanswered_timeout_ns),
            settling_ns: self.settling.map(|settling| settling.0).or(base.settling_ns),
            tcp_timeout_ns: self.tcp_timeout.map_or(base.tcp_timeout_ns, |timeout| timeout.0),
            lifetime_ns: self.lifetime.map(|lifetime| lifetime.0).or(base.lifetime_ns),
            inbound_refresh: self.inbound_refresh.unwrap_or(base.inbound_refresh),
            hairpin: self.hairpin.map_or(base.hairpin, |hairpin| hairpin.0),
        }
    }
}
