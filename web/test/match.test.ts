import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { readFailure } from "../src/core/failure";
import { announcement, shortNumber, verdict } from "../src/core/match";
import { bytes, duration, wholeSeconds } from "../src/core/time";
import { grpcurl, nextTry } from "../src/core/words";
import {
    MatchResultSchema,
    MatchState,
    type Resolution,
    TroubleSchema,
} from "../src/gen/facematch/v1/face_match_pb";
import {
    BadRequestSchema,
    ErrorInfoSchema,
    RetryInfoSchema,
} from "../src/gen/google/rpc/error_details_pb";
import { match } from "./make";

const finished = (resolution: number, number = 1) =>
    match(number, {
        state: MatchState.FINISHED,
        result: create(MatchResultSchema, {
            resolution: resolution as Resolution,
            minConfidence: 0.97,
        }),
    });

test("only SUCCESS of a finished match is good", () => {
    const good = [0, 1, 2, 3, 99].filter((it) => verdict(finished(it)).tone === "good");
    assert.deepEqual(good, [1]);
    for (const state of [0, 1, 2, 3, 5, 6, 99]) {
        const other = match(1, { state, result: finished(1).result });
        assert.notEqual(verdict(other).tone, "good", `state ${state}`);
    }
});

test("verdicts differ in their words and their shapes, not only in colour", () => {
    const verdicts = [1, 2, 3].map((it) => verdict(finished(it)));
    verdicts.push(verdict(match(1)), verdict(match(1, { state: MatchState.FAILED })));
    verdicts.push(verdict(match(1, { trouble: create(TroubleSchema, { cause: "OZ_BUSY" }) })));
    assert.equal(new Set(verdicts.map((it) => it.word)).size, verdicts.length);
    assert.equal(new Set(verdicts.map((it) => it.shape)).size, verdicts.length);
});

test("a number of a row is never rounded up", () => {
    assert.deepEqual([0.97, 0.849999, 0.00000012345, 1].map(shortNumber), [
        "0.97",
        "0.8499",
        "0",
        "1",
    ]);
});

test("ends are announced in one sentence", () => {
    assert.equal(announcement([finished(1)]), "order-1: Success, similarity 0.97.");
    const three = [finished(1), finished(1, 2), finished(2, 3)];
    assert.equal(announcement(three), "3 matches ended: 2 success, 1 declined.");
});

const ours = (code: Code, reason: string) => {
    const info = { domain: "facematch", reason };
    return new ConnectError("no", code, undefined, [{ desc: ErrorInfoSchema, value: info }]);
};

test("a break of the connection is tried again, whatever the browser calls it", () => {
    assert.equal(readFailure(new TypeError("network error")).remedy, "retry");
    for (const code of [Code.Unknown, Code.Unavailable, Code.Internal, Code.Aborted]) {
        assert.equal(readFailure(new ConnectError("x", code)).remedy, "retry", Code[code]);
    }
});

test("the service's reasons have their remedies", () => {
    const remedy = (code: Code, reason: string) => readFailure(ours(code, reason)).remedy;
    assert.equal(remedy(Code.Unauthenticated, "CREDENTIAL_MISSING"), "credential");
    assert.equal(remedy(Code.PermissionDenied, "CALL_FORBIDDEN"), "forbidden");
    assert.equal(remedy(Code.NotFound, "MATCH_NOT_FOUND"), "gone");
    assert.equal(remedy(Code.InvalidArgument, "TOKEN_INVALID"), "restart");
    assert.equal(remedy(Code.OutOfRange, "TOKEN_EXPIRED"), "restart");
    assert.equal(remedy(Code.Unavailable, "SERVER_DRAINING"), "retry");
    assert.equal(remedy(Code.InvalidArgument, "FIELD_INVALID"), "none");
    assert.equal(remedy(Code.Internal, "INTERNAL"), "none");
    assert.equal(remedy(Code.ResourceExhausted, "A_LATER_REASON"), "none");
});

test("a refusal brings its delay and its fields", () => {
    const error = new ConnectError("busy", Code.ResourceExhausted, undefined, [
        { desc: RetryInfoSchema, value: { retryDelay: { seconds: 2n, nanos: 500_000_000 } } },
        {
            desc: BadRequestSchema,
            value: { fieldViolations: [{ field: "folder_id", description: "must be a UUID" }] },
        },
    ]);
    const failure = readFailure(error);
    assert.equal(failure.remedy, "retry");
    assert.equal(failure.retryAfterMs, 2500);
    assert.deepEqual(failure.fields, { folder_id: "must be a UUID" });
});

test("durations and sizes have units", () => {
    assert.deepEqual([12, 3400, 59_960, 125_000, 3_720_000].map(duration), [
        "12 ms",
        "3.4 s",
        "1 min 0 s",
        "2 min 5 s",
        "1 h 2 min",
    ]);
    assert.equal(wholeSeconds(-5), "0 s");
    assert.deepEqual([812, 340_000, 2_100_000].map(bytes), ["812 B", "340 KB", "2.1 MB"]);
});

test("the next try is counted down, and past ones are called so", () => {
    assert.equal(nextTry(4000, 0), "Next try in 4 s.");
    assert.equal(nextTry(4000, 5000), "It is being tried again.");
});

test("the command names the match", () => {
    assert.match(
        grpcurl("m-1"),
        /-d '\{"match_id":"m-1"\}' ADDRESS facematch\.v1\.FaceMatch\/WatchMatch$/,
    );
});
