//! A stream of many matches' updates, in the journal's order, resumable by token.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry as MapEntry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{OnceCell, watch};

use crate::{
    domain::{CallerId, Match, MatchId, Place, Position, Recorded, Sequence, Timestamp, state},
    journal::{self, Filter, Reader},
    watch::{Ended, Entry, Inner, Update},
};

/// How many events a stream reads at first: each match among them costs a look at its journal, and
/// whoever is cut off again and again reads none in vain.
const PAGE_FIRST: usize = 16;
/// How many times more after each full page: who reads on has much to read.
const PAGE_GROWTH: usize = 4;
/// How many at most: a page is what a stream holds.
const PAGE_MAX: usize = 256;
/// How many pages are kept for streams that stand at the same place.
const PAGES_KEPT: usize = 16;

/// The updates of all matches of a caller that a filter selects, after a position.
pub struct FollowAll {
    inner: Arc<Inner>,
    caller: CallerId,
    filter: Filter,
    looks: watch::Receiver<()>,
    page: Arc<PageOfAll>,
    /// How many events the next page may have.
    limit: usize,
    index: usize,
    after: Place,
    /// Up to where retention had erased events when the stream began.
    floor: Position,
    /// Nothing before the first message, which comes at once.
    silent_since: Option<Timestamp>,
    over: bool,
}

/// Some events in the journal's order, and how far they reach.
#[derive(Default)]
struct PageOfAll {
    entries: Vec<Arc<Entry>>,
    reached: Place,
    is_full: bool,
}

type Cell = Arc<OnceCell<Arc<PageOfAll>>>;

/// The pages that streams read: each is read once for all that stand at its beginning.
pub(super) struct Pages {
    reader: Arc<dyn Reader>,
    kept: Mutex<VecDeque<(Position, Cell)>>,
    looks: watch::Sender<()>,
}

impl Pages {
    pub(super) fn new(reader: Arc<dyn Reader>) -> Self {
        Self { reader, kept: Mutex::default(), looks: watch::Sender::new(()) }
    }

    /// There may be something new. A read that has begun may not see it: nobody who comes after
    /// this look may rest on what that read finds.
    pub(super) fn look(&self) {
        let is_something = |start: &Position, cell: &Cell| {
            cell.get().is_some_and(|page| page.reached.position > *start)
        };
        self.lock().retain(|(start, cell)| is_something(start, cell));
        self.looks.send_replace(());
    }

    /// Forgets what was read: something of it may have been erased.
    pub(super) fn forget(&self) {
        self.lock().clear();
    }

    /// The page that begins there, of so many events unless somebody else has read it already.
    async fn after(&self, place: Place, limit: usize) -> Result<Arc<PageOfAll>, journal::Error> {
        let cell = self.cell(place.position);
        let page = cell.get_or_try_init(|| self.read(place, limit)).await?;
        if page.reached.position == place.position {
            // Nothing there yet: the next look has to read again.
            self.lock().retain(|(_, kept)| !Arc::ptr_eq(kept, &cell));
        }
        Ok(Arc::clone(page))
    }

    fn cell(&self, position: Position) -> Cell {
        let mut kept = self.lock();
        if let Some((_, cell)) = kept.iter().find(|(start, _)| *start == position) {
            return Arc::clone(cell);
        }
        if kept.len() == PAGES_KEPT {
            kept.pop_front();
        }
        let cell = Cell::default();
        kept.push_back((position, Arc::clone(&cell)));
        cell
    }

    async fn read(&self, after: Place, limit: usize) -> Result<Arc<PageOfAll>, journal::Error> {
        let events = self.reader.tail(after.position, limit).await?;
        let reached = events.last().map_or(after, Recorded::place);
        let is_full = events.len() == limit;
        let mut journals: HashMap<MatchId, Vec<Arc<Match>>> = HashMap::new();
        let mut entries = Vec::with_capacity(events.len());
        for recorded in events {
            let journal = match journals.entry(recorded.match_id) {
                MapEntry::Occupied(known) => known.into_mut(),
                MapEntry::Vacant(slot) => slot.insert(snapshots(&self.journal(&recorded).await?)?),
            };
            // A match that was erased meanwhile is skipped.
            if let Some(snapshot) = at(journal, recorded.sequence) {
                entries.push(Arc::new(Entry::new(recorded, snapshot)));
            }
        }
        Ok(Arc::new(PageOfAll { entries, reached, is_full }))
    }

    /// The events of a match, the one that was read among them.
    async fn journal(&self, read: &Recorded) -> Result<Vec<Recorded>, journal::Error> {
        let recent = self.reader.recent(read.match_id);
        match recent.filter(|events| events.len() as u64 >= read.sequence.0) {
            Some(events) => Ok(events),
            None => self.reader.events(read.match_id).await,
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(Position, Cell)>> {
        // Nothing that holds this lock can panic half-way, so a poisoned one is sound.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The match after each of its events.
fn snapshots(events: &[Recorded]) -> Result<Vec<Arc<Match>>, journal::Error> {
    let mut all: Vec<Arc<Match>> = Vec::with_capacity(events.len());
    for recorded in events {
        let last = all.last().map(|m| (**m).clone());
        let m = state::apply(last, recorded)
            .map_err(|illegal| journal::Error::Corrupt(illegal.to_string()))?;
        all.push(Arc::new(m));
    }
    Ok(all)
}

fn at(all: &[Arc<Match>], sequence: Sequence) -> Option<Arc<Match>> {
    let index = usize::try_from(sequence.0).ok()?.checked_sub(1)?;
    all.get(index).cloned()
}

impl FollowAll {
    pub(super) fn open(
        inner: Arc<Inner>,
        caller: CallerId,
        filter: Filter,
        after: Place,
        floor: Position,
    ) -> Self {
        let looks = inner.pages.looks.subscribe();
        Self {
            inner,
            caller,
            filter,
            looks,
            page: Arc::default(),
            limit: PAGE_FIRST,
            index: 0,
            after,
            floor,
            silent_since: None,
            over: false,
        }
    }

    /// The next update. It ends only when something is wrong. Safe to drop and call again.
    pub async fn next(&mut self) -> Option<Result<Update, Ended>> {
        if self.over {
            return None;
        }
        loop {
            // Between updates, so that a long stretch that the filter skips isn't silent either.
            if self.is_silent_too_long() {
                return Some(Ok(self.heartbeat()));
            }
            if let Some(entry) = self.next_of_page() {
                self.silent_since = Some(self.inner.clock.now());
                return Some(Ok(Update::Event(entry)));
            }
            if let Err(why) = self.turn_page().await {
                self.over = true;
                return Some(Err(why));
            }
        }
    }

    fn next_of_page(&mut self) -> Option<Arc<Entry>> {
        while let Some(entry) = self.page.entries.get(self.index) {
            self.index += 1;
            self.after = entry.recorded.place();
            if selects(&self.caller, &self.filter, &entry.snapshot) {
                return Some(Arc::clone(entry));
            }
        }
        if self.page.reached.position > self.after.position {
            self.after = self.page.reached;
        }
        None
    }

    /// Takes the next page; where there is none yet, waits for one or for a heartbeat's time.
    async fn turn_page(&mut self) -> Result<(), Ended> {
        // Marked as seen before looking, so that what is written meanwhile wakes again.
        self.looks.mark_unchanged();
        let page = self.inner.pages.after(self.after, self.limit).await?;
        if page.reached.position > self.after.position {
            if page.is_full && self.is_overtaken().await? {
                return Err(Ended::Expired);
            }
            if page.is_full {
                self.limit = PAGE_MAX.min(PAGE_GROWTH * self.limit);
            }
            self.page = page;
            self.index = 0;
            return Ok(());
        }
        let beat = self.silent_since.unwrap_or_default().after(self.inner.config.heartbeat);
        tokio::select! {
            biased;
            // What was read before the goodbye is shown before it.
            changed = self.looks.changed() => changed.map_err(|_| Ended::Draining),
            () = self.inner.closing.cancelled() => Err(Ended::Draining),
            () = self.inner.clock.sleep_until(beat) => Ok(()),
        }
    }

    /// Whether retention has erased, since the stream began, what this slow reader has yet to see.
    async fn is_overtaken(&self) -> Result<bool, Ended> {
        let floor = self.inner.reader.floor().await?;
        Ok(floor > self.floor && self.after.position < floor)
    }

    fn is_silent_too_long(&self) -> bool {
        let heartbeat = self.inner.config.heartbeat;
        let now = self.inner.clock.now();
        self.silent_since.is_none_or(|since| since.after(heartbeat) <= now)
    }

    /// Its token stands for everything passed, filtered or not.
    fn heartbeat(&mut self) -> Update {
        let time = self.inner.clock.now();
        self.silent_since = Some(time);
        Update::Heartbeat { m: None, place: Some(self.after), time }
    }
}

/// Whether a stream shows the updates of a match: its caller's, of the folder, with all labels.
fn selects(caller: &CallerId, filter: &Filter, m: &Match) -> bool {
    let spec = &m.spec;
    spec.caller == *caller
        && filter.folder_id.is_none_or(|folder| folder == spec.folder_id)
        && filter.labels.iter().all(|(key, value)| spec.labels.get(key) == Some(value))
}
