//! The conformance suite of the journal's engines: one test for each promise.
//!
//! An engine's own tests need a few lines: how to create a store, and
//! `suite::conformance!(ItsEngine)`. The suite deliberately tests nothing that only one engine has,
//! and never sleeps: the tests move the time by hand.

mod claiming;
pub(crate) mod crowd;
mod erasing;
pub(crate) mod facts;
mod foreign;
mod listing;
mod resuming;
mod sharing;
mod tailing;
mod writing;

use std::sync::Arc;

use async_trait::async_trait;

pub use self::{
    claiming::*, erasing::*, facts::START, foreign::*, listing::*, resuming::*, sharing::*,
    tailing::*, writing::*,
};
use crate::{
    clock::Hand,
    domain::Timestamp,
    journal::{Handles, Reader, Writer},
};

/// An engine with a store of its own, which is empty at first and deleted on drop.
#[async_trait]
pub trait Engine: Sized + Send + Sync + 'static {
    /// A copy of a store.
    type Backup: Send + Sync;

    /// Creates a store and opens it, with the clock at [`START`].
    async fn create() -> Self;

    /// The journal of the current process.
    fn handles(&self) -> Handles;

    /// Whether the current process may claim matches, and act on its claims.
    fn may_act(&self) -> bool;

    /// The writer of the current process.
    fn writer(&self) -> Arc<dyn Writer> {
        self.handles().writer
    }

    /// The reader of the current process.
    fn reader(&self) -> Arc<dyn Reader> {
        self.handles().feed.reader
    }

    /// The hand of the clock that stamps events.
    fn hand(&self) -> Hand;

    /// Ends the process, as far as the store can tell, and starts another, whose clock is at `now`.
    /// The matches that the former process held can be claimed.
    async fn restart(&mut self, now: Timestamp);

    /// Copies the store while a process has it open.
    async fn backup(&self) -> Self::Backup;

    /// Replaces the store by a copy, as an operator would, and starts a process at it.
    async fn restore(&mut self, backup: &Self::Backup);
}

/// An engine whose store several processes may have open.
#[async_trait]
pub trait Shared: Engine {
    /// Starts another process at the same store, with the same clock.
    async fn join(&self) -> Self;
}

/// Makes a test of each property for an engine. An engine whose store can't be shared says why.
macro_rules! conformance {
    ($engine:ty) => {
        $crate::journal::suite::conformance! { $engine, except sharing because "it is below" }
        $crate::journal::suite::conformance! { @tests sharing $engine:
            a_held_match_is_not_taken
            concurrent_takes_of_a_free_match_have_one_winner
            a_released_match_is_claimed_by_another_process_and_fenced_for_the_former
            a_lent_match_is_taken_by_a_process_that_has_its_photo
            confirming_a_lent_match_keeps_it
            a_held_match_with_an_uploaded_photo_is_not_taken
            a_lent_match_whose_photo_is_found_at_oz_is_not_taken
            a_match_whose_photo_is_in_the_library_is_never_lent
            events_of_two_processes_have_one_order_for_both
            a_reader_sees_the_events_of_another_process
            a_match_that_is_cancelled_elsewhere_is_lost_to_its_driver
            a_kept_photo_is_needed_until_its_match_is_done
            leaving_releases_everything_at_once
            tokens_of_one_process_are_valid_at_the_other
            a_request_id_names_one_match_for_all_processes
        }
    };
    ($engine:ty, except sharing because $reason:literal) => {
        $crate::journal::suite::conformance! { @tests conformance $engine:
            admitting_starts_a_match
            admitting_a_known_request_id_writes_nothing
            admitting_the_same_match_again_finds_it
            fifty_admissions_at_once_of_one_request_id_make_one_match
            request_ids_of_other_tenants_do_not_collide
            events_are_numbered_densely_in_the_order_of_appending
            an_old_claim_writes_nothing
            a_wrong_sequence_writes_nothing
            nothing_follows_the_end
            racing_appends_have_one_winner
            an_absent_match_is_not_appended_to
            cancelling_ends_a_match_and_takes_its_claim
            cancelling_returns_what_was_there_before
            cancelling_another_tenants_match_finds_none
            written_events_are_read_on_every_path
            time_never_goes_back_within_a_match
            every_prefix_of_every_journal_replays
            facts_hold_any_character
            analyses_of_other_matches_are_found
            an_analysis_belongs_to_the_first_match_that_names_it
            a_tail_sees_all_events_in_order
            a_tail_during_concurrent_writes_misses_and_repeats_none
            a_page_has_the_earlier_events_of_its_matches
            a_page_leaves_out_erased_matches_and_has_the_floor
            recent_events_of_a_match_are_complete_or_unknown
            a_wake_up_follows_every_event
            a_match_is_found_by_its_tenant_only
            a_list_is_newest_first_also_within_a_millisecond
            a_list_continues_after_its_last_match
            a_list_applies_each_filter
            a_list_has_the_matches_of_one_tenant
            claiming_takes_the_matches_of_a_former_process_oldest_first
            claiming_leaves_ended_and_held_matches_alone
            a_released_match_is_claimed_again
            a_former_process_writes_nothing_after_a_take_over
            claims_of_a_cancelled_call_are_released
            a_match_whose_photo_is_in_the_library_is_claimed_whole
            erasing_leaves_no_trace_on_any_path
            erasing_frees_the_request_id
            a_running_match_is_not_erased
            erasing_another_tenants_match_finds_none
            expiry_erases_due_matches_only
            expiry_is_exact_to_the_microsecond
            expiry_respects_its_limit_and_erases_the_longest_due_first
            expiry_raises_the_floor_and_erasing_does_not
            the_earliest_position_is_right_before_the_oldest_event
            positions_of_erased_events_are_not_reused
            a_token_at_the_floor_has_missed_nothing
            a_token_of_another_store_is_foreign
            a_token_from_ahead_is_foreign
            tokens_are_valid_across_restarts
            tokens_from_a_history_that_a_restore_undid_are_foreign
            a_store_keeps_its_id_and_keys
            a_store_answers
        }
    };
    (foreign $engine:ty) => {
        $crate::journal::suite::conformance! { @tests foreign $engine:
            an_unknown_event_stops_no_reader
            an_unknown_event_stops_no_claim
            a_photo_waits_for_no_match_with_an_unknown_event
            an_unknown_state_is_shown_as_unknown_and_an_end_as_an_end
            an_extra_column_stops_nothing
            a_trace_is_kept_and_an_odd_one_stops_nothing
            a_match_with_an_unknown_photo_source_is_left_to_versions_that_know_it
        }
    };
    (@tests $module:ident $engine:ty: $($property:ident)+) => {
        mod $module {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $property() {
                    let engine = <$engine as $crate::journal::suite::Engine>::create().await;
                    $crate::journal::suite::$property(engine).await;
                }
            )+
        }
    };
}
pub(crate) use conformance;

/// A property that is written and not listed would never run.
#[test]
fn every_property_is_listed() {
    let listed: Vec<_> = include_str!("suite.rs").lines().map(str::trim).collect();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/journal/suite");
    let mut properties = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let source = std::fs::read_to_string(file.unwrap().path()).unwrap();
        for rest in source.split("\npub async fn ").skip(1) {
            let (name, parameters) = rest.split_once('(').unwrap();
            let parameters = parameters.split_once(')').unwrap().0;
            if ["impl Engine", "impl Shared", "impl Sql"].iter().any(|it| parameters.contains(it)) {
                assert!(listed.contains(&name), "{name} is not in the list of suite.rs");
                properties += 1;
            }
        }
    }
    assert!(properties > 60, "{properties} properties were found");
}
