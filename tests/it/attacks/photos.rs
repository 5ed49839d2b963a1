//! Photos announced at the maximum size, which arrive slowly, never end, or are given again.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use facematch::simulator::{Endpoint, Gateway, sample};
use futures_util::stream;
use prost::Message;

use crate::{
    attacks::{ALLOWANCE_KIB, ATTACK_PATIENCE, Calls, Target},
    support::{now, portrait, request},
    transport::announced,
};

/// By their announced sizes, 52 of them would exceed 512 MiB.
const STREAMS: usize = 60;
/// The minimum rate is one piece per 20 s. The test sends a little sooner, as the machine may be
/// busy.
const PIECE_BYTES: usize = 256 * 1024;
const PIECE_EVERY: Duration = Duration::from_secs(16);
/// How long the attack lasts: past the end of the first interval of the minimum rate.
const GO_ON: Duration = Duration::from_secs(25);

/// The beginning of a request that announces a photo of 10 MiB, with as many of its bytes as the
/// minimum rate demands.
fn begun_photo() -> Bytes {
    let head = b"\x1a\x85\x80\x80\x05\x0a\x80\x80\x80\x05";
    announced(10 + (10 << 20), &[&head[..], &[b'p'; PIECE_BYTES]].concat())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn photos_at_the_minimum_rate_leave_room_for_others() {
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
    assert_eq!(calls.ended(), BTreeMap::new(), "a call at the minimum rate ended");
    let come_kib = u64::try_from(STREAMS * 2 * PIECE_BYTES / 1024).unwrap();
    target.assert_grown_at_most(come_kib + ALLOWANCE_KIB, attack);
    calls.end().await;
    target.assert_returned(attack).await;
    target.process.stop();
}

/// More uploads than photo memory has room for, over many connections from one address.
const UPLOADS: usize = 60;
const CONNECTIONS: usize = 30;
/// An address may hold one photo and two thirds of the memory; each upload reserves a step more
/// than has arrived.
const UPLOADS_HELD_MAX: usize = 37;
const PHOTO_MEMORY_KIB: u64 = 512 * 1024;

/// A request with a photo of nearly the maximum size, short of its last 1,024 bytes.
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
    calls.assert_all_ended_as("OVERLOADED photo-memory", path);
    // Bytes in flight fill the windows of the connections as well.
    target.assert_grown_at_most(PHOTO_MEMORY_KIB + 2 * ALLOWANCE_KIB, "photos that never end");
    target.assert_others_are_served("photos that never end").await;
    calls.end().await;
    target.assert_returned("photos that never end").await;
    target.process.stop();
}

/// Matches whose photos wait for Oz: their messages, if they were kept, would take 240 MiB.
const GIVEN_TWICE: usize = 24;

/// A request that gives its photo twice. The last one counts, and is small; the first one fills the
/// message.
fn given_twice(folder: &str) -> Bytes {
    let last = request(folder, portrait()).encode_to_vec();
    let room = (10 << 20) - last.len();
    let mut whole = request(folder, vec![0; room].into()).encode_to_vec();
    whole.extend(last);
    announced(u32::try_from(whole.len()).unwrap(), &whole)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn photos_that_are_given_twice_hold_what_is_counted() {
    let attack = "photos that are given twice";
    let target = Target::start(&[]).await;
    let gateway = Gateway::answering(503).before([Endpoint::AddMedia]);
    target.oz.switch(|on| on.gateway = Some(gateway));
    let (mut calls, channel) = (Calls::default(), target.channel().await);
    for _ in 0..GIVEN_TWICE {
        let folder = target.oz.add_folder(sample::liveness_folder(sample::portrait_jpeg()));
        let body = stream::iter([Ok(given_twice(&folder))]);
        calls.call(&channel, "/facematch.v1.FaceMatch/RunMatch", &[], body);
    }
    while target.unfinished().await < GIVEN_TWICE {
        assert_eq!(calls.ended(), BTreeMap::new(), "no match ends without Oz");
    }
    // The allocator returns free memory to the operating system only while the program works.
    let most = target.idle_kib + ALLOWANCE_KIB;
    let until = now() + ATTACK_PATIENCE;
    while target.process.resident_kib() > most && now() < until {
        assert_eq!(target.unfinished().await, GIVEN_TWICE);
    }
    let kept = target.process.resident_kib().saturating_sub(target.idle_kib);
    println!("attacked: by {attack}, {GIVEN_TWICE} matches keep {} MiB", kept / 1024);
    assert!(kept <= ALLOWANCE_KIB, "{kept} KiB are kept");
    target.oz.switch(|on| on.gateway = None);
    calls.wait_for(GIVEN_TWICE).await;
    calls.assert_all_ended_as("OK", attack);
    target.process.stop();
}
