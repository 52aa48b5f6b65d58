//! The dashboard as `longhaul serve` offers it.

use super::ground::{DB, DEADLINE, Ground};
use nix::sys::signal::Signal;
use std::io::{Read, Write};
use std::net::TcpStream;

pub(crate) fn recorded_results_are_served() {
    let ground = Ground::new();
    let run = ground.record_one();
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let serving = ground.start(&["serve", "--listen", "127.0.0.1:0", "--db", DB]);
        let line = serving.says();
        let address = line.strip_prefix("dashboard: http://").unwrap().split('/').next().unwrap();
        for (path, expect) in [
            ("/", [&run.scenario, &run.subject]),
            (&format!("/scenario/{}", run.scenario), [&run.scenario, &run.subject]),
            (&format!("/run/{}", run.id), [&run.scenario, &run.subject]),
        ] {
            let page = get(address, path);
            assert!(page.starts_with("HTTP/1.0 200"), "{path}: {page}");
            for name in expect {
                assert!(page.contains(name.as_str()), "{path}: {name} is missing");
            }
        }
        assert!(get(address, "/run/none").starts_with("HTTP/1.0 404"));
        serving.signal(signal);
        let ended = serving.end();
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), ""), "{signal}: {ended:?}");
    }
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
