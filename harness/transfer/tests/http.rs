//! The plain HTTP server, spoken to byte by byte and by curl.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking and says why it skips")]

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use common::{Server, binary, failure, random_bytes};

fn serve(root: &Path) -> Server {
    Server::start(binary().args(["http", "--listen", "127.0.0.1:0", "--root"]).arg(root))
}

/// A client that writes exactly what it is told and reads one response at a time.
struct Client(BufReader<TcpStream>);

impl Client {
    fn connect(server: &Server) -> Client {
        let address = server.ticket.strip_prefix("http://").unwrap().trim_end_matches('/');
        Client(BufReader::new(TcpStream::connect(address).unwrap()))
    }

    /// Status, headers in lower case, body. A response to HEAD has no body.
    fn request(&mut self, method: &str, path: &str, headers: &str) -> (u16, String, Vec<u8>) {
        let text = format!("{method} {path} HTTP/1.1\r\nHost: test\r\n{headers}\r\n");
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(self.0.read_line(&mut head).unwrap() > 0, "{head:?}");
        }
        let head = head.to_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
        let mut body = vec![0; if method == "HEAD" { 0 } else { length }];
        self.0.read_exact(&mut body).unwrap();
        (status, head, body)
    }
}

#[test]
fn one_connection_serves_many_requests() {
    let scratch = tempfile::tempdir().unwrap();
    let root = scratch.path().join("root");
    fs::create_dir_all(root.join("dir")).unwrap();
    fs::write(root.join("file"), "0123456789").unwrap();
    fs::write(root.join("dir/ä b"), "inner").unwrap();
    fs::write(root.join("empty"), "").unwrap();
    fs::write(scratch.path().join("secret"), "secret").unwrap();
    std::os::unix::fs::symlink(scratch.path().join("secret"), root.join("leak")).unwrap();
    std::os::unix::fs::symlink("file", root.join("alias")).unwrap();
    let server = serve(&root);
    let mut client = Client::connect(&server);
    let rows = [
        ("GET", "/file", "", 200, "0123456789"),
        ("HEAD", "/file", "", 200, ""),
        ("GET", "/empty", "", 200, ""),
        ("GET", "/alias", "", 200, "0123456789"),
        ("GET", "/dir/%C3%A4%20b", "", 200, "inner"),
        ("GET", "/dir/%C3%A4%20b?query", "", 200, "inner"),
        ("GET", "/file", "Range: bytes=2-4\r\n", 206, "234"),
        ("GET", "/file", "Range: bytes=-3\r\n", 206, "789"),
        ("GET", "/file", "Range: bytes=10-\r\n", 416, ""),
        ("GET", "/", "", 404, ""),
        ("GET", "/dir", "", 404, ""),
        ("GET", "/missing", "", 404, ""),
        ("GET", "/leak", "", 404, ""),
        ("GET", "/../secret", "", 404, ""),
        ("GET", "/dir/%2e%2e/%2e%2e/secret", "", 404, ""),
        ("GET", "//etc/passwd", "", 404, ""),
        ("POST", "/file", "Content-Length: 0\r\n", 405, ""),
        ("GET", "/file", "", 200, "0123456789"),
    ];
    for (method, path, headers, status, body) in rows {
        let (got, head, bytes) = client.request(method, path, headers);
        assert_eq!((got, bytes.as_slice()), (status, body.as_bytes()), "{method} {path} {headers}: {head}");
    }
    let (_, head, _) = client.request("HEAD", "/file", "");
    assert!(head.contains("content-length: 10\r\n"), "{head}");
    let (_, head, _) = client.request("GET", "/file", "Range: bytes=2-4\r\n");
    assert!(head.contains("content-range: bytes 2-4/10\r\n"), "{head}");
    let (_, head, _) = client.request("GET", "/file", "Range: bytes=99-\r\n");
    assert!(head.contains("content-range: bytes */10\r\n"), "{head}");
    drop(client);
    assert_eq!(server.stop(), (Some(0), String::new()));
}

#[test]
fn curl_gets_every_byte_of_a_large_file() {
    let scratch = tempfile::tempdir().unwrap();
    let data = random_bytes(1, (5 << 20) + 7);
    fs::write(scratch.path().join("file"), &data).unwrap();
    let server = serve(scratch.path());
    match Command::new("curl").args(["-sSf", &format!("{}file", server.ticket)]).output() {
        Ok(output) => assert!(output.status.success() && output.stdout == data, "{:?}", output.status),
        Err(error) => println!("skipped: curl cannot be run: {error}"),
    }
}

#[test]
fn a_root_that_is_no_directory_is_named() {
    for root in ["/missing", "/dev/null"] {
        let output = binary().args(["http", "--listen", "127.0.0.1:0", "--root", root]).output().unwrap();
        let message = failure(&output);
        assert!(message.contains(&format!("cannot serve {root}")), "{message:?}");
    }
}
