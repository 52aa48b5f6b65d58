//! Mistakes of the user: exit code 2, one line that names the place and the fix, and nothing written.

use super::files::{GOOD, scenario};
use super::ground::{DB, Ground};

/// What is replaced in a good scenario, by what, and what the message must say.
const SCENARIO_ROWS: &[(&str, &str, &[&str])] = &[
    ("delay = ", "dealy = ", &["my.toml: `host[1].link.dealy`", "did you mean `delay`?"]),
    ("\"2ms\"", "\"2 parsec\"", &["my.toml: `host[1].link.delay`", "unknown unit", "ns, us, ms, s, min"]),
    ("\"2ms\"", "\"-5ms\"", &["my.toml: `host[1].link.delay`", "is negative", "write for example \"40ms\""]),
    ("delay = \"2ms\"", "loss = \"120%\"", &["my.toml: `host[1].link.loss`", "more than everything", "0% to 100%"]),
    ("link =", "behind = \"hoem\"\nlink =", &["my.toml: host `bob` is behind `hoem`", "no router of that name"]),
    ("[\"bob\"]", "[\"bop\"]", &["my.toml: `roles.fetcher`", "no host is named `bop`", "did you mean `bob`?"]),
    ("[roles]", "[roles", &["my.toml: line 15", "not valid TOML"]),
    ("schema = 1", "schema = 7", &["my.toml: `schema`", "it reads 1"]),
];

pub(crate) fn mistakes_in_files_are_named() {
    let ground = Ground::new();
    let subject = ground.file("good.toml", &GOOD.text());
    for (good, bad, expect) in SCENARIO_ROWS {
        let text = scenario("mistaken");
        assert!(text.contains(good), "{good}");
        let file = ground.file("my.toml", &text.replacen(good, bad, 1));
        ground.longhaul(&["run", file, "--subject", subject, "--db", DB]).refused(2, expect);
        ground.longhaul(&["scenario", "check", file]).refused(2, expect);
        ground.longhaul(&["lab", "exec", file, "bob", "--", "true"]).refused(2, expect);
    }
    let file = ground.file("my.toml", &scenario("right"));
    for (good, bad, expect) in [
        ("events = true", "", &["broken.toml: `provider.ready`", "missing; write"][..]),
        ("{payload.path}", "{payload.pth}", &["broken.toml: `fetcher.command`", "{payload.pth}", "{payload.path}"]),
    ] {
        let subject = ground.file("broken.toml", &GOOD.text().replacen(good, bad, 1));
        ground.longhaul(&["run", file, "--subject", subject, "--db", DB]).refused(2, expect);
    }
    assert!(!ground.path(DB).exists(), "a mistake leaves no database");
}

pub(crate) fn unknown_names_are_named() {
    let ground = Ground::new();
    ground.file("console.txt", "no row was tried\n");
    for (arguments, expect) in [
        (&["run", "latency-21ms", "--db", DB][..], &["`latency-21ms`", "longhaul scenario list"][..]),
        (&["run", "missing.toml", "--db", DB], &["cannot read missing.toml", "No such file"]),
        (&["run", ".", "--db", DB], &["cannot read .", "directory"]),
        (&["run", "local", "--subject", "wget", "--db", DB], &["`wget`", "reference, curl"]),
        (&["run", "local", "--subject", "wget.toml", "--db", DB], &["cannot read wget.toml", "No such file"]),
        (&["quickstart", "--subject", "wget", "--db", DB], &["`wget`", "reference, curl"]),
        (&["scenario", "show", "locla"], &["`locla`", "longhaul scenario list"]),
        (&["scenario", "check", "missing.toml"], &["cannot read missing.toml"]),
        (&["lab", "show", "locla"], &["`locla`"]),
        (&["lab", "conformance", "--markdown", "--add", "no.json"], &["cannot read no.json", "No such file"]),
        (&["lab", "conformance", "--markdown", "--add", "console.txt"], &["console.txt", "lab conformance --json"]),
        (&["lab", "exec", "dsl", "nobody", "--", "true"], &["`dsl` has no host `nobody`", "alice, bob"]),
    ] {
        ground.longhaul(arguments).refused(2, expect);
    }
    assert!(!ground.path(DB).exists(), "a mistake leaves no database");
    for arguments in [&["fly"][..], &["run"], &["run", "local", "--seed", "-1"], &["serve", "--listen", "here"]] {
        let ended = ground.longhaul(arguments);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{ended:?}");
        assert!(ended.stderr.contains("--help"), "{ended:?}");
    }
}
