//! Uploads a photo in chunks, without a copy, so that its progress is visible.
//!
//! An upload has no overall timeout, since a slow connection is no fault; it has a stall timeout.
//! It deliberately doesn't look at the photo.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use reqwest::{
    Body,
    multipart::{Form, Part},
};
use tokio::{sync::watch, time};

use crate::{
    domain::{Format, MatchId, PhotoKind},
    oz::{Sent, wire},
};

/// How many bytes are handed to the connection at once: few enough for visible progress on a slow
/// mobile link, enough to cost nothing on a fast one.
const CHUNK_BYTES: usize = 64 * 1024;

const NO_ANSWER: &str = "no answer in time after the whole photo was sent";

/// Follows the progress of an upload.
pub struct UploadProgress {
    taken: watch::Receiver<u64>,
    total: u64,
    reported: u64,
}

/// The multipart form that carries a photo, and its progress (uploading-media page).
pub fn form(
    photo: Bytes,
    match_id: MatchId,
    kind: PhotoKind,
    format: Format,
) -> (Form, UploadProgress) {
    let total = photo.len() as u64;
    let (body, taken) = body(photo);
    let mut headers = http::HeaderMap::new();
    let content_type = http::HeaderValue::from_static(format.content_type());
    headers.insert(http::header::CONTENT_TYPE, content_type);
    let part = Part::stream_with_length(body, total)
        .file_name(wire::photo_name(match_id, format))
        .headers(headers);
    // The payload goes first, so that a streaming reader knows what the photo is.
    let form = Form::new()
        .text("payload", wire::upload_payload(match_id, kind).to_string())
        .part(wire::PHOTO_PART, part);
    (form, UploadProgress { taken, total, reported: 0 })
}

fn body(photo: Bytes) -> (Body, watch::Receiver<u64>) {
    let (progress, taken) = watch::channel(0);
    let chunks = stream::unfold((photo, progress), |(mut rest, progress)| async move {
        if rest.is_empty() {
            return None;
        }
        let chunk = rest.split_to(CHUNK_BYTES.min(rest.len()));
        progress.send_modify(|taken| *taken += chunk.len() as u64);
        Some((Ok::<_, std::convert::Infallible>(chunk), (rest, progress)))
    });
    (Body::wrap_stream(chunks), taken)
}

impl UploadProgress {
    /// Reports the progress until it ends, and returns what is missing then: no byte was taken for
    /// `stall`, or, after the last byte, no answer came for `timeout`.
    pub async fn watch(
        &mut self,
        sent: Sent<'_>,
        stall: Duration,
        timeout: Duration,
    ) -> &'static str {
        loop {
            let (limit, missing) = match self.reported >= self.total {
                true => (timeout, NO_ANSWER),
                false => (stall, "the upload stalled"),
            };
            match time::timeout(limit, self.taken.changed()).await {
                Ok(Ok(())) => self.report(sent),
                // The connection takes no more of the photo: only the answer is awaited.
                Ok(Err(_closed)) => {
                    time::sleep(timeout).await;
                    return NO_ANSWER;
                }
                Err(_elapsed) => return missing,
            }
        }
    }

    /// Reports progress that hasn't been reported yet: an answer can overtake the last chunk.
    pub fn report(&mut self, sent: Sent<'_>) {
        let taken = *self.taken.borrow_and_update();
        if taken > self.reported {
            self.reported = taken;
            sent(taken);
        }
    }
}
