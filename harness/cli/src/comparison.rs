//! `longhaul export comparison`: what every subject achieved in every scenario, as a page of Markdown.

use crate::args::ComparisonArgs;
use crate::error::CliError;
use crate::expectation::{Group, groups};
use crate::run::{programs, runtime};
use crate::{catalog, output};
use longhaul_record::{Exit, Outcome, RunRecord, Unit, metric, text};
use longhaul_stats::{Interval, Success, median};
use longhaul_store::RunFilter;
use std::fmt::Write;

/// Prints the page of the newest commit and machine that have runs, or of the commit that is asked for.
pub(crate) fn command(args: &ComparisonArgs) -> Result<Exit, CliError> {
    let runtime = runtime()?;
    let records = runtime.block_on(async {
        let store = args.db.open_read_only().await?;
        let newest = store.runs(&RunFilter { limit: 1, commit: args.commit.clone(), ..RunFilter::default() }).await?;
        let Some(newest) = newest.into_iter().next() else { return Ok(Vec::new()) };
        let filter = RunFilter {
            project: Some(newest.project),
            host: Some(newest.host),
            commit: newest.commit,
            limit: u32::MAX,
            ..RunFilter::default()
        };
        let mut records = Vec::new();
        // Newest first; a page reads in the order of measuring.
        for summary in store.runs(&filter).await?.into_iter().rev() {
            records.extend(store.run(&summary.id).await?);
        }
        store.close().await;
        Ok::<_, CliError>(records)
    })?;
    let missing = not_here()?;
    output::line(page(&records, &missing).trim_end())?;
    Ok(Exit::Pass)
}

/// Shipped subjects that cannot be run on this machine, and why.
fn not_here() -> Result<Vec<(String, String)>, CliError> {
    let programs = programs();
    let why = |subject: longhaul_scenarios::Subject| {
        let error = programs.look_up(&subject).err().filter(|_| !programs.would_build(&subject))?;
        Some((subject.name, text::chain(&error)))
    };
    Ok(catalog::subjects()?.into_iter().filter_map(why).collect())
}

/// The metrics of the tables: heading, id, side.
const COLUMNS: [(&str, &str, Option<&str>); 11] = [
    ("Goodput", "goodput", None),
    ("Total time", "total_time", None),
    ("First byte", "time_to_first_byte", None),
    ("Wire overhead", "wire_overhead", None),
    ("CPU per GiB, provider", "cpu_per_gib", Some("provider")),
    ("CPU per GiB, fetcher", "cpu_per_gib", Some("fetcher")),
    ("Peak memory, fetcher", "peak_rss", Some("fetcher")),
    ("Lookup", "lookup_time", None),
    ("95 in 100", "lookup_time_p95", None),
    ("Found", "lookup_success", None),
    ("Packets per lookup", "lookup_packets", None),
];
/// How many of these are about what is transferred, and how many about what is looked up.
const TRANSFERS: usize = 7;

fn page(records: &[RunRecord], missing: &[(String, String)]) -> String {
    let mut page = String::from("# Comparison\n\nMade by `longhaul export comparison`; not written by hand.\n");
    let Some(last) = records.last() else {
        page += "\nNothing has been measured yet: `longhaul run full --subject all`.\n";
        return page;
    };
    let host = &last.host;
    let commit = last.commit.as_deref().map_or("no commit", |commit| &commit[..commit.len().min(12)]);
    // Writing to a string cannot fail.
    let _ = write!(
        page,
        "\n{} runs at {commit} on {}, {} processors, Linux {}, TCP with {}; every network was calibrated before its run. \
         Values are medians of the runs that went well, with the smallest and the largest. Machines differ: compare within \
         a table.\n",
        records.len(),
        plain(&host.cpu),
        host.cores,
        plain(&host.kernel),
        plain(&host.tcp_congestion_control),
    );
    goals(&mut page, records);
    let groups = groups(records);
    let mut scenarios: Vec<&str> = Vec::new();
    for group in &groups {
        let name = group.records[0].scenario.as_str();
        if !scenarios.contains(&name) {
            scenarios.push(name);
        }
    }
    for name in scenarios {
        let rows: Vec<&Group> = groups.iter().filter(|group| group.records[0].scenario == name).collect();
        scenario(&mut page, name, &rows);
    }
    if !missing.is_empty() {
        page += "\n## Not measured here\n\n| Subject | Why |\n|---|---|\n";
        for (name, why) in missing {
            let _ = writeln!(page, "| {name} | {} |", plain(why));
        }
    }
    page
}

/// One table.
fn scenario(page: &mut String, name: &str, groups: &[&Group]) {
    let looked_up =
        groups.iter().flat_map(|group| &group.records).any(|run| run.value("lookup_success", None).is_some());
    let columns = if looked_up { &COLUMNS[TRANSFERS..] } else { &COLUMNS[..TRANSFERS] };
    let heads: String = columns.iter().map(|(head, ..)| format!(" {head} |")).collect();
    let rule = "---|".repeat(columns.len());
    let words = plain(&groups[0].records[0].scenario_words);
    let _ = write!(page, "\n## {}\n\n{words}\n\n| Subject |{heads} Runs |\n|---|{rule}---|\n", plain(name));
    for group in groups {
        let cells: String = columns.iter().map(|(_, id, peer)| format!(" {} |", cell(group, id, *peer))).collect();
        let _ = writeln!(page, "| {} |{cells} {} |", plain(&group.records[0].subject), outcome(group));
    }
}

/// Median, smallest and largest of the runs that went well.
fn cell(group: &Group, id: &str, peer: Option<&str>) -> String {
    let good = group.records.iter().filter(|record| record.outcome == Outcome::Ok);
    let values: Vec<f64> = good.filter_map(|record| record.value(id, peer)).collect();
    let text = |value| metric(id).map_or(Unit::Ratio, |metric| metric.unit).text(value);
    let (least, most) = values.iter().fold((f64::INFINITY, 0.0_f64), |(a, b), v| (a.min(*v), b.max(*v)));
    match (median(&values), values.len()) {
        (None, _) => "–".to_owned(),
        (Some(value), 1) => text(value),
        (Some(value), _) => format!("{} ({}–{})", text(value), text(least), text(most)),
    }
}

/// How many went well; of those that did not, why the last one did not. That a machine was busy for a while matters only
/// where it always was.
fn outcome(group: &Group) -> String {
    let Success { ok, tried } = group.success;
    let tells = |record: &&&RunRecord| match record.outcome {
        Outcome::Ok => false,
        Outcome::Untrusted => ok == 0,
        Outcome::SubjectFailed | Outcome::TimedOut | Outcome::SetupFailed => true,
    };
    let last = group.records.iter().rev().find(tells);
    let why = last.map_or_else(String::new, |record| {
        format!("; {}: {}", record.outcome.as_str(), plain(record.reason.as_deref().unwrap_or("no reason given")))
    });
    format!("{ok} of {tried} ok{why}")
}

/// What the reference transfer set out to do, and what came of it.
fn goals(page: &mut String, records: &[RunRecord]) {
    let of = |subject: &str, scenario: &str, id: &str| {
        let wanted = |record: &&RunRecord| {
            record.subject == subject && record.scenario == scenario && record.outcome == Outcome::Ok
        };
        median(&records.iter().filter(wanted).filter_map(|record| record.value(id, None)).collect::<Vec<_>>())
    };
    let ratio = |scenario, id, other| {
        Some(format!("{:.2} times {other}'s", of("reference", scenario, id)? / of(other, scenario, id)?))
    };
    let own: Vec<&RunRecord> = records.iter().filter(|record| record.subject == "reference").collect();
    let most = |id, least_bytes| {
        let good = own.iter().filter(|record| record.outcome == Outcome::Ok && record.payload_bytes >= least_bytes);
        good.filter_map(|record| record.value(id, None)).reduce(f64::max)
    };
    let success = Success::of(own.iter().map(|record| record.outcome));
    let reliable = success.interval().map(|Interval { low, high }| {
        let Success { ok, tried } = success;
        format!("{ok} of {tried} runs ({:.1}–{:.1} %, 95 % interval)", low * 100.0, high * 100.0)
    });
    let rows = [
        ("as fast as curl on a local network (`local`, wall time)", ratio("local", "total_time", "curl")),
        ("a source tree in less time than rsync (`tree`, wall time)", ratio("tree", "total_time", "rsync")),
        // A request and its answer are two, however little there is to ask for.
        (
            "less than 1 message per block of 256 KiB, at most (payloads of 1 MiB and more)",
            most("messages_per_block", 1 << 20).map(|n| format!("{n:.2}")),
        ),
        ("at most 200 connections", most("flows", 0).map(|n| format!("{n:.0}"))),
        ("at least 95 % of transfers succeed", reliable),
    ];
    *page += "\n## Goals of the reference transfer\n\n| Goal | Measured |\n|---|---|\n";
    for (goal, measured) in rows {
        let _ = writeln!(page, "| {goal} | {} |", measured.unwrap_or_else(|| "not measured".to_owned()));
    }
}

/// Text from outside must not become Markdown or HTML.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => plain += "&amp;",
            '<' => plain += "&lt;",
            '\\' | '|' | '`' | '*' | '_' | '[' | ']' => plain.extend(['\\', c]),
            c if c.is_control() => plain.push(' '),
            c => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_store::testing::sample::{self, Shape};

    #[test]
    fn a_page_has_medians_reasons_and_goals() {
        let run = |iteration| sample::run(Shape { network: 0, subject: "reference", commit: 1, iteration });
        let mut records: Vec<RunRecord> = (0..3).map(run).collect();
        let reason = "the <b>fetcher</b> | exited";
        records.push(sample::failed(
            Shape { network: 0, subject: "reference", commit: 1, iteration: 3 },
            Outcome::SubjectFailed,
            reason,
            "",
        ));
        let missing = [("other".to_owned(), "`other` is not installed".to_owned())];
        let page = page(&records, &missing);
        for words in [
            "3 of 4 ok; subject_failed: the &lt;b>fetcher&lt;/b> \\| exited",
            "| at most 200 connections | ",
            "\\`other\\`",
        ] {
            assert!(page.contains(words), "{words}: {page}");
        }
        assert!(!page.contains("<b>"), "{page}");
    }

    #[test]
    fn an_empty_database_says_what_to_do() {
        assert!(page(&[], &[]).contains("longhaul run full --subject all"));
    }
}
