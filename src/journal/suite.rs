//! What every engine of the journal keeps to, whatever it is made of: one test for each promise.
//!
//! An engine's tests are a few lines: how a store of its own is made, and
//! `suite::conformance!(ItsEngine)`. It deliberately tests nothing that only one engine has, and
//! never sleeps: time is moved by hand.

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
    journal::{Reader, Writer},
};

/// An engine with a store of its own, empty at first, which goes when this is dropped.
#[async_trait]
pub trait Engine: Sized + Send + Sync + 'static {
    /// A copy of a store.
    type Backup: Send + Sync;

    /// A new store, opened, its clock at [`START`].
    async fn create() -> Self;

    /// The side that writes.
    fn writer(&self) -> Arc<dyn Writer>;

    /// The side that reads.
    fn reader(&self) -> Arc<dyn Reader>;

    /// Moves the time that events are stamped with.
    fn hand(&self) -> Hand;

    /// Ends the process at the store, as far as the store can tell, and starts another, whose
    /// clock says `now`. What the former one held can be claimed.
    async fn restart(&mut self, now: Timestamp);

    /// Copies the store while it is at work.
    async fn backup(&self) -> Self::Backup;

    /// Puts a copy in the store's place, as an operator would, and starts a process at it.
    async fn restore(&mut self, backup: &Self::Backup);
}

/// An engine whose store several processes may be at.
#[async_trait]
pub trait Shared: Engine {
    /// Another process at the same store, whose clock is the same.
    async fn join(&self) -> Self;
}

/// Makes a test of each property for an engine. One that doesn't share its store says why.
macro_rules! conformance {
    ($engine:ty) => {
        $crate::journal::suite::conformance! { $engine, except sharing because "it is below" }
        $crate::journal::suite::conformance! { @tests sharing $engine:
            a_match_that_somebody_holds_is_not_taken
            what_nobody_holds_is_taken_once_though_many_ask_at_once
            what_is_let_go_of_is_claimed_by_another_and_lost_to_the_former
            a_lent_match_is_taken_by_whoever_has_its_photo
            securing_a_lent_match_keeps_it
            nobody_takes_a_match_for_a_photo_that_is_uploaded
            a_lent_match_whose_photo_is_found_at_oz_is_not_taken
            what_two_processes_write_has_one_order_for_both
            a_reader_hears_of_what_another_process_writes
            a_match_that_is_cancelled_elsewhere_is_lost_to_its_driver
            a_photo_that_is_kept_is_needed_until_its_match_is_done
            leaving_frees_everything_at_once
            tokens_of_one_process_are_good_at_the_other
            a_request_id_is_one_match_for_all_processes
        }
    };
    ($engine:ty, except sharing because $reason:literal) => {
        $crate::journal::suite::conformance! { @tests conformance $engine:
            admitting_starts_a_match
            admitting_a_known_request_id_writes_nothing
            admitting_the_same_match_again_finds_it
            fifty_admissions_at_once_of_one_request_id_make_one_match
            request_ids_of_other_callers_do_not_collide
            events_are_numbered_densely_in_the_order_of_appending
            an_old_claim_writes_nothing
            a_wrong_sequence_writes_nothing
            nothing_follows_the_end
            racing_appends_have_one_winner
            an_absent_match_is_not_appended_to
            cancelling_ends_a_match_and_takes_its_claim
            cancelling_tells_what_was_there_before
            cancelling_another_callers_match_finds_none
            what_was_written_is_read_on_every_path
            time_never_goes_back_within_a_match
            every_prefix_of_every_journal_replays
            facts_hold_any_character
            analyses_of_others_are_told
            an_analysis_belongs_to_the_match_that_was_first
            a_tail_sees_all_events_in_order
            a_tail_while_many_write_misses_and_repeats_none
            a_page_has_what_came_before_in_its_matches
            a_page_leaves_out_what_was_erased_and_tells_the_floor
            what_is_recent_of_a_match_is_its_journal_or_unknown
            a_wake_up_follows_every_event
            a_match_is_found_by_its_caller_only
            a_list_is_newest_first_also_within_a_millisecond
            a_list_goes_on_after_its_last_match
            a_list_keeps_to_each_filter
            a_list_is_of_one_caller
            claiming_takes_what_a_former_process_held_oldest_first
            claiming_leaves_alone_what_is_ended_or_held
            what_is_released_is_claimed_again
            a_former_process_writes_nothing_after_a_take_over
            claims_of_whoever_gave_up_waiting_are_free_again
            erasing_leaves_no_trace_on_any_path
            erasing_frees_the_request_id
            erasing_waits_for_the_end
            erasing_another_callers_match_finds_none
            expiry_erases_what_is_due_and_nothing_else
            expiry_is_at_the_microsecond
            expiry_keeps_to_its_limit_and_takes_the_longest_due_first
            expiry_raises_the_floor_and_erasing_does_not
            the_earliest_lies_right_before_the_oldest_event
            positions_of_the_erased_are_not_used_again
            a_token_at_the_floor_has_missed_nothing
            a_token_of_another_store_is_foreign
            a_token_from_ahead_is_foreign
            tokens_hold_across_restarts
            tokens_from_a_future_that_a_restore_undid_are_foreign
            a_store_keeps_its_id_and_keys
            a_store_answers
        }
    };
    (foreign $engine:ty) => {
        $crate::journal::suite::conformance! { @tests foreign $engine:
            what_is_not_known_stops_no_reader
            what_is_not_known_stops_no_claim
            an_unknown_state_is_shown_as_such_and_an_end_is_an_end
            a_column_more_stops_nothing
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
