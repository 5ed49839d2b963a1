//! Leases: whose matches are claimed by which replica, and when.

use super::*;

/// Two of three replicas take over the third one's matches, about half each, once its lease has
/// expired and not before. Its later writes have no effect.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_replicas_matches_are_taken_over_in_fair_shares() {
    let database = shared().create_database();
    let third = Behind::open(&database, SHORT).await;
    let (one, two) = (Behind::open(&database, SHORT).await, Behind::open(&database, SHORT).await);
    let mut claims = Vec::new();
    for _ in 0..60 {
        let spec = Arc::new(plain_spec());
        let admitted = third.journal.admit(MatchId::from_uuid(Uuid::new_v4()), spec).await.unwrap();
        let Admitted::New(_, claim) = admitted else { panic!("not a new match") };
        claims.push(claim);
    }
    assert_eq!(one.journal.claim(100).await.unwrap(), []);
    third.link.silence();
    let first = claims[0];
    until("its lease is in doubt", || third.journal.claim_status(first) == ClaimStatus::Unsure)
        .await;
    assert!(third.journal.append(first, Sequence(1), uploaded()).await.is_err());
    let shares = tokio::join!(claim_all(&one.journal), claim_all(&two.journal));
    assert_eq!(shares.0.len() + shares.1.len(), 60);
    assert!(shares.0.len().min(shares.1.len()) >= 15, "{}", shares.0.len());

    third.link.heal();
    until("it learns that its lease is gone", || {
        third.journal.claim_status(first) == ClaimStatus::Lost
    })
    .await;
    until("it has a new lease", || third.journal.may_act()).await;
    let late = third.journal.append(first, Sequence(1), uploaded()).await.unwrap();
    assert_eq!(late, Appended::Lost);
    let (_, taken) = &shares.0[0];
    let appended = one.journal.append(*taken, Sequence(1), uploaded()).await.unwrap();
    assert!(matches!(appended, Appended::Done(_)));
    third.link.heal();
    for behind in [one, two, third] {
        behind.journal.close().await;
    }
}

/// Claims all that a replica may, as soon as the fleet has shrunk to two.
async fn claim_all(journal: &Postgres) -> Vec<(Match, Claim)> {
    let mut fleet = journal.handles().fleet;
    let mut all = Vec::new();
    while fleet.borrow_and_update().alive > 2 {
        fleet.changed().await.unwrap();
    }
    all.extend(journal.claim(100).await.unwrap());
    all
}

/// The replica goes on with its matches, since no other replica has deleted its lease.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_is_renewed_late_is_valid_if_no_replica_has_deleted_it() {
    let database = shared().create_database();
    let alone = Behind::open(&database, SHORT).await;
    let admitted = alone.journal.admit(match_id(0, 1), Arc::new(plain_spec())).await.unwrap();
    let Admitted::New(_, claim) = admitted else { panic!("not a new match") };
    alone.link.cut_off();
    until("its lease is in doubt", || alone.journal.claim_status(claim) == ClaimStatus::Unsure)
        .await;
    assert!(alone.journal.ping().await.is_err());
    assert!(alone.journal.admit(match_id(0, 2), Arc::new(plain_spec())).await.is_err());
    alone.link.heal();
    until("it renews its lease", || alone.journal.claim_status(claim) == ClaimStatus::Held).await;
    let appended = alone.journal.append(claim, Sequence(1), uploaded()).await.unwrap();
    assert!(matches!(appended, Appended::Done(_)));
    alone.journal.close().await;
}

/// A replica at its limit of matches searches for none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_of_no_matches_sends_no_statement() {
    let database = shared().create_database();
    let behind = Behind::open(&database, LEASE).await;
    behind.link.cut_off();
    assert_eq!(behind.journal.claim(0).await.unwrap(), []);
    assert!(behind.journal.claim(1).await.is_err());
    behind.link.heal();
    behind.journal.close().await;
}

/// An outage lets all leases expire at once: the first replica to return waits for the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_an_outage_each_replica_keeps_its_matches() {
    let database = shared().create_database();
    let (one, two) = (Behind::open(&database, SHORT).await, Behind::open(&database, SHORT).await);
    let admitted = two.journal.admit(match_id(0, 1), Arc::new(plain_spec())).await.unwrap();
    let Admitted::New(_, claim) = admitted else { panic!("not a new match") };
    for behind in [&one, &two] {
        behind.link.cut_off();
    }
    until("both leases are in doubt", || !one.journal.may_act() && !two.journal.may_act()).await;
    one.link.heal();
    until("the first is back", || one.journal.may_act()).await;
    assert_eq!(one.journal.claim(10).await.unwrap(), []);
    two.link.heal();
    until("the second is back", || two.journal.claim_status(claim) == ClaimStatus::Held).await;
    for behind in [one, two] {
        behind.journal.close().await;
    }
}

/// An outage of the database lets all leases expire, and one replica is the first to return.
#[tokio::test]
async fn a_replica_that_renews_its_lease_late_deletes_no_other_lease() {
    let database = shared().create_database();
    let (ticks, hand) = Clock::manual(START);
    let (still, _hand) = Clock::manual(START);
    let journal = |ticks| Postgres::open(Config { ticks, ..config(&database, still.clone()) });
    let (late, _other) = (journal(ticks).await.unwrap(), journal(still.clone()).await.unwrap());
    let mut beside = PgConnection::connect(&shared().url(&database)).await.unwrap();
    let lapse = "UPDATE leases SET expire_time = now() - INTERVAL '1 hour'";
    query(lapse).execute(&mut beside).await.unwrap();
    hand.advance(Duration::from_secs(10));
    assert!(!late.may_act());
    while !late.may_act() {
        late.cursor(Start::Floor).await.unwrap();
    }
    let leases = query_scalar::<_, i64>("SELECT count(*) FROM leases").fetch_one(&mut beside);
    assert_eq!(leases.await.unwrap(), 2);
}
