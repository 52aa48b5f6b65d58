//! What editors are told about files, and files that are made for somebody.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use longhaul_scenarios::{Draft, Scenario, policy_schema, scenario_schema, subject_schema};
use serde_json::Value;

/// Editors find them in the repository.
#[test]
fn the_schemas_in_the_repository_are_current() {
    for (kind, written, now) in [
        ("scenario", include_str!("../schema/scenario.json"), scenario_schema()),
        ("subject", include_str!("../schema/subject.json"), subject_schema()),
        ("policy", include_str!("../schema/policy.json"), policy_schema()),
    ] {
        let command = if kind == "policy" { "gate --schema".to_owned() } else { format!("{kind} schema") };
        let hint = format!("write it anew: longhaul {command} >scenarios/schema/{kind}.json");
        assert!(written == now, "{hint}");
    }
}

/// Every key that the reader knows, an editor knows; the rest is marked.
#[test]
fn the_schema_knows_the_keys_that_the_reader_knows() {
    let schema: Value = serde_json::from_str(&scenario_schema()).unwrap();
    let error = Scenario::parse("x", "no-such-key = 1").unwrap_err().to_string();
    let known: Vec<&str> = error.split('`').skip(1).step_by(2).filter(|word| !word.contains("no-such")).collect();
    assert!(known.contains(&"matrix") && known.contains(&"extend"), "{error}");
    for key in known {
        assert!(schema["properties"].get(key).is_some(), "{key}");
    }
    assert_eq!(schema["additionalProperties"], false);
    let text = schema.to_string();
    for word in ["port-restricted", "satellite-leo", "endpoint-independent", "gilbert-elliott", "lte-moving", "relayed"]
    {
        assert!(text.contains(&format!("\"{word}\"")), "{word}");
    }
}

#[test]
fn every_draft_is_a_good_file() {
    let base = Draft::default();
    let links = Draft::links().map(|(link, _)| Draft { link: link.into(), ..base.clone() });
    let nats = Draft::nats().map(|(nat, _)| Draft { nat: nat.into(), ..base.clone() });
    let others = Draft::nats().map(|(nat, _)| Draft { provider_nat: nat.into(), nat: "none".into(), ..base.clone() });
    let crowd = Draft { fetchers: 3, loss: "1%".into(), summary: "\"quoted\"\nand more".into(), ..base.clone() };
    for draft in links.chain(nats).chain(others).chain([crowd.clone()]) {
        let text = draft.text();
        let parsed = Scenario::parse("x", &text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!((&parsed.name, &parsed.summary), (&draft.name, &draft.summary));
        // What stands there as a comment is as good. Traces of mobile links take a while to make.
        if draft.link != base.link {
            continue;
        }
        let comments = ["# [[at]]", "# time", "# link", "# set", "# [matrix]", "# loss", "# size"];
        let uncommented = text.lines().map(|line| match comments.iter().any(|start| line.starts_with(start)) {
            true => &line[2..],
            false => line,
        });
        let none = |_: &str| Err(std::io::ErrorKind::NotFound.into());
        let text: String = uncommented.collect::<Vec<_>>().join("\n");
        let all = Scenario::expand("x", &text, &none).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(all.len(), 4);
    }
    assert_eq!(Scenario::parse("x", &crowd.text()).unwrap().roles.fetchers, ["bob-1", "bob-2", "bob-3"]);
}
