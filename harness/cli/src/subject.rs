//! `longhaul subject …`: which programs can be measured, and whether a file describes one well.

use crate::args::SubjectCommand;
use crate::error::CliError;
use crate::run::{self, programs};
use crate::stop::Stop;
use crate::{catalog, output, table};
use longhaul_record::{Exit, Outcome, RunRecord, text};
use longhaul_runner::{BuildError, Prepared};
use longhaul_scenarios::{Milestone, Scenario, Sort, Subject, What};
use serde_json::json;

/// `longhaul subject list|check|build|schema`.
pub(crate) fn command(command: &SubjectCommand) -> Result<Exit, CliError> {
    match command {
        SubjectCommand::List { json } => list(*json),
        SubjectCommand::Check { subject, json } => check(&catalog::subject(subject)?, *json),
        SubjectCommand::Build { subject, commit, json } => build(&catalog::subject(subject)?, commit.as_deref(), *json),
        SubjectCommand::Schema => {
            output::line(longhaul_scenarios::subject_schema().trim_end())?;
            Ok(Exit::Pass)
        }
    }
}

/// A subject, and whether it can be run here.
struct Entry {
    subject: Subject,
    ready: bool,
    reason: Option<String>,
    version: Option<String>,
}

fn list(as_json: bool) -> Result<Exit, CliError> {
    let programs = programs();
    let entry = |subject: Subject| match programs.look_up(&subject) {
        Ok(prepared) => Entry { subject, ready: true, reason: None, version: prepared.detail.version },
        Err(_) if programs.would_build(&subject) => {
            Entry { subject, ready: true, reason: Some("will be built when it is run".to_owned()), version: None }
        }
        Err(error) => Entry { subject, ready: false, reason: Some(text::chain(&error)), version: None },
    };
    let entries: Vec<Entry> = catalog::subjects()?.into_iter().map(entry).collect();
    if as_json {
        let entry = |Entry { subject, ready, reason, version }: &Entry| json!({ "name": subject.name, "ready": ready, "reason": reason, "version": version });
        output::json(&entries.iter().map(entry).collect())?;
    } else {
        let row = |Entry { subject, ready, reason, version }: &Entry| {
            let state = if *ready { "ready" } else { "not ready" };
            let detail = reason.clone().or_else(|| version.clone()).unwrap_or_default();
            vec![subject.name.clone(), state.to_owned(), detail, subject.summary.clone()]
        };
        output::line(table::plain(&["Subject", "State", "Version or reason", "What it is"], entries.iter().map(row)))?;
    }
    Ok(Exit::Pass)
}

fn build(subject: &Subject, commit: Option<&str>, as_json: bool) -> Result<Exit, CliError> {
    let programs = run::programs_at(commit)?;
    let failed = |source: BuildError| CliError::Subject { subject: subject.name.clone(), source: source.into() };
    let not_here = || CliError::NotBuiltHere { subjects: vec![subject.name.clone()] };
    let built = programs.build(subject).map_err(failed)?.ok_or_else(not_here)?;
    // Everything is found and asked as a run does it: a build that lacks a program is none.
    let found = programs.look_up(subject);
    let detail = found.map_err(|source| CliError::Subject { subject: subject.name.clone(), source })?.detail;
    let path = built.artifact.display().to_string();
    if as_json {
        let (version, hash) = (detail.version, detail.binary_hash);
        output::json(
            &json!({ "name": subject.name, "path": path, "kept": built.kept, "version": version, "hash": hash }),
        )?;
    } else {
        let how = if built.kept { "built before" } else { "built" };
        let hash = detail.binary_hash.unwrap_or_default();
        output::line(format!(
            "{}: {how}: {path}\n  version  {}\n  BLAKE3   {hash}",
            subject.name,
            detail.version.as_deref().unwrap_or("not said")
        ))?;
    }
    Ok(Exit::Pass)
}

/// The network of a check: two hosts, and one that both can reach, for a relay.
const TINY: &str = r#"
schema = 1
name   = "check"
[[host]]
name = "alice"
[[host]]
name = "bob"
link = { delay = "5ms" }
[[host]]
name = "hub"
[[host]]
name  = "node"
count = 12
[payload]
PAYLOAD
[roles]
provider = ["alice"]
fetcher  = ["bob"]
relay    = "hub"
NODES
[measure]
timeout = "60s"
"#;
const ONE_FILE: &str = r#"
kind = "random"
size = "1MiB"
"#;
const MANY_FILES: &str = r#"
kind  = "tree"
paths = ["/usr/include", "/usr/share/doc", "/usr/share", "/etc"]
limit = "1MiB"
"#;
const LOOKUPS: &str = r#"
kind  = "lookups"
count = 5
"#;

/// Something that was looked at.
struct Finding {
    what: &'static str,
    /// Absent: neither good nor bad, but worth knowing.
    good: Option<bool>,
    detail: String,
}

impl Finding {
    fn note(what: &'static str, detail: impl Into<String>) -> Finding {
        Finding { what, good: None, detail: detail.into() }
    }

    fn of(what: &'static str, good: bool, detail: impl Into<String>) -> Finding {
        Finding { what, good: Some(good), detail: detail.into() }
    }
}

fn check(subject: &Subject, as_json: bool) -> Result<Exit, CliError> {
    // Outside the sandbox: a build may write where it likes.
    let prepared = programs().prepare(subject);
    let prepared = prepared.map_err(|source| CliError::Subject { subject: subject.name.clone(), source })?;
    let sandbox = netsim_lab::enter()?;
    let stop = Stop::on_signals()?;
    let run = |payload: &str| {
        let nodes = if payload == LOOKUPS { "node = \"node\"" } else { "" };
        let scenario = Scenario::parse("check", &TINY.replace("PAYLOAD", payload).replace("NODES", nodes))?;
        let record = run::once(&scenario, &prepared, &sandbox, &stop)?;
        record.ok_or(CliError::Interrupted { recorded: 0 })
    };
    let mut findings = vec![Finding::of("programs", true, prepared.places().join(", ")), version(&prepared)];
    if subject.can_do(Sort::File) {
        let one = run(ONE_FILE)?;
        findings.push(transferred("one file", &one));
        if one.outcome == Outcome::Ok {
            findings.extend(told(subject, &one));
        }
        findings.push(match subject.can_do(Sort::Tree) {
            true => transferred("many files", &run(MANY_FILES)?),
            false => {
                Finding::note("many files", "not for both sides a `command_tree`: left out where many files are sent")
            }
        });
    }
    if subject.can_do(Sort::Lookups) {
        findings.push(looked_up(&run(LOOKUPS)?));
    }
    let bad = findings.iter().any(|finding| finding.good == Some(false));
    if as_json {
        let entry = |f: &Finding| json!({ "what": f.what, "good": f.good, "detail": f.detail });
        let findings: Vec<_> = findings.iter().map(entry).collect();
        output::json(&json!({ "name": subject.name, "good": !bad, "findings": findings }))?;
    } else {
        let row = |finding: &Finding| {
            let mark = finding.good.map_or("note", |good| if good { "good" } else { "BAD" });
            format!("  {mark:<4}  {}: {}", finding.what, finding.detail)
        };
        let rows: Vec<String> = findings.iter().map(row).collect();
        output::line(format!("{}: {}\n{}", subject.name, subject.summary, rows.join("\n")))?;
    }
    Ok(if bad { Exit::SubjectFailed } else { Exit::Pass })
}

fn version(prepared: &Prepared) -> Finding {
    match (&prepared.subject.version, &prepared.detail.version) {
        (_, Some(version)) => Finding::of("version", true, version),
        (Some(_), None) => Finding::of("version", false, "its command did not print what the expression looks for"),
        (None, None) => Finding::note("version", "not asked for: results do not say which version ran"),
    }
}

/// How a run went, with all that helps to mend it.
fn transferred(what: &'static str, record: &RunRecord) -> Finding {
    let reason = record.reason.as_deref().unwrap_or_default();
    match record.outcome {
        Outcome::Ok => {
            let took = record.value("total_time", None).map(text::seconds).unwrap_or_default();
            let size = text::bytes(record.payload_bytes as f64);
            let seen =
                if record.subject_detail.delivers_nothing { "by its own word" } else { "verified byte for byte" };
            Finding::of(what, true, format!("{size} in {took}, {seen}"))
        }
        Outcome::Untrusted => {
            Finding::of(what, true, format!("arrived, but this machine is too busy for numbers: {reason}"))
        }
        _ => {
            let told = record.processes.iter().map(|process| {
                let (role, command) = (process.role.as_str(), process.command.join(" "));
                let said = process.stderr_tail.trim_end().replace('\n', "\n          ");
                let said = if said.is_empty() { "nothing" } else { &said };
                format!("\n        the {role} ({command}) wrote to standard error: {said}")
            });
            Finding::of(what, false, format!("{reason}{}", told.collect::<String>()))
        }
    }
}

/// How lookups went.
fn looked_up(record: &RunRecord) -> Finding {
    let found = |share: f64| Finding::of("lookups", share > 0.0, format!("{} found", text::percent(share)));
    let share = record.value("lookup_success", None).filter(|_| record.outcome == Outcome::Ok);
    share.map_or_else(|| transferred("lookups", record), found)
}

/// What the program tells of a transfer, and what is missing where it does not.
fn told(subject: &Subject, record: &RunRecord) -> Vec<Finding> {
    let fetcher = &subject.fetcher;
    let captured = |moment| {
        let is_it = |what: &What| matches!(what, What::Moment { milestone, .. } if *milestone == moment);
        fetcher.captures.iter().any(|capture| is_it(&capture.what))
    };
    let promised = |moment| fetcher.events || captured(moment);
    let moment = |what, metric, moment, missing: &str| match record.value(metric, None) {
        Some(seconds) => Finding::of(what, true, text::seconds(seconds)),
        None if promised(moment) => Finding::of(what, false, "promised, but not found in its output"),
        None => Finding::note(what, missing),
    };
    let no_goodput = "not in the file: runs have a total time, but neither a set-up time nor goodput";
    let no_first_byte = "not in the file: runs have no time to first byte";
    let mut findings = vec![
        moment("connected", "setup_time", Milestone::Connected, no_goodput),
        moment("first byte", "time_to_first_byte", Milestone::FirstByte, no_first_byte),
    ];
    if !promised(Milestone::Done) {
        findings.push(Finding::note("done", "not in the file: a transfer lasts until the fetcher's process has ended"));
    }
    findings
}
