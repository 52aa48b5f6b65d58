//! Links that someone else carries: another engine takes a packet at one end and gives it back at the other.

use crate::plan::{Direction, LabStep, LinkName, Place, Plan};
use alloc::boxed::Box;
use alloc::vec::Vec;
use netsim_fabric::LinkConfig;

/// The plan of the same network with every link a scenario describes carried by someone else.
///
/// The fabric keeps a perfect link to each end of the pipe and from it. The ends are leaves like hosts: what reaches one
/// is to come out at the other, after what [`LabStep::AddPipe`] says.
pub fn with_pipes(plan: Plan) -> Plan {
    let mut steps = Vec::with_capacity(2 * plan.steps.len());
    for step in plan.steps {
        match step {
            LabStep::AddLink { name, from, to, config } if !name.is_auxiliary() => {
                let ends = [true, false].map(|near| Place::PipeEnd { link: name.link.clone(), near });
                let [near, far] = ends.clone();
                // The way up comes first, and makes the pipe for both.
                if name.direction == Direction::Up {
                    steps.push(LabStep::AddPipe { link: name.link.clone(), up: config, down: Box::default() });
                } else {
                    set_down(&mut steps, &name.link, config);
                }
                let (entrance, exit) = if name.direction == Direction::Up { (near, far) } else { (far, near) };
                let out = LinkName { link: alloc::format!("{}{OUT}", name.link), direction: name.direction };
                let perfect = Box::<LinkConfig>::default;
                steps.push(LabStep::AddLink { name, from, to: entrance, config: perfect() });
                steps.push(LabStep::AddLink { name: out, from: exit, to, config: perfect() });
            }
            step => steps.push(step),
        }
    }
    Plan { steps, ..plan }
}

/// What the names of links from a pipe to where it leads end with.
const OUT: &str = ".out";

fn set_down(steps: &mut [LabStep], name: &str, config: Box<LinkConfig>) {
    let mut config = Some(config);
    for step in steps.iter_mut().rev() {
        if let LabStep::AddPipe { link, down, .. } = step
            && link == name
        {
            *down = config.take().unwrap_or_default();
            return;
        }
    }
}

/// Whether a link only leads from a pipe to where it ends.
pub(crate) fn leads_out(link: &str) -> bool {
    link.ends_with(OUT)
}
