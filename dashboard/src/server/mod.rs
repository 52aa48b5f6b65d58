//! From a store to pages over HTTP.

mod api;
mod clock;
mod connection;
mod events;
mod export;
mod feeds;
mod frame;
mod ingest;
mod limits;
mod openapi;
mod pages;
mod refused;
mod triage;

use crate::assets;
use crate::page::{Frame, Problem, Served, problem};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
pub use export::{ExportError, Exported, export};
use limits::Gate;
pub use limits::Limits;
use longhaul_record::text;
use longhaul_store::{ReadError, Store};
use maud::Markup;
pub use openapi::document as openapi;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tower_http::compression::CompressionLayer;

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
    /// Where results come in.
    gate: Arc<Gate>,
}

impl App {
    fn new(store: Arc<dyn Store>, served: Served, limits: Limits) -> App {
        let listeners = Arc::new(Semaphore::new(events::LISTENERS));
        let gate = Arc::new(Gate::new(limits));
        App { store, served, listeners, closing: Arc::new(watch::Sender::new(false)), gate }
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
    router_within(store, service, Limits::default())
}

/// [`router`] with bounds of one's own.
pub fn router_within(store: Arc<dyn Store>, service: Service, limits: Limits) -> Router {
    routes(App::new(store, service.served(), limits))
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
        .merge(api::routes())
        .route("/assets/style.css", get(assets::style))
        .route("/assets/script.js", get(assets::script))
        .route("/assets/favicon.svg", get(assets::icon))
        .fallback(nowhere)
        .layer(middleware::from_fn_with_state(app.clone(), forms))
        .layer(middleware::from_fn(headers))
        .layer(CompressionLayer::new())
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
    serve_within(listener, store, service, Limits::default(), shutdown).await
}

/// [`serve`] with bounds of one's own.
pub async fn serve_within(
    listener: TcpListener,
    store: Arc<dyn Store>,
    service: Service,
    limits: Limits,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let app = App::new(store, service.served(), limits);
    let closing = app.closing.clone();
    let shutdown = async move {
        shutdown.await;
        closing.send_replace(true);
    };
    connection::serve(listener, routes(app), limits.sending, shutdown).await;
    Ok(())
}

/// Takes a form whole before anything is asked of the store: it is small, and in time, or refused.
async fn forms(State(app): State<App>, request: Request, next: Next) -> Response {
    const MOST_BYTES: usize = 64 << 10;
    // The interface bounds what it takes once it knows who sends it.
    if request.method() != Method::POST || request.uri().path().starts_with(api::ROOT) {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let whole = Request::from_parts(parts.clone(), body);
    match app.gate.received(whole, MOST_BYTES).await {
        Ok(body) => next.run(Request::from_parts(parts, body.into())).await,
        Err(refused) => refused.into_response(),
    }
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
