//! What other programs show or read: badges, a feed of what got worse, the newest values.

use super::pages::{Part, alerts_here, part};
use super::{Answer, App, Failure, unreadable};
use crate::chart::{Mood, badge};
use crate::page::{Frame, Problem, feed};
use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use longhaul_interop::openmetrics;
use longhaul_record::{metric, text};
use longhaul_store::{OverviewQuery, SeriesQuery};
use serde::Deserialize;

/// These, by address.
pub(super) fn routes() -> Router<App> {
    Router::new().route("/badge/{*name}", get(badge_svg)).route("/feed.atom", get(atom)).route("/metrics", get(metrics))
}

/// Which of several series a badge is of.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Which {
    subject: Option<String>,
    peer: Option<String>,
}

/// `/badge/SCENARIO/METRIC.svg?subject=S`: the newest median, in the colour of what is known of it.
async fn badge_svg(State(app): State<App>, frame: Frame, name: Part, Query(which): Query<Which>) -> Answer {
    let name = part(&frame, name)?;
    let Some((scenario, id)) = name.strip_suffix(".svg").and_then(|name| name.rsplit_once('/')) else {
        return Err(Failure::new(frame, Problem::NoPage));
    };
    let query = SeriesQuery {
        scenario: scenario.to_owned(),
        project: frame.project(),
        host: frame.host(),
        subject: which.subject.clone(),
        metric: Some(id.to_owned()),
        // The newest commits may have failed runs alone.
        commits: 50,
        values: false,
        ..SeriesQuery::default()
    };
    let set = app.store.series(&query).await.map_err(|error| unreadable(&error))?;
    let mut series: Vec<_> = set.series.iter().filter(|series| series.peer == which.peer).collect();
    // Unless one is named: the one that is measured here, not what it is measured against.
    series.sort_by_key(|series| series.subject == crate::page::BASELINE);
    let label = format!("{scenario} {}", text::metric_name(id, which.peer.as_deref()).to_lowercase());
    let svg = match series.first().and_then(|series| Some((series, series.points.last()?))) {
        Some((series, newest)) => {
            let alerts = alerts_here(&app, &frame).await?;
            let worse = alerts.iter().any(|alert| {
                alert.state.is_open() && alert.series.scenario == scenario && alert.series.subject == series.subject
            });
            let value =
                metric(id).map_or_else(|| text::digits(newest.median), |metric| metric.unit.text(newest.median));
            badge(&label, &value, if worse { Mood::Bad } else { Mood::Good })
        }
        None => badge(&label, "not measured", Mood::Neutral),
    };
    // A file of its own: no stylesheet of ours is around it.
    Ok((StatusCode::OK, [(header::CONTENT_TYPE, "image/svg+xml")], svg).into_response())
}

/// Alerts as an Atom feed (RFC 4287), the newest first.
async fn atom(State(app): State<App>, frame: Frame, headers: HeaderMap) -> Answer {
    let alerts = alerts_here(&app, &frame).await?;
    // What the reader asked for is where it finds us again, whatever stands between.
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    let body = feed(&frame, &alerts, host);
    Ok((StatusCode::OK, [(header::CONTENT_TYPE, "application/atom+xml; charset=utf-8")], body).into_response())
}

/// The newest median of every series, for Prometheus and what understands it.
async fn metrics(State(app): State<App>, frame: Frame) -> Answer {
    let query = OverviewQuery { project: frame.project(), host: frame.host(), metrics: Vec::new(), recent: 0 };
    let rows = app.store.overview(&query).await.map_err(|error| unreadable(&error))?;
    let mut scenarios: Vec<String> = rows.into_iter().map(|row| row.scenario).collect();
    scenarios.dedup();
    let mut values = Vec::new();
    for scenario in scenarios {
        let query = SeriesQuery {
            scenario: scenario.clone(),
            project: frame.project(),
            host: frame.host(),
            commits: 50,
            values: false,
            ..SeriesQuery::default()
        };
        let set = app.store.series(&query).await.map_err(|error| unreadable(&error))?;
        values.extend(openmetrics::newest(&scenario, &set, None));
    }
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok((StatusCode::OK, [(header::CONTENT_TYPE, kind)], openmetrics::document(&values)).into_response())
}
