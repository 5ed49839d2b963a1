//! The record: the requests to Oz's endpoints and their answers, for assertions in tests.
//!
//! Each request is also logged when it ends.
//! Neither the record nor the log holds the bytes of a file, a token or a password.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use serde::Serialize;
use serde_json::{Map, Value};
use tokio::sync::Notify;
use tracing::info;
use uuid::Uuid;

use crate::simulator::endpoint::Endpoint;
use crate::simulator::lock;

/// One request to an endpoint of Oz's, with its answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RecordedRequest {
    /// From 1, in the order of arrival; never reused.
    pub n: u64,
    /// Milliseconds since the simulator started.
    pub at_ms: u64,
    /// When it was answered or dropped, in milliseconds since the simulator started. `None` while
    /// it is pending, and if the caller left first.
    pub answered_at_ms: Option<u64>,
    /// The HTTP method.
    pub method: String,
    /// Path and query, up to 2,048 characters.
    pub path: String,
    /// The endpoint of this method and path.
    pub endpoint: Endpoint,
    /// The folder that the request is about or has created, if it is known.
    pub folder: Option<Uuid>,
    /// The answer, or how the request ended without one.
    pub answered: Answered,
    /// Whether Oz has carried the request out; false if it was refused, or a rule prevented it.
    pub acted: bool,
    /// The names of the rules that applied; a rule without a name has its place, from 0.
    pub rules: Vec<String>,
    /// The size of the request's body.
    pub body_bytes: u64,
    /// The files that were uploaded.
    pub uploads: Vec<RecordedUpload>,
    /// The JSON body of a request that starts analyses.
    pub asked: Option<Value>,
    /// The ids of the analyses that the request started.
    pub analyses: Vec<Uuid>,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answered {
    /// The request is in progress.
    Pending,
    /// It was answered with this HTTP status.
    Status(u16),
    /// A rule broke the connection.
    Dropped,
    /// The caller left before the answer.
    Abandoned,
}

/// One file of an upload.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RecordedUpload {
    /// The id that the simulator gave it.
    pub media_id: Uuid,
    /// The multipart part's name.
    pub part: String,
    /// The file name, as the client sent it.
    pub file_name: String,
    /// The MIME type, as the client sent it.
    pub content_type: String,
    /// Oz's tags.
    pub tags: Vec<String>,
    /// The metadata that the payload gives to the file.
    pub meta_data: Map<String, Value>,
    /// The size in bytes.
    pub bytes: u64,
    /// BLAKE3 of the bytes, in hexadecimal.
    pub digest: String,
}

/// The latest requests, and the number of those before them.
#[derive(Debug)]
pub struct Record {
    entries: Mutex<Entries>,
    entries_max: usize,
    weight_max: usize,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Entries {
    latest: VecDeque<RecordedRequest>,
    /// Bytes of the path, payload and JSON of each request.
    weights: VecDeque<usize>,
    weight: usize,
    /// Requests that are no longer kept: the first kept one has the next number.
    forgotten: u64,
}

/// A request's line in the record. Dropping it before it is closed means that the caller left.
#[derive(Debug)]
pub struct RecordLine {
    record: Arc<Record>,
    n: u64,
    closed: bool,
}

impl Record {
    /// Keeps at most this many requests, and at most this many bytes of their paths, payloads and
    /// JSON.
    pub fn new(entries_max: usize, weight_max: usize) -> Record {
        Record {
            entries: Mutex::default(),
            entries_max: entries_max.max(1),
            weight_max,
            changed: Notify::new(),
        }
    }

    /// Opens a line for a request, and gives the request its number.
    pub fn open(self: &Arc<Record>, mut request: RecordedRequest) -> RecordLine {
        let mut entries = lock(&self.entries);
        let n = entries.forgotten + entries.latest.len() as u64 + 1;
        request.n = n;
        if entries.latest.len() >= self.entries_max {
            entries.forget_oldest();
        }
        entries.weight += request.path.len();
        entries.weights.push_back(request.path.len());
        entries.latest.push_back(request);
        drop(entries);
        self.changed.notify_waiters();
        RecordLine { record: self.clone(), n, closed: false }
    }

    /// The kept requests, oldest first.
    pub fn all(&self) -> Vec<RecordedRequest> {
        lock(&self.entries).latest.iter().cloned().collect()
    }

    /// The kept requests after a number that `fits` accepts, up to `limit`, oldest first.
    pub fn page(
        &self,
        after: u64,
        limit: usize,
        fits: impl Fn(&RecordedRequest) -> bool,
    ) -> Vec<RecordedRequest> {
        let entries = lock(&self.entries);
        let skipped = after.saturating_sub(entries.forgotten) as usize;
        let later = entries.latest.iter().skip(skipped).filter(|request| fits(request));
        later.take(limit).cloned().collect()
    }

    /// The number of all requests so far, and of those that are no longer kept.
    pub fn counts(&self) -> (u64, u64) {
        let entries = lock(&self.entries);
        (entries.forgotten + entries.latest.len() as u64, entries.forgotten)
    }

    /// Drops all requests. The numbering continues.
    pub fn clear(&self) {
        let mut entries = lock(&self.entries);
        while !entries.latest.is_empty() {
            entries.forget_oldest();
        }
    }

    /// Waits until the condition holds; it is checked again after each new or changed line.
    pub async fn until(&self, mut holds: impl FnMut() -> bool) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if holds() {
                return;
            }
            changed.await;
        }
    }

    /// Adds to the weight of a line; the oldest lines make room.
    pub fn weigh(&self, n: u64, bytes: usize) {
        let mut entries = lock(&self.entries);
        let Some(index) = entries.index(n) else {
            return;
        };
        let Some(weight) = entries.weights.get_mut(index) else {
            return;
        };
        *weight += bytes;
        entries.weight += bytes;
        while entries.weight > self.weight_max && entries.latest.len() > 1 {
            entries.forget_oldest();
        }
    }

    /// Changes the line with this number, if it is still kept.
    pub fn note(&self, n: u64, change: impl FnOnce(&mut RecordedRequest)) {
        let mut entries = lock(&self.entries);
        let index = entries.index(n);
        if let Some(request) = index.and_then(|index| entries.latest.get_mut(index)) {
            change(request);
        }
        drop(entries);
        self.changed.notify_waiters();
    }
}

impl Entries {
    fn index(&self, n: u64) -> Option<usize> {
        n.checked_sub(self.forgotten + 1).map(|index| index as usize)
    }

    fn forget_oldest(&mut self) {
        self.latest.pop_front();
        self.weight -= self.weights.pop_front().unwrap_or(0);
        self.forgotten += 1;
    }
}

impl RecordLine {
    /// The request's number.
    pub fn n(&self) -> u64 {
        self.n
    }

    /// Closes the line, and logs the request.
    pub fn close(mut self, answered: Answered, at_ms: u64) {
        self.closed = true;
        self.record.note(self.n, |request| {
            request.answered = answered;
            request.answered_at_ms = Some(at_ms);
            request.log();
        });
    }
}

impl RecordedRequest {
    /// Logs the request, without its query, which may hold personal data.
    fn log(&self) {
        let message = match self.answered {
            Answered::Pending => "request in progress",
            Answered::Status(_) => "request answered",
            Answered::Dropped => "connection broken by a rule",
            Answered::Abandoned => "caller left before the answer",
        };
        info!(
            request.n = self.n,
            http.method = self.method,
            http.path = self.path.split('?').next().unwrap_or_default(),
            http.status = self.answered.status(),
            rules = self.rules_shown(),
            folder.id = self.folder.map(tracing::field::display),
            acted = self.acted,
            duration_ms = self.answered_at_ms.map(|at_ms| at_ms.saturating_sub(self.at_ms)),
            "{message}"
        );
    }

    /// The names of the rules that applied, for the log; `None` leaves the field out.
    fn rules_shown(&self) -> Option<String> {
        (!self.rules.is_empty()).then(|| self.rules.join(", "))
    }
}

impl Answered {
    fn status(self) -> Option<u16> {
        match self {
            Answered::Status(status) => Some(status),
            Answered::Pending | Answered::Dropped | Answered::Abandoned => None,
        }
    }
}

impl Drop for RecordLine {
    fn drop(&mut self) {
        if !self.closed {
            self.record.note(self.n, |request| {
                request.answered = Answered::Abandoned;
                request.log();
            });
        }
    }
}
