//! The document says what there is, and all of it.

use super::{HOST, PROJECT, Server};
use axum::body::Body;
use axum::http::{Method, Request};
use longhaul_dashboard::openapi;
use longhaul_store::{RunFilter, Store};
use serde_json::Value;
use std::collections::BTreeSet;

fn document() -> Value {
    serde_json::from_str(&openapi()).unwrap()
}

/// Everything in the document is there, and nothing else is: other methods of its addresses answer 405.
#[tokio::test]
async fn every_operation_is_there_and_no_other() {
    let server = Server::new().await;
    let run = server.store.runs(&RunFilter::default()).await.unwrap().remove(0);
    let comparison = server.get("/comparisons").await.json()[0]["id"].as_str().unwrap().to_owned();
    let document = document();
    let mut walked = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        let id = match path.as_str() {
            path if path.contains("/runs/") => run.id.clone(),
            path if path.contains("/comparisons/") => comparison.clone(),
            _ => "01940000-0000-7000-8000-000000000001".into(),
        };
        let mut address = path.replace("{id}", &id).replace("{sha}", run.commit.as_ref().unwrap());
        if path.contains("{sha}") {
            address += &format!("?project={PROJECT}&host={HOST}");
        }
        if path.ends_with("/series") {
            address += &format!("?scenario={}", run.scenario);
        }
        for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            let listed = operations.get(method.as_str().to_ascii_lowercase()).is_some();
            let request = Request::builder().method(&method).uri(&address).body(Body::empty()).unwrap();
            let status = server.ask(request).await.status.as_u16();
            let expect = match (listed, &method) {
                (true, &Method::GET) => 200,
                // There, and for whoever has a token.
                (true, _) => 401,
                (false, _) => 405,
            };
            assert_eq!(status, expect, "{method} {address}");
            walked += usize::from(listed);
        }
    }
    assert_eq!(walked, 15);
}

/// Every reference leads somewhere, every name is there once, and parameters are those that requests may have.
#[tokio::test]
async fn the_document_holds_together() {
    let document = document();
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(references.len() > 50);
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
    let mut ids = BTreeSet::new();
    let server = Server::new().await;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for operation in operations.as_object().unwrap().values() {
            assert!(ids.insert(operation["operationId"].to_string()), "{operation}");
            for parameter in operation["parameters"].as_array().unwrap() {
                let (name, place) = (parameter["name"].as_str().unwrap(), parameter["in"].as_str().unwrap());
                assert!(place == "query" || path.contains(&format!("{{{name}}}")), "{path} {parameter}");
                let Some(most) = parameter["schema"]["maximum"].as_u64().filter(|most| *most <= 5_000) else {
                    continue;
                };
                let rest = path.strip_prefix("/api/v1").unwrap();
                let also = if rest == "/series" { "scenario=x&" } else { "" };
                let ok = server.get(&format!("{rest}?{also}{name}={most}")).await;
                assert_eq!(ok.status.as_u16(), 200, "{path} {name}");
                server.get(&format!("{rest}?{also}{name}={}", most + 1)).await.error(400);
            }
        }
    }
    let limit = &document["paths"]["/api/v1/runs"]["get"]["parameters"];
    let limit = limit.as_array().unwrap().iter().find(|one| one["name"] == "limit").unwrap();
    assert_eq!((limit["schema"]["maximum"].as_u64(), limit["schema"]["default"].as_u64()), (Some(1000), Some(100)));
}

fn collect(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            references.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|value| collect(value, references));
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, references)),
        _ => {}
    }
}

#[tokio::test]
async fn the_server_hands_its_document_out() {
    assert_eq!(Server::new().await.get("/openapi.json").await.json(), document());
}

/// `INSTA_UPDATE=always cargo test -p longhaul-dashboard --test api` writes it anew; read the difference.
#[test]
fn the_committed_document_is_the_servers() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");
    if std::env::var("INSTA_UPDATE").is_ok_and(|mode| mode == "always") {
        std::fs::write(path, openapi() + "\n").unwrap();
    }
    let committed: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert!(
        committed == document(),
        "docs/openapi.json is of another interface; set INSTA_UPDATE=always to write it anew"
    );
}
