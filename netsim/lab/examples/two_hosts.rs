#![allow(missing_docs, clippy::print_stdout, reason = "an example")]

use netsim_lab::Lab;
use netsim_lab::fabric::{LinkConfig, Loss, Probability};
use netsim_lab::topology::{Access, Host, Topology, plan};
use std::error::Error;
use std::process::Command;
use std::time::Duration;

fn main() -> Result<(), Box<dyn Error>> {
    // First thing in `main`: from here on nothing outlives this program, and no root is needed.
    netsim_lab::enter()?;
    // 20 ms and 5 % loss each way in front of bob. The seed decides which packets are lost.
    let loss = Loss::Bernoulli(Probability::from_ppb(50_000_000).unwrap_or_default());
    let link = Access::both(LinkConfig { delay_ns: 20_000_000, loss, ..LinkConfig::default() });
    let hosts = vec![Host::new("alice", None, Access::default()), Host::new("bob", None, link)];
    let lab = Lab::up(&plan(&Topology { routers: vec![], hosts, ..Topology::default() })?, 1)?;

    // Sockets of the standard library, and any program as it is.
    let [alice, bob] = [lab.host("alice")?.udp()?, lab.host("bob")?.udp()?];
    bob.set_read_timeout(Some(Duration::from_secs(1)))?;
    for n in 0..100_u8 {
        alice.send_to(&[n], bob.local_addr()?)?;
    }
    let arrived = std::iter::from_fn(|| bob.recv(&mut [0; 8]).ok()).count();
    println!("{arrived} of 100 arrived");
    lab.host("bob")?.run_command(Command::new("cat").arg("/proc/net/dev"))?;

    // What the links did is counted, and how well the emulator kept up.
    let seen = lab.snapshot()?;
    for link in lab.link_reports(&seen).iter().filter(|link| link.packets > 0) {
        println!("{} {}: {} of {} delivered", link.link, link.direction, link.delivered, link.packets);
    }
    println!("the latest was {} ns late", lab.fidelity(&seen)?.lateness_max_ns);
    Ok(())
}
