//! What happened during a transfer, from the network's and the fetchers' word to the record. Pure.

use crate::transfer::FetcherSeen;
use longhaul_record::{MAX_HAPPENINGS, MappingEnd, NatMapping, PathChange};
use netsim_lab::Time;
use netsim_lab::fabric::{self, Endpoint, MappingEvent, Proto};

/// The longest text of a path's that is kept, in letters.
const MAX_TEXT: usize = 80;

/// The ways that the fetchers took, in order of time. A way that is told of again is none of its own.
pub(crate) fn paths(fetchers: &[FetcherSeen]) -> Vec<PathChange> {
    let mut all = Vec::new();
    for fetcher in fetchers {
        let mut told = fetcher.paths.clone();
        told.dedup_by(|next, one| (&next.kind, &next.remote) == (&one.kind, &one.remote));
        all.extend(told.into_iter().map(|told| PathChange {
            host: fetcher.host.clone(),
            at_s: told.at_s,
            kind: short(&told.kind),
            remote: short(&told.remote),
        }));
    }
    all.sort_by(|a, b| a.at_s.total_cmp(&b.at_s));
    all.truncate(MAX_HAPPENINGS);
    all
}

fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_TEXT).collect()
}

/// Mappings from their beginnings and ends at routers, in order of time. An end whose beginning was not kept is left out.
pub(crate) fn mappings<'a>(events: impl Iterator<Item = (&'a str, MappingEvent)>, since: Time) -> Vec<NatMapping> {
    let mut all: Vec<(NatMapping, MappingEvent)> = Vec::new();
    for (router, event) in events {
        // Differences of whole nanoseconds: those of fractions of seconds have noise in their last digits.
        let at_s = (event.at.as_nanos() as i64).wrapping_sub(since.as_nanos() as i64) as f64 / 1e9;
        let Some(why) = event.ended else {
            let mapping = NatMapping {
                router: router.to_owned(),
                protocol: protocol(event.proto),
                internal: endpoint(event.internal),
                external: endpoint(event.external),
                from_s: at_s,
                until_s: None,
                end: None,
            };
            all.push((mapping, event));
            continue;
        };
        let same = |(mapping, made): &&mut (NatMapping, MappingEvent)| {
            let sides = (made.proto, made.internal, made.external) == (event.proto, event.internal, event.external);
            mapping.end.is_none() && mapping.router == router && sides
        };
        if let Some((mapping, _)) = all.iter_mut().find(same) {
            mapping.until_s = Some(at_s.max(mapping.from_s));
            mapping.end = Some(match why {
                fabric::MappingEnd::Expired => MappingEnd::Expired,
                fabric::MappingEnd::Deleted => MappingEnd::Deleted,
                fabric::MappingEnd::Flushed => MappingEnd::Flushed,
            });
        }
    }
    let mut all: Vec<NatMapping> = all.into_iter().map(|(mapping, _)| mapping).collect();
    // What was over before the transfer is none of its business.
    all.retain(|mapping| mapping.until_s.is_none_or(|until| until >= 0.0));
    all.sort_by(|a, b| a.from_s.total_cmp(&b.from_s));
    all.truncate(MAX_HAPPENINGS);
    all
}

fn protocol(proto: Proto) -> String {
    match proto {
        Proto::Tcp => "tcp".into(),
        Proto::Udp => "udp".into(),
        Proto::Echo => "icmp".into(),
        Proto::Other(number) => format!("ip/{number}"),
    }
}

fn endpoint(endpoint: Endpoint) -> String {
    std::net::SocketAddr::new(endpoint.addr, endpoint.port).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::PathSeen;

    fn event(at_ms: u64, port: u16, ended: Option<fabric::MappingEnd>) -> MappingEvent {
        let internal = Endpoint { addr: [192, 168, 1, 2].into(), port };
        let external = Endpoint { addr: [198, 18, 0, 1].into(), port: port + 1000 };
        MappingEvent { at: Time::from_nanos(at_ms * 1_000_000), proto: Proto::Udp, internal, external, ended }
    }

    #[test]
    fn a_mapping_lasts_from_its_beginning_to_its_end() {
        use fabric::MappingEnd::{Expired, Flushed};
        let events = [
            ("home", event(500, 1, None)),
            ("home", event(600, 2, None)),
            ("other", event(700, 2, None)),
            ("home", event(900, 2, Some(Expired))),
            ("home", event(3000, 1, Some(Flushed))),
            ("home", event(3100, 1, None)),
            ("home", event(3200, 77, Some(Expired))),
        ];
        let got = mappings(events.into_iter(), Time::from_nanos(1_000_000_000));
        let rows: Vec<_> =
            got.iter().map(|m| (m.router.as_str(), m.internal.as_str(), m.from_s, m.until_s, m.end)).collect();
        assert_eq!(
            rows,
            [
                ("home", "192.168.1.2:1", -0.5, Some(2.0), Some(MappingEnd::Flushed)),
                ("other", "192.168.1.2:2", -0.3, None, None),
                ("home", "192.168.1.2:1", 2.1, None, None),
            ]
        );
        assert_eq!((got[0].external.as_str(), got[0].protocol.as_str()), ("198.18.0.1:1001", "udp"));
        assert!(mappings([].into_iter(), Time::ZERO).is_empty());
        let many = (0..5000).map(|n| ("home", event(n, 9, None)));
        assert_eq!(mappings(many, Time::ZERO).len(), MAX_HAPPENINGS);
    }

    #[test]
    fn ways_are_told_once_and_in_order() {
        let seen = |at_s, kind: &str| PathSeen { at_s, kind: kind.into(), remote: "198.18.0.9:1\n".into() };
        let fetcher = |host: &str, paths| FetcherSeen { host: host.into(), paths, ..FetcherSeen::default() };
        let fetchers = [
            fetcher("bob", vec![seen(0.2, "relay"), seen(0.4, "direct"), seen(0.5, "direct")]),
            fetcher("carol", vec![seen(0.3, &"x".repeat(500))]),
        ];
        let got = paths(&fetchers);
        let rows: Vec<(&str, f64, usize)> = got.iter().map(|p| (p.host.as_str(), p.at_s, p.kind.len())).collect();
        assert_eq!(rows, [("bob", 0.2, 5), ("carol", 0.3, MAX_TEXT), ("bob", 0.4, 6)]);
        assert_eq!(got[0].remote, "198.18.0.9:1");
    }
}
