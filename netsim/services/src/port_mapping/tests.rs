use super::*;
use proptest::prelude::*;

const CLIENT: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(192, 168, 1, 10), 40_000);
const EXTERNAL: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);

/// A router with a table and nothing else.
#[derive(Debug, Default)]
struct Table {
    mapped: BTreeMap<(Proto, SocketAddrV4), u16>,
    disabled: bool,
}

impl Router for Table {
    fn external(&self) -> Ipv4Addr {
        EXTERNAL
    }

    fn map(&mut self, wish: &Wish) -> Result<SocketAddrV4, Refusal> {
        if self.disabled {
            return Err(Refusal::Disabled);
        }
        let key = (wish.proto, wish.internal);
        let taken = |port: u16| self.mapped.iter().any(|(other, mapped)| *other != key && *mapped == port);
        let wanted = if wish.external_port == 0 { wish.internal.port() } else { wish.external_port };
        let port = match (wanted..=u16::MAX).find(|port| !taken(*port)).ok_or(Refusal::Exhausted)? {
            port if wish.exact && port != wanted => return Err(Refusal::Taken),
            port => port,
        };
        self.mapped.insert(key, port);
        Ok(SocketAddrV4::new(EXTERNAL, port))
    }

    fn unmap(&mut self, proto: Proto, internal: SocketAddrV4) {
        self.mapped.retain(|(other, endpoint), _| {
            *other != proto || endpoint.ip() != internal.ip() || ![0, endpoint.port()].contains(&internal.port())
        });
    }
}

fn wish(internal_port: u16, external_port: u16, exact: bool, lifetime_s: u32) -> Wish {
    let internal = SocketAddrV4::new(*CLIENT.ip(), internal_port);
    Wish { proto: Proto::Udp, internal, external_port, exact, lifetime_s }
}

#[test]
fn nat_pmp_as_published() {
    let (mut server, mut table) = (Server::default(), Table::default());
    let mut ask = |request: &[u8]| server.answer(request, CLIENT, 0x0102_0304, &mut table);
    // RFC 6886, section 3.2.
    assert_eq!(ask(&[0, 0]).unwrap(), [0, 128, 0, 0, 1, 2, 3, 4, 198, 18, 0, 1]);
    // Section 3.3: UDP port 1000 as 2000 for an hour.
    let hour = [0, 0, 14, 16];
    let request = [&[0, 1, 0, 0, 3, 232, 7, 208][..], &hour].concat();
    let expect = [&[0, 129, 0, 0, 1, 2, 3, 4, 3, 232, 7, 208][..], &hour].concat();
    assert_eq!(ask(&request).unwrap(), expect);
    // Section 3.4: a lifetime of 0 removes it.
    let request = [0, 1, 0, 0, 3, 232, 0, 0, 0, 0, 0, 0];
    assert_eq!(ask(&request).unwrap(), [0, 129, 0, 0, 1, 2, 3, 4, 3, 232, 0, 0, 0, 0, 0, 0]);
    assert_eq!(ask(&[0, 99]).unwrap()[..4], [0, 227, 0, 5]);
    assert_eq!(ask(&[0, 129, 0, 0]), None, "an answer");
    assert_eq!(ask(&[]), None);
    assert!(table.mapped.is_empty());
}

#[test]
fn pcp_grants_renews_and_refuses() {
    let (mut server, mut table) = (Server::default(), Table::default());
    let mut ask = |wish: &Wish, nonce: u8| {
        let request = pcp_map_request(*CLIENT.ip(), wish, [nonce; 12]);
        read_pcp_map_answer(&server.answer(&request, CLIENT, 1, &mut table).unwrap()).unwrap()
    };
    let at = |port| SocketAddrV4::new(EXTERNAL, port);
    for (wish, nonce, expect) in [
        (wish(1000, 2000, false, 60), 1, Ok((at(2000), 60))),
        (wish(1000, 2000, false, 600), 1, Ok((at(2000), 600))),
        (wish(1000, 2000, false, 60), 2, Err(NOT_AUTHORIZED)),
        (wish(1001, 2000, false, 60), 1, Ok((at(2001), 60))),
        (wish(1002, 2000, true, 60), 1, Err(CANNOT_PROVIDE_EXTERNAL)),
        (wish(1003, 0, false, u32::MAX), 1, Ok((at(1003), MAX_LIFETIME_S))),
        (wish(0, 0, false, 60), 1, Err(UNSUPP_PROTOCOL)),
    ] {
        assert_eq!(ask(&wish, nonce), expect, "{wish:?} {nonce}");
    }
    // Removed, the port is anyone's again.
    assert_eq!(ask(&wish(1000, 2000, false, 0), 1).map(|(_, lifetime)| lifetime), Ok(0));
    assert_eq!(ask(&wish(1000, 2000, true, 60), 2), Ok((at(2000), 60)));
}

#[test]
fn bad_pcp_is_answered_with_its_code() {
    let (mut server, mut table) = (Server::default(), Table::default());
    let good = pcp_map_request(*CLIENT.ip(), &wish(1000, 2000, false, 60), [1; 12]);
    let change = |at: usize, to: u8| {
        let mut bytes = good.clone();
        bytes[at] = to;
        bytes
    };
    for (request, code) in [
        (change(0, 3), UNSUPP_VERSION),
        (change(1, 9), UNSUPP_OPCODE),
        (change(23, 99), ADDRESS_MISMATCH),
        (change(PCP_HEADER + 12, 132), UNSUPP_PROTOCOL),
        (good[..40].to_vec(), MALFORMED_REQUEST),
        (good[..59].to_vec(), MALFORMED_REQUEST),
        ([&good[..], &[1, 0, 0, 0]].concat(), UNSUPP_OPTION),
        ([&good[..], &[200, 0, 0, 9]].concat(), MALFORMED_OPTION),
        ([&good[..], &[200, 0, 0, 0]].concat(), SUCCESS),
    ] {
        let answer = server.answer(&request, CLIENT, 1, &mut table).unwrap();
        assert_eq!((answer[0], answer[1] & RESPONSE, answer[3]), (2, RESPONSE, code), "{request:?}");
        assert!(answer.len().is_multiple_of(4) && answer.len() <= PCP_LIMIT + PCP_HEADER);
    }
    table.disabled = true;
    let answer = server.answer(&good, CLIENT, 1, &mut table).unwrap();
    assert_eq!(read_pcp_map_answer(&answer), Some(Err(NOT_AUTHORIZED)));
}

proptest! {
    #[test]
    fn nothing_panics(version in 0_u8..4, rest in prop::collection::vec(any::<u8>(), 0..120)) {
        let (mut server, mut table) = (Server::default(), Table::default());
        let request = [&[version][..], &rest].concat();
        if let Some(answer) = server.answer(&request, CLIENT, 1, &mut table) {
            prop_assert!(answer[1] & RESPONSE != 0);
            let _ = read_pcp_map_answer(&answer);
        }
    }
}
