//! The keys of a scenario's `[[host]]`: one way into the network, or several.

use crate::error::FileError;
use crate::files::Files;
use crate::link::LinkChoice;
use crate::region::Atlas;
use crate::roles::{Groups, Names};
use netsim_topology::{Host, Interface};
use schemars::JsonSchema;
use serde::Deserialize;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HostFile {
    name: String,
    count: Option<u32>,
    behind: Option<String>,
    /// Of several hosts also several, which they take in turn.
    region: Option<Names>,
    link: Option<LinkChoice>,
    #[serde(default)]
    interface: Vec<InterfaceFile>,
}

/// One of a host's interfaces; the file has them in order of preference.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct InterfaceFile {
    name: String,
    behind: Option<String>,
    region: Option<String>,
    #[serde(default)]
    link: LinkChoice,
    up: Option<bool>,
}

impl HostFile {
    /// The hosts it stands for: one, or as many as it counts. `key` is where it is written.
    pub(crate) fn resolve(
        &self,
        files: &Files,
        key: &str,
        groups: &mut Groups,
        atlas: &Atlas,
    ) -> Result<Vec<Host>, FileError> {
        let names = groups.members(&self.name, self.count, files, key)?;
        let of = names.len();
        let one = |(n, name): (usize, String)| self.member(name, (n, of), &Written { files, key, groups, atlas });
        names.into_iter().enumerate().map(one).collect()
    }

    /// Host number `place.0` of `place.1`.
    fn member(&self, name: String, place: (usize, usize), at: &Written) -> Result<Host, FileError> {
        let Written { files, key, .. } = at;
        if self.interface.is_empty() {
            let wire = LinkChoice::default();
            let link = self.link.as_ref().unwrap_or(&wire).at_first(files, &format!("{key}.link"))?;
            let region = self.region.as_ref().map(|Names(regions)| at.region(regions, place)).transpose()?;
            let (behind, region) = at.place(place, self.behind.as_ref(), region, key)?;
            let only = Interface { name: Interface::ONLY.into(), behind, region, link, up: true };
            return Ok(Host { name, interfaces: vec![only] });
        }
        let own = [self.behind.is_some(), self.region.is_some(), self.link.is_some()];
        for (name, is_set) in ["behind", "region", "link"].into_iter().zip(own) {
            if is_set {
                let message = format!("each [[host.interface]] has its own `{name}`; write it there");
                return Err(files.error(format!("{key}.{name}"), message));
            }
        }
        let interface = |(n, written): (usize, &InterfaceFile)| {
            let key = format!("{key}.interface[{n}]");
            let (behind, region) = at.place(place, written.behind.as_ref(), written.region.as_ref(), &key)?;
            let link = written.link.at_first(files, &format!("{key}.link"))?;
            Ok(Interface { name: written.name.clone(), behind, region, link, up: written.up.unwrap_or(true) })
        };
        let interfaces = self.interface.iter().enumerate().map(interface).collect::<Result<_, FileError>>()?;
        Ok(Host { name, interfaces })
    }
}

/// Where a table is written, and what its names mean there.
struct Written<'a> {
    files: &'a Files<'a>,
    key: &'a str,
    groups: &'a Groups,
    atlas: &'a Atlas<'a>,
}

impl Written<'_> {
    /// The region of a host: of several, they take turns.
    fn region<'b>(&self, regions: &'b [String], (n, of): (usize, usize)) -> Result<&'b String, FileError> {
        if regions.len() > of {
            let message = format!("names {} regions, and there are {of} of it; give it a `count`", regions.len());
            return Err(self.files.error(format!("{}.region", self.key), message));
        }
        let key = format!("{}.region", self.key);
        regions.get(n % regions.len().max(1)).ok_or_else(|| self.files.error(key, "names no region; remove it"))
    }

    /// What a place is behind, and its region.
    fn place(
        &self,
        place: (usize, usize),
        behind: Option<&String>,
        region: Option<&String>,
        key: &str,
    ) -> Result<(Option<String>, Option<String>), FileError> {
        region.map(|name| self.atlas.check(name, &format!("{key}.region"))).transpose()?;
        Ok((self.groups.behind(behind, place, self.files, key)?, region.cloned()))
    }
}
