//! Claims: which matches a process may take over from a former one.

use std::sync::Arc;

use futures_util::FutureExt;

use super::facts::*;
use crate::{
    domain::Sequence,
    journal::{Appended, Chore, ClaimStatus, Key, suite::Engine},
};

/// Page by page, each match once, in its current state.
pub async fn claiming_takes_the_matches_of_a_former_process_oldest_first(mut engine: impl Engine) {
    for n in [3, 1, 4, 0, 2] {
        run(&engine, match_id(0, n), plain_spec(), [uploaded()]).await;
    }
    engine.restart(START).await;
    let (reader, writer) = (engine.reader(), engine.writer());
    assert_eq!(writer.claim(0).await.unwrap(), []);
    let mut taken = Vec::new();
    loop {
        let page = writer.claim(2).await.unwrap();
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 2);
        taken.extend(page);
    }
    let order: Vec<_> = taken.iter().map(|(state, _)| state.id).collect();
    assert_eq!(order, [0, 1, 2, 3, 4].map(|n| match_id(0, n)));
    for (state, claim) in taken {
        let found = reader.find(&anna(), &Key::Match(claim.match_id)).await.unwrap();
        assert_eq!(found, Some(state));
        append(&engine, claim, Sequence(2), trouble()).await;
    }
}

/// Neither ended matches nor those that this process holds are claimed, before or after a restart.
pub async fn claiming_leaves_ended_and_held_matches_alone(mut engine: impl Engine) {
    admit(&engine, match_id(0, 1), plain_spec()).await;
    end(&engine, match_id(0, 2), plain_spec()).await;
    assert_eq!(engine.writer().claim(10).await.unwrap(), []);
    engine.restart(START).await;
    let (_, held) = admit(&engine, match_id(0, 0), plain_spec()).await;
    let (_, later) = admit(&engine, match_id(0, 3), plain_spec()).await;
    let taken = engine.writer().claim(10).await.unwrap();
    let ids: Vec<_> = taken.iter().map(|(state, _)| state.id).collect();
    assert_eq!(ids, [match_id(0, 1)]);
    assert_eq!(engine.writer().claim(10).await.unwrap(), []);
    append(&engine, held, Sequence(1), uploaded()).await;
    append(&engine, later, Sequence(1), uploaded()).await;
}

/// Any process can read such a photo, so its claim lacks nothing.
pub async fn a_match_whose_photo_is_in_the_library_is_claimed_whole(mut engine: impl Engine) {
    admit(&engine, match_id(0, 1), spec_by_key("people/17")).await;
    engine.restart(START).await;
    let (m, claim) = engine.writer().claim(10).await.unwrap().remove(0);
    assert_eq!(m.spec.photo, spec_by_key("people/17").photo);
    assert_eq!(engine.writer().claim_status(claim), ClaimStatus::Held);
    append(&engine, claim, Sequence(1), uploaded()).await;
}

/// All of its claims are older than the take-over, and so are fenced.
pub async fn a_former_process_writes_nothing_after_a_take_over(mut engine: impl Engine) {
    let (_, first) = admit(&engine, match_id(0, 1), plain_spec()).await;
    let mut former = vec![first];
    for _ in 0..3 {
        engine.restart(START).await;
        let (_, claim) = engine.writer().claim(10).await.unwrap().remove(0);
        for old in &former {
            let appended = engine.writer().append(*old, Sequence(1), uploaded()).await.unwrap();
            assert_eq!(appended, Appended::Lost);
        }
        former.push(claim);
    }
}

/// A caller that drops its call before the reply is sent, or before it reads the reply, holds
/// nothing.
pub async fn claims_of_a_cancelled_call_are_released(mut engine: impl Engine) {
    for n in 0..6 {
        admit(&engine, match_id(0, n), plain_spec()).await;
    }
    engine.restart(START).await;
    let writer = engine.writer();
    let mut held = 0;
    for n in 0..3 {
        held += writer.claim(1).now_or_never().map_or(0, |taken| taken.unwrap().len());
        let admitting = writer.admit(match_id(1, n), Arc::new(plain_spec()));
        held += usize::from(admitting.now_or_never().is_some());
        let (mut claiming, mut admitting) =
            (writer.claim(1), writer.admit(match_id(2, n), Arc::new(plain_spec())));
        // On a busy machine the call may complete at once: then the caller has received the claim.
        held += claiming.as_mut().now_or_never().map_or(0, |taken| taken.unwrap().len());
        held += usize::from(admitting.as_mut().now_or_never().is_some());
        // This write is queued behind theirs.
        writer.tidy(Chore::EraseExpired, 1).await.unwrap();
    }
    while let page @ [_, ..] = &*writer.claim(5).await.unwrap() {
        held += page.len();
    }
    assert_eq!(held, 6 + 3 + 3);
}

/// With a single process too, since a driver that panics leaves its match behind.
pub async fn a_released_match_is_claimed_again(engine: impl Engine) {
    let (_, claim) = admit(&engine, match_id(0, 1), plain_spec()).await;
    assert_eq!(engine.writer().claim(10).await.unwrap(), []);
    engine.writer().release(vec![claim]).await.unwrap();
    let claimed = engine.writer().claim(10).await.unwrap();
    assert!(claimed.iter().map(|(m, _)| m.id).eq([match_id(0, 1)]));
    let lost = engine.writer().append(claim, Sequence(1), uploaded()).await.unwrap();
    assert_eq!(lost, Appended::Lost);
}
