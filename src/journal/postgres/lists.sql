-- Columns for the indexes that lists walk: a caller's unfinished matches, and those that ended in a
-- given state. Added to the first version: a replica that doesn't know these columns leaves them
-- null. A separate index finds such rows, and a replica that knows the columns fills them in.
--
-- The columns are set only when a match begins and when it ends. An index over the state itself
-- would be written with every event, and all other indexes of the table with it.

-- The statement waits for its table for a moment only: all other statements queue behind it.
SELECT set_config('lock_timeout', '2s', true);

ALTER TABLE match_states
    ADD COLUMN IF NOT EXISTS caller text COLLATE "C",
    -- The state in which the match ended.
    ADD COLUMN IF NOT EXISTS end_state text COLLATE "C";
