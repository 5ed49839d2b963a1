//! A stream of many matches' updates, in the journal's order, resumable by token.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry as MapEntry},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use futures_util::FutureExt;
use tokio::sync::{OnceCell, Semaphore, watch};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    domain::{CallerId, Match, MatchId, Place, Position, Recorded, Sequence, Timestamp, state},
    journal::{self, Filter, Reader},
    watch::{Ended, Entry, Inner, Update},
};

/// How many events a stream reads at first: each match among them costs a look at its journal, and
/// whoever is cut off again and again reads none in vain.
const PAGE_FIRST: usize = 8;
/// How many it reads where pages take too much memory for it to hold one: what it reads beyond the
/// next update it would read again.
const PAGE_UNHELD: usize = 1;
/// How many times more after each full page: who reads on has much to read.
const PAGE_GROWTH: usize = 4;
/// How many at most: so many are read from the store at once.
const PAGE_MAX: usize = 256;
/// How much memory the pages take that are kept for streams at the same place. The oldest go first.
const SHARED_BYTES_MAX: usize = 8 << 20;
/// How much memory all pages may take before a stream holds its own no longer than until the next
/// update is found: it reads it again if it isn't kept for others. Without that, thousands of
/// stalled streams would hold as many pages.
const HELD_BYTES_MAX: usize = 32 << 20;
/// How much all pages may take for streams to read larger ones. A thousand streams that catch up
/// at different places find room for small pages, and none is read twice.
const GROWTH_BYTES_MAX: usize = 6 << 20;
/// About what an event takes in a page beside its labels: with its snapshot and its encoded form.
const EVENT_BYTES: usize = 1024;
/// How often a label is in a page: in the snapshot, and in the encoded form.
const LABEL_COPIES: usize = 2;
/// How many events a stream may be behind before it takes turns with others to read the store:
/// half of what the journal keeps in memory, which costs no statement.
const BEHIND_MAX: u64 = 512;
/// How many streams that are further behind read at once: half of the journal's readers, so that
/// look-ups and live streams always find one, however many begin at the oldest update.
const CATCHING_UP_MAX: usize = 2;

/// The updates of all matches of a caller that a filter selects, after a position.
pub struct FollowAll {
    inner: Arc<Inner>,
    caller: CallerId,
    filter: Filter,
    looks: watch::Receiver<()>,
    /// The page that it reads, as long as it is kept.
    page: Weak<PageOfAll>,
    /// The same page, unless pages take too much memory.
    held: Option<Arc<PageOfAll>>,
    /// The page that is being read or waits for its turn, which isn't lost by a heartbeat meanwhile.
    /// It has a task of its own: a stream whose reader makes no room for the heartbeat isn't polled,
    /// and would keep others from the page, and its turn.
    turning: Option<Turning>,
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
    memory: Memory,
}

/// About how much memory a page takes, counted as long as it is there.
#[derive(Default)]
struct Memory {
    bytes: usize,
    all: Arc<AtomicUsize>,
}

impl Memory {
    fn take(bytes: usize, all: &Arc<AtomicUsize>) -> Self {
        all.fetch_add(bytes, Ordering::Relaxed);
        Self { bytes, all: Arc::clone(all) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

type Turning = AbortOnDropHandle<Result<Arc<PageOfAll>, journal::Error>>;
type Cell = Arc<OnceCell<Arc<PageOfAll>>>;

/// The pages that streams read: each is read once for all that stand at its beginning.
pub(super) struct Pages {
    reader: Arc<dyn Reader>,
    kept: Mutex<VecDeque<(Position, Cell)>>,
    looks: watch::Sender<()>,
    /// Of all pages that are kept here or held by streams.
    bytes: Arc<AtomicUsize>,
    limits: Limits,
    /// How far the journal has been read by the follower.
    reached: AtomicU64,
    catching_up: Semaphore,
}

/// How much memory pages may take, in bytes.
#[derive(Clone, Copy)]
struct Limits {
    shared: usize,
    held: usize,
    growth: usize,
}

const LIMITS: Limits =
    Limits { shared: SHARED_BYTES_MAX, held: HELD_BYTES_MAX, growth: GROWTH_BYTES_MAX };

impl Pages {
    pub(super) fn new(reader: Arc<dyn Reader>) -> Self {
        Self {
            reader,
            kept: Mutex::default(),
            looks: watch::Sender::new(()),
            bytes: Arc::default(),
            limits: LIMITS,
            reached: AtomicU64::new(0),
            catching_up: Semaphore::new(CATCHING_UP_MAX),
        }
    }

    /// Signals new events, up to a position. A read already in flight may miss them, so pages that
    /// it finds empty are not kept.
    pub(super) fn look(&self, reached: Position) {
        self.reached.store(reached.0, Ordering::Relaxed);
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
        self.evict();
        Ok(Arc::clone(page))
    }

    /// Drops the oldest of the pages that are kept, as far as they take too much memory.
    fn evict(&self) {
        let mut kept = self.lock();
        // Looked at once: a page that comes meanwhile is counted by the stream that read it.
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

    async fn read(&self, after: Place, limit: usize) -> Result<Arc<PageOfAll>, journal::Error> {
        // Nothing closes it.
        let _turn = match self.is_far_behind(after) {
            true => self.catching_up.acquire().await.ok(),
            false => None,
        };
        let events = self.reader.tail(after.position, limit).await?;
        let reached = events.last().map_or(after, Recorded::place);
        let is_full = events.len() == limit;
        let mut journals: HashMap<MatchId, Vec<Arc<Match>>> = HashMap::new();
        let mut entries = Vec::with_capacity(events.len());
        let mut bytes = EVENT_BYTES * events.len();
        for recorded in events {
            let journal = match journals.entry(recorded.match_id) {
                MapEntry::Occupied(known) => known.into_mut(),
                MapEntry::Vacant(slot) => slot.insert(snapshots(&self.journal(&recorded).await?)?),
            };
            // A match that was erased meanwhile is skipped.
            if let Some(snapshot) = at(journal, recorded.sequence) {
                bytes += label_bytes(&snapshot);
                entries.push(Arc::new(Entry::new(recorded, snapshot)));
            }
        }
        let memory = Memory::take(bytes, &self.bytes);
        Ok(Arc::new(PageOfAll { entries, reached, is_full, memory }))
    }

    fn is_far_behind(&self, place: Place) -> bool {
        self.reached.load(Ordering::Relaxed).saturating_sub(place.position.0) > BEHIND_MAX
    }

    /// The events of a match, the one that was read among them.
    async fn journal(&self, read: &Recorded) -> Result<Vec<Recorded>, journal::Error> {
        let recent = self.reader.recent(read.match_id);
        match recent.filter(|events| events.len() as u64 >= read.sequence.0) {
            Some(events) => Ok(events),
            None => self.reader.events(read.match_id).await,
        }
    }

    /// Whether streams may hold their pages.
    fn may_be_held(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) <= self.limits.held
    }

    /// Whether streams may read larger pages.
    fn may_grow(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) <= self.limits.growth
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(Position, Cell)>> {
        // Nothing that holds this lock can panic half-way, so a poisoned one is sound.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How much memory the labels of a match take in a page.
fn label_bytes(m: &Match) -> usize {
    let labels: usize = m.spec.labels.iter().map(|(key, value)| key.len() + value.len()).sum();
    LABEL_COPIES * labels
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
            page: Weak::new(),
            held: None,
            turning: None,
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
        // In hand until the next update is found, so that each page that is read brings one nearer.
        let mut page = self.present_page();
        // Its first sign of life says where it stands, before anything is read.
        if self.silent_since.is_none() {
            return Some(Ok(self.heartbeat()));
        }
        loop {
            if let Some(entry) = page.as_deref().and_then(|page| self.next_of(page)) {
                self.silent_since = Some(self.inner.clock.now());
                self.held = page.filter(|_| self.inner.pages.may_be_held());
                return Some(Ok(Update::Event(entry)));
            }
            // Between pages, so that a long stretch that the filter skips isn't silent either. Never
            // before an update that is in hand: it is a sign of life as well.
            if self.is_silent_too_long() {
                return Some(Ok(self.heartbeat()));
            }
            // Not held while the stream waits.
            drop(page.take());
            match self.turn_page().await {
                Ok(turned) => page = turned,
                Err(why) => {
                    self.over = true;
                    return Some(Err(why));
                }
            }
        }
    }

    /// The page that the stream reads. A stream whose page was dropped meanwhile reads small pages
    /// again, since the next one may be dropped as well.
    fn present_page(&mut self) -> Option<Arc<PageOfAll>> {
        let page = self.held.take().or_else(|| self.page.upgrade());
        if page.is_none() && self.turning.is_none() {
            self.limit = PAGE_FIRST;
        }
        page
    }

    fn next_of(&mut self, page: &PageOfAll) -> Option<Arc<Entry>> {
        while let Some(entry) = page.entries.get(self.index) {
            self.index += 1;
            self.after = entry.recorded.place();
            if selects(&self.caller, &self.filter, &entry.snapshot) {
                return Some(Arc::clone(entry));
            }
        }
        if page.reached.position > self.after.position {
            self.after = page.reached;
        }
        None
    }

    /// The next page; where there is none yet, nothing, once there may be one or it is time for a
    /// heartbeat.
    async fn turn_page(&mut self) -> Result<Option<Arc<PageOfAll>>, Ended> {
        let Some(page) = self.read_page().await? else { return Ok(None) };
        if page.reached.position > self.after.position {
            if page.is_full && self.is_overtaken().await? {
                return Err(Ended::Expired);
            }
            if page.is_full && self.inner.pages.may_grow() {
                self.limit = PAGE_MAX.min(PAGE_GROWTH * self.limit);
            }
            self.page = Arc::downgrade(&page);
            self.index = 0;
            return Ok(Some(page));
        }
        let beat = self.beat();
        tokio::select! {
            biased;
            // What was read before the goodbye is shown before it.
            changed = self.looks.changed() => changed.map_err(|_| Ended::Draining)?,
            () = self.inner.closing.cancelled() => return Err(Ended::Draining),
            () = self.inner.clock.sleep_until(beat) => {}
        }
        Ok(None)
    }

    /// What follows, which may be an empty page; nothing when it is time for a heartbeat first.
    async fn read_page(&mut self) -> Result<Option<Arc<PageOfAll>>, Ended> {
        let is_far_behind = self.inner.pages.is_far_behind(self.after);
        let beat = self.beat();
        let turning = match &mut self.turning {
            Some(turning) => turning,
            none => {
                // Marked as seen before looking, so that what is written meanwhile wakes again.
                self.looks.mark_unchanged();
                let limit = if self.inner.pages.may_be_held() { self.limit } else { PAGE_UNHELD };
                let (inner, after) = (Arc::clone(&self.inner), self.after);
                let mut reading = async move { inner.pages.after(after, limit).await }.boxed();
                // Nearly all pages are there at once, and need no task.
                if let Some(page) = (&mut reading).now_or_never() {
                    return Ok(Some(page?));
                }
                none.insert(AbortOnDropHandle::new(self.inner.tasks.spawn(reading)))
            }
        };
        let page = tokio::select! {
            biased;
            page = turning => page,
            // A stream near the head shows what was read before the server's goodbye.
            () = self.inner.closing.cancelled(), if is_far_behind => return Err(Ended::Draining),
            () = self.inner.clock.sleep_until(beat) => return Ok(None),
        };
        self.turning = None;
        // The task doesn't panic, and only a stream that is dropped aborts it.
        Ok(Some(page.map_err(|_| Ended::Draining)??))
    }

    /// Whether retention has erased, since the stream began, what this slow reader has yet to see.
    async fn is_overtaken(&mut self) -> Result<bool, Ended> {
        let floor = self.inner.reader.floor().await?;
        Ok(floor > self.floor && self.after.position < floor)
    }

    /// When it has been silent for too long.
    fn beat(&self) -> Timestamp {
        self.silent_since.unwrap_or_default().after(self.inner.config.heartbeat)
    }

    fn is_silent_too_long(&self) -> bool {
        self.beat() <= self.inner.clock.now()
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt;

    use super::*;
    use crate::{
        clock::{Clock, Hand},
        journal::{
            Writer,
            memory::{Memory as Journal, Store},
            suite::facts::{START, match_id, plain_spec},
        },
        outage::Outage,
        watch::{Config, Watch},
    };

    const MATCHES: u64 = 100;

    const HEARTBEAT: Duration = Duration::from_secs(20);

    /// A watch over a journal of accepted matches.
    async fn watch(limits: Limits) -> Watch {
        watch_of(MATCHES, limits).await.0
    }

    async fn watch_of(matches: u64, limits: Limits) -> (Watch, Hand) {
        let (clock, hand) = Clock::manual(START);
        let journal = Journal::open(Arc::new(Mutex::new(Store::new(7))), clock.clone());
        for n in 0..matches {
            journal.admit(match_id(0, n), Arc::new(plain_spec())).await.unwrap();
        }
        let config = Config { heartbeat: HEARTBEAT };
        let store = Outage::new("the store", clock.clone());
        let Watch(mut inner) = Watch::new(config, Arc::new(journal), store, clock);
        let pages = &mut Arc::get_mut(&mut inner).expect("it has no clone yet").pages;
        pages.limits = limits;
        pages.look(Position(matches));
        (Watch(inner), hand)
    }

    async fn follow(watch: &Watch) -> FollowAll {
        let filter = Filter::default();
        watch.follow_all(plain_spec().caller, filter, "earliest").await.unwrap()
    }

    /// The match of the next update; none of the first message, which is a heartbeat.
    async fn next(stream: &mut FollowAll) -> Option<MatchId> {
        match stream.next().await.expect("the stream goes on").unwrap() {
            Update::Event(entry) => Some(entry.recorded.match_id),
            Update::Progress { .. } | Update::Heartbeat { .. } => None,
        }
    }

    fn bytes(watch: &Watch) -> usize {
        watch.0.pages.bytes.load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn streams_whose_pages_are_dropped_miss_nothing_and_repeat_nothing() {
        for held in [0, 5 * PAGE_FIRST * EVENT_BYTES] {
            let watch = watch(Limits { shared: 0, held, growth: 0 }).await;
            let all: Vec<_> = (0..MATCHES).map(|n| match_id(0, n)).collect();
            let mut streams = Vec::new();
            for ahead in 0..10 {
                let (mut stream, mut seen) = (follow(&watch).await, Vec::new());
                for _ in 0..=9 * ahead {
                    seen.extend(next(&mut stream).await);
                }
                streams.push((stream, seen));
            }
            while streams.iter().any(|(_, seen)| seen.len() < all.len()) {
                for (stream, seen) in &mut streams {
                    if seen.len() < all.len() {
                        seen.extend(next(stream).await);
                    }
                }
            }
            for (mut stream, seen) in streams {
                assert_eq!(seen, all);
                assert!(next(&mut stream).now_or_never().is_none(), "there is nothing more");
            }
            assert_eq!(bytes(&watch), 0, "a page stays without a stream");
        }
    }

    #[tokio::test]
    async fn the_pages_of_streams_at_different_places_take_bounded_memory() {
        const PAGE_BYTES: usize = PAGE_FIRST * EVENT_BYTES;
        let limits = Limits { shared: 2 * PAGE_BYTES, held: 5 * PAGE_BYTES, growth: 0 };
        let watch = watch(limits).await;
        let mut streams = Vec::new();
        for start in 0..MATCHES - 1 {
            let mut stream = follow(&watch).await;
            stream.after.position = Position(start);
            while next(&mut stream).await.is_none() {}
            streams.push(stream);
            let most = limits.held + limits.shared + PAGE_BYTES;
            assert!(bytes(&watch) <= most, "{} bytes of {} streams", bytes(&watch), start + 1);
        }
        drop(streams);
        assert!(bytes(&watch) <= limits.shared);
    }

    #[tokio::test]
    async fn streams_that_are_far_behind_take_turns_and_the_others_don_t_wait_for_them() {
        let at = |position| Place { position: Position(position), incarnation: 0 };
        let (clock, _hand) = Clock::manual(START);
        let journal = Journal::open(Arc::new(Mutex::new(Store::new(7))), clock);
        let head = BEHIND_MAX + 100;
        for n in 0..head {
            journal.admit(match_id(0, n), Arc::new(plain_spec())).await.unwrap();
        }
        let pages = Pages::new(Arc::new(journal));
        pages.look(Position(head));
        let turns = CATCHING_UP_MAX.try_into().unwrap();
        let others = pages.catching_up.acquire_many(turns).await.unwrap();
        let mut behind = Box::pin(pages.after(at(3), PAGE_FIRST));
        assert!((&mut behind).now_or_never().is_none());
        let live = pages.after(at(head - BEHIND_MAX), PAGE_FIRST).await.unwrap();
        assert_eq!(live.entries.len(), PAGE_FIRST);
        assert!((&mut behind).now_or_never().is_none());
        drop(others);
        assert_eq!(behind.await.unwrap().entries.len(), PAGE_FIRST);
    }

    #[tokio::test]
    async fn a_stream_that_waits_for_its_turn_beats_and_keeps_its_turn() {
        let (watch, hand) = watch_of(BEHIND_MAX + 100, LIMITS).await;
        let pages = &watch.0.pages;
        let turns = CATCHING_UP_MAX.try_into().unwrap();
        let others = pages.catching_up.acquire_many(turns).await.unwrap();
        let mut streams = [follow(&watch).await, follow(&watch).await];
        streams[1].after.position = Position(1);
        for stream in &mut streams {
            assert_eq!(next(stream).await, None);
            assert!(next(stream).now_or_never().is_none(), "it waits for its turn");
        }
        // A later stream has a later turn.
        let mut late = Box::pin(pages.catching_up.acquire_many(turns));
        assert!((&mut late).now_or_never().is_none());
        for _ in 0..3 {
            hand.advance(HEARTBEAT);
            for stream in &mut streams {
                assert_eq!(next(stream).now_or_never(), Some(None), "a heartbeat in time");
                assert!(next(stream).now_or_never().is_none(), "and no other before its time");
            }
        }
        drop(others);
        assert!((&mut late).now_or_never().is_none());
        for (stream, first) in streams.iter_mut().zip(0..) {
            assert_eq!(next(stream).await, Some(match_id(0, first)));
        }
        assert!(late.now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_stream_that_is_not_polled_after_its_heartbeat_keeps_no_other_waiting() {
        let (watch, hand) = watch_of(BEHIND_MAX + 100, LIMITS).await;
        let pages = &watch.0.pages;
        let turns = CATCHING_UP_MAX.try_into().unwrap();
        let others = pages.catching_up.acquire_many(turns).await.unwrap();
        // As many as there are turns, and one more at the place of the first.
        let mut stuck = Vec::new();
        for place in 0..CATCHING_UP_MAX as u64 {
            let mut stream = follow(&watch).await;
            stream.after.position = Position(place);
            assert_eq!(next(&mut stream).await, None);
            assert!(next(&mut stream).now_or_never().is_none());
            stuck.push(stream);
        }
        let mut reader = follow(&watch).await;
        assert_eq!(next(&mut reader).await, None);
        assert!(next(&mut reader).now_or_never().is_none());
        hand.advance(HEARTBEAT);
        for stream in &mut stuck {
            assert_eq!(next(stream).now_or_never(), Some(None), "their reader takes no more");
        }
        drop(others);
        while next(&mut reader).await.is_none() {}
        let free = tokio::time::timeout(HEARTBEAT, pages.catching_up.acquire_many(turns)).await;
        assert!(free.is_ok(), "they keep their turns");
    }

    #[tokio::test]
    async fn a_stream_that_waits_for_its_turn_hears_of_the_drain() {
        let (watch, _hand) = watch_of(BEHIND_MAX + 100, LIMITS).await;
        let turns = CATCHING_UP_MAX.try_into().unwrap();
        let _others = watch.0.pages.catching_up.acquire_many(turns).await.unwrap();
        let mut stream = follow(&watch).await;
        assert_eq!(next(&mut stream).await, None);
        assert!(next(&mut stream).now_or_never().is_none());
        watch.0.closing.cancel();
        let told = stream.next().await.expect("it says so");
        assert!(matches!(told, Err(Ended::Draining)), "{told:?}");
    }
}
