//! The right half of the house: follows the journal and shows it.
//!
//! Reads, sends, waits for a hint, and reads again: catching up and following live are one path.
//! What it deliberately does not do: learn of events in any other way than by reading them, keep
//! an update for a slow reader, or write.

mod all;
mod list;
mod log;
mod one;
mod pages;
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
    domain::{CallerId, Cursor, Match, MatchId, Position, Progress, Sequence, Timestamp},
    journal::{self, Reader},
    outage::Outage,
    watch::{log::Registry, pages::Pages},
};

/// How many events are read from the journal at once.
const TAIL_PAGE: usize = 512;
/// How long a lost hint may go unnoticed.
const TAIL_INTERVAL: Duration = Duration::from_secs(1);

/// The watch's settings.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// How long a stream may be silent.
    pub heartbeat: Duration,
}

/// The handle of the watch: finds, lists, waits, follows. Cheap to clone.
#[derive(Clone)]
pub struct Watch(Arc<WatchInner>);

struct WatchInner {
    config: Config,
    reader: Arc<dyn Reader>,
    /// Of the store: told of by all who use it.
    store: Outage,
    clock: Clock,
    logs: Registry,
    pages: Pages,
    tasks: TaskTracker,
    /// Nothing new is followed, and the journal is read once more.
    draining: CancellationToken,
    /// Streams end once they have shown what was read.
    closing: CancellationToken,
}

/// What a stream shows.
#[derive(Clone, Debug)]
pub enum Update {
    /// A durable fact.
    Event(Arc<Entry>),
    /// How far the match is.
    Progress {
        /// The match as of its last fact.
        m: Arc<Match>,
        /// How far it is.
        progress: Progress,
        /// When that was.
        time: Timestamp,
    },
    /// Nothing has happened for a while.
    Heartbeat {
        /// The match as of its last fact that was shown; none where many matches are followed, or
        /// before the first.
        m: Option<Arc<Match>>,
        /// Everything up to here has been passed; only where many matches are followed.
        place: Option<Cursor>,
        /// When it was sent.
        time: Timestamp,
    },
}

/// Why a stream or a look ends otherwise than after the last update.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Ended {
    /// There is no such match, or it was erased.
    #[error("there is no such match")]
    Absent,
    /// The caller claims to have seen what hasn't happened.
    #[error("the match has reached sequence {}", reached.0)]
    Ahead {
        /// The sequence of the match's last update.
        reached: Sequence,
    },
    /// The token is older than what is retained.
    #[error("the token is older than what is retained")]
    Expired,
    /// The token is damaged, another store's, or goes with other filters.
    #[error("the token is not one of this store's")]
    InvalidToken,
    /// The server goes down.
    #[error("the server is shutting down")]
    Draining,
    /// The journal can't be read.
    #[error(transparent)]
    Journal(#[from] journal::Error),
}

impl Watch {
    /// A watch over a journal. It shows nothing live before [`Watch::start`].
    pub fn new(config: Config, reader: Arc<dyn Reader>, store: Outage, clock: Clock) -> Self {
        Self(Arc::new(WatchInner {
            config,
            pages: Pages::new(Arc::clone(&reader)),
            logs: Registry::default(),
            reader,
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
        let head = self.0.reader.head().await?;
        self.0.pages.look(head);
        let inner = Arc::clone(&self.0);
        self.0.tasks.spawn(inner.tail(head));
        Ok(())
    }

    /// The match as of its last fact: never behind an update that anybody was shown.
    ///
    /// # Errors
    /// [`Ended::Absent`], also for another caller's; the journal's.
    pub async fn find(&self, caller: &CallerId, key: &Key) -> Result<Match, Ended> {
        self.0.reader.find(caller, key).await?.ok_or(Ended::Absent)
    }

    /// The id of a match that runs and is watched already. Thousands may come at once to watch one
    /// match, and the store needn't find it for each of them.
    pub fn running(&self, caller: &CallerId, key: &Key) -> Option<MatchId> {
        let Key::Match(id) = key else {
            return None;
        };
        let m = self.0.logs.live(*id)?.latest()?;
        (m.spec.caller == *caller && !m.has_ended()).then_some(*id)
    }

    /// After how much silence a stream shows a sign of life.
    pub fn heartbeat(&self) -> Duration {
        self.0.config.heartbeat
    }

    /// A page of matches, newest first: up to `size`, as far as each in turn `fits`. The first
    /// has to.
    ///
    /// # Errors
    /// [`Ended::InvalidToken`]; the journal's.
    pub async fn list(
        &self,
        caller: &CallerId,
        filter: &Filter,
        token: &str,
        size: usize,
        fits: impl FnMut(&Match) -> bool + Send,
    ) -> Result<Page, Ended> {
        list::page(self.0.reader.as_ref(), caller, filter, token, size, fits).await
    }

    /// The match once `done` holds for it or it has ended, or as it stands when the time is up.
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
        let (caller, id) = (m.spec.caller.clone(), m.id);
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
        self.find(&caller, &Key::Match(id)).await
    }

    /// Every update of a match after a sequence, then live.
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

    /// Every update of a match that was admitted just now. While the server goes down it still
    /// shows what is durable first: whoever is cut off knows then that the match was accepted.
    ///
    /// # Errors
    /// [`Ended::Absent`]; the journal's.
    pub async fn follow_admitted(&self, m: Match, include_progress: bool) -> Result<Follow, Ended> {
        Follow::open(Arc::clone(&self.0), m.id, Sequence::ZERO, include_progress).await
    }

    /// The updates of all matches of a caller that a filter selects, after a token.
    ///
    /// # Errors
    /// [`Ended::InvalidToken`], [`Ended::Expired`], [`Ended::Draining`]; the journal's.
    pub async fn follow_all(
        &self,
        caller: CallerId,
        filter: Filter,
        token: &str,
    ) -> Result<FollowAll, Ended> {
        if self.0.draining.is_cancelled() {
            return Err(Ended::Draining);
        }
        // The floor first: what is erased from here on is missed, not skipped.
        let floor = self.0.reader.floor().await?;
        let after = token::place(self.0.reader.as_ref(), token).await?;
        Ok(FollowAll::open(Arc::clone(&self.0), caller, filter, after, floor))
    }

    /// The token that goes on after a place.
    pub fn token(&self, place: Cursor) -> String {
        token::write(self.0.reader.as_ref(), place)
    }

    /// Shows progress to those who asked for it.
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

    /// How many matches somebody watches: each of them has its updates in memory.
    pub fn watched(&self) -> usize {
        self.0.logs.watched()
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

    /// Shows what has become durable by now, then ends all streams and stops following.
    pub async fn drain(&self) {
        self.0.draining.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
        self.0.closing.cancel();
    }
}

impl WatchInner {
    /// Reads whatever is new and hands it to the logs that somebody watches.
    async fn tail(self: Arc<Self>, mut after: Position) {
        let mut wake = self.reader.wake();
        let mut pages_since = self.clock.now();
        loop {
            // Retention erases without a word: what was read for many streams isn't kept for long.
            if self.clock.now() >= pages_since.after(TAIL_INTERVAL) {
                self.pages.forget();
                pages_since = self.clock.now();
            }
            // Looked at before reading, so that the last read is one of all that came before.
            let is_last = self.draining.is_cancelled();
            // Marked as seen before looking, so that what is written meanwhile wakes again.
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

    /// What another replica has erased is shown by nobody here any more.
    fn forget_erased(&self) {
        let erased = self.reader.take_erased();
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
            self.pages.look(reached);
        }
    }
}
