//! The pages that show longhaul's results.
//!
//! [`router`] turns a [`longhaul_store::Store`] into pages, [`bind`] and [`serve`] put them on an address. HTML and SVG
//! are made on the server and work without JavaScript; one script adds what only it can. [`export`] writes the same pages as
//! files. `page` takes contexts and gives HTML, `chart`
//! takes numbers and gives SVG: both are pure. Only `server` talks to a store.
//!
//! **Invariant:** reads only, never depends on `netsim`, shows no number of a failed run, computes no verdict of its
//! own, and escapes every stored text.

mod assets;
mod chart;
mod html;
mod page;
mod server;

pub use server::{BindError, ExportError, Exported, bind, export, router, serve};
