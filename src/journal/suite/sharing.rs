//! Several processes at one store: which of them holds a match, and what each learns of the others.

#![expect(clippy::disallowed_methods, reason = "each test joins what it spawns")]

use std::{collections::HashSet, sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};

use super::{facts::*, tailing};
use crate::{
    domain::{MatchId, Position, Recorded, Sequence, State},
    journal::{
        Admitted, Appended, CancelledAs, Chore, Claim, ClaimStatus, CursorStatus, Feed, Fleet,
        Handles, Key, MatchChange, Start, Takeover,
        suite::{Engine, Shared},
    },
};

/// How long a test waits for an event: much longer than it takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Claims until some matches are found. The writer's fleet signals when there may be some.
async fn claimed(engine: &impl Shared) -> Vec<Claim> {
    let Handles { writer, mut fleet, .. } = engine.handles();
    loop {
        fleet.mark_unchanged();
        let page = writer.claim(10).await.unwrap();
        if !page.is_empty() {
            return page.into_iter().map(|(_, claim)| claim).collect();
        }
        told(&mut fleet).await;
    }
}

async fn told(fleet: &mut watch::Receiver<Fleet>) {
    timeout(PATIENCE, fleet.changed()).await.expect("the fleet is signalled").unwrap();
}

/// Takes a match, which must be free or lent.
async fn taken(engine: &impl Shared, id: MatchId, has_photo: bool) -> Claim {
    match engine.writer().take(id, has_photo).await.unwrap() {
        Takeover::Now(m, claim) => {
            assert_eq!((m.id, claim.match_id), (id, id));
            claim
        }
        other => panic!("{other:?}"),
    }
}

async fn assert_not_taken(engine: &impl Shared, id: MatchId, has_photo: bool, why: Takeover) {
    assert_eq!(engine.writer().take(id, has_photo).await.unwrap(), why);
}

async fn assert_lost(engine: &impl Shared, claim: Claim) {
    let before = engine.reader().events(claim.match_id).await.unwrap();
    let after = before.last().unwrap().sequence;
    let appended = engine.writer().append(claim, after, trouble()).await.unwrap();
    assert_eq!(appended, Appended::Lost);
    assert_eq!(engine.reader().events(claim.match_id).await.unwrap(), before);
}

/// A match that waits for its photo, claimed by a process that doesn't have the photo.
async fn lent(engine: &impl Shared, other: &impl Shared, id: MatchId) -> Claim {
    let (_, first) = admit(engine, id, plain_spec()).await;
    engine.writer().release(vec![first]).await.unwrap();
    let claim = claimed(other).await.remove(0);
    assert_eq!(other.writer().claim_status(claim), ClaimStatus::Lent);
    claim
}

/// Neither by a claim, nor by a take with the photo or without it.
pub async fn a_held_match_is_not_taken(engine: impl Shared) {
    let other = engine.join().await;
    let id = match_id(0, 1);
    let (_, claim) = admit(&engine, id, plain_spec()).await;
    assert_eq!(other.writer().claim(10).await.unwrap(), []);
    for has_photo in [false, true] {
        assert_not_taken(&other, id, has_photo, Takeover::Held).await;
        assert_not_taken(&engine, id, has_photo, Takeover::Held).await;
    }
    assert_eq!(engine.writer().claim_status(claim), ClaimStatus::Held);
    append(&engine, claim, Sequence(1), uploaded()).await;
}

/// Two processes, with a dozen takes each.
pub async fn concurrent_takes_of_a_free_match_have_one_winner(engine: impl Shared) {
    let other = engine.join().await;
    let id = match_id(0, 1);
    let (_, first) = run(&engine, id, plain_spec(), [uploaded()]).await;
    engine.writer().release(vec![first]).await.unwrap();
    let asking = (0..24).map(|n| {
        let writer = if n % 2 == 0 { engine.writer() } else { other.writer() };
        tokio::spawn(async move { writer.take(id, false).await.unwrap() })
    });
    let answers: Vec<_> = join_all(asking).await.into_iter().map(Result::unwrap).collect();
    let won = answers.iter().filter(|it| matches!(it, Takeover::Now(..))).count();
    let held = answers.iter().filter(|it| **it == Takeover::Held).count();
    assert_eq!((won, held), (1, 23));
}

/// The former process is fenced before the match is claimed again, and after.
pub async fn a_released_match_is_claimed_by_another_process_and_fenced_for_the_former(
    engine: impl Shared,
) {
    let other = engine.join().await;
    let (_, first) = run(&engine, match_id(0, 1), plain_spec(), [uploaded()]).await;
    let (_, kept) = run(&engine, match_id(0, 2), plain_spec(), [uploaded()]).await;
    engine.writer().release(vec![first]).await.unwrap();
    assert_lost(&engine, first).await;
    let claims = claimed(&other).await;
    assert_eq!(claims.iter().map(|claim| claim.match_id).collect::<Vec<_>>(), [match_id(0, 1)]);
    assert_lost(&engine, first).await;
    append(&other, claims[0], Sequence(2), trouble()).await;
    append(&engine, kept, Sequence(2), trouble()).await;
    // A second release doesn't affect the new claim.
    engine.writer().release(vec![first]).await.unwrap();
    append(&other, claims[0], Sequence(3), trouble()).await;
}

/// Even while its holder is alive. A process without the photo has to wait.
pub async fn a_lent_match_is_taken_by_a_process_that_has_its_photo(engine: impl Shared) {
    let other = engine.join().await;
    let id = match_id(0, 1);
    let lent = lent(&engine, &other, id).await;
    append(&other, lent, Sequence(1), trouble()).await;
    assert_not_taken(&engine, id, false, Takeover::Held).await;
    let claim = taken(&engine, id, true).await;
    assert_eq!(engine.writer().claim_status(claim), ClaimStatus::Held);
    assert_lost(&other, lent).await;
    assert_eq!(other.writer().confirm(lent).await.unwrap(), None);
    assert_not_taken(&other, id, true, Takeover::Held).await;
    append(&engine, claim, Sequence(2), uploaded()).await;
}

/// Its driver continues, and no other process can take the match over any more.
pub async fn confirming_a_lent_match_keeps_it(engine: impl Shared) {
    let other = engine.join().await;
    let id = match_id(0, 1);
    let lent = lent(&engine, &other, id).await;
    append(&other, lent, Sequence(1), trouble()).await;
    let whole = other.writer().confirm(lent).await.unwrap().expect("the claim still holds");
    assert_eq!(other.writer().claim_status(whole), ClaimStatus::Held);
    assert_not_taken(&engine, id, true, Takeover::Held).await;
    append(&other, whole, Sequence(2), uploaded()).await;
    assert_eq!(other.writer().confirm(whole).await.unwrap(), Some(whole), "safe to repeat");
}

/// A process that keeps its photo may drop it. An absent or ended match isn't taken either.
pub async fn a_held_match_with_an_uploaded_photo_is_not_taken(engine: impl Shared) {
    let other = engine.join().await;
    let (held, over) = (match_id(0, 1), match_id(0, 2));
    let (_, claim) = run(&engine, held, plain_spec(), [uploaded()]).await;
    end(&engine, over, plain_spec()).await;
    assert_not_taken(&other, held, true, Takeover::Past).await;
    assert_not_taken(&other, held, false, Takeover::Held).await;
    for id in [over, match_id(0, 3)] {
        assert_not_taken(&other, id, true, Takeover::Past).await;
        assert_not_taken(&other, id, false, Takeover::Past).await;
    }
    engine.writer().release(vec![claim]).await.unwrap();
    let claim = taken(&other, held, true).await;
    assert_eq!(
        other.writer().claim_status(claim),
        ClaimStatus::Held,
        "the photo is at Oz: not lent"
    );
}

/// The claim keeps working, since no photo is needed any more.
pub async fn a_lent_match_whose_photo_is_found_at_oz_is_not_taken(engine: impl Shared) {
    let other = engine.join().await;
    let id = match_id(0, 1);
    let lent = lent(&engine, &other, id).await;
    append(&other, lent, Sequence(1), uploaded()).await;
    assert_not_taken(&engine, id, true, Takeover::Past).await;
    append(&other, lent, Sequence(2), started("a-1")).await;
}

/// Each replica can read the photo itself: a claim on the match is whole, and no replica that
/// happens to have a photo takes it over.
pub async fn a_match_whose_photo_is_in_the_library_is_never_lent(engine: impl Shared) {
    let other = engine.join().await;
    let id = match_id(0, 1);
    let (_, first) = admit(&engine, id, spec_by_key("people/17")).await;
    assert_eq!(engine.writer().claim_status(first), ClaimStatus::Held);
    assert_not_taken(&other, id, true, Takeover::Past).await;
    assert_not_taken(&other, id, false, Takeover::Held).await;
    engine.writer().release(vec![first]).await.unwrap();
    let claim = claimed(&other).await.remove(0);
    assert_eq!(other.writer().claim_status(claim), ClaimStatus::Held);
    append(&other, claim, Sequence(1), trouble()).await;
    assert_not_taken(&engine, id, true, Takeover::Past).await;
    other.writer().release(vec![claim]).await.unwrap();
    let taken = taken(&engine, id, false).await;
    assert_eq!(engine.writer().claim_status(taken), ClaimStatus::Held);
    append(&engine, taken, Sequence(2), uploaded()).await;
}

const MATCHES: u64 = 12;

/// Both readers follow while both writers write.
pub async fn events_of_two_processes_have_one_order_for_both(engine: impl Shared) {
    let other = engine.join().await;
    let lives = (0..MATCHES).map(|n| {
        let writer = if n % 2 == 0 { engine.writer() } else { other.writer() };
        tokio::spawn(tailing::live(writer, match_id(0, n)))
    });
    let writing = tokio::spawn(join_all(lives));
    let events = usize::try_from(MATCHES * tailing::EVENTS).unwrap();
    let (here, there) = tokio::join!(followed(&engine, events), followed(&other, events));
    assert!(writing.await.unwrap().into_iter().all(|written| written.is_ok()));
    assert!(here.is_sorted_by(|a, b| a.position < b.position));
    assert_eq!(here, there);
}

async fn followed(engine: &impl Engine, events: usize) -> Vec<Recorded> {
    let Feed { reader, mut wake, .. } = engine.handles().feed;
    let mut seen = Vec::<Recorded>::new();
    while seen.len() < events {
        wake.borrow_and_update();
        let after = seen.last().map_or(Position(0), |last| last.position);
        let page = reader.tail(after, 7).await.unwrap();
        if page.is_empty() {
            tailing::heard(&mut wake).await;
        }
        seen.extend(page);
    }
    seen
}

/// On every path: immediately where the store is asked, and after the wake-up on a tail.
pub async fn a_reader_sees_the_events_of_another_process(engine: impl Shared) {
    let other = engine.join().await;
    let (id, reader) = (match_id(0, 1), other.reader());
    let (journal, _) = run(&engine, id, named_spec("order-1"), [uploaded()]).await;
    assert_eq!(reader.events(id).await.unwrap(), journal);
    let found = reader.find(&anna(), &request("order-1")).await.unwrap().unwrap();
    assert_eq!((found.id, found.state), (id, State::Uploaded));
    assert_eq!(followed(&other, 2).await, journal);
    assert!(reader.recent(id).is_none_or(|recent| recent == journal));
}

/// Registers a callback that collects the changes of matches.
fn ear(engine: &impl Engine) -> mpsc::UnboundedReceiver<MatchChange> {
    let (tell, told) = mpsc::unbounded_channel();
    engine.writer().listen(Arc::new(move |heard| {
        let _ = tell.send(heard);
    }));
    told
}

/// The next change.
async fn next_heard(told: &mut mpsc::UnboundedReceiver<MatchChange>) -> MatchChange {
    timeout(PATIENCE, told.recv()).await.expect("it is reported").expect("the journal is open")
}

/// Its driver learns of it without writing anything, however much is erased meanwhile. Results of
/// requests that it has sent to Oz by then are not recorded.
pub async fn a_match_that_is_cancelled_elsewhere_is_lost_to_its_driver(engine: impl Shared) {
    let other = engine.join().await;
    let (id, erased) = (match_id(0, 1), match_id(0, 2));
    let (_, claim) = run(&engine, id, plain_spec(), [uploaded()]).await;
    let mut told = ear(&engine);
    let cancelled = other.writer().cancel(&anna(), &Key::Match(id), KEEP).await.unwrap();
    assert!(matches!(cancelled, CancelledAs::Now(_)));
    assert_eq!(next_heard(&mut told).await, MatchChange::Gone(id));
    assert_lost(&engine, claim).await;
    end(&other, erased, plain_spec()).await;
    while next_heard(&mut told).await != MatchChange::PhotoDone(erased) {}
    other.writer().erase(&anna(), erased).await.unwrap();
    while next_heard(&mut told).await != MatchChange::Gone(erased) {}
}

/// It makes no difference which process commits. The store is asked for all matches at once.
pub async fn a_kept_photo_is_needed_until_its_match_is_done(engine: impl Shared) {
    let other = engine.join().await;
    let (held, ended, absent) = (match_id(0, 1), match_id(0, 2), match_id(0, 3));
    let (_, claim) = admit(&engine, held, plain_spec()).await;
    end(&engine, ended, plain_spec()).await;
    let all = [held, ended, absent];
    assert_eq!(other.writer().takeable(&[]).await.unwrap(), []);
    let takeable: HashSet<_> = other.writer().takeable(&all).await.unwrap().into_iter().collect();
    assert_eq!(takeable, HashSet::from([ended, absent]));
    let (mut told, mut told_elsewhere) = (ear(&engine), ear(&other));
    append(&engine, claim, Sequence(1), uploaded()).await;
    for told in [&mut told, &mut told_elsewhere] {
        while next_heard(told).await != MatchChange::PhotoDone(held) {}
    }
    let takeable = other.writer().takeable(&all).await.unwrap();
    assert_eq!(takeable.len(), 3, "its photo is at Oz");
    engine.writer().release(vec![claim]).await.unwrap();
    assert_eq!(other.writer().takeable(&all).await.unwrap().len(), 3);
}

/// A process that has left can claim nothing, but still writes cancellations.
pub async fn leaving_releases_everything_at_once(engine: impl Shared) {
    let other = engine.join().await;
    let (_, one) = run(&engine, match_id(0, 1), plain_spec(), [uploaded()]).await;
    let (_, two) = admit(&engine, match_id(0, 2), plain_spec()).await;
    let (writer, mut fleet) = (engine.writer(), other.handles().fleet);
    while fleet.borrow_and_update().alive != 2 {
        told(&mut fleet).await;
    }
    writer.leave().await;
    let mut claims = Vec::new();
    while claims.len() < 2 {
        claims.extend(claimed(&other).await);
    }
    assert!(claims.iter().map(|claim| claim.match_id).eq([one, two].map(|claim| claim.match_id)));
    while fleet.borrow_and_update().alive != 1 {
        told(&mut fleet).await;
    }
    for claim in [one, two] {
        assert_eq!(writer.claim_status(claim), ClaimStatus::Lost);
        assert_lost(&engine, claim).await;
    }
    assert!(!engine.may_act());
    assert!(writer.claim(10).await.is_err());
    assert!(writer.admit(match_id(0, 3), Arc::new(plain_spec())).await.is_err());
    let cancelled = writer.cancel(&anna(), &Key::Match(match_id(0, 1)), KEEP).await.unwrap();
    assert!(matches!(cancelled, CancelledAs::Now(_)));
    assert_lost(&other, claims[0]).await;
}

/// Whichever process wrote the newest event up to the position, and also in an empty store.
pub async fn tokens_of_one_process_are_valid_at_the_other(engine: impl Shared) {
    let other = engine.join().await;
    let start = engine.reader().cursor(Start::Head).await.unwrap();
    assert_eq!(start.position, Position(0));
    let identity = engine.handles().feed.identity;
    let start = (identity.origin_of(start.incarnation), start.position);
    let (expiring, _) = run(&engine, match_id(0, 0), plain_spec(), [failed()]).await;
    heads_are(&engine, &other, &expiring[1]).await;
    let (journal, _) = run(&other, match_id(0, 1), plain_spec(), [uploaded()]).await;
    heads_are(&engine, &other, &journal[1]).await;
    let (later, _) = run(&engine, match_id(0, 2), plain_spec(), [uploaded()]).await;
    heads_are(&engine, &other, &later[1]).await;
    for (from, at) in [(&engine, &other), (&other, &engine)] {
        let (identity, of_other) = (from.handles().feed.identity, at.handles().feed.identity);
        let at = at.reader();
        assert_eq!(at.cursor_status(start.0, start.1).await.unwrap(), CursorStatus::Retained);
        for recorded in expiring.iter().chain(&journal).chain(&later) {
            let origin = identity.origin_of(recorded.incarnation);
            assert_eq!(origin, of_other.origin_of(recorded.incarnation));
            let standing = at.cursor_status(origin, recorded.position).await.unwrap();
            assert_eq!(standing, CursorStatus::Retained);
        }
        let end = from.reader().cursor(Start::Head).await.unwrap();
        let ahead = identity.origin_of(end.incarnation);
        let standing = at.cursor_status(ahead, Position(end.position.0 + 1)).await.unwrap();
        assert_eq!(standing, CursorStatus::Foreign);
    }
    engine.hand().advance(KEEP);
    assert_eq!(engine.writer().tidy(Chore::EraseExpired, 10).await.unwrap(), 1);
    for engine in [&engine, &other] {
        for start in [Start::Floor, Start::Earliest] {
            assert_eq!(engine.reader().cursor(start).await.unwrap(), expiring[1].place());
        }
    }
}

/// Both processes name the event's incarnation with the head.
async fn heads_are(one: &impl Engine, other: &impl Engine, newest: &Recorded) {
    for reader in [one.reader(), other.reader()] {
        assert_eq!(reader.cursor(Start::Head).await.unwrap(), newest.place());
    }
}

/// However close together the requests come.
pub async fn a_request_id_names_one_match_for_all_processes(engine: impl Shared) {
    let other = engine.join().await;
    let admissions = (0..20).map(|n| {
        let writer = if n % 2 == 0 { engine.writer() } else { other.writer() };
        tokio::spawn(async move {
            writer.admit(match_id(0, n), Arc::new(named_spec("order-1"))).await.unwrap()
        })
    });
    let admitted: Vec<_> = join_all(admissions).await.into_iter().map(Result::unwrap).collect();
    let new = admitted.iter().filter(|it| matches!(it, Admitted::New(..))).count();
    assert_eq!((new, admitted.len()), (1, 20));
    assert_eq!(position(&*engine.reader(), Start::Head).await, Position(1));
}
