use super::*;
use proptest::prelude::*;

const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 10);
const OTHER: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 11);
const EXTERNAL: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);

/// Grants everything; remembers the last thing that was asked for.
#[derive(Debug, Default)]
struct Generous {
    last: Option<Wish>,
    unmapped: Vec<SocketAddrV4>,
}

impl Router for Generous {
    fn external(&self) -> Ipv4Addr {
        EXTERNAL
    }

    fn map(&mut self, wish: &Wish) -> Result<SocketAddrV4, Refusal> {
        self.last = Some(*wish);
        Ok(SocketAddrV4::new(EXTERNAL, wish.external_port))
    }

    fn unmap(&mut self, _: Proto, internal: SocketAddrV4) {
        self.unmapped.push(internal);
    }
}

fn search(target: &str) -> Vec<u8> {
    format!(
        "M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: \"ssdp:discover\"\r\nMX: 2\r\nST: {target}\r\n\r\n"
    )
    .into_bytes()
}

#[test]
fn searches_for_what_there_is_are_answered() {
    let router = Ipv4Addr::new(192, 168, 1, 1);
    for (target, found) in [
        ("ssdp:all", true),
        ("upnp:rootdevice", true),
        (DEVICE, true),
        (SERVICE, true),
        ("urn:schemas-upnp-org:device:MediaServer:1", false),
    ] {
        let answer = answer_search(&search(target), router).map(|bytes| String::from_utf8(bytes).unwrap());
        assert_eq!(answer.is_some(), found, "{target}");
        assert!(answer.is_none_or(|text| text.contains("LOCATION: http://192.168.1.1:5000/device.xml\r\n")));
    }
    assert_eq!(answer_search(b"NOTIFY * HTTP/1.1\r\n\r\n", router), None);
}

fn call(action: &str, arguments: &[(&str, &str)]) -> Vec<u8> {
    let inner: String = arguments.iter().map(|(name, value)| format!("<{name}>{value}</{name}>")).collect();
    let body = format!(
        "<?xml version=\"1.0\"?><s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body>\
         <u:{action} xmlns:u=\"{SERVICE}\">{inner}</u:{action}></s:Body></s:Envelope>"
    );
    format!("POST /control HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn add(port: &str, client: Ipv4Addr, lease: &str) -> Vec<u8> {
    call(
        "AddPortMapping",
        &[
            ("NewRemoteHost", ""),
            ("NewExternalPort", port),
            ("NewProtocol", "UDP"),
            ("NewInternalPort", "4000"),
            ("NewInternalClient", &client.to_string()),
            ("NewEnabled", "1"),
            ("NewPortMappingDescription", "a &lt;b&gt;"),
            ("NewLeaseDuration", lease),
        ],
    )
}

fn ask(gateway: &mut Gateway, router: &mut Generous, client: Ipv4Addr, request: &[u8]) -> String {
    match gateway.http(request, client, router) {
        Http::Answer(bytes) => String::from_utf8(bytes).unwrap(),
        Http::More => panic!("the request is whole"),
    }
}

#[test]
fn mappings_are_made_listed_and_removed() {
    let (mut gateway, mut router) = (Gateway::default(), Generous::default());
    let named = [("NewRemoteHost", ""), ("NewExternalPort", "5000"), ("NewProtocol", "UDP")];
    for (client, request, status, within) in [
        (CLIENT, call("GetExternalIPAddress", &[]), "200", "<NewExternalIPAddress>198.18.0.1<"),
        (CLIENT, add("5000", CLIENT, "0"), "200", "AddPortMappingResponse"),
        (CLIENT, add("5000", CLIENT, "60"), "200", "AddPortMappingResponse"),
        (OTHER, add("5000", OTHER, "60"), "500", "<errorCode>718<"),
        (OTHER, add("5001", CLIENT, "60"), "500", "<errorCode>606<"),
        (CLIENT, add("many", CLIENT, "60"), "500", "<errorCode>402<"),
        (OTHER, call("GetSpecificPortMappingEntry", &named), "200", "<NewInternalClient>192.168.1.10<"),
        (OTHER, call("GetGenericPortMappingEntry", &[("NewPortMappingIndex", "0")]), "200", ">a &lt;b&gt;<"),
        (OTHER, call("GetGenericPortMappingEntry", &[("NewPortMappingIndex", "1")]), "500", "<errorCode>713<"),
        (OTHER, call("DeletePortMapping", &named), "500", "<errorCode>606<"),
        (CLIENT, call("DeletePortMapping", &named), "200", "DeletePortMappingResponse"),
        (CLIENT, call("DeletePortMapping", &named), "500", "<errorCode>714<"),
        (CLIENT, call("FormatDisk", &[]), "500", "<errorCode>401<"),
    ] {
        let text = ask(&mut gateway, &mut router, client, &request);
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")) && text.contains(within), "{within}: {text}");
    }
    let wish = router.last.unwrap();
    assert_eq!((wish.external_port, wish.exact, wish.lifetime_s), (5000, true, 60));
    assert_eq!(router.unmapped, [SocketAddrV4::new(CLIENT, 4000)]);
}

#[test]
fn the_description_leads_to_the_service() {
    let (mut gateway, mut router) = (Gateway::default(), Generous::default());
    for (path, within) in [("/device.xml", "<controlURL>/control</controlURL>"), ("/service.xml", "AddPortMapping")] {
        let request = format!("GET {path} HTTP/1.1\r\n\r\n");
        let text = ask(&mut gateway, &mut router, CLIENT, request.as_bytes());
        let (_, body) = text.split_once("\r\n\r\n").unwrap();
        roxmltree::Document::parse(body).unwrap();
        assert!(body.contains(within), "{body}");
    }
    assert!(ask(&mut gateway, &mut router, CLIENT, b"GET / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404"));
    assert!(ask(&mut gateway, &mut router, CLIENT, b"\x00\r\n\r\n").starts_with("HTTP/1.1 400"));
}

#[test]
fn a_request_in_pieces_is_waited_for() {
    let (mut gateway, mut router) = (Gateway::default(), Generous::default());
    let request = call("GetExternalIPAddress", &[]);
    for len in 0..request.len() {
        assert_eq!(gateway.http(&request[..len], CLIENT, &mut router), Http::More, "{len}");
    }
    let endless = b"POST /control HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n";
    assert!(ask(&mut gateway, &mut router, CLIENT, endless).starts_with("HTTP/1.1 413"));
}

proptest! {
    #[test]
    fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0_usize..400, byte: u8) {
        let (mut gateway, mut router) = (Gateway::default(), Generous::default());
        let _ = answer_search(&bytes, CLIENT);
        let _ = gateway.http(&bytes, CLIENT, &mut router);
        let mut damaged = add("5000", CLIENT, "0");
        let len = damaged.len();
        damaged[at % len] = byte;
        let _ = gateway.http(&damaged, CLIENT, &mut router);
    }
}
