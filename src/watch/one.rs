//! A stream of the updates of one match: it catches up, then follows live, each event once and in
//! order.

use std::{pin::pin, sync::Arc};

use crate::{
    domain::{MatchId, Sequence, Timestamp},
    metrics::{Invariant, OpenStream, StreamKind},
    watch::{
        Ended, Update, WatchInner,
        log::{Log, LogRead},
    },
};

/// The updates of one match after a sequence. The stream ends after the closing event.
///
/// It has no buffer: a slow stream remembers its sequence, and all streams share the log.
pub struct Follow {
    inner: Arc<WatchInner>,
    log: Arc<Log>,
    after: Sequence,
    /// How many changes of progress it has seen; `None` if the caller doesn't want progress.
    progress_seen: Option<u64>,
    silent_since: Timestamp,
    /// When the stream was opened: later updates are live.
    opened: Timestamp,
    _open: OpenStream,
    over: bool,
}

impl Follow {
    pub(super) async fn open(
        inner: Arc<WatchInner>,
        id: MatchId,
        after: Sequence,
        include_progress: bool,
    ) -> Result<Self, Ended> {
        let log = inner.logs.open(id);
        inner.refresh(&log).await?;
        if after > log.reached() {
            // The caller may have seen events on another replica that were not read here yet.
            log.distrust();
            inner.refresh(&log).await?;
        }
        match log.reached() {
            Sequence::ZERO => return Err(Ended::Absent),
            reached if after > reached => return Err(Ended::Ahead { reached }),
            _ => {}
        }
        let opened = inner.clock.now();
        let progress_seen = include_progress.then_some(0);
        let _open = inner.metrics.opened(StreamKind::One);
        Ok(Self {
            inner,
            log,
            after,
            progress_seen,
            silent_since: opened,
            opened,
            _open,
            over: false,
        })
    }

    /// The next update; `None` after the closing one. Cancel-safe: it may be dropped and called
    /// again.
    pub async fn next(&mut self) -> Option<Result<Update, Ended>> {
        if self.over {
            return None;
        }
        let log = Arc::clone(&self.log);
        let wants_progress = self.progress_seen.is_some();
        loop {
            let (mut changed, mut progressed) = (pin!(log.changed()), pin!(log.progressed()));
            changed.as_mut().enable();
            if wants_progress {
                progressed.as_mut().enable();
            }
            if let Err(failure) = self.inner.refresh(&log).await {
                return self.end(failure.into());
            }
            if self.has_seen_the_end() {
                return None;
            }
            if let Some(shown) = self.look() {
                return shown;
            }
            let beat = self.silent_since.after(self.inner.config.heartbeat);
            tokio::select! {
                biased;
                // Events that were read before the drain ends are shown before the stream does.
                () = changed => {}
                () = progressed, if wants_progress => {}
                () = self.inner.closing.cancelled() => return self.end(Ended::Draining),
                () = self.inner.clock.sleep_until(beat) => return Some(Ok(self.heartbeat())),
            }
        }
    }

    fn look(&mut self) -> Option<Option<Result<Update, Ended>>> {
        match self.log.look(self.after, self.progress_seen) {
            LogRead::Entry(entry) => {
                let now = self.inner.clock.now();
                let is_next = entry.recorded.sequence == self.after.next();
                self.inner.invariants.check(Invariant::UpdateOrder, is_next);
                self.inner.note_sent(&entry, self.opened, now);
                self.after = entry.recorded.sequence;
                self.over = entry.snapshot.has_ended();
                self.silent_since = now;
                Some(Some(Ok(Update::Event(entry))))
            }
            LogRead::Progress(progress, count) => {
                self.progress_seen = Some(count);
                let m = self.log.snapshot(self.after)?;
                let time = self.inner.clock.now();
                self.silent_since = time;
                Some(Some(Ok(Update::Progress { m, progress, time })))
            }
            LogRead::Erased => Some(self.end(Ended::Absent)),
            LogRead::Nothing => None,
        }
    }

    fn has_seen_the_end(&mut self) -> bool {
        let last = self.log.snapshot(self.after);
        self.over = last.is_some_and(|m| m.has_ended());
        self.over
    }

    /// A heartbeat, with the match as of the last event that was shown, never a later one.
    fn heartbeat(&mut self) -> Update {
        let time = self.inner.clock.now();
        self.silent_since = time;
        Update::Heartbeat { m: self.log.snapshot(self.after), cursor: None, time }
    }

    fn end(&mut self, why: Ended) -> Option<Result<Update, Ended>> {
        self.over = true;
        Some(Err(why))
    }
}
