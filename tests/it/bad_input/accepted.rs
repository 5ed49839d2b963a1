//! Valid input at the limits: each value at its limit is accepted.

use bytes::Bytes;
use facematch::{
    pb::{MatchState, WaitMatchRequest, wait_match_request},
    simulator::sample,
};
use prost_types::Duration;

use super::{
    long_name,
    photos::{self, BYTES_MAX, padded, with_exif},
};
use crate::{
    canary,
    support::{TestServer, last_match, portrait_request, request},
};

#[tokio::test]
async fn values_at_their_limits_are_accepted() {
    let mut house = TestServer::build().await;
    let mut request = portrait_request(&house.folder().to_uppercase());
    request.request_id = "~".repeat(128);
    request.photo.as_mut().expect("a photo").file_name = long_name(255);
    request.timeout = Some(Duration { seconds: 24 * 3600, nanos: 0 });
    let key = |n: u32| format!("{n:02}{}", "ключ".repeat(15)) + "ab";
    request.labels = (0..16).map(|n| (key(n), "ж".repeat(256))).collect();
    assert!(request.labels.keys().all(|key| key.chars().count() == 64));
    let updates = house.run(request.clone()).await;
    let m = last_match(&updates);
    assert_eq!(m.folder_id, request.folder_id.to_lowercase());
    assert_eq!(m.labels, request.labels);
    assert_eq!(m.state(), MatchState::Finished);
}

#[tokio::test]
async fn photos_of_the_maximum_size_or_with_much_exif_are_accepted() {
    let mut house = TestServer::build().await;
    let folder = house.folder();
    let exif: Bytes = with_exif(sample::portrait_jpeg(), 1_000_000).into();
    for photo in [padded(BYTES_MAX), exif] {
        let bytes = photo.len();
        let updates = house.run(request(&folder, photo)).await;
        assert_eq!(last_match(&updates).state(), MatchState::Finished, "{bytes} bytes");
        house.assert_released("a large photo").await;
    }
}

#[tokio::test]
async fn pictures_that_decoders_accept_are_uploaded_byte_for_byte() {
    let mut house = TestServer::build().await;
    for name in photos::SOUND {
        let photo: Bytes = photos::field(name).into();
        // `request` adds the same canary.
        let sent = canary::marked(photo.clone());
        house.oz.clear_record();
        let folder = house.folder();
        house.run(request(&folder, photo)).await;
        let record = house.oz.record();
        let uploads = record.iter().flat_map(|asked| &asked.uploads);
        let digests: Vec<&str> = uploads.map(|upload| upload.digest.as_str()).collect();
        assert_eq!(digests, [blake3::hash(&sent).to_hex().as_str()], "{name}");
    }
}

#[tokio::test]
async fn a_wait_may_last_from_zero_to_ten_minutes() {
    let mut house = TestServer::build().await;
    let updates = house.run(portrait_request(&house.folder())).await;
    for (seconds, nanos) in [(0, 0), (0, 1), (600, 0)] {
        let id = Some(wait_match_request::Id::MatchId(last_match(&updates).match_id.clone()));
        let timeout = Some(Duration { seconds, nanos });
        let waited = house.client.wait_match(WaitMatchRequest { id, timeout }).await;
        assert_eq!(waited.expect("the timeout is valid").into_inner(), *last_match(&updates));
    }
}

#[tokio::test]
async fn a_page_size_over_the_maximum_is_capped() {
    let mut house = TestServer::build().await;
    let list = facematch::pb::ListMatchesRequest { page_size: i32::MAX, ..Default::default() };
    house.client.list_matches(list).await.expect("it is capped");
}
