//! Leases of this engine, as the clock is moved. Everything else is in the suite.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;

use crate::{
    clock::{Clock, Hand},
    domain::{Sequence, Timestamp},
    journal::{
        Admitted, Appended, Claim, ClaimStatus, Error, Handles, Writer,
        memory::{Memory, Store},
        suite::{self, facts::*},
    },
};

const LEASE: Duration = Duration::from_secs(10);

/// A store, the process that has it open, and the hand of its clock.
struct Kept {
    journal: Memory,
    hand: Hand,
    clock: Clock,
    /// What PostgreSQL's engine does in the background.
    pulse: tokio::task::JoinHandle<()>,
}

suite::conformance!(Kept);

impl Kept {
    #[expect(clippy::disallowed_methods, reason = "it ends with this process")]
    fn new(journal: Memory, clock: Clock, hand: Hand) -> Self {
        let (beating, mut bell) = (journal.clone(), journal.bell());
        let pulse = tokio::spawn(async move {
            while bell.changed().await.is_ok() {
                beating.pulse();
            }
        });
        Self { journal, hand, clock, pulse }
    }

    fn open(store: Arc<Mutex<Store>>, now: Timestamp) -> Self {
        let (clock, hand) = Clock::manual(now);
        Self::new(Memory::open(store, clock.clone()), clock, hand)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.pulse.abort();
    }
}

#[async_trait]
impl suite::Engine for Kept {
    type Backup = Store;

    async fn create() -> Self {
        Self::open(Arc::new(Mutex::new(Store::new(7))), START)
    }

    fn handles(&self) -> Handles {
        self.journal.handles()
    }

    fn may_act(&self) -> bool {
        self.journal.may_act()
    }

    fn hand(&self) -> Hand {
        self.hand.clone()
    }

    async fn restart(&mut self, now: Timestamp) {
        *self = Self::open(self.journal.store(), now);
    }

    async fn backup(&self) -> Store {
        self.journal.lock().clone()
    }

    async fn restore(&mut self, backup: &Store) {
        // Incarnations are drawn at random, and a restore doesn't repeat them: the next is new.
        let mut store = backup.clone();
        store.drawn = self.journal.lock().drawn;
        *self = Self::open(Arc::new(Mutex::new(store)), START);
    }
}

#[async_trait]
impl suite::Shared for Kept {
    async fn join(&self) -> Self {
        let journal = Memory::join(self.journal.store(), self.clock.clone(), LEASE);
        Self::new(journal, self.clock.clone(), self.hand.clone())
    }
}

/// Two processes at one store, whose pulses the test calls.
fn two() -> (Memory, Memory, Hand) {
    let (clock, hand) = Clock::manual(START);
    let store = Arc::new(Mutex::new(Store::new(7)));
    let join = || Memory::join(Arc::clone(&store), clock.clone(), LEASE);
    (join(), join(), hand)
}

async fn admitted(journal: &Memory, n: u64) -> Claim {
    match journal.admit(match_id(0, n), Arc::new(plain_spec())).await.unwrap() {
        Admitted::New(_, claim) => claim,
        Admitted::Known(known) => panic!("{} is known", known.id),
    }
}

async fn appended(journal: &Memory, claim: Claim) -> Result<Appended, Error> {
    journal.append(claim, Sequence(1), trouble()).await
}

#[tokio::test]
async fn a_stopped_process_loses_its_matches_when_its_lease_expires_and_not_before() {
    let (one, other, hand) = two();
    let claim = admitted(&one, 1).await;
    hand.advance(LEASE.mul_f64(0.8));
    other.pulse();
    assert_eq!(one.claim_status(claim), ClaimStatus::Held);
    hand.advance(LEASE.mul_f64(0.15));
    other.pulse();
    assert_eq!(
        one.claim_status(claim),
        ClaimStatus::Unsure,
        "the owner stops before its lease expires"
    );
    assert!(appended(&one, claim).await.is_err());
    assert_eq!(other.claim(10).await.unwrap(), []);
    hand.advance(LEASE.mul_f64(0.1));
    other.pulse();
    assert_eq!(other.claim(10).await.unwrap().len(), 1);
    one.pulse();
    assert_eq!(one.claim_status(claim), ClaimStatus::Lost);
    assert_eq!(appended(&one, claim).await.unwrap(), Appended::Lost);
}

#[tokio::test]
async fn a_lease_that_is_renewed_late_is_valid_if_no_other_process_has_ended_it() {
    let (one, other, hand) = two();
    let claim = admitted(&one, 1).await;
    hand.advance(LEASE * 2);
    assert_eq!(one.claim_status(claim), ClaimStatus::Unsure);
    one.pulse();
    assert_eq!(one.claim_status(claim), ClaimStatus::Held);
    assert!(matches!(appended(&one, claim).await, Ok(Appended::Done(_))));
    other.pulse();
    assert_eq!(other.claim(10).await.unwrap(), []);
}

#[tokio::test]
async fn the_first_process_back_after_an_outage_leaves_the_other_leases_alone() {
    let (one, other, hand) = two();
    let claim = admitted(&other, 1).await;
    hand.advance(LEASE * 2);
    one.pulse();
    one.pulse();
    assert_eq!(one.claim(10).await.unwrap(), []);
    other.pulse();
    assert_eq!(other.claim_status(claim), ClaimStatus::Held);
    hand.advance(LEASE.mul_f64(0.8));
    one.pulse();
    hand.advance(LEASE.mul_f64(0.3));
    one.pulse();
    assert_eq!(one.claim(10).await.unwrap().len(), 1, "it doesn't wait forever");
}
