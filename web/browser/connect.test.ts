/**
 * connect-web in a real Chromium, from a page of another origin: straight to the second port,
 * through an Envoy that only forwards, and through an Envoy that translates gRPC-Web by its own
 * filter in front of the first port. The last one is the oracle for the others.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, type TestContext, test } from "node:test";
import type { JsonObject } from "@bufbuild/protobuf";
import { build } from "esbuild";
import type { Page } from "playwright-core";
import type { Caller, Door, Followed, Refusal, Streaming, Told, Unary } from "./caller";
import { closeBrowser, launched, until } from "./chromium";
import { Envoy, plain, translating } from "./envoy";
import { Line, SLOW, SLOW_MS, TestServer } from "./server";

after(closeBrowser);

/** Nearly the most that a photo may have. */
const LARGE_BYTES = 9 << 20;

/** Longer than the 15 seconds after which Envoy ends a route by default. */
const LONG_MS = 17_000;

type World = typeof globalThis & { caller: Caller; followed: Followed };

/** One way from the page to the service. */
interface Way {
    readonly name: string;
    readonly door: Door;
    readonly line: Line;
}

/** A service, the ways to it, and a page of another site. */
class Site {
    readonly server: TestServer;
    readonly ways: readonly Way[];
    readonly page: Page;
    /** The same page at an origin that isn't listed. */
    readonly stranger: Page;

    private constructor(server: TestServer, ways: readonly Way[], pages: readonly [Page, Page]) {
        this.server = server;
        this.ways = ways;
        [this.page, this.stranger] = pages;
    }

    static async for(test: TestContext, ...args: string[]): Promise<Site> {
        const port = await serve(test);
        const origin = `http://127.0.0.1:${port}`;
        const own = ["--match-timeout", "2h", "--callers", "--web-origins", origin];
        const server = await TestServer.start(...own, ...args);
        test.after(() => server.kill());
        const forwarding = await Envoy.start(await plain(), new URL(server.web).host);
        test.after(() => forwarding.stop());
        const oracle = await Envoy.start(await translating(origin), server.grpc);
        test.after(() => oracle.stop());
        const ends = { oracle, straight: server, forwarded: forwarding };
        const ways = await Promise.all(
            Object.entries(ends).map(async ([name, end]) => {
                const line = await Line.to(end);
                test.after(() => line.close());
                return { name, line, door: { url: line.url, token: server.token ?? "" } };
            }),
        );
        const context = await (await launched()).newContext();
        test.after(() => context.close());
        const open = async (address: string) => {
            const page = await context.newPage();
            await page.goto(address);
            return page;
        };
        const pages = [await open(origin), await open(`http://localhost:${port}`)] as const;
        return new Site(server, ways, pages);
    }

    ask({ door }: Pick<Way, "door">, name: Unary, request: object, page = this.page) {
        return page.evaluate(
            ([door, name, text]) => (globalThis as World).caller.ask(door, name, JSON.parse(text)),
            [door, name, JSON.stringify(request)] as const,
        );
    }

    read({ door }: Way, name: Streaming, request: object, limit?: number): Promise<Told> {
        return this.page.evaluate(
            ([door, name, text, limit]) =>
                (globalThis as World).caller.read(door, name, JSON.parse(text), limit),
            [door, name, JSON.stringify(request), limit] as const,
        );
    }

    /** Makes the same call by each way, and returns what it told, which must be the same. */
    async same(call: (way: Way) => Promise<Told>): Promise<Told> {
        let oracle: Told | undefined;
        for (const way of this.ways) {
            const told = await call(way);
            oracle ??= told;
            assert.deepEqual(withoutTokens(told), withoutTokens(oracle), way.name);
        }
        assert.ok(oracle);
        return oracle;
    }
}

/** Tokens of streams are opaque. */
function withoutTokens(told: Told): Told {
    const messages = told.messages.map(({ resumeToken, ...rest }) => rest);
    return { ...told, messages };
}

/** Serves the page of the other site: its port. */
async function serve(test: TestContext): Promise<number> {
    const { outputFiles } = await build({
        entryPoints: ["browser/caller.ts"],
        bundle: true,
        write: false,
        format: "esm",
        logLevel: "warning",
    });
    const script = outputFiles[0]?.text;
    const document =
        '<!doctype html><title>a site</title><script type="module" src="app.js"></script>';
    const server = createServer((request, response) => {
        const isScript = request.url === "/app.js";
        const type = isScript ? "text/javascript" : "text/html";
        response.writeHead(200, { "content-type": type }).end(isScript ? script : document);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    test.after(() => server.closeAllConnections());
    test.after(() => server.close());
    return (server.address() as AddressInfo).port;
}

/** The picture with comments that make it as large as a phone's photo. */
function large(jpeg: Buffer): Buffer {
    const comment = Buffer.concat([
        Buffer.from([0xff, 0xfe, 0xff, 0xff]),
        Buffer.alloc(0xfffd, 46),
    ]);
    const count = Math.floor((LARGE_BYTES - jpeg.length) / comment.length);
    return Buffer.concat([jpeg.subarray(0, 2), ...Array(count).fill(comment), jpeg.subarray(2)]);
}

const eventsOf = ({ messages }: Told) =>
    messages.map((it) =>
        Object.keys(it).find((key) =>
            /^(accepted|photoUploaded|analysisStarted|finished)$/.test(key),
        ),
    );

/** The word of the service for a refusal. */
function reasonOf(refusal: Refusal | undefined): unknown {
    const info = refusal?.details.find((it) => (it as JsonObject).type === "google.rpc.ErrorInfo");
    return (info as JsonObject | undefined)?.reason;
}

test("all nine calls tell the same by each way", async (context) => {
    const site = await Site.for(context);
    const content = (await site.server.photo()).toString("base64");
    const running = async (way: Way) => {
        const folderId = await site.server.folder();
        const request = { requestId: `run-${way.name}`, folderId, photo: { content } };
        const told = await site.read(way, "runMatch", request);
        const steps = ["accepted", "photoUploaded", "analysisStarted", "finished"];
        assert.deepEqual([told.refusal, eventsOf(told)], [undefined, steps], way.name);
        const match = told.messages[3]?.match as { result: JsonObject };
        assert.equal(match.result.resolution, "RESOLUTION_SUCCESS");
        // The match of this way, told again by all ways.
        const again = await site.same((it) => site.read(it, "runMatch", request));
        assert.deepEqual(withoutTokens(again), withoutTokens(told), way.name);
        const { requestId } = request;
        const watched = await site.same((it) => site.read(it, "watchMatch", { requestId }));
        assert.deepEqual(withoutTokens(watched), withoutTokens(told), way.name);
        const got = await site.same((it) => site.ask(it, "getMatch", { requestId }));
        assert.deepEqual(got.messages, [match]);
        assert.match(got.version ?? "", /^\d+\.\d+\.\d+/);
        const waited = await site.same((it) => site.ask(it, "waitMatch", { requestId }));
        assert.deepEqual(waited.messages, [match]);
        return told;
    };
    const runs: Told[] = [];
    for (const way of site.ways) runs.push(await running(way));

    const updates = runs.flatMap(({ messages }) => messages);
    const all = await site.same((it) => {
        return site.read(it, "watchMatches", { resumeToken: "earliest" }, updates.length);
    });
    assert.deepEqual(withoutTokens(all).messages, withoutTokens({ messages: updates }).messages);
    const [middle] = all.messages.slice(5).map((it) => it.resumeToken as string);
    const rest = await site.same((it) => {
        return site.read(it, "watchMatches", { resumeToken: middle ?? "" }, updates.length - 6);
    });
    assert.deepEqual(withoutTokens(rest).messages, withoutTokens(all).messages.slice(6));

    const listed = await site.same((it) => site.ask(it, "listMatches", {}));
    const [page] = listed.messages as { matches: JsonObject[] }[];
    const names = site.ways.map(({ name }) => `run-${name}`).reverse();
    assert.deepEqual(
        page?.matches.map((it) => it.requestId),
        names,
    );

    for (const way of site.ways) {
        const folderId = await site.server.folder(SLOW);
        const request = { requestId: `slow-${way.name}`, folderId, photo: { content } };
        const { requestId } = request;
        const created = await site.ask(way, "createMatch", request);
        assert.equal(created.messages[0]?.requestId, requestId, way.name);
        await until(async () => {
            const { messages } = await site.ask(way, "getMatch", { requestId });
            return messages[0]?.state === "MATCH_STATE_PROCESSING";
        });
        await site.same((it) => site.ask(it, "createMatch", request));
        const cancelled = await site.ask(way, "cancelMatch", { requestId });
        assert.equal(cancelled.messages[0]?.state, "MATCH_STATE_CANCELLED", way.name);
        const repeated = await site.same((it) => site.ask(it, "cancelMatch", { requestId }));
        assert.deepEqual(repeated.messages, cancelled.messages);
        const { matchId, photoMediaId } = cancelled.messages[0] ?? {};
        const { messages } = await site.ask(way, "deleteMatch", { requestId });
        const { deleteTime, ...erased } = messages[0] ?? {};
        assert.deepEqual(erased, { matchId, photoMediaId }, way.name);
        assert.ok(deleteTime);
        const gone = await site.same((it) => site.ask(it, "deleteMatch", { requestId }));
        assert.equal(reasonOf(gone.refusal), "MATCH_NOT_FOUND");
    }
});

test("a photo of nine MiB and a long stream pass, by each way", async (context) => {
    const site = await Site.for(context);
    const content = large(await site.server.photo()).toString("base64");
    const run = async (way: Way) => {
        const folderId = await site.server.folder({ verdict: { processing_ms: LONG_MS } });
        const told = await site.read(way, "runMatch", { folderId, photo: { content } });
        assert.deepEqual([told.refusal, eventsOf(told).at(-1)], [undefined, "finished"], way.name);
        const times = told.messages.slice(-2).map(({ time }) => Date.parse(String(time)));
        const [started = 0, ended = 0] = times;
        assert.ok(ended - started >= LONG_MS, `${way.name}: the stream wasn't long`);
    };
    await Promise.all(site.ways.map(run));
});

test("a watch that is cut goes on where it was, by each way", async (context) => {
    const site = await Site.for(context);
    for (const { name, door, line } of site.ways) {
        const { matchId } = await site.server.match(name, await site.server.folder(SLOW));
        const followed = () => site.page.evaluate(() => (globalThis as World).followed);
        await site.page.evaluate(
            ([door, matchId]) => {
                const world = globalThis as World;
                world.followed = world.caller.follow(door, matchId);
            },
            [door, matchId] as const,
        );
        await until(async () => (await followed()).sequences.length === 3);
        line.cut();
        await until(async () => (await followed()).cuts.length >= 2);
        await site.server.skip(SLOW_MS);
        await site.server.ended(name);
        assert.deepEqual((await followed()).sequences, [1, 2, 3], name);
        line.mend();
        await until(async () => (await followed()).isOver);
        assert.deepEqual((await followed()).sequences, [1, 2, 3, 4], name);
        assert.deepEqual([...new Set((await followed()).cuts)], ["Unknown"], name);
    }
});

test("refusals have the same codes, words and details by each way", async (context) => {
    const site = await Site.for(context);
    const { server } = site;
    const folderId = await server.folder();
    const slowFolderId = await server.folder(SLOW);
    await server.match("ended", folderId);
    await server.ended("ended");
    const { matchId } = await server.match("running", slowFolderId);
    const content = (await site.server.photo()).toString("base64");
    const unary: readonly [Unary, object, string][] = [
        ["getMatch", { matchId: "17" }, "FIELD_INVALID"],
        ["getMatch", { requestId: "ünknown" }, "FIELD_INVALID"],
        ["waitMatch", { requestId: "none" }, "MATCH_NOT_FOUND"],
        ["createMatch", {}, "FIELD_INVALID"],
        ["createMatch", { folderId, photo: { content: "AAAA" } }, "PHOTO_UNREADABLE"],
        ["createMatch", { folderId, photo: { referenceKey: "a.jpg" } }, "NOT_AVAILABLE"],
        [
            "createMatch",
            { folderId, requestId: "running", photo: { content } },
            "REQUEST_ID_REUSED",
        ],
        ["cancelMatch", { requestId: "ended" }, "MATCH_ENDED"],
        ["deleteMatch", { matchId }, "MATCH_RUNNING"],
        ["listMatches", { pageToken: "damaged" }, "TOKEN_INVALID"],
    ];
    for (const [name, request, reason] of unary) {
        const { refusal } = await site.same((it) => site.ask(it, name, request));
        assert.equal(reasonOf(refusal), reason, JSON.stringify(refusal));
    }
    const streams: readonly [Streaming, object, string][] = [
        ["runMatch", { folderId: "my folder" }, "FIELD_INVALID"],
        ["watchMatch", { matchId, afterSequence: "99" }, "WATCH_AHEAD"],
        ["watchMatches", { resumeToken: "damaged" }, "TOKEN_INVALID"],
    ];
    for (const [name, request, reason] of streams) {
        const { refusal } = await site.same((it) => site.read(it, name, request));
        assert.equal(reasonOf(refusal), reason, JSON.stringify(refusal));
    }
    for (const [token, reason] of [
        ["", "CREDENTIAL_MISSING"],
        ["wrong", "CREDENTIAL_INVALID"],
    ] as const) {
        const { refusal } = await site.same(({ door }) => {
            return site.ask({ door: { ...door, token } }, "listMatches", {});
        });
        assert.equal(reasonOf(refusal), reason, JSON.stringify(refusal));
    }
});

test("an overload tells when to come back, by each way", async (context) => {
    const site = await Site.for(context, "--max-unfinished", "1");
    const folderId = await site.server.folder(SLOW);
    await site.server.match("first", folderId);
    const content = (await site.server.photo()).toString("base64");
    const request = { requestId: "second", folderId, photo: { content } };
    for (const way of site.ways) {
        const { refusal } = await site.ask(way, "createMatch", request);
        assert.equal(reasonOf(refusal), "OVERLOADED", JSON.stringify(refusal));
        const details = (refusal?.details ?? []) as JsonObject[];
        const detail = (type: string) => details.find((it) => it.type === `google.rpc.${type}`);
        assert.deepEqual(detail("ErrorInfo")?.metadata, { limit: "unfinished-matches" });
        const delayMs = Number.parseFloat(String(detail("RetryInfo")?.retryDelay)) * 1000;
        assert.ok(delayMs > 0, way.name);
        assert.equal(Number(refusal?.metadata["grpc-retry-pushback-ms"]), Math.round(delayMs));
    }
});

test("a page of an origin that isn't listed learns nothing, by each way", async (context) => {
    const site = await Site.for(context);
    for (const way of site.ways) {
        const listed = await site.ask(way, "listMatches", {});
        assert.equal(listed.refusal, undefined, way.name);
        const told = await site.ask(way, "listMatches", {}, site.stranger);
        assert.deepEqual([told.messages, told.refusal?.code], [[], "Unknown"], way.name);
        assert.deepEqual(told.refusal?.details, [], way.name);
    }
});
