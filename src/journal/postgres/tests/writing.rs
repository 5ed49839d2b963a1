//! Writes whose answer is lost, and writes that wait for another transaction.

use super::*;

/// Each statement's answer is lost once, after it took effect; then its request, before it did.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_connection_was_lost_is_neither_lost_nor_made_twice() {
    for loss in [Loss::Answer, Loss::Request] {
        let database = shared().create_database();
        let behind = Behind::open(&database, LEASE).await;
        let mut lost = 0;
        for n in 0.. {
            let before = behind.link.losses();
            behind.link.lose(loss, 1 + n);
            write_match(&behind.journal, match_id(0, n as u64)).await;
            behind.link.heal();
            if behind.link.losses() == before {
                break;
            }
            lost += 1;
        }
        assert!(lost >= 5, "{lost} statements were lost");
        let each = "SELECT count(*) FROM (SELECT match_id FROM events GROUP BY match_id
                    HAVING count(*) <> 5 OR max(sequence) <> 5) AS odd";
        assert_eq!(shared().sql(&database, each), "0");
        behind.journal.close().await;
    }
}

/// Writes a match from its first event to its last, each event once: retries are the engine's task.
async fn write_match(journal: &Postgres, id: MatchId) {
    let spec = Arc::new(named_spec(&id.to_string()));
    let Admitted::New(_, claim) =
        try_twice(async || journal.admit(id, Arc::clone(&spec)).await).await
    else {
        panic!("{id} existed before");
    };
    let events = [uploaded(), started(&id.to_string()), trouble(), finished()];
    for (index, event) in events.into_iter().enumerate() {
        let after = Sequence(1 + index as u64);
        let appended = try_twice(async || journal.append(claim, after, event.clone()).await).await;
        assert!(matches!(appended, Appended::Done(_)), "{appended:?}");
    }
}

/// Two replicas have found the same photo at Oz, and the connection of one was cut.
#[tokio::test]
async fn the_same_fact_of_another_replica_is_not_taken_for_a_write_whose_answer_was_lost() {
    let one = Served::create().await;
    let other = suite::Shared::join(&one).await;
    let (_, claim) = admit(&one, match_id(0, 1), plain_spec()).await;
    let ours = append(&one, claim, Sequence(1), trouble()).await;
    let found = one.journal().appended_before(claim, Sequence(1), &trouble(), true).await;
    assert_eq!(found.unwrap(), Appended::Done(ours));
    let found = other.journal().appended_before(claim, Sequence(1), &trouble(), true).await;
    assert_eq!(found.unwrap(), Appended::Lost);
}

/// The takeover is committed while the write waits for its lock: a fence in a sub-select, which
/// sees the write's snapshot, would let the write through.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_waits_for_a_takeover_has_no_effect() {
    let one = Served::create().await;
    let (_, claim) = admit(&one, match_id(0, 1), plain_spec()).await;
    let taking = "UPDATE match_states SET epoch = epoch + 1, owner = 77";
    let other = open_transaction(&one.database, taking).await;
    let writing = one.journal().append(claim, Sequence(1), uploaded());
    let (appended, ()) = tokio::join!(writing, commit_once_awaited(&one.database, other));
    assert_eq!(appended.unwrap(), Appended::Lost);
    assert_eq!(one.journal().events(match_id(0, 1)).await.unwrap().len(), 1);
}

/// A write that began first but commits later has the greater position, and sees the other's rows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn positions_are_in_the_order_of_commits_and_a_later_write_sees_an_earlier_one() {
    let one = Served::create().await;
    let (first, claim) = admit(&one, match_id(0, 1), plain_spec()).await;
    let elsewhere = "
        INSERT INTO commits SELECT max(last_position) + 1, max(last_position) + 1, 5 FROM commits;
        INSERT INTO match_analyses VALUES ('a-1', gen_random_uuid())";
    let other = open_transaction(&one.database, elsewhere).await;
    let writing = async {
        let appended = one.journal().append(claim, Sequence(1), uploaded()).await.unwrap();
        let Appended::Done(second) = appended else { panic!("{appended:?}") };
        (second, one.journal().append(claim, Sequence(2), started("a-1")).await.unwrap())
    };
    let going_on = commit_once_awaited(&one.database, other);
    let ((second, third), ()) = tokio::join!(writing, going_on);
    assert_eq!(second.position, Position(first.position.0 + 2));
    assert_eq!(third, Appended::Taken);
}

/// Nor is any lock held: between two statements a replica blocks no other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_transaction_is_open_between_two_round_trips() {
    let one = Served::create().await;
    let open = "SELECT count(*) FROM pg_stat_activity
                WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
    for n in 0..20 {
        write_match(one.journal(), match_id(0, n)).await;
        assert_eq!(shared().sql(&one.database, open), "0");
    }
}
