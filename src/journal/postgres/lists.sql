-- What lists walk: the unfinished matches of a caller, and those that ended in a state. Added to the
-- first version: a replica that doesn't know these columns leaves them null, which an index of its
-- own finds, and a replica that does fills them in.
--
-- They are set at the beginning and at the end of a match only. An index over the state itself
-- would be written with every event, and all others of the table with it.

-- They wait for their table for a moment only: everything else waits behind them.
SELECT set_config('lock_timeout', '2s', true);

ALTER TABLE match_states
    ADD COLUMN IF NOT EXISTS caller text COLLATE "C",
    -- The state, once it is the last.
    ADD COLUMN IF NOT EXISTS end_state text COLLATE "C";
