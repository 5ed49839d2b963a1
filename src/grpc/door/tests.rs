//! What the door promises of bodies that come slowly, wrongly or not at all.

use futures_util::{Stream, StreamExt, stream};
use http_body_util::{BodyExt, StreamBody};
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tonic_types::StatusExt;

use super::*;
use crate::worker::shelf::Shelf;

/// Long enough for nothing to be lost by chance where it isn't meant to be.
const LONG: Duration = Duration::from_hours(1);
const SHORT: Duration = Duration::from_millis(5);
const PATIENT: Patience = Patience { pace: LONG, room: LONG };

fn keeper(shelf: &Shelf, draining: &CancellationToken) -> Keeper {
    let shelf = shelf.clone();
    let reserve = move |bytes| -> Waiting<Place> {
        let shelf = shelf.clone();
        Box::pin(async move { shelf.reserve(bytes).await })
    };
    let draining = draining.clone().cancelled_owned();
    Keeper { reserve: Box::new(reserve), draining: Box::pin(draining) }
}

fn gate(
    frames: impl Stream<Item = Vec<u8>> + Send + 'static,
    keeper: Option<Keeper>,
    patience: Patience,
) -> Gate {
    let frames = frames.map(|bytes| Ok::<_, Status>(Frame::data(Bytes::from(bytes))));
    Gate::new(Body::new(StreamBody::new(frames)), keeper, Room::default(), patience)
}

/// A message's beginning: that many bytes are announced, these come.
fn message(announced: u32, body: &[u8]) -> Vec<u8> {
    [&[0], &announced.to_be_bytes()[..], body].concat()
}

fn then_nothing(bytes: Vec<u8>) -> impl Stream<Item = Vec<u8>> {
    stream::iter([bytes]).chain(stream::pending())
}

#[tokio::test]
async fn a_body_that_stops_coming_gives_its_room_back() {
    let shelf = Shelf::new(1_000);
    let keeper = keeper(&shelf, &CancellationToken::new());
    let patience = Patience { pace: SHORT, ..PATIENT };
    let gate = gate(then_nothing(message(900, b"a beginning")), Some(keeper), patience);
    let status = gate.collect().await.expect_err("it is given up");
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert!(status.get_details_retry_info().is_some());
    assert_eq!(shelf.bytes(), 0);
}

#[tokio::test]
async fn a_body_that_trickles_is_no_better_than_one_that_stops() {
    let trickle = stream::unfold((), |()| async {
        tokio::task::yield_now().await;
        tokio::time::sleep(SHORT / 5).await;
        Some((vec![0], ()))
    });
    let patience = Patience { pace: SHORT, ..PATIENT };
    let frames = stream::iter([message(100_000, b"")]).chain(trickle);
    let status = gate(frames, None, patience).collect().await.expect_err("it is given up");
    assert_eq!(status.code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn who_finds_no_room_in_time_is_told_to_come_back() {
    let shelf = Shelf::new(0);
    let mut spare = Vec::new();
    while let Some(place) = futures_util::FutureExt::now_or_never(shelf.reserve(1)) {
        spare.push(place);
    }
    let keeper = keeper(&shelf, &CancellationToken::new());
    let patience = Patience { room: SHORT, ..PATIENT };
    let gate = gate(then_nothing(message(1, b"")), Some(keeper), patience);
    let status = gate.collect().await.expect_err("there is no room");
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.get_details_retry_info().is_some());
    assert_eq!(
        status.get_details_error_info().map(|info| info.reason).as_deref(),
        Some("OVERLOADED")
    );
}

#[tokio::test]
async fn a_server_that_goes_down_waits_for_no_photo() {
    let (shelf, draining) = (Shelf::new(1_000), CancellationToken::new());
    draining.cancel();
    let keeper = keeper(&shelf, &draining);
    let gate = gate(then_nothing(message(900, b"")), Some(keeper), PATIENT);
    let status = gate.collect().await.expect_err("it is refused");
    let reason = status.get_details_error_info().map(|info| info.reason);
    assert_eq!(reason.as_deref(), Some("SERVER_DRAINING"));
    assert_eq!(shelf.bytes(), 0);
}

#[tokio::test]
async fn no_more_is_read_than_was_announced() {
    let two = [message(2, b"hi"), message(2, b"hi")];
    let together = stream::iter([two.concat()]);
    let apart = stream::iter(two.clone());
    let long = stream::iter([message(2, b"hi!")]);
    for frames in [together.boxed(), apart.boxed(), long.boxed()] {
        let refused = gate(frames, None, PATIENT).collect().await;
        assert_eq!(refused.expect_err("it is too long").code(), Code::InvalidArgument);
    }
    let bytewise = stream::iter(message(2, b"hi").into_iter().map(|byte| vec![byte]));
    let whole = gate(bytewise, None, PATIENT).collect().await.expect("one message is fine");
    assert_eq!(whole.to_bytes(), message(2, b"hi"));
}
