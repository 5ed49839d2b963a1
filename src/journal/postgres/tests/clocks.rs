//! Replicas under wrong clocks: they follow the clock of the database.

use super::*;

/// A year, in microseconds.
const YEAR: i64 = 365 * 86_400 * 1_000_000;

/// Opens a replica whose clock is ahead of the database's by so many microseconds, or behind.
async fn open_wrong(database: &str, micros: i64) -> Served {
    let (clock, hand) = Clock::manual(Clock::system().now());
    open_by(database, clock.skewed(micros), hand).await
}

#[tokio::test]
async fn events_are_stamped_by_the_clock_of_the_database() {
    let database = shared().create_database();
    for (n, skew) in [YEAR, -YEAR].into_iter().enumerate() {
        let wrong = open_wrong(&database, skew).await;
        let id = match_id(0, n as u64);
        suite::facts::end(&wrong, id, named_spec(&format!("order-{n}"))).await;
        let now = shared().sql(&database, "SELECT CAST(extract(epoch FROM now()) AS bigint)");
        let now: i64 = now.trim().parse().unwrap();
        for recorded in wrong.reader().events(id).await.unwrap() {
            let seconds = recorded.time.as_micros() / 1_000_000;
            assert!((now - 600..now + 600).contains(&seconds), "{seconds} at {now}");
        }
    }
}

#[tokio::test]
async fn a_replica_that_is_a_year_ahead_erases_nothing_early() {
    let database = shared().create_database();
    let right = open_wrong(&database, 0).await;
    for n in 0..5 {
        suite::facts::end(&right, match_id(0, n), named_spec(&format!("order-{n}"))).await;
    }
    let ahead = open_wrong(&database, YEAR).await;
    assert_eq!(ahead.journal().tidy(Chore::EraseExpired, 1_000).await.unwrap(), 0);
    // Also if its clock goes wrong between two renewals of its lease.
    ahead.clock.step_to(ahead.clock.now().after(Duration::from_micros(YEAR.unsigned_abs())));
    assert_eq!(ahead.journal().tidy(Chore::EraseExpired, 1_000).await.unwrap(), 0);
    let expire = "UPDATE match_states SET expire_time = expire_time - 4000 * 1000000::bigint";
    shared().sql(&database, expire);
    assert_eq!(right.journal().tidy(Chore::EraseExpired, 1_000).await.unwrap(), 5);
}

#[tokio::test]
async fn a_replica_follows_the_clock_of_the_database_at_each_renewal() {
    let database = shared().create_database();
    let (clock, _hand) = Clock::manual(Clock::system().now());
    let clock = clock.skewed(0);
    let journal = Postgres::open(config(&database, clock.clone())).await.unwrap();
    let ahead = clock.now().after(Duration::from_micros(YEAR.unsigned_abs()));
    clock.step_to(ahead);
    until("the lease is renewed", || clock.now() < ahead).await;
    journal.close().await;
}
