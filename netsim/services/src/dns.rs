//! A name server for the hosts of a network (RFC 1035), with DNS64 (RFC 6147).

use simple_dns::rdata::{A, AAAA, RData, SOA};
use simple_dns::{CLASS, Name, OPCODE, Packet, PacketFlag, QTYPE, RCODE, ResourceRecord, TYPE};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What every name server listens on.
pub const PORT: u16 = 53;
/// Hosts are known as `NAME.lab.internal`: ICANN has reserved `internal` for private use (2024).
pub const DOMAIN: &str = "lab.internal";
/// The well-known prefix of NAT64 (RFC 6052, section 2.1).
pub const WELL_KNOWN_PREFIX: Ipv6Addr = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0);

/// Seconds an answer may be kept. Short: a host's address may change while a scenario runs.
const TTL: u32 = 5;

/// The names of a network.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Zone {
    /// Each host's addresses, by its name in lower case.
    pub hosts: BTreeMap<String, Vec<IpAddr>>,
    /// Whether hosts without an IPv6 address get one synthesised, for clients behind a NAT64.
    pub dns64: bool,
}

impl Zone {
    /// The answer to a query, or `None` if it deserves none. Longer than `limit` bytes, it only says so (RFC 1035,
    /// section 4.2.1): the client asks again by TCP.
    pub fn answer(&self, query: &[u8], limit: usize) -> Option<Vec<u8>> {
        let query = Packet::parse(query).ok()?;
        if query.has_flags(PacketFlag::RESPONSE) {
            return None;
        }
        let mut reply = query.clone().into_reply();
        reply.questions.clone_from(&query.questions);
        reply.set_flags(PacketFlag::AUTHORITATIVE_ANSWER);
        *reply.rcode_mut() = self.fill(&query, &mut reply);
        let bytes = reply.build_bytes_vec_compressed().ok()?;
        if bytes.len() <= limit {
            return Some(bytes);
        }
        reply.answers.clear();
        reply.set_flags(PacketFlag::TRUNCATION);
        reply.build_bytes_vec_compressed().ok()
    }

    fn fill<'a>(&self, query: &Packet<'a>, reply: &mut Packet<'a>) -> RCODE {
        if query.opcode() != OPCODE::StandardQuery {
            return RCODE::NotImplemented;
        }
        let [question] = query.questions.as_slice() else { return RCODE::FormatError };
        let name = question.qname.to_string().to_ascii_lowercase();
        let Some(host) = name.strip_suffix(DOMAIN) else { return RCODE::Refused };
        let found = match host.strip_suffix('.') {
            Some(host) => self.hosts.get(host),
            None if host.is_empty() => Some(const { &Vec::new() }),
            // A longer label that ends like the domain.
            None => return RCODE::Refused,
        };
        let Some(addresses) = found else {
            reply.name_servers.extend(authority());
            return RCODE::NameError;
        };
        let record = |data| ResourceRecord::new(question.qname.clone(), CLASS::IN, TTL, data);
        reply.answers.extend(self.addresses(addresses, question.qtype).map(record));
        if reply.answers.is_empty() {
            reply.name_servers.extend(authority());
        }
        RCODE::NoError
    }

    fn addresses<'a>(&self, addresses: &[IpAddr], asked: QTYPE) -> impl Iterator<Item = RData<'a>> {
        let wants = |kind| asked == QTYPE::ANY || asked == QTYPE::TYPE(kind);
        let (wants_v4, wants_v6) = (wants(TYPE::A), wants(TYPE::AAAA));
        // Real addresses are better than made-up ones (RFC 6147, section 5.1.4).
        let synthesise = self.dns64 && wants_v6 && !addresses.iter().any(IpAddr::is_ipv6);
        let mut data = Vec::new();
        for address in addresses {
            match address {
                IpAddr::V4(address) => {
                    if wants_v4 {
                        data.push(RData::A(A { address: address.to_bits() }));
                    }
                    if synthesise {
                        data.push(RData::AAAA(AAAA { address: embed(*address).to_bits() }));
                    }
                }
                IpAddr::V6(address) if wants_v6 => data.push(RData::AAAA(AAAA { address: address.to_bits() })),
                IpAddr::V6(_) => {}
            }
        }
        data.into_iter()
    }
}

/// An IPv4 address as seen by hosts behind a NAT64 (RFC 6052, section 2.2).
pub fn embed(address: Ipv4Addr) -> Ipv6Addr {
    Ipv6Addr::from_bits(WELL_KNOWN_PREFIX.to_bits() | u128::from(address.to_bits()))
}

/// Says that there is no more to find here (RFC 2308, section 3): without it, resolvers ask again.
fn authority() -> Option<ResourceRecord<'static>> {
    let name = |text| Name::new(text).ok();
    let data = SOA {
        mname: name(DOMAIN)?,
        rname: name("nobody.invalid")?,
        serial: 1,
        refresh: 3600,
        retry: 600,
        expire: 86_400,
        minimum: TTL,
    };
    Some(ResourceRecord::new(name(DOMAIN)?, CLASS::IN, TTL, RData::SOA(data)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use simple_dns::Question;

    fn zone(dns64: bool) -> Zone {
        let addresses = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpAddr>>();
        let hosts = [
            ("alice".to_owned(), addresses(&["198.18.0.1", "2001:2::1"])),
            ("bob".to_owned(), addresses(&["198.18.0.2"])),
            ("many".to_owned(), (0..100).map(|n| IpAddr::from([10, 0, 0, n])).collect()),
        ];
        Zone { hosts: hosts.into(), dns64 }
    }

    fn query(name: &str, kind: TYPE) -> Vec<u8> {
        let mut query = Packet::new_query(7);
        query.questions.push(Question::new(Name::new(name).unwrap(), kind.into(), CLASS::IN.into(), false));
        query.build_bytes_vec().unwrap()
    }

    /// The answer as a line: its code, then its addresses.
    fn ask(zone: &Zone, name: &str, kind: TYPE) -> String {
        let bytes = zone.answer(&query(name, kind), 512).unwrap();
        let reply = Packet::parse(&bytes).unwrap();
        assert!(reply.id() == 7 && reply.has_flags(PacketFlag::RESPONSE));
        assert_eq!(reply.questions.len(), 1);
        let addresses = reply.answers.iter().map(|record| match &record.rdata {
            RData::A(a) => Ipv4Addr::from_bits(a.address).to_string(),
            RData::AAAA(a) => Ipv6Addr::from_bits(a.address).to_string(),
            other => format!("{other:?}"),
        });
        let cut = if reply.has_flags(PacketFlag::TRUNCATION) { "cut" } else { "" }.to_owned();
        let words = std::iter::once(format!("{:?}", reply.rcode())).chain(addresses).chain([cut]);
        words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn names_are_found() {
        let plain = zone(false);
        for (name, kind, expect) in [
            ("alice.lab.internal", TYPE::A, "NoError 198.18.0.1"),
            ("ALICE.Lab.Internal", TYPE::AAAA, "NoError 2001:2::1"),
            ("bob.lab.internal", TYPE::AAAA, "NoError"),
            ("bob.lab.internal", TYPE::MX, "NoError"),
            ("carol.lab.internal", TYPE::A, "NameError"),
            ("lab.internal", TYPE::A, "NoError"),
            ("example.org", TYPE::A, "Refused"),
            ("notlab.internal", TYPE::A, "Refused"),
            ("many.lab.internal", TYPE::A, "NoError cut"),
        ] {
            assert_eq!(ask(&plain, name, kind), expect, "{name} {kind:?}");
        }
    }

    #[test]
    fn dns64_makes_up_only_what_is_missing() {
        let zone = zone(true);
        for (name, kind, expect) in [
            ("alice.lab.internal", TYPE::AAAA, "NoError 2001:2::1"),
            ("bob.lab.internal", TYPE::AAAA, "NoError 64:ff9b::c612:2"),
            ("bob.lab.internal", TYPE::A, "NoError 198.18.0.2"),
        ] {
            assert_eq!(ask(&zone, name, kind), expect, "{name} {kind:?}");
        }
    }

    #[test]
    fn answers_are_not_answered() {
        let answer = zone(false).answer(&query("alice.lab.internal", TYPE::A), 512).unwrap();
        assert_eq!(zone(false).answer(&answer, 512), None);
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..100), at in 0_usize..60, byte: u8) {
            let _ = zone(true).answer(&bytes, 512);
            let mut damaged = query("alice.lab.internal", TYPE::AAAA);
            let len = damaged.len();
            damaged[at % len] = byte;
            let _ = zone(true).answer(&damaged, 512);
        }
    }
}
