//! The conformance suite: what routers must do, tried with real sockets and real packets on every engine, beside
//! the reference model in virtual time.
//!
//! A [`Row`] is data: terms, a script of sendings, and what must be seen (`conformance/script.rs` says in which words). What an engine
//! cannot do it must refuse by itself; then the row is unsupported with the engine's own reason. So the table cannot be
//! true by leaving something out.

mod document;
mod field;
mod links;
mod model;
mod packets;
mod protocols;
mod rows;
mod script;
mod table;
mod traffic;
mod train;

use crate::device::DeviceError;
use crate::lab::{Engines, Lab, LabError, LinkEngine};
use crate::netem::NetemError;
use crate::nftables::NftablesError;
pub use document::{Document, NotOne, Tried};
use field::{Field, FieldError};
pub use links::{LinkRow, link_rows, try_link};
use longhaul_record::text;
use model::Model;
use netsim_topology::{Access, Host, Plan, Router, Topology, plan};
pub use rows::Row;
use rows::Shape;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
pub use table::{links_markdown, routers_markdown};

/// What became of a row on an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Everything was seen as it must be.
    True,
    /// Something else was seen.
    False {
        /// What.
        seen: String,
    },
    /// The engine refuses it.
    Unsupported {
        /// In its own words.
        why: String,
    },
    /// The machine was too busy for a verdict, again and again.
    Busy {
        /// What was seen, and what of the machine.
        why: String,
    },
    /// It could not be tried to the end.
    Broken {
        /// Why.
        why: String,
    },
}

/// The router of every row.
const ROUTER: &str = "router";
/// Where there is a second home, its router; and where there is a carrier, the carrier's.
const SECOND_ROUTER: &str = "second";
const CARRIER: &str = "carrier";
/// Every random decision follows from it.
const SEED: u64 = 1;
/// Most of a row about routers is waiting, so they wait together; each has a lab of its own.
const AT_ONCE: usize = 8;
/// A row is tried again where the machine was too busy for a verdict.
const TRIES: u32 = 4;

/// All rows about routers: the standard's terms, then random traffic against the reference model.
pub fn nat_rows() -> Vec<Row> {
    let mut rows = rows::rows();
    rows.extend(traffic::rows());
    rows
}

/// Tries rows about routers on an engine, which is the column.
pub fn try_rows(rows: &[Row], engines: Engines, progress: &(dyn Fn(&str) + Sync)) -> Vec<Tried> {
    let column = engines.nat.as_str();
    let one = |row: &Row| Tried::router(row, column, try_row(row, engines));
    side_by_side(rows, AT_ONCE, one, column, progress)
}

/// Tries rows about links with the engines of a column. Those in which time shows are not tried beside others.
pub fn try_links(rows: &[LinkRow], column: &str, engines: Engines, progress: &(dyn Fn(&str) + Sync)) -> Vec<Tried> {
    let at_once = std::thread::available_parallelism().map_or(1, |n| n.get().min(AT_ONCE));
    let one = |row: &LinkRow| Tried::link(row, column, try_link(row, engines));
    let (timed, counted): (Vec<LinkRow>, Vec<LinkRow>) = rows.iter().cloned().partition(LinkRow::is_timed);
    let mut tried = side_by_side(&counted, at_once, one, column, progress);
    tried.extend(side_by_side(&timed, 1, one, &format!("{column}, timed"), progress));
    tried.sort_by_key(|tried| rows.iter().position(|row| tried.is_of(row.about, row.terms)));
    tried
}

/// Results in the order of the rows.
fn side_by_side<R: Sync, T: Clone + Send>(
    rows: &[R],
    at_once: usize,
    one: impl Fn(&R) -> T + Sync,
    column: &str,
    progress: &(dyn Fn(&str) + Sync),
) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(vec![None; rows.len()]);
    std::thread::scope(|scope| {
        for _ in 0..at_once.min(rows.len()) {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    let Some(row) = rows.get(n) else { break };
                    let result = one(row);
                    results.lock().unwrap_or_else(PoisonError::into_inner)[n] = Some(result);
                    progress(&format!("{column}: {} of {}", n + 1, rows.len()));
                }
            });
        }
    });
    let results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.into_iter().flatten().collect()
}

/// Tries one row.
pub fn try_row(row: &Row, engines: Engines) -> Verdict {
    let plan = match plan(&topology(row)) {
        Ok(plan) => plan,
        Err(error) => return Verdict::Broken { why: error.to_string() },
    };
    for _ in 0..TRIES {
        match once(&plan, row, engines) {
            Ok((seen, _)) if seen == row.expected => return Verdict::True,
            Ok((seen, false)) => return Verdict::False { seen },
            Ok((_, true)) => {}
            Err(error) => return untried(&error),
        }
    }
    Verdict::Busy { why: format!("datagrams came seconds late, {TRIES} times") }
}

/// What was seen, and whether the machine was too busy to say.
fn once(plan: &Plan, row: &Row, engines: Engines) -> Result<(String, bool), FieldError> {
    let mut field = Field::new(plan, row, SEED, engines)?;
    let seen = script::play(&mut field, &row.script, &row.expected, row.script_terms())?;
    Ok((seen, field.is_disturbed()?))
}

/// Why there are no links by netem on this machine; `None` if there are. Must not be asked before [`crate::enter`].
pub fn netem_missing() -> Option<String> {
    let hosts = vec![Host::new("a", None, Access::default())];
    let plan = plan(&Topology { routers: vec![], hosts, ..Topology::default() }).ok()?;
    let engines = Engines { links: LinkEngine::Netem, ..Engines::default() };
    Lab::up_with(&plan, SEED, engines).err().map(|error| text::chain(&error))
}

/// An engine's refusal, in its own words.
fn refusal(error: &LabError) -> Option<String> {
    // Which link that was says nothing.
    is_refusal(error).then(|| match error {
        LabError::Pipe { source, .. } => source.to_string(),
        error => error.to_string(),
    })
}

fn is_refusal(error: &LabError) -> bool {
    match error {
        LabError::Nftables(error) => matches!(**error, NftablesError::Unsupported { .. }),
        LabError::KernelRouter { .. } => true,
        LabError::Pipe { source: DeviceError::Netem(error), .. } => matches!(**error, NetemError::Unsupported { .. }),
        _ => false,
    }
}

/// The verdict on a row that could not be tried to the end.
fn untried(error: &FieldError) -> Verdict {
    let refusal = if let FieldError::Lab(error) = error { refusal(error) } else { None };
    refusal.map_or_else(|| Verdict::Broken { why: text::chain(error) }, |why| Verdict::Unsupported { why })
}

/// What the reference model makes of a row; `None` if it cannot be planned.
pub fn modelled(row: &Row) -> Option<String> {
    let plan = plan(&topology(row)).ok()?;
    let mut model = Model::new(&plan, row, SEED)?;
    script::play(&mut model, &row.script, &row.expected, row.script_terms()).ok()
}

/// Two hosts behind the router, two in public, and whatever else the row's shape has.
fn topology(row: &Row) -> Topology {
    let mut routers = vec![Router::new(ROUTER, row.gateway, Access::default())];
    let mut hosts = vec![
        Host::new("a", Some(ROUTER), Access::default()),
        Host::new("c", Some(ROUTER), Access::default()),
        Host::new("x", None, Access::default()),
        Host::new("y", None, Access::default()),
    ];
    if row.shape != Shape::Home {
        routers.push(Router::new(SECOND_ROUTER, row.gateway, Access::default()));
        hosts.push(Host::new("b", Some(SECOND_ROUTER), Access::default()));
    }
    if let Shape::Carrier(carrier) = row.shape {
        for router in &mut routers {
            router.behind = Some(CARRIER.into());
        }
        routers.push(Router::new(CARRIER, carrier, Access::default()));
    }
    Topology { routers, hosts, ..Topology::default() }
}

/// The addresses of all sockets in a family; no address where there is no such host.
fn own_addresses(plan: &Plan, v6: bool) -> Vec<SocketAddr> {
    let own = |(_, host, port): &(&str, &str, u16)| {
        let addresses = plan.addresses.hosts.get(*host).into_iter().flatten();
        let address = addresses.copied().find(|addr| addr.is_ipv6() == v6);
        SocketAddr::new(address.unwrap_or(Ipv4Addr::UNSPECIFIED.into()), *port)
    };
    script::SOCKETS.iter().map(own).collect()
}

/// The router's addresses towards its hosts.
fn inside_addresses(plan: &Plan) -> Vec<IpAddr> {
    plan.addresses.routers.get(ROUTER).map_or_else(Vec::new, |own| own.inside.clone())
}

/// Where the router is after its provider has renumbered it.
fn other_addresses(plan: &Plan) -> Vec<IpAddr> {
    let count = plan.addresses.routers.get(ROUTER).map_or(0, |own| own.outside.len());
    (1..=count).map(|n| Ipv4Addr::new(198, 18, 77, n as u8).into()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is refused, and why, is as much a part of the table as what is true.
    #[test]
    fn refusals_are_what_they_were() {
        let refusal = |row: &Row| {
            let plan = netsim_topology::with_kernel_routers(&plan(&topology(row)).unwrap());
            let why = crate::nftables::check(&plan).err()?;
            Some(format!("{}: {}: {why}", row.about, row.terms))
        };
        insta::assert_debug_snapshot!(rows::rows().iter().filter_map(refusal).collect::<Vec<String>>());
    }

    /// Columns that were made elsewhere are put together by name.
    #[test]
    fn no_two_rows_have_one_name() {
        let names = nat_rows().into_iter().map(|row| (row.about, row.terms));
        let links = link_rows().into_iter().map(|row| (row.about, row.terms.to_owned()));
        let names: Vec<(&str, String)> = names.chain(links).collect();
        for (n, name) in names.iter().enumerate() {
            assert!(!names[..n].contains(name), "{name:?}");
        }
    }

    #[test]
    fn every_row_is_true_in_the_reference_model() {
        for row in nat_rows() {
            assert!(script::is_sound(&row.script, &row.expected), "{row:?}");
            assert_eq!(modelled(&row).as_deref(), Some(&*row.expected), "{}: {}: {}", row.about, row.terms, row.script);
        }
    }
}
