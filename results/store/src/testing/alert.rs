//! Invented alerts.

use super::sample;
use longhaul_record::{Alert, AlertKind, AlertState, CommitRange, SeriesName};

/// One of them, each found a day after the one before.
pub fn alert(number: u32) -> Alert {
    let series = SeriesName {
        project: "longhaul".into(),
        host: "7f3a9c51e0d24b68".into(),
        scenario: "lossy-1pct".into(),
        scenario_hash: format!("{:064x}", 0x5ce3),
        subject: "reference".into(),
        metric: "goodput".into(),
        peer: None,
    };
    let range = CommitRange { last_before: sample::sha(number), first_after: sample::sha(number + 1) };
    let mut alert = Alert {
        id: format!("01940000-0000-7000-8000-{number:012x}"),
        series,
        kind: AlertKind::Step,
        range,
        before: 48.2e6,
        after: 42.7e6,
        shift: Some(-0.114),
        p: 1e-7,
        state: AlertState::New,
        fixed: None,
        history: Vec::new(),
    };
    let found_ms = 1_793_523_600_000 + i64::from(number) * 86_400_000;
    alert.become_state(AlertState::New, found_ms, "");
    alert.become_state(AlertState::Confirmed, found_ms + 1, "");
    alert
}
