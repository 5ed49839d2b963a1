-- What lists walk: the unfinished matches of a caller, and those that ended in a given state. An
-- addition to the first version: a program that doesn't know these columns leaves them null.
-- `match_states_unlisted` finds such rows, and the next program that knows the columns fills them
-- in.
--
-- The caller is the operator's name for a tenant, so a copy of it may stay in a page's unused part
-- (see 1.sql). Nothing else here is a name.

ALTER TABLE match_states ADD COLUMN caller TEXT;
-- The state in which the match ended; null until then.
ALTER TABLE match_states ADD COLUMN end_state TEXT;

CREATE INDEX match_states_unfinished_by_caller ON match_states (caller, match_id)
    WHERE end_time IS NULL;
CREATE INDEX match_states_by_end ON match_states (caller, end_state, match_id)
    WHERE end_state IS NOT NULL;
CREATE INDEX match_states_unlisted ON match_states (match_id, caller)
    WHERE caller IS NULL OR end_time IS NOT NULL AND end_state IS NULL;
