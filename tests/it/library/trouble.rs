//! Trouble that a library over HTTP may make, whatever its protocol.

use std::sync::atomic::{AtomicUsize, Ordering};

use facematch::pb::{CancelMatchRequest, MatchState, cancel_match_request::Id};
use tonic::Code;

use crate::{
    library::{
        by_key, failure, run,
        server::{Answer, PhotoServer, answer, chunked, lie, photo},
    },
    support::{
        TestServer, collect, event_names, eventually, last_match, portrait, portrait_request,
        read_until,
    },
};

/// The most bytes that are taken of an endless body: the largest photo, and what lies in buffers of
/// the two ends of the connection.
const ENDLESS_BYTES_MAX: u64 = 24 * 1024 * 1024;

/// A key that has photos by these tests.
pub const KEY: &str = "17.jpg";

/// A service whose library is a server of these tests.
pub struct Scene {
    pub photos: PhotoServer,
    pub server: TestServer,
}

/// The metadata server of clouds, to which no request may ever be led.
const METADATA: &str = "location: http://169.254.169.254/latest/meta-data/iam/\r\n";

/// What a library may send instead of a photo, with its name, and with the reason and the code of
/// the failed match.
type NoPhoto = (&'static str, fn() -> Answer, &'static str, Code);

/// Answers without a photo that are the same in each protocol.
fn no_photos() -> Vec<NoPhoto> {
    vec![
        ("text", || photo(b"no picture"), "REFERENCE_UNREADABLE", Code::InvalidArgument),
        ("nothing", || photo(b""), "REFERENCE_UNREADABLE", Code::InvalidArgument),
        // A length that is too small cuts the photo off.
        (
            "a small length",
            || lie("content-length: 1000", &portrait()),
            "REFERENCE_UNREADABLE",
            Code::InvalidArgument,
        ),
        (
            "a large photo",
            || photo(&vec![0; 10 * 1024 * 1024 + 1]),
            "REFERENCE_TOO_LARGE",
            Code::InvalidArgument,
        ),
        ("401", || answer("401 Unauthorized", "", b""), "LIBRARY_FORBIDDEN", Code::Internal),
        ("403", || answer("403 Forbidden", "", b""), "LIBRARY_FORBIDDEN", Code::Internal),
        ("404", || answer("404 Not Found", "", b""), "REFERENCE_NOT_FOUND", Code::NotFound),
        ("410", || answer("410 Gone", "", b""), "REFERENCE_NOT_FOUND", Code::NotFound),
        ("418", || answer("418 I'm a teapot", "", b""), "LIBRARY_PROTOCOL", Code::Internal),
        ("302", || answer("302 Found", METADATA, b""), "LIBRARY_PROTOCOL", Code::Internal),
        (
            "307",
            || answer("307 Moved", "location: /latest/meta-data/\r\n", b""),
            "LIBRARY_PROTOCOL",
            Code::Internal,
        ),
        (
            "too few bytes",
            || lie("content-length: 100000", b"\xff\xd8\xff"),
            "LIBRARY_PROTOCOL",
            Code::Internal,
        ),
        (
            "fewer chunks",
            || lie("content-length: 99\r\ntransfer-encoding: chunked", &chunked(b"photo")),
            "LIBRARY_PROTOCOL",
            Code::Internal,
        ),
        (
            "more chunks",
            || lie("content-length: 3\r\ntransfer-encoding: chunked", &chunked(b"photo")),
            "LIBRARY_PROTOCOL",
            Code::Internal,
        ),
    ]
}

/// An answer that holds no photo ends the match with its reason.
pub async fn each_answer_without_a_photo_has_its_reason(mut scene: Scene) {
    for (name, send, reason, code) in no_photos() {
        scene.photos.set_answers(move |_| send());
        let error = failure(&mut scene.server, KEY).await;
        assert_eq!((error.reason.as_str(), error.code), (reason, code as i32), "{name}: {error:?}");
        assert!(error.metadata.is_empty() && !error.message.contains("127."), "{name}: {error:?}");
    }
    assert!(scene.photos.asked().iter().all(|asked| !asked.path.contains("meta-data")));
    scene.server.assert_released("failed matches by key").await;
}

/// Endless bodies take no more memory than photos, and are left.
pub async fn an_endless_body_is_left(mut scene: Scene, head: &'static str) {
    scene.photos.set_answers(move |_| Answer::Endless(head.to_owned()));
    let load = scene.server.load.clone();
    let updates = tokio::select! {
        updates = run(&mut scene.server, KEY) => updates,
        () = async {
            loop {
                assert!(load.photo_bytes() <= 10 * 1024 * 1024, "{} bytes", load.photo_bytes());
                tokio::task::yield_now().await;
            }
        } => unreachable!("the loop has no end"),
    };
    let error = last_match(&updates).error.clone().expect("it fails");
    assert!(
        ["REFERENCE_TOO_LARGE", "LIBRARY_PROTOCOL"].contains(&error.reason.as_str()),
        "{error:?}"
    );
    scene.server.assert_released("an endless body").await;
    let taken = scene.photos.endless_bytes();
    assert!(taken < ENDLESS_BYTES_MAX, "{taken} bytes were taken");
}

/// A library that fails for a while is waited for, and told of once.
pub async fn a_library_that_fails_for_a_while_is_waited_for(mut scene: Scene) {
    let reads = AtomicUsize::new(0);
    scene.photos.set_answers(move |_| match reads.fetch_add(1, Ordering::Relaxed) {
        0 => answer("500 Internal Server Error", "", b"<Error><Code>InternalError</Code></Error>"),
        1 => answer("503 Service Unavailable", "", b""),
        2 => answer("429 Too Many Requests", "", b""),
        _ => photo(&portrait()),
    });
    let updates = run(&mut scene.server, KEY).await;
    assert_eq!(
        event_names(&updates),
        ["accepted", "attempt_failed", "photo_uploaded", "analysis_started", "finished"]
    );
    let told = updates[1].r#match.as_ref().and_then(|m| m.trouble.as_ref()).expect("trouble");
    assert_eq!(told.cause, "LIBRARY_UNREACHABLE");
    assert_eq!(last_match(&updates).state(), MatchState::Finished);
    scene.server.assert_released("a match that has waited").await;
}

/// While a library hangs, other matches go on, and a match that waits for it can be cancelled.
pub async fn a_library_that_hangs_slows_no_other_match(mut scene: Scene) {
    scene.photos.set_answers(|_| Answer::Hang);
    let (cancelled, waiting) = (scene.server.folder(), scene.server.folder());
    let client = &mut scene.server.client;
    let mut updates = client.run_match(by_key(&cancelled, KEY)).await.unwrap().into_inner();
    let accepted = read_until(&mut updates, "accepted").await;
    let waits = client.run_match(by_key(&waiting, KEY)).await.unwrap().into_inner();
    let asked = || scene.photos.asked().iter().filter(|asked| asked.path.contains("17")).count();
    eventually(|| asked() == 2, || "the library isn't asked".to_owned()).await;

    let folder = scene.server.folder();
    let others = scene.server.run(portrait_request(&folder)).await;
    assert_eq!(last_match(&others).state(), MatchState::Finished);

    let id = Some(Id::MatchId(accepted[0].match_id.clone()));
    scene.server.client.cancel_match(CancelMatchRequest { id }).await.unwrap();
    let ended = collect(updates).await.unwrap();
    assert_eq!(event_names(&ended), ["cancelled"]);

    // The other match is told of the silence, and goes on once the library answers.
    scene.photos.set_answers(|_| photo(&portrait()));
    let updates = collect(waits).await.unwrap();
    assert_eq!(event_names(&updates)[..3], ["accepted", "attempt_failed", "photo_uploaded"]);
    assert_eq!(last_match(&updates).state(), MatchState::Finished);
    scene.server.assert_released("a library that hung").await;
}
