//! Tokens.

use crate::Fault;
use crate::statement::{Columns, Session, Statement, Value};
use longhaul_store::{Inserted, Token};

/// Writes a token that is not there yet, in a writing transaction.
pub async fn put_token<S: Session>(db: &mut S, token: &Token) -> Result<Inserted, sqlx::Error> {
    let row: [Value; 8] = [
        token.id.as_str().into(),
        token.name.as_str().into(),
        token.scope.as_str().into(),
        token.hash[..].into(),
        token.project.as_deref().into(),
        token.created_ms.into(),
        token.last_used_ms.into(),
        token.revoked_ms.into(),
    ];
    let sql = Statement::new(
        "INSERT INTO tokens (uuid, name, scope, hash, project, created_ms, last_used_ms, revoked_ms) VALUES ",
    );
    let written = db.change(sql.rows(&[row]).push(" ON CONFLICT (uuid) DO NOTHING")).await?;
    Ok(if written == 0 { Inserted::Known } else { Inserted::New })
}

/// All tokens, the newest first.
pub async fn tokens<S: Session>(db: &mut S) -> Result<Vec<Token>, Fault> {
    let sql = Statement::new("SELECT * FROM tokens ORDER BY created_ms DESC, id DESC");
    Ok(db.rows(sql).await?.iter().map(view).collect::<Result<_, _>>()?)
}

/// The token with this hash that was not revoked.
pub async fn token<S: Session>(db: &mut S, hash: &[u8; 32]) -> Result<Option<Token>, Fault> {
    let sql = Statement::new("SELECT * FROM tokens WHERE revoked_ms IS NULL AND hash = ").bind(&hash[..]);
    Ok(db.rows(sql).await?.first().map(view).transpose()?)
}

/// Remembers when a token was used last, in a writing transaction.
pub async fn touch_token<S: Session>(db: &mut S, id: &str, used_ms: i64) -> Result<(), sqlx::Error> {
    let sql = Statement::new("UPDATE tokens SET last_used_ms = ").bind(used_ms).push(" WHERE uuid = ").bind(id);
    db.change(sql.push(" AND coalesce(last_used_ms, 0) < ").bind(used_ms)).await?;
    Ok(())
}

/// Ends a token, in a writing transaction.
pub async fn revoke_token<S: Session>(db: &mut S, id: &str, revoked_ms: i64) -> Result<bool, sqlx::Error> {
    let sql = Statement::new("UPDATE tokens SET revoked_ms = ").bind(revoked_ms).push(" WHERE uuid = ").bind(id);
    Ok(db.change(sql.push(" AND revoked_ms IS NULL")).await? > 0)
}

fn view(row: &impl Columns) -> Result<Token, sqlx::Error> {
    let hash = row.bytes("hash")?.try_into();
    Ok(Token {
        id: row.text("uuid")?,
        name: row.text("name")?,
        scope: row.text("scope")?,
        hash: hash.map_err(|_| crate::statement::damaged("hash", "not 32 bytes"))?,
        project: row.maybe_text("project")?,
        created_ms: row.integer("created_ms")?,
        last_used_ms: row.maybe_integer("last_used_ms")?,
        revoked_ms: row.maybe_integer("revoked_ms")?,
    })
}
