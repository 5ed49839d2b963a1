//! The nine calls of the service.
//!
//! Each one parses its request, hands it to the worker or the watch, and writes the answer. None
//! decides anything itself.

use std::{future::Future, time::Duration};

use bytes::Bytes;
use futures_util::stream;
use prost::Message as _;
use tonic::{Request, Response, Status};

use crate::{
    access::Grant,
    domain::{CreatorTrace, Match, Sequence, Spec, TenantId},
    grpc::{
        Config,
        admission::ReceivedWithPhoto,
        call_log::{self, CallRecord},
        convert::{
            request::{self, MatchRequestTerms},
            update,
        },
        encoded::{Encoded, server::face_match_server::FaceMatch},
        status,
        update_body::{self, HandedOver, Updates},
    },
    pb,
    watch::{Ended, Key, Update, Watch},
    worker::{CancelledAs, Deleted, Refused, Worker, photo_memory::Photo},
};

/// The most bytes of matches on a page. Clients accept messages of 4 MiB by default; a thousand
/// matches with long labels would take 20 MiB. One match takes 30 KB at most.
const PAGE_BYTES_MAX: usize = 3 * 1024 * 1024;

/// The implementation of the FaceMatch service.
pub struct Service {
    config: Config,
    worker: Worker,
    watch: Watch,
}

impl Service {
    /// Builds the service over the worker, which drives matches, and the watch, which shows them.
    pub const fn new(config: Config, worker: Worker, watch: Watch) -> Self {
        Self { config, worker, watch }
    }

    /// Admits a match, or finds the match that the request repeats. Also returns whether the caller
    /// wants progress updates.
    async fn admit(&self, request: Request<pb::MatchRequest>) -> Result<(Match, bool), Status> {
        let received =
            request.extensions().get::<ReceivedWithPhoto>().and_then(ReceivedWithPhoto::take);
        let (record, tenant) = (CallRecord::of(&request), tenant(&request)?);
        let trace = creator_trace(&request, &record);
        let (message, reservation) =
            received.ok_or_else(|| status::internal("a call without a received request"))?;
        let message_bytes = message.len();
        let request = pb::MatchRequest::decode(message)
            .map_err(|failure| status::undecodable(&failure.to_string()))?;
        record.names_request(&request.request_id);
        let terms = MatchRequestTerms {
            tenant: tenant.clone(),
            default_timeout: self.config.match_timeout,
            key_form: self.worker.key_form(&tenant),
            digest: |photo: &[u8]| self.config.digest_key.digest(photo),
        };
        let parsed = request::match_request(request, terms)?;
        let content = parsed.content.map(|content| without_message(content, message_bytes));
        let photo = content.map(|content| Photo::new(content, reservation));
        let spec = Spec { trace, ..parsed.spec };
        let admitted = self.worker.admit(spec, photo).await;
        let m = admitted.map_err(|refused| {
            if let Refused::Reused { match_id, .. } = &refused {
                record.names_match(*match_id);
            }
            status::refused(refused, &tenant)
        })?;
        record.found(&m);
        Ok((m, parsed.include_progress))
    }

    async fn find(
        &self,
        tenant: &TenantId,
        key: &Key,
        record: &CallRecord,
    ) -> Result<Match, Status> {
        record.names(key);
        let found = self.watch.find(tenant, key).await;
        let m = found.map_err(|ended| status::ended(ended, &name(key)))?;
        record.found(&m);
        Ok(m)
    }

    /// Answers with the stream of one match's updates. `what` names the match in errors.
    fn stream(
        &self,
        what: String,
        followed: Result<crate::watch::Follow, Ended>,
        record: CallRecord,
    ) -> Result<Response<HandedOver>, Status> {
        let follow = followed.map_err(|ended| status::ended(ended, &what))?;
        let next = |mut follow: crate::watch::Follow| async move {
            let next = follow.next().await;
            (next, follow)
        };
        Ok(update_body::hand_over(updates(self.watch.clone(), follow, what, record, next)))
    }

    async fn wait(
        &self,
        m: Match,
        timeout: Duration,
        done: impl Fn(&Match) -> bool + Send,
    ) -> Result<Response<pb::Match>, Status> {
        let what = m.id.to_string();
        let waited = self.watch.wait(m, timeout, done).await;
        let m = waited.map_err(|ended| status::ended(ended, &what))?;
        Ok(Response::new(update::snapshot(&m)))
    }
}

/// The tenant for whom a call is made. Admission control has put its grant into the request; a call
/// without one must not reach a match.
fn tenant<T>(request: &Request<T>) -> Result<TenantId, Status> {
    let grant = request.extensions().get::<Grant>();
    grant
        .map(|grant| grant.tenant().clone())
        .ok_or_else(|| status::internal("a call without a grant"))
}

/// The photo, which is a part of its message, copied out of it if much else is in there: fields that
/// are unknown or were given again. They would stay in memory as long as the photo, and photo memory
/// counts the photo alone.
fn without_message(content: Bytes, message_bytes: usize) -> Bytes {
    let beside = message_bytes.saturating_sub(content.len());
    if beside > content.len() / 8 { Bytes::copy_from_slice(&content) } else { content }
}

/// The trace of a call that creates a match. The caller's `tracestate` belongs to the caller's own
/// context: it isn't passed on beside the context of a span of ours.
fn creator_trace<T>(request: &Request<T>, record: &CallRecord) -> Option<CreatorTrace> {
    let context = record.trace_context()?;
    let state = match record.trace().has_span() {
        true => None,
        false => call_log::trace_state(request.metadata().as_ref()),
    };
    Some(CreatorTrace { context, state })
}

/// A stream that takes the next update only when the transport has room for it, and buffers none.
fn updates<F, N, Next>(
    watch: Watch,
    follow: F,
    what: String,
    record: CallRecord,
    next: Next,
) -> Updates
where
    F: Send + 'static,
    Next: Fn(F) -> N + Send + Copy + 'static,
    N: Future<Output = (Option<Result<Update, Ended>>, F)> + Send,
{
    let with = (watch, follow, what, record);
    let shown = stream::unfold(with, move |(watch, follow, what, record)| async move {
        let (update, follow) = next(follow).await;
        let shown = match update? {
            Ok(update) => {
                if let Update::Event(entry) = &update {
                    record.shows(entry.recorded.position);
                }
                Ok(Encoded::shown(&watch, &update))
            }
            Err(ended) => {
                let status = status::ended(ended, &what);
                record.broke_off(&status);
                Err(status)
            }
        };
        Some((shown, (watch, follow, what, record)))
    });
    Box::pin(shown)
}

/// The id of a match as errors name it.
fn name(key: &Key) -> String {
    match key {
        Key::Match(id) => id.to_string(),
        Key::Request(id) => id.to_string(),
    }
}

#[tonic::async_trait]
impl FaceMatch for Service {
    type RunMatchStream = HandedOver;
    type WatchMatchStream = HandedOver;
    type WatchMatchesStream = HandedOver;

    async fn run_match(
        &self,
        request: Request<pb::MatchRequest>,
    ) -> Result<Response<HandedOver>, Status> {
        let record = CallRecord::of(&request);
        let (m, include_progress) = self.admit(request).await?;
        let what = m.id.to_string();
        self.stream(what, self.watch.follow_admitted(m, include_progress).await, record)
    }

    async fn create_match(
        &self,
        request: Request<pb::MatchRequest>,
    ) -> Result<Response<pb::Match>, Status> {
        let (m, _) = self.admit(request).await?;
        self.wait(m, Duration::MAX, Match::is_safe).await
    }

    async fn get_match(
        &self,
        request: Request<pb::GetMatchRequest>,
    ) -> Result<Response<pb::Match>, Status> {
        let (record, tenant) = (CallRecord::of(&request), tenant(&request)?);
        let key = request::only_key(request.into_inner().id)?;
        let m = self.find(&tenant, &key, &record).await?;
        Ok(Response::new(update::snapshot(&m)))
    }

    async fn wait_match(
        &self,
        request: Request<pb::WaitMatchRequest>,
    ) -> Result<Response<pb::Match>, Status> {
        let (record, tenant) = (CallRecord::of(&request), tenant(&request)?);
        let (key, timeout) = request::wait(request.into_inner())?;
        let m = self.find(&tenant, &key, &record).await?;
        self.wait(m, timeout, |_| false).await
    }

    async fn watch_match(
        &self,
        request: Request<pb::WatchMatchRequest>,
    ) -> Result<Response<HandedOver>, Status> {
        let (record, tenant) = (CallRecord::of(&request), tenant(&request)?);
        let request = request.into_inner();
        let key = request::only_key(request.id)?;
        record.names(&key);
        let id = match self.watch.running(&tenant, &key) {
            Some(id) => id,
            None => self.find(&tenant, &key, &record).await?.id,
        };
        let (what, after) = (id.to_string(), Sequence(request.after_sequence));
        self.stream(what, self.watch.follow(id, after, request.include_progress).await, record)
    }

    async fn watch_matches(
        &self,
        request: Request<pb::WatchMatchesRequest>,
    ) -> Result<Response<HandedOver>, Status> {
        let (record, tenant) = (CallRecord::of(&request), tenant(&request)?);
        let request = request.into_inner();
        let filter = request::watch_all(&request)?;
        let what = String::from("resume_token");
        let followed = self.watch.follow_all(tenant, filter, &request.resume_token).await;
        let follow = followed.map_err(|ended| status::ended(ended, &what))?;
        let next = |mut follow: crate::watch::FollowAll| async move {
            let next = follow.next().await;
            (next, follow)
        };
        Ok(update_body::hand_over(updates(self.watch.clone(), follow, what, record, next)))
    }

    async fn list_matches(
        &self,
        request: Request<pb::ListMatchesRequest>,
    ) -> Result<Response<pb::ListMatchesResponse>, Status> {
        let tenant = tenant(&request)?;
        let request = request.into_inner();
        let (filter, size) = request::list(&request)?;
        let token = &request.page_token;
        let (mut matches, mut bytes) = (Vec::new(), 0);
        let fits = |m: &Match| {
            let m = update::snapshot(m);
            bytes += m.encoded_len();
            let fits = bytes <= PAGE_BYTES_MAX;
            matches.extend(fits.then_some(m));
            fits
        };
        let page = self.watch.list(&tenant, &filter, token, size, fits).await;
        let next_page_token = page.map_err(|ended| status::ended(ended, "page_token"))?.next;
        Ok(Response::new(pb::ListMatchesResponse { matches, next_page_token }))
    }

    async fn cancel_match(
        &self,
        request: Request<pb::CancelMatchRequest>,
    ) -> Result<Response<pb::Match>, Status> {
        let (record, tenant) = (CallRecord::of(&request), tenant(&request)?);
        let key = request::only_key(request.into_inner().id)?;
        record.names(&key);
        let cancelled = self.worker.cancel(&tenant, &key).await;
        match cancelled.map_err(|failure| status::store(&failure))? {
            CancelledAs::Now(m) | CancelledAs::Already(m) => {
                record.found(&m);
                Ok(Response::new(update::snapshot(&m)))
            }
            CancelledAs::Ended(m) => {
                record.found(&m);
                Err(status::match_ended(m.id, m.state.name()))
            }
            CancelledAs::Absent => Err(status::not_found(&name(&key))),
        }
    }

    async fn delete_match(
        &self,
        request: Request<pb::DeleteMatchRequest>,
    ) -> Result<Response<pb::DeleteMatchResponse>, Status> {
        let (record, tenant) = (CallRecord::of(&request), tenant(&request)?);
        let key = request::only_key(request.into_inner().id)?;
        record.names(&key);
        let deleted = self.worker.delete(&tenant, &key).await;
        match deleted.map_err(|failure| status::store(&failure))? {
            Deleted::Now(m, time) => {
                record.found(&m);
                self.watch.erased(m.id);
                Ok(Response::new(update::deletion(&m, time)))
            }
            Deleted::Running(id) => Err(status::match_running(id)),
            Deleted::Absent => Err(status::not_found(&name(&key))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pb::reference_photo::Source;

    /// The photo of a message that gives it twice, and whether it still is a part of the message.
    fn photo_of(first: usize, last: usize) -> (Bytes, bool) {
        let request = |bytes| pb::MatchRequest {
            photo: Some(pb::ReferencePhoto {
                source: Some(Source::Content(vec![1; bytes].into())),
                ..Default::default()
            }),
            ..Default::default()
        };
        let message = [request(first), request(last)].map(|it| it.encode_to_vec()).concat();
        let message = Bytes::from(message);
        let whole = message.as_ptr_range();
        let decoded = pb::MatchRequest::decode(message.clone()).unwrap();
        let Some(Source::Content(content)) = decoded.photo.unwrap().source else {
            panic!("the photo has its content")
        };
        let photo = without_message(content, message.len());
        let is_part = whole.contains(&photo.as_ptr());
        (photo, is_part)
    }

    #[test]
    fn a_photo_is_copied_out_of_a_message_that_holds_much_else() {
        assert_eq!(photo_of(900, 8_000), (vec![1; 8_000].into(), true));
        assert_eq!(photo_of(1_100, 8_000), (vec![1; 8_000].into(), false));
        assert_eq!(photo_of(1 << 20, 100), (vec![1; 100].into(), false));
    }
}
