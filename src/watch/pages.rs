//! Pages of all events, for streams of many matches: each page is read once (single flight) for all
//! streams at the same cursor, and kept as long as memory allows.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use tokio::sync::{OnceCell, Semaphore, watch};

use crate::{
    domain::{Cursor, Match, MatchId, Position, Recorded, state},
    journal::{self, Reader},
    sync::lock,
    watch::Entry,
};

/// How much memory shared pages may take, in bytes. The oldest pages are evicted first.
const SHARED_BYTES_MAX: usize = 8 << 20;
/// How much memory all pages may take, in bytes, before a stream drops its page as soon as it has
/// the next update; it reads the page again unless the page is still shared. Without that limit,
/// thousands of stalled streams would hold as many pages.
const HELD_BYTES_MAX: usize = 32 << 20;
/// How much memory all pages may take, in bytes, while streams still read larger ones. A thousand
/// streams that catch up at different cursors find room for small pages, and none is read twice.
const GROWTH_BYTES_MAX: usize = 6 << 20;
/// About how many bytes an event takes in a page beside its labels: with its snapshot and its
/// encoded form.
pub(super) const EVENT_BYTES: usize = 1024;
/// How often a label is in a page: in the snapshot, and in the encoded form.
const LABEL_COPIES: usize = 2;
/// How many events a stream may be behind before it shares permits with the other streams that
/// catch up: two seconds of a thousand matches a second, which the journal's cache mostly has.
pub(super) const BEHIND_MAX: u64 = 8192;
/// How many streams that are further behind read at once. The store has as many connections for
/// them, and as many for streams near the head. So however many streams begin at the oldest update,
/// live streams always find a connection, and none waits for one until the store times out.
pub(super) const CATCHING_UP_MAX: usize = 1;
/// How many streams near the head read at once. Most are at the same cursor and share a page.
const NEAR_MAX: usize = 1;

/// Some events in the journal's order, and the cursor up to which they reach.
#[derive(Default)]
pub(super) struct PageOfAll {
    pub entries: Vec<Arc<Entry>>,
    pub reached: Cursor,
    pub is_full: bool,
    /// The journal's floor when the page was read; `None` if no event is missing.
    pub floor: Option<Position>,
    memory: PageMemory,
}

impl PageOfAll {
    /// About how much memory each of its events takes.
    pub fn event_bytes(&self) -> usize {
        self.memory.bytes / self.entries.len().max(1)
    }
}

/// About how much memory a page takes, counted in a sum for as long as the page exists.
#[derive(Default)]
struct PageMemory {
    bytes: usize,
    all: Arc<AtomicUsize>,
}

impl PageMemory {
    fn take(bytes: usize, all: &Arc<AtomicUsize>) -> Self {
        all.fetch_add(bytes, Ordering::Relaxed);
        Self { bytes, all: Arc::clone(all) }
    }
}

impl Drop for PageMemory {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

type Cell = Arc<OnceCell<Arc<PageOfAll>>>;

/// The pages, and the semaphores for reading them.
pub(super) struct Pages {
    reader: Arc<dyn Reader>,
    kept: Mutex<VecDeque<(Position, Cell)>>,
    pub looks: watch::Sender<()>,
    /// The memory of all pages that are shared here or held by streams.
    pub bytes: Arc<AtomicUsize>,
    pub limits: PageLimits,
    /// The position up to which the tail has read the journal.
    reached: AtomicU64,
    pub catching_up: Semaphore,
    near: Semaphore,
}

/// How much memory pages may take, in bytes.
#[derive(Clone, Copy)]
pub(super) struct PageLimits {
    pub shared: usize,
    pub held: usize,
    pub growth: usize,
}

pub(super) const LIMITS: PageLimits =
    PageLimits { shared: SHARED_BYTES_MAX, held: HELD_BYTES_MAX, growth: GROWTH_BYTES_MAX };

impl Pages {
    pub fn new(reader: Arc<dyn Reader>) -> Self {
        Self {
            reader,
            kept: Mutex::default(),
            looks: watch::Sender::new(()),
            bytes: Arc::default(),
            limits: LIMITS,
            reached: AtomicU64::new(0),
            catching_up: Semaphore::new(CATCHING_UP_MAX),
            near: Semaphore::new(NEAR_MAX),
        }
    }

    /// Signals new events, up to a position. A read already in flight may miss them, so pages that
    /// it finds empty are not kept.
    pub fn signal(&self, reached: Position) {
        self.reached.store(reached.0, Ordering::Relaxed);
        let is_something = |start: &Position, cell: &Cell| {
            cell.get().is_some_and(|page| page.reached.position > *start)
        };
        self.lock().retain(|(start, cell)| is_something(start, cell));
        self.looks.send_replace(());
    }

    /// Drops all shared pages, since events on them may have been erased.
    pub fn forget(&self) {
        self.lock().clear();
    }

    /// The page after a cursor. It has up to `limit` events, unless another stream has read it
    /// already with a limit of its own.
    pub async fn after(
        &self,
        place: Cursor,
        limit: usize,
    ) -> Result<Arc<PageOfAll>, journal::Error> {
        let cell = self.cell(place.position);
        let page = cell.get_or_try_init(|| self.read(place, limit)).await?;
        if page.reached.position == place.position {
            // An empty page isn't shared: the next call has to read again.
            self.lock().retain(|(_, kept)| !Arc::ptr_eq(kept, &cell));
        }
        self.evict();
        Ok(Arc::clone(page))
    }

    /// Evicts the oldest shared pages beyond the memory limit.
    fn evict(&self) {
        let mut kept = self.lock();
        // Each cell is read once, as its page may arrive meanwhile: the reading stream evicts then.
        let bytes = kept.iter().map(|(_, cell)| cell.get().map_or(0, |page| page.memory.bytes));
        let bytes: Vec<usize> = bytes.collect();
        let mut sum: usize = bytes.iter().sum();
        let oldest = bytes.iter().take_while(|bytes| {
            let is_too_much = sum > self.limits.shared;
            sum -= if is_too_much { **bytes } else { 0 };
            is_too_much
        });
        let oldest = oldest.count();
        kept.drain(..oldest);
    }

    fn cell(&self, position: Position) -> Cell {
        let mut kept = self.lock();
        if let Some((_, cell)) = kept.iter().find(|(start, _)| *start == position) {
            return Arc::clone(cell);
        }
        let cell = Cell::default();
        kept.push_back((position, Arc::clone(&cell)));
        cell
    }

    async fn read(&self, after: Cursor, limit: usize) -> Result<Arc<PageOfAll>, journal::Error> {
        let permits = if self.is_far_behind(after) { &self.catching_up } else { &self.near };
        // These semaphores are never closed.
        let permit = permits.acquire().await.ok();
        let journal::EventPage { events, floor } = self.reader.page(after.position, limit).await?;
        drop(permit);
        let is_new = |recorded: &&Recorded| recorded.position > after.position;
        let reached = events.last().filter(is_new).map_or(after, Recorded::place);
        let is_full = events.iter().rev().take_while(is_new).count() == limit;
        let entries = shown(events, after.position);
        let bytes = entries.iter().map(|entry| EVENT_BYTES + label_bytes(&entry.snapshot)).sum();
        let memory = PageMemory::take(bytes, &self.bytes);
        Ok(Arc::new(PageOfAll { entries, reached, is_full, floor, memory }))
    }

    pub fn is_far_behind(&self, place: Cursor) -> bool {
        self.reached.load(Ordering::Relaxed).saturating_sub(place.position.0) > BEHIND_MAX
    }

    /// Whether streams may hold their pages.
    pub fn may_be_held(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) <= self.limits.held
    }

    /// Whether streams may read larger pages.
    pub fn may_grow(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) <= self.limits.growth
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(Position, Cell)>> {
        lock(&self.kept)
    }
}

/// How much memory the labels of a match take in a page.
fn label_bytes(m: &Match) -> usize {
    let labels: usize = m.spec.labels.iter().map(|(key, value)| key.len() + value.len()).sum();
    LABEL_COPIES * labels
}

/// The events after a position, each with its match. A match whose earlier events are missing was
/// erased meanwhile, and is skipped. So is a match whose events don't fold: it mustn't stop the
/// stream of all others.
fn shown(events: Vec<Recorded>, after: Position) -> Vec<Arc<Entry>> {
    let mut matches: HashMap<MatchId, Arc<Match>> = HashMap::new();
    let mut entries = Vec::with_capacity(events.len());
    for recorded in events {
        let before = matches.remove(&recorded.match_id).map(Arc::unwrap_or_clone);
        let snapshot = match state::apply(before, &recorded) {
            Ok(snapshot) => snapshot,
            Err(illegal) => {
                tracing::debug!(match.id = %recorded.match_id, %illegal, "match skipped by a page");
                continue;
            }
        };
        let snapshot = Arc::new(snapshot);
        matches.insert(recorded.match_id, Arc::clone(&snapshot));
        if recorded.position > after {
            entries.push(Arc::new(Entry::new(recorded, snapshot)));
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::{
        clock::Clock,
        journal::{
            Writer,
            memory::{Memory as Journal, Store},
            suite::facts::{START, match_id, plain_spec},
        },
        watch::all::PAGE_FIRST,
    };

    #[tokio::test]
    async fn streams_far_behind_share_permits_and_do_not_delay_the_others() {
        let at = |position| Cursor { position: Position(position), incarnation: 0 };
        let (clock, _hand) = Clock::manual(START);
        let journal = Journal::open(Arc::new(Mutex::new(Store::new(7))), clock);
        let head = BEHIND_MAX + 100;
        for n in 0..head {
            journal.admit(match_id(0, n), Arc::new(plain_spec())).await.unwrap();
        }
        let pages = Pages::new(Arc::new(journal));
        pages.signal(Position(head));
        let permits = CATCHING_UP_MAX.try_into().unwrap();
        let others = pages.catching_up.acquire_many(permits).await.unwrap();
        let mut behind = Box::pin(pages.after(at(3), PAGE_FIRST));
        assert!((&mut behind).now_or_never().is_none());
        let live = pages.after(at(head - BEHIND_MAX), PAGE_FIRST).await.unwrap();
        assert_eq!(live.entries.len(), PAGE_FIRST);
        assert!((&mut behind).now_or_never().is_none());
        drop(others);
        assert_eq!(behind.await.unwrap().entries.len(), PAGE_FIRST);
    }
}
