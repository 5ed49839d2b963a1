//! Match requests with invalid fields, other than the photo's bytes.

use facematch::pb::{MatchRequest, ReferencePhoto, reference_photo::Source};
use prost::Message;
use prost_types::Duration;
use tonic::Code;

use super::{Case, Expected, framed, long_name, uuid};
use crate::support::portrait_request;

/// Texts that are no UUID, most of them attempts to inject into a URL.
pub const NO_UUIDS: [&str; 14] = [
    "..",
    "../folders",
    "/",
    "a/b",
    "%2f",
    "%2e%2e%2f7e782ba3-94fa-4b34-94a0-c1e2f8c3b5b1",
    "x\r\nHost: elsewhere",
    "\r\n",
    "http://elsewhere/",
    "7e782ba394fa4b3494a0c1e2f8c3b5b1",
    "{7e782ba3-94fa-4b34-94a0-c1e2f8c3b5b1}",
    "7e782ba3-94fa-4b34-94a0-c1e2f8c3b5b1\0",
    "7e782ba3-94fa-4b34-94a0-c1e2f8c3b5bб",
    "Папка Анны",
];

/// Placeholder in a request for invalid UTF-8 of the same length.
const STAND_IN: &str = "@@@@";
const NO_UTF8: [&[u8; 4]; 3] = [b"\xff\xfe\xfd\xfc", b"abc\xc3", b"a\xed\xa0\x80"];

type Change = Box<dyn Fn(&mut MatchRequest)>;

fn change(change: impl Fn(&mut MatchRequest) + 'static) -> Change {
    Box::new(change)
}

fn photo(request: &mut MatchRequest) -> &mut ReferencePhoto {
    request.photo.get_or_insert_default()
}

fn label(key: &str, value: &str) -> Change {
    let (key, value) = (key.to_owned(), value.to_owned());
    change(move |request| request.labels = [(key.clone(), value.clone())].into())
}

/// A valid request with a change, sent by both methods that begin a match.
fn both(name: &str, change: &dyn Fn(&mut MatchRequest), expected: fn() -> Expected) -> [Case; 2] {
    let mut request = portrait_request(&uuid());
    change(&mut request);
    ["RunMatch", "CreateMatch"].map(|rpc| Case::request(name, rpc, &request, expected()))
}

/// All rows of this file.
pub fn cases() -> Vec<Case> {
    let named = wrong_fields().into_iter().flat_map(|(field, name, change)| {
        let mut request = portrait_request(&uuid());
        change(&mut request);
        ["RunMatch", "CreateMatch"]
            .map(|rpc| Case::request(name.clone(), rpc, &request, Expected::field(field)))
    });
    let many = both("no field at all", &|request| *request = MatchRequest::default(), || {
        Expected::fields(&["folder_id", "photo"])
    });
    let library = both("a photo from a library", &from_a_library, || {
        Expected::Told(Code::Unimplemented, "NOT_AVAILABLE")
    });
    let both_wrong = |request: &mut MatchRequest| {
        from_a_library(request);
        request.folder_id = "..".into();
    };
    let library_and_more =
        both("a library and a wrong folder", &both_wrong, || Expected::field("folder_id"));
    let everything = both("everything", &everything_wrong, || {
        Expected::fields(&[
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
        ])
    });
    let others = [many, library, library_and_more, everything].into_iter().flatten();
    named.chain(others).chain(no_utf8()).collect()
}

fn from_a_library(request: &mut MatchRequest) {
    photo(request).source = Some(Source::ReferenceKey("customer 17".into()));
}

fn everything_wrong(request: &mut MatchRequest) {
    request.folder_id = "%2f".into();
    request.request_id = "\n".into();
    let photo = photo(request);
    photo.source = Some(Source::Content("hello".into()));
    photo.kind = 7;
    photo.file_name = long_name(300);
    request.timeout = Some(Duration { seconds: -5, nanos: 0 });
    request.liveness_media_ids = vec!["a".into(), uuid(), "b".into()];
    request.liveness_policy = 9;
    request.labels = (0..20).map(|n| (format!("\n{n}"), "\0".into())).collect();
}

/// Changes to a valid request that each make one field invalid: the field, a name, the change.
fn wrong_fields() -> Vec<(&'static str, String, Change)> {
    let mut all = wrong_ids();
    all.extend(wrong_photos());
    all.extend(wrong_labels());
    all.extend(wrong_timeouts());
    all.push((
        "liveness_policy",
        "an unknown policy".into(),
        change(|request| request.liveness_policy = 4),
    ));
    all
}

fn wrong_ids() -> Vec<(&'static str, String, Change)> {
    let request_ids = ["a\r\nb", "заказ 17", "\u{7f}", "\0", "é", &"x".repeat(129)].map(|text| {
        let id = text.to_owned();
        let changed = change(move |request| request.request_id.clone_from(&id));
        ("request_id", format!("request_id {text:?}"), changed)
    });
    let folders = NO_UUIDS.into_iter().chain([""]).map(|text| {
        let changed = change(move |request| request.folder_id = text.into());
        ("folder_id", format!("folder_id {text:?}"), changed)
    });
    let long = ("folder_id", "a folder_id of 50,000 letters".to_owned(), {
        change(|request| request.folder_id = "f".repeat(50_000))
    });
    let media = |field, name: &str, ids: Vec<String>| {
        let changed = change(move |request| request.liveness_media_ids.clone_from(&ids));
        (field, name.to_owned(), changed)
    };
    let media = [
        media("liveness_media_ids", "nine liveness media", vec![uuid(); 9]),
        media("liveness_media_ids", "30,000 liveness media", vec![String::new(); 30_000]),
        // Over the size limit of a request without its photo: refused before it is decoded.
        media("request", "40,000 liveness media", vec![String::new(); 40_000]),
        media("request", "five million liveness media", vec![String::new(); 5_000_000]),
        media("liveness_media_ids[1]", "a path for a medium", vec![uuid(), "a/b".into()]),
        media("liveness_media_ids[0]", "a liveness medium without a name", vec![String::new()]),
    ];
    request_ids.into_iter().chain(folders).chain([long]).chain(media).collect()
}

fn wrong_photos() -> Vec<(&'static str, String, Change)> {
    let row = |field, name: &str, change| (field, name.to_owned(), change);
    let mut all = vec![
        row("photo", "no photo", change(|request| request.photo = None)),
        row("photo", "a photo without a source", change(|request| photo(request).source = None)),
        row("photo.kind", "an unknown kind", change(|request| photo(request).kind = 99)),
        row("photo.kind", "a negative kind", change(|request| photo(request).kind = -1)),
        row("photo.file_name", "a long file name", {
            change(|request| photo(request).file_name = long_name(256))
        }),
        row("liveness_media_ids", "a photo against itself", {
            change(|request| {
                photo(request).source = Some(Source::FolderMediaId(uuid().to_uppercase()));
                request.liveness_media_ids = vec![uuid()];
            })
        }),
    ];
    all.extend(NO_UUIDS.into_iter().chain([""]).map(|text| {
        let changed = change(move |request| {
            photo(request).source = Some(Source::FolderMediaId(text.into()));
        });
        ("photo.folder_media_id", format!("folder_media_id {text:?}"), changed)
    }));
    all
}

fn wrong_labels() -> Vec<(&'static str, String, Change)> {
    let count = |count: u32| {
        change(move |request| {
            request.labels = (0..count).map(|n| (n.to_string(), String::new())).collect();
        })
    };
    [
        ("17 labels", count(17)),
        ("3,000 labels", count(3_000)),
        ("a label without a key", label("", "a key is needed")),
        ("a long key", label(&"k".repeat(65), "")),
        ("a long key of another alphabet", label(&"ж".repeat(65), "")),
        ("a line break in a key", label("a\nb", "")),
        ("a long value", label("key", &"v".repeat(257))),
        ("a terminal's escape in a value", label("key", "a\u{1b}[31mb")),
        ("a control character beyond ASCII in a value", label("key", "a\u{9b}31mb")),
        ("NUL in a value", label("key", "\0")),
    ]
    .map(|(name, change)| ("labels", name.to_owned(), change))
    .into()
}

fn wrong_timeouts() -> Vec<(&'static str, String, Change)> {
    [
        (0, 0),
        (-1, 0),
        (0, -1),
        (1, -1),
        (-1, 1),
        (0, 999),
        (1, 1_000_000_000),
        (24 * 3600, 1_000),
        (315_576_000_000, 0),
        (i64::MAX, 0),
        (i64::MAX, i32::MAX),
        (i64::MIN, i32::MIN),
    ]
    .map(|(seconds, nanos)| {
        let changed = change(move |request| request.timeout = Some(Duration { seconds, nanos }));
        ("timeout", format!("a timeout of {seconds} s and {nanos} ns"), changed)
    })
    .into()
}

/// Invalid UTF-8 in every string field of a request.
fn no_utf8() -> impl Iterator<Item = Case> {
    let source = |source: fn(String) -> Source| {
        change(move |request| photo(request).source = Some(source(STAND_IN.into())))
    };
    let places = [
        ("request_id", change(|request| request.request_id = STAND_IN.into())),
        ("folder_id", change(|request| request.folder_id = STAND_IN.into())),
        ("photo.file_name", change(|request| photo(request).file_name = STAND_IN.into())),
        ("photo.reference_key", source(Source::ReferenceKey)),
        ("photo.folder_media_id", source(Source::FolderMediaId)),
        (
            "liveness_media_ids",
            change(|request| request.liveness_media_ids = vec![STAND_IN.into()]),
        ),
        ("a label's key", label(STAND_IN, "")),
        ("a label's value", label("key", STAND_IN)),
    ];
    places.into_iter().flat_map(|(place, change)| {
        let mut request = portrait_request(&uuid());
        change(&mut request);
        ["RunMatch", "CreateMatch"]
            .into_iter()
            .flat_map(move |rpc| no_utf8_in(place, rpc, &request))
    })
}

/// Rows that replace the placeholder in a request with invalid UTF-8.
pub fn no_utf8_in(place: &str, rpc: &'static str, request: &impl Message) -> Vec<Case> {
    let sound = request.encode_to_vec();
    let at = sound.windows(STAND_IN.len()).position(|bytes| bytes == STAND_IN.as_bytes());
    let at = at.expect("the request has the placeholder");
    let spoilt = |bytes: &[u8; 4]| {
        let mut message = sound.clone();
        message[at..at + bytes.len()].copy_from_slice(bytes);
        framed(&message)
    };
    let case = |bytes| {
        let name = format!("{place} with invalid UTF-8, {bytes:x?}");
        Case::call(name, rpc, vec![spoilt(bytes)], Expected::Untold(Code::InvalidArgument))
    };
    NO_UTF8.map(case).into()
}

/// Like [`no_utf8_in`], for a request built around a text.
pub fn no_utf8_where<M: Message>(
    place: &str,
    rpc: &'static str,
    request: impl Fn(String) -> M,
) -> Vec<Case> {
    no_utf8_in(place, rpc, &request(STAND_IN.into()))
}
