-- See mod.rs. The columns are those of the first schema.

CREATE TEMP TABLE crowd AS
SELECT i,
    (lpad(to_hex({start}::bigint + i * {step}), 12, '0') || '70008'
        || lpad(to_hex(i), 15, '0'))::uuid AS match_id,
    lpad(to_hex(i / {folder_of}), 32, '0')::uuid AS folder_id,
    ({start}::bigint + i * {step}) * 1000 AS create_time,
    's' || (i % 3) AS shop,
    CASE WHEN i % 5000 = 5 THEN 'vip' ELSE 'plain' END AS rank,
    CASE i % 4000 WHEN 11 THEN 'processing' WHEN 7 THEN 'failed' WHEN 2007 THEN 'failed'
        ELSE 'finished' END AS state
FROM generate_series({first}::bigint, {last}::bigint) AS n (i);

INSERT INTO matches (match_id, caller, request_id, folder_id, create_time)
SELECT match_id, '{caller}', NULL, folder_id, create_time FROM crowd ORDER BY i;

INSERT INTO match_states
    (match_id, state, sequence, epoch, owner, needs_photo, lent, slot, update_time, end_time,
     expire_time)
SELECT match_id, state, CASE state WHEN 'failed' THEN 2 WHEN 'processing' THEN 3 ELSE 4 END, 1, 0,
    FALSE, FALSE, i % 32768, create_time,
    CASE WHEN state <> 'processing' THEN create_time END,
    CASE WHEN state <> 'processing' THEN create_time + {keep} END
FROM crowd ORDER BY i;

INSERT INTO match_labels (caller, key, value, match_id)
SELECT '{caller}', 'shop', shop, match_id FROM crowd ORDER BY shop, i;
INSERT INTO match_labels (caller, key, value, match_id)
SELECT '{caller}', 'rank', rank, match_id FROM crowd ORDER BY rank, i;

INSERT INTO events (position, match_id, sequence, time, incarnation, body)
SELECT head.last_position + row_number() OVER (ORDER BY i, sequence), match_id, sequence,
    create_time, 1,
    CASE WHEN sequence = 1 THEN
        replace(replace(replace('{accepted}', '@shop@', shop), '@rank@', rank), '@folder@',
            folder_id::text)
    WHEN state = 'failed' THEN '{failed}'
    WHEN sequence = 2 THEN '{uploaded}'
    WHEN sequence = 3 THEN '{started}'
    ELSE '{finished}' END
FROM crowd CROSS JOIN generate_series(1, 4) AS s (sequence)
    CROSS JOIN (SELECT max(last_position) AS last_position FROM commits) AS head
WHERE sequence <= CASE state WHEN 'failed' THEN 2 WHEN 'processing' THEN 3 ELSE 4 END;

INSERT INTO commits (first_position, last_position, incarnation)
SELECT (SELECT max(last_position) + 1 FROM commits), max(position), 1 FROM events;

DROP TABLE crowd;
