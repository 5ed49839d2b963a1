//! Bad input: each gets an error that names the field, asks nothing of Oz, leaves nothing behind,
//! and harms nobody else.

use bytes::Bytes;
use facematch::{
    pb::{self, MatchRequest, ReferencePhoto, reference_photo::Source},
    simulator::sample,
};
use prost_types::Duration;
use tonic::Code;

use crate::{
    canary::FILE_NAME,
    support::{House, Refusal, last, portrait_request, request},
};

/// The most bytes of a photo.
const PHOTO_BYTES_MAX: usize = 10 * 1024 * 1024;
/// What is no UUID, though some would like to see it in a URL.
const NO_UUIDS: [&str; 12] = [
    "..",
    "../folders",
    "a/b",
    "%2f",
    "%2e%2e%2f7e782ba3-94fa-4b34-94a0-c1e2f8c3b5b1",
    "x\r\nHost: elsewhere",
    "http://elsewhere/",
    "7e782ba394fa4b3494a0c1e2f8c3b5b1",
    "{7e782ba3-94fa-4b34-94a0-c1e2f8c3b5b1}",
    "7e782ba3-94fa-4b34-94a0-c1e2f8c3b5b1\0",
    "7e782ba3-94fa-4b34-94a0-c1e2f8c3b5bб",
    "Папка Анны",
];

type Change = Box<dyn FnOnce(&mut MatchRequest)>;

fn change(change: impl FnOnce(&mut MatchRequest) + 'static) -> Change {
    Box::new(change)
}

/// A file's name of so many characters.
fn long_name(characters: usize) -> String {
    format!("{FILE_NAME}{}", "ж".repeat(characters - FILE_NAME.len()))
}

fn photo(request: &mut MatchRequest) -> &mut ReferencePhoto {
    request.photo.as_mut().expect("a photo")
}

fn duration(seconds: i64, nanos: i32) -> Duration {
    Duration { seconds, nanos }
}

fn label(key: &str, value: &str) -> Change {
    let (key, value) = (key.to_owned(), value.to_owned());
    change(|request| request.labels = [(key, value)].into())
}

/// Each changes one thing of a good request, and names the field that it makes wrong.
fn wrong_fields() -> Vec<(&'static str, Change)> {
    let id = |text: &str| {
        let text = text.to_owned();
        change(|request| request.request_id = text)
    };
    let timeout =
        |seconds, nanos| change(move |request| request.timeout = Some(duration(seconds, nanos)));
    let mut all = vec![
        ("folder_id", change(|request| request.folder_id.clear())),
        ("photo", change(|request| request.photo = None)),
        ("photo", change(|request| photo(request).source = None)),
        ("photo.kind", change(|request| photo(request).kind = 99)),
        ("photo.kind", change(|request| photo(request).kind = -1)),
        ("photo.file_name", change(|request| photo(request).file_name = long_name(256))),
        (
            "photo.folder_media_id",
            change(|request| {
                photo(request).source = Some(Source::FolderMediaId("../media".into()));
            }),
        ),
        ("liveness_policy", change(|request| request.liveness_policy = 4)),
        (
            "liveness_media_ids",
            change(|request| {
                request.liveness_media_ids = vec![uuid(); 9];
            }),
        ),
        (
            "liveness_media_ids[1]",
            change(|request| {
                request.liveness_media_ids = vec![uuid(), "a/b".into()];
            }),
        ),
        (
            "liveness_media_ids",
            change(|request| {
                photo(request).source = Some(Source::FolderMediaId(uuid().to_uppercase()));
                request.liveness_media_ids = vec![uuid()];
            }),
        ),
        (
            "labels",
            change(|request| {
                request.labels = (0..17).map(|n| (n.to_string(), String::new())).collect();
            }),
        ),
        ("labels", label("", "a key is needed")),
        ("labels", label(&"k".repeat(65), "")),
        ("labels", label("a\nb", "")),
        ("labels", label("key", &"v".repeat(257))),
        ("labels", label("key", "a\u{1b}[31mb")),
        ("request_id", id(&"x".repeat(129))),
        ("request_id", id("a\r\nb")),
        ("request_id", id("заказ 17")),
        ("request_id", id("\u{7f}")),
        ("timeout", timeout(0, 0)),
        ("timeout", timeout(-1, 0)),
        ("timeout", timeout(0, -1)),
        ("timeout", timeout(1, -1)),
        ("timeout", timeout(-1, 1)),
        ("timeout", timeout(1, 1_000_000_000)),
        ("timeout", timeout(24 * 3600, 1_000)),
        ("timeout", timeout(i64::MAX, i32::MAX)),
        ("timeout", timeout(i64::MIN, i32::MIN)),
    ];
    let folder = |text: &'static str| change(move |request| request.folder_id = text.into());
    all.extend(NO_UUIDS.map(|text| ("folder_id", folder(text))));
    all
}

fn uuid() -> String {
    "7e782ba3-94fa-4b34-94a0-c1e2f8c3b5b1".into()
}

#[tokio::test]
async fn every_wrong_field_is_named_and_nothing_is_left_behind() {
    let mut house = House::build().await;
    let folder = house.folder();
    for (row, (field, change)) in wrong_fields().into_iter().enumerate() {
        let mut request = portrait_request(&folder);
        change(&mut request);
        let refusal = house.refused(request.clone()).await;
        refusal.assert_fields("FIELD_INVALID", &[field]);
        assert!(!refusal.says_when_to_retry(), "the same again is as wrong");
        let created = house.client.create_match(request).await.expect_err("it is refused");
        Refusal::of(created).assert_fields("FIELD_INVALID", &[field]);
        house.assert_untouched(&format!("row {row}, {field}")).await;
    }
    house.assert_works().await;
}

#[tokio::test]
async fn all_violations_are_told_at_once() {
    let mut house = House::build().await;
    let refusal = house.refused(MatchRequest::default()).await;
    refusal.assert_fields("FIELD_INVALID", &["folder_id", "photo"]);

    let mut request = request("%2f", Bytes::from_static(b"hello"));
    request.request_id = "\n".into();
    photo(&mut request).kind = 7;
    photo(&mut request).file_name = long_name(300);
    request.timeout = Some(duration(-5, 0));
    request.liveness_media_ids = vec!["a".into(), uuid(), "b".into()];
    request.liveness_policy = 9;
    request.labels = (0..20).map(|n| (format!("\n{n}"), "\0".into())).collect();
    let refusal = house.refused(request).await;
    let fields = [
        "request_id",
        "folder_id",
        "photo.file_name",
        "photo.kind",
        "photo.content",
        "timeout",
        "liveness_media_ids[0]",
        "liveness_media_ids[2]",
        "liveness_policy",
        "labels",
        "labels",
        "labels",
    ];
    refusal.assert_fields("FIELD_INVALID", &fields);
    house.assert_untouched("everything wrong").await;
}

#[tokio::test]
async fn what_is_at_its_limit_is_taken() {
    let mut house = House::build().await;
    let mut request = portrait_request(&house.folder().to_uppercase());
    request.request_id = "~".repeat(128);
    photo(&mut request).file_name = long_name(255);
    request.timeout = Some(duration(24 * 3600, 0));
    let key = |n: u32| format!("{n:02}{}", "ключ".repeat(15)) + "ab";
    request.labels = (0..16).map(|n| (key(n), "ж".repeat(256))).collect();
    assert!(request.labels.keys().all(|key| key.chars().count() == 64));
    let updates = house.run(request.clone()).await;
    let m = last(&updates);
    assert_eq!(m.folder_id, request.folder_id.to_lowercase());
    assert_eq!(m.labels, request.labels);
    assert_eq!(m.state(), pb::MatchState::Finished);
}

/// A JPEG with this much EXIF, in as many segments as it takes.
fn with_exif(jpeg: &[u8], bytes: usize) -> Vec<u8> {
    const SEGMENT_BYTES_MAX: usize = 0xffff - 2;
    let exif = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\0\0\0\0\0".to_vec();
    let payload: Vec<u8> = exif.into_iter().chain(std::iter::repeat(0xd9)).take(bytes).collect();
    let segments = payload.chunks(SEGMENT_BYTES_MAX).flat_map(|part| {
        let length = u16::try_from(part.len() + 2).expect("a segment's length").to_be_bytes();
        [&[0xff, 0xe1], &length[..], part].concat()
    });
    let (start, rest) = jpeg.split_at(2);
    start.iter().copied().chain(segments).chain(rest.iter().copied()).collect()
}

/// The portrait with trailing bytes up to a size.
fn padded(bytes: usize) -> Bytes {
    let mut photo = sample::portrait_jpeg().to_vec();
    photo.resize(bytes, 0);
    photo.into()
}

fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
    png.extend(width.to_be_bytes());
    png.extend(height.to_be_bytes());
    png.extend([8, 2, 0, 0, 0, 0, 0, 0, 0]);
    png
}

#[tokio::test]
async fn a_photo_that_cannot_be_read_says_why() {
    let mut house = House::build().await;
    let folder = house.folder();
    let (jpeg, png) = (sample::portrait_jpeg(), sample::portrait_png());
    let table: Vec<(&str, Vec<u8>, &str)> = vec![
        ("empty", vec![], "is empty"),
        ("one byte", vec![0xff], "neither a JPEG nor a PNG"),
        ("text", b"hello".to_vec(), "neither a JPEG nor a PNG"),
        ("a PDF", b"%PDF-1.7\n%\xff\xd8\xff".to_vec(), "neither a JPEG nor a PNG"),
        ("an SVG", b"<svg xmlns='http://www.w3.org/2000/svg'/>".to_vec(), "neither a JPEG"),
        ("a HEIC", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic".to_vec(), "HEIC"),
        ("a bomb", png_header(100_000, 100_000), "100000 x 100000 pixels"),
        ("no pixels", png_header(0, 10), "no pixels"),
        ("half a JPEG", jpeg[..jpeg.len() / 2].to_vec(), "cut off"),
        ("a JPEG without its end", jpeg[..jpeg.len() - 2].to_vec(), "cut off"),
        ("half a PNG", png[..png.len() / 2].to_vec(), "cut off"),
        ("EXIF, then nothing", with_exif(&jpeg[..2], 1_000_000), "cut off"),
    ];
    for (what, bytes, why) in table {
        let refusal = house.refused(request(&folder, bytes.into())).await;
        refusal.assert_fields("PHOTO_UNREADABLE", &["photo.content"]);
        assert!(refusal.message.contains(why), "{what}: {}", refusal.message);
        house.assert_untouched(what).await;
    }
    house.assert_works().await;
}

#[tokio::test]
async fn a_photo_that_is_too_large_is_told_so_whatever_its_size() {
    let mut house = House::build().await;
    let folder = house.folder();
    for bytes in [PHOTO_BYTES_MAX + 1, PHOTO_BYTES_MAX + 300 * 1024, 3 * PHOTO_BYTES_MAX] {
        let refusal = house.refused(request(&folder, padded(bytes))).await;
        refusal.assert_fields("PHOTO_TOO_LARGE", &["photo.content"]);
        let created = house.client.create_match(request(&folder, padded(bytes))).await;
        let refusal = Refusal::of(created.expect_err("it is refused"));
        refusal.assert_fields("PHOTO_TOO_LARGE", &["photo.content"]);
        house.assert_untouched(&format!("{bytes} bytes")).await;
    }
    house.assert_works().await;
}

#[tokio::test]
async fn a_photo_of_just_the_size_and_one_with_much_exif_are_taken() {
    let mut house = House::build().await;
    let folder = house.folder();
    let exif: Bytes = with_exif(sample::portrait_jpeg(), 1_000_000).into();
    for photo in [padded(PHOTO_BYTES_MAX), exif] {
        let bytes = photo.len();
        let updates = house.run(request(&folder, photo)).await;
        assert_eq!(last(&updates).state(), pb::MatchState::Finished, "{bytes} bytes");
        house.assert_empty_handed("a large photo").await;
    }
}

#[tokio::test]
async fn a_photo_from_a_library_is_not_available_yet() {
    let mut house = House::build().await;
    let mut request = portrait_request(&house.folder());
    photo(&mut request).source = Some(Source::ReferenceKey("customer 17".into()));
    let refusal = house.refused(request.clone()).await;
    refusal.assert(Code::Unimplemented, "NOT_AVAILABLE");
    house.assert_untouched("a reference key").await;

    request.folder_id = "..".into();
    house.refused(request).await.assert_fields("FIELD_INVALID", &["folder_id"]);
}
