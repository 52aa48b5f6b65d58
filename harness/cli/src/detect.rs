//! `longhaul detect`: when series changed.

use crate::args::{DetectArgs, SeriesArgs};
use crate::error::CliError;
use crate::run::runtime;
use crate::{catalog, output, table};
use longhaul_interop::points;
use longhaul_record::{Direction, Exit, Metric, metric, text};
use longhaul_stats::{ChangePoint, Detection, Made, Yardstick, change_points, yardstick};
use longhaul_store::{Commit, History, Line, OverviewQuery, SeriesQuery, SeriesSet, Upkeep};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

/// Prints the changes of a file, of the database's series, or how often the detector is right.
pub(crate) fn command(args: &DetectArgs) -> Result<Exit, CliError> {
    match &args.file {
        _ if args.evaluate => evaluate(args),
        Some(file) => in_file(file, args),
        None => in_database(args),
    }
}

fn detection(args: &DetectArgs, metric: Option<&Metric>) -> Detection {
    let usual = Detection::default();
    let of_metric = metric.map_or(usual.delta, |metric| metric.delta());
    Detection { delta: args.delta.map_or(of_metric, |percent| percent / 100.0), ..usual }
}

fn in_file(file: &Path, args: &DetectArgs) -> Result<Exit, CliError> {
    let read = points::read(&file.display().to_string(), &catalog::read(file)?)?;
    let values: Vec<f64> = read.iter().map(|point| point.value).collect();
    let found = change_points(&values, &detection(args, None));
    if args.json {
        output::json(&json!({ "change_points": found.iter().map(point).collect::<Vec<_>>() }))?;
        return Ok(Exit::Pass);
    }
    if found.is_empty() {
        let fewest = Detection::default().fewest();
        let few =
            if values.len() < fewest { format!(": too few for one, which takes {fewest}") } else { String::new() };
        output::line(format!("No change in {} values{few}.", values.len()))?;
        return Ok(Exit::Pass);
    }
    let row = |change: &ChangePoint| {
        let [before, after] = [change.before, change.after].map(text::digits);
        let at = [change.index.to_string(), read[change.index].at.clone()];
        at.into_iter().chain([before, after, shift(change), p(change), state(change)]).collect()
    };
    output::line(table::plain(&["Index", "At", "Before", "After", "Shift", "p", ""], found.iter().map(row)))?;
    Ok(Exit::Pass)
}

/// A change in a series of the database.
struct Found<'a> {
    set: &'a Histories,
    history: &'a History,
    change: ChangePoint,
}

/// A scenario's series.
pub(crate) struct Histories {
    pub(crate) scenario: String,
    pub(crate) set: SeriesSet,
    pub(crate) histories: Vec<History>,
}

fn in_database(args: &DetectArgs) -> Result<Exit, CliError> {
    let all = runtime()?.block_on(async {
        let store = args.db.open_read_only().await?;
        let all = histories(&*store, &args.series).await?;
        store.close().await;
        Ok::<_, CliError>(all)
    })?;
    let series: usize = all.iter().map(|set| set.histories.len()).sum();
    let found: Vec<Found> = all.iter().flat_map(|set| changes(set, args)).collect();
    if args.json {
        let changes: Vec<Value> = found.iter().map(Found::json).collect();
        output::json(&json!({ "series": series, "change_points": changes }))?;
    } else if found.is_empty() {
        output::line(nothing(&all, series, args))?;
    } else {
        let header =
            ["Scenario", "Subject", "Metric", "Last before", "First after", "Before", "After", "Shift", "p", ""];
        output::line(table::plain(&header, found.iter().map(Found::row)))?;
    }
    Ok(Exit::Pass)
}

/// Why there is no change to show.
fn nothing(all: &[Histories], series: usize, args: &DetectArgs) -> String {
    if series == 0 {
        let branch = args.series.branch.as_deref().unwrap_or("main or master");
        return format!(
            "No series has commits of {branch} with such results; `longhaul detect --help` says how to ask."
        );
    }
    let fewest = Detection::default().fewest();
    let histories = all.iter().flat_map(|set| &set.histories);
    match histories.filter(|history| history.points.len() < fewest).count() {
        0 => format!("No change in {series} series."),
        short => format!(
            "No change in {series} series; {short} of them are too short for one, which takes {fewest} commits."
        ),
    }
}

/// Names of scenarios that have runs: all of them, or the one that is wanted.
pub(crate) async fn scenarios(
    store: &dyn Upkeep,
    project: Option<&str>,
    wanted: Option<&str>,
) -> Result<BTreeSet<String>, CliError> {
    let project = project.map(str::to_owned);
    let overview = OverviewQuery { project, host: None, metrics: Vec::new(), recent: 0 };
    let names = store.overview(&overview).await?.into_iter().map(|row| row.scenario);
    Ok(names.filter(|name| wanted.is_none_or(|wanted| wanted == name)).collect())
}

/// Everything that is asked for, scenario by scenario.
pub(crate) async fn histories(store: &dyn Upkeep, args: &SeriesArgs) -> Result<Vec<Histories>, CliError> {
    let line = Line { branch: args.branch.clone() };
    let mut all = Vec::new();
    for scenario in scenarios(store, None, args.scenario.as_deref()).await? {
        let query = SeriesQuery {
            scenario: scenario.clone(),
            subject: args.subject.clone(),
            metric: args.metric.clone(),
            commits: u32::MAX,
            values: false,
            ..SeriesQuery::default()
        };
        let set = store.series(&query).await?;
        let histories = set.histories(&line);
        all.push(Histories { scenario, set, histories });
    }
    Ok(all)
}

fn changes<'a>(set: &'a Histories, args: &'a DetectArgs) -> impl Iterator<Item = Found<'a>> {
    set.histories.iter().flat_map(move |history| {
        let values: Vec<f64> = history.points.iter().map(|(_, median)| *median).collect();
        let how = detection(args, metric(&set.set.series[history.series].metric));
        change_points(&values, &how).into_iter().map(move |change| Found { set, history, change })
    })
}

impl Found<'_> {
    /// The last commit that was as before, and the first that was not, both measured.
    fn range(&self) -> [&Commit; 2] {
        [self.change.index - 1, self.change.index].map(|at| &self.set.set.commits[self.history.points[at].0])
    }

    fn row(&self) -> Vec<String> {
        let series = &self.set.set.series[self.history.series];
        let known = metric(&series.metric);
        let value = |value: f64| known.map_or_else(|| text::digits(value), |metric| metric.unit.text(value));
        let name = match &series.peer {
            Some(peer) => format!("{}, {peer}", series.metric),
            None => series.metric.clone(),
        };
        let [last, first] =
            self.range().map(|commit| commit.sha.as_deref().unwrap_or_default().chars().take(10).collect());
        let worse = match known.map(|metric| (metric.direction, self.change.after > self.change.before)) {
            Some((Direction::Lower, true) | (Direction::Higher, false)) => "worse",
            Some(_) => "better",
            None => "",
        };
        let state = if self.change.confirmed { worse.to_owned() } else { state(&self.change) };
        let own = [self.set.scenario.clone(), series.subject.clone(), name, last, first];
        let change = [value(self.change.before), value(self.change.after), shift(&self.change), p(&self.change), state];
        own.into_iter().chain(change).map(|cell| table::clean(&cell)).collect()
    }

    fn json(&self) -> Value {
        let series = &self.set.set.series[self.history.series];
        let [last, first] = self.range();
        let mut value = json!({
            "project": series.project,
            "host": series.host,
            "scenario": self.set.scenario,
            "scenario_hash": self.history.scenario_hash,
            "subject": series.subject,
            "metric": series.metric,
            "peer": series.peer,
            "last_before": last.sha,
            "first_after": first.sha,
        });
        if let (Value::Object(all), Value::Object(change)) = (&mut value, point(&self.change)) {
            all.extend(change);
        }
        value
    }
}

fn point(change: &ChangePoint) -> Value {
    json!({
        "index": change.index,
        "shift_percent": change.shift.map(|shift| shift * 100.0),
        "p": change.p,
        "before": change.before,
        "after": change.after,
        "confirmed": change.confirmed,
    })
}

fn shift(change: &ChangePoint) -> String {
    change.shift.map_or_else(|| "\u{2013}".to_owned(), |shift| format!("{:+.1} %", shift * 100.0))
}

fn p(change: &ChangePoint) -> String {
    if change.p < 1e-6 { "< 0.000001".to_owned() } else { format!("{:.6}", change.p) }
}

fn state(change: &ChangePoint) -> String {
    if change.confirmed { String::new() } else { "to be measured again".to_owned() }
}

/// What other detectors reach on such series: Apache Otava with its defaults and with p = 10⁻⁵, Mozilla's Perfherder, and
/// airspeed velocity; of 60 to 100 series each, in the order of [`Made::ALL`].
const OTHERS: [(&str, [f64; 9]); 4] = [
    ("Otava", [0.06, 0.12, 0.27, 0.68, 0.04, 0.74, 0.96, 0.94, 0.97]),
    ("Otava, 1e-5", [0.0, 0.01, 0.04, 0.13, 0.0, 0.70, 0.96, 0.62, 1.0]),
    ("Perfherder", [0.0, 0.0, 0.0, 0.05, 0.0, 0.06, 0.49, 0.0, 0.0]),
    ("asv", [0.0, 0.0, 0.0, 0.0, 0.07, 0.30, 0.88, 0.0, 0.22]),
];

/// Series a row is made of.
const REPEATS: u64 = 1000;

fn evaluate(args: &DetectArgs) -> Result<Exit, CliError> {
    let how = detection(args, None);
    let rows: Vec<Yardstick> = Made::ALL.into_iter().map(|made| yardstick(made, &how, REPEATS, args.seed)).collect();
    if args.json {
        let json = |row: &Yardstick| json!({ "series": row.made.words(), "confirmed": row.confirmed, "unconfirmed": row.unconfirmed });
        output::json(
            &json!({ "repeats": REPEATS, "seed": args.seed, "rows": rows.iter().map(json).collect::<Vec<_>>() }),
        )?;
        return Ok(Exit::Pass);
    }
    let header = ["Series of 100 points", "longhaul", "to measure again", "goal"];
    let header: Vec<&str> = header.into_iter().chain(OTHERS.map(|(name, _)| name)).collect();
    let rows = rows.iter().enumerate().map(|(n, row)| {
        let share = |share: f64| format!("{share:.3}");
        let own = [row.made.words(), share(row.confirmed), share(row.unconfirmed), goal(row.made).to_owned()];
        own.into_iter().chain(OTHERS.map(|(_, shares)| format!("{:.2}", shares[n]))).collect::<Vec<_>>()
    });
    output::line(match args.markdown {
        true => table::markdown(&header, rows),
        false => table::plain(&header, rows),
    })?;
    Ok(Exit::Pass)
}

fn goal(made: Made) -> &'static str {
    match made {
        Made::Step(30) => "≥ 0.75",
        Made::Step(_) => "≥ 0.97",
        Made::Fresh(3) => "≥ 0.95",
        Made::Fresh(_) => "none",
        _ => "≤ 0.02",
    }
}
