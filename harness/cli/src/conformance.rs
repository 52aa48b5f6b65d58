//! `longhaul lab conformance`: everything routers and links must do, tried on this machine.

use crate::VERSION;
use crate::args::Tested;
use crate::error::CliError;
use crate::output;
use crate::table;
use longhaul_record::Exit;
use longhaul_runner::{machine, wall_ms};
use netsim_lab::conformance::{self, Document, Tried, Verdict};
use netsim_lab::{Attachment, Engines, LinkEngine, NatEngine, nftables_missing};
use std::fs;
use std::path::PathBuf;

/// What to print.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Form<'a> {
    /// A line for each row.
    Plain,
    /// One line of JSON.
    Json,
    /// The table of docs/netsim-conformance.md.
    Markdown {
        /// Files with documents that were made elsewhere.
        add: &'a [PathBuf],
    },
}

/// Tries all rows, prints what became of them, and says how many hold.
pub(crate) fn command(only: Option<Tested>, form: Form<'_>) -> Result<Exit, CliError> {
    // A file that cannot be read is better known before than after.
    let added = if let Form::Markdown { add } = form { read(add)? } else { Vec::new() };
    let _sandbox = netsim_lab::enter()?;
    let attachment = Attachment::pick();
    let tried = run(only, attachment);
    let document = Document { place: place(attachment), tried };
    let exit = exit(&document.tried);
    match form {
        Form::Plain => print(&document.tried)?,
        Form::Json => output::line(document.to_line())?,
        Form::Markdown { .. } => output::line(page(&[vec![document], added].concat()))?,
    }
    Ok(exit)
}

fn exit(tried: &[Tried]) -> Exit {
    let any = |test: fn(&Verdict) -> bool| tried.iter().any(|tried| test(&tried.verdict));
    if any(|verdict| matches!(verdict, Verdict::False { .. })) {
        Exit::Untrusted
    } else if any(|verdict| matches!(verdict, Verdict::Busy { .. } | Verdict::Broken { .. })) {
        Exit::Environment
    } else {
        Exit::Pass
    }
}

fn read(files: &[PathBuf]) -> Result<Vec<Document>, CliError> {
    let one = |file: &PathBuf| -> Result<Vec<Document>, CliError> {
        let failed = |source| CliError::Conformance { path: file.clone(), source };
        // A console's output need not be UTF-8 everywhere.
        let bytes = fs::read(file).map_err(|source| CliError::Read { path: file.clone(), source })?;
        Document::read_all(&String::from_utf8_lossy(&bytes)).map_err(failed)
    };
    Ok(files.iter().map(one).collect::<Result<Vec<_>, _>>()?.concat())
}

/// Every column that is wanted and to be had.
fn run(only: Option<Tested>, attachment: Attachment) -> Vec<Tried> {
    let wanted = |engine| only.is_none_or(|only| only == engine);
    let is_there = |name: &str, missing: Option<String>| {
        // What was asked for by name is tried all the same, and says itself what it lacks.
        let skip = missing.filter(|_| only.is_none());
        if let Some(why) = &skip {
            output::note(format!("{name} was skipped: {why}"));
        }
        skip.is_none()
    };
    let progress = |step: &str| output::note(step);
    let base = Engines { attachment, ..Engines::default() };
    let mut tried = Vec::new();
    let rows = conformance::nat_rows();
    if wanted(Tested::Userspace) {
        tried.extend(conformance::try_rows(&rows, base, &progress));
    }
    if wanted(Tested::Nftables) && is_there("nftables", nftables_missing()) {
        tried.extend(conformance::try_rows(&rows, Engines { nat: NatEngine::Nftables, ..base }, &progress));
    }
    let rows = conformance::link_rows();
    if wanted(Tested::Userspace) {
        // With every way to attach hosts that there is.
        let mut attachments = vec![attachment, Attachment::Packet];
        attachments.dedup();
        for attachment in attachments {
            let engines = Engines { attachment, ..base };
            tried.extend(conformance::try_links(&rows, &format!("userspace, {attachment}"), engines, &progress));
        }
    }
    if wanted(Tested::Netem) && is_there("netem", conformance::netem_missing()) {
        let engines = Engines { links: LinkEngine::Netem, ..base };
        tried.extend(conformance::try_links(&rows, "netem", engines, &progress));
    }
    tried
}

/// Where and when.
fn place(attachment: Attachment) -> String {
    let machine = machine(VERSION, Engines { attachment, ..Engines::default() });
    let now = jiff::Timestamp::from_millisecond(wall_ms());
    let day = now.map_or_else(|_| String::new(), |now| now.strftime("%Y-%m-%d").to_string());
    let (kernel, cores, cpu) = (machine.kernel, machine.cores, machine.cpu);
    format!("{day}, longhaul {VERSION}, Linux {kernel}, {cores} processors ({cpu}), hosts attached by {attachment}")
}

fn print(tried: &[Tried]) -> Result<(), CliError> {
    let rows = tried.iter().map(|tried| {
        let saw = tried.script.as_ref().map_or("saw".to_owned(), |(_, expected)| format!("expected {expected}, saw"));
        vec![tried.column.clone(), tried.about.clone(), tried.terms.clone(), words(&tried.verdict, &saw)]
    });
    output::line(table::plain(&["Engine", "About", "Terms", "Verdict"], rows))
}

fn words(verdict: &Verdict, saw: &str) -> String {
    match verdict {
        Verdict::True => "true".to_owned(),
        Verdict::False { seen } => format!("FALSE: {saw} {seen}"),
        Verdict::Unsupported { .. } => "unsupported".to_owned(),
        Verdict::Busy { why } => format!("NOT TRIED: the machine was too busy: {why}"),
        Verdict::Broken { why } => format!("NOT TRIED: {why}"),
    }
}

/// What `docs/netsim-conformance.md` says.
fn page(documents: &[Document]) -> String {
    let place = |document: &Document| format!("- {}: {}.\n", document.columns().join("; "), document.place);
    let places: String = documents.iter().map(place).collect();
    let (routers, links) = (conformance::routers_markdown(documents), conformance::links_markdown(documents));
    format!("{HEAD}\n{places}\n{ROUTERS}\n{routers}\n{LINKS}\n{}", links.trim_end())
}

const HEAD: &str = "\
# What the simulated network does, row by row

Made by `longhaul lab conformance --markdown`; not to be edited by hand (CONTRIBUTING.md has the commands). Every row is
tried with real packets in network namespaces, in a lab of its own. Columns, and where they were tried:
";

const ROUTERS: &str = "\
## Routers

What must be seen follows from the terms of RFC 4787, for TCP of RFC 5382, for ICMP of RFC 5508, behind a carrier of RFC
6888. The reference model, the fabric in virtual time, sees the same in every row (`cargo test -p netsim-lab --lib
conformance`), and says what must be seen of random traffic.

Inside are sockets `a`, `a2` and `o` of one host, with ports 4000, 4100 and 4201, and `c` of another, with port 4000 too;
where there is a second home, `b`, port 4000 as well; outside `x1` and `x2` of one host, and `y` of another. `a>x1`: `a`
sends to `x1`, and the port it is seen with is `own` (its own), or a letter, one for each different port in order of
appearance (`p+1`: the next one; `itself`: not translated; `own@2`: at the second external address; `A`: a block of
ports), or `-` (nothing came). `x1>a`: `x1` sends to where `a` was last seen, and so-and-so hears it, or nobody. `c>>a`:
the same from inside, and the side it seems to come from. `x1!a`: `x1` sends an ICMP error about the packet with which `a`
was last seen; `a:error`: `a` hears it, and it is about `a`'s own packet, as `a` had sent it. `a^x1`: `a` sends with a hop
limit of 1; `a:expired`: the router tells it. `3s`: nothing happens for so long.

Datagrams are sent by ordinary sockets. TCP, echo and whatever ICMP is about are sent and heard as packets, by hosts whose
kernels have no part in it: `a>x1` is then a SYN or an echo request, `x1>a` a SYN or an echo reply; `:sa`, `:ack` and
`:rst` are segments with those flags. Checksums are verified. That an established connection outlives an attempt by hours
cannot be waited for; the fabric's own tests see it in virtual time, and the kernel is told the same numbers.
";

const LINKS: &str = "\
## Links

Numbered datagrams over one link. What is random is tested against its distribution: χ² for counts and lengths,
Kolmogorov–Smirnov for delays. A row is false where what was seen, or worse, had a probability of less than 1 in 10,000.
Userspace losses follow from the seed; what depends on time is tried up to four times. Where the machine could not keep
the time itself, the row was not tried.
";
