//! Clocks that jump: retention erases nothing early.

use super::*;
use crate::journal::sqlite::hold::JUMP_MIN;

const YEAR: Duration = Duration::from_secs(365 * 86_400);
const MATCHES: usize = 5;

/// A store in which [`MATCHES`] matches have ended at this time.
async fn ended(now: Timestamp) -> Store {
    let folder = tempfile::tempdir().unwrap();
    let (journal, hand) = open(&path(&folder), now).await;
    let store = Store { folder, journal, hand };
    for n in 0..MATCHES {
        let request_id = format!("order-{n}");
        suite::facts::end(&store, match_id(0, n as u64), named_spec(&request_id)).await;
    }
    store
}

impl Store {
    async fn erased(&self) -> usize {
        self.journal.tidy(Chore::EraseExpired, 1_000).await.unwrap()
    }

    async fn start_again(&mut self, now: Timestamp) {
        suite::Engine::restart(self, now).await;
    }
}

#[tokio::test]
async fn a_start_a_year_ahead_erases_nothing_until_matches_were_kept_long_enough() {
    let mut store = ended(START).await;
    store.start_again(START.after(YEAR)).await;
    assert_eq!(store.erased().await, 0);
    store.hand.advance(KEEP / 2);
    store.start_again(START.after(YEAR).after(KEEP / 2)).await;
    assert_eq!(store.erased().await, 0, "another start, without a jump, keeps the hold");
    store.hand.advance(KEEP / 2);
    assert_eq!(store.erased().await, MATCHES);
}

#[tokio::test]
async fn a_clock_that_was_a_year_ahead_does_not_hold_retention_for_a_year() {
    let mut store = ended(START).await;
    store.start_again(START.after(YEAR)).await;
    store.start_again(START.after(KEEP / 2)).await;
    store.hand.advance(KEEP / 2);
    assert_eq!(store.erased().await, 0);
    store.hand.advance(KEEP / 2);
    assert_eq!(store.erased().await, MATCHES);
}

#[tokio::test]
async fn matches_that_ended_by_a_clock_in_the_past_are_kept_by_the_next_start() {
    let mut store = ended(START.before(YEAR)).await;
    store.start_again(START).await;
    assert_eq!(store.erased().await, 0);
    store.hand.advance(KEEP);
    assert_eq!(store.erased().await, MATCHES);
}

#[tokio::test]
async fn a_step_of_the_clock_while_it_runs_erases_nothing_early() {
    let folder = tempfile::tempdir().unwrap();
    let (config, hand) = config(&path(&folder), START);
    let clock = config.clock.clone();
    let journal = Sqlite::open(config).await.unwrap();
    let store = Store { folder, journal, hand };
    suite::facts::end(&store, match_id(0, 1), plain_spec()).await;
    clock.step_to(START.after(YEAR));
    for _ in 0..10 {
        assert_eq!(store.erased().await, 0);
        store.hand.advance(KEEP / 10);
    }
    assert_eq!(store.erased().await, 1);
}

#[tokio::test]
async fn a_week_without_a_match_is_no_jump() {
    let mut store = ended(START).await;
    store.start_again(START.after(JUMP_MIN)).await;
    assert_eq!(store.erased().await, MATCHES);
    let store = ended(START).await;
    store.hand.advance(YEAR);
    assert_eq!(store.erased().await, MATCHES, "the year passed while the process ran");
    let mut idle = ended(START).await;
    idle.hand.advance(YEAR - KEEP);
    idle.journal.tidy(Chore::EraseExpired, 0).await.unwrap();
    idle.start_again(START.after(YEAR)).await;
    assert_eq!(idle.erased().await, MATCHES, "the process ran, without a match, until lately");
}
