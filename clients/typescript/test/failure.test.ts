import assert from "node:assert/strict";
import { test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { anyPack, DurationSchema } from "@bufbuild/protobuf/wkt";
import { MatchNotFoundError, UpdatesUnreadError } from "@facematch/client";
import { status } from "@grpc/grpc-js";
import { Failure } from "#dist/failure.js";
import {
    BadRequestSchema,
    ErrorInfoSchema,
    RetryInfoSchema,
} from "#dist/gen/google/rpc/error_details_pb.js";
import { StatusSchema } from "#dist/gen/google/rpc/status_pb.js";

function details(reason: string, domain = "facematch", delay?: { seconds: bigint; nanos: number }) {
    const info = create(ErrorInfoSchema, {
        reason,
        domain,
        metadata: { limit: "calls" },
    });
    const parts = [anyPack(ErrorInfoSchema, info)];
    if (delay) {
        const retryDelay = create(DurationSchema, delay);
        parts.push(anyPack(RetryInfoSchema, create(RetryInfoSchema, { retryDelay })));
    }
    return toBinary(StatusSchema, create(StatusSchema, { details: parts }));
}

function read(code: status, trailers: Record<string, string | Uint8Array>): Failure {
    return Failure.read(code, "a sentence", (key) => trailers[key]);
}

test("the reason, its metadata and the delay are read from the details", () => {
    const packed = details("UPDATES_UNREAD", "facematch", {
        seconds: 1n,
        nanos: 500_000_001,
    });
    const failure = read(status.RESOURCE_EXHAUSTED, {
        "grpc-status-details-bin": packed,
    });
    assert.equal(failure.mayPass, true);
    // Rounded up, since a retry must not come too early.
    assert.equal(failure.retryAfterMs, 1_501);
    const error = failure.error({ matchContinues: true });
    assert.ok(error instanceof UpdatesUnreadError);
    assert.equal(error.code, "RESOURCE_EXHAUSTED");
    assert.deepEqual(error.metadata, { limit: "calls" });
    assert.equal(error.name, "UpdatesUnreadError");
});

test("all violations are read", () => {
    const request = create(BadRequestSchema, {
        fieldViolations: [{ field: "photo" }, { field: "folder_id", description: "no UUID" }],
    });
    const packed = create(StatusSchema, {
        details: [anyPack(BadRequestSchema, request)],
    });
    const error = read(status.INVALID_ARGUMENT, {
        "grpc-status-details-bin": toBinary(StatusSchema, packed),
    }).error({});
    assert.deepEqual(
        error.fieldViolations.map(({ field }) => field),
        ["photo", "folder_id"],
    );
});

test("a reason of another domain isn't the service's", () => {
    const trailers = {
        "grpc-status-details-bin": details("MATCH_NOT_FOUND", "elsewhere.example"),
    };
    const failure = read(status.NOT_FOUND, trailers);
    assert.equal(failure.reason, undefined);
    assert.ok(!(failure.error({}) instanceof MatchNotFoundError));
});

test("an unknown reason means the same as its code", () => {
    const trailers = { "grpc-status-details-bin": details("OF_A_LATER_VERSION") };
    assert.equal(read(status.UNAVAILABLE, trailers).mayPass, true);
    assert.equal(read(status.FAILED_PRECONDITION, trailers).mayPass, false);
    assert.equal(read(status.INTERNAL, trailers).error({}).reason, "OF_A_LATER_VERSION");
});

test("a failed call may have acted unless it says that it had no effect", () => {
    const mayHaveActed = (code: status, reason?: string) =>
        read(code, reason === undefined ? {} : { "grpc-status-details-bin": details(reason) })
            .mayHaveActed;
    for (const code of [status.UNAVAILABLE, status.INTERNAL, status.DEADLINE_EXCEEDED]) {
        assert.equal(mayHaveActed(code), true, `${code}`);
        assert.equal(mayHaveActed(code, "STORE_UNAVAILABLE"), true, `${code}`);
        assert.equal(mayHaveActed(code, "SERVER_DRAINING"), false, `${code}`);
        assert.equal(mayHaveActed(code, "AUDIT_UNAVAILABLE"), false, `${code}`);
    }
    assert.equal(mayHaveActed(status.INVALID_ARGUMENT, "FIELD_INVALID"), false);
    assert.equal(mayHaveActed(status.RESOURCE_EXHAUSTED, "OVERLOADED"), false);
    assert.equal(mayHaveActed(status.RESOURCE_EXHAUSTED), true);
});

test("without a reason, a broken connection is repeated and a refusal is not", () => {
    for (const code of ["UNAVAILABLE", "UNKNOWN", "INTERNAL", "ABORTED", "CANCELLED"] as const) {
        assert.equal(read(status[code], {}).mayPass, true, code);
    }
    for (const code of ["RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED", "NOT_FOUND"] as const) {
        assert.equal(read(status[code], {}).mayPass, false, code);
    }
});

test("the pushback trailer asks for a delay, and may forbid a repeat", () => {
    const pushback = (text: string) => read(status.UNAVAILABLE, { "grpc-retry-pushback-ms": text });
    assert.equal(pushback("1200").retryAfterMs, 1_200);
    for (const text of ["-1", "soon", "", "1e3", "0x10", "1.5", " 7"]) {
        assert.equal(pushback(text).mayPass, false, text);
    }
});

test("details that can't be read are none", () => {
    const garbage = Uint8Array.from([255, 1, 2, 3]);
    const failure = read(status.UNAVAILABLE, {
        "grpc-status-details-bin": garbage,
    });
    assert.equal(failure.reason, undefined);
    assert.equal(failure.mayPass, true);
});
