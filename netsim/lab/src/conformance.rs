//! The conformance suite: what routers must do, tried with real sockets and real packets on every engine, beside
//! the reference model in virtual time.
//!
//! A [`Row`] is data: terms, a script of sendings, and what must be seen (`conformance/script.rs` says in which words). What an engine
//! cannot do it must refuse by itself; then the row is unsupported with the engine's own reason. So the table cannot be
//! true by leaving something out.

mod field;
mod links;
mod model;
mod rows;
mod script;
mod table;
mod traffic;
mod train;

use crate::lab::{Engines, LabError, NatEngine};
use crate::nftables::NftablesError;
use field::{Field, FieldError};
pub use links::{LinkRow, TriedLink, link_rows, try_link};
use longhaul_record::text;
use model::Model;
use netsim_topology::{Access, Host, Plan, Router, Topology, plan};
pub use rows::Row;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
pub use table::{links_markdown, markdown};

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

/// A row and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// The row.
    pub row: Row,
    /// On which engine.
    pub engine: NatEngine,
    /// What became of it.
    pub verdict: Verdict,
}

/// The router of every row.
const ROUTER: &str = "router";
/// Every random decision follows from it.
const SEED: u64 = 1;
/// Rows that wait do so together; each has a lab of its own.
const AT_ONCE: usize = 8;
/// A row is tried again where the machine was too busy for a verdict.
const TRIES: u32 = 4;

/// All rows about routers: the standard's terms, then random traffic against the reference model.
pub fn nat_rows() -> Vec<Row> {
    let mut rows = rows::rows();
    rows.extend(traffic::rows());
    rows
}

/// Tries rows about routers on an engine.
pub fn try_rows(rows: &[Row], engines: Engines, progress: &(dyn Fn(&str) + Sync)) -> Vec<Tried> {
    let engine = engines.nat;
    let one = |row: &Row| Tried { row: row.clone(), engine, verdict: try_row(row, engines) };
    side_by_side(rows, one, engine.as_str(), progress)
}

/// Tries rows about links with the engines of a column.
pub fn try_links(rows: &[LinkRow], column: &str, engines: Engines, progress: &(dyn Fn(&str) + Sync)) -> Vec<TriedLink> {
    let one = |row: &LinkRow| TriedLink { row: row.clone(), column: column.into(), verdict: try_link(row, engines) };
    side_by_side(rows, one, column, progress)
}

/// Results in the order of the rows.
fn side_by_side<R: Sync, T: Clone + Send>(
    rows: &[R],
    one: impl Fn(&R) -> T + Sync,
    column: &str,
    progress: &(dyn Fn(&str) + Sync),
) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(vec![None; rows.len()]);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(rows.len()) {
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
            Err(FieldError::Lab(error)) if is_refusal(&error) => {
                return Verdict::Unsupported { why: error.to_string() };
            }
            Err(error) => return Verdict::Broken { why: text::chain(&error) },
        }
    }
    Verdict::Busy { why: format!("datagrams came seconds late, {TRIES} times") }
}

/// What was seen, and whether the machine was too busy to say.
fn once(plan: &Plan, row: &Row, engines: Engines) -> Result<(String, bool), FieldError> {
    let mut field = Field::new(plan, row, SEED, engines)?;
    let seen = script::play(&mut field, &row.script, &row.expected, row.nat())?;
    Ok((seen, field.is_disturbed()?))
}

fn is_refusal(error: &LabError) -> bool {
    match error {
        LabError::Nftables(error) => matches!(**error, NftablesError::Unsupported { .. }),
        LabError::KernelRouter { .. } => true,
        _ => false,
    }
}

/// What the reference model makes of a row; `None` if it cannot be planned.
pub fn modelled(row: &Row) -> Option<String> {
    let plan = plan(&topology(row)).ok()?;
    let mut model = Model::new(&plan, row, SEED)?;
    script::play(&mut model, &row.script, &row.expected, row.nat()).ok()
}

impl Row {
    fn nat(&self) -> Option<&netsim_fabric::NatConfig> {
        match (&self.gateway.ipv6, self.v6) {
            (netsim_topology::Ipv6::Masquerade(nat), true) => Some(nat),
            (_, true) => None,
            (_, false) => self.gateway.nat.as_ref(),
        }
    }
}

/// Two hosts behind the router, two in public.
fn topology(row: &Row) -> Topology {
    let host = |name: &str, behind: Option<&str>| Host::new(name, behind, Access::default());
    let router = Router::new(ROUTER, row.gateway, Access::default());
    let hosts = vec![host("a", Some(ROUTER)), host("c", Some(ROUTER)), host("x", None), host("y", None)];
    Topology { routers: vec![router], hosts }
}

/// The addresses of all sockets in a family.
fn own_addresses(plan: &Plan, v6: bool) -> Option<Vec<SocketAddr>> {
    let own = |(_, host, port): &(&str, &str, u16)| {
        let address = plan.addresses.hosts.get(*host)?.iter().find(|addr| addr.is_ipv6() == v6)?;
        Some(SocketAddr::new(*address, *port))
    };
    script::SOCKETS.iter().map(own).collect()
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

    #[test]
    fn every_row_is_true_in_the_reference_model() {
        for row in nat_rows() {
            assert!(script::is_sound(&row.script, &row.expected), "{row:?}");
            assert_eq!(modelled(&row).as_deref(), Some(&*row.expected), "{}: {}: {}", row.about, row.terms, row.script);
        }
    }
}
