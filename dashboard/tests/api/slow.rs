//! Those who take their time. Waits are bounded from below: a busy machine makes them longer.

use super::{JSON, Server, fresh, post};
use axum::body::{Body, Bytes, HttpBody};
use http_body_util::BodyExt;
use longhaul_dashboard::{Limits, Scope, Service, bind, serve_within};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::Instant;

const SENDING: Duration = Duration::from_millis(300);

async fn listening(limits: Limits) -> (Server, String, SocketAddr) {
    let server = Server::within(Service::Accept, limits).await;
    let token = server.token(1, &[Scope::Ingest], None).await;
    let listener = bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve_within(listener, server.store.clone(), Service::Accept, limits, std::future::pending()));
    (server, token, address)
}

/// What is answered to this until the connection is closed, and how long that took.
async fn answered(address: SocketAddr, sent: &str) -> (String, Duration) {
    let start = Instant::now();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(sent.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    (String::from_utf8_lossy(&answer).into_owned(), start.elapsed())
}

#[tokio::test]
async fn whoever_is_too_slow_is_cut_off() {
    let (_server, token, address) = listening(Limits { sending: SENDING, ..Limits::default() }).await;
    let head =
        format!("POST /api/v1/runs HTTP/1.1\r\nhost: a\r\ncontent-type: {JSON}\r\nauthorization: Bearer {token}\r\n");
    let form =
        "POST /alert/01940000-0000-7000-8000-000000000001 HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nstate=";
    let table = [
        (format!("{head}content-length: 100\r\n\r\n{{"), "HTTP/1.1 408 "),
        (format!("{head}transfer-encoding: chunked\r\n\r\n1\r\n{{\r\n"), "HTTP/1.1 408 "),
        (form.to_owned(), "HTTP/1.1 408 "),
        ("GET / HTTP/1.1\r\nhost: a\r\nx-slow: ".to_owned(), ""),
        (String::new(), ""),
    ];
    for (sent, expect) in table {
        let (answer, took) = answered(address, &sent).await;
        assert!(answer.starts_with(expect), "{sent}: {answer}");
        assert!(expect.is_empty() || answer.contains("did not arrive within 0.3 s"), "{answer}");
        assert!(took >= SENDING, "{sent}: after {took:?}");
        assert!(!answer.contains(&token));
    }
}

#[tokio::test]
async fn whoever_is_not_is_served() {
    let (_server, token, address) = listening(Limits::default()).await;
    let body = serde_json::to_string(&fresh("a")).unwrap();
    let head = format!("authorization: Bearer {token}\r\ncontent-type: {JSON}\r\nconnection: close\r\n");
    let sent = format!("POST /api/v1/runs HTTP/1.1\r\nhost: a\r\n{head}content-length: {}\r\n\r\n{body}", body.len());
    let (answer, _) = answered(address, &sent).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(r#"{"new":1,"known":0}"#), "{answer}");
    let (answer, _) = answered(address, "HEAD /api/v1/runs HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\n"), "{answer}");
}

/// A body of which nothing comes, that says when it is waited for.
struct Never(Option<oneshot::Sender<()>>);

impl HttpBody for Never {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        if let Some(waiting) = self.0.take() {
            let _ = waiting.send(());
        }
        Poll::Pending
    }
}

#[tokio::test]
async fn so_many_at_once_and_no_more() {
    let server = Server::within(Service::Accept, Limits { at_once: 1, ..Limits::default() }).await;
    let token = server.token(1, &[Scope::Ingest], None).await;
    let (waiting, waited_for) = oneshot::channel();
    let router = server.router.clone();
    let slow = post("/runs", &token, JSON, Body::new(Never(Some(waiting)).map_err(|never| match never {})));
    let first = tokio::spawn(async move { super::answer(&router, slow).await });
    waited_for.await.unwrap();
    let body = serde_json::to_vec(&fresh("a")).unwrap();
    let answer = server.post("/runs", &token, JSON, body.clone()).await;
    assert!(answer.error(503).contains("try again"));
    assert_eq!(answer.headers["retry-after"], "1");
    assert_eq!(server.get("/runs").await.status.as_u16(), 200, "who only reads is not in the way");
    // Whoever goes away leaves his place.
    first.abort();
    assert!(first.await.is_err());
    assert_eq!(server.post("/runs", &token, JSON, body).await.status.as_u16(), 200);
}
