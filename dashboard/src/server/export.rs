//! The whole site as files that any file server can show.
//!
//! The pages are asked for as a visitor would, link by link, and links become relative ones to files. What only a server can
//! answer, two commits that somebody names, stays out.

use super::{App, Limits, routes};
use crate::html::localized;
use crate::page::Served;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use longhaul_store::Store;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tower::ServiceExt;

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exported {
    /// How many files.
    pub files: usize,
    /// How many bytes they have in all.
    pub bytes: u64,
}

/// Why a site was not written whole.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// There is something already, and it is nobody's to overwrite.
    #[error("{path} is not an empty directory; name a new one")]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// A file cannot be written.
    #[error("cannot write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A page cannot be made.
    #[error(
        "{address} answers {status}: the database does not give what its own pages ask for; see `longhaul db check`"
    )]
    Page {
        /// The page's address.
        address: String,
        /// Its status.
        status: u16,
    },
}

/// Pages that are linked from many others and would lead to thousands more.
const MOST_PAGES: usize = 20_000;

/// Writes every page that can be reached from the overview into `dir`, which is made.
pub async fn export(store: Arc<dyn Store>, dir: &Path) -> Result<Exported, ExportError> {
    let write = |path: &Path, source| ExportError::Write { path: path.to_owned(), source };
    std::fs::create_dir_all(dir).map_err(|source| write(dir, source))?;
    let mut entries = std::fs::read_dir(dir).map_err(|source| write(dir, source))?;
    if entries.next().is_some() {
        return Err(ExportError::NotEmpty { path: dir.to_owned() });
    }
    let router = routes(App::new(store, Served::Exported, Limits::default()));
    // Every page first: a link to one that is not there must become plain text.
    let mut pages: BTreeMap<String, (String, Vec<u8>)> = BTreeMap::new();
    let mut next = VecDeque::from(["/".to_owned()]);
    while let Some(address) = next.pop_front() {
        if pages.contains_key(&address) || pages.len() == MOST_PAGES {
            continue;
        }
        let Some(file) = file_of(&address) else { continue };
        let (status, body) = page(&router, &address).await;
        if status != StatusCode::OK {
            return Err(ExportError::Page { address, status: status.as_u16() });
        }
        if file.ends_with(".html") {
            let html = String::from_utf8_lossy(&body);
            next.extend(crate::html::links_in(&html).filter(|link| file_of(link).is_some()));
        }
        pages.insert(address, (file, body));
    }
    let mut exported = Exported { files: 0, bytes: 0 };
    for (file, body) in pages.values() {
        let body = match file.ends_with(".html") {
            true => {
                let there = |link: &str| file_of(link).filter(|_| pages.contains_key(link));
                localized(&String::from_utf8_lossy(body), file, there).into_bytes()
            }
            false => body.clone(),
        };
        let path = dir.join(file);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|source| write(parent, source))?;
        }
        std::fs::write(&path, &body).map_err(|source| write(&path, source))?;
        exported.files += 1;
        exported.bytes += body.len() as u64;
    }
    Ok(exported)
}

async fn page(router: &Router, address: &str) -> (StatusCode, Vec<u8>) {
    let Ok(request) = Request::get(address).body(Body::empty()) else {
        return (StatusCode::BAD_REQUEST, Vec::new());
    };
    // A router cannot fail, and what it answers is in memory.
    let Ok(response) = router.clone().oneshot(request).await;
    let status = response.status();
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap_or_default();
    (status, body.to_vec())
}

/// The file of an address; none for what only a server can answer.
fn file_of(address: &str) -> Option<String> {
    let (path, query) = address.split_once('?').unwrap_or((address, ""));
    if path.starts_with("/assets/") {
        return Some(path.trim_start_matches('/').to_owned());
    }
    // Of other projects and machines the query is part of the page's name; whatever else is asked for is a view of it.
    let scope =
        query.split('&').all(|part| part.is_empty() || part.starts_with("project=") || part.starts_with("host="));
    let kind = path.split('/').nth(1).unwrap_or_default();
    let exported = ["", "scenario", "run", "commit", "compare", "comparison", "alerts", "alert", "health"];
    if !scope || !exported.contains(&kind) || path.starts_with("/compare/") {
        return None;
    }
    let mut file = String::new();
    if !query.is_empty() {
        file.push_str(&plain(query));
        file.push('/');
    }
    for part in path.split('/').filter(|part| !part.is_empty()) {
        file.push_str(&plain(part));
        file.push('/');
    }
    match path.rsplit('/').next() {
        Some("record.json" | "series.csv") if kind == "run" => Some(file.trim_end_matches('/').to_owned()),
        _ => Some(file + "index.html"),
    }
}

/// A name that is one on every file system and in every address: letters, digits and a few signs; the rest by its code.
fn plain(part: &str) -> String {
    let mut out = String::with_capacity(part.len());
    for byte in part.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => out.push(char::from(byte)),
            b'.' if !out.is_empty() => out.push('.'),
            // Percent signs would be decoded by the server.
            other => out.push_str(&format!("~{other:02x}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_become_plain_files() {
        let rows = [
            ("/", Some("index.html")),
            ("/scenario/lossy/1pct", Some("scenario/lossy/1pct/index.html")),
            ("/scenario/nat%5Ba%5D", Some("scenario/nat~255Ba~255D/index.html")),
            ("/scenario/..%2Fx", Some("scenario/~2e.~252Fx/index.html")),
            ("/run/1?project=a&host=b", Some("project~3da~26host~3db/run/1/index.html")),
            ("/assets/style.css?v=1", Some("assets/style.css")),
            ("/run/1/series.csv", Some("run/1/series.csv")),
            ("/compare", Some("compare/index.html")),
            ("/compare?base=a&head=b", None),
            ("/scenario/x?from=a", None),
            ("/feed.atom", None),
        ];
        for (address, expect) in rows {
            assert_eq!(file_of(address).as_deref(), expect, "{address}");
        }
    }
}
