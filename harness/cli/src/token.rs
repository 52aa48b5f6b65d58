//! `longhaul token`: who may hand results to a server, and say what alerts are.

use crate::args::TokenCommand;
use crate::error::CliError;
use crate::run::runtime;
use crate::{output, table};
use longhaul_dashboard::{Scope, token_hash, token_text};
use longhaul_record::Exit;
use longhaul_runner::{new_id, wall_ms};
use longhaul_store::{Store, Token};
use serde_json::json;
use std::fs::File;
use std::io::Read;

/// `longhaul token create|list|revoke`.
pub(crate) fn command(command: &TokenCommand) -> Result<Exit, CliError> {
    runtime()?.block_on(async {
        match command {
            TokenCommand::Create { name, scope, project, db } => {
                let store = db.open().await?;
                let made = create(&*store, name, scope, project.clone()).await;
                store.close().await;
                output::line(made?)
            }
            TokenCommand::List { json, db } => {
                let store = db.open_read_only().await?;
                let all = store.tokens().await;
                store.close().await;
                list(&all?, *json)
            }
            TokenCommand::Revoke { id, db } => {
                let store = db.open().await?;
                let revoked = revoke(&*store, id).await;
                store.close().await;
                output::line(revoked?)
            }
        }
    })?;
    Ok(Exit::Pass)
}

/// The token's text: it is shown once, and nowhere kept.
async fn create(store: &dyn Store, name: &str, scope: &[Scope], project: Option<String>) -> Result<String, CliError> {
    let mut random = [0; 32];
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut random))
        .map_err(|source| CliError::Environment { what: "cannot draw a random token", source })?;
    let text = token_text(random);
    let now = wall_ms();
    let token = Token {
        id: new_id(now),
        name: name.to_owned(),
        scope: Scope::join(scope),
        hash: token_hash(&text),
        project,
        created_ms: now,
        last_used_ms: None,
        revoked_ms: None,
    };
    store.put_token(&token).await.map_err(CliError::PutToken)?;
    output::note("Keep it: only its hash is in the database, so it is shown this once.");
    Ok(text)
}

fn list(all: &[Token], as_json: bool) -> Result<(), CliError> {
    if as_json {
        let one = |token: &Token| {
            json!({
                "id": token.id, "name": token.name, "scope": token.scope, "project": token.project,
                "created_ms": token.created_ms, "last_used_ms": token.last_used_ms, "revoked_ms": token.revoked_ms,
            })
        };
        return output::json(&json!({ "tokens": all.iter().map(one).collect::<Vec<_>>() }));
    }
    if all.is_empty() {
        return output::line("No tokens.");
    }
    let when = |ms: Option<i64>| {
        let at = ms.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
        at.map_or_else(|| "never".to_owned(), |at| at.strftime("%Y-%m-%d %H:%M UTC").to_string())
    };
    let row = |token: &Token| {
        let revoked = token.revoked_ms.map_or_else(|| "\u{2013}".to_owned(), |ms| when(Some(ms)));
        let project = token.project.clone().unwrap_or_else(|| "any".to_owned());
        [&token.id, &token.name, &token.scope, &project, &when(token.last_used_ms), &revoked]
            .map(|text| table::clean(text))
            .to_vec()
    };
    output::line(table::plain(&["Id", "Name", "Allows", "Project", "Last used", "Revoked"], all.iter().map(row)))
}

/// By its id, or the end of it.
async fn revoke(store: &dyn Store, id: &str) -> Result<String, CliError> {
    let all = store.tokens().await?;
    let found: Vec<&Token> = all.iter().filter(|token| token.id.ends_with(id)).collect();
    let [token] = found[..] else {
        return Err(CliError::UnknownToken { id: id.to_owned(), count: found.len() });
    };
    let now = store.revoke_token(&token.id, wall_ms()).await.map_err(CliError::PutToken)?;
    let words = if now { "is revoked: nobody can use it any more" } else { "was revoked before" };
    Ok(format!("{} ({}) {words}.", token.id, table::clean(&token.name)))
}
