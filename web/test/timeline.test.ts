import assert from "node:assert/strict";
import { test } from "node:test";
import { NEW_TIMELINE, steps, type Timeline, take } from "../src/core/timeline";
import type { MatchUpdate } from "../src/gen/facematch/v1/face_match_pb";
import { event, update } from "./make";

function taken(...updates: MatchUpdate[]): Timeline {
    return updates.reduce((timeline, next) => {
        const after = take(timeline, next);
        assert.ok(after);
        return after;
    }, NEW_TIMELINE);
}

const accepted = update(1, event("accepted"));
const uploaded = update(2, event("photoUploaded"), 340);

test("steps have times and the gaps between them", () => {
    const rows = steps(taken(accepted, uploaded, update(3, event("analysisStarted"), 2340)));
    assert.deepEqual(
        rows.map(({ title, gapMs }) => [title, gapMs]),
        [
            ["Accepted", undefined],
            ["Photo is at Oz", 340],
            ["Analysis started", 2000],
        ],
    );
});

test("a repeated update is shown once", () => {
    const timeline = taken(accepted, uploaded);
    assert.equal(take(timeline, accepted), timeline);
    assert.equal(take(timeline, uploaded), timeline);
});

test("a missing update is noticed", () => {
    assert.equal(take(taken(accepted), update(3, event("analysisStarted"))), undefined);
});

test("a heartbeat changes nothing", () => {
    const timeline = taken(accepted);
    assert.equal(take(timeline, update(1, event("heartbeat"))), timeline);
});

test("progress is shown until the next step", () => {
    const sending = taken(
        accepted,
        update(1, event("progress", { bytesSent: 5n, bytesTotal: 9n })),
    );
    assert.equal(sending.progress?.bytesSent, 5n);
    assert.equal(take(sending, uploaded)?.progress, undefined);
});

test("trouble has its cause, and an unknown update its row", () => {
    const failed = event("attemptFailed", { cause: "OZ_UNREACHABLE", message: "Oz is away" });
    const rows = steps(taken(accepted, update(2, failed), update(3, { case: undefined })));
    assert.deepEqual([rows[1]?.title, rows[1]?.detail], ["Trouble: OZ_UNREACHABLE", "Oz is away"]);
    assert.ok(rows[1]?.isTrouble);
    assert.match(rows[2]?.title ?? "", /doesn't know/);
});
