//! A stream of the updates of many matches, in the journal's order, resumable by token.
//!
//! It deliberately has no buffer of its own: streams at the same cursor share a page (`pages.rs`).

use std::sync::{Arc, Weak};

use futures_util::FutureExt;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::{
    domain::{Cursor, Match, Position, TenantId, Timestamp},
    journal::{self, Filter},
    metrics::{Invariant, OpenStream, StreamKind},
    watch::{Ended, Entry, Update, WatchInner, pages::PageOfAll},
};

/// How many events a stream's first page has. It is small since the earlier events of their matches
/// are read as well, and a stream that is cut off again and again reads them in vain.
pub(super) const PAGE_FIRST: usize = 8;
/// How many events a page has while pages take too much memory for a stream to hold its own: events
/// beyond the next update would be read again.
const PAGE_UNHELD: usize = 1;
/// By which factor the page grows after each full one: a stream that fills its page is behind.
const PAGE_GROWTH: usize = 4;
/// How many events a page has at most: one statement reads that many in some milliseconds. With a
/// round trip of 2 ms that is far more than a thousand matches a second write.
const PAGE_MAX: usize = 1024;
/// How much memory a page may take, in bytes, estimated from the previous page's bytes per event.
const PAGE_BYTES_MAX: usize = 1 << 20;

/// The updates of all matches of a tenant that a filter selects, after a position.
pub struct FollowAll {
    inner: Arc<WatchInner>,
    tenant: TenantId,
    filter: Filter,
    looks: watch::Receiver<()>,
    /// The current page, for as long as it is kept.
    page: Weak<PageOfAll>,
    /// The same page, held by this stream unless pages take too much memory.
    held: Option<Arc<PageOfAll>>,
    /// The read of the next page, which a heartbeat in the meantime doesn't cancel. It is a task of
    /// its own: a stalled stream isn't polled, and would otherwise keep the permit, and keep other
    /// streams from the page.
    reading: Option<ReadTask>,
    /// How many events the next page may have.
    limit: usize,
    index: usize,
    after: Cursor,
    /// The journal's floor when the stream began.
    floor: Position,
    /// `None` before the first message, which is sent at once.
    silent_since: Option<Timestamp>,
    /// When the stream was opened: later updates are live.
    opened: Timestamp,
    _open: OpenStream,
    over: bool,
}

type ReadTask = AbortOnDropHandle<Result<Arc<PageOfAll>, journal::Error>>;

impl FollowAll {
    pub(super) fn open(
        inner: Arc<WatchInner>,
        tenant: TenantId,
        filter: Filter,
        after: Cursor,
        floor: Position,
    ) -> Self {
        let looks = inner.pages.looks.subscribe();
        let (opened, _open) = (inner.clock.now(), inner.metrics.opened(StreamKind::All));
        Self {
            inner,
            tenant,
            filter,
            looks,
            page: Weak::new(),
            held: None,
            reading: None,
            limit: PAGE_FIRST,
            index: 0,
            after,
            floor,
            silent_since: None,
            opened,
            _open,
            over: false,
        }
    }

    /// The next update. The stream ends only with an error. Cancel-safe: it may be dropped and
    /// called again.
    pub async fn next(&mut self) -> Option<Result<Update, Ended>> {
        if self.over {
            return None;
        }
        // Held until the next update is found, so that each page that is read makes progress.
        let mut page = self.present_page();
        // The first message is a heartbeat with the stream's cursor, before anything is read.
        if self.silent_since.is_none() {
            return Some(Ok(self.heartbeat()));
        }
        loop {
            if let Some(entry) = page.as_deref().and_then(|page| self.next_of(page)) {
                let now = self.inner.clock.now();
                self.inner.note_sent(&entry, self.opened, now);
                self.silent_since = Some(now);
                self.held = page.filter(|_| self.inner.pages.may_be_held());
                return Some(Ok(Update::Event(entry)));
            }
            // Checked between pages, so that the stream isn't silent while the filter skips many
            // events. An update that is ready is sent first: it is a sign of life as well.
            if self.is_silent_too_long() {
                return Some(Ok(self.heartbeat()));
            }
            // The page isn't held while the stream waits.
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

    /// The current page, if it is still there. A stream whose page was dropped starts again with a
    /// small page, since the next one may be dropped as well.
    fn present_page(&mut self) -> Option<Arc<PageOfAll>> {
        let page = self.held.take().or_else(|| self.page.upgrade());
        if page.is_none() && self.reading.is_none() {
            self.limit = PAGE_FIRST;
        }
        page
    }

    fn next_of(&mut self, page: &PageOfAll) -> Option<Arc<Entry>> {
        while let Some(entry) = page.entries.get(self.index) {
            self.index += 1;
            let goes_on = entry.recorded.position > self.after.position;
            self.inner.invariants.check(Invariant::PositionOrder, goes_on);
            self.after = entry.recorded.place();
            if selects(&self.tenant, &self.filter, &entry.snapshot) {
                return Some(Arc::clone(entry));
            }
        }
        if page.reached.position > self.after.position {
            self.after = page.reached;
        }
        None
    }

    /// The next page. If there are no new events yet, it waits, and returns `None` once there may
    /// be some or a heartbeat is due.
    async fn turn_page(&mut self) -> Result<Option<Arc<PageOfAll>>, Ended> {
        let Some(page) = self.read_page().await? else { return Ok(None) };
        if page.reached.position > self.after.position {
            if self.is_overtaken(&page) {
                return Err(Ended::Expired);
            }
            if page.is_full && self.inner.pages.may_grow() {
                let fitting = PAGE_BYTES_MAX / page.event_bytes().max(1);
                self.limit = PAGE_MAX.min(PAGE_GROWTH * self.limit).min(fitting.max(PAGE_FIRST));
            }
            self.page = Arc::downgrade(&page);
            self.index = 0;
            return Ok(Some(page));
        }
        let beat = self.beat();
        tokio::select! {
            biased;
            // Events that were read before the drain ends are shown before the stream does.
            changed = self.looks.changed() => changed.map_err(|_| Ended::Draining)?,
            () = self.inner.closing.cancelled() => return Err(Ended::Draining),
            () = self.inner.clock.sleep_until(beat) => {}
        }
        Ok(None)
    }

    /// Reads the next page, which may be empty. `None` if a heartbeat is due before it is read.
    async fn read_page(&mut self) -> Result<Option<Arc<PageOfAll>>, Ended> {
        let is_far_behind = self.inner.pages.is_far_behind(self.after);
        let beat = self.beat();
        let turning = match &mut self.reading {
            Some(turning) => turning,
            none => {
                // Marked as seen before reading, so that a write in the meantime wakes the stream.
                self.looks.mark_unchanged();
                let limit = if self.inner.pages.may_be_held() { self.limit } else { PAGE_UNHELD };
                let (inner, after) = (Arc::clone(&self.inner), self.after);
                let mut reading = async move { inner.pages.after(after, limit).await }.boxed();
                // Nearly all pages are ready at once, and need no task.
                if let Some(page) = (&mut reading).now_or_never() {
                    return Ok(Some(page?));
                }
                none.insert(AbortOnDropHandle::new(self.inner.tasks.spawn(reading)))
            }
        };
        let page = tokio::select! {
            biased;
            page = turning => page,
            // A stream near the head still shows the events that were read before the drain ended.
            () = self.inner.closing.cancelled(), if is_far_behind => return Err(Ended::Draining),
            () = self.inner.clock.sleep_until(beat) => return Ok(None),
        };
        self.reading = None;
        // The task doesn't panic, and only the drop of the stream aborts it.
        Ok(Some(page.map_err(|_| Ended::Draining)??))
    }

    /// Whether retention has erased, since the stream began, events that it has yet to read.
    fn is_overtaken(&self, page: &PageOfAll) -> bool {
        page.floor.is_some_and(|floor| floor > self.floor && self.after.position < floor)
    }

    /// When the next heartbeat is due.
    fn beat(&self) -> Timestamp {
        self.silent_since.unwrap_or_default().after(self.inner.config.heartbeat)
    }

    fn is_silent_too_long(&self) -> bool {
        self.beat() <= self.inner.clock.now()
    }

    /// A heartbeat, whose cursor covers everything that the stream has read, filtered or not.
    fn heartbeat(&mut self) -> Update {
        let time = self.inner.clock.now();
        self.silent_since = Some(time);
        let cursor = Some((self.tenant.clone(), self.after));
        Update::Heartbeat { m: None, cursor, time }
    }
}

/// Whether a stream shows the updates of a match: by tenant, folder and labels.
fn selects(tenant: &TenantId, filter: &Filter, m: &Match) -> bool {
    let spec = &m.spec;
    spec.tenant == *tenant
        && filter.folder_id.is_none_or(|folder| folder == spec.folder_id)
        && filter.labels.iter().all(|(key, value)| spec.labels.get(key) == Some(value))
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{Mutex, atomic::Ordering},
        time::Duration,
    };

    use futures_util::FutureExt;

    use super::*;
    use crate::{
        clock::{Clock, Hand},
        domain::MatchId,
        journal::{
            Writer,
            memory::{Memory as Journal, Store},
            suite::facts::{START, match_id, plain_spec},
        },
        outage::Outage,
        watch::{
            Config, Watch,
            pages::{BEHIND_MAX, CATCHING_UP_MAX, EVENT_BYTES, LIMITS, PageLimits},
        },
    };

    const MATCHES: u64 = 100;

    const HEARTBEAT: Duration = Duration::from_secs(20);

    /// A watch over a journal of accepted matches.
    async fn watch(limits: PageLimits) -> Watch {
        watch_of(MATCHES, limits).await.0
    }

    async fn watch_of(matches: u64, limits: PageLimits) -> (Watch, Hand) {
        let (clock, hand) = Clock::manual(START);
        let journal = Journal::open(Arc::new(Mutex::new(Store::new(7))), clock.clone());
        for n in 0..matches {
            journal.admit(match_id(0, n), Arc::new(plain_spec())).await.unwrap();
        }
        let config = Config { heartbeat: HEARTBEAT };
        let store = Outage::new("the store", clock.clone());
        let Watch(mut inner) = Watch::new(config, journal.handles().feed, store, clock);
        let pages = &mut Arc::get_mut(&mut inner).expect("it has no clone yet").pages;
        pages.limits = limits;
        pages.signal(Position(matches));
        (Watch(inner), hand)
    }

    async fn follow(watch: &Watch) -> FollowAll {
        let filter = Filter::default();
        watch.follow_all(plain_spec().tenant, filter, "earliest").await.unwrap()
    }

    /// The match of the next update; `None` if the next message is a heartbeat, as the first is.
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
            let watch = watch(PageLimits { shared: 0, held, growth: 0 }).await;
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
            assert_eq!(bytes(&watch), 0, "no page outlives its streams");
        }
    }

    /// A page needs one statement, however many matches it has: not one for each match.
    #[tokio::test]
    async fn a_stream_from_the_oldest_update_on_reads_nothing_but_pages() {
        const EVENTS: u64 = 5_000;
        let (clock, _hand) = Clock::manual(START);
        let journal = Journal::open(Arc::new(Mutex::new(Store::new(7))), clock.clone());
        for n in 0..EVENTS {
            journal.admit(match_id(0, n), Arc::new(plain_spec())).await.unwrap();
        }
        let store = Outage::new("the store", clock.clone());
        let config = Config { heartbeat: HEARTBEAT };
        let watch = Watch::new(config, journal.handles().feed, store, clock);
        let mut stream = follow(&watch).await;
        assert_eq!(next(&mut stream).await, None);
        let before = journal.reads();
        for n in 0..EVENTS {
            assert_eq!(next(&mut stream).await, Some(match_id(0, n)));
        }
        let pages = EVENTS.div_ceil(PAGE_MAX as u64) as usize;
        let reads = journal.reads() - before;
        // The first four pages are smaller.
        assert!((pages..=pages + 4).contains(&reads), "{reads} reads of {pages} pages");
    }

    #[tokio::test]
    async fn large_events_make_small_pages() {
        const EVENTS: u64 = 400;
        const LABEL_BYTES: usize = 20_000;
        let (clock, _hand) = Clock::manual(START);
        let journal = Journal::open(Arc::new(Mutex::new(Store::new(7))), clock.clone());
        let labels = [("note".to_owned(), "x".repeat(LABEL_BYTES))].into();
        let spec = Arc::new(crate::domain::Spec { labels, ..plain_spec() });
        for n in 0..EVENTS {
            journal.admit(match_id(0, n), Arc::clone(&spec)).await.unwrap();
        }
        let store = Outage::new("the store", clock.clone());
        let watch =
            Watch::new(Config { heartbeat: HEARTBEAT }, journal.handles().feed, store, clock);
        let mut stream = follow(&watch).await;
        assert_eq!(next(&mut stream).await, None);
        for _ in 0..EVENTS {
            next(&mut stream).await.expect("an update");
            let page = stream.present_page().expect("the stream holds it");
            assert!(page.entries.len() * 2 * LABEL_BYTES <= 2 * PAGE_BYTES_MAX);
            stream.held = Some(page);
        }
    }

    #[tokio::test]
    async fn pages_of_streams_at_different_cursors_take_bounded_memory() {
        const PAGE_BYTES: usize = PAGE_FIRST * EVENT_BYTES;
        let limits = PageLimits { shared: 2 * PAGE_BYTES, held: 5 * PAGE_BYTES, growth: 0 };
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
    async fn a_stream_that_waits_for_a_permit_beats_and_keeps_its_place_in_the_queue() {
        let (watch, hand) = watch_of(BEHIND_MAX + 100, LIMITS).await;
        let pages = &watch.0.pages;
        let permits = CATCHING_UP_MAX.try_into().unwrap();
        let others = pages.catching_up.acquire_many(permits).await.unwrap();
        let mut streams = [follow(&watch).await, follow(&watch).await];
        streams[1].after.position = Position(1);
        for stream in &mut streams {
            assert_eq!(next(stream).await, None);
            assert!(next(stream).now_or_never().is_none(), "it waits for a permit");
        }
        // A later request gets its permit later.
        let mut late = Box::pin(pages.catching_up.acquire_many(permits));
        assert!((&mut late).now_or_never().is_none());
        for _ in 0..3 {
            hand.advance(HEARTBEAT);
            for stream in &mut streams {
                assert_eq!(next(stream).now_or_never(), Some(None), "a heartbeat in time");
                assert!(next(stream).now_or_never().is_none(), "and no second one");
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
    async fn a_stalled_stream_keeps_no_other_stream_waiting() {
        let (watch, hand) = watch_of(BEHIND_MAX + 100, LIMITS).await;
        let pages = &watch.0.pages;
        let permits = CATCHING_UP_MAX.try_into().unwrap();
        let others = pages.catching_up.acquire_many(permits).await.unwrap();
        // As many streams as there are permits, and one more at the cursor of the first.
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
            assert_eq!(next(stream).now_or_never(), Some(None), "their readers take no more");
        }
        drop(others);
        while next(&mut reader).await.is_none() {}
        let free = tokio::time::timeout(HEARTBEAT, pages.catching_up.acquire_many(permits)).await;
        assert!(free.is_ok(), "stalled streams hold no permits");
    }

    #[tokio::test]
    async fn a_stream_that_waits_for_a_permit_ends_at_the_drain() {
        let (watch, _hand) = watch_of(BEHIND_MAX + 100, LIMITS).await;
        let permits = CATCHING_UP_MAX.try_into().unwrap();
        let _others = watch.0.pages.catching_up.acquire_many(permits).await.unwrap();
        let mut stream = follow(&watch).await;
        assert_eq!(next(&mut stream).await, None);
        assert!(next(&mut stream).now_or_never().is_none());
        watch.0.closing.cancel();
        let ended = stream.next().await.expect("an error");
        assert!(matches!(ended, Err(Ended::Draining)), "{ended:?}");
    }
}
