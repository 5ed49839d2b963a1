//! The newest thing that this replica knows of the journal, and whether the database still has it.
//!
//! A database that has lost what was committed, by a failover or a restore, is not gone on with:
//! what was shown by this replica, or written by it, hasn't happened there, and its numbers would
//! be given out again.

use std::sync::{Mutex, PoisonError};

use sqlx::{PgConnection, query_scalar};
use tokio_util::sync::CancellationToken;

use crate::{
    domain::Cursor,
    journal::postgres::connect::{self, STATEMENT_TIMEOUT},
};

/// What is remembered of the journal.
pub(super) struct Watermark {
    incarnation: u64,
    newest: Mutex<Cursor>,
    lost: CancellationToken,
}

impl Watermark {
    /// As of the moment at which an incarnation was entered.
    pub(super) fn new(incarnation: u64, newest: Cursor) -> Self {
        Self { incarnation, newest: Mutex::new(newest), lost: CancellationToken::new() }
    }

    /// Something was written, or read.
    pub(super) fn reach(&self, place: Cursor) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if place.position > newest.position {
            *newest = place;
        }
    }

    /// Whether the database was found without what is known.
    pub(super) fn is_lost(&self) -> bool {
        self.lost.is_cancelled()
    }

    /// Returns once it is.
    pub(super) async fn lost(&self) {
        self.lost.cancelled().await;
    }

    /// Looks whether the database has what is known. Asked on every new connection, before anything
    /// else: it may lead to another server.
    pub(super) async fn check(&self, connection: &mut PgConnection) -> sqlx::Result<()> {
        // Of what lies below the floor nobody knows who wrote it.
        const HAS: &str = "
            SELECT EXISTS (SELECT 1 FROM incarnations WHERE incarnation = $1) AND (
                EXISTS (SELECT 1 FROM store WHERE floor > $2) OR coalesce(
                    (SELECT last_position FROM commits ORDER BY first_position DESC LIMIT 1) >= $2
                    AND (SELECT incarnation FROM commits WHERE first_position <= $2
                         ORDER BY first_position DESC LIMIT 1) = $3, FALSE))";
        let newest = *self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let looking = query_scalar(HAS)
            .bind(self.incarnation.cast_signed())
            .bind(newest.position.0.cast_signed())
            .bind(newest.incarnation.cast_signed())
            .fetch_one(connection);
        if !connect::in_time(STATEMENT_TIMEOUT, looking).await? {
            self.lost.cancel();
        }
        if self.is_lost() {
            let lost = "the database has lost what was committed";
            return Err(sqlx::Error::Configuration(lost.into()));
        }
        Ok(())
    }
}
