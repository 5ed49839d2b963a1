-- Writes a batch of events: first events of new matches ($1 to $7, their labels in $8 to $11), and
-- next events of known matches ($12 to $20). $21: the time; $22: this replica's incarnation; $23:
-- whether to notify other replicas; $24: this replica's lease. Returns a row for each new event.
--
-- The insertion into commits, before anything else, makes this safe with many writers. Its key is
-- the position after the newest that this statement sees. If another statement of this kind has
-- committed after this one's snapshot and before that insertion, or is about to commit, the key is
-- taken: this statement waits for the other's commit, fails, and is sent again by its writer with a
-- new snapshot. So all statements of this kind take effect one after another, each sees all before
-- it, and no position ever becomes visible before a smaller one. (A counter's row would order
-- positions as well. But a statement that has waited for the row's lock still sees everything else
-- in its old snapshot; and the row's dead versions pile up under a long snapshot.)
--
-- A plan is made once, while the tables may be small, and kept. So no table is joined in a way that
-- could be planned as reading all of an index: a row is looked up in a sub-select with a LIMIT,
-- which the planner keeps as a sub-select, and a row to be changed is found by ANY (ARRAY[…]),
-- which an index scan supports and a merge join doesn't. Where several indexes begin with the same
-- column, and cost the same while there is a row or two, BETWEEN and ORDER BY leave only one.
-- Whether a match has ended is asked in terms that rule out the index of unfinished matches: it is
-- in the order of owners, and would be read from end to end.
--
-- Statements of other kinds may change a match's holder at any time. So the fence is in the UPDATE
-- of the match's own row, which rechecks the row's latest version once it has the lock; sub-selects
-- see the statement's snapshot.
WITH asked_new AS (
    SELECT * FROM unnest(
        $1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::boolean[], $6::smallint[], $7::text[])
        AS n (match_id, caller, request_id, folder_id, needs_photo, slot, body)
), new AS (
    SELECT n.* FROM asked_new AS n
    WHERE (SELECT s.match_id FROM match_states AS s WHERE s.match_id = n.match_id LIMIT 1) IS NULL
        AND (SELECT m.match_id FROM matches AS m
             WHERE m.caller = n.caller AND m.request_id BETWEEN n.request_id AND n.request_id
             ORDER BY m.request_id LIMIT 1) IS NULL
), asked_next AS (
    SELECT * FROM unnest(
        $12::uuid[], $13::bigint[], $14::integer[], $15::bigint[], $16::text[], $17::bigint[],
        $18::text[], $19::text[], $20::text[])
        AS x (match_id, epoch, owner, after, state, keep, body, analysis_id, other_analysis_id)
), next AS (
    SELECT x.* FROM asked_next AS x CROSS JOIN LATERAL (
        SELECT t.epoch, t.owner, t.sequence, t.end_time FROM match_states AS t
        WHERE t.match_id = x.match_id LIMIT 1) AS s
    WHERE s.end_time IS NULL
        AND (x.epoch IS NULL OR s.epoch = x.epoch AND s.owner = x.owner AND s.sequence = x.after)
        AND (SELECT a.match_id FROM match_analyses AS a
             WHERE a.analysis_id IN (x.analysis_id, x.other_analysis_id)
                 AND a.match_id <> x.match_id LIMIT 1) IS NULL
), taken AS (
    INSERT INTO commits (first_position, last_position, incarnation)
    SELECT head.last_position + 1, head.last_position + found.events, $22
    FROM (SELECT last_position FROM commits ORDER BY first_position DESC LIMIT 1) AS head,
        (SELECT (SELECT count(*) FROM new) + (SELECT count(*) FROM next) AS events) AS found
    WHERE found.events > 0
    RETURNING first_position{notice}
), new_matches AS (
    INSERT INTO matches (match_id, caller, request_id, folder_id, create_time)
    SELECT n.match_id, n.caller, n.request_id, n.folder_id, $21 FROM new AS n, taken
), new_states AS (
    INSERT INTO match_states
        (match_id, state, sequence, epoch, owner, needs_photo, lent, slot, update_time, caller)
    SELECT n.match_id, 'accepted', 1, 1, $24, n.needs_photo, FALSE, n.slot, $21, n.caller
    FROM new AS n, taken
), new_labels AS (
    INSERT INTO match_labels (match_id, caller, key, value)
    SELECT l.match_id, l.caller, l.key, l.value
    FROM unnest($8::uuid[], $9::text[], $10::text[], $11::text[])
        AS l (match_id, caller, key, value) JOIN new AS n ON n.match_id = l.match_id, taken
), changed AS (
    UPDATE match_states AS s SET
        sequence = s.sequence + 1,
        epoch = CASE WHEN x.epoch IS NULL THEN s.epoch + 1 ELSE s.epoch END,
        state = coalesce(x.state, s.state),
        needs_photo = s.needs_photo AND x.state IS NULL,
        lent = s.lent AND x.state IS NULL,
        update_time = greatest(s.update_time, $21),
        end_time = CASE WHEN x.keep IS NOT NULL THEN greatest(s.update_time, $21) END,
        end_state = CASE WHEN x.keep IS NOT NULL THEN coalesce(x.state, s.state) END,
        expire_time = CASE WHEN x.keep IS NOT NULL THEN greatest(s.update_time, $21)
            + least(x.keep, 9223372036854775807 - greatest(s.update_time, $21)) END
    FROM next AS x, taken
    WHERE s.match_id = ANY (ARRAY[x.match_id]) AND coalesce(s.end_time, 0) = 0
        AND (x.epoch IS NULL OR s.epoch = x.epoch AND s.owner = x.owner AND s.sequence = x.after)
    RETURNING s.match_id, s.sequence, s.update_time
), new_analyses AS (
    INSERT INTO match_analyses (analysis_id, match_id)
    SELECT x.analysis_id, c.match_id FROM changed AS c JOIN next AS x ON x.match_id = c.match_id
    WHERE x.analysis_id IS NOT NULL
    UNION
    SELECT x.other_analysis_id, c.match_id
    FROM changed AS c JOIN next AS x ON x.match_id = c.match_id
    WHERE x.other_analysis_id IS NOT NULL
), written AS (
    SELECT n.match_id, 1 AS sequence, $21 AS time, n.body FROM new AS n
    UNION ALL
    SELECT c.match_id, c.sequence, c.update_time, x.body
    FROM changed AS c JOIN next AS x ON x.match_id = c.match_id
)
INSERT INTO events (position, match_id, sequence, time, incarnation, body)
SELECT t.first_position + row_number() OVER () - 1, w.match_id, w.sequence, w.time, $22, w.body
FROM written AS w, taken AS t
RETURNING match_id, sequence, position, time
