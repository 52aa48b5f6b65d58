//! Translation by arithmetic: IPv6 prefixes (RFC 6296) and IPv4 addresses inside IPv6 ones (RFC 6052). No state.

use crate::prefix::Prefix;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Exchanges the first 64 bits of `addr`, which must be in `from`, for those of `to`, so that checksums stay right: one
/// word of the interface identifier makes up for the difference (RFC 6296, section 3.5). `None` for the one identifier
/// that has no such word, and for addresses not in `from`.
pub(crate) fn translate(addr: IpAddr, from: Prefix, to: Prefix) -> Option<IpAddr> {
    let (IpAddr::V6(own), IpAddr::V6(from_addr), IpAddr::V6(to_addr)) = (addr, from.addr(), to.addr()) else {
        return None;
    };
    if !from.contains(addr) {
        return None;
    }
    let mut words = own.segments();
    // 0xffff is zero too in one's complement; the word that is not it is the same one before and after.
    let carrier = (4..8).find(|&at| words[at] != 0xffff)?;
    let (from, to) = (from_addr.segments(), to_addr.segments());
    let mut sum = u32::from(words[carrier]);
    for at in 0..4 {
        sum += u32::from(from[at]) + u32::from(!to[at]);
        words[at] = to[at];
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    words[carrier] = if sum == 0xffff { 0 } else { sum as u16 };
    Some(IpAddr::V6(Ipv6Addr::from(words)))
}

/// The well-known prefix of NAT64, 64:ff9b::/96 (RFC 6052, section 2.1).
const NAT64: [u16; 6] = [0x64, 0xff9b, 0, 0, 0, 0];

/// The IPv4 address inside an address of NAT64's well-known prefix.
pub fn nat64_to_v4(addr: IpAddr) -> Option<IpAddr> {
    let IpAddr::V6(addr) = addr else { return None };
    let words = addr.segments();
    let [.., a, b, c, d] = addr.octets();
    (words[..6] == NAT64).then(|| Ipv4Addr::new(a, b, c, d).into())
}

/// An IPv4 address as hosts without IPv4 see it behind a NAT64; an IPv6 address is itself.
pub fn nat64_from_v4(addr: IpAddr) -> IpAddr {
    let IpAddr::V4(addr) = addr else { return addr };
    let [a, b, c, d] = addr.octets().map(u16::from);
    let [p0, p1, p2, p3, p4, p5] = NAT64;
    Ipv6Addr::new(p0, p1, p2, p3, p4, p5, a << 8 | b, c << 8 | d).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(addr: IpAddr) -> u16 {
        let IpAddr::V6(addr) = addr else { panic!("IPv6") };
        let mut sum: u32 = addr.segments().iter().map(|word| u32::from(*word)).sum();
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        // Both zeroes are one.
        if sum == 0xffff { 0 } else { sum as u16 }
    }

    #[test]
    fn prefixes_are_exchanged_and_sums_stay() {
        let inside = Prefix::new("fd00:0:0:3::".parse().unwrap(), 64);
        let outside = Prefix::new("2001:2:0:ffff::".parse().unwrap(), 64);
        for host in ["::a", "ffff::1", "ffff:ffff:ffff:0", "1234:5678:9abc:def0", "d1fe:0:0:1"] {
            let host = if host.starts_with("::") { "fd00:0:0:3::a".into() } else { std_format(host) };
            let Ok(addr) = host.parse::<IpAddr>() else { continue };
            let global = translate(addr, inside, outside).unwrap();
            assert!(outside.contains(global));
            assert_eq!(sum(global), sum(addr), "{addr} {global}");
            assert_eq!(translate(global, outside, inside), Some(addr));
        }
        let all_ones: IpAddr = "fd00:0:0:3:ffff:ffff:ffff:ffff".parse().unwrap();
        assert_eq!(translate(all_ones, inside, outside), None);
        assert_eq!(translate("fd00:0:0:4::1".parse().unwrap(), inside, outside), None);
    }

    fn std_format(host: &str) -> alloc::string::String {
        alloc::format!("fd00:0:0:3:{host}")
    }

    #[test]
    fn ipv4_inside_ipv6() {
        let v4: IpAddr = "198.18.0.2".parse().unwrap();
        let v6 = nat64_from_v4(v4);
        assert_eq!(v6, "64:ff9b::198.18.0.2".parse::<IpAddr>().unwrap());
        assert_eq!(nat64_to_v4(v6), Some(v4));
        assert_eq!(nat64_to_v4("2001:2::1".parse().unwrap()), None);
    }
}
