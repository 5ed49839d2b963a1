-- Has PostgreSQL vacuum the tables that retention empties once a twentieth of their rows is dead,
-- rather than its default of a fifth, so that the space of erased rows is overwritten soon. Less
-- than a fiftieth is of no use: below it VACUUM skips the indexes.

-- The statements wait for their tables for a moment only.
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
