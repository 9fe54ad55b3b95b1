//! The list of all cases: the only one, from which the table and the tests are made.

use std::pin::Pin;
use std::sync::Arc;

use crate::context::Context;
use crate::fixture::Fixture;
use crate::outcome::Outcome;

/// One case of the suite.
#[derive(Clone, Copy)]
pub struct Case {
    /// Its name.
    pub name: &'static str,
    /// The promises of the contract that it shows.
    pub promises: &'static [&'static str],
    /// Runs it.
    pub run: fn(Arc<Context>) -> Running,
}

/// A case that was started.
pub type Running = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// Every case.
pub const CASES: &[Case] = crate::each_case!(table());

/// Makes one test per case, in a module `conformance_cases`. `$fixture` is evaluated for each of them and gives a new
/// [`Fixture`](crate::Fixture).
#[macro_export]
macro_rules! suite {
    ($fixture:expr) => {
        mod conformance_cases {
            #[allow(unused_imports, reason = "a fixture may be all in the expression")]
            use super::*;
            $crate::each_case!(tests($fixture));
        }
    };
}

/// Runs one case on a new store, with what holds after every case.
///
/// # Panics
/// If the case fails, or there is none of that name.
pub fn run(name: &str, fixture: impl Fixture) {
    let case = CASES.iter().find(|case| case.name == name).unwrap_or_else(|| panic!("no case {name}"));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let ended = runtime.expect("a runtime").block_on(async {
        let cx = Context::open(fixture).await;
        (case.run)(cx.clone()).await?;
        cx.finish().await
    });
    if let Err(failure) = ended {
        panic!("{name}: {failure:?}");
    }
}

/// Hands the list of all cases to a macro: `module { case [promises] ... } ...`.
#[doc(hidden)]
#[macro_export]
macro_rules! each_case {
    ($mode:ident ($($arg:tt)*)) => {
        $crate::expand_cases! { $mode ($($arg)*)
            general {
                general_reads_see_acknowledged_writes [G1]
                general_no_read_sees_a_part [G1]
                general_missing_is_not_an_error [G2]
                general_empty_store_answers_everything [G2]
                general_pages_end_exactly [G3]
                general_limit_of_zero_is_refused [G4]
                general_great_limits_are_lowered [G4]
                general_dropped_write_is_whole_or_absent [G5]
                general_dropped_reads_do_nothing [G5]
                general_every_status_is_served [G6]
                general_time_never_decreases [G7]
                general_time_stands_after_a_sweep [G7]
            }
            writes {
                writes_survive_reopen [W1]
                writes_refused_leave_no_trace [W2]
                writes_refused_by_form_leave_no_trace [W2]
                writes_same_key_returns_first_receipt [W3]
                writes_same_key_at_once_is_one_write [W3]
                writes_key_reuse_is_refused [W4]
                writes_keys_are_apart_by_did [W4]
                writes_refused_key_is_not_used_up [W3]
                writes_positions_are_contiguous [W5]
                writes_at_once_take_distinct_positions [W5]
                writes_of_one_caller_keep_their_order [W6]
                writes_operations_see_earlier_ones [W7]
                writes_a_blob_put_after_its_loss_stays [W7]
                writes_many_refusals_are_isolated [W8]
                writes_many_are_in_order [W9]
                writes_many_with_one_key_are_one [W3]
                writes_receipts_say_what_was_done [W3]
                writes_a_whole_registration_is_one_mutation [W1]
            }
            refusals {
                refusals_without_an_account [W11]
                refusals_after_a_deletion_in_the_same_mutation [W11]
                refusals_of_names_that_are_taken [W11]
                refusals_of_another_head [W11]
                refusals_of_inactive_accounts [W11]
                refusals_of_what_is_not_held [W11]
                refusals_of_wrong_bytes [W11]
                refusals_of_another_commit_block [W11]
                refusals_of_missing_repos [W11]
                refusals_of_malformed_commits [W11]
                refusals_of_malformed_mutations [W11]
                refusals_cover_every_reason [W11]
            }
            limits {
                limits_of_operations [W10]
                limits_of_supplied_blocks [W10]
                limits_of_supplied_bytes [W10]
                limits_of_announced_operations [W10]
                limits_of_record_operations [W10]
                limits_of_nodes [W10]
                limits_of_a_record [W10]
                limits_of_announced_bytes [W10]
                limits_of_a_sync_event [W10]
                limits_of_blobs_and_links_of_a_record [W10]
                limits_of_a_row [W10]
                limits_of_an_account [W10]
                limits_of_a_blob [W10]
            }
            accounts {
                accounts_found_by_every_name [A1]
                accounts_handle_has_one_winner [A2]
                accounts_email_has_one_winner [A2]
                accounts_did_has_one_winner [A2]
                accounts_handle_race_of_updates_has_one_winner [A2]
                accounts_old_names_are_free [A3]
                accounts_may_claim_what_they_have [A3]
                accounts_many_have_no_handle_or_address [A2]
                accounts_patches_keep_other_fields [A1]
                accounts_new_address_is_not_confirmed [A1]
                accounts_deleted_is_gone [A4]
                accounts_registered_again_sees_nothing_old [A4]
                accounts_deletion_spares_rows_given_up [A4]
                accounts_are_listed_in_pages [A5]
                accounts_longest_names_are_kept [A1]
                accounts_addresses_of_every_script [A1]
                accounts_every_status_is_kept [A1]
            }
            repos {
                repos_head_is_the_last_commit [R1]
                repos_head_race_has_one_winner [R2]
                repos_first_commit_race_has_one_winner [R2]
                repos_past_rev_is_readable [R3]
                repos_past_time_gives_newest_before [R4]
                repos_past_states_have_todays_counters [R3]
                repos_rev_must_increase [R5]
                repos_dangling_commit_is_refused [R6]
                repos_root_cannot_be_removed [R6]
                repos_removal_is_not_paid_for_by_addition [R6]
                repos_roots_rise_and_fall [R1]
                repos_counters_equal_a_recount [R7]
                repos_are_listed_in_pages [R8]
                repos_history_lists_commits [R9]
                repos_history_ends_with_the_window [R10]
                repos_time_before_what_is_kept_is_none [R4]
                repos_commit_without_change [R1]
                repos_deactivated_are_filled_quietly [R1]
            }
            imports {
                imports_fill_an_empty_account [R11]
                imports_are_invisible_until_finished [R12]
                imports_replaced_generation_is_swept [R12]
                imports_leave_what_the_tree_reaches [R15]
                imports_abandoned_are_swept [R13]
                imports_begun_again_supersede [R13]
                imports_incomplete_are_refused [R14]
                imports_need_their_blocks [R14]
                imports_in_one_mutation_after_the_first [R11]
                imports_name_each_path_once [R14]
                imports_deleted_with_their_account [R13]
                imports_need_a_live_account [R14]
                imports_are_announced_by_sync [R11]
                imports_bound_their_records [R14]
            }
            records {
                records_create_update_delete [D1]
                records_old_cid_must_match [D2]
                records_same_content_holds_two_references [D3]
                records_swap_contents_in_one_commit [D1]
                records_update_to_the_same_content [D1]
                records_are_listed_in_pages [D4]
                records_listing_starts_after_what_is_not_there [D4]
                records_collections_are_apart [D5]
                records_collections_are_listed [D6]
                records_links_are_found [D7]
                records_links_are_not_of_others [D7]
                records_longest_paths_are_kept [D1]
                records_longest_links_are_kept [D7]
                records_same_path_in_two_repos [D1]
            }
            blocks {
                blocks_are_served_by_cid [B1]
                blocks_of_another_repo_are_not_served [B2]
                blocks_released_are_history [B3]
                blocks_committed_again_survive_the_sweep [B4]
                blocks_released_twice_wait_for_the_later [B3]
                blocks_released_must_be_supplied_again [B3]
                blocks_counts_equal_a_recount [B5]
                blocks_may_be_supplied_for_nothing [B2]
                blocks_asked_for_are_bounded [B1]
            }
            blobs {
                blobs_put_twice_keeps_the_first [L1]
                blobs_are_of_one_account [L1]
                blobs_go_with_the_last_reference [L2]
                blobs_stay_with_an_unchanged_reference [L2]
                blobs_in_use_cannot_be_deleted [L3]
                blobs_are_listed_in_pages [L4]
                blobs_uses_are_listed [L5]
                blobs_missing_are_listed [L6]
                blobs_unused_are_listed [L7]
                blobs_of_an_import_stay [L3]
            }
            rows {
                rows_are_read_back [T1]
                rows_of_every_kind_are_apart [T1]
                rows_expectations_are_held [T2]
                rows_compare_and_put_has_one_winner [T2]
                rows_taken_once [T3]
                rows_taken_in_order_of_operations [T3]
                rows_expire [T4]
                rows_expired_are_swept [T4]
                rows_expiry_can_be_moved [T4]
                rows_of_others_are_out_of_reach [T5]
                rows_expired_of_others_may_be_replaced [T4]
                rows_owned_need_an_account [T5]
                rows_unique_value_has_one_holder [T6]
                rows_unique_places_are_apart [T6]
                rows_unique_value_passes_on_in_one_mutation [T6]
                rows_unique_value_of_an_update_is_its_own [T6]
                rows_are_listed_in_pages [T7]
                rows_prefixes_end_where_they_end [T7]
                rows_indexes_follow [T8]
                rows_index_values_are_not_mixed_up [T8]
                rows_owners_are_not_mixed_up [T8]
            }
            firehose {
                firehose_numbers_are_contiguous [F1]
                firehose_shows_acknowledged_events [F2]
                firehose_frames_never_change [F3]
                firehose_cursor_at_the_head [F4]
                firehose_cursor_before_the_window [F5]
                firehose_commit_frame_is_complete [F6]
                firehose_first_commit_has_no_past [F6]
                firehose_commit_frame_has_the_networks_shape [F6]
                firehose_sync_frame_carries_the_commit [F9]
                firehose_account_frames_tell_every_status [F9]
                firehose_identity_frames [F9]
                firehose_limits_hold [F7]
                firehose_read_in_parts_is_whole [F7]
                firehose_wait_wakes [F8]
                firehose_follower_sees_every_event_once [F8]
            }
            changes {
                changes_are_the_mutations [C1]
                changes_are_read_in_parts [C3]
                changes_replay_to_the_same_state [C2]
                changes_replay_and_sweeps_commute [C2]
                changes_replay_keys_used_again [C2]
                changes_replay_the_same_frames [C2]
            }
            snapshots {
                snapshot_is_consistent [S1]
                snapshot_equals_the_models [S2]
                snapshot_items_are_in_order_of_keys [S2]
            }
            maintenance {
                maintenance_sweep_forgets_what_is_due [M1]
                maintenance_small_budgets_come_to_the_same [M7]
                maintenance_purge_shortens_the_window [M2]
                maintenance_purge_with_the_deletion [M2]
                maintenance_purge_without_a_repo [M2]
                maintenance_receipts_outlive_the_window [M1]
                maintenance_events_end_with_their_retention [M1]
                maintenance_verify_finds_a_sound_store_sound [M3]
                maintenance_stats_add_up [M4]
                maintenance_checkpoint_changes_nothing [M5]
                maintenance_close_keeps_everything [M5]
                maintenance_closed_refuses_writes [M6]
            }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! expand_cases {
    (table () $($module:ident { $($case:ident [$($promise:ident)+])* })*) => {
        &[$($($crate::Case {
            name: stringify!($case),
            promises: &[$(stringify!($promise)),+],
            run: |cx| Box::pin($crate::cases::$module::$case(cx)),
        },)*)*]
    };
    (tests ($fixture:expr) $($module:ident { $($case:ident [$($promise:ident)+])* })*) => {
        $($(
            #[test]
            fn $case() {
                $crate::run(stringify!($case), $fixture);
            }
        )*)*
    };
}
