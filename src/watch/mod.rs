//! The watch: follows the journal and streams its events to callers.
//!
//! It reads, sends, waits for a hint, and reads again, so catching up and following live are one
//! path. It deliberately never learns of events other than by reading them, buffers no updates for
//! a slow reader, and writes nothing.

mod all;
mod list;
mod log;
mod one;
mod pages;
#[cfg(test)]
mod tests;
mod token;

use std::{sync::Arc, time::Duration};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use crate::journal::{Error as StoreError, Filter, Key};
pub use all::FollowAll;
pub use list::Page;
pub use log::Entry;
pub use one::Follow;

#[cfg(any(test, fuzzing))]
pub(crate) use token::fuzzing;

use crate::{
    clock::Clock,
    domain::{Cursor, Match, MatchId, Position, Progress, Sequence, TenantId, Timestamp},
    journal::{self, Erasures, Feed, Identity, Reader, Start},
    metrics::{Invariant, Invariants, WatchMetrics},
    outage::Outage,
    watch::{
        log::{Log, Registry},
        pages::Pages,
    },
};

/// How many events the tail reads from the journal at once.
const TAIL_PAGE: usize = 512;
/// How often the tail reads without a hint: a lost hint delays events by no more.
const TAIL_INTERVAL: Duration = Duration::from_secs(1);

/// The watch's settings.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// After how much silence a stream shows a heartbeat.
    pub heartbeat: Duration,
}

/// The handle of the watch: it finds, lists, awaits and follows matches. Cheap to clone.
#[derive(Clone)]
pub struct Watch(Arc<WatchInner>);

struct WatchInner {
    config: Config,
    reader: Arc<dyn Reader>,
    identity: Identity,
    wake: tokio::sync::watch::Receiver<()>,
    erased: Erasures,
    /// The store's outages, which every user of the store reports.
    store: Outage,
    clock: Clock,
    logs: Registry,
    pages: Pages,
    metrics: WatchMetrics,
    invariants: Invariants,
    tasks: TaskTracker,
    /// Cancelled at the start of a drain: new streams are refused, and the journal is read once
    /// more.
    draining: CancellationToken,
    /// Cancelled after that last read: streams end once they have shown all events that were read.
    closing: CancellationToken,
}

/// A message of a stream.
#[derive(Clone, Debug)]
pub enum Update {
    /// A durable event, and the match after it.
    Event(Arc<Entry>),
    /// Progress of the match since its last event, which is not durable.
    Progress {
        /// The match as of the last event that was shown.
        m: Arc<Match>,
        /// The progress.
        progress: Progress,
        /// When it was shown.
        time: Timestamp,
    },
    /// A sign of life: after some silence, and as the first message of a stream of many matches.
    Heartbeat {
        /// The match as of the last event that was shown. `None` before the first event, and on
        /// streams of many matches.
        m: Option<Arc<Match>>,
        /// The cursor up to which the stream has read, filtered events included, with the tenant
        /// whose stream it is. `None` on streams of one match.
        cursor: Option<(TenantId, Cursor)>,
        /// When it was sent.
        time: Timestamp,
    },
}

/// Why a stream ends other than after its last update, or why a look-up fails.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Ended {
    /// There is no such match, or it was erased.
    #[error("there is no such match")]
    Absent,
    /// The caller resumes after a sequence that the match has not reached.
    #[error("the match has reached sequence {}", reached.0)]
    Ahead {
        /// The sequence of the match's last update.
        reached: Sequence,
    },
    /// Retention has erased events after the token.
    #[error("the token is older than what is retained")]
    Expired,
    /// The token is damaged, another store's, or made for other filters.
    #[error("the token is not one of this store's")]
    InvalidToken,
    /// The server is draining.
    #[error("the server is shutting down")]
    Draining,
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] journal::Error),
}

impl Watch {
    /// Makes a watch over a journal. It follows nothing live before [`Watch::start`].
    pub fn new(config: Config, journal: Feed, store: Outage, clock: Clock) -> Self {
        let Feed { reader, identity, wake, erased } = journal;
        Self(Arc::new(WatchInner {
            config,
            pages: Pages::new(Arc::clone(&reader)),
            logs: Registry::default(),
            metrics: WatchMetrics::default(),
            invariants: Invariants::default(),
            reader,
            identity,
            wake,
            erased,
            store,
            clock,
            tasks: TaskTracker::new(),
            draining: CancellationToken::new(),
            closing: CancellationToken::new(),
        }))
    }

    /// Starts to follow the journal.
    ///
    /// # Errors
    /// The journal's.
    pub async fn start(&self) -> Result<(), journal::Error> {
        let head = self.0.reader.cursor(Start::Head).await?.position;
        self.0.pages.signal(head);
        let inner = Arc::clone(&self.0);
        self.0.tasks.spawn(inner.tail(head));
        Ok(())
    }

    /// The match as of its last event: never older than an update that was shown to a caller. It is
    /// the same fold that watchers see, trouble and deadline included.
    ///
    /// # Errors
    /// [`Ended::Absent`], also for another tenant's match; the journal's.
    pub async fn find(&self, tenant: &TenantId, key: &Key) -> Result<Match, Ended> {
        self.0.reader.find(tenant, key).await?.ok_or(Ended::Absent)
    }

    /// The id of a running match that is watched already, without asking the store: thousands of
    /// watchers may come to one match at once.
    pub fn running(&self, tenant: &TenantId, key: &Key) -> Option<MatchId> {
        let Key::Match(id) = key else {
            return None;
        };
        let m = self.0.logs.live(*id)?.latest()?;
        (m.spec.tenant == *tenant && !m.has_ended()).then_some(*id)
    }

    /// After how much silence a stream shows a heartbeat.
    pub fn heartbeat(&self) -> Duration {
        self.0.config.heartbeat
    }

    /// A page of up to `size` matches, newest first. It ends before the first match that `fits`
    /// rejects. `fits` is asked in order, and has to accept the first match.
    ///
    /// # Errors
    /// [`Ended::InvalidToken`]; the journal's.
    pub async fn list(
        &self,
        tenant: &TenantId,
        filter: &Filter,
        token: &str,
        size: usize,
        fits: impl FnMut(&Match) -> bool + Send,
    ) -> Result<Page, Ended> {
        let (reader, keys) = (self.0.reader.as_ref(), &self.0.identity.keys);
        list::page(reader, keys, tenant, filter, token, size, fits).await
    }

    /// Waits until `done` holds for the match, or it has ended, or the timeout is over, and returns
    /// the match as it is then.
    ///
    /// # Errors
    /// [`Ended::Absent`], [`Ended::Draining`]; the journal's.
    pub async fn wait(
        &self,
        m: Match,
        timeout: Duration,
        done: impl Fn(&Match) -> bool + Send,
    ) -> Result<Match, Ended> {
        let finished = |m: &Match| done(m) || m.has_ended();
        if finished(&m) || timeout.is_zero() {
            return Ok(m);
        }
        let until = self.0.clock.now().after(timeout);
        let (tenant, id) = (m.spec.tenant.clone(), m.id);
        let mut follow = self.follow(id, Sequence::ZERO, false).await?;
        let waiting = async {
            while let Some(update) = follow.next().await {
                if let Update::Event(entry) = update?
                    && finished(&entry.snapshot)
                {
                    break;
                }
            }
            Ok(())
        };
        self.0.clock.before(until, waiting).await.unwrap_or(Ok::<(), Ended>(()))?;
        self.find(&tenant, &Key::Match(id)).await
    }

    /// Streams every update of a match after a sequence, and then live updates.
    ///
    /// # Errors
    /// [`Ended::Ahead`], [`Ended::Absent`], [`Ended::Draining`]; the journal's.
    pub async fn follow(
        &self,
        id: MatchId,
        after: Sequence,
        include_progress: bool,
    ) -> Result<Follow, Ended> {
        if self.0.draining.is_cancelled() {
            return Err(Ended::Draining);
        }
        Follow::open(Arc::clone(&self.0), id, after, include_progress).await
    }

    /// Streams every update of a match that was admitted just now. While the server drains, it
    /// still shows what is durable first, so that a caller that is cut off knows that the match was
    /// accepted.
    ///
    /// # Errors
    /// [`Ended::Absent`]; the journal's.
    pub async fn follow_admitted(&self, m: Match, include_progress: bool) -> Result<Follow, Ended> {
        Follow::open(Arc::clone(&self.0), m.id, Sequence::ZERO, include_progress).await
    }

    /// Streams the updates of all matches of a tenant that a filter selects, after a token.
    ///
    /// # Errors
    /// [`Ended::InvalidToken`], [`Ended::Expired`], [`Ended::Draining`]; the journal's.
    pub async fn follow_all(
        &self,
        tenant: TenantId,
        filter: Filter,
        token: &str,
    ) -> Result<FollowAll, Ended> {
        if self.0.draining.is_cancelled() {
            return Err(Ended::Draining);
        }
        // The floor is read first: events that retention erases from here on end the stream as
        // expired, rather than being skipped silently.
        let floor = self.0.reader.cursor(Start::Floor).await?.position;
        let after = {
            let (reader, keys) = (self.0.reader.as_ref(), &self.0.identity.keys);
            token::cursor(reader, keys, &tenant, token).await?
        };
        Ok(FollowAll::open(Arc::clone(&self.0), tenant, filter, after, floor))
    }

    /// The token with which callers of a tenant resume after a cursor.
    pub fn token(&self, tenant: &TenantId, cursor: Cursor) -> String {
        token::write(&self.0.identity, tenant, cursor)
    }

    /// Shows progress to the watchers of the match that asked for it.
    pub fn progress(&self, id: MatchId, progress: Progress) {
        if let Some(log) = self.0.logs.live(id) {
            log.progress(progress);
        }
    }

    /// Ends the streams on a match that was erased.
    pub fn erased(&self, id: MatchId) {
        if let Some(log) = self.0.logs.live(id) {
            log.erase();
        }
        self.0.pages.forget();
    }

    /// How many matches are being watched: the updates of each are in memory.
    pub fn watched(&self) -> usize {
        self.0.logs.watched()
    }

    /// What streams count.
    pub fn metrics(&self) -> &WatchMetrics {
        &self.0.metrics
    }

    /// The promises that streams have found broken.
    pub fn invariants(&self) -> &Invariants {
        &self.0.invariants
    }

    /// Whether the store answers.
    ///
    /// # Errors
    /// The journal's.
    pub async fn ping(&self) -> Result<(), journal::Error> {
        let answered = self.0.reader.ping().await;
        match &answered {
            Ok(()) => self.0.store.worked(),
            Err(failure) => self.0.store.failed(failure),
        }
        answered
    }

    /// Shows everything that is durable by now, then stops following and ends all streams.
    pub async fn drain(&self) {
        self.0.draining.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
        self.0.closing.cancel();
    }
}

impl WatchInner {
    /// Follows the journal and passes new events to the logs of watched matches.
    async fn tail(self: Arc<Self>, mut after: Position) {
        let mut wake = self.wake.clone();
        let mut pages_since = self.clock.now();
        loop {
            // Retention erases without a signal, so shared pages are dropped once a second.
            if self.clock.now() >= pages_since.after(TAIL_INTERVAL) {
                self.pages.forget();
                pages_since = self.clock.now();
            }
            // Checked before reading, so that the last read covers everything before the drain.
            let is_last = self.draining.is_cancelled();
            // Marked as seen before reading, so that a write in the meantime wakes the tail again.
            wake.mark_unchanged();
            self.forget_erased();
            match self.read_new(&mut after).await {
                Ok(()) => self.store.worked(),
                Err(failure) => self.store.failed(&failure),
            }
            if is_last {
                return;
            }
            tokio::select! {
                changed = wake.changed() => if changed.is_err() { return },
                () = self.clock.sleep(TAIL_INTERVAL) => {}
                () = self.draining.cancelled() => {}
            }
        }
    }

    /// Completes the log of a match. Events of a store that contradict each other break a promise.
    async fn refresh(&self, log: &Log) -> Result<(), journal::Error> {
        let refreshed = log.refresh(self.reader.as_ref()).await;
        let is_corrupt = matches!(refreshed, Err(journal::Error::Corrupt(_)));
        self.invariants.check(Invariant::EventOrder, !is_corrupt);
        refreshed
    }

    /// Observes how long after its commit an update is sent over a stream that was open before.
    fn note_sent(&self, entry: &Entry, opened: Timestamp, now: Timestamp) {
        let committed = entry.recorded.time;
        if committed >= opened {
            self.metrics.sent(now.since(committed));
        }
    }

    /// Ends the streams of matches that other replicas have erased.
    fn forget_erased(&self) {
        let erased = self.erased.take();
        if !erased.is_empty() {
            self.pages.forget();
        }
        for log in erased.into_iter().filter_map(|id| self.logs.live(id)) {
            log.erase();
        }
    }

    async fn read_new(&self, after: &mut Position) -> Result<(), journal::Error> {
        loop {
            let page = self.reader.tail(*after, TAIL_PAGE).await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            let reached = last.position;
            for recorded in page {
                if let Some(log) = self.logs.live(recorded.match_id) {
                    log.push(recorded);
                }
            }
            *after = reached;
            self.pages.signal(reached);
        }
    }
}
