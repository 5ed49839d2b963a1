//! Photos that are announced at the maximum, and hardly come or come but for their ends.

use bytes::Bytes;
use prost::Message;

use crate::{
    attacks::{ALLOWANCE_KIB, Calls, Target},
    support::{portrait, request},
    transport::announced,
};

/// By what they announce, 52 of them would be over 512 MiB.
const STREAMS: usize = 60;
/// What comes of each in a time that the minimum rate allows.
const COME_BYTES: usize = 256 * 1024;

/// A request that announces a photo of 10 MiB, of which so many bytes come.
fn half_a_photo() -> Bytes {
    let head = b"\x1a\x85\x80\x80\x05\x0a\x80\x80\x80\x05";
    announced(10 + (10 << 20), &[&head[..], &[b'p'; COME_BYTES]].concat())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn photos_that_are_announced_and_hardly_come_refuse_no_other() {
    let target = Target::start(&[]).await;
    let channel = target.channel().await;
    let mut calls = Calls::default();
    let begun = half_a_photo();
    for path in ["/facematch.v1.FaceMatch/RunMatch", "/facematch.v1.FaceMatch/CreateMatch"] {
        calls.stall(&channel, path, &[], &begun, STREAMS / 2);
    }
    target.assert_others_are_served("photos that hardly come").await;
    target.assert_others_are_served("photos that hardly come").await;
    let come_kib = u64::try_from(STREAMS * COME_BYTES / 1024).unwrap();
    target.assert_grown_at_most(come_kib + ALLOWANCE_KIB, "photos that hardly come");
    for told in calls.ended().keys() {
        assert_eq!(told, "CALL_TIMED_OUT", "they are ended for nothing else");
    }
    calls.end().await;
    target.assert_returned("photos that hardly come").await;
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
    target.assert_grown_at_most(PHOTO_MEMORY_KIB + ALLOWANCE_KIB, "photos that never end");
    target.assert_others_are_served("photos that never end").await;
    calls.end().await;
    target.assert_returned("photos that never end").await;
    target.process.stop();
}
