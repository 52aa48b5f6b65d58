//! `longhaul lab …`: a simulated network by hand.

use crate::args::{LabCommand, NetworkArgs};
use crate::calibrate;
use crate::catalog;
use crate::conformance;
use crate::error::CliError;
use crate::output;
use crate::scale;
use crate::selfcheck;
use crate::stop::Stop;
use crate::table;
use longhaul_record::Exit;
use longhaul_scenarios::Scenario;
use netsim_lab::{Door, door_path};
use netsim_topology::{AddressPlan, Host, Interface, LabStep, LinkName, Place, Plan, plan};
use serde_json::json;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus};

/// `longhaul lab show|up|exec|shell|capture|scale|conformance|calibrate`.
pub(crate) fn command(command: &LabCommand) -> Result<ExitCode, CliError> {
    match command {
        LabCommand::Show { scenario, json } => {
            show(&catalog::scenario(scenario)?, *json)?;
            Ok(ExitCode::from(Exit::Pass.code()))
        }
        LabCommand::Up { scenario, name, network } => {
            let scenario = catalog::scenario(scenario)?;
            up(&scenario, name.as_deref().unwrap_or(&scenario.name), *network)?;
            Ok(ExitCode::from(Exit::Pass.code()))
        }
        LabCommand::Exec { scenario, host, network, command } => exec(scenario, host, *network, command),
        LabCommand::Capture { scenario, host, out, links, network, command } => {
            capture(&catalog::scenario(scenario)?, host, out, links, *network, command)
        }
        LabCommand::Scale { json } => {
            let _sandbox = netsim_lab::enter()?;
            Ok(ExitCode::from(scale::command(*json)?.code()))
        }
        LabCommand::Shell { scenario, host, network } => {
            let shell = std::env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into());
            exec(scenario, host, *network, &[shell])
        }
        LabCommand::Calibrate { scenario: Some(scenario), network, json, .. } => {
            Ok(ExitCode::from(calibrate::command(scenario, *network, *json)?.code()))
        }
        LabCommand::Calibrate { scenario: None, rounds, json, .. } => {
            let sandbox = netsim_lab::enter()?;
            Ok(ExitCode::from(selfcheck::command(*rounds, *json, &sandbox)?.code()))
        }
        LabCommand::Conformance { engine, json, markdown, add } => {
            let form = match (json, markdown) {
                (true, _) => conformance::Form::Json,
                (_, true) => conformance::Form::Markdown { add },
                _ => conformance::Form::Plain,
            };
            Ok(ExitCode::from(conformance::command(*engine, form)?.code()))
        }
    }
}

fn show(scenario: &Scenario, as_json: bool) -> Result<(), CliError> {
    let plan = plan(&scenario.topology)?;
    if as_json {
        return output::json(&describe(scenario, &plan));
    }
    let hosts = scenario.topology.hosts.iter().flat_map(|host| {
        host.interfaces.iter().map(|interface| {
            let at = interface.behind.as_ref().map_or_else(|| "the internet".to_owned(), |at| format!("behind {at}"));
            let (several, state) = (host.interfaces.len() > 1, if interface.up { "" } else { ", down at first" });
            let name = if several { format!("{} ({}{state})", host.name, interface.name) } else { host.name.clone() };
            vec![name, at, addresses_of(&plan.addresses, host, interface).join(", ")]
        })
    });
    output::line(scenario.words())?;
    output::line(format!("\n{}\n", scenario.drawing(&plan.addresses)))?;
    output::line(table::plain(&["Host", "Where", "Addresses"], hosts))?;
    let links = plan.steps.iter().filter_map(|step| match step {
        LabStep::AddLink { name, from, to, .. } if !name.is_auxiliary() => {
            Some(vec![name.to_string(), place(from), place(to)])
        }
        _ => None,
    });
    output::line(table::plain(&["Link", "From", "To"], links))
}

fn addresses_of(addresses: &AddressPlan, host: &Host, interface: &Interface) -> Vec<String> {
    addresses.interface(&host.name, &interface.name).iter().map(ToString::to_string).collect()
}

fn place(place: &Place) -> String {
    match place {
        Place::Internet => "internet".to_owned(),
        Place::Region(name) => name.clone(),
        Place::Router(name) | Place::Host(name) => name.clone(),
        Place::Interface { host, name } => format!("{host} ({name})"),
        Place::PipeEnd { link, .. } => link.clone(),
        Place::Inner(router) | Place::Outer(router) => format!("{router} kernel"),
        Place::Servers(of) => format!("{} servers", of.as_deref().unwrap_or("internet")),
    }
}

fn describe(scenario: &Scenario, plan: &Plan) -> serde_json::Value {
    let hosts = scenario.topology.hosts.iter().map(|host| {
        let interfaces = host.interfaces.iter().map(|interface| {
            let addresses = addresses_of(&plan.addresses, host, interface);
            json!({ "name": interface.name, "behind": interface.behind, "addresses": addresses, "up": interface.up })
        });
        let primary = host.primary();
        json!({
            "name": host.name,
            "behind": primary.and_then(|interface| interface.behind.as_ref()),
            "addresses": primary.map(|interface| addresses_of(&plan.addresses, host, interface)),
            "interfaces": interfaces.collect::<Vec<_>>(),
        })
    });
    let routers = scenario.topology.routers.iter().map(|router| {
        let external = plan.addresses.external(&router.name).map(|addr| addr.to_string());
        let nat = router.gateway.nat.is_some();
        json!({ "name": router.name, "behind": router.behind, "nat": nat, "external": external.filter(|_| nat) })
    });
    let links = plan.steps.iter().filter_map(|step| match step {
        LabStep::AddLink { name, from, to, config } if !name.is_auxiliary() => Some(json!({
            "name": name.link,
            "direction": name.direction.as_str(),
            "from": place(from),
            "to": place(to),
            "delay_ns": config.delay_ns,
            "jitter_ns": config.jitter.bounds_ns().1,
            "loss_ppb": config.loss.mean_ppb(),
            "rate_bps": config.rate.mean_bps(),
            "queue_bytes": config.queue.limit.bytes(),
        })),
        _ => None,
    });
    json!({
        "hosts": hosts.collect::<Vec<_>>(),
        "routers": routers.collect::<Vec<_>>(),
        "links": links.collect::<Vec<_>>(),
    })
}

/// Keeps a network up until the user wants to stop.
fn up(scenario: &Scenario, name: &str, network: NetworkArgs) -> Result<(), CliError> {
    let plan = plan(&scenario.topology)?;
    let path = door_path(name);
    let _sandbox = netsim_lab::enter()?;
    let stop = Stop::on_signals()?;
    let lab = network.up(&plan)?;
    let _door = Door::open(&lab, &path)?;
    show(scenario, false)?;
    let host = scenario.topology.hosts.first().map_or("HOST", |host| host.name.as_str());
    output::note(format!("`{name}` is up until Ctrl-C; in another terminal: longhaul lab shell {name} {host}"));
    stop.wait();
    Ok(())
}

/// Runs a program on a host, with this terminal. Leaves with the program's own exit status.
fn exec(name: &str, host: &str, network: NetworkArgs, command: &[OsString]) -> Result<ExitCode, CliError> {
    let Some((program, arguments)) = command.split_first() else { return Ok(ExitCode::from(Exit::Usage.code())) };
    let mut child = Command::new(program);
    child.args(arguments).env("LONGHAUL_HOST", host);
    let started = match netsim_lab::knock(&door_path(name), host)? {
        Some(visit) => {
            // The program gets the terminal's signals itself and decides what they mean.
            let _stop = Stop::on_signals()?;
            visit.run_command(&mut child)
        }
        None => alone(&catalog::scenario(name)?, host, network, &mut child)?,
    };
    let status = started.map_err(|source| CliError::Program {
        program: program.to_string_lossy().into_owned(),
        host: host.to_owned(),
        source,
    })?;
    Ok(ExitCode::from(status_byte(status)))
}

/// Runs a program in a network of its own.
fn alone(
    scenario: &Scenario,
    host: &str,
    network: NetworkArgs,
    child: &mut Command,
) -> Result<std::io::Result<ExitStatus>, CliError> {
    let plan = plan(&scenario.topology)?;
    check_host(scenario, host)?;
    let _sandbox = netsim_lab::enter()?;
    let _stop = Stop::on_signals()?;
    let lab = network.up(&plan)?;
    Ok(lab.host(host)?.run_command(child))
}

/// Runs a program in a network of its own and writes down what passes the links.
fn capture(
    scenario: &Scenario,
    host: &str,
    out: &Path,
    links: &[String],
    network: NetworkArgs,
    command: &[OsString],
) -> Result<ExitCode, CliError> {
    let plan = plan(&scenario.topology)?;
    let links = named_links(&plan, links)?;
    check_host(scenario, host)?;
    let Some((program, arguments)) = command.split_first() else { return Ok(ExitCode::from(Exit::Usage.code())) };
    let file = File::create(out).map_err(|source| CliError::Write { path: out.to_path_buf(), source })?;
    let _sandbox = netsim_lab::enter()?;
    let _stop = Stop::on_signals()?;
    let lab = network.up(&plan)?;
    let capture = lab.capture(&links, BufWriter::new(file))?;
    let mut child = Command::new(program);
    let status = lab.host(host)?.run_command(child.args(arguments).env("LONGHAUL_HOST", host));
    let captured = capture.finish()?;
    output::note(format!("{} packets in {}", captured.packets, out.display()));
    if captured.missed > 0 {
        output::note(format!("{} more were seen but not written: the disk was too slow", captured.missed));
    }
    let program = || program.to_string_lossy().into_owned();
    let status = status.map_err(|source| CliError::Program { program: program(), host: host.to_owned(), source })?;
    Ok(ExitCode::from(status_byte(status)))
}

/// Both directions of the links a user names; all links if none is named.
fn named_links(plan: &Plan, names: &[String]) -> Result<Vec<LinkName>, CliError> {
    let all: Vec<LinkName> = plan
        .steps
        .iter()
        .filter_map(|step| match step {
            LabStep::AddLink { name, .. } if !name.is_auxiliary() => Some(name.clone()),
            _ => None,
        })
        .collect();
    if let Some(name) = names.iter().find(|name| !all.iter().any(|link| link.link == **name)) {
        let known: BTreeSet<String> = all.iter().map(|link| link.link.clone()).collect();
        return Err(CliError::UnknownLink { name: name.clone(), known: known.into_iter().collect() });
    }
    Ok(all.into_iter().filter(|link| names.is_empty() || names.contains(&link.link)).collect())
}

fn check_host(scenario: &Scenario, host: &str) -> Result<(), CliError> {
    let known: Vec<String> = scenario.topology.hosts.iter().map(|host| host.name.clone()).collect();
    if known.iter().any(|name| name == host) {
        return Ok(());
    }
    Err(CliError::UnknownHost { scenario: scenario.name.clone(), name: host.to_owned(), known })
}

/// As shells report it: the status, or 128 and the signal's number.
fn status_byte(status: ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    u8::try_from(code).unwrap_or(1)
}
