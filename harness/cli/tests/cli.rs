//! The `longhaul` program from end to end: what people and scripts see of it, above all when something is wrong.
//!
//! Tests that need a simulated network are skipped, with the reason, where `longhaul doctor` says that there is none,
//! and those that need the shipped subjects where one of them cannot run.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a test's own main")]

#[path = "cli/builds.rs"]
mod builds;
#[path = "cli/compares.rs"]
mod compares;
#[path = "cli/cross.rs"]
mod cross;
#[path = "cli/databases.rs"]
mod databases;
#[path = "cli/detecting.rs"]
mod detecting;
#[path = "cli/files.rs"]
mod files;
#[path = "cli/ground.rs"]
mod ground;
#[path = "cli/histories.rs"]
mod histories;
#[path = "cli/imports.rs"]
mod imports;
#[path = "cli/interruption.rs"]
mod interruption;
#[path = "cli/labs.rs"]
mod labs;
#[path = "cli/mistakes.rs"]
mod mistakes;
#[path = "cli/places.rs"]
mod places;
#[path = "cli/questions.rs"]
mod questions;
#[path = "cli/serving.rs"]
mod serving;
#[path = "cli/subjects.rs"]
mod subjects;
#[path = "cli/transfers.rs"]
mod transfers;

use libtest_mimic::{Arguments, Failed, Trial};

fn main() {
    let arguments = Arguments::from_args();
    let no_lab = ground::no_lab();
    let no_subjects = no_lab.clone().or_else(ground::no_subjects);
    if let Some(reason) = &no_subjects {
        println!("SKIPPED: {reason}");
    }
    let trial = |name: &'static str, without: bool, test: fn()| {
        let run = move || -> Result<(), Failed> {
            test();
            Ok(())
        };
        Trial::test(name, run).with_ignored_flag(without)
    };
    let mut trials = Vec::new();
    for (name, test) in ANYWHERE {
        trials.push(trial(name, false, *test));
    }
    for (name, test) in IN_A_LAB {
        trials.push(trial(name, no_lab.is_some(), *test));
    }
    let no_valgrind = subjects::no_valgrind();
    if let Some(reason) = &no_valgrind {
        println!("SKIPPED: {reason}");
    }
    let without = no_lab.is_some() || no_valgrind.is_some();
    let counted = subjects::instructions_are_counted_and_nothing_else;
    trials.push(trial("instructions_are_counted_and_nothing_else", without, counted));
    let no_server = databases::no_server();
    if let Some(reason) = &no_server {
        println!("SKIPPED: results on PostgreSQL: {reason}");
    }
    let server = databases::runs_go_to_a_server_and_come_back;
    trials.push(trial("runs_go_to_a_server_and_come_back", no_server.is_some(), server));
    for (name, test) in WITH_SUBJECTS {
        trials.push(trial(name, no_subjects.is_some(), *test));
    }
    // One at a time: they share two processors, and some measure.
    let arguments = Arguments { test_threads: Some(1), ..arguments };
    libtest_mimic::run(&arguments, trials).exit();
}

type Test = (&'static str, fn());

const ANYWHERE: &[Test] = &[
    ("mistakes_in_files_are_named", mistakes::mistakes_in_files_are_named),
    ("unknown_names_are_named", mistakes::unknown_names_are_named),
    ("a_machine_without_the_algorithm_is_told_so", cross::a_machine_without_the_algorithm_is_told_so),
    ("every_help_names_the_exit_codes", questions::every_help_names_the_exit_codes),
    ("scenarios_are_listed_shown_and_checked", questions::scenarios_are_listed_shown_and_checked),
    ("files_that_are_many_are_explained", questions::files_that_are_many_are_explained),
    ("a_new_scenario_is_a_good_one", questions::a_new_scenario_is_a_good_one),
    ("schemas_are_printed", questions::schemas_are_printed),
    ("benchmarks_are_recorded_once", imports::benchmarks_are_recorded_once),
    ("other_tools_are_imported", imports::other_tools_are_imported),
    ("exports_come_back", imports::exports_come_back),
    ("a_database_is_checked_copied_and_thinned_out", databases::a_database_is_checked_copied_and_thinned_out),
    ("databases_are_merged_once", databases::databases_are_merged_once),
    ("judgements_are_merged", databases::judgements_are_merged),
    ("alerts_have_a_life", detecting::alerts_have_a_life),
    ("changes_in_a_file_are_found", detecting::changes_in_a_file_are_found),
    ("what_is_new_goes_to_a_webhook", detecting::what_is_new_goes_to_a_webhook),
    ("changes_in_the_database_are_found", detecting::changes_in_the_database_are_found),
    ("subjects_are_listed", questions::subjects_are_listed),
    ("networks_are_shown", questions::networks_are_shown),
    ("the_machine_is_described", questions::the_machine_is_described),
    ("a_closed_pipe_is_no_accident", questions::a_closed_pipe_is_no_accident),
    ("a_commit_is_built_once", builds::a_commit_is_built_once),
    ("a_commit_that_cannot_be_built_is_named", builds::a_commit_that_cannot_be_built_is_named),
    ("commits_that_cannot_be_bisected_are_named", histories::commits_that_cannot_be_bisected_are_named),
    ("mistakes_in_policies_are_named", compares::mistakes_in_policies_are_named),
    ("a_database_that_cannot_be_served_is_refused", places::a_database_that_cannot_be_served_is_refused),
    ("a_port_in_use_is_said_when_serving", places::a_port_in_use_is_said_when_serving),
    ("recorded_results_are_served", serving::recorded_results_are_served),
    ("invented_data_shows_the_dashboard", serving::invented_data_shows_the_dashboard),
    ("tokens_are_made_listed_and_revoked", serving::tokens_are_made_listed_and_revoked),
];

const IN_A_LAB: &[Test] = &[
    ("a_database_that_cannot_be_written_is_refused", places::a_database_that_cannot_be_written_is_refused),
    ("a_read_only_disk_is_said_at_once", places::a_read_only_disk_is_said_at_once),
    ("a_full_disk_keeps_what_it_has", places::a_full_disk_keeps_what_it_has),
    ("a_port_in_use_is_said_before_anything_is_measured", places::a_port_in_use_is_said_before_anything_is_measured),
    ("programs_run_inside_a_network", questions::programs_run_inside_a_network),
    ("a_network_is_calibrated", labs::a_network_is_calibrated),
    ("programs_visit_a_network_that_is_up", labs::programs_visit_a_network_that_is_up),
    ("a_killed_network_makes_room_for_the_next", labs::a_killed_network_makes_room_for_the_next),
    ("a_broken_subject_is_recorded_as_failed", subjects::a_broken_subject_is_recorded_as_failed),
    ("a_run_of_a_commit_is_recorded_as_its", builds::a_run_of_a_commit_is_recorded_as_its),
    ("other_traffic_is_recorded", cross::other_traffic_is_recorded),
    ("missing_traffic_makes_a_run_untrusted", cross::missing_traffic_makes_a_run_untrusted),
    ("a_suite_is_resumed", subjects::a_suite_is_resumed),
    ("a_flood_is_ended", subjects::a_flood_is_ended),
    ("a_hog_is_ended_with_its_reason", subjects::a_hog_is_ended_with_its_reason),
    ("a_subject_sees_nothing_of_the_users", subjects::a_subject_sees_nothing_of_the_users),
    ("a_check_explains", subjects::a_check_explains),
    ("an_expected_share_decides", subjects::an_expected_share_decides),
    ("what_delivers_nothing_is_taken_at_its_word", subjects::what_delivers_nothing_is_taken_at_its_word),
    ("a_relay_is_somewhere", subjects::a_relay_is_somewhere),
    ("keys_are_looked_up_among_nodes", subjects::keys_are_looked_up_among_nodes),
    ("a_daemon_does_not_outlive_its_run", subjects::a_daemon_does_not_outlive_its_run),
    ("a_program_that_is_not_installed_is_named", subjects::a_program_that_is_not_installed_is_named),
    ("an_unreachable_provider_is_not_trusted", subjects::an_unreachable_provider_is_not_trusted),
    ("hosts_that_cannot_meet_are_measured_on_their_own", subjects::hosts_that_cannot_meet_are_measured_on_their_own),
    ("a_closed_pipe_loses_no_result", subjects::a_closed_pipe_loses_no_result),
    ("a_change_is_called_what_it_is", compares::a_change_is_called_what_it_is),
    ("what_lies_here_is_compared_too", compares::what_lies_here_is_compared_too),
    ("the_same_program_is_not_compared_unless_asked", compares::the_same_program_is_not_compared_unless_asked),
    ("too_little_is_inconclusive", compares::too_little_is_inconclusive),
    ("versions_that_cannot_be_compared_are_named", compares::versions_that_cannot_be_compared_are_named),
    ("an_interrupted_comparison_shows_what_there_is", compares::an_interrupted_comparison_shows_what_there_is),
    ("a_gate_does_as_its_policy_says", compares::a_gate_does_as_its_policy_says),
    ("a_history_is_filled_in", histories::a_history_is_filled_in),
    ("an_interrupted_backfill_goes_on", histories::an_interrupted_backfill_goes_on),
    ("a_small_step_under_noise_is_found", histories::a_small_step_under_noise_is_found),
    ("what_cannot_be_told_is_said", histories::what_cannot_be_told_is_said),
    ("interruption_keeps_what_is_recorded", interruption::interruption_keeps_what_is_recorded),
    ("a_killed_run_leaves_nothing_behind", interruption::a_killed_run_leaves_nothing_behind),
];

const WITH_SUBJECTS: &[Test] = &[
    ("a_run_is_recorded_with_its_evidence", transfers::a_run_is_recorded_with_its_evidence),
    ("several_fetch_from_several", transfers::several_fetch_from_several),
    ("a_direct_path_is_found_where_there_is_one", transfers::a_direct_path_is_found_where_there_is_one),
    ("a_dead_line_makes_a_transfer_wait", transfers::a_dead_line_makes_a_transfer_wait),
    ("repetitions_have_seeds_of_their_own", transfers::repetitions_have_seeds_of_their_own),
];
