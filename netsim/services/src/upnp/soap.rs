//! SOAP 1.1, as far as UPnP needs it.

use super::SERVICE;
use netsim_fabric::Proto;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::str::FromStr;

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Action {
    pub(super) name: String,
    arguments: BTreeMap<String, String>,
}

/// Why it is not done (UPnP Device Architecture 1.1, section 3.2.2; WANIPConnection:1, section 2.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault(u16, &'static str);

impl Fault {
    pub(super) const INVALID_ACTION: Fault = Fault(401, "Invalid Action");
    const INVALID_ARGS: Fault = Fault(402, "Invalid Args");
    pub(super) const NOT_AUTHORIZED: Fault = Fault(606, "Action not authorized");
    pub(super) const BAD_INDEX: Fault = Fault(713, "SpecifiedArrayIndexInvalid");
    pub(super) const NO_SUCH_ENTRY: Fault = Fault(714, "NoSuchEntryInArray");
    pub(super) const CONFLICT: Fault = Fault(718, "ConflictInMappingEntry");
}

impl Action {
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.arguments.get(name).map(String::as_str)
    }

    pub(super) fn number<T: FromStr>(&self, name: &str) -> Result<T, Fault> {
        self.text(name).and_then(|text| text.trim().parse().ok()).ok_or(Fault::INVALID_ARGS)
    }

    /// Protocol and external port: what names a mapping.
    pub(super) fn external(&self) -> Result<(Proto, u16), Fault> {
        let proto = match self.text("NewProtocol").unwrap_or_default().to_ascii_uppercase().as_str() {
            "TCP" => Proto::Tcp,
            "UDP" => Proto::Udp,
            _ => return Err(Fault::INVALID_ARGS),
        };
        Ok((proto, self.number("NewExternalPort")?))
    }
}

pub(super) fn protocol(proto: Proto) -> &'static str {
    if proto == Proto::Tcp { "TCP" } else { "UDP" }
}

/// The action in an envelope.
pub(super) fn read(body: &[u8]) -> Result<Action, Fault> {
    let text = std::str::from_utf8(body).map_err(|_| Fault::INVALID_ACTION)?;
    let document = roxmltree::Document::parse(text).map_err(|_| Fault::INVALID_ACTION)?;
    let body = document.root_element().children().find(|node| node.tag_name().name() == "Body");
    let action = body.and_then(|body| body.first_element_child()).ok_or(Fault::INVALID_ACTION)?;
    if action.tag_name().namespace() != Some(SERVICE) {
        return Err(Fault::INVALID_ACTION);
    }
    let argument =
        |node: roxmltree::Node<'_, '_>| (node.tag_name().name().to_owned(), node.text().unwrap_or_default().to_owned());
    let arguments = action.children().filter(roxmltree::Node::is_element).map(argument).collect();
    Ok(Action { name: action.tag_name().name().to_owned(), arguments })
}

pub(super) fn response(action: &str, results: &[(&'static str, String)]) -> String {
    let mut inner = String::new();
    for (name, value) in results {
        // Writing to a string cannot fail.
        let _ = write!(inner, "<{name}>{}</{name}>", escape(value));
    }
    envelope(&format!("<u:{action}Response xmlns:u=\"{SERVICE}\">{inner}</u:{action}Response>"))
}

pub(super) fn fault(Fault(code, words): Fault) -> String {
    envelope(&format!(
        "<s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail>\
         <UPnPError xmlns=\"urn:schemas-upnp-org:control-1-0\"><errorCode>{code}</errorCode>\
         <errorDescription>{words}</errorDescription></UPnPError></detail></s:Fault>"
    ))
}

fn envelope(body: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?><s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" \
         s:encodingStyle=\"http://schemas.xmlsoap.org/soap/encoding/\"><s:Body>{body}</s:Body></s:Envelope>"
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The actions and their arguments, which some clients read before they call (UPnP Device Architecture 1.1, section
/// 2.5).
pub(super) const SERVICE_DESCRIPTION: &str = include_str!("service.xml");
