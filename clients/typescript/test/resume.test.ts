import assert from "node:assert/strict";
import { test } from "node:test";
import { create, fromBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import * as wire from "@facematch/client/wire";
import { status } from "@grpc/grpc-js";
import { ContractError } from "#dist/errors.js";
import { Failure } from "#dist/failure.js";
import { Acceptance, Following, FollowingAll, Outage, Silence } from "#dist/resume.js";
import { limitsOf, retryOf } from "#dist/settings.js";

const broken = Failure.broken("broken");

function update(
    sequence: number,
    event: keyof typeof EVENTS,
    match: MessageInitShape<typeof wire.MatchSchema> = {},
    matchId = "m",
): wire.MatchUpdate {
    const init = {
        matchId,
        sequence: BigInt(sequence),
        match,
        event: EVENTS[event],
    };
    return create(wire.MatchUpdateSchema, init as MessageInitShape<typeof wire.MatchUpdateSchema>);
}

const EVENTS = {
    accepted: { case: "accepted", value: {} },
    uploaded: { case: "photoUploaded", value: {} },
    finished: { case: "finished", value: {} },
    heartbeat: { case: "heartbeat", value: {} },
    progress: { case: "progress", value: {} },
} as const;

async function running(): Promise<Following> {
    const photo = { source: { case: "content", value: new Uint8Array([1, 2, 3]) } } as const;
    const request = create(wire.MatchRequestSchema, { requestId: "r", folderId: "f", photo });
    const options = { includeProgress: false, heartbeats: false };
    const following = Following.run("r", options, async () => request);
    await following.prepare();
    return following;
}

test("the photo is sent until the server has it at Oz, and not after", async () => {
    const following = await running();
    assert.equal(following.nextCall().method.name, "RunMatch");
    following.take(update(1, "accepted"));
    assert.equal(following.nextCall().method.name, "RunMatch");
    following.take(update(2, "uploaded", { photoMediaId: "p" }));
    const next = following.nextCall();
    assert.equal(next.method.name, "WatchMatch");
    const request = fromBinary(wire.WatchMatchRequestSchema, next.request);
    assert.equal(request.afterSequence, 2n);
    assert.deepEqual(request.id, { case: "matchId", value: "m" });
});

test("an update that was seen is dropped", async () => {
    const following = await running();
    assert.ok(following.take(update(1, "accepted")).isForCaller);
    assert.deepEqual(following.take(update(1, "accepted")), {
        isProgress: false,
        isForCaller: false,
    });
});

test("an update that skips a number is an error, not handed out", async () => {
    const following = await running();
    following.take(update(1, "accepted"));
    assert.throws(() => following.take(update(3, "finished")), ContractError);
});

test("progress and heartbeats are no progress of the match", async () => {
    const following = await running();
    following.take(update(1, "accepted"));
    assert.deepEqual(following.take(update(1, "progress")), {
        isProgress: false,
        isForCaller: true,
    });
    assert.deepEqual(following.take(update(1, "heartbeat")), {
        isProgress: false,
        isForCaller: false,
    });
});

test("a match of another id begins to count at 1", async () => {
    const following = await running();
    following.take(update(1, "accepted"));
    assert.ok(following.take(update(1, "accepted", {}, "other")).isForCaller);
    assert.equal(following.matchId, "other");
});

test("a match that has ended further on than was seen isn't complete", async () => {
    const following = await running();
    following.take(update(1, "accepted"));
    const ended = (sequence: bigint) =>
        create(wire.MatchSchema, { state: wire.MatchState.FINISHED, sequence });
    assert.equal(following.isCompleteWith(ended(4n)), false);
    assert.equal(following.isCompleteWith(ended(1n)), true);
    assert.ok(following.hasEnded);
});

test("a token moves when the caller is done with its message", () => {
    const following = new FollowingAll(create(wire.WatchMatchesRequestSchema), "throw", false);
    const message = (resumeToken: string, event: keyof typeof EVENTS) => {
        const given = update(1, event);
        given.resumeToken = resumeToken;
        return given;
    };
    following.take(message("t0", "heartbeat"));
    assert.equal(following.token, "t0");
    following.take(message("t1", "accepted"));
    assert.equal(following.token, "t0");
    following.finished();
    assert.equal(following.token, "t1");
});

test("an expired token does what the caller has chosen", () => {
    const expired = new Failure({
        code: status.OUT_OF_RANGE,
        message: "",
        reason: "TOKEN_EXPIRED",
    });
    const request = create(wire.WatchMatchesRequestSchema, {
        resumeToken: "old",
    });
    for (const [policy, goesOn, token] of [
        ["throw", false, "old"],
        ["earliest", true, "earliest"],
        ["now", true, ""],
    ] as const) {
        const following = new FollowingAll(request, policy, false);
        assert.equal(following.restartsAfter(expired), goesOn);
        assert.equal(following.token, token);
    }
});

test("the pause doubles up to the longest one, and is jittered", () => {
    const outage = new Outage(retryOf({ firstMs: 100, longestMs: 350 }), true, () => 1);
    const pauses = [0, 0, 0, 0].map(() => outage.pauseMs(broken, 0));
    assert.deepEqual(pauses, [100, 200, 350, 350]);
    const jittered = new Outage(retryOf({ firstMs: 100 }), true, () => 0.25);
    assert.equal(jittered.pauseMs(broken, 0), 25);
});

test("a delay that the server asks for is never shortened", () => {
    const asked = new Failure({
        code: status.UNAVAILABLE,
        message: "",
        retryAfterMs: 1_000,
    });
    assert.equal(new Outage(retryOf(), true, () => 0).pauseMs(asked, 0), 1_000);
    assert.equal(new Outage(retryOf(), true, () => 1).pauseMs(asked, 0), 1_500);
});

test("only progress gives the tries back", () => {
    const outage = new Outage(retryOf({ tries: 2 }), true, () => 0);
    assert.equal(outage.pauseMs(broken, 0), 0);
    outage.message(1);
    assert.equal(outage.pauseMs(broken, 2), 0);
    assert.equal(outage.pauseMs(broken, 3), undefined);
    outage.progress();
    assert.equal(outage.pauseMs(broken, 4), 0);
});

test("a stream that worked for a while gives the tries back", () => {
    const outage = new Outage(retryOf({ tries: 1, longestMs: 1_000 }), true, () => 0);
    assert.equal(outage.pauseMs(broken, 0), 0);
    outage.opened();
    outage.message(10);
    assert.equal(outage.pauseMs(broken, 1_010), 0);
});

test("the time without progress begins with the first broken call", () => {
    const outage = new Outage(retryOf({ giveUpAfterMs: 1_000 }), true, () => 0);
    assert.equal(outage.pauseMs(broken, 1_000_000), 0);
    assert.equal(outage.pauseMs(broken, 1_001_000), 0);
    assert.equal(outage.pauseMs(broken, 1_001_001), undefined);
    const endless = new Outage(retryOf({ giveUpAfterMs: 1_000 }), false, () => 0);
    endless.pauseMs(broken, 0);
    assert.equal(endless.pauseMs(broken, 1_000_000), 0);
});

test("silence is judged by the server's interval once it is known", () => {
    const silence = new Silence(limitsOf({ silenceLeastMs: 100, silenceUnknownMs: 900 }));
    assert.equal(silence.limitMs(false), 900);
    const heartbeat = update(1, "heartbeat");
    heartbeat.event = {
        case: "heartbeat",
        value: create(wire.HeartbeatSchema, { interval: durationFromMs(50) }),
    };
    silence.note(heartbeat);
    assert.equal(silence.limitMs(false), 150);
    assert.equal(silence.limitMs(true), 900);
});

test("a match may be accepted if its request broke off, and not if it was refused", () => {
    const refused = new Failure({
        code: status.INVALID_ARGUMENT,
        message: "",
        reason: "FIELD_INVALID",
    });
    for (const [failure, may] of [
        [broken, true],
        [refused, false],
    ] as const) {
        const acceptance = new Acceptance(false);
        assert.equal(acceptance.mayBe, false);
        acceptance.sending();
        assert.equal(acceptance.mayBe, true);
        acceptance.failed(failure);
        assert.equal(acceptance.mayBe, may);
    }
});
