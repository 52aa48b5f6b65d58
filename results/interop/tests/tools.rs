//! What other tools write here and now. Each test is skipped, with the reason, where its tool is not installed.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test may panic, and runs tools"
)]

use longhaul_interop::{benchfmt, hyperfine, iperf3};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// What a tool printed; nothing where it is not installed.
fn output(directory: &Path, command: &[&str]) -> Option<Output> {
    match Command::new(command[0]).args(&command[1..]).current_dir(directory).output() {
        Ok(output) => Some(output),
        Err(error) => {
            println!("SKIPPED: `{}`: {error}", command[0]);
            None
        }
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn what_hyperfine_writes_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let asked = ["hyperfine", "-N", "-i", "-r", "2", "--export-json", "out.json", "sleep 0.01", "false"];
    if output(directory.path(), &asked).is_none() {
        return;
    }
    let json = std::fs::read_to_string(directory.path().join("out.json")).unwrap();
    let [nap, failure] = hyperfine::read("-", &json).unwrap().try_into().unwrap();
    let [time] = &nap.outcome.unwrap()[..] else { panic!("{json}") };
    assert!(nap.name == "sleep 0.01" && time.metric == "iteration_time" && time.value >= 0.01, "{time:?}");
    assert_eq!((failure.name.as_str(), failure.outcome), ("false", Err("2 of 2 runs exited with an error".into())));
}

#[test]
fn what_iperf3_writes_is_read() {
    let directory = tempfile::tempdir().unwrap();
    // A free port: whoever had it last is gone.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let asked = ["iperf3", "--server", "--one-off", "--forceflush", "--bind", "127.0.0.1", "--port", &port];
    let server = Command::new(asked[0]).args(&asked[1..]).stdout(Stdio::piped()).spawn();
    let Ok(mut server) = server else {
        println!("SKIPPED: `iperf3` is not installed");
        return;
    };
    let lines = BufReader::new(server.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.contains("Server listening")));
    let client = ["iperf3", "--client", "127.0.0.1", "--port", &port, "--time", "1", "--json"];
    let report = output(directory.path(), &client).unwrap();
    server.wait().unwrap();
    let measured = iperf3::read("-", text(&report.stdout)).unwrap();
    let goodput = measured.outcome.unwrap()[0].value;
    assert!(measured.name == "iperf3 TCP, 1 stream" && measured.bytes > 0 && goodput > 0.0, "{goodput}");
    // Nobody is there any more.
    let refused = iperf3::read("-", text(&output(directory.path(), &client).unwrap().stdout)).unwrap();
    assert!(refused.outcome.unwrap_err().contains("unable to connect"));
}

#[test]
fn what_go_prints_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let test = "package a\nimport \"testing\"\nfunc BenchmarkLoop(b *testing.B) { for i := 0; i < b.N; i++ {} }\n";
    std::fs::write(directory.path().join("a_test.go"), test).unwrap();
    std::fs::write(directory.path().join("go.mod"), "module a\n").unwrap();
    let asked = ["go", "test", "-bench", ".", "-benchtime", "10x", "-count", "3", "-benchmem"];
    let Some(output) = output(directory.path(), &asked) else { return };
    let printed = format!("{}{}", text(&output.stdout), text(&output.stderr));
    let [measured] = benchfmt::read("-", &printed).unwrap().try_into().unwrap();
    let samples = measured.outcome.unwrap();
    let metrics: Vec<&str> = samples.iter().map(|sample| sample.metric.as_str()).collect();
    assert!(measured.name.starts_with("Loop"), "{printed}");
    assert_eq!(metrics, ["allocated_bytes", "allocations", "iteration_time"], "{printed}");
}
