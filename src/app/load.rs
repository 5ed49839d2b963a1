//! How much the service holds at this moment.

use crate::{grpc, watch::Watch, worker::Worker};

/// Tells how much the service holds at this moment. Cheap to clone.
#[derive(Clone)]
pub struct Load {
    pub(super) worker: Worker,
    pub(super) watch: Watch,
    pub(super) readers: grpc::StallGuard,
    pub(super) calls: grpc::CallLog,
}

impl Load {
    /// Bytes of memory taken for photos, those still being received included.
    pub fn photo_bytes(&self) -> usize {
        self.worker.photo_memory().bytes()
    }

    /// Photos in memory that aren't at Oz yet.
    pub fn photos(&self) -> usize {
        self.worker.photo_memory().photos()
    }

    /// Matches that are under way.
    pub fn unfinished(&self) -> usize {
        self.worker.unfinished()
    }

    /// Matches that have a watcher: the updates of each are in memory.
    pub fn watched(&self) -> usize {
        self.watch.watched()
    }

    /// Responses that are being sent: streams, nearly all of them.
    pub fn streams(&self) -> usize {
        self.readers.open()
    }

    /// Calls that have ended, by method, code and reason.
    pub fn ended_calls(&self) -> Vec<grpc::EndedCalls> {
        self.calls.ended()
    }
}
