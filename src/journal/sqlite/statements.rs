//! The statements of the engine, each with a plan that reads no more than it returns or changes
//! (see `tests/plans.rs`).
//!
//! Deliberately elsewhere are the statements of lists, which are built from their filters, the trial
//! write (`probe.rs`), and those that run once at the start (`schema.rs`).

use crate::journal::sqlite::rows::columns;

macro_rules! statements {
    ($($(#[$what:meta])+ $name:ident = $sql:expr;)+) => {
        $($(#[$what])+ pub(super) const $name: &str = $sql;)+

        /// All statements, with their names.
        #[cfg(test)]
        pub(super) const ALL: &[(&str, &str)] = &[$((stringify!($name), $name)),+];
    };
}

statements! {
    /// The events of a tenant's match, by its id.
    BY_ID = concat!(
        "SELECT ",
        columns!(),
        " FROM matches AS m JOIN events AS e ON e.match_id = m.match_id
        WHERE m.match_id = ?2 AND m.caller = ?1 ORDER BY e.sequence"
    );

    /// The same, by the tenant's request id.
    BY_REQUEST = concat!(
        "SELECT ",
        columns!(),
        " FROM matches AS m JOIN events AS e ON e.match_id = m.match_id
        WHERE m.caller = ?1 AND m.request_id = ?2 ORDER BY e.sequence"
    );

    /// The events of a match.
    EVENTS = concat!(
        "SELECT ",
        columns!(),
        " FROM events AS e WHERE e.match_id = ?1 ORDER BY e.sequence"
    );

    /// Events after a position.
    TAIL = concat!(
        "SELECT ",
        columns!(),
        " FROM events AS e WHERE e.position > ?1 ORDER BY e.position LIMIT ?2"
    );

    /// The row of a new match, unless one exists with its id or with the tenant's request id.
    ADMIT = "
        INSERT INTO matches (match_id, caller, request_id, folder_id, create_time)
        VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING";

    /// The state of a new match.
    ADMIT_STATE = "
        INSERT INTO match_states (match_id, state, sequence, epoch, owner, update_time, caller)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

    /// A label of a new match.
    ADMIT_LABEL = "
        INSERT INTO match_labels (caller, key, value, match_id) VALUES (?1, ?2, ?3, ?4)";

    /// An event.
    ADD_EVENT = "INSERT INTO events (match_id, sequence, time, body) VALUES (?1, ?2, ?3, ?4)";

    /// Makes an analysis a match's own.
    ADD_ANALYSIS = "INSERT INTO match_analyses (analysis_id, match_id) VALUES (?1, ?2)";

    /// The state after an event that doesn't end the match, if the match stands where the event
    /// would follow; returns the event's time. It names no column of an index, since SQLite would
    /// write the row's entry in that index again.
    ADVANCE = "
        UPDATE match_states SET
            sequence = sequence + 1,
            state = coalesce(?4, state),
            update_time = max(update_time, ?5)
        WHERE match_id = ?1 AND epoch = ?2 AND sequence = ?3 AND end_time IS NULL
        RETURNING update_time";

    /// The same for an event that ends the match. Without an epoch, it fences off any claim.
    END = "
        UPDATE match_states SET
            sequence = sequence + 1,
            epoch = epoch + (?2 IS NULL),
            state = coalesce(?4, state),
            update_time = max(update_time, ?5),
            end_time = max(update_time, ?5),
            end_state = coalesce(?4, state),
            expire_time = max(update_time, ?5)
                + min(?6, 9223372036854775807 - max(update_time, ?5))
        WHERE match_id = ?1 AND epoch = coalesce(?2, epoch) AND sequence = ?3
            AND end_time IS NULL
        RETURNING update_time";

    /// The newest position that was drawn.
    HEAD = "SELECT seq FROM sqlite_sequence WHERE name = 'events'";

    /// The oldest position that is retained.
    OLDEST = "SELECT min(position) FROM events";

    /// The position after which everything is retained.
    FLOOR = "SELECT floor FROM store";

    /// The floor, and where an incarnation ended. The next incarnation is found by a minimum: with
    /// the statistics of a young store, SQLite would look for the first row in order from the first
    /// start on.
    BOUNDS = "
        SELECT store.floor, coalesce(
            (SELECT next.started_position FROM incarnations AS next
             WHERE next.ordinal = (SELECT min(later.ordinal) FROM incarnations AS later
                                   WHERE later.ordinal > i.ordinal)),
            (SELECT seq FROM sqlite_sequence WHERE name = 'events'),
            0)
        FROM incarnations AS i, store WHERE i.incarnation = ?1";

    /// Which analyses belong to other matches.
    OWNED = "
        SELECT asked.key FROM json_each(?1) AS asked
        WHERE EXISTS (SELECT 1 FROM match_analyses AS a
                      WHERE a.analysis_id = asked.value AND a.match_id <> ?2)
        ORDER BY asked.key";

    /// Whether an event isn't written because one of its analyses belongs to another match.
    TAKEN = "
        SELECT EXISTS (SELECT 1 FROM match_states
                       WHERE match_id = ?1 AND epoch = ?2 AND sequence = ?3
                           AND end_time IS NULL)
           AND EXISTS (SELECT 1 FROM match_analyses
                       WHERE analysis_id IN (?4, ?5) AND match_id <> ?1)";

    /// Whether an unfinished match may be claimed, because this process doesn't hold it.
    STANDS = "
        SELECT owner IS NOT ?2 FROM match_states WHERE match_id = ?1 AND end_time IS NULL";

    /// The unfinished matches that this process doesn't hold, with their events.
    UNHELD = concat!(
        "WITH page AS (
            SELECT match_id, epoch FROM match_states
            WHERE end_time IS NULL AND match_id >= ?1 AND owner IS NOT ?2
            ORDER BY match_id LIMIT ?3
        )
        SELECT ",
        columns!(),
        ", page.epoch + 1
        FROM page CROSS JOIN events AS e ON e.match_id = page.match_id
        ORDER BY page.match_id, e.sequence"
    );

    /// Claims the matches that [`UNHELD`] found.
    TAKE = "
        UPDATE match_states SET epoch = epoch + 1, owner = ?2
        WHERE end_time IS NULL AND match_id BETWEEN ?1 AND ?3 AND owner IS NOT ?2";

    /// Releases the claim on a match.
    RELEASE = "UPDATE match_states SET owner = NULL WHERE match_id = ?1 AND epoch = ?2";

    /// Whether a tenant's match is unfinished.
    HAS_NOT_ENDED = "
        SELECT s.end_time IS NULL FROM matches AS m JOIN match_states AS s USING (match_id)
        WHERE m.match_id = ?1 AND m.caller = ?2";

    /// Erases a match.
    ERASE = "DELETE FROM matches WHERE match_id = ?1";

    /// Raises the floor to the newest event of the matches that [`ERASE_EXPIRED`] erases.
    RAISE_FLOOR = "
        UPDATE store SET floor = max(floor, coalesce((
            SELECT max(position) FROM events WHERE match_id IN (
                SELECT match_id FROM match_states WHERE expire_time <= ?1
                ORDER BY expire_time, match_id LIMIT ?2)), 0))";

    /// Erases the matches whose retention has ended, those that ended first.
    ERASE_EXPIRED = "
        DELETE FROM matches WHERE match_id IN (
            SELECT match_id FROM match_states WHERE expire_time <= ?1
            ORDER BY expire_time, match_id LIMIT ?2)";

    /// Enters matches of an older version into the indexes of lists. A row without its match gets
    /// an empty tenant, or it would come again and again. The index is named: with the statistics
    /// of a young store, SQLite would read the whole table instead.
    ENLIST = "
        UPDATE match_states SET
            caller = coalesce((SELECT m.caller FROM matches AS m
                               WHERE m.match_id = match_states.match_id), ''),
            end_state = CASE WHEN end_time IS NOT NULL THEN state END
        WHERE match_id IN (
            SELECT match_id FROM match_states INDEXED BY match_states_unlisted
            WHERE caller IS NULL OR end_time IS NOT NULL AND end_state IS NULL
            ORDER BY match_id LIMIT ?1)";

    /// Events after a position, the earlier events of their matches, and the floor.
    PAGE = concat!(
        "WITH page AS MATERIALIZED (
            SELECT * FROM events WHERE position > ?1 ORDER BY position LIMIT ?2
        ), begun AS (
            SELECT match_id, min(sequence) AS sequence FROM page
            GROUP BY match_id HAVING min(sequence) > 1
        )
        SELECT ",
        columns!(),
        ", s.floor FROM store AS s LEFT JOIN (
            SELECT position, match_id, sequence, time, body FROM page
            UNION ALL
            SELECT b.position, b.match_id, b.sequence, b.time, b.body
            FROM begun AS f CROSS JOIN events AS b
                ON b.match_id = f.match_id AND b.sequence < f.sequence
        ) AS e"
    );

    /// What the store has of matches beside their events.
    BESIDE = "
        SELECT m.match_id, m.caller, m.request_id, m.folder_id, m.create_time,
            (SELECT json_group_object(l.key, l.value)
             FROM match_labels AS l WHERE l.match_id = m.match_id),
            s.state, s.sequence, s.update_time, s.end_time, s.expire_time
        FROM json_each(?1) AS asked CROSS JOIN matches AS m ON m.match_id = unhex(asked.value)
            CROSS JOIN match_states AS s ON s.match_id = m.match_id";

    /// Notes the clock's time. A jump holds retention back; otherwise an older hold may be
    /// shortened.
    NOTE_TIME = "
        UPDATE erasing_hold SET seen_time = ?1, until = iif(?2, ?3, min(until, ?3))
        RETURNING until";

    /// For how long the match that expires last is kept after its end.
    LONGEST_KEEP = "
        SELECT expire_time - end_time FROM match_states WHERE expire_time IS NOT NULL
        ORDER BY expire_time DESC LIMIT 1";

    /// The last noted time, and the time of the newest event.
    LAST_TIMES = "
        SELECT seen_time, coalesce(
            (SELECT time FROM events WHERE position = (SELECT max(position) FROM events)),
            seen_time)
        FROM erasing_hold";
}
