//! Addresses as people write them, and as one socket for both families has them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What IPv4 addresses look like in a network that has none: the well-known prefix of NAT64 (RFC 6052, section 2.1).
const NAT64: [u16; 6] = [0x64, 0xff9b, 0, 0, 0, 0];

/// How a socket names addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wire {
    /// It is an IPv6 socket, which names those of IPv4 as RFC 4291, section 2.5.5.2, says.
    pub(super) six: bool,
    /// There is no IPv4 here, so that IPv4 is reached by NAT64 if at all.
    pub(super) nat64: bool,
}

impl Wire {
    /// An address for the socket; `None` if it cannot send there.
    pub(super) fn outward(self, address: SocketAddr) -> Option<SocketAddr> {
        match address.ip() {
            IpAddr::V4(ip) if self.six && self.nat64 => Some((synthesised(ip), address.port()).into()),
            IpAddr::V4(ip) if self.six => Some((ip.to_ipv6_mapped(), address.port()).into()),
            IpAddr::V6(_) if !self.six => None,
            _ => Some(address),
        }
    }

    /// An address from the socket.
    pub(super) fn inward(self, address: SocketAddr) -> SocketAddr {
        let ip = match address.ip().to_canonical() {
            IpAddr::V6(ip) if self.nat64 && ip.segments()[..6] == NAT64 => {
                let [.., a, b, c, d] = ip.octets();
                Ipv4Addr::new(a, b, c, d).into()
            }
            ip => ip,
        };
        (ip, address.port()).into()
    }
}

fn synthesised(ip: Ipv4Addr) -> Ipv6Addr {
    let [a, b, c, d, e, f] = NAT64;
    let [g, h, i, j] = ip.octets();
    Ipv6Addr::new(a, b, c, d, e, f, u16::from_be_bytes([g, h]), u16::from_be_bytes([i, j]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_back_as_they_went() {
        let rows = [
            (false, false, "192.0.2.1:5", Some("192.0.2.1:5")),
            (false, false, "[2001:db8::1]:5", None),
            (true, false, "192.0.2.1:5", Some("[::ffff:192.0.2.1]:5")),
            (true, false, "[2001:db8::1]:5", Some("[2001:db8::1]:5")),
            (true, true, "192.0.2.33:5", Some("[64:ff9b::192.0.2.33]:5")),
            (true, true, "[2001:db8::1]:5", Some("[2001:db8::1]:5")),
        ];
        for (six, nat64, address, expect) in rows {
            let wire = Wire { six, nat64 };
            let (address, expect): (SocketAddr, _) = (address.parse().unwrap(), expect.map(|e| e.parse().unwrap()));
            assert_eq!(wire.outward(address), expect, "{address} {wire:?}");
            assert!(expect.is_none_or(|wired| wire.inward(wired) == address), "{address} {wire:?}");
        }
    }
}
