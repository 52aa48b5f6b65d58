//! The pages that show longhaul's results.
//!
//! [`router`] turns a [`longhaul_store::Store`] into pages, [`bind`] and [`serve`] put them on an address. HTML and SVG
//! are made on the server and work without JavaScript; one script adds what only it can. [`export`] writes the same pages as
//! files. `page` takes contexts and gives HTML, `chart`
//! takes numbers and gives SVG: both are pure. Only `server` talks to a store.
//!
//! Programs ask `/api/v1` and hand results over there; [`openapi`] describes it. What a request may cost has [`Limits`].
//!
//! Whoever wants to change something needs a token ([`Scope`]) and a server that was told to accept it ([`Service`]).
//!
//! **Invariant:** pages only read, never depends on `netsim`, shows no number of a failed run, computes no verdict of its
//! own, and escapes every stored text.

mod access;
mod assets;
mod chart;
mod html;
mod page;
mod server;

pub use access::{Denied, Scope, token_hash, token_text};
pub use server::{
    BindError, ExportError, Exported, Limits, Service, bind, export, openapi, router, router_within, serve,
    serve_within,
};
