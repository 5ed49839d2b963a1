//! Stores that a later version has written to, or that are damaged: data that this version doesn't
//! know affects nothing else.

use async_trait::async_trait;

use super::facts::*;
use crate::{
    domain::{Event, Match, MatchId, Position, Sequence, Spec, State, TraceContext},
    journal::{
        Admitted, CancelledAs, Claim, ClaimStatus, Erased, Filter, Key, Reader, Takeover,
        suite::Engine,
    },
};

/// An engine whose store also takes SQL statements directly.
#[async_trait]
pub trait Sql: Engine {
    /// Runs a statement, in which `{id}` stands for the match's id.
    async fn sql(&self, statement: &str, id: MatchId);
}

/// Bodies that replace an event's, each with the event's sequence.
const ODD: [(u64, &str); 12] = [
    (2, r#"{"reviewed":{"by":[1,2]}}"#),
    (2, r#"{"photo_uploaded":"elsewhere"}"#),
    (2, r#""reviewed""#),
    (2, "x{"),
    (2, ""),
    (1, "x{"),
    (1, r#"{"imported":{}}"#),
    (
        1,
        r#"{"accepted":{"caller":"anna","folder_id":"01010101-0101-0101-0101-010101010101","photo":{"reference":{"key":"k"}},"kind":"passport","timeout":{"micros":1200000000,"named":false},"liveness_policy":"twice","later":1}}"#,
    ),
    (2, r#"{"attempt_failed":{"cause":"OZ_ON_FIRE","message":"m","next_attempt":1,"later":1}}"#),
    (
        2,
        r#"{"photo_uploaded":{"photo_media_id":"p","liveness_media":["v"],"liveness":{"resolution":"PERHAPS","analysis_id":"q"}}}"#,
    ),
    (
        2,
        r#"{"failed":{"error":{"reason":"OZ_GONE","message":"m","retryable":true},"keep_micros":1}}"#,
    ),
    (2, r#"{"finished":{"result":{"resolution":"PERHAPS","min_confidence":0.5},"keep_micros":1}}"#),
];

/// How many of them, at the end, replace the closing event of a match. The columns of such a match
/// say that it has ended.
const ENDS: usize = 2;

/// Writes a running match before each odd one, and an ended one after it. Returns the odd ones.
async fn filled(engine: &impl Sql) -> Vec<MatchId> {
    let mut odd = Vec::new();
    for (n, (sequence, body)) in (0..).zip(ODD) {
        let id = match_id(3 * n + 1, n);
        run(engine, match_id(3 * n, n), plain_spec(), [uploaded()]).await;
        let event = if n as usize >= ODD.len() - ENDS { failed() } else { uploaded() };
        run(engine, id, named_spec(&format!("odd-{n}")), [event]).await;
        run(engine, match_id(3 * n + 2, n), plain_spec(), [failed()]).await;
        let body = body.replace('\'', "''");
        let update = format!(
            "UPDATE events SET body = '{body}' WHERE match_id = {{id}} AND sequence = {sequence}"
        );
        engine.sql(&update, id).await;
        odd.push(id);
    }
    odd
}

fn is_ended(n: usize) -> bool {
    n >= ODD.len() - ENDS
}

/// On every path, in pages of any size.
pub async fn an_unknown_event_stops_no_reader(mut engine: impl Sql) {
    let odd = filled(&engine).await;
    engine.restart(START).await;
    let reader = engine.reader();
    let events = 6 * ODD.len();
    for size in [1, 7, 1000] {
        assert_eq!(tailed(&*reader, size).await, events);
        assert_eq!(paged(&*reader, size).await, events);
        assert_eq!(listed(&*reader, size).await.len(), 3 * ODD.len());
    }
    for (n, id) in odd.into_iter().enumerate() {
        let events = reader.events(id).await.unwrap();
        assert_eq!(events.len(), 2, "{n}");
        assert!(events.iter().any(|recorded| !recorded.event.is_known()), "{n}");
        for key in [Key::Match(id), request(&format!("odd-{n}"))] {
            let m = reader.find(&anna(), &key).await.unwrap().unwrap();
            assert!(m.is_foreign, "{n}");
            assert_eq!((m.id, m.sequence), (id, Sequence(2)), "{n}");
            assert_eq!((m.has_ended(), m.state.has_ended()), (is_ended(n), is_ended(n)), "{n}");
            assert_eq!(m.spec.tenant, anna());
            assert_eq!(m.spec.folder_id, folder(1));
        }
        assert_eq!(reader.find(&tenant("ben"), &Key::Match(id)).await.unwrap(), None);
    }
}

async fn tailed(reader: &dyn Reader, size: usize) -> usize {
    let (mut after, mut count) = (Position(0), 0);
    while let Some(last) = reader.tail(after, size).await.unwrap().last() {
        let page = reader.tail(after, size).await.unwrap();
        (after, count) = (last.position, count + page.len());
    }
    count
}

async fn paged(reader: &dyn Reader, size: usize) -> usize {
    let (mut after, mut count) = (Position(0), 0);
    loop {
        let page = reader.page(after, size).await.unwrap().events;
        let later = page.iter().filter(|recorded| recorded.position > after).count();
        if later == 0 {
            return count;
        }
        (after, count) = (page[page.len() - 1].position, count + later);
    }
}

async fn listed(reader: &dyn Reader, size: usize) -> Vec<Match> {
    let (mut all, mut before) = (Vec::new(), None);
    loop {
        let page = reader.list(&anna(), &Filter::default(), before, size).await.unwrap();
        all.extend(page.matches);
        before = page.reached;
        if before.is_none() {
            return all;
        }
    }
}

/// The other matches are claimed. These are not driven, but can still be cancelled and erased.
pub async fn an_unknown_event_stops_no_claim(mut engine: impl Sql) {
    let odd = filled(&engine).await;
    engine.restart(START).await;
    let writer = engine.writer();
    let mut claimed: Vec<(Match, Claim)> = Vec::new();
    loop {
        let page = writer.claim(5).await.unwrap();
        if page.is_empty() {
            break;
        }
        claimed.extend(page);
    }
    let mut ids: Vec<MatchId> = claimed.iter().map(|(m, _)| m.id).collect();
    ids.sort_unstable();
    let expected: Vec<MatchId> = (0..ODD.len() as u64).map(|n| match_id(3 * n, n)).collect();
    assert_eq!(ids, expected);
    for (m, claim) in claimed {
        append(&engine, claim, m.sequence, started(&m.id.to_string())).await;
    }
    assert_eq!(writer.claim(1000).await.unwrap(), [], "no match is claimed again and again");
    for (n, id) in odd.into_iter().enumerate() {
        let taken = writer.take(id, true).await.unwrap();
        assert!(!matches!(taken, Takeover::Now(..)), "{n}");
        let known = writer.admit(id, named_spec(&format!("odd-{n}")).into()).await.unwrap();
        assert!(matches!(known, Admitted::Known(m) if m.id == id), "{n}");
        let cancelled = writer.cancel(&anna(), &Key::Match(id), KEEP).await.unwrap();
        match cancelled {
            CancelledAs::Now(m) if !is_ended(n) => assert_eq!(m.state, State::Cancelled),
            CancelledAs::Ended(m) if is_ended(n) => assert!(m.has_ended()),
            other => panic!("{n}: {other:?}"),
        }
        let m = engine.reader().find(&anna(), &Key::Match(id)).await.unwrap().unwrap();
        assert!(m.has_ended(), "{n}");
        assert_eq!(writer.erase(&anna(), id).await.unwrap(), Erased::Done, "{n}");
        assert_eq!(engine.reader().find(&anna(), &Key::Match(id)).await.unwrap(), None, "{n}");
    }
    admit(&engine, match_id(1000, 0), plain_spec()).await;
}

/// A replica that has the photo of such a match doesn't get the match once it is free, and isn't told
/// to wait for it.
pub async fn a_photo_waits_for_no_match_with_an_unknown_event(mut engine: impl Sql) {
    let odd = filled(&engine).await;
    engine.restart(START).await;
    for (n, id) in odd.into_iter().enumerate() {
        assert_eq!(engine.writer().take(id, true).await.unwrap(), Takeover::Past, "{n}");
    }
}

/// For a match that is running, and for a match that has ended.
pub async fn an_unknown_state_is_shown_as_unknown_and_an_end_as_an_end(mut engine: impl Sql) {
    const REVIEWED: &str = r#"{"reviewed":{}}"#;
    let ids = [match_id(0, 0), match_id(0, 1)];
    run(&engine, ids[0], plain_spec(), [uploaded()]).await;
    run(&engine, ids[1], plain_spec(), [failed()]).await;
    for id in ids {
        let body = format!(
            "UPDATE events SET body = '{REVIEWED}' WHERE match_id = {{id}} AND sequence = 2"
        );
        engine.sql(&body, id).await;
        engine.sql("UPDATE match_states SET state = 'reviewed' WHERE match_id = {id}", id).await;
    }
    engine.restart(START).await;
    for (id, has_ended) in ids.into_iter().zip([false, true]) {
        let m = engine.reader().find(&anna(), &Key::Match(id)).await.unwrap().unwrap();
        assert_eq!((m.state, m.has_ended()), (State::Unknown, has_ended));
        let events = engine.reader().events(id).await.unwrap();
        let Event::Unknown(fact) = &events[1].event else { panic!("{events:?}") };
        assert_eq!(fact.stands.unwrap().end_time.is_some(), has_ended);
    }
    assert_eq!(listed(&*engine.reader(), 1).await.len(), 2);
    let cancelled = engine.writer().cancel(&anna(), &Key::Match(ids[0]), KEEP).await.unwrap();
    assert!(matches!(cancelled, CancelledAs::Now(m) if m.state == State::Cancelled));
    let ended = engine.writer().cancel(&anna(), &Key::Match(ids[1]), KEEP).await.unwrap();
    assert!(matches!(ended, CancelledAs::Ended(m) if m.state == State::Unknown));
}

/// Whether it is added before the start, or while this version is running.
pub async fn an_extra_column_stops_nothing(mut engine: impl Sql) {
    let tables = ["store", "incarnations", "matches", "match_states", "match_labels", "events"];
    let id = match_id(0, 0);
    let (_, claim) = run(&engine, id, plain_spec(), [uploaded()]).await;
    for table in tables {
        let alter = format!("ALTER TABLE {table} ADD COLUMN later integer NOT NULL DEFAULT 7");
        engine.sql(&alter, id).await;
    }
    append(&engine, claim, Sequence(2), started("a")).await;
    let reader = engine.reader();
    assert_eq!(reader.events(id).await.unwrap().len(), 3);
    engine.restart(START).await;
    let reader = engine.reader();
    assert_eq!(tailed(&*reader, 2).await, 3);
    assert_eq!(paged(&*reader, 2).await, 3);
    assert_eq!(listed(&*reader, 2).await.len(), 1);
    let (m, claim) = engine.writer().claim(10).await.unwrap().remove(0);
    append(&engine, claim, m.sequence, finished()).await;
    assert_eq!(engine.writer().erase(&anna(), id).await.unwrap(), Erased::Done);
    admit(&engine, match_id(0, 1), plain_spec()).await;
}

/// Of a match of this version, of an earlier one, which stores no trace, and of a later one, which
/// stores it in another form.
pub async fn a_trace_is_kept_and_an_odd_one_stops_nothing(mut engine: impl Sql) {
    let context = TraceContext::new([0x1a; 16], [0xb2; 8], true);
    let traced = || Spec { trace: Some(context.into()), ..plain_spec() };
    let ids = [match_id(0, 0), match_id(0, 1), match_id(0, 2)];
    admit(&engine, ids[0], traced()).await;
    admit(&engine, ids[1], plain_spec()).await;
    admit(&engine, ids[2], traced()).await;
    let odd = format!(
        r#"UPDATE events SET body = replace(body, '"{context}"', '{{"of":2}}') WHERE match_id = {{id}}"#
    );
    engine.sql(&odd, ids[2]).await;
    engine.restart(START).await;
    let mut claimed = engine.writer().claim(10).await.unwrap();
    claimed.sort_unstable_by_key(|(m, _)| m.id);
    let found: Vec<_> =
        claimed.iter().map(|(m, _)| (m.id, m.is_foreign, m.spec.trace.clone())).collect();
    let kept = Some(context.into());
    assert_eq!(found, [(ids[0], false, kept), (ids[1], false, None), (ids[2], false, None)]);
}

/// As a version without photo libraries leaves the matches by key of a newer one: it shows them, and
/// a newer replica goes on with them.
pub async fn a_match_with_an_unknown_photo_source_is_left_to_versions_that_know_it(
    mut engine: impl Sql,
) {
    let (odd, plain) = (match_id(0, 0), match_id(0, 1));
    admit(&engine, odd, spec_by_key("people/17")).await;
    admit(&engine, plain, plain_spec()).await;
    let renamed = |from: &str, to: &str| {
        format!(
            r#"UPDATE events SET body = replace(body, '"{from}":', '"{to}":') WHERE match_id = {{id}}"#
        )
    };
    engine.sql(&renamed("library", "vault"), odd).await;
    engine.restart(START).await;
    let claimed = engine.writer().claim(10).await.unwrap();
    assert_eq!(claimed.iter().map(|(m, _)| m.id).collect::<Vec<_>>(), [plain]);
    let m = engine.reader().find(&anna(), &Key::Match(odd)).await.unwrap().unwrap();
    assert_eq!((m.is_foreign, m.state, m.sequence), (true, State::Accepted, Sequence(1)));
    assert_eq!(engine.reader().events(odd).await.unwrap().len(), 1);
    for has_photo in [false, true] {
        let taken = engine.writer().take(odd, has_photo).await.unwrap();
        assert!(!matches!(taken, Takeover::Now(..)), "{taken:?}");
    }
    engine.sql(&renamed("vault", "library"), odd).await;
    engine.restart(START).await;
    let claimed = engine.writer().claim(10).await.unwrap();
    let (m, claim) = claimed.into_iter().find(|(m, _)| m.id == odd).expect("it is claimed");
    assert_eq!(m.spec.photo, spec_by_key("people/17").photo);
    assert_eq!(engine.writer().claim_status(claim), ClaimStatus::Held);
    append(&engine, claim, Sequence(1), uploaded()).await;
}
