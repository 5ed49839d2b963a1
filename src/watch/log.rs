//! The updates of one match, shared by everyone who watches it: read once, however many they are.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
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
};

/// An event, and the match after it.
#[derive(Debug)]
pub struct Entry {
    /// The event and its place.
    pub recorded: Recorded,
    /// The match after it.
    pub snapshot: Arc<Match>,
    shown: EncodedEntry,
}

/// What an entry looks like to whoever is shown it, kept once it was asked for twice: most matches
/// have one watcher, and there may be many of them.
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

    /// What it looks like: the same for everybody, and made once for many.
    pub fn shown(&self, make: impl FnOnce() -> Bytes) -> Bytes {
        if self.shown.was_asked.swap(true, Ordering::Relaxed) {
            self.shown.made.get_or_init(make).clone()
        } else {
            make()
        }
    }
}

/// The logs that somebody watches, by match. Cheap to clone; clones share them.
#[derive(Clone, Default)]
pub struct Registry(Arc<Mutex<HashMap<MatchId, Weak<Log>>>>);

/// One match's updates.
pub struct Log {
    id: MatchId,
    registry: Registry,
    contents: Mutex<LogContents>,
    /// Held while the journal is read, so that many watchers read it once.
    reading: AsyncMutex<()>,
    changed: Notify,
    /// Apart from facts, since it comes with every poll and few want to know.
    progressed: Notify,
}

#[derive(Default)]
struct LogContents {
    entries: Vec<Arc<Entry>>,
    trust: Trust,
    erased: bool,
    progress: Option<Progress>,
    /// How often progress was told.
    progress_count: u64,
}

/// Whether the entries can be relied on.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Trust {
    /// No: something was missed, or never read.
    #[default]
    Stale,
    /// Not before the journal has been read. Whoever reads may be dropped meanwhile; then the next
    /// one reads again.
    Reading,
    /// They are all there is.
    Fresh,
}

/// What a watcher finds after what it has seen.
pub enum LogRead {
    /// The next update.
    Entry(Arc<Entry>),
    /// Nothing but progress that it hasn't seen.
    Progress(Progress, u64),
    /// Nothing.
    Nothing,
    /// The match is gone.
    Erased,
}

impl Registry {
    /// The log of a match, if somebody watches it.
    pub fn live(&self, id: MatchId) -> Option<Arc<Log>> {
        self.lock().get(&id).and_then(Weak::upgrade)
    }

    /// The log of a match, made if need be. It is in the registry before the journal is read, so
    /// that no event falls between the two.
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

    /// How many matches are watched.
    pub fn watched(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<MatchId, Weak<Log>>> {
        // Nothing that holds this lock can panic half-way, so a poisoned one is sound.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log {
    /// Takes an event that the tail has read. One that doesn't follow makes the log read the
    /// journal again.
    pub fn push(&self, recorded: Recorded) {
        self.lock().push(recorded);
        self.changed.notify_waiters();
    }

    /// Takes how far the match is.
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

    /// The match is gone from the journal.
    pub fn erase(&self) {
        self.lock().erased = true;
        self.changed.notify_waiters();
    }

    /// Resolves when there may be a new fact. Registered from when it is first polled or enabled:
    /// do that, then look, then wait.
    pub fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.changed.notified()
    }

    /// The same for progress.
    pub fn progressed(&self) -> tokio::sync::futures::Notified<'_> {
        self.progressed.notified()
    }

    /// Reads the journal if the log can't be relied on. When it returns, the log can: also if
    /// somebody else was reading already.
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

    /// What memory has of a match that is looked at first. What it may lack comes by the tail.
    fn recent(&self, reader: &dyn Reader) -> Option<Vec<Recorded>> {
        if self.reached() > Sequence::ZERO { None } else { reader.recent(self.id) }
    }

    /// Makes the next [`Log::refresh`] read the journal.
    pub fn distrust(&self) {
        self.lock().trust = Trust::Stale;
    }

    /// What there is after a sequence, and after so many tellings of progress.
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

    /// The match as of a sequence.
    pub fn snapshot(&self, at: Sequence) -> Option<Arc<Match>> {
        let index = usize::try_from(at.0).ok()?.checked_sub(1)?;
        self.lock().entries.get(index).map(|entry| Arc::clone(&entry.snapshot))
    }

    /// The match as of the last update, unless it is gone.
    pub fn latest(&self) -> Option<Arc<Match>> {
        let contents = self.lock();
        let last = contents.entries.last().filter(|_| !contents.erased);
        last.map(|entry| Arc::clone(&entry.snapshot))
    }

    /// The sequence of the last update; zero if there is none.
    pub fn reached(&self) -> Sequence {
        Sequence(self.lock().entries.len() as u64)
    }

    fn lock(&self) -> MutexGuard<'_, LogContents> {
        // Nothing that holds this lock can panic half-way, so a poisoned one is sound.
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LogContents {
    /// Whether there is something to be read.
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
            // It doesn't follow: something before it was missed.
            self.trust = Trust::Stale;
        }
    }

    /// Takes the whole journal of the match, keeping the entries that are there already. What
    /// arrived while it was read and didn't follow has made the log stale again.
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
    fn progress_wakes_nobody_but_those_who_want_it() {
        let log = Registry::default().open(facts::match_id(0, 0));
        let (mut changed, mut progressed) = (Box::pin(log.changed()), Box::pin(log.progressed()));
        changed.as_mut().enable();
        progressed.as_mut().enable();
        log.progress(Progress { bytes_sent: 0, bytes_total: 0, polls: 1, failed_attempts: 0 });
        assert!(progressed.now_or_never().is_some());
        assert!(changed.now_or_never().is_none());
    }

    #[test]
    fn what_many_are_shown_is_made_for_the_first_and_once_for_all_others() {
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
            assert_eq!(entry.shown(make), "update");
        }
        assert_eq!(made.get(), 2);
    }
}
