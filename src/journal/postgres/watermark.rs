//! The newest position that this replica has written or read, and whether the database still has
//! it.
//!
//! A replica deliberately stops if a failover or a restore has lost commits: events that it wrote
//! or showed are missing in the database, which would assign their positions again.

use std::sync::Mutex;

use sqlx::{PgConnection, query_scalar};
use tokio_util::sync::CancellationToken;

use crate::{
    domain::Cursor,
    journal::postgres::connect::{self, STATEMENT_TIMEOUT},
    sync::lock,
};

/// The newest known position.
pub(super) struct Watermark {
    incarnation: u64,
    newest: Mutex<Cursor>,
    lost: CancellationToken,
}

impl Watermark {
    /// Starts at the newest position at the time at which the incarnation was entered.
    pub(super) fn new(incarnation: u64, newest: Cursor) -> Self {
        Self { incarnation, newest: Mutex::new(newest), lost: CancellationToken::new() }
    }

    /// Raises the watermark to an event that was written or read.
    pub(super) fn reach(&self, place: Cursor) {
        let mut newest = lock(&self.newest);
        if place.position > newest.position {
            *newest = place;
        }
    }

    /// Whether the database was found not to have the watermark.
    pub(super) fn is_lost(&self) -> bool {
        self.lost.is_cancelled()
    }

    /// Returns once [`Self::is_lost`] is true.
    pub(super) async fn lost(&self) {
        self.lost.cancelled().await;
    }

    /// Checks that the database has the watermark. Called for every new connection before it is
    /// used: it may lead to another server.
    pub(super) async fn check(&self, connection: &mut PgConnection) -> sqlx::Result<()> {
        // Which incarnation wrote a position below the floor is no longer known.
        const HAS: &str = "
            SELECT EXISTS (SELECT 1 FROM incarnations WHERE incarnation = $1) AND (
                EXISTS (SELECT 1 FROM store WHERE floor > $2) OR coalesce(
                    (SELECT last_position FROM commits ORDER BY first_position DESC LIMIT 1) >= $2
                    AND (SELECT incarnation FROM commits WHERE first_position <= $2
                         ORDER BY first_position DESC LIMIT 1) = $3, FALSE))";
        let newest = *lock(&self.newest);
        let looking = query_scalar(HAS)
            .bind(self.incarnation.cast_signed())
            .bind(newest.position.0.cast_signed())
            .bind(newest.incarnation.cast_signed())
            .fetch_one(connection);
        if !connect::in_time(STATEMENT_TIMEOUT, looking).await? {
            self.lost.cancel();
        }
        if self.is_lost() {
            let lost = "the database has lost commits";
            return Err(sqlx::Error::Configuration(lost.into()));
        }
        Ok(())
    }
}
