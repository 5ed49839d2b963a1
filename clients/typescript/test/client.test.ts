import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { test } from "node:test";
import { inspect } from "node:util";
import * as facematch from "@facematch/client";
import { FakeFaceMatch } from "@facematch/client/testing";

const photo = new Uint8Array([0xff, 0xd8, 0xff]);
const request = { folderId: "f", photo };

function isCancelled(error: unknown): boolean {
    return error instanceof facematch.CallCancelledError && error.name === "AbortError";
}

test("match returns the verdict of the folder", async () => {
    const fake = new FakeFaceMatch();
    fake.outcome("declined", { resolution: "DECLINED" });
    fake.outcome("failed", { reason: "PHOTO_LOST", retryable: true });
    await using client = fake.client();
    assert.equal((await client.match(request)).samePerson, true);
    assert.equal((await client.match({ ...request, folderId: "declined" })).samePerson, false);
    await assert.rejects(
        client.match({ ...request, folderId: "failed" }),
        (error) => error instanceof facematch.PhotoLostError && error.retryable,
    );
});

test("a stream shows its requestId, and sends nothing before it is read", async () => {
    const fake = new FakeFaceMatch();
    await using client = fake.client();
    const stream = client.run(request);
    assert.match(stream.requestId ?? "", /^[0-9a-f-]{36}$/);
    assert.equal(fake.calls.length, 0);
    const kinds = [];
    for await (const update of stream) kinds.push(update.kind);
    assert.deepEqual(kinds, ["accepted", "photo_uploaded", "analysis_started", "finished"]);
    assert.equal(stream.match?.requestId, stream.requestId);
    assert.deepEqual(await stream.next(), { done: true, value: undefined });
});

test("the same requestId is the same match", async () => {
    await using client = new FakeFaceMatch().client();
    const once = { ...request, requestId: "once" };
    const first = await client.match(once);
    assert.equal((await client.match(once)).matchId, first.matchId);
    await assert.rejects(
        client.match({ ...once, folderId: "other" }),
        facematch.RequestIdReusedError,
    );
});

test("a refused call is repeated if a repeat may help, and the caller is told", async () => {
    const fake = new FakeFaceMatch();
    const told: facematch.Reconnect[] = [];
    await using client = fake.client({
        onReconnect: (reconnect) => told.push(reconnect),
    });
    fake.refuseNext("OVERLOADED", { retryAfterMs: 1 });
    assert.ok((await client.match({ ...request, requestId: "r" })).samePerson);
    assert.equal(told.length, 1);
    assert.ok(told[0]?.error instanceof facematch.OverloadedError);
    assert.equal(told[0]?.requestId, "r");
    fake.refuseNext("QUOTA_EXCEEDED");
    await assert.rejects(client.get("m"), facematch.QuotaExceededError);
});

test("leaving the loop ends the stream, and the match goes on", async () => {
    const fake = new FakeFaceMatch();
    fake.outcome("f", "running");
    await using client = fake.client();
    const stream = client.run(request);
    for await (const _ of stream) break;
    const { matchId = "" } = stream;
    assert.equal((await client.get(matchId)).state, "PROCESSING");
    const rest = client.watch(matchId, { afterSequence: 1 });
    fake.end(matchId, { resolution: "SUCCESS" });
    assert.equal((await rest.verdict()).samePerson, true);
});

test("an aborted signal ends a stream that waits, and says that the match goes on", async () => {
    const fake = new FakeFaceMatch();
    fake.outcome("f", "running");
    await using client = fake.client();
    const abort = new AbortController();
    const stream = client.run(request, { signal: abort.signal });
    for (let updates = 0; updates < 3; updates += 1) await stream.next();
    const waiting = stream.next();
    const reason = new Error("enough");
    abort.abort(reason);
    await assert.rejects(waiting, (error: unknown) => {
        assert.ok(error instanceof facematch.CallCancelledError);
        assert.equal(error.name, "AbortError");
        assert.equal(error.cause, reason);
        assert.equal(error.matchContinues, true);
        assert.equal(error.requestId, stream.requestId);
        return true;
    });
});

test("an aborted signal ends a unary call, also before it begins", async () => {
    const fake = new FakeFaceMatch();
    await using client = fake.client();
    const signal = AbortSignal.abort();
    for (const call of [
        client.get("m", { signal }),
        client.wait("m", { signal }),
        client.create(request, { signal }),
        client.match(request, { signal }),
        client.list({ signal }).next(),
        client.delete("m", { signal }),
    ]) {
        await assert.rejects(call, isCancelled);
    }
    assert.equal(fake.calls.length, 0);
});

test("a time limit ends the call as a deadline, whichever way it is given", async () => {
    const fake = new FakeFaceMatch();
    fake.outcome("f", "running");
    await using client = fake.client();
    for (const options of [
        () => ({ timeoutMs: 20 }),
        () => ({ signal: AbortSignal.timeout(20) }),
    ]) {
        await assert.rejects(client.match(request, options()), (error: unknown) => {
            assert.ok(error instanceof facematch.DeadlineError, inspect(error));
            assert.equal(error.matchContinues, true);
            return true;
        });
    }
    const { matchId } = await client.create(request);
    await assert.rejects(client.wait(matchId, { timeoutMs: 20 }), facematch.DeadlineError);
});

test("a stream that is closed while it waits ends without an error", async () => {
    const fake = new FakeFaceMatch();
    await using client = fake.client();
    const stream = client.watchAll();
    const waiting = stream.next();
    await stream.return();
    assert.deepEqual(await waiting, { done: true, value: undefined });
    const unread = client.watchAll();
    await unread.return();
    assert.equal((await unread.next()).done, true);
});

test("a photo that never comes doesn't hold a call that is cancelled", async () => {
    const fake = new FakeFaceMatch();
    await using client = fake.client();
    const endless = new Readable({ read() {} });
    for (const call of [
        client.match({ ...request, photo: endless }, { signal: AbortSignal.timeout(10) }),
        client.create({ ...request, photo: endless }, { signal: AbortSignal.timeout(10) }),
    ]) {
        const keptAlive = setInterval(() => {}, 1_000);
        await assert.rejects(call, facematch.DeadlineError);
        clearInterval(keptAlive);
    }
    assert.equal(fake.calls.length, 0);
});

test("closing the client ends its calls, and later ones", async () => {
    const fake = new FakeFaceMatch();
    fake.outcome("f", "running");
    const client = fake.client();
    const waiting = client.match(request);
    await new Promise(setImmediate);
    client.close();
    client.close();
    await assert.rejects(waiting, isCancelled);
    await assert.rejects(client.get("m"), isCancelled);
});

test("a caller's signal is forgotten when the call has ended", async () => {
    await using client = new FakeFaceMatch().client();
    const { signal } = new AbortController();
    let listeners = 0;
    const { addEventListener, removeEventListener } = signal;
    signal.addEventListener = (...given: Parameters<typeof addEventListener>) => {
        listeners += 1;
        addEventListener.apply(signal, given);
    };
    signal.removeEventListener = (...given: Parameters<typeof removeEventListener>) => {
        listeners -= 1;
        removeEventListener.apply(signal, given);
    };
    await client.match(request, { signal });
    await assert.rejects(client.get("none", { signal }), facematch.MatchNotFoundError);
    assert.equal(listeners, 0);
});

test("watchAll hands out all matches, and its token continues", async () => {
    const fake = new FakeFaceMatch();
    await using client = fake.client();
    await client.match({ ...request, labels: { branch: "riga" } });
    await client.match(request);
    const stream = client.watchAll({
        resumeToken: "earliest",
        labels: { branch: "riga" },
    });
    const kinds = [];
    for await (const update of stream) {
        kinds.push(update.kind);
        if (update.kind === "analysis_started") {
            stream.ack();
            break;
        }
    }
    assert.equal(kinds.length, 3);
    const resumed = client.watchAll({ resumeToken: stream.resumeToken });
    const { value } = await resumed.next();
    assert.equal(value?.kind, "finished");
    await resumed.return();
});

test("list, cancel and delete answer as the service does", async () => {
    const fake = new FakeFaceMatch();
    fake.outcome("f", "running");
    await using client = fake.client();
    const { matchId } = await client.create({ ...request, requestId: "r" });
    await assert.rejects(client.delete(matchId), facematch.MatchRunningError);
    assert.equal((await client.cancel({ requestId: "r" })).state, "CANCELLED");
    assert.equal((await client.wait(matchId)).state, "CANCELLED");
    await assert.rejects(client.watch(matchId).verdict(), facematch.MatchCancelledError);
    const listed = [];
    for await (const match of client.list({ states: ["CANCELLED"] })) listed.push(match.matchId);
    assert.deepEqual(listed, [matchId]);
    const deleted = await client.delete(matchId);
    assert.equal(deleted.alreadyGone, false);
    assert.ok(deleted.photoMediaId);
    await assert.rejects(client.delete(matchId), facematch.MatchNotFoundError);
});

test("photos come from bytes, buffers, blobs and streams", async () => {
    const fake = new FakeFaceMatch();
    await using client = fake.client();
    const sources: facematch.Photo[] = [
        photo,
        Buffer.from(photo),
        photo.buffer,
        new Blob([photo]),
        Readable.from([photo.subarray(0, 1), photo.subarray(1)]),
        new Blob([photo]).stream(),
    ];
    for (const source of sources) {
        await client.match({ ...request, requestId: "same", photo: source });
    }
});

test("a photo that can't be sent is refused before anything is sent", async () => {
    const fake = new FakeFaceMatch();
    await using client = fake.client();
    const large = new Uint8Array(facematch.PHOTO_BYTES_MAX + 1);
    for (const source of [large, new Blob([large]), Readable.from([large, large])]) {
        const refused = client.match({ ...request, photo: source });
        await assert.rejects(refused, facematch.PhotoTooLargeError);
    }
    const missing = client.match({
        ...request,
        photo: "/nowhere/name-of-a-person.jpg",
    });
    await assert.rejects(missing, (error: unknown) => {
        assert.ok(error instanceof facematch.UsageError);
        assert.ok(!inspect(error, { showHidden: true }).includes("name-of-a-person"));
        return true;
    });
    const wrong = 7 as unknown as facematch.Photo;
    await assert.rejects(client.match({ ...request, photo: wrong }), facematch.UsageError);
    assert.equal(fake.calls.length, 0);
});

test("arguments that can't be sent are refused", async () => {
    await using client = new FakeFaceMatch().client();
    await assert.rejects(client.list({ pageSize: 1.5 }).next(), facematch.UsageError);
    const endless = client.match({ ...request, matchTimeoutMs: Number.POSITIVE_INFINITY });
    await assert.rejects(endless, facematch.UsageError);
    assert.throws(() => client.run({ ...request, requestId: "" }), facematch.UsageError);
    assert.throws(() => client.watch(""), facematch.UsageError);
    assert.throws(() => client.watch("m", { afterSequence: 1.5 }), facematch.UsageError);
    assert.throws(() => client.watch("m", { afterSequence: -1n }), facematch.UsageError);
});

test("the token is asked for each call, and a function that fails is the caller's error", async () => {
    const fake = new FakeFaceMatch();
    let asked = 0;
    await using client = fake.client({
        token: async () => {
            asked += 1;
            if (asked > 2) throw new Error("no token");
            return `token-${asked}\n`;
        },
    });
    await assert.rejects(client.get("m"), facematch.MatchNotFoundError);
    await assert.rejects(client.get("m"), facematch.MatchNotFoundError);
    const sent = fake.calls.map(({ headers }) => headers["authorization"]);
    assert.deepEqual(sent, ["Bearer token-1", "Bearer token-2"]);
    await assert.rejects(client.get("m"), facematch.UsageError);
});
