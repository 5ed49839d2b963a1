//! Admitting, appending, cancelling.

#![expect(clippy::disallowed_methods, reason = "each test joins what it spawns")]

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::future::join_all;
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::facts::*;
use crate::{
    domain::{
        Event, MatchError, OzStatus, Reason, Sequence, Spec, State, Timestamp,
        event::{AnalysisStarted, AttemptFailed, Failed},
        state::fold,
    },
    journal::{Admitted, Appended, CancelledAs, Claim, Filter, Key, Start, suite::Engine},
};

/// The first event is returned just as it is read later.
pub async fn admitting_starts_a_match(engine: impl Engine) {
    let id = match_id(0, 1);
    let (recorded, claim) = admit(&engine, id, named_spec("order-1")).await;
    assert_eq!((recorded.match_id, recorded.sequence), (id, Sequence(1)));
    assert_eq!(recorded.time, START);
    assert_eq!(recorded.event, Event::Accepted(Arc::new(named_spec("order-1"))));
    assert_eq!(claim.match_id, id);
    assert_eq!(engine.reader().events(id).await.unwrap(), [recorded]);
}

/// The known match is returned in its current state, with the first request.
pub async fn admitting_a_known_request_id_writes_nothing(engine: impl Engine) {
    let id = match_id(0, 1);
    run(&engine, id, named_spec("order-1"), [uploaded()]).await;
    let head = position(&*engine.reader(), Start::Head).await;
    let other = Spec { folder_id: folder(2), ..named_spec("order-1") };
    let admitted = engine.writer().admit(match_id(0, 2), Arc::new(other)).await.unwrap();
    let Admitted::Known(known) = admitted else { panic!("a second match was made") };
    assert_eq!((known.id, known.state), (id, State::Uploaded));
    assert_eq!(*known.spec, named_spec("order-1"));
    assert_eq!(position(&*engine.reader(), Start::Head).await, head);
    assert_eq!(engine.reader().events(match_id(0, 2)).await.unwrap(), []);
}

/// So a retry after a lost reply needs no request id.
pub async fn admitting_the_same_match_again_finds_it(engine: impl Engine) {
    let id = match_id(0, 1);
    admit(&engine, id, plain_spec()).await;
    let admitted = engine.writer().admit(id, Arc::new(plain_spec())).await.unwrap();
    assert!(matches!(admitted, Admitted::Known(known) if known.id == id));
    admit(&engine, match_id(0, 2), plain_spec()).await;
}

/// However close together the requests come.
pub async fn fifty_admissions_at_once_of_one_request_id_make_one_match(engine: impl Engine) {
    let writer = engine.writer();
    let admissions = (0..50).map(|n| {
        let writer = Arc::clone(&writer);
        tokio::spawn(async move {
            writer.admit(match_id(0, n), Arc::new(named_spec("order-1"))).await.unwrap()
        })
    });
    let (mut new, mut known) = (Vec::new(), Vec::new());
    for admitted in join_all(admissions).await {
        match admitted.unwrap() {
            Admitted::New(recorded, _) => new.push(recorded.match_id),
            Admitted::Known(state) => known.push(state.id),
        }
    }
    assert_eq!((new.len(), known.len()), (1, 49));
    assert!(known.iter().all(|id| *id == new[0]));
}

/// Each tenant has request ids of its own.
pub async fn request_ids_of_other_tenants_do_not_collide(engine: impl Engine) {
    let bert = Spec { tenant: tenant("bert"), ..named_spec("order-1") };
    admit(&engine, match_id(0, 1), named_spec("order-1")).await;
    admit(&engine, match_id(0, 2), bert).await;
}

/// Even if events of other matches are written in between.
pub async fn events_are_numbered_densely_in_the_order_of_appending(engine: impl Engine) {
    let (_, one) = admit(&engine, match_id(0, 1), plain_spec()).await;
    let (_, two) = admit(&engine, match_id(0, 2), plain_spec()).await;
    let mut last = position(&*engine.reader(), Start::Head).await;
    let events = [trouble(), uploaded(), trouble(), started("a-1"), finished()];
    for (index, event) in events.into_iter().enumerate() {
        let after = Sequence(1 + index as u64);
        for claim in [one, two] {
            let recorded = append(&engine, claim, after, with_own_analysis(&event, claim)).await;
            assert_eq!(recorded.sequence, after.next());
            assert!(recorded.position > last);
            last = recorded.position;
        }
    }
    assert_eq!(position(&*engine.reader(), Start::Head).await, last);
}

fn with_own_analysis(event: &Event, claim: Claim) -> Event {
    match event {
        Event::AnalysisStarted(_) => started(&claim.match_id.to_string()),
        Event::Accepted(_)
        | Event::PhotoUploaded(_)
        | Event::AttemptFailed(_)
        | Event::Finished(_)
        | Event::Failed(_)
        | Event::Cancelled(_)
        | Event::Unknown(_) => event.clone(),
    }
}

async fn assert_lost(engine: &impl Engine, claim: Claim, after: u64, event: Event) {
    let before = engine.reader().events(claim.match_id).await.unwrap();
    let appended = engine.writer().append(claim, Sequence(after), event).await.unwrap();
    assert_eq!(appended, Appended::Lost, "after {after}");
    assert_eq!(engine.reader().events(claim.match_id).await.unwrap(), before);
}

/// Neither a claim with a former epoch, nor one with an epoch that never was.
pub async fn an_old_claim_writes_nothing(mut engine: impl Engine) {
    let (_, old) = admit(&engine, match_id(0, 1), plain_spec()).await;
    engine.restart(START).await;
    let (_, new) = engine.writer().claim(10).await.unwrap().remove(0);
    assert!(new.epoch > old.epoch);
    assert_lost(&engine, old, 1, uploaded()).await;
    assert_lost(&engine, Claim { epoch: new.epoch + 1, ..new }, 1, uploaded()).await;
    append(&engine, new, Sequence(1), uploaded()).await;
}

/// Whether it is behind or ahead.
pub async fn a_wrong_sequence_writes_nothing(engine: impl Engine) {
    let (_, claim) = run(&engine, match_id(0, 1), plain_spec(), [uploaded()]).await;
    for wrong in [0, 1, 3, u64::MAX] {
        assert_lost(&engine, claim, wrong, trouble()).await;
    }
    append(&engine, claim, Sequence(2), trouble()).await;
}

/// Whichever way the match ended.
pub async fn nothing_follows_the_end(engine: impl Engine) {
    let ends = [vec![uploaded(), started("a-1"), finished()], vec![failed()], vec![cancelled()]];
    for (n, events) in ends.into_iter().enumerate() {
        let id = match_id(0, n as u64);
        let (journal, claim) = run(&engine, id, plain_spec(), events).await;
        assert_lost(&engine, claim, journal.len() as u64, failed()).await;
    }
}

/// The same event, appended thirty times at once, is written once.
pub async fn racing_appends_have_one_winner(engine: impl Engine) {
    let (_, claim) = admit(&engine, match_id(0, 1), plain_spec()).await;
    let writer = engine.writer();
    let appends = (0..30).map(|_| {
        let writer = Arc::clone(&writer);
        tokio::spawn(async move { writer.append(claim, Sequence(1), trouble()).await.unwrap() })
    });
    let appended = join_all(appends).await;
    let won = appended.iter().filter(|done| !matches!(done, Ok(Appended::Lost))).count();
    assert_eq!(won, 1);
    assert_eq!(engine.reader().events(claim.match_id).await.unwrap().len(), 2);
}

/// A claim on a match that doesn't exist is lost; it is no error.
pub async fn an_absent_match_is_not_appended_to(engine: impl Engine) {
    assert_lost(&engine, Claim { match_id: match_id(0, 1), epoch: 1 }, 1, uploaded()).await;
}

/// By either key; the driver's next write is refused.
pub async fn cancelling_ends_a_match_and_takes_its_claim(engine: impl Engine) {
    let keys = [Key::Match(match_id(0, 0)), request("order-1")];
    for (n, key) in keys.into_iter().enumerate() {
        let id = match_id(0, n as u64);
        let spec = named_spec(&format!("order-{n}"));
        let (_, claim) = run(&engine, id, spec, [uploaded()]).await;
        let cancelled = engine.writer().cancel(&anna(), &key, KEEP).await.unwrap();
        let CancelledAs::Now(state) = cancelled else { panic!("{cancelled:?}") };
        assert_eq!((state.id, state.state, state.sequence), (id, State::Cancelled, Sequence(3)));
        assert_eq!(state.expire_time, Some(START.after(KEEP)));
        assert_eq!(engine.reader().find(&anna(), &key).await.unwrap(), Some(state));
        assert_lost(&engine, claim, 2, trouble()).await;
        assert_lost(&engine, claim, 3, trouble()).await;
    }
}

/// If the match is cancelled already, has ended otherwise, or doesn't exist, nothing is written.
pub async fn cancelling_returns_what_was_there_before(engine: impl Engine) {
    let writer = engine.writer();
    let (one, two) = (match_id(0, 1), match_id(0, 2));
    run(&engine, one, plain_spec(), [cancelled()]).await;
    run(&engine, two, plain_spec(), [failed()]).await;
    let head = position(&*engine.reader(), Start::Head).await;
    let again = writer.cancel(&anna(), &Key::Match(one), KEEP).await.unwrap();
    assert!(matches!(again, CancelledAs::Already(state) if state.id == one));
    let late = writer.cancel(&anna(), &Key::Match(two), KEEP).await.unwrap();
    assert!(matches!(late, CancelledAs::Ended(state) if state.state == State::Failed));
    let absent = writer.cancel(&anna(), &Key::Match(match_id(0, 3)), KEEP).await.unwrap();
    assert_eq!(absent, CancelledAs::Absent);
    assert_eq!(position(&*engine.reader(), Start::Head).await, head);
}

/// Neither by id nor by request id.
pub async fn cancelling_another_tenants_match_finds_none(engine: impl Engine) {
    let id = match_id(0, 1);
    let (_, claim) = admit(&engine, id, named_spec("order-1")).await;
    for key in [Key::Match(id), request("order-1")] {
        let cancelled = engine.writer().cancel(&tenant("bert"), &key, KEEP).await.unwrap();
        assert_eq!(cancelled, CancelledAs::Absent);
    }
    append(&engine, claim, Sequence(1), uploaded()).await;
}

/// Immediately, and the same on each.
pub async fn written_events_are_read_on_every_path(engine: impl Engine) {
    let (writer, reader, id) = (engine.writer(), engine.reader(), match_id(0, 1));
    let (first, claim) = admit(&engine, id, named_spec("order-1")).await;
    let mut journal = vec![first];
    for event in [trouble(), uploaded(), started("a-1"), finished()] {
        engine.hand().advance(Duration::from_millis(3));
        let after = journal[journal.len() - 1].sequence;
        let recorded = append(&engine, claim, after, event).await;
        journal.push(recorded.clone());
        let state = fold(&journal).unwrap();
        assert_eq!(position(&*reader, Start::Head).await, recorded.position);
        assert_eq!(reader.events(id).await.unwrap(), journal);
        assert_eq!(reader.tail(crate::domain::Position(0), 100).await.unwrap(), journal);
        for key in [Key::Match(id), request("order-1")] {
            assert_eq!(reader.find(&anna(), &key).await.unwrap(), state);
        }
        let listed = reader.list(&anna(), &Filter::default(), None, 10).await.unwrap().matches;
        assert_eq!(listed.first(), state.as_ref());
        let admitted = writer.admit(match_id(9, 9), Arc::new(named_spec("order-1"))).await;
        assert_eq!(admitted.unwrap(), Admitted::Known(state.unwrap()));
    }
}

/// Even if the clock is set back.
pub async fn time_never_goes_back_within_a_match(mut engine: impl Engine) {
    let id = match_id(0, 1);
    admit(&engine, id, plain_spec()).await;
    engine.restart(Timestamp::from_micros(START.as_micros() - 5_000_000)).await;
    let (_, claim) = engine.writer().claim(1).await.unwrap().remove(0);
    assert_eq!(append(&engine, claim, Sequence(1), trouble()).await.time, START);
    engine.hand().advance(Duration::from_secs(6));
    let last = append(&engine, claim, Sequence(2), failed()).await;
    assert_eq!(last.time, START.after(Duration::from_secs(1)));
    let state = engine.reader().find(&anna(), &Key::Match(id)).await.unwrap().unwrap();
    assert_eq!(state.expire_time, Some(last.time.after(KEEP)));
}

/// Random lives of many matches, interleaved: each prefix of each journal folds into a match.
pub async fn every_prefix_of_every_journal_replays(engine: impl Engine) {
    let mut random = StdRng::seed_from_u64(20_240_229);
    let mut lives = Vec::new();
    for n in 0..40 {
        let (first, claim) = admit(&engine, match_id(n % 3, n), plain_spec()).await;
        lives.push((vec![first], claim));
    }
    for _ in 0..300 {
        let (journal, claim) = &mut lives[random.random_range(0..40)];
        let state = fold(journal.iter()).unwrap().unwrap();
        if let Some(event) = any_next(state.state, *claim, &mut random) {
            engine.hand().advance(Duration::from_micros(random.random_range(0..5)));
            journal.push(append(&engine, *claim, state.sequence, event).await);
        }
    }
    for (journal, claim) in lives {
        let stored = engine.reader().events(claim.match_id).await.unwrap();
        assert_eq!(stored, journal);
        for end in 1..=stored.len() {
            let state = fold(&stored[..end]).unwrap().unwrap();
            assert_eq!(state.sequence, Sequence(end as u64));
        }
        let found = engine.reader().find(&anna(), &Key::Match(claim.match_id)).await.unwrap();
        assert_eq!(found, fold(&stored).unwrap());
    }
}

/// Texts of Oz's with characters that a store's encoding or its text type may not hold unescaped:
/// NUL and other control characters, noncharacters, the last code point.
pub async fn facts_hold_any_character(engine: impl Engine) {
    let words = "\0 \u{1} \u{7f} \u{85} \u{2028} \u{fdd0} \u{fffd} \u{ffff} \u{10ffff} \\u0000 \"'";
    let oz = || {
        let words = || words.to_owned();
        let status = OzStatus {
            state: words(),
            resolution: words(),
            resolution_status: words(),
            polls: 1,
            last_poll: None,
        };
        Some(status)
    };
    let metadata = || BTreeMap::from([("oz.error_message".to_owned(), words.to_owned())]);
    let error = MatchError {
        metadata: metadata(),
        ..MatchError::new(Reason::OzProtocol, words.to_owned())
    };
    let Event::AnalysisStarted(analysis) = started("a") else { unreachable!("it is that event") };
    let Event::AttemptFailed(attempt) = trouble() else { unreachable!("it is that event") };
    let attempt =
        AttemptFailed { message: words.into(), metadata: metadata(), oz: oz(), ..attempt };
    let facts = [
        uploaded(),
        Event::AnalysisStarted(AnalysisStarted { oz: oz(), ..analysis }),
        Event::AttemptFailed(attempt),
        Event::Failed(Failed { error, oz: oz(), keep: KEEP }),
    ];
    let (journal, claim) = run(&engine, match_id(0, 1), plain_spec(), facts).await;
    assert_eq!(engine.reader().events(claim.match_id).await.unwrap(), journal);
    let found = engine.reader().find(&anna(), &Key::Match(claim.match_id)).await.unwrap();
    assert_eq!(found, fold(&journal).unwrap());
}

fn any_next(state: State, claim: Claim, random: &mut StdRng) -> Option<Event> {
    let forward = match state {
        State::Accepted => uploaded(),
        State::Uploaded => started(&claim.match_id.to_string()),
        State::Processing => finished(),
        State::Finished | State::Failed | State::Cancelled | State::Unknown => return None,
    };
    match random.random_range(0..10) {
        0 => Some(failed()),
        1 => Some(cancelled()),
        2..5 => Some(trouble()),
        _ => Some(forward),
    }
}

/// Analyses of either type, of any tenant's matches, in the order in which they were passed.
pub async fn analyses_of_other_matches_are_found(engine: impl Engine) {
    let (mine, other) = (match_id(0, 1), match_id(0, 2));
    let bert = Spec { tenant: tenant("bert"), ..plain_spec() };
    run(&engine, mine, plain_spec(), [uploaded(), started("mine")]).await;
    run(&engine, other, bert, [uploaded(), started("other")]).await;
    let asked = ["other-liveness", "unknown", "mine", "other", "mine-liveness"].map(analysis);
    let owned = engine.writer().owned_by_others(mine, &asked).await.unwrap();
    assert_eq!(owned, ["other-liveness", "other"].map(analysis));
    assert_eq!(engine.writer().owned_by_others(mine, &[]).await.unwrap(), []);
}

/// By either of its ids, and with many concurrent appends. A refused append doesn't end its claim.
pub async fn an_analysis_belongs_to_the_first_match_that_names_it(engine: impl Engine) {
    let mut claims = Vec::new();
    for n in 0..10 {
        let (_, claim) = run(&engine, match_id(0, n), plain_spec(), [uploaded()]).await;
        claims.push(claim);
    }
    let writer = engine.writer();
    let appends = claims.iter().map(|claim| writer.append(*claim, Sequence(2), started("a-1")));
    let appended: Vec<_> = join_all(appends).await.into_iter().map(Result::unwrap).collect();
    let won = appended.iter().filter(|it| matches!(it, Appended::Done(_))).count();
    let taken = appended.iter().filter(|it| **it == Appended::Taken).count();
    assert_eq!((won, taken), (1, 9));
    let loser = appended.iter().position(|it| *it == Appended::Taken).unwrap();
    let events = engine.reader().events(claims[loser].match_id).await.unwrap();
    assert_eq!(events.len(), 2, "nothing was written");
    let quality = started("a-1-liveness");
    let refused = writer.append(claims[loser], Sequence(2), quality).await.unwrap();
    assert_eq!(refused, Appended::Taken);
    let stale = writer.append(claims[loser], Sequence(1), started("a-1")).await.unwrap();
    assert_eq!(stale, Appended::Lost, "a wrong sequence is reported before a taken analysis");
    append(&engine, claims[loser], Sequence(2), started("a-2")).await;
}
