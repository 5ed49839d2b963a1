//! Turns the runner's wishes into requests.

use std::time::Duration;

use uuid::Uuid;

use crate::cli::call::{
    conformance::command::{IdWish, KindWish, MatchWish, OnExpired, PhotoWish, PolicyWish},
    pb::{
        CancelMatchRequest, DeleteMatchRequest, GetMatchRequest, LivenessPolicy, MatchRequest,
        PhotoKind, ReferencePhoto, WatchMatchRequest, cancel_match_request, delete_match_request,
        get_match_request, reference_photo::Source, watch_match_request,
    },
    photo,
};

/// The request for a match, with the photo that its file holds; or why there is none.
pub async fn of_match(wish: MatchWish) -> Result<MatchRequest, String> {
    let PhotoWish { path, reference_key, folder_media_id, .. } = wish.photo;
    let source = match path {
        Some(path) => {
            // The command names the file to its user. A driver's lines must not.
            let content = photo::read(&path).await;
            Some(Source::Content(content.map_err(|_| "the file is no photo to send".to_owned())?))
        }
        None => reference_key
            .map(Source::ReferenceKey)
            .or_else(|| folder_media_id.map(Source::FolderMediaId)),
    };
    let kind = match wish.kind {
        None => PhotoKind::Unspecified,
        Some(KindWish::Selfie) => PhotoKind::Selfie,
        Some(KindWish::IdFront) => PhotoKind::IdFront,
    };
    let policy = match wish.liveness_policy {
        None => LivenessPolicy::Unspecified,
        Some(PolicyWish::Report) => LivenessPolicy::Report,
        Some(PolicyWish::Require) => LivenessPolicy::Require,
        Some(PolicyWish::Run) => LivenessPolicy::Run,
    };
    let timeout = wish.timeout_ms.map(|ms| Duration::from_millis(ms).try_into());
    Ok(MatchRequest {
        request_id: wish.request_id.unwrap_or_else(|| Uuid::now_v7().to_string()),
        folder_id: wish.folder_id,
        photo: Some(ReferencePhoto { source, kind: kind.into(), ..Default::default() }),
        timeout: timeout.transpose().map_err(|_| "timeout_ms: too long".to_owned())?,
        liveness_media_ids: wish.liveness_media_ids,
        liveness_policy: policy.into(),
        labels: wish.labels.into_iter().collect(),
        include_progress: wish.include_progress.unwrap_or_default(),
    })
}

/// The request to watch a match. What comes before the updates is not part of it.
pub fn of_watch(id: Option<IdWish>, include_progress: bool) -> WatchMatchRequest {
    let id = id.map(|id| match id {
        IdWish::MatchId(id) => watch_match_request::Id::MatchId(id),
        IdWish::RequestId(id) => watch_match_request::Id::RequestId(id),
    });
    WatchMatchRequest { id, after_sequence: 0, include_progress }
}

/// The request for a match's state.
pub fn of_get(id: Option<IdWish>) -> GetMatchRequest {
    let id = id.map(|id| match id {
        IdWish::MatchId(id) => get_match_request::Id::MatchId(id),
        IdWish::RequestId(id) => get_match_request::Id::RequestId(id),
    });
    GetMatchRequest { id }
}

/// The request to cancel a match.
pub fn of_cancel(id: Option<IdWish>) -> CancelMatchRequest {
    let id = id.map(|id| match id {
        IdWish::MatchId(id) => cancel_match_request::Id::MatchId(id),
        IdWish::RequestId(id) => cancel_match_request::Id::RequestId(id),
    });
    CancelMatchRequest { id }
}

/// The request to erase a match.
pub fn of_delete(id: Option<IdWish>) -> DeleteMatchRequest {
    let id = id.map(|id| match id {
        IdWish::MatchId(id) => delete_match_request::Id::MatchId(id),
        IdWish::RequestId(id) => delete_match_request::Id::RequestId(id),
    });
    DeleteMatchRequest { id }
}

/// The token to begin with once the present one has expired.
pub fn once_expired(policy: Option<OnExpired>) -> Option<String> {
    match policy {
        None | Some(OnExpired::Raise) => None,
        Some(OnExpired::Earliest) => Some("earliest".to_owned()),
        Some(OnExpired::Now) => Some(String::new()),
    }
}
