//! What the simulator was asked, and what it answered: everything a test may want to assert.
//!
//! Each request is also logged when it ends.
//! Never the bytes of a file, never a token, never a password.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use serde::Serialize;
use serde_json::{Map, Value};
use tokio::sync::Notify;
use tracing::info;
use uuid::Uuid;

use crate::simulator::endpoint::Endpoint;
use crate::simulator::lock;

/// One request.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RecordedRequest {
    /// From 1, in the order of arrival; never reused.
    pub n: u64,
    /// Milliseconds since the simulator started.
    pub at_ms: u64,
    /// When it was answered or dropped, likewise.
    pub answered_at_ms: Option<u64>,
    /// The HTTP method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The endpoint that they mean.
    pub endpoint: Endpoint,
    /// The folder it is about, or that it created.
    pub folder: Option<Uuid>,
    /// How it ended.
    pub answered: Answered,
    /// Whether the simulator did what was asked.
    pub acted: bool,
    /// The rules that changed it, by name; a rule without one is called by its place, from 0.
    pub rules: Vec<String>,
    /// Bytes of the request's body.
    pub body_bytes: u64,
    /// The files it brought.
    pub uploads: Vec<RecordedUpload>,
    /// The JSON that asked for analyses.
    pub asked: Option<Value>,
    /// The analyses it started.
    pub analyses: Vec<Uuid>,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answered {
    /// Not yet.
    Pending,
    /// With this status.
    Status(u16),
    /// The simulator broke the connection, as a rule said.
    Dropped,
    /// The caller was gone before it was answered.
    Abandoned,
}

/// One file of an upload.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RecordedUpload {
    /// The id it got.
    pub media_id: Uuid,
    /// The multipart part's name.
    pub part: String,
    /// The client's file name.
    pub file_name: String,
    /// The client's MIME type.
    pub content_type: String,
    /// Oz's tags.
    pub tags: Vec<String>,
    /// The caller's own words about it.
    pub meta_data: Map<String, Value>,
    /// How many bytes there are.
    pub bytes: u64,
    /// BLAKE3 of the bytes, in hexadecimal.
    pub digest: String,
}

/// The latest requests, and how many there were before them.
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
    /// What each of them takes besides its own size, in bytes.
    weights: VecDeque<usize>,
    weight: usize,
    /// Requests that are no longer kept; the first kept one is the next.
    forgotten: u64,
}

/// A request's own line in the record. Dropping it unanswered means that the caller left.
#[derive(Debug)]
pub struct RecordLine {
    record: Arc<Record>,
    n: u64,
    closed: bool,
}

impl Record {
    /// Keeps so many requests, and so many bytes of what callers said in them.
    pub fn new(entries_max: usize, weight_max: usize) -> Record {
        Record {
            entries: Mutex::default(),
            entries_max: entries_max.max(1),
            weight_max,
            changed: Notify::new(),
        }
    }

    /// Opens a line for a request; its number is filled in.
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

    /// At most so many kept requests after the given number that fit.
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

    /// How many requests there were in all, and how many of them are no longer kept.
    pub fn counts(&self) -> (u64, u64) {
        let entries = lock(&self.entries);
        (entries.forgotten + entries.latest.len() as u64, entries.forgotten)
    }

    /// Forgets all requests; numbers go on.
    pub fn clear(&self) {
        let mut entries = lock(&self.entries);
        while !entries.latest.is_empty() {
            entries.forget_oldest();
        }
    }

    /// Waits until the condition holds; it is asked again whenever the record has changed.
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

    /// Notes that a line holds so many bytes of its caller's; the oldest lines make room for them.
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

    /// Writes into the line with this number, if it is still kept.
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
    /// The number of this request.
    pub fn n(&self) -> u64 {
        self.n
    }

    /// Closes the line, and logs it.
    pub fn close(mut self, answered: Answered, at_ms: u64) {
        self.closed = true;
        self.record.note(self.n, |request| {
            request.answered = answered;
            request.answered_at_ms = Some(at_ms);
            request.tell();
        });
    }
}

impl RecordedRequest {
    /// Logs the request, without its query, which may hold personal data.
    fn tell(&self) {
        let message = match self.answered {
            Answered::Pending => "request under way",
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

    /// The names of the rules that applied, or none.
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
                request.tell();
            });
        }
    }
}
