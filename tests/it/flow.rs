//! The main use case: a photo and a folder in, a stream of states and a verdict out.

use std::io::Cursor;

use bytes::Bytes;
use facematch::{
    pb::{self, LivenessPolicy, MatchState, PhotoKind, Resolution, match_update::Event},
    simulator::{Action, Endpoint, FolderSeed, LivenessSeed, MediaSeed, Outcome, Rule, sample},
};
use image::{codecs::jpeg::JpegEncoder, imageops::FilterType};

use crate::{
    canary::FILE_NAME,
    support::{
        TestServer, delete, event_names, folder_media_request, get, last_match, portrait,
        portrait_request, request,
    },
};

const HAPPY: [&str; 4] = ["accepted", "photo_uploaded", "analysis_started", "finished"];

#[tokio::test]
async fn the_same_picture_is_a_success_streamed_state_by_state() {
    let mut house = TestServer::build().await;
    let folder = house.folder();
    let updates = house.run(portrait_request(&folder)).await;
    assert_eq!(event_names(&updates), HAPPY);
    let sequences: Vec<u64> = updates.iter().map(|update| update.sequence).collect();
    assert_eq!(sequences, [1, 2, 3, 4]);
    let states: Vec<MatchState> =
        updates.iter().map(|update| update.r#match.as_ref().unwrap().state()).collect();
    use MatchState::{Accepted, Finished, Processing, Uploaded};
    assert_eq!(states, [Accepted, Uploaded, Processing, Finished]);

    let m = last_match(&updates);
    let result = m.result.as_ref().expect("a finished match has a result");
    assert_eq!(result.resolution(), Resolution::Success);
    let score = result.min_confidence.expect("a score");
    assert!((0.85..=1.0).contains(&score), "{score}");
    let liveness = result.liveness.as_ref().expect("the folder's liveness is reported");
    assert_eq!(liveness.resolution(), Resolution::Success);
    assert_eq!(m.oz.as_ref().unwrap().state, "FINISHED");
    assert!(m.expire_time.is_some() && m.end_time.is_some() && m.error.is_none());

    let found = house.client.get_match(get(&m.match_id)).await.unwrap().into_inner();
    assert_eq!(&found, m, "GetMatch is never behind the stream");
}

#[tokio::test]
async fn oz_gets_one_photo_and_one_analysis_of_exactly_these_media() {
    let mut house = TestServer::build().await;
    let folder = house.folder();
    let updates = house.run(portrait_request(&folder)).await;
    let m = last_match(&updates);

    let record = house.oz.record();
    let uploads: Vec<_> = record.iter().flat_map(|asked| &asked.uploads).collect();
    let [upload] = uploads.as_slice() else { panic!("not one upload: {uploads:?}") };
    assert_eq!(upload.part, "photo1");
    assert_eq!(upload.tags, ["photo_selfie"]);
    assert_eq!(upload.file_name, format!("facematch-{}.jpg", m.match_id));
    assert_eq!(upload.content_type, "image/jpeg");
    assert_eq!(upload.bytes, portrait().len() as u64);
    assert_eq!(upload.meta_data["facematch_match_id"], m.match_id);

    let held = house.oz.folder(&folder).expect("the folder exists");
    let biometry: Vec<_> = held.analyses.iter().filter(|a| a.kind == "BIOMETRY").collect();
    let [analysis] = biometry.as_slice() else { panic!("not one analysis: {biometry:?}") };
    assert_eq!(analysis.analyse_id.to_string(), m.analysis_id);
    let video = held.media[0].media_id.to_string();
    let compared: Vec<String> = analysis.source_media.iter().map(ToString::to_string).collect();
    assert_eq!(compared, [video, m.photo_media_id.clone()]);
}

#[tokio::test]
async fn another_person_is_declined_and_the_call_is_ok() {
    let mut house = TestServer::build().await;
    let folder = house.folder();
    let stranger = Bytes::from_static(sample::stranger_jpeg());
    let updates = house.run(request(&folder, stranger)).await;
    assert_eq!(event_names(&updates), HAPPY);
    let result = last_match(&updates).result.clone().expect("a result");
    assert_eq!(result.resolution(), Resolution::Declined);
    assert!(result.min_confidence.expect("a score") < 0.85);
}

#[tokio::test]
async fn a_strangers_photo_in_the_folder_changes_nothing() {
    let mut house = TestServer::build().await;
    let mut seed = sample::liveness_folder(sample::portrait_jpeg());
    seed.media.push(photo_seed(sample::stranger_jpeg(), "photo_selfie"));
    let folder = house.oz.add_folder(seed);
    let updates = house.run(portrait_request(&folder)).await;
    assert_eq!(
        last_match(&updates).result.as_ref().expect("a result").resolution(),
        Resolution::Success
    );
}

#[tokio::test]
async fn an_identity_document_has_its_tags_and_a_png_its_type_and_name() {
    let mut house = TestServer::build().await;
    let folder = house.folder();
    let mut request = request(&folder, Bytes::from_static(sample::portrait_png()));
    let photo = request.photo.as_mut().expect("a photo");
    photo.set_kind(PhotoKind::IdFront);
    photo.file_name = format!("Anna Nováková {FILE_NAME}.png");
    let updates = house.run(request).await;
    assert_eq!(event_names(&updates), HAPPY);
    let record = house.oz.record();
    let upload = record.iter().flat_map(|asked| &asked.uploads).next().expect("an upload");
    assert_eq!(upload.tags, ["photo_id", "photo_id_front"]);
    assert_eq!(upload.content_type, "image/png");
    assert_eq!(upload.file_name, format!("facematch-{}.png", last_match(&updates).match_id));
}

#[tokio::test]
async fn a_phone_photo_with_exif_and_a_trailer_is_matched() {
    let mut house = TestServer::build().await;
    let folder = house.folder();
    let photo = phone_photo();
    assert!(photo.len() > 2_000_000, "{} bytes", photo.len());
    let updates = house.run(request(&folder, photo)).await;
    assert_eq!(event_names(&updates), HAPPY);
    assert_eq!(
        last_match(&updates).result.as_ref().expect("a result").resolution(),
        Resolution::Success
    );
}

/// The portrait like a phone's photo: 12 megapixels, EXIF at the front, a maker's trailer at the
/// end.
fn phone_photo() -> Bytes {
    let portrait = image::load_from_memory(sample::portrait_jpeg()).expect("the sample decodes");
    let large = portrait.resize_exact(3464, 3464, FilterType::Triangle);
    let mut grainy = large.to_rgb8();
    let mut grain = 0x9e37_79b9_u32;
    for pixel in grainy.pixels_mut() {
        grain = grain.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = (grain >> 28) as u8;
        pixel.0 = pixel.0.map(|channel| channel.saturating_add(noise));
    }
    let mut jpeg = Vec::new();
    let encoder = JpegEncoder::new_with_quality(Cursor::new(&mut jpeg), 95);
    grainy.write_with_encoder(encoder).expect("a JPEG");
    let exif = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\0\0\0\0\0";
    let length = u16::try_from(exif.len() + 2).expect("a short segment").to_be_bytes();
    let (start, rest) = jpeg.split_at(2);
    [start, &[0xff, 0xe1], &length, exif, rest, b"SEFT trailer"].concat().into()
}

#[tokio::test]
async fn a_photo_that_the_folder_holds_is_compared_without_an_upload() {
    let mut house = TestServer::build().await;
    let mut seed = sample::liveness_folder(sample::portrait_jpeg());
    seed.media.push(photo_seed(sample::portrait_png(), "photo_id_front"));
    let folder = house.oz.add_folder(seed);
    let photo = house.oz.folder(&folder).expect("the folder").media[1].media_id.to_string();
    let updates = house.run(folder_media_request(&folder, &photo)).await;
    assert_eq!(event_names(&updates), HAPPY);
    assert_eq!(last_match(&updates).photo_media_id, photo);
    assert_eq!(house.requests_to_oz("POST", "/media"), 0);

    let nowhere = uuid::Uuid::nil().to_string();
    let updates = house.run(folder_media_request(&folder, &nowhere)).await;
    assert_eq!(event_names(&updates), ["accepted", "failed"]);
    assert_eq!(last_match(&updates).error.as_ref().expect("an error").reason, "OZ_MEDIA_NOT_FOUND");
    let video = house.oz.folder(&folder).expect("the folder").media[0].media_id.to_string();
    let updates = house.run(folder_media_request(&folder, &video)).await;
    assert_eq!(last_match(&updates).error.as_ref().expect("an error").reason, "OZ_MEDIA_NOT_FOUND");
}

fn photo_seed(picture: &'static [u8], tag: &str) -> MediaSeed {
    let png = picture.starts_with(b"\x89PNG");
    MediaSeed {
        bytes: Bytes::from_static(picture),
        file_name: format!("{FILE_NAME}.{}", if png { "png" } else { "jpg" }),
        content_type: if png { "image/png".into() } else { "image/jpeg".into() },
        tags: vec![tag.to_owned()],
    }
}

#[tokio::test]
async fn folders_that_cannot_be_matched_give_the_reason() {
    let mut house = TestServer::build().await;
    let photo_only = FolderSeed {
        media: vec![photo_seed(sample::portrait_jpeg(), "photo_selfie")],
        liveness: None,
    };
    let without_video = house.oz.add_folder(photo_only);
    let unknown = uuid::Uuid::nil().to_string();
    let table = [
        (without_video.as_str(), "LIVENESS_MEDIA_NOT_FOUND", 9),
        (unknown.as_str(), "OZ_FOLDER_NOT_FOUND", 5),
    ];
    for (folder, reason, code) in table {
        let updates = house.run(portrait_request(folder)).await;
        assert_eq!(event_names(&updates), ["accepted", "failed"], "{reason}");
        let error = last_match(&updates).error.as_ref().expect("an error");
        assert_eq!((error.reason.as_str(), error.code, error.retryable), (reason, code, false));
        assert_eq!(last_match(&updates).state(), MatchState::Failed);
    }
    assert_eq!(house.requests_to_oz("POST", "/media"), 0, "a photo is left behind");
}

#[tokio::test]
async fn a_required_liveness_must_pass_before_the_photo_is_sent() {
    let mut house = TestServer::build().await;
    let declined = LivenessSeed { resolution: "DECLINED".into(), ..LivenessSeed::default() };
    let table = [(None, "LIVENESS_NOT_PASSED"), (Some(declined), "LIVENESS_NOT_PASSED")];
    for (liveness, reason) in table {
        let seed = FolderSeed { liveness, ..sample::liveness_folder(sample::portrait_jpeg()) };
        let folder = house.oz.add_folder(seed);
        let mut request = portrait_request(&folder);
        request.set_liveness_policy(LivenessPolicy::Require);
        let updates = house.run(request).await;
        assert_eq!(event_names(&updates), ["accepted", "failed"]);
        assert_eq!(last_match(&updates).error.as_ref().expect("an error").reason, reason);
    }
    assert_eq!(house.requests_to_oz("POST", "/media"), 0);

    let mut request = portrait_request(&house.folder());
    request.set_liveness_policy(LivenessPolicy::Require);
    let updates = house.run(request).await;
    assert_eq!(event_names(&updates), HAPPY);
}

#[tokio::test]
async fn liveness_can_be_run_together_with_the_match() {
    let mut house = TestServer::build().await;
    let seed = FolderSeed { liveness: None, ..sample::liveness_folder(sample::portrait_jpeg()) };
    let folder = house.oz.add_folder(seed);
    let mut request = portrait_request(&folder);
    request.set_liveness_policy(LivenessPolicy::Run);
    let updates = house.run(request).await;
    assert_eq!(event_names(&updates), HAPPY);
    assert_eq!(house.requests_to_oz("POST", "/analyses"), 1);
    let liveness =
        last_match(&updates).result.clone().expect("a result").liveness.expect("liveness");
    assert_eq!(liveness.resolution(), Resolution::Success);
    assert!(liveness.confidence_spoofing.is_some());
    let held = house.oz.folder(&folder).expect("the folder");
    let kinds: Vec<&str> = held.analyses.iter().map(|analysis| analysis.kind).collect();
    assert_eq!(kinds.len(), 2);
    assert!(kinds.contains(&"QUALITY") && kinds.contains(&"BIOMETRY"));
}

#[tokio::test]
async fn progress_is_streamed_on_request() {
    let mut house = TestServer::build().await;
    let mut request = portrait_request(&house.folder());
    request.include_progress = true;
    let updates = house.run(request).await;
    let durable: Vec<_> =
        event_names(&updates).into_iter().filter(|name| *name != "progress").collect();
    assert_eq!(durable, HAPPY);
    let polls = updates.iter().filter_map(|update| match update.event.as_ref()? {
        Event::Progress(progress) => Some((update.sequence, progress.polls)),
        _ => None,
    });
    let polls: Vec<(u64, u64)> = polls.collect();
    assert!(polls.iter().any(|(sequence, polls)| *sequence == 3 && *polls > 0), "{polls:?}");
}

#[tokio::test]
async fn a_match_can_be_created_waited_for_listed_and_erased() {
    let mut house = TestServer::build().await;
    let folder = house.folder();
    let mut request = portrait_request(&folder);
    request.request_id = "order 17".into();
    request.labels = [("branch".to_owned(), "riga".to_owned())].into();
    let created = house.client.create_match(request).await.unwrap().into_inner();
    assert!(created.sequence >= 2, "the photo isn't at Oz when the call returns");

    let id = pb::wait_match_request::Id::RequestId("order 17".into());
    let wait = pb::WaitMatchRequest { id: Some(id), timeout: None };
    let ended = house.client.wait_match(wait).await.unwrap().into_inner();
    assert_eq!(ended.state(), MatchState::Finished);

    house.run(portrait_request(&folder)).await;
    let list = pb::ListMatchesRequest { labels: ended.labels.clone(), ..Default::default() };
    let listed = house.client.list_matches(list).await.unwrap().into_inner();
    assert_eq!(listed.matches, std::slice::from_ref(&ended));
    let all = pb::ListMatchesRequest { page_size: 1, ..Default::default() };
    let page = house.client.list_matches(all.clone()).await.unwrap().into_inner();
    assert_eq!(page.matches.len(), 1);
    assert_ne!(page.matches[0].match_id, ended.match_id, "newest first");
    let next = pb::ListMatchesRequest { page_token: page.next_page_token, ..all };
    let page = house.client.list_matches(next).await.unwrap().into_inner();
    assert_eq!((page.matches, page.next_page_token.as_str()), (vec![ended.clone()], ""));

    let erased = house.client.delete_match(delete(&ended.match_id)).await.expect("it is erased");
    let erased = erased.into_inner();
    assert_eq!(
        (erased.match_id, erased.photo_media_id),
        (ended.match_id.clone(), ended.photo_media_id)
    );
    assert!(erased.delete_time.unwrap().seconds >= ended.end_time.unwrap().seconds);
    let gone = house.client.get_match(get(&ended.match_id)).await.unwrap_err();
    assert_eq!(gone.code(), tonic::Code::NotFound);
}

#[tokio::test]
async fn a_cancelled_match_sends_nothing_more_to_oz() {
    let mut house = TestServer::build().await;
    let folder = house.folder();
    house.oz.script([never_finishing()]);
    let created = house.client.create_match(portrait_request(&folder)).await.unwrap().into_inner();
    house.oz.recorded(|all| all.iter().any(|asked| asked.endpoint == Endpoint::GetAnalysis)).await;

    let id = pb::cancel_match_request::Id::MatchId(created.match_id.clone());
    let cancel = pb::CancelMatchRequest { id: Some(id) };
    let cancelled = house.client.cancel_match(cancel.clone()).await.unwrap().into_inner();
    assert_eq!(cancelled.state(), MatchState::Cancelled);
    let again = house.client.cancel_match(cancel).await.unwrap().into_inner();
    assert_eq!(again, cancelled, "cancelling is safe to repeat");

    // While another match runs to its end, Oz gets no request about the cancelled one.
    let asked = house.oz.record().len();
    house.run(portrait_request(&house.folder())).await;
    let late = house.oz.record().into_iter().skip(asked).filter(|request| {
        request.analyses.iter().any(|analysis| analysis.to_string() == cancelled.analysis_id)
    });
    assert_eq!(late.count(), 0);
}

fn never_finishing() -> Rule {
    Rule {
        name: None,
        when: facematch::simulator::RequestMatch {
            endpoint: Some(Endpoint::StartAnalyses),
            times: Some(1),
            ..Default::default()
        },
        then: Action { never_finish: true, ..Default::default() },
    }
}

/// A scripted outcome, for the table below.
fn outcome(state: &str, resolution: &str, score: Option<f64>) -> Outcome {
    Outcome {
        state: Some(state.into()),
        resolution: Some(resolution.into()),
        min_confidence: score,
        no_score: score.is_none(),
        ..Default::default()
    }
}

#[tokio::test]
async fn an_outcome_without_a_verdict_fails_the_match() {
    let mut house = TestServer::build().await;
    let table = [
        (outcome("FINISHED", "SUCCESS", None), "OZ_INCONCLUSIVE"),
        (outcome("FINISHED", "SUCCESS", Some(1.5)), "OZ_INCONCLUSIVE"),
        (outcome("FINISHED", "MAYBE", Some(0.9)), "OZ_UNKNOWN_STATUS"),
        (outcome("POSTPONED", "SUCCESS", Some(0.9)), "OZ_UNKNOWN_STATUS"),
        (outcome("FAILED", "FAILED", None), "OZ_ANALYSIS_FAILED"),
    ];
    for (outcome, reason) in table {
        house.oz.clear_rules();
        let when = facematch::simulator::RequestMatch {
            endpoint: Some(Endpoint::StartAnalyses),
            ..Default::default()
        };
        let then = Action { outcome: Some(outcome), ..Default::default() };
        house.oz.script([Rule { name: None, when, then }]);
        let updates = house.run(portrait_request(&house.folder())).await;
        let m = last_match(&updates);
        let error = m.error.as_ref().unwrap_or_else(|| panic!("{reason}: {m:?}"));
        assert_eq!((error.reason.as_str(), error.code), (reason, 13));
        assert!(m.result.is_none());
        assert!(error.metadata.contains_key("oz.state"), "Oz's own words are lost");
    }
}
