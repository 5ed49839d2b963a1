//! Sample matches and events, and the few steps with which most tests begin.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use uuid::Builder;

use crate::{
    domain::{
        AnalysisId, Digest, Event, FolderId, Format, KeyForm, LivenessPolicy, MatchError, MatchId,
        MatchResult, PhotoKind, PhotoSource, Position, Reason, Recorded, ReferenceKey, Resolution,
        Sequence, Spec, TenantId, Timeout, Timestamp,
        event::{AnalysisStarted, AttemptFailed, Cancelled, Failed, Finished, PhotoUploaded},
        reason::Cause,
    },
    journal::{Admitted, Appended, Claim, Key, Reader, Start, suite::Engine},
};

/// When a new store's clock starts.
pub const START: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

/// How long ended matches are kept.
pub(in crate::journal) const KEEP: Duration = Duration::from_secs(3600);

/// The position of a start.
pub(crate) async fn position(reader: &dyn Reader, start: Start) -> Position {
    reader.cursor(start).await.unwrap().position
}

/// The n-th id of a millisecond. Milliseconds count from [`START`].
pub(crate) fn match_id(millis: u64, n: u64) -> MatchId {
    let mut counter = [0; 10];
    counter[2..].copy_from_slice(&n.to_be_bytes());
    let start = START.as_micros().unsigned_abs() / 1000;
    MatchId::from_uuid(Builder::from_unix_timestamp_millis(start + millis, &counter).into_uuid())
}

pub(crate) fn tenant(name: &str) -> TenantId {
    TenantId::from_stored(name)
}

pub(in crate::journal) fn anna() -> TenantId {
    tenant("anna")
}

pub(crate) fn folder(n: u8) -> FolderId {
    FolderId::from_uuid(uuid::Uuid::from_bytes([n; 16]))
}

pub(in crate::journal) fn request(id: &str) -> Key {
    Key::Request(id.parse().unwrap())
}

/// A request of Anna's, without a request id or labels.
pub(crate) fn plain_spec() -> Spec {
    Spec {
        tenant: anna(),
        request_id: None,
        folder_id: folder(1),
        photo: PhotoSource::Content { digest: Digest([7; 32]), format: Format::Jpeg },
        kind: PhotoKind::Selfie,
        timeout: Timeout { duration: Duration::from_secs(1200), named: false },
        liveness_media: Vec::new(),
        liveness_policy: LivenessPolicy::Report,
        labels: BTreeMap::new(),
        trace: None,
    }
}

/// The same with a request id.
pub(in crate::journal) fn named_spec(request_id: &str) -> Spec {
    Spec { request_id: Some(request_id.parse().unwrap()), ..plain_spec() }
}

/// The same, with its photo in the photo library.
pub(in crate::journal) fn spec_by_key(key: &str) -> Spec {
    let key = ReferenceKey::parse(key, KeyForm::Path).unwrap();
    Spec { photo: PhotoSource::Library(key), ..plain_spec() }
}

pub(crate) fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
}

pub(in crate::journal) fn analysis(id: &str) -> AnalysisId {
    id.parse().unwrap()
}

pub(crate) fn uploaded() -> Event {
    Event::PhotoUploaded(PhotoUploaded {
        photo_media_id: "photo".parse().unwrap(),
        liveness_media: vec!["video".parse().unwrap()],
        liveness: None,
        earlier_analyses: vec![analysis("earlier")],
        adopted: false,
    })
}

pub(crate) fn started(id: &str) -> Event {
    Event::AnalysisStarted(AnalysisStarted {
        analysis_id: analysis(id),
        liveness_analysis_id: Some(analysis(&format!("{id}-liveness"))),
        adopted: false,
        oz: None,
    })
}

pub(crate) fn trouble() -> Event {
    Event::AttemptFailed(AttemptFailed {
        cause: Cause::OzTimeout,
        message: "no answer within 30 s".into(),
        next_attempt: START,
        metadata: BTreeMap::new(),
        oz: None,
    })
}

pub(crate) fn finished() -> Event {
    let result = MatchResult {
        resolution: Resolution::Success,
        min_confidence: 0.987,
        max_confidence: Some(0.99),
        liveness: None,
    };
    Event::Finished(Finished { result, oz: None, keep: KEEP })
}

pub(in crate::journal) fn failed() -> Event {
    failed_kept(KEEP)
}

pub(crate) fn failed_kept(keep: Duration) -> Event {
    let error = MatchError::new(Reason::OzFolderNotFound, "Oz knows no such folder");
    Event::Failed(Failed { error, oz: None, keep })
}

pub(in crate::journal) fn cancelled() -> Event {
    Event::Cancelled(Cancelled { keep: KEEP })
}

/// Admits a match, which must be new.
pub(in crate::journal) async fn admit(
    engine: &impl Engine,
    id: MatchId,
    spec: Spec,
) -> (Recorded, Claim) {
    match engine.writer().admit(id, Arc::new(spec)).await.unwrap() {
        Admitted::New(recorded, claim) => (recorded, claim),
        Admitted::Known(known) => panic!("{id} is known as {}", known.id),
    }
}

/// Appends an event, which must succeed.
pub(in crate::journal) async fn append(
    engine: &impl Engine,
    claim: Claim,
    after: Sequence,
    event: Event,
) -> Recorded {
    match engine.writer().append(claim, after, event).await.unwrap() {
        Appended::Done(recorded) => recorded,
        refused => panic!("{} after {after:?}: {refused:?}", claim.match_id),
    }
}

/// Admits a match and appends these events to it. Returns all recorded events, and the claim.
pub(in crate::journal) async fn run(
    engine: &impl Engine,
    id: MatchId,
    spec: Spec,
    events: impl IntoIterator<Item = Event>,
) -> (Vec<Recorded>, Claim) {
    let (first, claim) = admit(engine, id, spec).await;
    let mut journal = vec![first];
    for event in events {
        let after = journal[journal.len() - 1].sequence;
        journal.push(append(engine, claim, after, event).await);
    }
    (journal, claim)
}

/// Admits a match and ends it at once. Returns the position of its last event.
pub(in crate::journal) async fn end(
    engine: &impl Engine,
    id: MatchId,
    spec: Spec,
) -> crate::domain::Position {
    let (journal, _) = run(engine, id, spec, [failed()]).await;
    journal[1].position
}
