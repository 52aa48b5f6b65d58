//! From a store to pages over HTTP.

mod clock;
mod events;
mod export;
mod feeds;
mod frame;
mod pages;
mod triage;

use crate::assets;
use crate::page::{Frame, Problem, Served, problem};
use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
pub use export::{ExportError, Exported, export};
use longhaul_record::text;
use longhaul_store::{ReadError, Store};
use maud::Markup;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

/// Everything a page may load comes from this server, and what it sends goes there.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

type Answer = Result<Response, Failure>;

/// What every handler has.
#[derive(Clone)]
struct App {
    store: Arc<dyn Store>,
    served: Served,
    /// One for each page that listens for events.
    listeners: Arc<Semaphore>,
    /// True once the server is to end.
    closing: Arc<watch::Sender<bool>>,
}

impl App {
    fn new(store: Arc<dyn Store>, served: Served) -> App {
        let listeners = Arc::new(Semaphore::new(events::LISTENERS));
        App { store, served, listeners, closing: Arc::new(watch::Sender::new(false)) }
    }

    fn frame(&self) -> Frame {
        Frame { served: self.served, ..Frame::default() }
    }
}

/// What a server does for its visitors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Service {
    /// Shows what there is.
    #[default]
    Show,
    /// Also takes results and triage, from whoever has a token for it. The store must be open for writing.
    Accept,
}

/// The dashboard as a service; every answer carries the security headers.
pub fn router(store: Arc<dyn Store>, service: Service) -> Router {
    routes(App::new(store, service.served()))
}

impl Service {
    fn served(self) -> Served {
        match self {
            Service::Show => Served::ReadOnly,
            Service::Accept => Served::Writable,
        }
    }
}

fn routes(app: App) -> Router {
    pages::routes()
        .merge(feeds::routes())
        .merge(events::routes())
        .route("/assets/style.css", get(assets::style))
        .route("/assets/script.js", get(assets::script))
        .route("/assets/favicon.svg", get(assets::icon))
        .fallback(nowhere)
        .layer(middleware::from_fn(headers))
        .with_state(app)
}

/// Why the dashboard has no address to be seen at.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody else listens there.
    #[error("{address} is in use by another program; end it or choose another address with --listen")]
    InUse {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Not allowed, or no such address on this machine.
    #[error("cannot listen on {address}; choose another address with --listen")]
    Unusable {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Takes an address to serve on. Port 0 takes any free one; the listener knows which.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse { address, source },
        _ => BindError::Unusable { address, source },
    })
}

/// Serves until `shutdown` is ready, then lets requests under way finish.
pub async fn serve(
    listener: TcpListener,
    store: Arc<dyn Store>,
    service: Service,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let app = App::new(store, service.served());
    let closing = app.closing.clone();
    let shutdown = async move {
        shutdown.await;
        closing.send_replace(true);
    };
    axum::serve(listener, routes(app)).with_graceful_shutdown(shutdown).await
}

async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Results change while they are looked at.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache"));
    response
}

/// A problem as an answer, with the frame it is shown in.
struct Failure(Box<(Frame, Problem)>);

impl Failure {
    fn new(frame: Frame, problem: Problem) -> Failure {
        Failure(Box::new((frame, problem)))
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (frame, kind) = &*self.0;
        answer(kind.status(), &problem(frame, kind))
    }
}

/// Says the whole chain of causes: whoever reads this runs the server.
fn unreadable(error: &ReadError) -> Failure {
    Failure::new(Frame::default(), Problem::Store { detail: text::chain(error) })
}

fn answer(status: StatusCode, page: &Markup) -> Response {
    let html = page.0.clone();
    (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response()
}

async fn nowhere() -> Failure {
    Failure::new(Frame::default(), Problem::NoPage)
}
