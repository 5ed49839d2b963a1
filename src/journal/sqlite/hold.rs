//! Holds retention back after the clock has jumped: times from before and after a jump can't be
//! compared, and a clock that is a year ahead would erase everything.
//!
//! A jump is a gap at the start, between the clock and both the newest event and the last noted
//! time, or a step of the clock while the process runs. After a jump, retention erases nothing for
//! as long as the match that expires last is to be kept: by then each match has been kept long
//! enough, whatever the right time is. It deliberately doesn't judge which clock is right.

use std::{
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use rusqlite::{Connection, OptionalExtension};
use tracing::warn;

use crate::{
    clock::Clock,
    domain::Timestamp,
    journal::{
        Error,
        reply::CarriesClaims,
        sqlite::{
            operation::{Operation, Tx},
            statements,
        },
    },
    sync::lock,
};

/// How far the clock may be from the last noted time before that counts as a jump. A service that
/// was stopped for a week's holiday starts as usual, and a smaller jump erases a match too early by
/// less than this.
pub(super) const JUMP_MIN: Duration = Duration::from_secs(7 * 86_400);

/// How often the clock's time is noted in the file.
const NOTE_INTERVAL: Duration = Duration::from_secs(3_600);

/// Decides whether retention is held back.
pub(super) struct RetentionHold {
    clock: Clock,
    /// Doesn't step when `clock` does, and so shows its steps.
    steady: Clock,
    state: Mutex<HoldState>,
}

struct HoldState {
    until: Timestamp,
    /// What both clocks showed at the last note.
    noted: (Timestamp, Timestamp),
}

/// Notes the clock's time, and holds retention back if the clock has jumped.
pub(super) struct Note {
    pub has_jumped: bool,
}

/// Until when retention is held back.
pub(super) struct Noted(Timestamp);

impl CarriesClaims for Noted {}

impl RetentionHold {
    /// Looks for a jump since the last start, and resumes a hold that an earlier start began.
    pub(super) fn open(connection: &Connection, clock: &Clock) -> rusqlite::Result<Self> {
        let (now, steady) = (clock.now(), clock.steady());
        let gap = gap(connection, now)?;
        let until = note(connection, now, gap > JUMP_MIN)?;
        if now < until {
            warn_of_jump(gap, until.since(now));
        }
        let state = Mutex::new(HoldState { until, noted: (now, steady.now()) });
        Ok(Self { clock: clock.clone(), steady, state })
    }

    /// The note that is due, if any: at once after a jump, otherwise once every [`NOTE_INTERVAL`].
    pub(super) fn due(&self) -> Option<Note> {
        let (now, steady) = (self.clock.now(), self.steady.now());
        let (noted, noted_steady) = self.state().noted;
        let step = now.since(noted).saturating_sub(steady.since(noted_steady));
        let has_jumped = step > JUMP_MIN;
        (has_jumped || now.since(noted) >= NOTE_INTERVAL).then_some(Note { has_jumped })
    }

    /// Takes over the outcome of a note that is committed.
    pub(super) fn noted(&self, Noted(until): Noted) {
        let (now, steady) = (self.clock.now(), self.steady.now());
        let mut state = self.state();
        if now < until && until != state.until {
            warn_of_jump(now.since(state.noted.0), until.since(now));
        }
        *state = HoldState { until, noted: (now, steady) };
    }

    /// Whether retention must erase nothing now.
    pub(super) fn is_on(&self) -> bool {
        self.clock.now() < self.state().until
    }

    fn state(&self) -> MutexGuard<'_, HoldState> {
        lock(&self.state)
    }
}

impl Operation for Note {
    type Outcome = Noted;

    fn run(&self, tx: &mut Tx<'_>) -> Result<Noted, Error> {
        Ok(Noted(note(tx.connection, tx.now, self.has_jumped)?))
    }
}

/// How far the time is from the newest event or from the last noted time, whichever is closer.
fn gap(connection: &Connection, now: Timestamp) -> rusqlite::Result<Duration> {
    let distance = |time: i64| {
        let time = Timestamp::from_micros(time);
        time.since(now).max(now.since(time))
    };
    connection.query_row(statements::LAST_TIMES, [], |row| {
        Ok(distance(row.get(0)?).min(distance(row.get(1)?)))
    })
}

/// Notes the clock's time, and returns until when retention is held back. A jump holds it back from
/// now on; a hold that a clock far ahead began is shortened.
fn note(connection: &Connection, now: Timestamp, has_jumped: bool) -> rusqlite::Result<Timestamp> {
    let latest = now.after(longest_keep(connection)?);
    let values = (now.as_micros(), has_jumped, latest.as_micros());
    connection
        .query_row(statements::NOTE_TIME, values, |row| row.get(0).map(Timestamp::from_micros))
}

/// For how long the match that expires last is kept after its end.
fn longest_keep(connection: &Connection) -> rusqlite::Result<Duration> {
    let keep: Option<i64> =
        connection.query_row(statements::LONGEST_KEEP, [], |row| row.get(0)).optional()?;
    Ok(Duration::from_micros(keep.unwrap_or(0).max(0).cast_unsigned()))
}

fn warn_of_jump(jump: Duration, pause: Duration) {
    warn!(
        clock_jump_hours = jump.as_secs() / 3_600,
        pause_hours = pause.as_secs() / 3_600,
        "retention paused: the clock has jumped, or jumped before an earlier start"
    );
}
