//! `[[cross]]`: flows beside the transfer, over the same links.

use crate::error::FileError;
use crate::files::Files;
use crate::quantity::{BitsPerSecond, Bytes, Nanos};
use crate::timeline::unknown;
use longhaul_record::text;
use netsim_topology::{
    Change, Cross, Event, HOST_MTU, LinkName, MIN_CROSS_PACKET, Opening, Topology, Traffic, opening, way,
};
use schemars::JsonSchema;
use serde::Deserialize;
use std::time::Duration;

/// One flow as it is written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CrossFile {
    kind: Kind,
    from: String,
    to: String,
    start: Option<Nanos>,
    stop: Option<Nanos>,
    congestion: Option<String>,
    rate: Option<BitsPerSecond>,
    packet: Option<Bytes>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Tcp,
    Udp,
}

/// Each has a thread and a port of its own.
const MAX_FLOWS: usize = 64;
/// Of a UDP flow that does not say.
const PACKET_BYTES: u32 = 1200;

/// The flows in the order of the file.
pub(crate) fn resolve(
    written: &[CrossFile],
    files: &Files,
    topology: &Topology,
    timeline: &[Event],
    timeout: Duration,
) -> Result<Vec<Cross>, FileError> {
    if written.len() > MAX_FLOWS {
        return Err(files.error("cross", format!("{} flows are too many; write at most {MAX_FLOWS}", written.len())));
    }
    let one = |(n, flow): (usize, &CrossFile)| {
        let place = Place { files, key: format!("cross[{n}]"), topology };
        let (start_ns, stop_ns) = place.times(flow, timeout)?;
        place.hosts(flow)?;
        let traffic = place.traffic(flow, timeline)?;
        let opening = opening(topology, &flow.from, &flow.to, &traffic);
        let opening = opening.map_err(|error| place.error("to", error.to_string()))?;
        Ok(Cross { from: flow.from.clone(), to: flow.to.clone(), start_ns, stop_ns, traffic, opening })
    };
    written.iter().enumerate().map(one).collect()
}

/// A flow's place in its file.
struct Place<'a> {
    files: &'a Files<'a>,
    key: String,
    topology: &'a Topology,
}

impl Place<'_> {
    fn error(&self, key: &str, message: impl Into<String>) -> FileError {
        self.files.error(format!("{}.{key}", self.key), message)
    }

    fn times(&self, flow: &CrossFile, timeout: Duration) -> Result<(u64, Option<u64>), FileError> {
        let (start_ns, stop_ns) = (flow.start.map_or(0, |start| start.0), flow.stop.map(|stop| stop.0));
        if u128::from(start_ns) >= timeout.as_nanos() {
            let message = format!("the transfer's time-out of {} s comes first", timeout.as_secs_f64());
            return Err(self.error("start", message));
        }
        if let Some(stop_ns) = stop_ns.filter(|stop_ns| *stop_ns <= start_ns) {
            let [start, stop] = [start_ns, stop_ns].map(text::nanoseconds);
            let message = format!("the flow stops at {stop}, but starts at {start}; let it stop later");
            return Err(self.error("stop", message));
        }
        Ok((start_ns, stop_ns))
    }

    fn hosts(&self, flow: &CrossFile) -> Result<(), FileError> {
        let names: Vec<String> = self.topology.hosts.iter().map(|host| host.name.clone()).collect();
        for (key, name) in [("from", &flow.from), ("to", &flow.to)] {
            if !names.contains(name) {
                return Err(unknown(self.files, format!("{}.{key}", self.key), "host", name, &names));
            }
        }
        if flow.from == flow.to {
            let message = format!("`{}` sends to itself, over no link; name another host", flow.to);
            return Err(self.error("to", message));
        }
        Ok(())
    }

    fn traffic(&self, flow: &CrossFile, timeline: &[Event]) -> Result<Traffic, FileError> {
        match (flow.kind, flow.rate, flow.packet, &flow.congestion) {
            (Kind::Tcp, None, None, congestion) => {
                // What fits into the kernel's own field.
                let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
                if let Some(name) = congestion
                    && (name.is_empty() || name.len() > 15 || !name.chars().all(good))
                {
                    let message = format!("{name:?} is not an algorithm; write for example \"cubic\" or \"bbr\"");
                    return Err(self.error("congestion", message));
                }
                Ok(Traffic::Tcp { congestion: congestion.clone() })
            }
            (Kind::Tcp, Some(_), ..) => {
                Err(self.error("rate", "TCP sends as fast as it may; leave `rate` out, or write kind = \"udp\""))
            }
            (Kind::Tcp, None, Some(_), _) => {
                Err(self.error("packet", "TCP cuts its packets itself; leave `packet` out, or write kind = \"udp\""))
            }
            (Kind::Udp, _, _, Some(_)) => {
                Err(self.error("congestion", "UDP has none; leave it out, or write kind = \"tcp\""))
            }
            (Kind::Udp, None, ..) => Err(self.error("rate", "missing; write for example \"20Mbit\"")),
            (Kind::Udp, Some(rate), packet, None) => {
                let packet = packet.map_or(u64::from(PACKET_BYTES), |packet| packet.0);
                Ok(Traffic::Udp { rate_bps: rate.0, packet_bytes: self.packet(flow, packet, timeline)? })
            }
        }
    }

    fn packet(&self, flow: &CrossFile, bytes: u64, timeline: &[Event]) -> Result<u32, FileError> {
        let (place, most) = self.smallest_mtu(flow, timeline);
        match u32::try_from(bytes) {
            Ok(bytes) if bytes > most => Err(self.error(
                "packet",
                format!("packets of {bytes} bytes exceed the MTU of {place}, {most} bytes; write at most \"{most}B\""),
            )),
            Ok(bytes) if bytes >= MIN_CROSS_PACKET => Ok(bytes),
            Ok(bytes) => Err(self.error(
                "packet",
                format!(
                    "{bytes} bytes are less than headers and a packet's number take; \
                     write at least \"{MIN_CROSS_PACKET}B\""
                ),
            )),
            Err(_) => Err(self.error("packet", format!("write at most \"{most}B\""))),
        }
    }

    /// The smallest MTU of the flow's way at any time, and where it is.
    fn smallest_mtu(&self, flow: &CrossFile, timeline: &[Event]) -> (String, u32) {
        let links = way(self.topology, &flow.from, &flow.to).unwrap_or_default();
        let first = links.iter().map(|(name, config)| (name, *config));
        let later = timeline.iter().filter_map(|event| match &event.change {
            Change::Link { name, config } if links.iter().any(|(other, _)| other == name) => {
                Some((name, config.as_ref()))
            }
            _ => None,
        });
        let known = first.chain(later).filter_map(|(name, config)| Some((name.to_string(), config.mtu?.bytes)));
        known.chain([("every host".to_owned(), HOST_MTU)]).min_by_key(|(_, bytes)| *bytes).unwrap_or_default()
    }
}

/// Each flow as a sentence: what it sends when, and which links of the transfer it shares.
pub(crate) fn words(topology: &Topology, cross: &[Cross], transfer: &[[&str; 2]]) -> Vec<String> {
    let names = |from: &str, to: &str| -> Vec<LinkName> {
        way(topology, from, to).unwrap_or_default().into_iter().map(|(name, _)| name).collect()
    };
    let of_transfer: Vec<LinkName> = transfer.iter().flat_map(|[a, b]| [names(a, b), names(b, a)].concat()).collect();
    let sentence = |flow: &Cross| {
        let what = match &flow.traffic {
            Traffic::Tcp { congestion: None } => "a TCP flow".to_owned(),
            Traffic::Tcp { congestion: Some(name) } => format!("a TCP flow ({name})"),
            Traffic::Udp { rate_bps, packet_bytes } => {
                let rate = text::trimmed(text::bits_per_second(rate_bps.get() as f64));
                format!("a UDP flow of {rate} in packets of {packet_bytes} bytes")
            }
        };
        let when = match (flow.start_ns, flow.stop_ns.map(text::nanoseconds)) {
            (0, None) => "Meanwhile".to_owned(),
            (0, Some(stop)) => format!("Until {stop}"),
            (start, None) => format!("From {} on", text::nanoseconds(start)),
            (start, Some(stop)) => format!("From {} to {stop}", text::nanoseconds(start)),
        };
        let opened = match flow.opening {
            Opening::Sender => String::new(),
            Opening::Receiver => format!(", which {} opens,", flow.to),
            Opening::Both => ", opened by hole punching,".to_owned(),
        };
        let shared: Vec<String> = names(&flow.from, &flow.to)
            .into_iter()
            .filter(|name| of_transfer.contains(name))
            .map(|name| format!("{} ({})", name.link, name.direction.as_str()))
            .collect();
        let shared = match shared.split_last() {
            None => "shares no link with the transfer".to_owned(),
            Some((last, [])) => format!("shares {last}"),
            Some((last, others)) => format!("shares {} and {last}", others.join(", ")),
        };
        format!("{when} {what} from {} to {}{opened} {shared}.", flow.from, flow.to)
    };
    cross.iter().map(sentence).collect()
}
