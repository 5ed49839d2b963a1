//! Erasing: at a caller's request, and by retention.

use std::{sync::Arc, time::Duration};

use super::facts::*;
use crate::{
    domain::{MatchId, Position, Sequence, Spec},
    journal::{Admitted, Appended, CancelledAs, Chore, Erased, Filter, Key, Start, suite::Engine},
};

async fn assert_gone(engine: &impl Engine, id: MatchId, request_id: &str) {
    let (reader, writer) = (engine.reader(), engine.writer());
    for key in [Key::Match(id), request(request_id)] {
        assert_eq!(reader.find(&anna(), &key).await.unwrap(), None);
        assert_eq!(writer.cancel(&anna(), &key, KEEP).await.unwrap(), CancelledAs::Absent);
    }
    assert_eq!(reader.events(id).await.unwrap(), []);
    let tail = reader.tail(Position(0), 1000).await.unwrap();
    assert!(tail.iter().all(|recorded| recorded.match_id != id));
    let shop = Filter { labels: labels(&[("shop", "7")]), ..Filter::default() };
    for filter in [Filter::default(), shop] {
        let listed = reader.list(&anna(), &filter, None, 100).await.unwrap().matches;
        assert!(listed.iter().all(|state| state.id != id));
    }
    assert_eq!(writer.erase(&anna(), id).await.unwrap(), Erased::Absent);
}

/// Immediately, for every read and every write.
pub async fn erasing_leaves_no_trace_on_any_path(engine: impl Engine) {
    let (id, other) = (match_id(0, 1), match_id(0, 2));
    let spec = Spec { labels: labels(&[("shop", "7")]), ..named_spec("order-1") };
    let (journal, claim) = run(&engine, id, spec, [uploaded(), started("a-1"), finished()]).await;
    end(&engine, other, named_spec("order-2")).await;
    assert_eq!(engine.writer().erase(&anna(), id).await.unwrap(), Erased::Done);
    assert_gone(&engine, id, "order-1").await;
    let last = Sequence(journal.len() as u64);
    let appended = engine.writer().append(claim, last, trouble()).await.unwrap();
    assert_eq!(appended, Appended::Lost);
    let owned = engine.writer().owned_by_others(other, &[analysis("a-1")]).await.unwrap();
    assert_eq!(owned, []);
    assert_eq!(engine.reader().events(other).await.unwrap().len(), 2);
}

/// The request id can name another match, with another request.
pub async fn erasing_frees_the_request_id(engine: impl Engine) {
    end(&engine, match_id(0, 1), named_spec("order-1")).await;
    assert_eq!(engine.writer().erase(&anna(), match_id(0, 1)).await.unwrap(), Erased::Done);
    let other = Spec { folder_id: folder(2), ..named_spec("order-1") };
    let admitted = engine.writer().admit(match_id(0, 2), Arc::new(other)).await.unwrap();
    assert!(matches!(admitted, Admitted::New(..)));
}

/// It stays as it is, and can be erased once it has ended.
pub async fn a_running_match_is_not_erased(engine: impl Engine) {
    let id = match_id(0, 1);
    let (_, claim) = run(&engine, id, plain_spec(), [uploaded()]).await;
    assert_eq!(engine.writer().erase(&anna(), id).await.unwrap(), Erased::Running);
    append(&engine, claim, Sequence(2), failed()).await;
    assert_eq!(engine.writer().erase(&anna(), id).await.unwrap(), Erased::Done);
}

/// Whether the match has ended or not.
pub async fn erasing_another_tenants_match_finds_none(engine: impl Engine) {
    end(&engine, match_id(0, 1), plain_spec()).await;
    admit(&engine, match_id(0, 2), plain_spec()).await;
    for n in [1, 2, 3] {
        let erased = engine.writer().erase(&tenant("bert"), match_id(0, n)).await.unwrap();
        assert_eq!(erased, Erased::Absent);
    }
    assert_eq!(engine.reader().events(match_id(0, 1)).await.unwrap().len(), 2);
}

/// Neither matches that are still retained, nor matches that are still running.
pub async fn expiry_erases_due_matches_only(engine: impl Engine) {
    let (due, kept, running) = (match_id(0, 1), match_id(0, 2), match_id(0, 3));
    let spec = Spec { labels: labels(&[("shop", "7")]), ..named_spec("order-1") };
    end(&engine, due, spec).await;
    admit(&engine, running, plain_spec()).await;
    engine.hand().advance(KEEP / 2);
    end(&engine, kept, plain_spec()).await;
    assert_eq!(engine.writer().tidy(Chore::EraseExpired, 10).await.unwrap(), 0);
    engine.hand().advance(KEEP / 2);
    assert_eq!(engine.writer().tidy(Chore::EraseExpired, 10).await.unwrap(), 1);
    assert_gone(&engine, due, "order-1").await;
    assert_eq!(engine.reader().events(kept).await.unwrap().len(), 2);
    assert_eq!(engine.reader().events(running).await.unwrap().len(), 1);
}

/// At its time and not before; a match that is kept forever doesn't expire.
pub async fn expiry_is_exact_to_the_microsecond(engine: impl Engine) {
    run(&engine, match_id(0, 1), plain_spec(), [failed()]).await;
    run(&engine, match_id(0, 2), plain_spec(), [failed_kept(Duration::MAX)]).await;
    engine.hand().advance(KEEP - Duration::from_micros(1));
    assert_eq!(engine.writer().tidy(Chore::EraseExpired, 10).await.unwrap(), 0);
    engine.hand().advance(Duration::from_micros(1));
    assert_eq!(engine.writer().tidy(Chore::EraseExpired, 10).await.unwrap(), 1);
    let kept = engine.reader().find(&anna(), &Key::Match(match_id(0, 2))).await.unwrap().unwrap();
    assert_eq!(kept.expire_time, Some(crate::domain::Timestamp::MAX));
}

/// So that a backlog is erased in small steps.
pub async fn expiry_respects_its_limit_and_erases_the_longest_due_first(engine: impl Engine) {
    for n in [2, 0, 1] {
        end(&engine, match_id(0, n), plain_spec()).await;
        engine.hand().advance(Duration::from_secs(1));
    }
    engine.hand().advance(KEEP);
    assert_eq!(engine.writer().tidy(Chore::EraseExpired, 2).await.unwrap(), 2);
    assert_eq!(engine.reader().events(match_id(0, 1)).await.unwrap().len(), 2);
    assert_eq!(engine.writer().tidy(Chore::EraseExpired, 2).await.unwrap(), 1);
    assert_eq!(engine.writer().tidy(Chore::EraseExpired, 2).await.unwrap(), 0);
}

/// Expiry raises it to the newest position that expired, and never lowers it.
pub async fn expiry_raises_the_floor_and_erasing_does_not(engine: impl Engine) {
    let (reader, writer) = (engine.reader(), engine.writer());
    assert_eq!(position(&*reader, Start::Floor).await, Position(0));
    let early = end(&engine, match_id(0, 1), plain_spec()).await;
    let erased = end(&engine, match_id(0, 2), plain_spec()).await;
    engine.hand().advance(Duration::from_secs(1));
    let late = end(&engine, match_id(0, 3), plain_spec()).await;
    assert!(early < erased && erased < late);

    writer.erase(&anna(), match_id(0, 2)).await.unwrap();
    assert_eq!(position(&*reader, Start::Floor).await, Position(0));
    engine.hand().advance(KEEP - Duration::from_secs(1));
    assert_eq!(writer.tidy(Chore::EraseExpired, 10).await.unwrap(), 1);
    assert_eq!(position(&*reader, Start::Floor).await, early);
    engine.hand().advance(Duration::from_secs(1));
    assert_eq!(writer.tidy(Chore::EraseExpired, 10).await.unwrap(), 1);
    assert_eq!(position(&*reader, Start::Floor).await, late);
}

/// Whichever events after it were erased, by retention or at a caller's request.
pub async fn the_earliest_position_is_right_before_the_oldest_event(engine: impl Engine) {
    let (reader, writer) = (engine.reader(), engine.writer());
    assert_eq!(position(&*reader, Start::Earliest).await, Position(0));
    admit(&engine, match_id(0, 1), plain_spec()).await;
    let newest = end(&engine, match_id(0, 2), plain_spec()).await;
    engine.hand().advance(KEEP);
    assert_eq!(writer.tidy(Chore::EraseExpired, 10).await.unwrap(), 1);
    assert_eq!(position(&*reader, Start::Floor).await, newest);
    let oldest = reader.tail(Position(0), 1).await.unwrap()[0].position;
    assert_eq!(position(&*reader, Start::Earliest).await, Position(oldest.0 - 1));
}

/// Even if the newest event of all is erased, and across a restart.
pub async fn positions_of_erased_events_are_not_reused(mut engine: impl Engine) {
    let last = end(&engine, match_id(0, 1), plain_spec()).await;
    engine.writer().erase(&anna(), match_id(0, 1)).await.unwrap();
    assert_eq!(position(&*engine.reader(), Start::Head).await, last);
    engine.restart(START).await;
    assert_eq!(position(&*engine.reader(), Start::Head).await, last);
    let (recorded, _) = admit(&engine, match_id(0, 2), plain_spec()).await;
    assert!(recorded.position > last);
}
