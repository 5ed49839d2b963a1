-- See mod.rs. The columns are those of the first schema.

CREATE TEMP TABLE crowd AS
WITH RECURSIVE n (i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {last})
SELECT i,
    unhex(printf('%012x70008%015x', {start} + i * {step}, i)) AS match_id,
    printf('%032x', i / {folder_of}) AS folder,
    ({start} + i * {step}) * 1000 AS create_time,
    's' || (i % 3) AS shop,
    CASE WHEN i % 5000 = 5 THEN 'vip' ELSE 'plain' END AS rank,
    CASE i % 4000 WHEN 11 THEN 'processing' WHEN 7 THEN 'failed' WHEN 2007 THEN 'failed'
        ELSE 'finished' END AS state
FROM n;

INSERT INTO matches (match_id, caller, request_id, folder_id, create_time)
SELECT match_id, '{caller}', NULL, unhex(folder), create_time FROM crowd ORDER BY i;

INSERT INTO match_states
    (match_id, state, sequence, epoch, owner, update_time, end_time, expire_time)
SELECT match_id, state, CASE state WHEN 'failed' THEN 2 WHEN 'processing' THEN 3 ELSE 4 END, 1,
    NULL, create_time, CASE WHEN state <> 'processing' THEN create_time END,
    CASE WHEN state <> 'processing' THEN create_time + {keep} END
FROM crowd ORDER BY i;

INSERT INTO match_labels (caller, key, value, match_id)
SELECT '{caller}', 'shop', shop, match_id FROM crowd ORDER BY shop, i;
INSERT INTO match_labels (caller, key, value, match_id)
SELECT '{caller}', 'rank', rank, match_id FROM crowd ORDER BY rank, i;

INSERT INTO events (match_id, sequence, time, body)
SELECT match_id, sequence, create_time,
    CASE WHEN sequence = 1 THEN
        replace(replace(replace('{accepted}', '@shop@', shop), '@rank@', rank), '@folder@',
            substr(folder, 1, 8) || '-' || substr(folder, 9, 4) || '-' || substr(folder, 13, 4)
            || '-' || substr(folder, 17, 4) || '-' || substr(folder, 21))
    WHEN state = 'failed' THEN '{failed}'
    WHEN sequence = 2 THEN '{uploaded}'
    WHEN sequence = 3 THEN '{started}'
    ELSE '{finished}' END
FROM crowd, (SELECT column1 AS sequence FROM (VALUES (1), (2), (3), (4)))
WHERE sequence <= CASE state WHEN 'failed' THEN 2 WHEN 'processing' THEN 3 ELSE 4 END
ORDER BY i, sequence;

DROP TABLE crowd;
