//! Alerts. They change, so each is a document of its own, with what lists ask for in columns.

use crate::Fault;
use crate::place::named;
use crate::statement::{Columns, Session, Statement, Value};
use longhaul_record::{Alert, AlertState};
use longhaul_store::{AlertFilter, InsertError};

/// Alerts with their documents, made before any lock is taken.
pub fn documents(alerts: &[Alert]) -> Result<Vec<(&Alert, String)>, InsertError> {
    let encoded = |alert: &Alert| {
        let id = || alert.id.clone();
        serde_json::to_string(alert).map_err(|source| InsertError::Encode { id: id(), source: source.into() })
    };
    alerts.iter().map(|alert| Ok((alert, encoded(alert)?))).collect()
}

/// Writes alerts with their documents, each in place of what was there under its id, in a writing transaction.
pub async fn put_alerts<S: Session>(db: &mut S, alerts: &[(&Alert, String)]) -> Result<(), sqlx::Error> {
    for (alert, document) in alerts {
        let row: [Value; 5] = [
            alert.id.as_str().into(),
            named(db, "INSERT INTO projects (name) VALUES (", &alert.series.project).await?.into(),
            alert.state.as_str().into(),
            alert.history.first().map_or(0, |event| event.at_ms).into(),
            document.as_str().into(),
        ];
        let sql = Statement::new("INSERT INTO alerts (uuid, project_id, state, found_ms, document) VALUES ");
        let sql = sql.rows(&[row]).push(
            " ON CONFLICT (uuid) DO UPDATE SET project_id = excluded.project_id, state = excluded.state,
                 found_ms = excluded.found_ms, document = excluded.document",
        );
        db.change(sql).await?;
    }
    Ok(())
}

/// Alerts that match, the one found last first.
pub async fn alerts<S: Session>(db: &mut S, filter: &AlertFilter) -> Result<Vec<Alert>, Fault> {
    let sql = Statement::new(
        "SELECT alerts.uuid, alerts.document FROM alerts JOIN projects ON projects.id = alerts.project_id WHERE true",
    )
    .narrow("projects.name", filter.project.as_deref())
    .narrow("alerts.state", filter.state.map(AlertState::as_str))
    .push(" ORDER BY alerts.found_ms DESC, alerts.id DESC LIMIT ")
    .bind(filter.limit);
    let alert = |row: &S::Row| {
        let document = row.text("document")?;
        let id = row.text("uuid")?;
        serde_json::from_str(&document).map_err(|source| Fault::Damaged { id, source: source.into() })
    };
    db.rows(sql).await?.iter().map(alert).collect()
}
