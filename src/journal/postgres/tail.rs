//! Reads what others have written, so that this replica's memory of what is newest is whole.
//!
//! It looks when it is told to: by the writer, whose commit didn't follow what is known, by a
//! notice of another replica's, and by a timer, for notices that are lost or that a pooler doesn't
//! carry. A notice says "look", never what.

use std::{
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sqlx::{
    PgConnection, Row,
    postgres::{PgListener, PgRow},
    query,
};
use tokio::{
    sync::{Notify, watch},
    time,
};
use tokio_util::sync::CancellationToken;
use tracing::debug;
use uuid::Uuid;

use crate::{
    clock::Clock,
    domain::{MatchId, Position, Recorded},
    journal::{
        Error, Heard,
        postgres::{
            aside::Aside,
            connect::{self, Database, RECONNECT_PAUSE, STATEMENT_TIMEOUT},
            lease::Leases,
            notice,
            rows::{self, columns},
            watermark::Watermark,
        },
        recent::Recent,
    },
    outage::{self, Outage},
};

/// How long a lost notice may go unnoticed.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The pause after a look, so that many notices cost one.
const LOOK_PAUSE: Duration = Duration::from_millis(1);

/// How many events are read at once.
const PAGE: usize = 512;

/// How often somebody whose notices are lost listens anew.
const LISTEN_AGAIN: Duration = Duration::from_secs(30);

/// What is known here of what others wrote.
pub(super) struct Tail {
    recent: Arc<Recent>,
    wake: watch::Sender<()>,
    poke: Notify,
    /// A notice came since the last look.
    was_told: AtomicBool,
    /// The timer found what no notice had told of.
    is_deaf: Notify,
    /// What others erased, until somebody takes it who shows it.
    erased: Mutex<Vec<MatchId>>,
    history: Arc<Watermark>,
    /// What later versions wrote that this one can't drive.
    aside: Arc<Aside>,
}

impl Tail {
    pub(super) fn new(
        recent: Arc<Recent>,
        wake: watch::Sender<()>,
        history: Arc<Watermark>,
    ) -> Self {
        Self {
            recent,
            wake,
            poke: Notify::new(),
            was_told: AtomicBool::new(false),
            is_deaf: Notify::new(),
            erased: Mutex::default(),
            history,
            aside: Arc::default(),
        }
    }

    /// There may be something new.
    pub(super) fn look(&self) {
        self.poke.notify_one();
    }

    /// The matches that were claimed here and can't be driven.
    pub(super) fn aside(&self) -> Arc<Aside> {
        Arc::clone(&self.aside)
    }

    /// What others have erased since this was last asked.
    pub(super) fn take_erased(&self) -> Vec<MatchId> {
        mem::take(&mut *lock(&self.erased))
    }

    /// Reads on until the journal is closed.
    pub(super) async fn run(
        self: Arc<Self>,
        database: Database,
        clock: Clock,
        closing: CancellationToken,
    ) {
        let mut eye = TailConnection { database, connection: None, erasures: None };
        let following = Outage::new("following other replicas", clock);
        loop {
            let looked = self.read_new(&mut eye).await;
            let pause = match &looked {
                Ok(()) => {
                    following.worked();
                    LOOK_PAUSE
                }
                Err(error) => {
                    eye.connection = None;
                    following.failed(error);
                    RECONNECT_PAUSE
                }
            };
            tokio::select! {
                () = closing.cancelled() => return,
                () = time::sleep(pause) => {}
            }
            tokio::select! {
                () = closing.cancelled() => return,
                () = self.poke.notified() => {}
                () = time::sleep(LOOK_INTERVAL) => {}
            }
        }
    }

    async fn read_new(&self, eye: &mut TailConnection) -> Result<(), Error> {
        let was_told = self.was_told.swap(false, Ordering::Relaxed);
        loop {
            let Some(before) = self.recent.reached() else { return Ok(()) };
            let (events, erased) = eye.read(before, &self.history).await?;
            if !erased.is_empty() {
                self.recent.clear();
                self.recent.tell(erased.iter().map(|id| Heard::Gone(*id)));
                lock(&self.erased).extend(erased);
                self.wake.send_replace(());
            }
            if events.is_empty() {
                return Ok(());
            }
            let is_full = events.len() == PAGE;
            if let Some(last) = events.last() {
                self.history.reach(last.place());
            }
            // If a commit of our own was faster, it has been told already: look again.
            if self.recent.follow(before, events) {
                self.wake.send_replace(());
                if !was_told {
                    self.is_deaf.notify_one();
                }
                if !is_full {
                    return Ok(());
                }
            }
        }
    }

    /// Hears notices until the journal is closed.
    pub(super) async fn listen(
        self: Arc<Self>,
        database: Database,
        leases: Arc<Leases>,
        closing: CancellationToken,
    ) {
        loop {
            let hearing = self.hear(&database, &leases);
            let heard = tokio::select! {
                () = closing.cancelled() => return,
                heard = hearing => heard,
            };
            let pause = match heard {
                Ok(()) => LISTEN_AGAIN,
                Err(error) => {
                    debug!(error = outage::causes(&error), "LISTEN failed: this replica polls");
                    RECONNECT_PAUSE
                }
            };
            tokio::select! {
                () = closing.cancelled() => return,
                () = time::sleep(pause) => {}
            }
        }
    }

    /// Returns when notices are lost, or the connection is.
    async fn hear(&self, database: &Database, leases: &Leases) -> sqlx::Result<()> {
        let pool = database.listener();
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.eager_reconnect(false);
        listener.listen(notice::CHANNEL).await?;
        // Whatever was said before is looked for.
        self.look();
        leases.look();
        // What was found before now says nothing.
        let mut deaf = std::pin::pin!(self.is_deaf.notified());
        let mut misses = 0;
        loop {
            let notice = tokio::select! {
                notice = listener.try_recv() => notice?,
                () = deaf.as_mut() => {
                    deaf.set(self.is_deaf.notified());
                    misses += 1;
                    if misses > MISSES_MAX {
                        return Ok(());
                    }
                    continue;
                }
            };
            misses = 0;
            match notice {
                Some(notice) => match notice.payload() {
                    notice::LEASES => leases.look(),
                    notice::RELEASED => leases.share_anew(),
                    _ => {
                        self.was_told.store(true, Ordering::Relaxed);
                        self.look();
                    }
                },
                None => return Err(sqlx::Error::Io(std::io::ErrorKind::NotConnected.into())),
            }
        }
    }
}

/// How often in a row something may be found that no notice told of: a notice may come later than
/// the look that a timer or a commit of our own caused.
const MISSES_MAX: u32 = 20;

/// What reads.
struct TailConnection {
    database: Database,
    connection: Option<PgConnection>,
    /// How often something had been erased at the last look.
    erasures: Option<i64>,
}

impl TailConnection {
    /// The events after a position, and what was erased since the last look.
    async fn read(
        &mut self,
        after: Position,
        history: &Watermark,
    ) -> Result<(Vec<Recorded>, Vec<MatchId>), Error> {
        const LOOK: &str = concat!(
            "SELECT ",
            columns!(),
            ", s.erasures FROM store AS s LEFT JOIN LATERAL (
                 SELECT * FROM events WHERE position > $1 ORDER BY position LIMIT $2
             ) AS e ON TRUE ORDER BY e.position"
        );
        let connection = self.connected(history).await?;
        let looking =
            query(LOOK).bind(after.0.cast_signed()).bind(rows::limit(PAGE)).fetch_all(connection);
        let rows = connect::in_time(STATEMENT_TIMEOUT, looking).await?;
        let is_event = |row: &&PgRow| rows::id(row).is_some();
        let events = rows.iter().filter(is_event).map(rows::recorded).collect::<Result<_, _>>()?;
        let completing = rows::complete(self.connected(history).await?, events);
        let late = |_| Err(connect::late().into());
        let events = time::timeout(STATEMENT_TIMEOUT, completing).await.unwrap_or_else(late)?;
        let erasures = rows.first().map(|row| row.try_get(6)).transpose()?;
        let erased = match (self.erasures, erasures) {
            (Some(before), Some(now)) if before < now => self.read_erased(before, history).await?,
            (Some(_) | None, Some(_) | None) => Vec::new(),
        };
        self.erasures = erasures;
        Ok((events, erased))
    }

    /// What was erased by the erasures after one: after an hour's absence it is much, so it is read
    /// page by page.
    async fn read_erased(
        &mut self,
        after: i64,
        history: &Watermark,
    ) -> Result<Vec<MatchId>, Error> {
        const ERASED: &str = "
            SELECT match_id, erasure FROM erased WHERE (erasure, match_id) > ($1, $2)
            ORDER BY erasure, match_id LIMIT $3";
        let (mut erased, mut last) = (Vec::new(), (after, Uuid::max()));
        loop {
            let reading = query(ERASED).bind(last.0).bind(last.1).bind(rows::limit(PAGE));
            let reading = reading.fetch_all(self.connected(history).await?);
            let page = connect::in_time(STATEMENT_TIMEOUT, reading).await?;
            erased.extend(page.iter().filter_map(rows::id));
            match page.last() {
                Some(row) if page.len() == PAGE => last = (row.try_get(1)?, row.try_get(0)?),
                Some(_) | None => return Ok(erased),
            }
        }
    }

    async fn connected(&mut self, history: &Watermark) -> sqlx::Result<&mut PgConnection> {
        if self.connection.is_none() {
            let mut connection = self.database.connect().await?;
            history.check(&mut connection).await?;
            self.connection = Some(connection);
        }
        self.connection.as_mut().ok_or(sqlx::Error::PoolClosed)
    }
}

/// Nothing that holds such a lock can panic half-way, so a poisoned one is sound.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
