//! Connections: accepted, bounded in time, ended.

use axum::Router;
use axum::serve::Listener;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::future::Future;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::time::timeout;

/// Serves until `shutdown` is ready, then lets requests under way finish, for as long as one may take to be sent. A
/// connection on which no headers arrive for so long is closed, as `axum::serve` would not.
pub(super) async fn serve(
    mut listener: TcpListener,
    router: Router,
    sending: Duration,
    shutdown: impl Future<Output = ()> + Send,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(sending);
    let connections = GracefulShutdown::new();
    tokio::pin!(shutdown);
    loop {
        let (stream, _) = tokio::select! {
            accepted = Listener::accept(&mut listener) => accepted,
            () = &mut shutdown => break,
        };
        // Compressed answers leave piece by piece: the last one must not wait for the first one's acknowledgement. Where
        // that cannot be had, it does.
        let _ = stream.set_nodelay(true);
        let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router.clone()));
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            // Whoever goes away in the middle of a request wants nothing any more.
            let _ = connection.await;
        });
    }
    drop(listener);
    // Whoever takes an answer slowly is not waited for.
    let _ = timeout(sending, connections.shutdown()).await;
}
