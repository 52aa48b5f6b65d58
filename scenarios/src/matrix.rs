//! `[matrix]`: one file that is many scenarios, one for each combination of values.
//!
//! Each key is an *axis*. Its values are set where the key says, by the rules by which one file goes over another
//! ([`crate::extend::over`]); a value that is no plain one, or that sets several keys, has a name and a table:
//! `{ name = "bursty", set = { … } }`. Axes go in the order of their names, so that moving a line changes no scenario's
//! name; values in the order of the file, the last axis fastest.

use crate::error::{FileError, nearest};
use crate::extend::over;
use crate::files::Files;
use toml::{Table, Value};

/// More would be a mistake, or a week.
const MAX_COMBINATIONS: usize = 1000;
const MAX_LABEL: usize = 40;

/// One combination.
pub(crate) struct Combination {
    /// What its name has after the file's: `[fetchers=3,size=1GiB]`.
    pub(crate) suffix: String,
    /// The file as it is then.
    pub(crate) table: Table,
}

struct Axis {
    key: String,
    points: Vec<Point>,
}

/// A value of an axis.
struct Point {
    label: String,
    /// What it changes, in the shape of a file.
    overlay: Table,
}

/// All combinations of `matrix` over the file `base`; without any axis, the file alone.
pub(crate) fn combinations(matrix: &Table, base: &Table, files: &Files) -> Result<Vec<Combination>, FileError> {
    let mut axes = Vec::new();
    collect(matrix, &mut Vec::new(), &Place { base, files }, &mut axes)?;
    axes.sort_by(|a, b| a.key.cmp(&b.key));
    let count = axes.iter().try_fold(1_usize, |count, axis| count.checked_mul(axis.points.len()));
    if count.is_none_or(|count| count > MAX_COMBINATIONS) {
        let message = format!("more than {MAX_COMBINATIONS} combinations; write several files with fewer values");
        return Err(files.error("matrix", message));
    }
    let mut all: Vec<Vec<(&Axis, &Point)>> = vec![Vec::new()];
    for axis in &axes {
        let mut more = Vec::new();
        for chosen in &all {
            more.extend(axis.points.iter().map(|point| [&chosen[..], &[(axis, point)]].concat()));
        }
        all = more;
    }
    let named = |chosen: Vec<(&Axis, &Point)>| {
        let labels: Vec<String> = chosen.iter().map(|(axis, point)| format!("{}={}", axis.key, point.label)).collect();
        let suffix = if labels.is_empty() { String::new() } else { format!("[{}]", labels.join(",")) };
        Ok(Combination { suffix, table: apply(base, &chosen, files)? })
    };
    all.into_iter().map(named).collect()
}

/// The file with one value of each axis. Those that start a link, a NAT or the payload anew come first, so that the keys
/// of others stay; what two axes both set is a mistake, because one of them would be in the name and not in the network.
fn apply(base: &Table, chosen: &[(&Axis, &Point)], files: &Files) -> Result<Table, FileError> {
    let mut table = base.clone();
    for anew in [true, false] {
        let now = || chosen.iter().filter(|(_, point)| starts_anew(&point.overlay) == anew);
        now().for_each(|(_, point)| over(&mut table, point.overlay.clone()));
        for (axis, point) in now() {
            let mut again = table.clone();
            over(&mut again, point.overlay.clone());
            if again != table {
                let message = format!("another axis sets what `{}` sets; let one of them set it", point.label);
                return Err(files.error(format!("matrix.{}", axis.key), message));
            }
        }
    }
    Ok(table)
}

/// Whether it sets a whole link, NAT or payload.
fn starts_anew(overlay: &Table) -> bool {
    let whole = |key: &str, value: &Value| match (key, value) {
        ("link" | "uplink" | "nat", Value::Table(table)) => table.contains_key("preset"),
        ("link" | "uplink" | "nat", _) | ("interface", _) => true,
        _ => false,
    };
    let entries = ["router", "host"].iter().filter_map(|kind| overlay.get(*kind)?.as_array()).flatten();
    let mut keys = entries.filter_map(Value::as_table).flatten();
    keys.any(|(key, value)| whole(key, value)) || overlay.get("payload").is_some_and(|own| own.get("kind").is_some())
}

/// Finds the lists in a table of tables: `uplink.rate = […]` is an axis `uplink.rate`.
fn collect(table: &Table, path: &mut Vec<String>, place: &Place, axes: &mut Vec<Axis>) -> Result<(), FileError> {
    for (key, value) in table {
        path.push(key.clone());
        match value {
            Value::Array(values) => axes.push(place.axis(path, values)?),
            Value::Table(inner) if !inner.is_empty() => collect(inner, path, place, axes)?,
            _ => {
                let message = "an axis is a list of values, for example [1, 3, 5]";
                return Err(place.files.error(format!("matrix.{}", path.join(".")), message));
            }
        }
        path.pop();
    }
    Ok(())
}

/// The file that a matrix is about.
struct Place<'a> {
    base: &'a Table,
    files: &'a Files<'a>,
}

impl Place<'_> {
    fn axis(&self, path: &[String], values: &[Value]) -> Result<Axis, FileError> {
        let name = path.join(".");
        let key = format!("matrix.{name}");
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.len() > MAX_LABEL || !name.chars().all(good) {
            let message = format!("{name:?} is not a key; use 1 to {MAX_LABEL} of a-z, A-Z, 0-9, `-`, `_` and `.`");
            return Err(self.files.error("matrix", message));
        }
        let mut points: Vec<Point> = Vec::new();
        for (n, value) in values.iter().enumerate() {
            let key = format!("{key}[{n}]");
            let point = self.point(path, value, &key)?;
            if points.iter().any(|other| other.label == point.label) {
                return Err(self.files.error(key, format!("`{}` is there already; remove one", point.label)));
            }
            points.push(point);
        }
        if points.is_empty() {
            return Err(self.files.error(key, "has no values; write at least one, or remove it"));
        }
        Ok(Axis { key: name, points })
    }

    fn point(&self, path: &[String], value: &Value, key: &str) -> Result<Point, FileError> {
        let (label, set) = match value {
            Value::String(text) => (text.clone(), nested(path, value)),
            Value::Integer(_) | Value::Boolean(_) => (value.to_string(), nested(path, value)),
            Value::Table(table) => match (table.get("name"), table.get("set"), table.len()) {
                (Some(Value::String(name)), Some(Value::Table(set)), 2) => (name.clone(), set.clone()),
                _ => {
                    let message = "write { name = \"…\", set = { … } }: what names the value, and the keys it sets";
                    return Err(self.files.error(key, message));
                }
            },
            _ => {
                let message = "write a quantity in quotes, a whole number, or { name = \"…\", set = { … } }";
                return Err(self.files.error(key, message));
            }
        };
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '%' | '+');
        if label.is_empty() || label.len() > MAX_LABEL || !label.chars().all(good) {
            let message = format!(
                "{label:?} becomes part of a name; use 1 to {MAX_LABEL} of a-z, A-Z, 0-9, `-`, `_`, `.`, `%` and `+`, or \
                 write {{ name = \"…\", set = {{ … }} }}"
            );
            return Err(self.files.error(key, message));
        }
        let mut overlay = Table::new();
        for (name, value) in set {
            self.set(&mut overlay, &name, value).map_err(|message| self.files.error(key, message))?;
        }
        Ok(Point { label, overlay })
    }

    /// Adds to `overlay` what `name = value` says. Errors are messages.
    fn set(&self, overlay: &mut Table, name: &str, value: Value) -> Result<(), String> {
        let within = |outer: &str, inner: &str, value| nested(&[outer.to_owned(), inner.to_owned()], &value);
        let change = match name {
            "fetchers" => self.entry("host", &self.group("fetcher", "fetchers")?, "count", value)?,
            "providers" => self.entry("host", &self.group("provider", "providers")?, "count", value)?,
            "nodes" => self.entry("host", &self.group("node", "nodes")?, "count", value)?,
            "size" => within("payload", "size", value),
            "repeat" | "timeout" => within("measure", name, value),
            "link" => self.link(value)?,
            "uplink" => self.entry("router", &self.router(name)?, "uplink", value)?,
            "nat" => match value {
                Value::Table(table) if table.keys().all(|key| self.has("router", key)) => {
                    let mut change = Table::new();
                    for (router, nat) in table {
                        over(&mut change, self.entry("router", &router, "nat", nat)?);
                    }
                    change
                }
                value => self.entry("router", &self.router(name)?, "nat", value)?,
            },
            "region" => {
                let Value::Table(places) = value else {
                    return Err("say whose: region.NAME, with the name of a router or host".into());
                };
                let mut change = Table::new();
                for (place, region) in places {
                    let kind = if self.has("router", &place) { "router" } else { "host" };
                    over(&mut change, self.entry(kind, &place, "region", region)?);
                }
                change
            }
            "router" | "host" => {
                let Value::Table(entries) = value else { return Err(format!("say which: {name}.NAME.KEY")) };
                let mut change = Table::new();
                for (entry, keys) in entries {
                    let Value::Table(keys) = keys else { return Err(format!("say which key: {name}.{entry}.KEY")) };
                    for (key, value) in keys {
                        over(&mut change, self.entry(name, &entry, &key, value)?);
                    }
                }
                change
            }
            "payload" | "roles" | "measure" | "expect" | "at" | "cross" => Table::from_iter([(name.to_owned(), value)]),
            name if LINK_KEYS.contains(&name) => {
                self.link(Value::Table(Table::from_iter([(name.to_owned(), value)])))?
            }
            name => return Err(unknown(name)),
        };
        over(overlay, change);
        Ok(())
    }

    /// The link of the fetcher.
    fn link(&self, value: Value) -> Result<Table, String> {
        let fetcher = self.group("fetcher", "link")?;
        if self.find("host", &fetcher).is_some_and(|host| host.contains_key("interface")) {
            return Err(format!(
                "`{fetcher}` has several interfaces; say host.{fetcher}.interface, with all that is to be in the list"
            ));
        }
        self.entry("host", &fetcher, "link", value)
    }

    /// The one name that a role has.
    fn group(&self, role: &str, short: &str) -> Result<String, String> {
        let roles = self.base.get("roles").and_then(|roles| roles.get(role));
        match roles {
            Some(Value::String(name)) => Ok(name.clone()),
            Some(Value::Array(names)) if names.len() == 1 => {
                names[0].as_str().map(str::to_owned).ok_or_else(|| format!("`roles.{role}` is no name"))
            }
            _ => Err(format!("`{short}` needs one name in `roles.{role}`; say host.NAME and the key instead")),
        }
    }

    /// The router that the fetcher is behind.
    fn router(&self, short: &str) -> Result<String, String> {
        let fetcher = self.group("fetcher", short)?;
        let behind = self.find("host", &fetcher).and_then(|host| host.get("behind")).and_then(Value::as_str);
        behind.map(str::to_owned).ok_or_else(|| {
            format!("`{fetcher}` is behind no router that `{short}` could be about; say router.NAME.{short}")
        })
    }

    fn find(&self, kind: &str, name: &str) -> Option<&Table> {
        let entries = self.base.get(kind)?.as_array()?.iter().filter_map(Value::as_table);
        entries.into_iter().find(|entry| entry.get("name").and_then(Value::as_str) == Some(name))
    }

    fn has(&self, kind: &str, name: &str) -> bool {
        self.find(kind, name).is_some()
    }

    /// `key = value` in the entry of that name.
    fn entry(&self, kind: &str, name: &str, key: &str, value: Value) -> Result<Table, String> {
        if !self.has(kind, name) {
            let entries = self.base.get(kind).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            let known: Vec<&str> = entries.iter().filter_map(|entry| entry.get("name")?.as_str()).collect();
            let there =
                if known.is_empty() { "there is none".into() } else { format!("there are: {}", known.join(", ")) };
            let near = nearest(name, known.iter().copied());
            let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            return Err(format!("no {kind} is named `{name}`; {there}{hint}"));
        }
        let entry = Table::from_iter([("name".to_owned(), Value::from(name)), (key.to_owned(), value)]);
        Ok(Table::from_iter([(kind.to_owned(), Value::Array(vec![Value::Table(entry)]))]))
    }
}

/// Keys of a link that stand for those of the fetcher's.
const LINK_KEYS: [&str; 10] =
    ["delay", "jitter", "loss", "duplicate", "corrupt", "reorder", "queue", "rate", "trace", "mtu"];

fn unknown(name: &str) -> String {
    const OTHERS: [&str; 17] = [
        "fetchers",
        "providers",
        "nodes",
        "size",
        "repeat",
        "timeout",
        "link",
        "uplink",
        "nat",
        "region",
        "router",
        "host",
        "payload",
        "roles",
        "measure",
        "expect",
        "at",
    ];
    let known: Vec<&str> = OTHERS.into_iter().chain(["cross"]).chain(LINK_KEYS).collect();
    let hint = nearest(name, known.iter().copied());
    let hint = hint.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
    format!(
        "`{name}` is no key that a matrix can set; there are {}{hint} (an axis of another name has values with a name: {{ \
         name = \"…\", set = {{ … }} }})",
        known.join(", ")
    )
}

/// `a.b.c = value` as tables.
fn nested(path: &[String], value: &Value) -> Table {
    let mut keys = path.iter().rev();
    let innermost = keys.next().cloned().unwrap_or_default();
    keys.fold(Table::from_iter([(innermost, value.clone())]), |inner, key| {
        Table::from_iter([(key.clone(), Value::Table(inner))])
    })
}
