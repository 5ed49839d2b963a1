-- What lists walk: the unfinished matches of a caller, and those that ended in a state. Added to the
-- first version: a program that doesn't know these columns leaves them null, which an index of its
-- own finds, and the next program that does fills them in.
--
-- The caller is the operator's word for a tenant, and may be left in a page's unused part; nothing
-- else here names anything.

ALTER TABLE match_states ADD COLUMN caller TEXT;
-- The state, once it is the last.
ALTER TABLE match_states ADD COLUMN end_state TEXT;

CREATE INDEX match_states_unfinished_by_caller ON match_states (caller, match_id)
    WHERE end_time IS NULL;
CREATE INDEX match_states_by_end ON match_states (caller, end_state, match_id)
    WHERE end_state IS NOT NULL;
CREATE INDEX match_states_unlisted ON match_states (match_id, caller)
    WHERE caller IS NULL OR end_time IS NOT NULL AND end_state IS NULL;
