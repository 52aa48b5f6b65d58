//! The keys of a scenario's `[[host]]`: one way into the network, or several.

use crate::error::FileError;
use crate::files::Files;
use crate::link::LinkChoice;
use netsim_topology::{Host, Interface};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HostFile {
    name: String,
    behind: Option<String>,
    link: Option<LinkChoice>,
    #[serde(default)]
    interface: Vec<InterfaceFile>,
}

/// One of a host's interfaces; the file has them in order of preference.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct InterfaceFile {
    name: String,
    behind: Option<String>,
    #[serde(default)]
    link: LinkChoice,
    up: Option<bool>,
}

impl HostFile {
    /// `key` is where it is written.
    pub(crate) fn resolve(&self, files: &Files, key: &str) -> Result<Host, FileError> {
        if self.interface.is_empty() {
            let wire = LinkChoice::default();
            let link = self.link.as_ref().unwrap_or(&wire).at_first(files, &format!("{key}.link"))?;
            return Ok(Host::new(&self.name, self.behind.as_deref(), link));
        }
        for (name, is_set) in [("behind", self.behind.is_some()), ("link", self.link.is_some())] {
            if is_set {
                let message = format!("each [[host.interface]] has its own `{name}`; write it there");
                return Err(files.error(format!("{key}.{name}"), message));
            }
        }
        let interface = |(n, written): (usize, &InterfaceFile)| {
            Ok(Interface {
                name: written.name.clone(),
                behind: written.behind.clone(),
                link: written.link.at_first(files, &format!("{key}.interface[{n}].link"))?,
                up: written.up.unwrap_or(true),
            })
        };
        let interfaces = self.interface.iter().enumerate().map(interface).collect::<Result<_, FileError>>()?;
        Ok(Host { name: self.name.clone(), interfaces })
    }
}
