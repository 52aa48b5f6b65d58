//! Labs with real namespaces and real packets. Needs what `longhaul doctor` asks for; skipped with the reason where that
//! is missing.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a test's own main")]

#[path = "lab/capture.rs"]
mod capture;
#[path = "lab/confinement.rs"]
mod confinement;
#[path = "lab/cross.rs"]
mod cross;
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
mod suite;
#[path = "lab/threads.rs"]
mod threads;

use suite::{STALL, Suite, engines, host};

fn main() {
    if let Some(code) = fate::victim_main() {
        std::process::exit(code);
    }
    let mut suite = Suite::enter();
    suite.test(network::delays_are_what_was_asked);
    suite.test(network::the_same_seed_loses_the_same_packets);
    suite.test(network::tcp_arrives_whole_over_every_kind_of_link);
    suite.test(network::behind_a_nat_only_answers_come_in);
    suite.test(network::a_nats_mappings_are_told_of_once);
    suite.test(network::two_labs_run_side_by_side);
    suite.test(network::calibration_sees_delay_loss_and_rate);
    suite.test(network::calibration_counts_what_it_asked_for);
    suite.test(network::regions_are_as_far_away_as_was_asked);
    suite.test(network::calibration_sees_a_wrong_network);
    suite.test(network::calibration_finds_the_largest_packet);
    suite.test(network::a_stalled_emulator_is_noticed);
    suite.test(network::an_overloaded_emulator_says_so);
    suite.test(network::links_change_at_their_time);
    suite.test(network::ports_are_mapped_until_a_reboot);
    suite.test(cross::constant_rates_keep_to_their_schedule);
    suite.test(cross::tcp_flows_stop_and_start_anew);
    suite.test(cross::flows_get_through_wherever_there_is_a_way);
    suite.test(cross::a_reboot_does_not_end_a_flow);
    suite.test(cross::flows_that_cannot_be_say_why);
    suite.test(servers::hosts_have_names);
    suite.test(servers::ipv6_only_hosts_reach_ipv4_by_name);
    suite.test(servers::routers_are_classified);
    suite.test(servers::routers_are_what_they_were_asked_to_be);
    suite.test(servers::ports_are_mapped_on_request);
    suite.test(servers::neighbours_find_each_other);
    suite.test(capture::captures_hold_every_packet);
    suite.test(network::losses_hit_segments_not_super_packets);
    suite.test(routers::errors_reach_the_socket_they_are_about);
    suite.test(routers::nat64_carries_tcp);
    suite.test(routers::neighbours_find_each_other);
    suite.test(interfaces::sockets_leave_by_the_interface_of_their_address);
    suite.test(interfaces::ipv6_sockets_do_too);
    suite.test(interfaces::what_comes_for_a_lost_interface_is_dropped_by_name);
    suite.test(interfaces::tcp_waits_for_its_address);
    suite.test(interfaces::a_restart_brings_interfaces_back);
    suite.test(interfaces::a_renumbered_host_has_its_new_address_alone);
    suite.test(interfaces::interfaces_have_names);
    suite.test(interfaces::the_first_way_is_the_one_that_is_measured);
    suite.test(interfaces::links_and_interfaces_are_two_things);
    suite.test(threads::the_same_seed_loses_the_same_packets);
    suite.test(threads::everybody_reaches_everybody);
    suite.test(selfcheck::a_short_self_check_is_sane);
    suite.test(processes::output_and_usage_are_captured);
    suite.test(processes::a_hanging_program_is_ended_with_its_children);
    suite.test(processes::a_flood_does_not_block);
    suite.test(processes::a_missing_program_is_named);
    suite.test(confinement::nothing_else_can_be_written);
    suite.test(confinement::nothing_else_can_be_read);
    suite.test(confinement::nobody_else_is_there);
    suite.test(confinement::there_are_no_privileges);
    suite.test(confinement::hogs_are_ended_with_a_reason);
    suite.test(confinement::a_daemon_ends_with_its_program_and_counts);
    suite.test(confinement::a_killed_program_counts);
    suite.test(confinement::signals_and_statuses_pass);
    suite.test(confinement::what_is_not_there_is_named);
    suite.test(confinement::nothing_of_it_is_in_its_time);
    suite.test(fate::kill_at_any_moment_leaves_nothing_behind);
    let nft = suite.needs("NAT by nftables", netsim_lab::nftables_missing);
    suite.test_if(nft, interfaces::kernels_let_hosts_switch_and_not_move);
    suite.test_if(nft, kernels::linux_is_what_its_preset_says);
    suite.test_if(nft, kernels::a_kernel_forgets_at_a_reboot);
    suite.test_if(nft, kernels::kernels_carry_tcp);
    suite.test_if(nft, kernels::kernels_refuse_what_they_cannot);
    // One at a time: they share two processors, and some measure.
    suite.run(1);
}
