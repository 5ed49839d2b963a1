-- Until when retention is held back because the clock has jumped, and the time that the clock
-- showed last. An addition to the first version: a program that doesn't know this table erases by
-- its clock alone.

CREATE TABLE erasing_hold (
    id        INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    until     INTEGER NOT NULL,
    seen_time INTEGER NOT NULL
) STRICT;

INSERT INTO erasing_hold (id, until, seen_time) SELECT 1, 0, coalesce(
    (SELECT time FROM events ORDER BY position DESC LIMIT 1), 0);
