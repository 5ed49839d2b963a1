-- How PostgreSQL cleans up the tables that retention empties: after a twentieth of their rows, where
-- it waits for a fifth unless told otherwise, so that the room of what was erased is written over
-- soon. Less than a fiftieth is of no use: below it vacuum leaves the indexes as they are.

-- They wait for their tables for a moment only.
SELECT set_config('lock_timeout', '2s', true);

ALTER TABLE matches SET
    (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
ALTER TABLE match_states SET
    (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
ALTER TABLE match_analyses SET
    (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
ALTER TABLE match_labels SET
    (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
ALTER TABLE events SET
    (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
ALTER TABLE commits SET
    (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
ALTER TABLE erased SET
    (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
