//! Port mapping on request: NAT-PMP (RFC 6886) and its successor PCP (RFC 6887), which share a port and are told apart
//! by their first byte.

use netsim_fabric::Proto;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV4};

/// What both servers listen on, on the router's inner address.
pub const PORT: u16 = 5351;

/// The longest mapping granted, in seconds (RFC 6887, section 15, recommends a day at most).
const MAX_LIFETIME_S: u32 = 86_400;

/// What a client wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// TCP or UDP.
    pub proto: Proto,
    /// Where packets are to go.
    pub internal: SocketAddrV4,
    /// The external port the client would like; 0 for any.
    pub external_port: u16,
    /// Whether another external port is no use.
    pub exact: bool,
    /// How long, in seconds.
    pub lifetime_s: u32,
}

/// Why a router does not grant a wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Someone else has the port, and no other will do.
    Taken,
    /// No port is free.
    Exhausted,
    /// The router does not map ports.
    Disabled,
}

/// The router whose ports are mapped.
pub trait Router {
    /// Its external address.
    fn external(&self) -> Ipv4Addr;

    /// Makes a mapping, or renews the one the internal endpoint has. Gives its external endpoint.
    fn map(&mut self, wish: &Wish) -> Result<SocketAddrV4, Refusal>;

    /// Removes the mapping of an internal endpoint; without one, there is nothing to do. Port 0: all of the address.
    fn unmap(&mut self, proto: Proto, internal: SocketAddrV4);
}

/// The server's memory.
#[derive(Debug, Clone, Default)]
pub struct Server {
    /// Who made a mapping: others may not change it (RFC 6887, section 11.3).
    nonces: BTreeMap<(Proto, SocketAddrV4), [u8; 12]>,
}

impl Server {
    /// The answer to a datagram from `client`, `epoch_s` seconds after the router started; `None` if it deserves none.
    pub fn answer(
        &mut self,
        request: &[u8],
        client: SocketAddrV4,
        epoch_s: u32,
        router: &mut dyn Router,
    ) -> Option<Vec<u8>> {
        match request.first()? {
            0 => nat_pmp(request, *client.ip(), epoch_s, router),
            2 => self.pcp(request, *client.ip(), epoch_s, router),
            // Both protocols answer other versions by naming their own; PCP's is the newer.
            _ if request.get(1).is_some_and(|op| op & RESPONSE == 0) => {
                Some(pcp_answer(request, UNSUPP_VERSION, ERROR_LIFETIME_S, epoch_s, &[]))
            }
            _ => None,
        }
    }
}

/// Set in the second byte of every answer.
const RESPONSE: u8 = 0x80;

/// NAT-PMP's operations (RFC 6886, section 3).
const EXTERNAL_ADDRESS: u8 = 0;
const MAP_UDP: u8 = 1;
const MAP_TCP: u8 = 2;

/// NAT-PMP's results (RFC 6886, section 3.5).
const PMP_SUCCESS: u16 = 0;
const PMP_NOT_AUTHORIZED: u16 = 2;
const PMP_OUT_OF_RESOURCES: u16 = 4;
const PMP_UNSUPPORTED_OPCODE: u16 = 5;

fn nat_pmp(request: &[u8], client: Ipv4Addr, epoch_s: u32, router: &mut dyn Router) -> Option<Vec<u8>> {
    let op = *request.get(1)?;
    let answer = |result: u16, rest: &[u8]| {
        let mut bytes = vec![0, op | RESPONSE];
        bytes.extend(result.to_be_bytes());
        bytes.extend(epoch_s.to_be_bytes());
        bytes.extend(rest);
        Some(bytes)
    };
    match op {
        EXTERNAL_ADDRESS => answer(PMP_SUCCESS, &router.external().octets()),
        MAP_UDP | MAP_TCP => {
            let proto = if op == MAP_UDP { Proto::Udp } else { Proto::Tcp };
            let fields: &[u8; 12] = request.first_chunk()?;
            let [internal, wanted] = [4, 6].map(|at| u16::from_be_bytes([fields[at], fields[at + 1]]));
            let lifetime_s = u32::from_be_bytes([fields[8], fields[9], fields[10], fields[11]]).min(MAX_LIFETIME_S);
            let internal = SocketAddrV4::new(client, internal);
            let (result, external, lifetime_s) = if lifetime_s == 0 {
                router.unmap(proto, internal);
                (PMP_SUCCESS, 0, 0)
            } else {
                match router.map(&Wish { proto, internal, external_port: wanted, exact: false, lifetime_s }) {
                    Ok(external) => (PMP_SUCCESS, external.port(), lifetime_s),
                    Err(Refusal::Disabled) => (PMP_NOT_AUTHORIZED, 0, 0),
                    Err(Refusal::Exhausted | Refusal::Taken) => (PMP_OUT_OF_RESOURCES, 0, 0),
                }
            };
            let ports = [internal.port(), external].map(u16::to_be_bytes).concat();
            answer(result, &[&ports[..], &lifetime_s.to_be_bytes()].concat())
        }
        op if op & RESPONSE != 0 => None,
        _ => answer(PMP_UNSUPPORTED_OPCODE, &[]),
    }
}

/// PCP's operations (RFC 6887, section 19.2).
const ANNOUNCE: u8 = 0;
const MAP: u8 = 1;

/// PCP's results (RFC 6887, section 7.4).
const SUCCESS: u8 = 0;
const UNSUPP_VERSION: u8 = 1;
const NOT_AUTHORIZED: u8 = 2;
const MALFORMED_REQUEST: u8 = 3;
const UNSUPP_OPCODE: u8 = 4;
const UNSUPP_OPTION: u8 = 5;
const MALFORMED_OPTION: u8 = 6;
const NO_RESOURCES: u8 = 8;
const UNSUPP_PROTOCOL: u8 = 9;
const CANNOT_PROVIDE_EXTERNAL: u8 = 11;
const ADDRESS_MISMATCH: u8 = 12;

/// How long an error holds, in seconds (RFC 6887, section 7.4, recommends 30 minutes for lasting ones).
const ERROR_LIFETIME_S: u32 = 1800;

/// Lengths of PCP's header and of MAP's part after it.
const PCP_HEADER: usize = 24;
const MAP_PART: usize = 36;
/// The longest PCP message.
const PCP_LIMIT: usize = 1100;

/// The one option that is understood: rather nothing than another port.
const PREFER_FAILURE: u8 = 2;
/// Options below may not be ignored (RFC 6887, section 7.3).
const OPTIONAL: u8 = 128;

impl Server {
    fn pcp(&mut self, request: &[u8], client: Ipv4Addr, epoch_s: u32, router: &mut dyn Router) -> Option<Vec<u8>> {
        // Too short to be answered (RFC 6887, section 8.3).
        if request.len() < 2 || request[1] & RESPONSE != 0 {
            return None;
        }
        let answer = match self.pcp_result(request, client, router) {
            Ok((lifetime_s, part)) => pcp_answer(request, SUCCESS, lifetime_s, epoch_s, &part),
            Err(code) => {
                // An error carries the request's own part back.
                let part = request.get(PCP_HEADER..request.len().min(PCP_LIMIT)).unwrap_or_default();
                pcp_answer(request, code, ERROR_LIFETIME_S, epoch_s, part)
            }
        };
        Some(answer)
    }

    /// Lifetime and operation's part of a good answer, or the code of a bad one.
    fn pcp_result(&mut self, request: &[u8], client: Ipv4Addr, router: &mut dyn Router) -> Result<(u32, Vec<u8>), u8> {
        if request.len() > PCP_LIMIT || !request.len().is_multiple_of(4) {
            return Err(MALFORMED_REQUEST);
        }
        let (header, rest) = request.split_first_chunk::<PCP_HEADER>().ok_or(MALFORMED_REQUEST)?;
        let named: [u8; 16] = std::array::from_fn(|at| header[8 + at]);
        match header[1] {
            ANNOUNCE | MAP if Ipv6Addr::from(named).to_ipv4_mapped() != Some(client) => Err(ADDRESS_MISMATCH),
            ANNOUNCE => Ok((0, Vec::new())),
            MAP => {
                let lifetime_s = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
                self.pcp_map(rest, client, lifetime_s.min(MAX_LIFETIME_S), router)
            }
            _ => Err(UNSUPP_OPCODE),
        }
    }

    fn pcp_map(
        &mut self,
        rest: &[u8],
        client: Ipv4Addr,
        lifetime_s: u32,
        router: &mut dyn Router,
    ) -> Result<(u32, Vec<u8>), u8> {
        let (part, options) = rest.split_first_chunk::<MAP_PART>().ok_or(MALFORMED_REQUEST)?;
        let exact = prefers_failure(options)?;
        let nonce: [u8; 12] = std::array::from_fn(|at| part[at]);
        let proto = match part[12] {
            6 => Proto::Tcp,
            17 => Proto::Udp,
            // All protocols, or all ports, of a host: nothing a NAT with one address can give.
            _ => return Err(UNSUPP_PROTOCOL),
        };
        let [internal, external_port] = [16, 18].map(|at| u16::from_be_bytes([part[at], part[at + 1]]));
        if internal == 0 {
            return Err(UNSUPP_PROTOCOL);
        }
        let internal = SocketAddrV4::new(client, internal);
        if self.nonces.get(&(proto, internal)).is_some_and(|owner| *owner != nonce) {
            return Err(NOT_AUTHORIZED);
        }
        let mut answer = part.to_vec();
        if lifetime_s == 0 {
            router.unmap(proto, internal);
            self.nonces.remove(&(proto, internal));
            return Ok((0, answer));
        }
        let wish = Wish { proto, internal, external_port, exact, lifetime_s };
        let external = router.map(&wish).map_err(|refusal| match refusal {
            Refusal::Taken => CANNOT_PROVIDE_EXTERNAL,
            Refusal::Exhausted => NO_RESOURCES,
            Refusal::Disabled => NOT_AUTHORIZED,
        })?;
        self.nonces.insert((proto, internal), nonce);
        answer[18..20].copy_from_slice(&external.port().to_be_bytes());
        answer[20..36].copy_from_slice(&external.ip().to_ipv6_mapped().octets());
        Ok((lifetime_s, answer))
    }
}

/// Whether the options ask for exactly the suggested port; an error's code if one must not be ignored.
fn prefers_failure(mut options: &[u8]) -> Result<bool, u8> {
    let mut exact = false;
    while let Some(([code, _, high, low], rest)) = options.split_first_chunk() {
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        match *code {
            PREFER_FAILURE if len == 0 => exact = true,
            PREFER_FAILURE => return Err(MALFORMED_OPTION),
            code if code < OPTIONAL => return Err(UNSUPP_OPTION),
            _ => {}
        }
        // Options are padded to 32 bits.
        options = rest.get(len.next_multiple_of(4)..).ok_or(MALFORMED_OPTION)?;
    }
    Ok(exact)
}

fn pcp_answer(request: &[u8], result: u8, lifetime_s: u32, epoch_s: u32, part: &[u8]) -> Vec<u8> {
    let op = request.get(1).copied().unwrap_or(0);
    let mut bytes = vec![2, op | RESPONSE, 0, result];
    bytes.extend(lifetime_s.to_be_bytes());
    bytes.extend(epoch_s.to_be_bytes());
    bytes.extend([0; 12]);
    bytes.extend(part);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// A client's request for a mapping by PCP, for programs of ours that want one and for tests.
pub fn pcp_map_request(client: Ipv4Addr, wish: &Wish, nonce: [u8; 12]) -> Vec<u8> {
    let mut bytes = vec![2, MAP, 0, 0];
    bytes.extend(wish.lifetime_s.to_be_bytes());
    bytes.extend(client.to_ipv6_mapped().octets());
    bytes.extend(nonce);
    bytes.extend([if wish.proto == Proto::Tcp { 6 } else { 17 }, 0, 0, 0]);
    bytes.extend(wish.internal.port().to_be_bytes());
    bytes.extend(wish.external_port.to_be_bytes());
    bytes.extend(Ipv4Addr::UNSPECIFIED.to_ipv6_mapped().octets());
    if wish.exact {
        bytes.extend([PREFER_FAILURE, 0, 0, 0]);
    }
    bytes
}

/// The external endpoint and lifetime in a server's answer to [`pcp_map_request`], or its result code.
pub fn read_pcp_map_answer(bytes: &[u8]) -> Option<Result<(SocketAddrV4, u32), u8>> {
    let (header, rest) = bytes.split_first_chunk::<PCP_HEADER>()?;
    if header[..2] != [2, MAP | RESPONSE] {
        return None;
    }
    if header[3] != SUCCESS {
        return Some(Err(header[3]));
    }
    let part = rest.first_chunk::<MAP_PART>()?;
    let address: [u8; 16] = std::array::from_fn(|at| part[20 + at]);
    let IpAddr::V4(address) = IpAddr::from(address).to_canonical() else { return None };
    let lifetime_s = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
    Some(Ok((SocketAddrV4::new(address, u16::from_be_bytes([part[18], part[19]])), lifetime_s)))
}

#[cfg(test)]
mod tests;
