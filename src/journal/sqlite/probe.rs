//! A write that leaves nothing behind. It shows whether the store takes writes while no other write
//! is made.
//!
//! It is as large as a batch of a busy service: a disk may have room for a page but not for a
//! match.

use std::{sync::Mutex, time::Duration};

use crate::{
    clock::Clock,
    domain::Timestamp,
    journal::{
        Error,
        sqlite::operation::{Operation, Tx},
    },
    sync::lock,
};

/// How long a commit shows that the store takes writes. An idle service makes a probe this often,
/// while it is asked.
const PROOF_AGE_MAX: Duration = Duration::from_secs(10);

/// Writes 64 KiB into a table that no other connection ever sees. SQLite writes and syncs the pages
/// all the same, since a dropped table is overwritten (`secure_delete`).
const FILL: &str = "
    CREATE TABLE probe (filler BLOB) STRICT;
    INSERT INTO probe VALUES (zeroblob(65536));
    DROP TABLE probe;";

/// Tells whether a recent commit shows that the store takes writes.
pub(super) struct Proof {
    clock: Clock,
    /// How many commits had written when a new one was last seen, and when that was.
    seen: Mutex<(u64, Timestamp)>,
}

impl Proof {
    /// A proof at the opening of the journal, which has written.
    pub(super) fn new(clock: Clock) -> Self {
        let seen = Mutex::new((0, clock.now()));
        Self { clock, seen }
    }

    /// Whether one of these commits, all of which have written, is recent, or a probe was.
    pub(super) fn is_recent(&self, written: u64) -> bool {
        let (mut seen, now) = (lock(&self.seen), self.clock.now());
        if written != seen.0 {
            *seen = (written, now);
        }
        now.since(seen.1) < PROOF_AGE_MAX
    }

    /// Notes that a probe has written.
    pub(super) fn probed(&self) {
        lock(&self.seen).1 = self.clock.now();
    }
}

/// The operation that makes this write.
pub(super) struct Probe;

impl Operation for Probe {
    type Outcome = ();

    fn run(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        Ok(tx.connection.execute_batch(FILL)?)
    }
}
