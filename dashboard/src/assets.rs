//! The files that pages refer to, built into the program.

use axum::http::header;
use axum::response::{IntoResponse, Response};
use std::sync::LazyLock;

const STYLE: &str = include_str!("../assets/style.css");
const SCRIPT: &str = include_str!("../assets/script.js");
const ICON: &str = include_str!("../assets/favicon.svg");

/// The stylesheet's address. It changes with the content, so that browsers may keep it for good.
pub(crate) static STYLE_HREF: LazyLock<String> = LazyLock::new(|| format!("/assets/style.css?v={:016x}", fnv(STYLE)));

/// The script's address.
pub(crate) static SCRIPT_HREF: LazyLock<String> = LazyLock::new(|| format!("/assets/script.js?v={:016x}", fnv(SCRIPT)));

pub(crate) async fn style() -> Response {
    kept("text/css; charset=utf-8", STYLE)
}

pub(crate) async fn script() -> Response {
    kept("text/javascript; charset=utf-8", SCRIPT)
}

fn kept(kind: &'static str, content: &'static str) -> Response {
    let cache = "public, max-age=31536000, immutable";
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, cache)], content).into_response()
}

pub(crate) async fn icon() -> Response {
    let cache = "public, max-age=86400";
    ([(header::CONTENT_TYPE, "image/svg+xml"), (header::CACHE_CONTROL, cache)], ICON).into_response()
}

/// FNV-1a, 64 bits: enough to tell versions of a stylesheet apart.
fn fnv(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
