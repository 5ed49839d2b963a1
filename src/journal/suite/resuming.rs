//! The status of cursors that tokens name, and the identity of a store.

use super::facts::*;
use crate::{
    domain::Position,
    journal::{Chore, CursorStatus, Identity, Origin, Start, suite::Engine},
};

async fn standing(engine: &impl Engine, origin: Origin, position: Position) -> CursorStatus {
    engine.reader().cursor_status(origin, position).await.unwrap()
}

/// A token right before the floor has missed events.
pub async fn a_token_at_the_floor_has_missed_nothing(engine: impl Engine) {
    let origin = engine.handles().feed.identity.origin;
    let floor = end(&engine, match_id(0, 1), plain_spec()).await;
    assert_eq!(standing(&engine, origin, Position(0)).await, CursorStatus::Retained);
    engine.hand().advance(KEEP);
    end(&engine, match_id(0, 2), plain_spec()).await;
    engine.writer().tidy(Chore::EraseExpired, 10).await.unwrap();
    assert_eq!(position(&*engine.reader(), Start::Floor).await, floor);
    assert_eq!(standing(&engine, origin, Position(floor.0 - 1)).await, CursorStatus::Expired);
    assert_eq!(standing(&engine, origin, floor).await, CursorStatus::Retained);
    assert_eq!(standing(&engine, origin, Position(floor.0 + 1)).await, CursorStatus::Retained);
}

/// A token of another store's id, or of an incarnation that this store doesn't know.
pub async fn a_token_of_another_store_is_foreign(engine: impl Engine) {
    end(&engine, match_id(0, 1), plain_spec()).await;
    let origin = engine.handles().feed.identity.origin;
    let other_store = Origin { store: origin.store ^ 1, ..origin };
    let other_run = Origin { incarnation: origin.incarnation ^ 1, ..origin };
    assert_eq!(standing(&engine, origin, Position(1)).await, CursorStatus::Retained);
    assert_eq!(standing(&engine, other_store, Position(1)).await, CursorStatus::Foreign);
    assert_eq!(standing(&engine, other_run, Position(1)).await, CursorStatus::Foreign);
}

/// This store never issued a token for these positions.
pub async fn a_token_from_ahead_is_foreign(engine: impl Engine) {
    let origin = engine.handles().feed.identity.origin;
    let head = end(&engine, match_id(0, 1), plain_spec()).await;
    assert_eq!(standing(&engine, origin, head).await, CursorStatus::Retained);
    for ahead in [head.0 + 1, u64::MAX] {
        assert_eq!(standing(&engine, origin, Position(ahead)).await, CursorStatus::Foreign);
    }
}

/// Tokens of every former incarnation, up to the position where it ended, wherever the head is.
pub async fn tokens_are_valid_across_restarts(mut engine: impl Engine) {
    let mut issued = Vec::new();
    for n in 0..3 {
        let head = end(&engine, match_id(0, n), plain_spec()).await;
        issued.push((engine.handles().feed.identity.origin, head));
        engine.restart(START).await;
    }
    end(&engine, match_id(0, 9), plain_spec()).await;
    for (origin, head) in issued {
        assert_eq!(origin.store, engine.handles().feed.identity.origin.store);
        assert_ne!(origin.incarnation, engine.handles().feed.identity.origin.incarnation);
        assert_eq!(standing(&engine, origin, Position(1)).await, CursorStatus::Retained);
        assert_eq!(standing(&engine, origin, head).await, CursorStatus::Retained);
        assert_eq!(standing(&engine, origin, Position(head.0 + 1)).await, CursorStatus::Foreign);
    }
}

/// Even once the restored store has reached the same positions: its events there are different.
pub async fn tokens_from_a_history_that_a_restore_undid_are_foreign(mut engine: impl Engine) {
    let kept = end(&engine, match_id(0, 1), plain_spec()).await;
    let before = engine.handles().feed.identity.origin;
    let backup = engine.backup().await;
    let undone = end(&engine, match_id(0, 2), plain_spec()).await;
    engine.restart(START).await;
    let after = engine.handles().feed.identity.origin;

    engine.restore(&backup).await;
    end(&engine, match_id(0, 3), plain_spec()).await;
    end(&engine, match_id(0, 4), plain_spec()).await;
    assert!(position(&*engine.reader(), Start::Head).await > undone);
    assert_eq!(engine.reader().events(match_id(0, 2)).await.unwrap(), []);
    assert_eq!(standing(&engine, before, kept).await, CursorStatus::Retained);
    assert_eq!(standing(&engine, before, undone).await, CursorStatus::Foreign);
    assert_eq!(standing(&engine, after, undone).await, CursorStatus::Foreign);
    assert_eq!(standing(&engine, after, kept).await, CursorStatus::Foreign);
}

/// Through restarts and restores.
pub async fn a_store_keeps_its_id_and_keys(mut engine: impl Engine) {
    let identity = |engine: &_| identity(engine);
    let first = identity(&engine);
    let backup = engine.backup().await;
    engine.restart(START).await;
    assert_eq!(identity(&engine), first);
    engine.restore(&backup).await;
    assert_eq!(identity(&engine), first);
    assert_ne!(first.1[0], first.1[1]);
}

fn identity(engine: &impl Engine) -> (u64, [[u8; 32]; 2]) {
    let Identity { origin, keys, .. } = engine.handles().feed.identity;
    (origin.store, [keys.digest.0, keys.token])
}

/// And its process may act.
pub async fn a_store_answers(engine: impl Engine) {
    engine.reader().ping().await.unwrap();
    assert!(engine.may_act());
}
