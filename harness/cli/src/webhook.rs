//! Sending what is new about alerts to whoever wants to hear of it.

use crate::alert::as_values;
use crate::error::CliError;
use longhaul_record::{Alert, text};
use serde_json::json;
use std::time::Duration;

/// How long the other side may take, from the first packet to its answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Lines that a person reads; the alerts themselves are all there.
const LINES: usize = 10;

/// Sends the alerts: whole, and as a text that chats show.
///
/// # Errors
///
/// Where it cannot be sent, or is not taken. What it says never holds the address, which may be a secret.
pub(crate) fn send(url: &str, alerts: &[Alert]) -> Result<(), CliError> {
    let agent: ureq::Agent =
        ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).max_redirects(0).build().into();
    let body = json!({ "text": words(alerts), "alerts": as_values(alerts)? });
    match agent.post(url).send_json(&body) {
        Ok(answer) if answer.status().is_success() => Ok(()),
        Ok(answer) => Err(CliError::Webhook { reason: format!("it answers {}", answer.status()) }),
        Err(ureq::Error::StatusCode(status)) => Err(CliError::Webhook { reason: format!("it answers {status}") }),
        Err(ureq::Error::BadUri(_)) => Err(CliError::Webhook { reason: "this is no address".to_owned() }),
        Err(error) => Err(CliError::Webhook { reason: text::chain(&error).replace(url, "the address") }),
    }
}

/// One line an alert, the first of them.
fn words(alerts: &[Alert]) -> String {
    let line = |alert: &Alert| format!("{} ({})", alert.sentence(), alert.state.as_str());
    let mut lines: Vec<String> = alerts.iter().take(LINES).map(line).collect();
    if alerts.len() > LINES {
        lines.push(format!("and {} more", alerts.len() - LINES));
    }
    lines.join("\n")
}
