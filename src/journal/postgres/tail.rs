//! Reads other replicas' events, so that this replica's cache of the newest events has no gaps.
//!
//! It reads when the writer signals that its commit doesn't directly follow the newest event in the
//! cache; when another replica sends a NOTIFY; and when a timer fires, since notifications may be
//! lost, or not passed on by a pooler. A notification says "look" and deliberately carries no data.

use std::{
    sync::{
        Arc,
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
        Erasures, Error, MatchChange,
        postgres::{
            aside::Aside,
            connect::{self, Database, RECONNECT_PAUSE, STATEMENT_TIMEOUT},
            lease::Leases,
            notify,
            rows::{self, columns},
            watermark::Watermark,
        },
        recent::Recent,
    },
    outage::{self, Outage},
};

/// How often events are read without a notification. A lost notification delays events by no more.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The pause after a read, so that notifications in quick succession cost one read.
const LOOK_PAUSE: Duration = Duration::from_millis(1);

/// How many events are read at once.
const PAGE: usize = 512;

/// The pause before a replica that has lost notifications listens again over a new connection.
const LISTEN_AGAIN: Duration = Duration::from_secs(30);

/// Follows other replicas' writes.
pub(super) struct Tail {
    recent: Arc<Recent>,
    wake: watch::Sender<()>,
    poke: Notify,
    /// Whether a notification has arrived since the last read.
    was_notified: AtomicBool,
    /// Signals that a read found events although no notification had arrived.
    missed_notify: Notify,
    erased: Erasures,
    watermark: Arc<Watermark>,
    /// Matches that this version can't drive.
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
            was_notified: AtomicBool::new(false),
            missed_notify: Notify::new(),
            erased: Erasures::default(),
            watermark: history,
            aside: Arc::default(),
        }
    }

    /// Makes [`Tail::run`] read now: there may be new events.
    pub(super) fn look(&self) {
        self.poke.notify_one();
    }

    /// The matches that this replica has claimed but can't drive.
    pub(super) fn aside(&self) -> Arc<Aside> {
        Arc::clone(&self.aside)
    }

    /// The matches that other replicas have erased.
    pub(super) fn erased(&self) -> Erasures {
        self.erased.clone()
    }

    /// Reads other replicas' events until the journal is closed.
    pub(super) async fn run(
        self: Arc<Self>,
        database: Database,
        clock: Clock,
        closing: CancellationToken,
    ) {
        let mut reader = TailConnection { database, connection: None, erasures: None };
        let following = Outage::new("following other replicas", clock);
        loop {
            let looked = self.read_new(&mut reader).await;
            let pause = match &looked {
                Ok(()) => {
                    following.worked();
                    LOOK_PAUSE
                }
                Err(error) => {
                    reader.connection = None;
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

    async fn read_new(&self, reader: &mut TailConnection) -> Result<(), Error> {
        let was_told = self.was_notified.swap(false, Ordering::Relaxed);
        loop {
            let Some(before) = self.recent.reached() else { return Ok(()) };
            let (events, erased) = reader.read(before, &self.watermark).await?;
            if !erased.is_empty() {
                self.recent.clear();
                self.recent.tell(erased.iter().map(|id| MatchChange::Gone(*id)));
                self.erased.add(erased);
                self.wake.send_replace(());
            }
            if events.is_empty() {
                return Ok(());
            }
            let is_full = events.len() == PAGE;
            if let Some(last) = events.last() {
                self.watermark.reach(last.place());
            }
            // If this replica's own commit has extended the cache meanwhile, read again.
            if self.recent.follow(before, events) {
                self.wake.send_replace(());
                if !was_told {
                    self.missed_notify.notify_one();
                }
                if !is_full {
                    return Ok(());
                }
            }
        }
    }

    /// Receives notifications until the journal is closed.
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

    /// Receives notifications over one connection. Returns once too many of them in a row were
    /// lost. Fails if the connection is lost.
    async fn hear(&self, database: &Database, leases: &Leases) -> sqlx::Result<()> {
        let pool = database.listener();
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.eager_reconnect(false);
        listener.listen(notify::CHANNEL).await?;
        // Notifications sent before LISTEN are lost: check events and leases once.
        self.look();
        leases.look();
        // Events found before LISTEN don't count as missed notifications.
        let mut deaf = std::pin::pin!(self.missed_notify.notified());
        let mut misses = 0;
        loop {
            let notice = tokio::select! {
                notice = listener.try_recv() => notice?,
                () = deaf.as_mut() => {
                    deaf.set(self.missed_notify.notified());
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
                    notify::LEASES => leases.look(),
                    notify::RELEASED => leases.share_again(),
                    _ => {
                        self.was_notified.store(true, Ordering::Relaxed);
                        self.look();
                    }
                },
                None => return Err(sqlx::Error::Io(std::io::ErrorKind::NotConnected.into())),
            }
        }
    }
}

/// How many reads in a row may find events without a notification: a notification may arrive after
/// a read that the timer or this replica's own commit has started.
const MISSES_MAX: u32 = 20;

/// The connection that reads, and the number of erasures that its last read found.
struct TailConnection {
    database: Database,
    connection: Option<PgConnection>,
    /// The number of erasures in the store at the last read.
    erasures: Option<i64>,
}

impl TailConnection {
    /// Reads the events after a position, and the matches that were erased since the last read.
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
        let late = |_| Err(connect::timed_out().into());
        let events = time::timeout(STATEMENT_TIMEOUT, completing).await.unwrap_or_else(late)?;
        let erasures = rows.first().map(|row| row.try_get(6)).transpose()?;
        let erased = match (self.erasures, erasures) {
            (Some(before), Some(now)) if before < now => self.read_erased(before, history).await?,
            (Some(_) | None, Some(_) | None) => Vec::new(),
        };
        self.erasures = erasures;
        Ok((events, erased))
    }

    /// Reads the ids of the matches erased after the given erasure, page by page: after an hour's
    /// absence there may be many.
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
