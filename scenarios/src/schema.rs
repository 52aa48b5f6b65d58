//! JSON Schema of the files, so that editors complete keys and mark mistakes while they are written.
//!
//! Made from the types that the files are read into. Types that read several shapes say which beside themselves, with
//! [`any_of`] and [`text`].

use crate::policy::PolicyFile;
use crate::scenario::ScenarioFile;
use crate::subject::SubjectFile;
use netsim_topology::{LINK_PRESETS, NAT_PRESETS};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};
use std::borrow::Cow;

/// The schema of scenario files.
pub fn scenario_schema() -> String {
    let mut schema = schemars::schema_for!(ScenarioFile);
    // What a file that extends another leaves out is in the other.
    schema.remove("required");
    let alone = ["schema", "name", "payload", "roles"];
    schema.insert("anyOf".to_owned(), json!([{ "required": ["name", "extend"] }, { "required": alone }]));
    if let Some(Value::Object(definitions)) = schema.get_mut("$defs") {
        for name in ["PayloadFile", "RolesFile"] {
            if let Some(Value::Object(definition)) = definitions.get_mut(name) {
                definition.remove("required");
            }
        }
    }
    finished(schema, "A longhaul scenario")
}

/// The schema of subject files.
pub fn subject_schema() -> String {
    finished(schemars::schema_for!(SubjectFile), "A longhaul subject")
}

/// The schema of policy files.
pub fn policy_schema() -> String {
    finished(schemars::schema_for!(PolicyFile), "A longhaul policy")
}

fn finished(mut schema: Schema, title: &str) -> String {
    schema.insert("title".to_owned(), title.into());
    format!("{:#}\n", schema.to_value())
}

/// A type that reads any of other types' shapes.
macro_rules! any_of {
    ($type:ty, $name:literal, $description:literal, [$($shape:ty),+ $(,)?]) => {
        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let shapes = [$(generator.subschema_for::<$shape>()),+];
                schemars::json_schema!({ "description": $description, "anyOf": shapes })
            }
        }
    };
}

/// A type that reads text of a certain form.
macro_rules! text {
    ($type:ty, $name:literal, $description:literal, $pattern:literal) => {
        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "description": $description, "type": "string", "pattern": $pattern })
            }
        }
    };
}

pub(crate) use {any_of, text};

/// The name of a kind of router.
pub(crate) struct NatName;

impl JsonSchema for NatName {
    fn schema_name() -> Cow<'static, str> {
        "NatName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        words(NAT_PRESETS.iter().map(|preset| (preset.name, preset.summary)))
    }
}

/// The name of a kind of link.
pub(crate) struct LinkPresetName;

impl JsonSchema for LinkPresetName {
    fn schema_name() -> Cow<'static, str> {
        "LinkPresetName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        words(LINK_PRESETS.iter().map(|preset| (preset.name, preset.summary)))
    }
}

fn words(words: impl Iterator<Item = (&'static str, &'static str)>) -> Schema {
    let each: Vec<Value> = words.map(|(word, meaning)| json!({ "const": word, "description": meaning })).collect();
    json_schema!({ "oneOf": each })
}

/// `"unlimited"`.
pub(crate) struct Unlimited;
text!(Unlimited, "Unlimited", "No limit", "^unlimited$");

/// `"none"`.
pub(crate) struct Nothing;
text!(Nothing, "Nothing", "Nothing at all", "^none$");
