//! The conformance suite, a test for each row and engine. Needs what `longhaul doctor` asks for; skipped with the reason
//! where that is missing. With `LONGHAUL_TEST_LINKS=netem`, the rows about links over the kernel's netem instead, for the
//! virtual machine of `ci/netem-vm`.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::print_stdout, reason = "a test's own main")]

mod suite;

use libtest_mimic::Failed;
use netsim_lab::conformance::{self, Row, Verdict};
use netsim_lab::{Attachment, Engines, LinkEngine, NatEngine};
use suite::{Suite, attachment};

/// Names what carries the links instead of the fabric.
const LINKS: &str = "LONGHAUL_TEST_LINKS";
/// Most of a row is waiting.
const AT_ONCE: usize = 8;

fn main() {
    let mut suite = Suite::enter();
    if std::env::var_os(LINKS).is_some_and(|choice| choice == "netem") {
        let netem = suite.needs("links by netem", conformance::netem_missing);
        links(&mut suite, netem, Engines { links: LinkEngine::Netem, attachment: attachment(), ..suite::engines() });
        // Time shows in some of them, and a virtual machine has little of it.
        suite.run(2);
    }
    let nft = suite.needs("NAT by nftables", netsim_lab::nftables_missing);
    let attachment = attachment();
    for nat in [NatEngine::Userspace, NatEngine::Nftables] {
        for row in conformance::nat_rows() {
            let name = format!("{}: {}: {}", nat.as_str(), row.about, row.terms);
            let engines = Engines { attachment, nat, ..suite::engines() };
            suite.case_if(nat == NatEngine::Userspace || nft, name, move || check(&row, engines));
        }
    }
    // Links are tried with both, where both are to be had.
    let mut attachments = vec![attachment, Attachment::Packet];
    attachments.dedup();
    for attachment in attachments {
        links(&mut suite, true, Engines { attachment, ..suite::engines() });
    }
    suite.run(AT_ONCE);
}

fn links(suite: &mut Suite, able: bool, engines: Engines) {
    for row in conformance::link_rows() {
        let name = format!("links, {engines}: {}: {}", row.about, row.terms);
        let check = move || match conformance::try_link(&row, engines) {
            Verdict::Unsupported { .. } if engines.links != LinkEngine::Userspace => Ok(()),
            found => verdict(&format!("{}: {}", row.about, row.terms), found),
        };
        suite.case_if(able, name, check);
    }
}

/// The fabric can do everything; what Linux cannot is listed with the rows' own tests.
fn check(row: &Row, engines: Engines) -> Result<(), Failed> {
    match conformance::try_row(row, engines) {
        Verdict::Unsupported { .. } if engines.nat != NatEngine::Userspace => Ok(()),
        found => verdict(&format!("{}\nexpected: {}", row.script, row.expected), found),
    }
}

/// A machine that is too busy proves nothing, neither for the row nor against it.
fn verdict(row: &str, found: Verdict) -> Result<(), Failed> {
    match found {
        Verdict::True => Ok(()),
        Verdict::Busy { why } => {
            println!("SKIPPED: {row}: the machine was too busy: {why}");
            Ok(())
        }
        found => Err(format!("{row}\n{found:?}").into()),
    }
}
