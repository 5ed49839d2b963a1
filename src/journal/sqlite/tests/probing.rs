//! Whether the file takes writes is shown by commits, and without them by a probe.

use super::*;

#[tokio::test]
async fn a_transaction_without_a_write_shows_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (ticks, hand) = Clock::manual(START);
    let (config, _) = config(&path(&folder), START);
    let journal = Sqlite::open(Config { ticks, ..config }).await.unwrap();
    hand.advance(Duration::from_secs(10));
    assert!(journal.claim(10).await.unwrap().is_empty());
    let before = journal.commits();
    journal.takes_writes().await.unwrap();
    assert_eq!(journal.commits() - before, 1, "a probe");
}

#[tokio::test]
async fn an_idle_journal_makes_a_probe_every_ten_seconds_and_a_busy_one_none() {
    let folder = tempfile::tempdir().unwrap();
    let (ticks, hand) = Clock::manual(START);
    let (config, _) = config(&path(&folder), START);
    let journal = Sqlite::open(Config { ticks, ..config }).await.unwrap();
    let probes = async || {
        let before = journal.commits();
        for _ in 0..3 {
            journal.takes_writes().await.unwrap();
        }
        journal.commits() - before
    };
    assert_eq!(probes().await, 0, "its opening has written");
    for _ in 0..2 {
        hand.advance(Duration::from_secs(10));
        assert_eq!(probes().await, 1);
    }
    hand.advance(Duration::from_secs(9));
    let admitted = journal.admit(match_id(0, 1), Arc::new(named_spec("order-1"))).await.unwrap();
    assert!(matches!(admitted, Admitted::New(..)));
    assert_eq!(probes().await, 0, "the commit is recent");
    hand.advance(Duration::from_secs(9));
    assert_eq!(probes().await, 0);
    journal.clone().close().await;
    hand.advance(Duration::from_secs(1));
    journal.takes_writes().await.unwrap_err();
}
