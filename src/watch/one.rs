//! A stream of one match's updates: catching up, then live, each once and in order.

use std::{pin::pin, sync::Arc};

use crate::{
    domain::{MatchId, Sequence, Timestamp},
    watch::{
        Ended, Update, WatchInner,
        log::{Log, LogRead},
    },
};

/// The updates of one match after a sequence. It ends after the closing one.
///
/// Nothing is kept for a reader that is slow: it holds its place, and the log is shared.
pub struct Follow {
    inner: Arc<WatchInner>,
    log: Arc<Log>,
    after: Sequence,
    /// How many tellings of progress it has seen; none if it doesn't care.
    progress_seen: Option<u64>,
    silent_since: Timestamp,
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
        log.refresh(inner.reader.as_ref()).await?;
        if after > log.reached() {
            // What the caller has seen elsewhere may not have been read here yet.
            log.distrust();
            log.refresh(inner.reader.as_ref()).await?;
        }
        match log.reached() {
            Sequence::ZERO => return Err(Ended::Absent),
            reached if after > reached => return Err(Ended::Ahead { reached }),
            _ => {}
        }
        let silent_since = inner.clock.now();
        let progress_seen = include_progress.then_some(0);
        Ok(Self { inner, log, after, progress_seen, silent_since, over: false })
    }

    /// The next update; nothing after the closing one. Safe to drop and call again.
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
            if let Err(failure) = log.refresh(self.inner.reader.as_ref()).await {
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
                // What was read before the goodbye is shown before it.
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
                self.after = entry.recorded.sequence;
                self.over = entry.snapshot.has_ended();
                self.silent_since = self.inner.clock.now();
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

    /// It names the last update that was shown, never one that wasn't.
    fn heartbeat(&mut self) -> Update {
        let time = self.inner.clock.now();
        self.silent_since = time;
        Update::Heartbeat { m: self.log.snapshot(self.after), place: None, time }
    }

    fn end(&mut self, why: Ended) -> Option<Result<Update, Ended>> {
        self.over = true;
        Some(Err(why))
    }
}
