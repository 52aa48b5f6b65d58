//! `longhaul lab conformance`: everything routers and links must do, tried on this machine.

use crate::VERSION;
use crate::args::Nat;
use crate::error::CliError;
use crate::output;
use crate::table;
use longhaul_record::Exit;
use longhaul_runner::{machine, wall_ms};
use netsim_lab::conformance::{self, Tried, TriedLink, Verdict};
use netsim_lab::{Attachment, Engines, NatEngine, nftables_missing};

/// Tries all rows, prints the table, and says how many hold.
pub(crate) fn command(engine: Option<Nat>, markdown: bool) -> Result<Exit, CliError> {
    let _sandbox = netsim_lab::enter()?;
    let attachment = Attachment::pick();
    let rows = conformance::nat_rows();
    let mut tried = Vec::new();
    for nat in engines(engine) {
        if nat == NatEngine::Nftables
            && let Some(why) = nftables_missing()
        {
            output::note(format!("nftables was skipped: {why}"));
            continue;
        }
        let engines = Engines { attachment, nat, ..Engines::default() };
        tried.extend(conformance::try_rows(&rows, engines, &|step| output::note(step)));
    }
    let links = if engine == Some(Nat::Nftables) { Vec::new() } else { links(attachment) };
    if markdown {
        output::line(page(&tried, &links, attachment))?;
    } else {
        print(&tried, &links)?;
    }
    let verdicts = || tried.iter().map(|tried| &tried.verdict).chain(links.iter().map(|tried| &tried.verdict));
    Ok(if verdicts().any(|verdict| matches!(verdict, Verdict::False { .. })) {
        Exit::Untrusted
    } else if verdicts().any(|verdict| matches!(verdict, Verdict::Busy { .. } | Verdict::Broken { .. })) {
        Exit::Environment
    } else {
        Exit::Pass
    })
}

/// Links, with every attachment there is.
fn links(best: Attachment) -> Vec<TriedLink> {
    let rows = conformance::link_rows();
    let mut attachments = vec![best, Attachment::Packet];
    attachments.dedup();
    let column = |attachment: &Attachment| {
        let engines = Engines { attachment: *attachment, ..Engines::default() };
        conformance::try_links(&rows, &format!("userspace, {attachment}"), engines, &|step| output::note(step))
    };
    attachments.iter().flat_map(column).collect()
}

fn engines(engine: Option<Nat>) -> Vec<NatEngine> {
    match engine {
        Some(nat) => vec![nat.engine()],
        None => vec![NatEngine::Userspace, NatEngine::Nftables],
    }
}

fn print(tried: &[Tried], links: &[TriedLink]) -> Result<(), CliError> {
    let routers = tried.iter().map(|tried| {
        let verdict = words(&tried.verdict, &format!("expected {}, saw", tried.row.expected));
        vec![tried.engine.as_str().to_owned(), tried.row.about.to_owned(), tried.row.terms.clone(), verdict]
    });
    let links = links.iter().map(|tried| {
        let verdict = words(&tried.verdict, "saw");
        vec![tried.column.clone(), tried.row.about.to_owned(), tried.row.terms.to_owned(), verdict]
    });
    output::line(table::plain(&["Engine", "About", "Terms", "Verdict"], routers.chain(links)))
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
fn page(tried: &[Tried], links: &[TriedLink], attachment: Attachment) -> String {
    let machine = machine(VERSION, Engines { attachment, ..Engines::default() });
    let now = jiff::Timestamp::from_millisecond(wall_ms());
    let day = now.map_or_else(|_| String::new(), |now| now.strftime("%Y-%m-%d").to_string());
    let (kernel, cores, cpu) = (machine.kernel, machine.cores, machine.cpu);
    format!(
        "{HEAD}\nTried on {day}: longhaul {VERSION}, Linux {kernel}, {cores} processors ({cpu}), hosts attached by \
         {attachment}.\n\n{}\n{LINKS}\n{}",
        conformance::markdown(tried),
        conformance::links_markdown(links).trim_end(),
    )
}

const HEAD: &str = "\
# What the simulated network does, row by row

Made by `longhaul lab conformance --markdown`; not to be edited by hand. Every row is tried with real sockets in network
namespaces, in a lab of its own.

## Routers

What must be seen follows from the terms of RFC 4787; the reference model, the fabric in
virtual time, sees the same in every row (`cargo test -p netsim-lab --lib conformance`), and says what must be seen of
random traffic.

Inside are sockets `a`, `a2` and `o` of one host, with ports 4000, 4100 and 4201, and `c` of another, with port 4000 too;
outside `x1` and `x2` of one host, and `y` of another. `a>x1`: `a` sends to `x1`, and the port it is seen with is `own`
(its own), or a letter, one for each different port in order of appearance (`p+1`: the next one; `itself`: not
translated; `own@2`: at the second external address; `A`: a block of ports), or `-` (nothing came). `x1>a`: `x1` sends
to where `a` was last seen, and so-and-so hears it, or nobody. `c>>a`: the same from inside, and the side it seems to
come from. `3s`: nothing happens for so long.
";

const LINKS: &str = "\
## Links

Numbered datagrams over one link, with both ways to attach hosts. What is random is tested against its distribution: χ²
for counts and lengths, Kolmogorov–Smirnov for delays. A row is false where what was seen, or worse, had a probability
of less than 1 in 10,000. Losses follow from the seed; what depends on time is tried up to four times.
";
