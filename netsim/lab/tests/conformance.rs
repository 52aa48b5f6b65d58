//! The conformance suite, a test for each row and engine. Needs what `longhaul doctor` asks for; skipped with the reason
//! where that is missing. Has its own `main`, because entering the sandbox must come before the first thread.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a test's own main")]

use libtest_mimic::{Arguments, Failed, Trial};
use netsim_lab::conformance::{self, Row, Verdict};
use netsim_lab::{Attachment, Engines, NatEngine, State};

/// Names the attachment to use instead of the one that suits the machine.
const CHOICE: &str = "LONGHAUL_TEST_ATTACHMENT";
/// Most of a row is waiting.
const AT_ONCE: usize = 8;

fn main() {
    let arguments = Arguments::from_args();
    let missing = match netsim_lab::enter() {
        Ok(_) => netsim_lab::doctor().into_iter().find(|finding| finding.state == State::Missing).map(|f| f.detail),
        Err(error) => Some(error.to_string()),
    };
    let no_nft = if missing.is_none() { netsim_lab::nftables_missing() } else { None };
    if let Some(reason) = &missing {
        println!("SKIPPED: no lab on this machine: {reason}");
    }
    if let Some(reason) = &no_nft {
        println!("SKIPPED: NAT by nftables: {reason}");
    }
    let packet = std::env::var_os(CHOICE).is_some_and(|choice| choice == "packet");
    let attachment = if packet { Attachment::Packet } else { Attachment::pick() };
    // Links are tried with both, where both are to be had.
    let attachments =
        if attachment == Attachment::Tun { vec![attachment, Attachment::Packet] } else { vec![attachment] };
    let mut trials = Vec::new();
    for nat in [NatEngine::Userspace, NatEngine::Nftables] {
        let skipped = missing.is_some() || (nat == NatEngine::Nftables && no_nft.is_some());
        for row in conformance::nat_rows() {
            let name = format!("{}: {}: {}", nat.as_str(), row.about, row.terms);
            let engines = Engines { attachment, nat, ..Engines::default() };
            trials.push(Trial::test(name, move || check(&row, engines)).with_ignored_flag(skipped));
        }
    }
    for attachment in attachments {
        for row in conformance::link_rows() {
            let name = format!("links, {attachment}: {}: {}", row.about, row.terms);
            let engines = Engines { attachment, ..Engines::default() };
            let check = move || match conformance::try_link(&row, engines) {
                Verdict::True => Ok(()),
                verdict => Err(Failed::from(format!("{verdict:?}"))),
            };
            trials.push(Trial::test(name, check).with_ignored_flag(missing.is_some()));
        }
    }
    let arguments = Arguments { test_threads: arguments.test_threads.or(Some(AT_ONCE)), ..arguments };
    libtest_mimic::run(&arguments, trials).exit();
}

/// The fabric can do everything; what Linux cannot is listed with the rows' own tests.
fn check(row: &Row, engines: Engines) -> Result<(), Failed> {
    match conformance::try_row(row, engines) {
        Verdict::True => Ok(()),
        Verdict::Unsupported { .. } if engines.nat != NatEngine::Userspace => Ok(()),
        verdict => Err(format!("{}\nexpected: {}\n{verdict:?}", row.script, row.expected).into()),
    }
}
