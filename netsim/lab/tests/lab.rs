//! Labs with real namespaces and real packets. Needs what `longhaul doctor` asks for; skipped with the reason where that
//! is missing. Has its own `main`, because entering the sandbox must come before the first thread.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a test's own main")]

#[path = "lab/capture.rs"]
mod capture;
#[path = "lab/fate.rs"]
mod fate;
#[path = "lab/interfaces.rs"]
mod interfaces;
#[path = "lab/kernels.rs"]
mod kernels;
#[path = "lab/network.rs"]
mod network;
#[path = "lab/processes.rs"]
mod processes;
#[path = "lab/routers.rs"]
mod routers;
#[path = "lab/selfcheck.rs"]
mod selfcheck;
#[path = "lab/servers.rs"]
mod servers;

use libtest_mimic::{Arguments, Failed, Trial};
use netsim_lab::{Attachment, Engines, State};
use std::sync::OnceLock;

/// How this process's labs attach their hosts.
static ATTACHMENT: OnceLock<Attachment> = OnceLock::new();

/// Names the attachment to use instead of the one that suits the machine.
const CHOICE: &str = "LONGHAUL_TEST_ATTACHMENT";

pub(crate) fn attachment() -> Attachment {
    *ATTACHMENT.get_or_init(Attachment::pick)
}

pub(crate) fn engines() -> Engines {
    Engines { attachment: attachment(), ..Engines::default() }
}

fn main() {
    if let Some(code) = fate::victim_main() {
        std::process::exit(code);
    }
    if std::env::var_os(CHOICE).is_some_and(|choice| choice == "packet") {
        let _ = ATTACHMENT.set(Attachment::Packet);
    }
    let arguments = Arguments::from_args();
    let missing = match netsim_lab::enter() {
        Ok(_) => netsim_lab::doctor().into_iter().find(|finding| finding.state == State::Missing).map(|f| f.detail),
        Err(error) => Some(error.to_string()),
    };
    if let Some(reason) = &missing {
        println!("SKIPPED: no lab on this machine: {reason}");
    }
    let trial = |name: &'static str, test: fn()| {
        let run = move || -> Result<(), Failed> {
            test();
            Ok(())
        };
        Trial::test(name, run).with_ignored_flag(missing.is_some())
    };
    let no_nft = netsim_lab::nftables_missing();
    if let (None, Some(reason)) = (&missing, &no_nft) {
        println!("SKIPPED: NAT by nftables: {reason}");
    }
    let of_nft = |name, test| trial(name, test).with_ignored_flag(missing.is_some() || no_nft.is_some());
    let trials = vec![
        trial("delays_are_what_was_asked", network::delays_are_what_was_asked),
        trial("the_same_seed_loses_the_same_packets", network::the_same_seed_loses_the_same_packets),
        trial("tcp_arrives_whole_over_every_kind_of_link", network::tcp_arrives_whole_over_every_kind_of_link),
        trial("behind_a_nat_only_answers_come_in", network::behind_a_nat_only_answers_come_in),
        trial("two_labs_run_side_by_side", network::two_labs_run_side_by_side),
        trial("calibration_sees_delay_loss_and_rate", network::calibration_sees_delay_loss_and_rate),
        trial("calibration_counts_what_it_asked_for", network::calibration_counts_what_it_asked_for),
        trial("calibration_sees_a_wrong_network", network::calibration_sees_a_wrong_network),
        trial("a_stalled_emulator_is_noticed", network::a_stalled_emulator_is_noticed),
        trial("links_change_at_their_time", network::links_change_at_their_time),
        trial("ports_are_mapped_until_a_reboot", network::ports_are_mapped_until_a_reboot),
        trial("hosts_have_names", servers::hosts_have_names),
        trial("ipv6_only_hosts_reach_ipv4_by_name", servers::ipv6_only_hosts_reach_ipv4_by_name),
        trial("routers_are_classified", servers::routers_are_classified),
        trial("routers_are_what_they_were_asked_to_be", servers::routers_are_what_they_were_asked_to_be),
        trial("ports_are_mapped_on_request", servers::ports_are_mapped_on_request),
        trial("neighbours_find_each_other", servers::neighbours_find_each_other),
        trial("captures_hold_every_packet", capture::captures_hold_every_packet),
        trial("losses_hit_segments_not_super_packets", network::losses_hit_segments_not_super_packets),
        trial("errors_reach_the_socket_they_are_about", routers::errors_reach_the_socket_they_are_about),
        trial("nat64_carries_tcp", routers::nat64_carries_tcp),
        trial("neighbours_find_each_other", routers::neighbours_find_each_other),
        trial(
            "sockets_leave_by_the_interface_of_their_address",
            interfaces::sockets_leave_by_the_interface_of_their_address,
        ),
        trial("ipv6_sockets_do_too", interfaces::ipv6_sockets_do_too),
        trial(
            "what_comes_for_a_lost_interface_is_dropped_by_name",
            interfaces::what_comes_for_a_lost_interface_is_dropped_by_name,
        ),
        trial("tcp_waits_for_its_address", interfaces::tcp_waits_for_its_address),
        trial("a_restart_brings_interfaces_back", interfaces::a_restart_brings_interfaces_back),
        trial("a_renumbered_host_has_its_new_address_alone", interfaces::a_renumbered_host_has_its_new_address_alone),
        trial("interfaces_have_names", interfaces::interfaces_have_names),
        trial("the_first_way_is_the_one_that_is_measured", interfaces::the_first_way_is_the_one_that_is_measured),
        trial("links_and_interfaces_are_two_things", interfaces::links_and_interfaces_are_two_things),
        of_nft("kernels_let_hosts_switch_and_not_move", interfaces::kernels_let_hosts_switch_and_not_move),
        of_nft("linux_is_what_its_preset_says", kernels::linux_is_what_its_preset_says),
        of_nft("a_kernel_forgets_at_a_reboot", kernels::a_kernel_forgets_at_a_reboot),
        of_nft("kernels_carry_tcp", kernels::kernels_carry_tcp),
        of_nft("kernels_refuse_what_they_cannot", kernels::kernels_refuse_what_they_cannot),
        trial("a_short_self_check_is_sane", selfcheck::a_short_self_check_is_sane),
        trial("output_and_usage_are_captured", processes::output_and_usage_are_captured),
        trial("a_hanging_program_is_ended_with_its_children", processes::a_hanging_program_is_ended_with_its_children),
        trial("a_flood_does_not_block", processes::a_flood_does_not_block),
        trial("a_missing_program_is_named", processes::a_missing_program_is_named),
        trial("kill_at_any_moment_leaves_nothing_behind", fate::kill_at_any_moment_leaves_nothing_behind),
    ];
    println!("hosts are attached by {}", attachment());
    // One at a time: they share two processors, and some measure.
    let arguments = Arguments { test_threads: Some(1), ..arguments };
    libtest_mimic::run(&arguments, trials).exit();
}
