//! Parses requests. Every violation is collected before any is reported.
//!
//! It deliberately looks at nothing but the request: whether a match exists is for the handler.

use std::{collections::HashMap, str::FromStr, time::Duration};

use bytes::Bytes;
use tonic::Status;

use crate::{
    domain::{
        Digest, FolderId, Format, KeyForm, LivenessPolicy, MatchId, MediaId, PhotoKind,
        PhotoSource, ReferenceKey, RequestId, Spec, State, TenantId, Timeout, photo,
    },
    grpc::{
        convert::time,
        status::{self, Violations},
    },
    pb,
    watch::{Filter, Key},
};

/// The longest timeout of a match.
const MATCH_TIMEOUT_MAX: Duration = Duration::from_hours(24);
/// The longest time that `WaitMatch` may wait.
const WAIT_TIMEOUT_MAX: Duration = Duration::from_mins(10);
/// How long `WaitMatch` waits if the request sets no timeout.
const WAIT_TIMEOUT: Duration = Duration::from_secs(30);
/// The most liveness media that a request may name: ample for the media of one folder.
const LIVENESS_MEDIA_MAX: usize = 8;
/// The most labels of a match, and the most characters of their keys and values.
const LABELS_MAX: usize = 16;
const LABEL_KEY_CHARACTERS_MAX: usize = 64;
const LABEL_VALUE_CHARACTERS_MAX: usize = 256;
/// The most characters of a file's name: no common file system allows more.
const FILE_NAME_CHARACTERS_MAX: usize = 255;
/// The number of matches on a page if the request sets none, and at most.
const PAGE_SIZE: usize = 50;
const PAGE_SIZE_MAX: usize = 1_000;

/// A match request, parsed.
#[derive(Debug)]
pub struct Parsed {
    /// The match that is asked for.
    pub spec: Spec,
    /// The photo's bytes; `None` if the folder or the photo library holds the photo.
    pub content: Option<Bytes>,
    /// Whether the caller wants progress updates.
    pub include_progress: bool,
}

/// How a match request is parsed.
pub struct MatchRequestTerms<D> {
    /// The tenant whose match it becomes.
    pub tenant: TenantId,
    /// The timeout of the match if the request sets none.
    pub default_timeout: Duration,
    /// What the tenant's photo library makes of a key; `None` if the tenant has no library.
    pub key_form: Option<KeyForm>,
    /// Returns the store's digest of a photo.
    pub digest: D,
}

/// Parses a match request.
pub fn match_request(
    request: pb::MatchRequest,
    terms: MatchRequestTerms<impl Fn(&[u8]) -> Digest>,
) -> Result<Parsed, Status> {
    let MatchRequestTerms { tenant, default_timeout, key_form, digest } = terms;
    let mut wrong = Violations::default();
    let request_id = request_id(&mut wrong, &request.request_id);
    let folder_id = required(&mut wrong, "folder_id", &request.folder_id);
    let photo = reference_photo(&mut wrong, request.photo, key_form);
    let timeout = timeout(&mut wrong, request.timeout.as_ref(), default_timeout);
    let liveness_media = liveness_media(&mut wrong, &request.liveness_media_ids, photo.as_ref());
    let liveness_policy = liveness_policy(&mut wrong, request.liveness_policy);
    labels(&mut wrong, &request.labels);
    wrong.check()?;

    let (Some(folder_id), Some(photo)) = (folder_id, photo) else {
        return Err(status::internal("a request without violations lacks a part"));
    };
    let kind = photo.kind;
    let (photo, content) = photo.source.settle(digest)?;
    let spec = Spec {
        tenant,
        request_id,
        folder_id,
        photo,
        kind,
        timeout,
        liveness_media,
        liveness_policy,
        labels: request.labels.into_iter().collect(),
        trace: None,
    };
    Ok(Parsed { spec, content, include_progress: request.include_progress })
}

/// A reference photo whose fields are all valid.
struct ParsedPhoto {
    source: ParsedSource,
    kind: PhotoKind,
}

enum ParsedSource {
    Content(Bytes, Format),
    Library(ReferenceKey),
    NoLibrary,
    FolderMedia(MediaId),
}

impl ParsedSource {
    fn settle(
        self,
        digest: impl Fn(&[u8]) -> Digest,
    ) -> Result<(PhotoSource, Option<Bytes>), Status> {
        match self {
            Self::Content(bytes, format) => {
                let digest = digest(&bytes);
                Ok((PhotoSource::Content { digest, format }, Some(bytes)))
            }
            Self::FolderMedia(id) => Ok((PhotoSource::FolderMedia(id), None)),
            Self::Library(key) => Ok((PhotoSource::Library(key), None)),
            Self::NoLibrary => Err(status::not_available("photo.reference_key")),
        }
    }
}

fn reference_photo(
    wrong: &mut Violations,
    photo: Option<pb::ReferencePhoto>,
    key_form: Option<KeyForm>,
) -> Option<ParsedPhoto> {
    use pb::reference_photo::Source as Wire;
    let Some(photo) = photo else {
        wrong.add("photo", "is required");
        return None;
    };
    if photo.file_name.chars().count() > FILE_NAME_CHARACTERS_MAX {
        wrong.add("photo.file_name", "is over 255 characters");
    }
    let kind = photo_kind(wrong, photo.kind);
    let source = match photo.source {
        None => {
            let needed = "needs exactly one of content, reference_key and folder_media_id";
            wrong.add("photo", needed);
            None
        }
        Some(Wire::Content(bytes)) => {
            content_format(wrong, &bytes).map(|format| ParsedSource::Content(bytes, format))
        }
        Some(Wire::ReferenceKey(key)) => match key_form {
            Some(form) => reference_key(wrong, &key, form).map(ParsedSource::Library),
            None => Some(ParsedSource::NoLibrary),
        },
        Some(Wire::FolderMediaId(id)) => {
            let id = media_id(wrong, "photo.folder_media_id".into(), &id);
            id.map(ParsedSource::FolderMedia)
        }
    };
    Some(ParsedPhoto { source: source?, kind: kind? })
}

fn reference_key(wrong: &mut Violations, key: &str, form: KeyForm) -> Option<ReferenceKey> {
    match ReferenceKey::parse(key, form) {
        Ok(key) => Some(key),
        Err(invalid) => {
            wrong.add("photo.reference_key", invalid.to_string());
            None
        }
    }
}

fn content_format(wrong: &mut Violations, bytes: &[u8]) -> Option<Format> {
    if bytes.len() > photo::BYTES_MAX {
        wrong.photo_too_large();
        return None;
    }
    match photo::inspect(bytes) {
        Ok(format) => Some(format),
        Err(unreadable) => {
            wrong.photo_unreadable(unreadable.to_string());
            None
        }
    }
}

fn photo_kind(wrong: &mut Violations, wire: i32) -> Option<PhotoKind> {
    match pb::PhotoKind::try_from(wire) {
        Ok(pb::PhotoKind::Unspecified | pb::PhotoKind::Selfie) => Some(PhotoKind::Selfie),
        Ok(pb::PhotoKind::IdFront) => Some(PhotoKind::IdFront),
        Err(_) => {
            wrong.add("photo.kind", "is no known kind");
            None
        }
    }
}

fn liveness_policy(wrong: &mut Violations, wire: i32) -> LivenessPolicy {
    match pb::LivenessPolicy::try_from(wire) {
        Ok(pb::LivenessPolicy::Unspecified | pb::LivenessPolicy::Report) => LivenessPolicy::Report,
        Ok(pb::LivenessPolicy::Require) => LivenessPolicy::Require,
        Ok(pb::LivenessPolicy::Run) => LivenessPolicy::Run,
        Err(_) => {
            wrong.add("liveness_policy", "is no known policy");
            LivenessPolicy::Report
        }
    }
}

fn timeout(
    wrong: &mut Violations,
    wire: Option<&prost_types::Duration>,
    default: Duration,
) -> Timeout {
    let Some(wire) = wire else {
        return Timeout { duration: default, named: false };
    };
    // The journal stores microseconds: a shorter timeout would become 0.
    let duration = time::duration(wire).filter(|d| d.as_micros() > 0 && *d <= MATCH_TIMEOUT_MAX);
    if duration.is_none() {
        wrong.add("timeout", "must be more than 0 and at most 24 h");
    }
    let micros = duration.unwrap_or(default).as_micros();
    let micros = u64::try_from(micros).unwrap_or(u64::MAX);
    Timeout { duration: Duration::from_micros(micros), named: true }
}

fn liveness_media(
    wrong: &mut Violations,
    wire: &[String],
    photo: Option<&ParsedPhoto>,
) -> Vec<MediaId> {
    const FIELD: &str = "liveness_media_ids";
    if wire.len() > LIVENESS_MEDIA_MAX {
        wrong.add(FIELD, "has more than 8 ids");
        return Vec::new();
    }
    let parse = |(index, text): (usize, &String)| {
        let field = format!("{FIELD}[{index}]");
        media_id(wrong, field, text)
    };
    let mut ids: Vec<MediaId> = wire.iter().enumerate().filter_map(parse).collect();
    ids.sort_unstable();
    ids.dedup();
    if let Some(ParsedPhoto { source: ParsedSource::FolderMedia(photo), .. }) = photo
        && ids.contains(photo)
    {
        wrong.add(FIELD, "names the photo itself, which always matches");
    }
    ids
}

/// Parses a medium's id, which has to be a UUID.
fn media_id(wrong: &mut Violations, field: String, text: &str) -> Option<MediaId> {
    let id = MatchId::from_str(text).ok().and_then(|uuid| uuid.to_string().parse().ok());
    if id.is_none() {
        wrong.add(field, "must be a UUID");
    }
    id
}

fn labels(wrong: &mut Violations, labels: &HashMap<String, String>) {
    if labels.len() > LABELS_MAX {
        wrong.add("labels", "has more than 16 labels");
    }
    let within =
        |text: &str, max: usize| text.chars().count() <= max && !text.chars().any(char::is_control);
    if labels.keys().any(|key| key.is_empty() || !within(key, LABEL_KEY_CHARACTERS_MAX)) {
        wrong.add("labels", "has a key that is not 1 to 64 characters, without control characters");
    }
    if labels.values().any(|value| !within(value, LABEL_VALUE_CHARACTERS_MAX)) {
        wrong.add("labels", "has a value over 256 characters, or with control characters");
    }
}

fn request_id(wrong: &mut Violations, text: &str) -> Option<RequestId> {
    if text.is_empty() { None } else { required(wrong, "request_id", text) }
}

fn required<T: FromStr<Err: std::fmt::Display>>(
    wrong: &mut Violations,
    field: &str,
    text: &str,
) -> Option<T> {
    if text.is_empty() {
        wrong.add(field, "is required");
        return None;
    }
    match text.parse() {
        Ok(value) => Some(value),
        Err(invalid) => {
            wrong.add(field, format!("{invalid}"));
            None
        }
    }
}

/// The unparsed id of a match, common to the five requests that have this oneof.
pub enum Id {
    /// The server's id.
    Match(String),
    /// The caller's own id.
    Request(String),
}

macro_rules! id_of {
    ($($module:ident),*) => {
        $(impl From<pb::$module::Id> for Id {
            fn from(id: pb::$module::Id) -> Self {
                match id {
                    pb::$module::Id::MatchId(text) => Self::Match(text),
                    pb::$module::Id::RequestId(text) => Self::Request(text),
                }
            }
        })*
    };
}

id_of!(
    get_match_request,
    wait_match_request,
    watch_match_request,
    cancel_match_request,
    delete_match_request
);

/// Parses the id of a match.
pub fn key(wrong: &mut Violations, id: Option<impl Into<Id>>) -> Option<Key> {
    match id.map(Into::into) {
        Some(Id::Match(text)) => required(wrong, "match_id", &text).map(Key::Match),
        Some(Id::Request(text)) => required(wrong, "request_id", &text).map(Key::Request),
        None => {
            wrong.add("match_id", "is required, unless request_id is set");
            None
        }
    }
}

/// Parses a request that holds only the id of a match.
pub fn only_key(id: Option<impl Into<Id>>) -> Result<Key, Status> {
    let mut wrong = Violations::default();
    let key = key(&mut wrong, id);
    wrong.check()?;
    key.ok_or_else(|| status::internal("a request without violations lacks its key"))
}

/// Parses the match to wait for, and how long.
pub fn wait(request: pb::WaitMatchRequest) -> Result<(Key, Duration), Status> {
    let mut wrong = Violations::default();
    let key = key(&mut wrong, request.id);
    let timeout = match &request.timeout {
        None => Some(WAIT_TIMEOUT),
        Some(wire) => time::duration(wire).filter(|timeout| *timeout <= WAIT_TIMEOUT_MAX),
    };
    if timeout.is_none() {
        wrong.add("timeout", "must be from 0 to 10 min");
    }
    wrong.check()?;
    key.zip(timeout).ok_or_else(|| status::internal("a request without violations lacks a part"))
}

/// Parses the filter and the page size of a list.
pub fn list(request: &pb::ListMatchesRequest) -> Result<(Filter, usize), Status> {
    let mut wrong = Violations::default();
    let mut filter = filter(&mut wrong, &request.folder_id, &request.labels);
    filter.states = states(&mut wrong, &request.states);
    filter.created_after = instant(&mut wrong, "created_after", request.created_after.as_ref());
    filter.created_before = instant(&mut wrong, "created_before", request.created_before.as_ref());
    let size = match usize::try_from(request.page_size) {
        Ok(0) => PAGE_SIZE,
        Ok(size) => size.min(PAGE_SIZE_MAX),
        Err(_) => {
            wrong.add("page_size", "must not be negative");
            PAGE_SIZE
        }
    };
    wrong.check()?;
    Ok((filter, size))
}

/// Parses the filter of the matches to watch.
pub fn watch_all(request: &pb::WatchMatchesRequest) -> Result<Filter, Status> {
    let mut wrong = Violations::default();
    let filter = filter(&mut wrong, &request.folder_id, &request.labels);
    wrong.check()?;
    Ok(filter)
}

fn filter(wrong: &mut Violations, folder: &str, wanted: &HashMap<String, String>) -> Filter {
    labels(wrong, wanted);
    let folder_id: Option<FolderId> = match folder {
        "" => None,
        text => required(wrong, "folder_id", text),
    };
    let labels = wanted.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    Filter { folder_id, labels, ..Filter::default() }
}

/// Parses the states of a filter, without repetitions.
fn states(wrong: &mut Violations, wire: &[i32]) -> Vec<State> {
    let mut states = Vec::new();
    for (index, number) in wire.iter().enumerate() {
        match state(*number) {
            Some(state) if states.contains(&state) => {}
            Some(state) => states.push(state),
            None => wrong.add(format!("states[{index}]"), "is no known state"),
        }
    }
    states
}

fn state(wire: i32) -> Option<State> {
    match pb::MatchState::try_from(wire) {
        Ok(pb::MatchState::Accepted) => Some(State::Accepted),
        Ok(pb::MatchState::Uploaded) => Some(State::Uploaded),
        Ok(pb::MatchState::Processing) => Some(State::Processing),
        Ok(pb::MatchState::Finished) => Some(State::Finished),
        Ok(pb::MatchState::Failed) => Some(State::Failed),
        Ok(pb::MatchState::Cancelled) => Some(State::Cancelled),
        Ok(pb::MatchState::Unspecified) | Err(_) => None,
    }
}

fn instant(
    wrong: &mut Violations,
    field: &str,
    wire: Option<&prost_types::Timestamp>,
) -> Option<crate::domain::Timestamp> {
    let time = time::timestamp(wire?);
    if time.is_none() {
        wrong.add(field, "is no time of the years 1 to 9999");
    }
    time
}
