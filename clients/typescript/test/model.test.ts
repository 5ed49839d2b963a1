import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { create } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromDate } from "@bufbuild/protobuf/wkt";
import * as facematch from "@facematch/client";
import * as wire from "@facematch/client/wire";
import { matchOf, updateOf } from "#dist/model.js";
import { Verdict } from "#dist/verdict.js";

const time = new Date("2026-11-30T12:00:00.123Z");

test("times are dates, durations are milliseconds, and sequences are bigints", () => {
    const update = updateOf(
        create(wire.MatchUpdateSchema, {
            sequence: 2n ** 63n,
            time: timestampFromDate(time),
            match: { createTime: timestampFromDate(time) },
            event: {
                case: "progress",
                value: { bytesSent: 7n, elapsed: durationFromMs(1_500) },
            },
        }),
    );
    assert.ok(update.kind === "progress");
    assert.equal(update.sequence, 2n ** 63n);
    assert.deepEqual(update.time, time);
    assert.deepEqual(update.match.createTime, time);
    assert.equal(update.bytesSent, 7n);
    assert.equal(update.elapsedMs, 1_500);
});

test("what only a later version knows passes, and is no success", () => {
    const match = matchOf(
        create(wire.MatchSchema, {
            state: wire.MatchState.FINISHED,
            result: { resolution: 9 as wire.Resolution, minConfidence: 1 },
        }),
    );
    assert.equal(match.result?.resolution, 9);
    assert.throws(() => Verdict.of(match), facematch.ContractError);
    const update = updateOf(create(wire.MatchUpdateSchema, { match: { state: 77 as 1 } }));
    assert.equal(update.kind, "unknown");
    assert.equal(update.match?.state, 77);
});

test("a match is written as JSON in the contract's form", () => {
    const match = matchOf(
        create(wire.MatchSchema, {
            matchId: "m",
            sequence: 4n,
            state: wire.MatchState.FINISHED,
        }),
    );
    assert.deepEqual(JSON.parse(JSON.stringify({ match })), {
        match: { matchId: "m", sequence: "4", state: "MATCH_STATE_FINISHED" },
    });
    assert.equal(match.wire.matchId, "m");
    assert.ok(!Object.keys(match).includes("wire"));
});

function ended(init: object): facematch.Match {
    const labels = { branch: "label-value" };
    return matchOf(create(wire.MatchSchema, { matchId: "m", requestId: "r", labels, ...init }));
}

function finished(resolution: wire.Resolution, minConfidence?: number): facematch.Match {
    const result = create(wire.MatchResultSchema, { resolution });
    if (minConfidence !== undefined) result.minConfidence = minConfidence;
    return ended({ state: wire.MatchState.FINISHED, result });
}

test("only SUCCESS is the same person", () => {
    const { SUCCESS, DECLINED, OPERATOR_REQUIRED } = wire.Resolution;
    assert.equal(Verdict.of(finished(SUCCESS, 0.9)).samePerson, true);
    assert.equal(Verdict.of(finished(DECLINED, 0.9)).samePerson, false);
    assert.equal(Verdict.of(finished(OPERATOR_REQUIRED, 0.9)).samePerson, false);
});

test("a verdict without a meaning is an error", () => {
    const { SUCCESS, UNSPECIFIED } = wire.Resolution;
    const { PROCESSING, FINISHED } = wire.MatchState;
    for (const match of [
        finished(SUCCESS),
        finished(UNSPECIFIED, 0.9),
        ended({ state: FINISHED }),
        ended({ state: PROCESSING }),
        ended({ state: 99, result: { resolution: SUCCESS, minConfidence: 1 } }),
    ]) {
        assert.throws(() => Verdict.of(match), facematch.ContractError, inspect(match));
    }
});

test("a match that FAILED throws the class of its reason, which shows no label", () => {
    const error = {
        code: 14,
        reason: "PHOTO_LOST",
        message: "lost",
        retryable: true,
    };
    const match = ended({ state: wire.MatchState.FAILED, error });
    assert.throws(
        () => Verdict.of(match),
        (thrown: unknown) => {
            assert.ok(thrown instanceof facematch.PhotoLostError);
            assert.ok(thrown instanceof facematch.MatchFailedError);
            assert.equal(thrown.code, "UNAVAILABLE");
            assert.equal(thrown.reason, "PHOTO_LOST");
            assert.equal(thrown.retryable, true);
            assert.equal(thrown.matchContinues, false);
            assert.equal(thrown.requestId, "r");
            assert.equal(thrown.match.labels["branch"], "label-value");
            assert.ok(!inspect(thrown, { showHidden: true, depth: 9 }).includes("label-value"));
            return true;
        },
    );
});

test("an unknown reason of a match keeps its word", () => {
    const error = { code: 99, reason: "OF_A_LATER_VERSION", message: "new" };
    const match = ended({ state: wire.MatchState.FAILED, error });
    assert.throws(
        () => Verdict.of(match),
        (thrown: unknown) => {
            assert.ok(thrown instanceof facematch.MatchFailedError);
            assert.equal(thrown.reason, "OF_A_LATER_VERSION");
            assert.equal(thrown.code, "99");
            return true;
        },
    );
});

test("each reason has a class and a code", () => {
    for (const [reason, Kind] of [...facematch.callReasons, ...facematch.matchReasons]) {
        assert.ok(Kind.prototype instanceof facematch.FaceMatchError, reason);
        assert.ok(facematch.reasonCodes.has(reason));
    }
    assert.equal(
        facematch.callReasons.size + facematch.matchReasons.size,
        facematch.reasonCodes.size,
    );
});
