//! A plain HTTP/1.1 server for files below one directory: the other end of the `curl` baseline.
//!
//! It does little, quickly: GET and HEAD, keep-alive, one byte range per request. No directory listings, no symbolic
//! links out of the root. It runs on the same runtime as everything else here, so that what the baseline lacks is
//! verification and encryption and nothing else.

use std::convert::Infallible;
use std::fs::File;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::header::{ACCEPT_RANGES, ALLOW, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderValue, RANGE};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// Bytes read from a file at once.
const READ_BYTES: usize = 256 * 1024;

/// Why the server cannot run.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The root is no directory.
    #[error("cannot serve {}", root.display())]
    Root {
        /// The root.
        root: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The address is in use, not ours, or forbidden.
    #[error("cannot listen on TCP {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// A server with its socket bound.
#[derive(Debug)]
pub struct HttpServer {
    listener: TcpListener,
    root: Arc<Path>,
}

impl HttpServer {
    /// Binds the socket. Must be called within a runtime.
    pub async fn bind(root: &Path, address: SocketAddr) -> Result<HttpServer, HttpError> {
        let error = |source| HttpError::Root { root: root.into(), source };
        let canonical = root.canonicalize().map_err(error)?;
        if !canonical.is_dir() {
            return Err(error(io::ErrorKind::NotADirectory.into()));
        }
        let bind = |source| HttpError::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(bind)?;
        Ok(HttpServer { listener, root: canonical.into() })
    }

    /// Where it listens.
    pub fn url(&self) -> Option<String> {
        self.listener.local_addr().ok().map(|address| format!("http://{address}/"))
    }

    /// Serves until `stop` completes. Transfers in progress are cut off then.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let accept = async {
            loop {
                match self.listener.accept().await {
                    Ok((stream, _)) => {
                        // Only costs latency if it fails.
                        let _ = stream.set_nodelay(true);
                        let root = Arc::clone(&self.root);
                        let service = service_fn(move |request| {
                            let response = respond(&root, &request);
                            async { Ok::<_, Infallible>(response) }
                        });
                        let connection = hyper::server::conn::http1::Builder::new()
                            .max_buf_size(2 * READ_BYTES)
                            .serve_connection(TokioIo::new(stream), service);
                        // A client that hangs up or talks nonsense concerns nobody else.
                        tokio::spawn(async { drop(connection.await) });
                    }
                    Err(error) => {
                        // Out of file descriptors, most likely: let some connections end first.
                        let _ = writeln!(io::stderr(), "longhaul-transfer: cannot accept a connection: {error}");
                        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                    }
                }
            }
        };
        tokio::select! {
            () = accept => {}
            () = stop => {}
        }
    }
}

fn respond<B>(root: &Path, request: &Request<B>) -> Response<FileBody> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED);
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let Some((file, length)) = open(root, request.uri().path()) else { return plain(StatusCode::NOT_FOUND) };
    let range = request.headers().get(RANGE).and_then(|value| value.to_str().ok());
    let (status, start, end) = match range.map(|text| parse_range(text, length)) {
        None | Some(Requested::Everything) => (StatusCode::OK, 0, length),
        Some(Requested::Part { start, end }) => (StatusCode::PARTIAL_CONTENT, start, end),
        Some(Requested::Beyond) => {
            let mut response = plain(StatusCode::RANGE_NOT_SATISFIABLE);
            insert(&mut response, CONTENT_RANGE, &format!("bytes */{length}"));
            return response;
        }
    };
    let body = if request.method() == Method::HEAD { FileBody::none() } else { FileBody::new(file, start, end) };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(end - start));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    response.headers_mut().insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if status == StatusCode::PARTIAL_CONTENT {
        insert(&mut response, CONTENT_RANGE, &format!("bytes {start}-{}/{length}", end - 1));
    }
    response
}

fn plain(status: StatusCode) -> Response<FileBody> {
    let mut response = Response::new(FileBody::none());
    *response.status_mut() = status;
    response
}

fn insert(response: &mut Response<FileBody>, name: hyper::header::HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        response.headers_mut().insert(name, value);
    }
}

/// Opens the regular file a request path means, if it lies below the root after all links are followed.
fn open(root: &Path, uri_path: &str) -> Option<(File, u64)> {
    let path = root.join(relative_path(uri_path)?).canonicalize().ok()?;
    if !path.starts_with(root) {
        return None;
    }
    // Looked at before it is opened: opening a pipe would wait for its writer.
    if !path.metadata().ok()?.is_file() {
        return None;
    }
    let file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    Some((file, length))
}

/// The decoded path below the root; none if it is not a plain one.
fn relative_path(uri_path: &str) -> Option<PathBuf> {
    let decoded = percent_decode(uri_path.strip_prefix('/')?)?;
    let plain = |component: &str| !component.is_empty() && component != "." && component != "..";
    (!decoded.contains('\0') && decoded.split('/').all(plain)).then(|| PathBuf::from(decoded))
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, after) = rest.split_first_chunk::<2>()?;
        rest = after;
        let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
        bytes.push(digit(digits[0])? << 4 | digit(digits[1])?);
    }
    String::from_utf8(bytes).ok()
}

/// What a `Range` header asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Requested {
    /// Also when the header is not understood (RFC 9110, section 14.2).
    Everything,
    Part {
        start: u64,
        end: u64,
    },
    Beyond,
}

fn parse_range(text: &str, length: u64) -> Requested {
    let Some((first, last)) = text.strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
        return Requested::Everything;
    };
    let (start, end) = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(start), Ok(last)) if start <= last => (start, last.saturating_add(1).min(length)),
        (Ok(start), Err(_)) if last.is_empty() => (start, length),
        (Err(_), Ok(suffix)) if first.is_empty() => (length.saturating_sub(suffix), length),
        _ => return Requested::Everything,
    };
    if start < end { Requested::Part { start, end } } else { Requested::Beyond }
}

/// A part of a file, read as fast as it is taken.
#[derive(Debug)]
struct FileBody {
    file: Option<File>,
    offset: u64,
    end: u64,
}

impl FileBody {
    fn new(file: File, offset: u64, end: u64) -> Self {
        FileBody { file: Some(file), offset, end }
    }

    fn none() -> Self {
        FileBody { file: None, offset: 0, end: 0 }
    }
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let (offset, left) = (self.offset, self.end - self.offset);
        let Some(file) = self.file.as_ref().filter(|_| left > 0) else { return Poll::Ready(None) };
        let mut buffer = vec![0; READ_BYTES.min(usize::try_from(left).unwrap_or(usize::MAX))];
        // A file that shrank ends the connection: the promised length cannot be kept.
        if let Err(error) = file.read_exact_at(&mut buffer, offset) {
            return Poll::Ready(Some(Err(error)));
        }
        self.offset += buffer.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(buffer)))))
    }

    fn is_end_stream(&self) -> bool {
        self.file.is_none() || self.offset == self.end
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.end - self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_below_the_root() {
        let rows = [
            ("/a/b", Some("a/b")),
            ("/a%20b%2fc", Some("a b/c")),
            ("/%C3%A4", Some("ä")),
            ("/", None),
            ("a", None),
            ("//etc/passwd", None),
            ("/../up", None),
            ("/a/%2e%2e/%2E%2e/up", None),
            ("/a/./b", None),
            ("/a%00b", None),
            ("/%2", None),
            ("/%zz", None),
            ("/%ff", None),
        ];
        for (path, expect) in rows {
            assert_eq!(relative_path(path), expect.map(PathBuf::from), "{path}");
        }
    }

    #[test]
    fn ranges_are_understood() {
        let part = |start, end| Requested::Part { start, end };
        let rows = [
            ("bytes=0-0", part(0, 1)),
            ("bytes=2-5", part(2, 6)),
            ("bytes=2-", part(2, 10)),
            ("bytes=-3", part(7, 10)),
            ("bytes=-30", part(0, 10)),
            ("bytes=5-99", part(5, 10)),
            ("bytes=5-18446744073709551615", part(5, 10)),
            ("bytes=10-", Requested::Beyond),
            ("bytes=-0", Requested::Beyond),
            ("bytes=5-2", Requested::Everything),
            ("bytes=0-1,3-4", Requested::Everything),
            ("lines=0-1", Requested::Everything),
            ("bytes=a-b", Requested::Everything),
        ];
        for (text, expect) in rows {
            assert_eq!(parse_range(text, 10), expect, "{text}");
        }
    }
}
