//! Photos that are announced at the maximum, and hardly come or come but for their ends.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use prost::Message;

use crate::{
    attacks::{ALLOWANCE_KIB, Calls, Target},
    support::{now, portrait, request},
    transport::announced,
};

/// By what they announce, 52 of them would be over 512 MiB.
const STREAMS: usize = 60;
/// The minimum rate: so much in each 20 s, and a little sooner, as the machine may be busy.
const PIECE_BYTES: usize = 256 * 1024;
const PIECE_EVERY: Duration = Duration::from_secs(16);
/// For how long they go on: past the first time at whose end too little would have come.
const GO_ON: Duration = Duration::from_secs(25);

/// The beginning of a request that announces a photo of 10 MiB, with as much of it as the minimum
/// rate asks for.
fn begun_photo() -> Bytes {
    let head = b"\x1a\x85\x80\x80\x05\x0a\x80\x80\x80\x05";
    announced(10 + (10 << 20), &[&head[..], &[b'p'; PIECE_BYTES]].concat())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn photos_that_come_at_the_minimum_rate_refuse_no_other() {
    let attack = "photos at the minimum rate";
    let target = Target::start(&[]).await;
    let channel = target.channel().await;
    let mut calls = Calls::default();
    let (since, piece) = (now(), Bytes::from_static(&[b'p'; PIECE_BYTES]));
    for path in ["/facematch.v1.FaceMatch/RunMatch", "/facematch.v1.FaceMatch/CreateMatch"] {
        let rate = (&piece, PIECE_EVERY);
        calls.trickle(&channel, path, &begun_photo(), rate, STREAMS / 2);
    }
    while since.elapsed() < GO_ON {
        target.assert_others_are_served(attack).await;
    }
    assert_eq!(calls.ended(), BTreeMap::new(), "they send what is asked for");
    let come_kib = u64::try_from(STREAMS * 2 * PIECE_BYTES / 1024).unwrap();
    target.assert_grown_at_most(come_kib + ALLOWANCE_KIB, attack);
    calls.end().await;
    target.assert_returned(attack).await;
    target.process.stop();
}

/// As many as photo memory has room for, and more, over many connections of one address.
const UPLOADS: usize = 60;
const CONNECTIONS: usize = 30;
/// An address may have one photo and two thirds of all, and each upload a step more than has come.
const UPLOADS_HELD_MAX: usize = 37;
const PHOTO_MEMORY_KIB: u64 = 512 * 1024;

/// A request with a photo of nearly the maximum, whole but for its end.
fn nearly_whole() -> Bytes {
    let photo = [&portrait()[..], &vec![0; (10 << 20) - 1024 - portrait().len()]].concat();
    let whole = request("7e782ba3-94fa-4b34-94a0-c1e2f8c3b5b1", photo.into()).encode_to_vec();
    announced(u32::try_from(whole.len()).unwrap(), &whole[..whole.len() - 1024])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn photos_that_never_end_leave_room_for_others() {
    let target = Target::start(&[]).await;
    let mut calls = Calls::default();
    let (path, begun) = ("/facematch.v1.FaceMatch/CreateMatch", nearly_whole());
    for channel in target.channels_of_another(CONNECTIONS).await {
        calls.stall(&channel, path, &[], &begun, UPLOADS / CONNECTIONS);
    }
    calls.wait_for(UPLOADS - UPLOADS_HELD_MAX).await;
    calls.assert_all_told("OVERLOADED photo-memory", path);
    // What is on its way is in the windows of connections besides.
    target.assert_grown_at_most(PHOTO_MEMORY_KIB + 2 * ALLOWANCE_KIB, "photos that never end");
    target.assert_others_are_served("photos that never end").await;
    calls.end().await;
    target.assert_returned("photos that never end").await;
    target.process.stop();
}
