-- What lists walk: the unfinished matches of a caller, and those that ended in a state. Added to the
-- first version: a replica that doesn't know these columns leaves them null, which an index of its
-- own finds, and a replica that does fills them in.
--
-- They are set at the beginning and at the end of a match only. An index over the state itself
-- would be written with every event, and all others of the table with it.

ALTER TABLE match_states
    ADD COLUMN caller text,
    -- The state, once it is the last.
    ADD COLUMN end_state text;

CREATE INDEX match_states_unfinished_by_caller ON match_states (caller, match_id)
    WHERE end_time IS NULL;
CREATE INDEX match_states_by_end ON match_states (caller, end_state, match_id)
    WHERE end_state IS NOT NULL;
CREATE INDEX match_states_unlisted ON match_states (match_id, caller)
    WHERE caller IS NULL OR end_time IS NOT NULL AND end_state IS NULL;
