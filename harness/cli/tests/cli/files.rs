//! Scenario and subject files for tests: as small as they can be.

/// Two hosts with a link of a few milliseconds, 64 KiB to send, and one second to do it.
pub(crate) fn scenario(name: &str) -> String {
    SCENARIO.replace("NAME", name)
}

const SCENARIO: &str = r#"schema = 1
name = "NAME"

[[host]]
name = "alice"

[[host]]
name = "bob"
link = { delay = "2ms" }

[payload]
kind = "random"
size = "64KiB"

[roles]
provider = ["alice"]
fetcher = ["bob"]

[measure]
timeout = "1s"
"#;

/// A subject of two shell scripts.
#[derive(Clone)]
pub(crate) struct Scripts<'a> {
    pub(crate) name: &'a str,
    pub(crate) provider: &'a str,
    /// How the runner learns that the provider is ready, as it stands in the file.
    pub(crate) ready: &'a str,
    pub(crate) fetcher: &'a str,
    /// Whether the fetcher promises to speak the subject protocol.
    pub(crate) events: bool,
}

/// Says it is ready, then waits to be stopped.
pub(crate) const READY: &str = r#"echo '{"event":"ready"}'; exec sleep 1000"#;
/// Gets the payload without any network.
pub(crate) const COPY: &str = "cp {payload.path} {out}/{payload.name}";

/// A provider that does what it should, and a fetcher that copies.
pub(crate) const GOOD: Scripts<'static> =
    Scripts { name: "good", provider: READY, ready: "events = true", fetcher: COPY, events: false };

impl Scripts<'_> {
    /// The subject file.
    pub(crate) fn text(&self) -> String {
        let Scripts { name, provider, ready, fetcher, events } = self;
        format!(
            "schema = 1\nname = \"{name}\"\n[provider]\ncommand = [\"sh\", \"-c\", '''{provider}''']\n{ready}\n\
             [fetcher]\ncommand = [\"sh\", \"-c\", '''{fetcher}''']\nevents = {events}\n"
        )
    }
}
