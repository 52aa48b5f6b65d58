//! An alert over invented data.

use longhaul_record::{Alert, AlertKind, AlertState, CommitRange, SYNTHETIC_HOST, SeriesName};
use longhaul_store::{ReadError, SeriesQuery, Store};
use longhaul_synthetic::{PROJECT, Plan};

/// The alert's id.
pub(crate) const ALERT: &str = "01a20140-adbd-7661-9bef-a0ccc7ac7767";

/// A confirmed alert: transfers with 1 % loss take longer since the last commit but one.
pub(crate) async fn alert(store: &dyn Store, plan: &Plan) -> Result<Alert, ReadError> {
    let query = SeriesQuery { scenario: "lossy/1pct".into(), ..SeriesQuery::default() };
    let set = store.series(&query).await?;
    let newest = set.commits.len() - 1;
    let sha = |n: usize| set.commits[n].sha.clone().unwrap_or_default();
    let mut alert = Alert {
        id: ALERT.into(),
        series: SeriesName {
            project: PROJECT.into(),
            host: SYNTHETIC_HOST.into(),
            scenario: "lossy/1pct".into(),
            scenario_hash: set.series[0].points[0].scenario_hash.clone(),
            subject: "driftwood".into(),
            metric: "transfer_time".into(),
            peer: None,
        },
        kind: AlertKind::Step,
        range: CommitRange { last_before: sha(newest - 2), first_after: sha(newest - 1) },
        before: 1.81,
        after: 2.05,
        shift: Some(0.134),
        p: 0.000_01,
        state: AlertState::New,
        fixed: None,
        history: Vec::new(),
    };
    alert.become_state(AlertState::Confirmed, plan.until_ms, "");
    Ok(alert)
}
