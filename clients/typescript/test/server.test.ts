import assert from "node:assert/strict";
import { createServer } from "node:net";
import { test } from "node:test";
import * as facematch from "@facematch/client";
import { noServer, startServer } from "@facematch/client/testing";

const needsServer = { skip: noServer() };

test("a match of the portrait is a success, of a stranger it isn't", needsServer, async () => {
    await using server = await startServer();
    const photo = await server.photo();
    const verdict = await server.client.match({ folderId: await server.folder(), photo });
    assert.equal(verdict.samePerson, true);
    assert.equal(verdict.liveness?.resolution, "SUCCESS");
    const stranger = await server.folder({ person: "stranger" });
    const declined = await server.client.match({ folderId: stranger, photo });
    assert.equal(declined.samePerson, false);
    assert.match(server.client.serverVersion ?? "", /^\d+\./);
});

test("all verbs work against the server", needsServer, async () => {
    await using server = await startServer({ args: ["--callers"] });
    const { client } = server;
    const folderId = await server.folder({ verdict: { processing_ms: 60_000 } });
    const request = { folderId, photo: await server.photo(), labels: { test: "verbs" } };
    const created = await client.create({ ...request, matchTimeoutMs: 30_000 });
    assert.ok(created.photoMediaId);
    assert.deepEqual(created.labels, { test: "verbs" });
    assert.ok(created.createTime instanceof Date);
    const { matchId } = created;
    const updates = client.watch(matchId, { afterSequence: created.sequence, heartbeats: true });
    const first = await updates.next();
    assert.ok(first.value !== undefined && first.value.sequence >= created.sequence);
    await assert.rejects(client.delete(matchId), facematch.MatchRunningError);
    assert.equal((await client.cancel(matchId)).state, "CANCELLED");
    await assert.rejects(updates.verdict(), facematch.MatchCancelledError);
    assert.equal((await client.wait({ matchId })).state, "CANCELLED");
    const filter = { labels: { test: "verbs" }, createdAfter: new Date(Date.now() - 60_000) };
    const listed = [];
    for await (const match of client.list(filter)) listed.push(match.matchId);
    assert.deepEqual(listed, [matchId]);
    assert.equal((await client.delete(matchId)).matchId, matchId);
    await assert.rejects(client.get(matchId), facematch.MatchNotFoundError);
});

test("progress is handed out if it is asked for", needsServer, async () => {
    await using server = await startServer();
    const photo = await server.photo();
    const folderId = await server.folder({ verdict: { processing_ms: 1_000 } });
    const progress = [];
    for await (const update of server.client.run({ folderId, photo }, { progress: true })) {
        if (update.kind === "progress") progress.push(update);
    }
    assert.ok(progress.some(({ polls, elapsedMs = 0 }) => polls > 0n && elapsedMs > 0));
});

test("watchAll begins with a token, and resumes by it", needsServer, async () => {
    await using server = await startServer();
    const stream = server.client.watchAll({ heartbeats: true });
    const first = await stream.next();
    assert.equal(first.value?.kind, "heartbeat");
    await stream.return();
    stream.ack();
    const request = { folderId: await server.folder(), photo: await server.photo() };
    await server.client.match(request);
    const kinds = [];
    for await (const update of server.client.watchAll({ resumeToken: stream.resumeToken })) {
        kinds.push(update.kind);
        if (update.kind === "finished") break;
    }
    assert.deepEqual(kinds, ["accepted", "photo_uploaded", "analysis_started", "finished"]);
});

test("many streams share one connection", needsServer, async () => {
    await using server = await startServer();
    const folderId = await server.folder({ verdict: { processing_ms: 300 } });
    const { matchId } = await server.client.create({ folderId, photo: await server.photo() });
    const verdicts = await Promise.all(
        Array.from({ length: 50 }, () => server.client.watch(matchId).verdict()),
    );
    assert.ok(verdicts.every((verdict) => verdict.samePerson));
});

test(
    "faults of the simulator are seen as trouble, and what it was asked is recorded",
    needsServer,
    async () => {
        await using server = await startServer();
        const folderId = await server.folder();
        const rule = {
            match: { endpoint: "add_media", folder: folderId, nth: 1 },
            then: { status: 503 },
        };
        await server.oz.rule("first upload fails", rule);
        const kinds = [];
        for await (const update of server.client.run({ folderId, photo: await server.photo() })) {
            kinds.push(update.kind);
        }
        assert.ok(kinds.includes("attempt_failed"));
        const uploads = await server.oz.record({ folder: folderId, endpoint: "add_media" });
        assert.equal(uploads.length, 2);
        await server.oz.removeRule("first upload fails");
    },
);

test("a wrong token and a wrong field are typed errors", needsServer, async () => {
    await using server = await startServer({
        args: ["--callers"],
        client: { token: "fm_wrong", onReconnect: () => assert.fail("it is not repeated") },
    });
    await assert.rejects(server.client.get("m"), facematch.CredentialInvalidError);
    await using client = new facematch.Client(server.address, { token: server.token });
    const wrong = client.match({ folderId: "no UUID", photo: new Uint8Array() });
    await assert.rejects(wrong, (error: unknown) => {
        assert.ok(error instanceof facematch.FieldInvalidError);
        const fields = error.fieldViolations.map(({ field }) => field);
        assert.ok(fields.includes("folder_id"), fields.join());
        assert.equal(error.matchContinues, false);
        return true;
    });
});

test("a server that is away is tried until the tries are used up", async () => {
    const listener = createServer();
    await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
    const address = listener.address();
    assert.ok(address !== null && typeof address === "object");
    await new Promise((resolve) => listener.close(resolve));
    const attempts: number[] = [];
    await using client = new facematch.Client(`127.0.0.1:${address.port}`, {
        retry: { firstMs: 1, longestMs: 2, tries: 3 },
        onReconnect: ({ attempt }) => attempts.push(attempt),
    });
    await assert.rejects(client.get("m"), facematch.GaveUpError);
    assert.deepEqual(attempts, [1, 2, 3]);
});

test("a server that can't start says why", needsServer, async () => {
    await assert.rejects(startServer({ args: ["--no-such-flag"] }), /no-such-flag/);
});

test("in CI a missing server is an error, and no reason to skip", async () => {
    const { CI, FACEMATCH_BIN, PATH } = process.env;
    try {
        delete process.env["FACEMATCH_BIN"];
        delete process.env["CI"];
        process.env["PATH"] = "/nowhere";
        assert.match(String(noServer()), /^[^.]+ FACEMATCH_BIN\.$/);
        process.env["CI"] = "true";
        assert.equal(noServer(), false);
        await assert.rejects(startServer(), /FACEMATCH_BIN/);
    } finally {
        for (const [name, value] of Object.entries({ CI, FACEMATCH_BIN, PATH })) {
            if (value === undefined) delete process.env[name];
            else process.env[name] = value;
        }
    }
});
