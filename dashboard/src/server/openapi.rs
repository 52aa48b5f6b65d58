//! The interface's document (OpenAPI 3.1), made from the table of its operations and the types that they take and give.

use super::api::{Operation, Parameters, ROOT, operations};
use super::{Limits, refused};
use axum::http::Method;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

/// A type's schema, by reference.
pub(super) type Shape = fn(&mut SchemaGenerator) -> Schema;

/// A parameter as the document has it.
pub(super) type Parameter = Value;

/// The schema of `T`.
pub(super) fn shape<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// One `T`, or an array of them.
pub(super) fn body<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    let one = generator.subschema_for::<T>();
    json_schema!({ "oneOf": [one.clone(), { "type": "array", "items": one }] })
}

/// The parameters of a query, with their maximum.
pub(super) fn parameters<Q: Parameters>(generator: &mut SchemaGenerator) -> Vec<Parameter> {
    let schema = Q::json_schema(generator).to_value();
    let needed = |name: &str| {
        let listed = schema["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name));
        listed || Q::NEEDED.contains(&name)
    };
    let Some(properties) = schema["properties"].as_object() else { return Vec::new() };
    let one = |(name, property): (&String, &Value)| {
        let mut property = present(property);
        let description = property.remove("description");
        if let Some((_, most)) = Q::MOST.filter(|(bounded, _)| bounded == name) {
            property.insert("maximum".to_owned(), most.into());
        }
        if needed(name) {
            property.remove("default");
        }
        json!({ "name": name, "in": "query", "required": needed(name), "description": description, "schema": property })
    };
    properties.iter().map(one).collect()
}

/// What is absent is not written in an address: there is no null.
fn present(property: &Value) -> Map<String, Value> {
    let mut fields = property.as_object().cloned().unwrap_or_default();
    if let Some(Value::Array(shapes)) = fields.get_mut("anyOf") {
        shapes.retain(|shape| shape["type"] != "null");
    }
    if let Some(Value::Array(kinds)) = fields.get("type") {
        let kind = kinds.iter().find(|kind| **kind != "null").cloned().unwrap_or_default();
        fields.insert("type".to_owned(), kind);
    }
    if fields.get("default") == Some(&Value::Null) {
        fields.remove("default");
    }
    fields
}

/// The document as text, without a line feed at its end.
pub fn document() -> String {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.meta_schema = None;
        settings.definitions_path = "/components/schemas".into();
    });
    let mut generator = settings.into_generator();
    let mut paths = Map::new();
    for one in operations() {
        let path = paths.entry(format!("{ROOT}{}", one.path)).or_insert_with(|| json!({}));
        path[one.method.as_str().to_ascii_lowercase()] = operation(&one, &mut generator);
    }
    let error = generator.subschema_for::<refused::Error>();
    let schemas = generator.take_definitions(true);
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "longhaul",
            "version": "1",
            "description": words(&Limits::default()),
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": { "Refused": { "description": "What is wrong.", "content": { "application/json": { "schema": error } } } },
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer", "description": "Made by `longhaul token create`." },
            },
        },
    });
    plain(&mut document);
    format!("{document:#}")
}

fn words(limits: &Limits) -> String {
    format!(
        "What a longhaul server has measured, and how results are handed over to it. Fields may be added; none changes its \
         meaning or goes. Times are milliseconds since 1970 unless they say otherwise. Whatever goes wrong is said as \
         `{{\"error\": …}}`. Answers are compressed for who accepts gzip. Results are taken by a server that was started with \
         `--accept`: at most {} MiB and {} records in a request, sent within {} s; {} such requests at once; of each token \
         {} without a pause, then one every {} ms. Who comes too often is told in `Retry-After` when to come again.",
        limits.body_bytes >> 20,
        limits.records,
        limits.sending.as_secs(),
        limits.at_once,
        limits.burst,
        limits.refill.as_millis(),
    )
}

fn operation(one: &Operation, generator: &mut SchemaGenerator) -> Value {
    let answer = (one.answer)(generator);
    let mut responses = Map::new();
    let answered = json!({ "description": "As asked.", "content": { "application/json": { "schema": answer } } });
    responses.insert("200".to_owned(), answered);
    for (status, when) in REFUSALS {
        let applies = match when {
            When::Always => true,
            When::Named => one.path.contains('{'),
            When::Sent => one.sent.is_some(),
        };
        if applies {
            responses.insert((*status).to_owned(), json!({ "$ref": "#/components/responses/Refused" }));
        }
    }
    let mut parameters: Vec<Parameter> = named(one.path).collect();
    parameters.extend((one.query)(generator));
    let mut operation = json!({
        "operationId": id(&one.method, one.path),
        "summary": one.words,
        "parameters": parameters,
        "responses": responses,
    });
    if let Some(sent) = &one.sent {
        let schema = (sent.shape)(generator);
        let mut content = json!({ "application/json": { "schema": schema } });
        if sent.lines {
            let lines = json!({ "type": "string", "description": "A record in each line." });
            content["application/x-ndjson"] = json!({ "schema": lines });
        }
        operation["requestBody"] = json!({ "required": true, "content": content });
        operation["security"] = json!([{ "token": [sent.right.as_str()] }]);
    }
    operation
}

/// When a status is to be expected.
enum When {
    Always,
    Named,
    Sent,
}

const REFUSALS: &[(&str, When)] = &[
    ("400", When::Always),
    ("401", When::Sent),
    ("403", When::Sent),
    ("404", When::Named),
    ("405", When::Sent),
    ("408", When::Sent),
    ("413", When::Sent),
    ("415", When::Sent),
    ("429", When::Sent),
    ("503", When::Always),
];

/// The parts of an address that name something.
fn named(path: &str) -> impl Iterator<Item = Parameter> {
    let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    names.map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
}

/// `get_runs_id`.
fn id(method: &Method, path: &str) -> String {
    let words = path.split(['/', '.']).filter(|part| !part.is_empty()).map(|part| part.trim_matches(['{', '}']));
    words.fold(method.as_str().to_ascii_lowercase(), |id, word| format!("{id}_{word}"))
}

/// Takes the links of Rust's documentation out of descriptions: they lead nowhere here.
fn plain(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if name == "description" => {
                        *text = text.replace("[`", "`").replace("`]", "`").replace("`crate::", "`");
                    }
                    other => plain(other),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(plain),
        _ => {}
    }
}
