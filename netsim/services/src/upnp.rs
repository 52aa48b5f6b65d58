//! UPnP's Internet Gateway Device, as home routers offer it: found by multicast (SSDP), described by XML, asked by SOAP
//! over HTTP.
//!
//! Specifications: UPnP Device Architecture 1.1, WANIPConnection:1. Only port mappings and the external address are
//! offered; that is what transfer software asks for.

mod soap;

use crate::port_mapping::{Refusal, Router, Wish};
use netsim_fabric::Proto;
use soap::{Action, Fault};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};

/// Where clients look for devices: group and port.
pub const SSDP: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(239, 255, 255, 250), 1900);
/// Where the description and the control point are, on the router's inner address.
pub const HTTP_PORT: u16 = 5000;

const DEVICE: &str = "urn:schemas-upnp-org:device:InternetGatewayDevice:1";
const SERVICE: &str = "urn:schemas-upnp-org:service:WANIPConnection:1";
const UUID: &str = "uuid:6c6f6e67-6861-756c-0000-000000000001";

/// The answer to an SSDP datagram: where the description is, if something of ours was searched for.
pub fn answer_search(request: &[u8], router: Ipv4Addr) -> Option<Vec<u8>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    parsed.parse(request).ok()?;
    if parsed.method != Some("M-SEARCH") || header(&parsed, "man") != Some("\"ssdp:discover\"") {
        return None;
    }
    let target = match header(&parsed, "st")? {
        "ssdp:all" => DEVICE,
        wanted @ ("upnp:rootdevice" | DEVICE | SERVICE | UUID) => wanted,
        _ => return None,
    };
    let name = if target == UUID { UUID.to_owned() } else { format!("{UUID}::{target}") };
    let text = format!(
        "HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=120\r\nST: {target}\r\nUSN: {name}\r\nEXT:\r\n\
         SERVER: longhaul UPnP/1.1\r\nLOCATION: http://{router}:{HTTP_PORT}/device.xml\r\nContent-Length: 0\r\n\r\n"
    );
    Some(text.into_bytes())
}

const MAX_HEADERS: usize = 64;
/// Requests are short; more is not read.
const MAX_REQUEST: usize = 16 * 1024;

fn header<'a>(request: &httparse::Request<'_, 'a>, name: &str) -> Option<&'a str> {
    let found = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
    std::str::from_utf8(found.value).ok().map(str::trim)
}

/// What is to be done with the bytes of a connection so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Http {
    /// More must come.
    More,
    /// The request is answered with these bytes; the connection ends.
    Answer(Vec<u8>),
}

/// The gateway's memory: what clients said of the mappings they made.
#[derive(Debug, Clone, Default)]
pub struct Gateway {
    mappings: BTreeMap<(Proto, u16), Described>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Described {
    internal: SocketAddrV4,
    description: String,
    lease_s: u32,
}

impl Gateway {
    /// Reads an HTTP request from `client` and answers it once it is whole.
    pub fn http(&mut self, bytes: &[u8], client: Ipv4Addr, router: &mut dyn Router) -> Http {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        let (start, len) = match request.parse(bytes) {
            Ok(httparse::Status::Complete(start)) => {
                match header(&request, "content-length").map(str::parse::<usize>) {
                    Some(Ok(len)) if len <= MAX_REQUEST => (start, len),
                    None => (start, 0),
                    Some(_) => return Http::Answer(answer("413 Content Too Large", "")),
                }
            }
            Ok(httparse::Status::Partial) if bytes.len() < MAX_REQUEST => return Http::More,
            _ => return Http::Answer(answer("400 Bad Request", "")),
        };
        let Some(body) = bytes.get(start..start + len) else { return Http::More };
        Http::Answer(match (request.method, request.path) {
            (Some("GET"), Some("/device.xml")) => answer("200 OK", &description()),
            (Some("GET"), Some("/service.xml")) => answer("200 OK", soap::SERVICE_DESCRIPTION),
            (Some("POST"), Some("/control")) => self.control(body, client, router),
            _ => answer("404 Not Found", ""),
        })
    }

    fn control(&mut self, body: &[u8], client: Ipv4Addr, router: &mut dyn Router) -> Vec<u8> {
        let result = soap::read(body).and_then(|action| {
            let arguments = self.perform(&action, client, router)?;
            Ok(soap::response(&action.name, &arguments))
        });
        match result {
            Ok(body) => answer("200 OK", &body),
            Err(fault) => answer("500 Internal Server Error", &soap::fault(fault)),
        }
    }

    /// WANIPConnection:1, section 2.4: the action's results, by name.
    fn perform(
        &mut self,
        action: &Action,
        client: Ipv4Addr,
        router: &mut dyn Router,
    ) -> Result<Vec<(&'static str, String)>, Fault> {
        let one = |name, value: &str| Ok(vec![(name, value.to_owned())]);
        match action.name.as_str() {
            "GetExternalIPAddress" => one("NewExternalIPAddress", &router.external().to_string()),
            "GetStatusInfo" => Ok(vec![
                ("NewConnectionStatus", "Connected".to_owned()),
                ("NewLastConnectionError", "ERROR_NONE".to_owned()),
                ("NewUptime", "1".to_owned()),
            ]),
            "GetConnectionTypeInfo" => Ok(vec![
                ("NewConnectionType", "IP_Routed".to_owned()),
                ("NewPossibleConnectionTypes", "IP_Routed".to_owned()),
            ]),
            "AddPortMapping" => self.add(action, client, router),
            "DeletePortMapping" => self.delete(action, client, router),
            "GetSpecificPortMappingEntry" => {
                let found = self.mappings.get(&action.external()?).ok_or(Fault::NO_SUCH_ENTRY)?;
                Ok(entry(found))
            }
            "GetGenericPortMappingEntry" => {
                let index: usize = action.number("NewPortMappingIndex")?;
                let ((proto, port), found) = self.mappings.iter().nth(index).ok_or(Fault::BAD_INDEX)?;
                let external = [
                    ("NewRemoteHost", String::new()),
                    ("NewExternalPort", port.to_string()),
                    ("NewProtocol", soap::protocol(*proto).to_owned()),
                ];
                Ok(external.into_iter().chain(entry(found)).collect())
            }
            _ => Err(Fault::INVALID_ACTION),
        }
    }

    fn add(
        &mut self,
        action: &Action,
        client: Ipv4Addr,
        router: &mut dyn Router,
    ) -> Result<Vec<(&'static str, String)>, Fault> {
        let key = action.external()?;
        let internal: Ipv4Addr = action.number("NewInternalClient")?;
        let internal = SocketAddrV4::new(internal, action.number("NewInternalPort")?);
        // Clients open ports for themselves only, as on current routers.
        if *internal.ip() != client {
            return Err(Fault::NOT_AUTHORIZED);
        }
        if self.mappings.get(&key).is_some_and(|found| found.internal != internal) {
            return Err(Fault::CONFLICT);
        }
        // 0 means for ever (WANIPConnection:1, section 2.2.22): a day is longer than any measurement.
        let asked: u32 = action.number("NewLeaseDuration")?;
        let lease_s = if asked == 0 { 86_400 } else { asked };
        let wish = Wish { proto: key.0, internal, external_port: key.1, exact: true, lifetime_s: lease_s };
        router.map(&wish).map_err(|refusal| match refusal {
            Refusal::Taken | Refusal::Exhausted => Fault::CONFLICT,
            Refusal::Disabled => Fault::NOT_AUTHORIZED,
        })?;
        let description = action.text("NewPortMappingDescription").unwrap_or_default().to_owned();
        self.mappings.insert(key, Described { internal, description, lease_s: asked });
        Ok(Vec::new())
    }

    fn delete(
        &mut self,
        action: &Action,
        client: Ipv4Addr,
        router: &mut dyn Router,
    ) -> Result<Vec<(&'static str, String)>, Fault> {
        let key = action.external()?;
        let found = self.mappings.get(&key).ok_or(Fault::NO_SUCH_ENTRY)?;
        if *found.internal.ip() != client {
            return Err(Fault::NOT_AUTHORIZED);
        }
        router.unmap(key.0, found.internal);
        self.mappings.remove(&key);
        Ok(Vec::new())
    }
}

fn entry(found: &Described) -> Vec<(&'static str, String)> {
    vec![
        ("NewInternalPort", found.internal.port().to_string()),
        ("NewInternalClient", found.internal.ip().to_string()),
        ("NewEnabled", "1".to_owned()),
        ("NewPortMappingDescription", found.description.clone()),
        ("NewLeaseDuration", found.lease_s.to_string()),
    ]
}

fn answer(status: &str, body: &str) -> Vec<u8> {
    let len = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/xml; charset=\"utf-8\"\r\nContent-Length: {len}\r\n\
         Server: longhaul UPnP/1.1\r\nConnection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

fn description() -> String {
    let device = |kind: &str, name: &str, inner: &str| {
        format!(
            "<device><deviceType>{kind}</deviceType><friendlyName>{name}</friendlyName>\
             <manufacturer>longhaul</manufacturer><modelName>simulated router</modelName><UDN>{UUID}</UDN>{inner}</device>"
        )
    };
    let service = format!(
        "<serviceList><service><serviceType>{SERVICE}</serviceType>\
         <serviceId>urn:upnp-org:serviceId:WANIPConn1</serviceId><SCPDURL>/service.xml</SCPDURL>\
         <controlURL>/control</controlURL><eventSubURL>/events</eventSubURL></service></serviceList>"
    );
    let list = |inner: String| format!("<deviceList>{inner}</deviceList>");
    let connection = device("urn:schemas-upnp-org:device:WANConnectionDevice:1", "WANConnectionDevice", &service);
    let wan = device("urn:schemas-upnp-org:device:WANDevice:1", "WANDevice", &list(connection));
    let root = device(DEVICE, "longhaul router", &list(wan));
    format!(
        "<?xml version=\"1.0\"?><root xmlns=\"urn:schemas-upnp-org:device-1-0\">\
         <specVersion><major>1</major><minor>0</minor></specVersion>{root}</root>"
    )
}

#[cfg(test)]
mod tests;
