//! The log of one match: its events, read once and shared by all of its watchers.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use tokio::sync::{Mutex as AsyncMutex, Notify};

use crate::{
    domain::{
        Match, MatchId, Progress, Recorded, Sequence,
        state::{self, IllegalEvent},
    },
    journal::{self, Reader},
    sync::lock,
};

/// An event, and the match after it.
#[derive(Debug)]
pub struct Entry {
    /// The event, with its sequence and position.
    pub recorded: Recorded,
    /// The match after the event.
    pub snapshot: Arc<Match>,
    shown: EncodedEntry,
}

/// An entry's encoded message. It is kept only once a second watcher has asked for it: there may be
/// many matches, and most have one watcher.
#[derive(Debug, Default)]
struct EncodedEntry {
    was_asked: AtomicBool,
    made: OnceLock<Bytes>,
}

impl Entry {
    /// An event, and the match after it.
    pub fn new(recorded: Recorded, snapshot: Arc<Match>) -> Self {
        Self { recorded, snapshot, shown: EncodedEntry::default() }
    }

    /// The encoded message of the entry, by `make`. It is the same for all watchers, and is shared
    /// from the second one on.
    pub fn encoded(&self, make: impl FnOnce() -> Bytes) -> Bytes {
        if self.shown.was_asked.swap(true, Ordering::Relaxed) {
            self.shown.made.get_or_init(make).clone()
        } else {
            make()
        }
    }
}

/// The logs of matches that are being watched. Cheap to clone: clones share the logs.
#[derive(Clone, Default)]
pub struct Registry(Arc<Mutex<HashMap<MatchId, Weak<Log>>>>);

/// The events and the progress of one match.
pub struct Log {
    id: MatchId,
    registry: Registry,
    contents: Mutex<LogContents>,
    /// Single flight: held during a read of the journal, so that one read serves many watchers.
    reading: AsyncMutex<()>,
    changed: Notify,
    /// Separate from `changed`, since progress comes with every poll and few watchers want it.
    progressed: Notify,
}

#[derive(Default)]
struct LogContents {
    entries: Vec<Arc<Entry>>,
    trust: Trust,
    erased: bool,
    progress: Option<Progress>,
    /// How often progress has changed.
    progress_count: u64,
}

/// Whether the entries are complete.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Trust {
    /// No: events were missed, or never read.
    #[default]
    Stale,
    /// Not yet: a watcher is reading the journal. If that watcher is dropped meanwhile, the next
    /// watcher reads again.
    Reading,
    /// Yes.
    Fresh,
}

/// What a watcher finds after the updates that it has seen.
pub enum LogRead {
    /// The next event.
    Entry(Arc<Entry>),
    /// No event, but progress that the watcher hasn't seen, and how often progress has changed.
    Progress(Progress, u64),
    /// Nothing new.
    Nothing,
    /// The match was erased.
    Erased,
}

impl Registry {
    /// The log of a match, if the match is being watched.
    pub fn live(&self, id: MatchId) -> Option<Arc<Log>> {
        self.lock().get(&id).and_then(Weak::upgrade)
    }

    /// The log of a match, new if there is none. It is registered before the journal is read, so
    /// that the tail adds every event that the read may miss.
    pub fn open(&self, id: MatchId) -> Arc<Log> {
        let mut logs = self.lock();
        if let Some(log) = logs.get(&id).and_then(Weak::upgrade) {
            return log;
        }
        let log = Arc::new(Log {
            id,
            registry: self.clone(),
            contents: Mutex::default(),
            reading: AsyncMutex::new(()),
            changed: Notify::new(),
            progressed: Notify::new(),
        });
        logs.insert(id, Arc::downgrade(&log));
        log
    }

    /// How many matches are being watched.
    pub fn watched(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<MatchId, Weak<Log>>> {
        lock(&self.0)
    }
}

impl Log {
    /// Adds an event that the tail has read. If it doesn't follow the last entry, the log becomes
    /// stale, and the next [`Log::refresh`] reads the journal.
    pub fn push(&self, recorded: Recorded) {
        self.lock().push(recorded);
        self.changed.notify_waiters();
    }

    /// Sets the progress of the match.
    pub fn progress(&self, progress: Progress) {
        let mut contents = self.lock();
        if contents.progress == Some(progress) {
            return;
        }
        contents.progress = Some(progress);
        contents.progress_count += 1;
        drop(contents);
        self.progressed.notify_waiters();
    }

    /// Marks the match as erased.
    pub fn erase(&self) {
        self.lock().erased = true;
        self.changed.notify_waiters();
    }

    /// Resolves when there may be a new event, added after the future was made. So a watcher makes
    /// the future, then looks, then waits.
    pub fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.changed.notified()
    }

    /// Resolves when there is new progress, in the same way as [`Log::changed`].
    pub fn progressed(&self) -> tokio::sync::futures::Notified<'_> {
        self.progressed.notified()
    }

    /// Reads the journal, unless the log is complete or another watcher's read completes it. The
    /// log is complete when this returns `Ok`.
    pub async fn refresh(&self, reader: &dyn Reader) -> Result<(), journal::Error> {
        if self.lock().trust == Trust::Fresh {
            return Ok(());
        }
        let _reading = self.reading.lock().await;
        while self.lock().begin_reading() {
            let events = match self.recent(reader) {
                Some(events) => events,
                None => reader.events(self.id).await?,
            };
            self.lock().replace(events)?;
        }
        Ok(())
    }

    /// The journal's cached events, for the first read of a match. The tail adds events that the
    /// cache may still lack.
    fn recent(&self, reader: &dyn Reader) -> Option<Vec<Recorded>> {
        if self.reached() > Sequence::ZERO { None } else { reader.recent(self.id) }
    }

    /// Makes the next [`Log::refresh`] read the journal.
    pub fn distrust(&self) {
        self.lock().trust = Trust::Stale;
    }

    /// What a watcher that has seen the events up to `after`, and progress up to its change number
    /// `progress_seen`, gets next. `progress_seen` is `None` if the watcher doesn't want progress.
    pub fn look(&self, after: Sequence, progress_seen: Option<u64>) -> LogRead {
        let contents = self.lock();
        if contents.erased {
            return LogRead::Erased;
        }
        let index = usize::try_from(after.0).unwrap_or(usize::MAX);
        if let Some(entry) = contents.entries.get(index) {
            return LogRead::Entry(Arc::clone(entry));
        }
        match (contents.progress, progress_seen) {
            (Some(progress), Some(seen)) if seen < contents.progress_count => {
                LogRead::Progress(progress, contents.progress_count)
            }
            (Some(_) | None, Some(_) | None) => LogRead::Nothing,
        }
    }

    /// The match as of a sequence; `None` if there is no such entry.
    pub fn snapshot(&self, at: Sequence) -> Option<Arc<Match>> {
        let index = usize::try_from(at.0).ok()?.checked_sub(1)?;
        self.lock().entries.get(index).map(|entry| Arc::clone(&entry.snapshot))
    }

    /// The match as of the last event; `None` if there is none or the match was erased.
    pub fn latest(&self) -> Option<Arc<Match>> {
        let contents = self.lock();
        let last = contents.entries.last().filter(|_| !contents.erased);
        last.map(|entry| Arc::clone(&entry.snapshot))
    }

    /// The sequence of the last event; zero if there is none.
    pub fn reached(&self) -> Sequence {
        Sequence(self.lock().entries.len() as u64)
    }

    fn lock(&self) -> MutexGuard<'_, LogContents> {
        lock(&self.contents)
    }
}

impl LogContents {
    /// Returns false if the log is complete. Otherwise marks that the journal is being read.
    fn begin_reading(&mut self) -> bool {
        let is_fresh = self.trust == Trust::Fresh;
        if !is_fresh {
            self.trust = Trust::Reading;
        }
        !is_fresh
    }

    fn push(&mut self, recorded: Recorded) {
        let reached = self.entries.len() as u64;
        if self.trust == Trust::Stale || recorded.sequence.0 <= reached {
            return;
        }
        if self.append(recorded).is_err() {
            // It doesn't follow the last entry: events before it were missed.
            self.trust = Trust::Stale;
        }
    }

    /// Adds the events that are missing; `events` are all events of the match. If an event that
    /// didn't follow arrived during the read, the log has become stale again, and stays stale.
    fn replace(&mut self, events: Vec<Recorded>) -> Result<(), journal::Error> {
        self.erased |= events.is_empty() && !self.entries.is_empty();
        for recorded in events.into_iter().skip(self.entries.len()) {
            self.append(recorded)
                .map_err(|illegal| journal::Error::Corrupt(illegal.to_string()))?;
        }
        if self.trust == Trust::Reading {
            self.trust = Trust::Fresh;
        }
        Ok(())
    }

    fn append(&mut self, recorded: Recorded) -> Result<(), IllegalEvent> {
        let last = self.entries.last().map(|entry| (*entry.snapshot).clone());
        let snapshot = Arc::new(state::apply(last, &recorded)?);
        self.entries.push(Arc::new(Entry::new(recorded, snapshot)));
        Ok(())
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let mut logs = self.registry.lock();
        // Another log of the same match may have been opened meanwhile.
        if logs.get(&self.id).is_some_and(|log| log.strong_count() == 0) {
            logs.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use futures_util::FutureExt;

    use super::*;
    use crate::journal::suite::facts;

    #[test]
    fn progress_wakes_only_watchers_that_want_it() {
        let log = Registry::default().open(facts::match_id(0, 0));
        let (mut changed, mut progressed) = (Box::pin(log.changed()), Box::pin(log.progressed()));
        changed.as_mut().enable();
        progressed.as_mut().enable();
        log.progress(Progress { bytes_sent: 0, bytes_total: 0, polls: 1, failed_attempts: 0 });
        assert!(progressed.now_or_never().is_some());
        assert!(changed.now_or_never().is_none());
    }

    #[test]
    fn an_entry_is_encoded_for_the_first_watcher_and_once_for_all_others() {
        let recorded = Recorded {
            match_id: facts::match_id(0, 0),
            sequence: Sequence::FIRST,
            position: crate::domain::Position(1),
            incarnation: 0,
            time: crate::domain::Timestamp::default(),
            event: crate::domain::Event::Accepted(facts::plain_spec().into()),
        };
        let snapshot = Arc::new(state::apply(None, &recorded).unwrap());
        let entry = Entry::new(recorded, snapshot);
        let made = Cell::new(0);
        let make = || {
            made.set(made.get() + 1);
            Bytes::from_static(b"update")
        };
        for _ in 0..10 {
            assert_eq!(entry.encoded(make), "update");
        }
        assert_eq!(made.get(), 2);
    }
}
