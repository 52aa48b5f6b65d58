//! A first scenario file from a few answers.

use netsim_topology::{LINK_PRESETS, NAT_PRESETS};
use std::fmt::Write;

/// What `longhaul scenario new` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The scenario's name.
    pub name: String,
    /// One line for lists.
    pub summary: String,
    /// A link preset: how the fetcher is connected.
    pub link: String,
    /// A NAT preset in front of the fetcher, or `none`.
    pub nat: String,
    /// A NAT preset in front of the provider, or `none`.
    pub provider_nat: String,
    /// What is lost besides, as text with its unit, or `none`.
    pub loss: String,
    /// The payload's size as text with its unit.
    pub size: String,
    /// How many fetchers.
    pub fetchers: u32,
}

impl Default for Draft {
    fn default() -> Draft {
        let text = str::to_owned;
        Draft {
            name: text("my-scenario"),
            summary: text("A laptop behind an ordinary home router fetches from a server"),
            link: text("cable"),
            nat: text("home"),
            provider_nat: text("none"),
            loss: text("none"),
            size: text("16MiB"),
            fetchers: 1,
        }
    }
}

/// For an answer that is no preset.
const NONE: &str = "none";

impl Draft {
    /// The names of links, with what they are.
    pub fn links() -> impl Iterator<Item = (&'static str, &'static str)> {
        LINK_PRESETS.iter().map(|preset| (preset.name, preset.summary))
    }

    /// The names of routers, with what they are, and `none`.
    pub fn nats() -> impl Iterator<Item = (&'static str, &'static str)> {
        let none = (NONE, "directly on the internet");
        [none].into_iter().chain(NAT_PRESETS.iter().map(|preset| (preset.name, preset.summary)))
    }

    /// The file, with a comment beside everything that somebody may want to change.
    pub fn text(&self) -> String {
        let mut text = format!(
            "# Checked by `longhaul scenario check FILE`, run by `longhaul run FILE`.\n\
             schema  = 1\n\
             name    = {}\n\
             summary = {}\n\
             tags    = []                     # what it can be asked for by, beside its name\n",
            quoted(&self.name),
            quoted(&self.summary)
        );
        let loss = if self.loss == NONE { String::new() } else { format!(", loss = {}", quoted(&self.loss)) };
        let link = format!("{{ preset = {}{loss} }}", quoted(&self.link));
        // Writing to a string does not fail.
        if self.nat != NONE {
            let _ = write!(
                text,
                "\n# In front of the fetcher. `nat` may be a table in the terms of RFC 4787.\n\
                 [[router]]\nname   = \"home\"\nnat    = {}\nuplink = {link}\n",
                quoted(&self.nat)
            );
        }
        if self.provider_nat != NONE {
            let _ = write!(
                text,
                "\n# In front of the provider.\n[[router]]\nname   = \"office\"\nnat    = {}\nuplink = \"fibre\"\n",
                quoted(&self.provider_nat)
            );
        }
        let place = if self.provider_nat == NONE { "link   = \"fibre\"" } else { "behind = \"office\"" };
        let _ = write!(text, "\n[[host]]\nname   = \"alice\"\n{place}\n\n[[host]]\nname   = \"bob\"\n");
        if self.fetchers > 1 {
            let _ = writeln!(text, "count  = {}                      # bob-1, bob-2, …", self.fetchers);
        }
        text += &match self.nat.as_str() {
            NONE => format!("link   = {link}\n"),
            _ => "behind = \"home\"\nlink   = \"wifi-good\"\n".to_owned(),
        };
        let _ = write!(
            text,
            "\n[payload]\n\
             kind = \"random\"                  # or \"tree\", with paths = [\"/usr/include\"]\n\
             size = {}\n\
             \n[roles]\nprovider = [\"alice\"]\nfetcher  = [\"bob\"]\n\
             \n[measure]\n\
             repeat  = 1\n\
             timeout = \"60s\"                  # of one transfer\n\
             \n# What happens meanwhile, on the transfer's clock:\n\
             # [[at]]\n# time = \"2s\"\n# link = \"{}\"\n# set  = {{ state = \"down\" }}\n\
             \n# One scenario for each combination of values:\n\
             # [matrix]\n# loss = [\"0.1%\", \"1%\"]\n# size = [\"1MiB\", \"16MiB\"]\n",
            quoted(&self.size),
            match (self.nat.as_str(), self.fetchers) {
                (NONE, 1) => "bob.link",
                (NONE, _) => "bob-1.link",
                _ => "home.uplink",
            }
        );
        text
    }
}

/// Text as TOML has it.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}
