import assert from "node:assert/strict";
import { test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import type { MatchUpdate } from "../src/gen/facematch/v1/face_match_pb";
import { type Source, Stream } from "../src/live/stream";
import { event, update } from "./make";

/** How long a test waits for what it expects. */
const PATIENCE_MS = 10_000;

/** A source whose calls are scripted. The last one stays open. */
class Script implements Source {
    readonly calls: AbortSignal[] = [];
    readonly taken: bigint[] = [];
    restarts = 0;
    isOver = false;
    isUpload = false;
    readonly #script: (() => AsyncIterable<MatchUpdate>)[];

    constructor(...script: (() => AsyncIterable<MatchUpdate>)[]) {
        this.#script = script;
    }

    open(signal: AbortSignal): AsyncIterable<MatchUpdate> {
        this.calls.push(signal);
        return this.#script.shift()?.() ?? silent(signal);
    }

    take(taken: MatchUpdate): boolean {
        this.taken.push(taken.sequence);
        return true;
    }

    isComplete(): boolean {
        return this.isOver;
    }

    restart(): void {
        this.restarts += 1;
    }

    mayPause(): boolean {
        return !this.isUpload;
    }
}

async function* silent(signal: AbortSignal): AsyncIterable<MatchUpdate> {
    yield update(9, event("heartbeat"));
    await new Promise((_, reject) => {
        signal.addEventListener("abort", () => reject(new ConnectError("x", Code.Canceled)));
    });
}

async function* brings(...sequences: number[]): AsyncIterable<MatchUpdate> {
    for (const sequence of sequences) yield update(sequence, event("accepted"));
}

async function* breaks(code: Code): AsyncIterable<MatchUpdate> {
    yield update(1, event("accepted"));
    throw new ConnectError("broke", code);
}

async function until(condition: () => boolean): Promise<void> {
    const end = performance.now() + PATIENCE_MS;
    while (!condition()) {
        assert.ok(performance.now() < end, "waited in vain");
        await new Promise((resolve) => setTimeout(resolve, 5));
    }
}

test("a stream that breaks or ends early is opened again", async () => {
    const source = new Script(
        () => breaks(Code.Unknown),
        () => brings(2),
    );
    const stream = new Stream(source);
    stream.start();
    await until(() => source.calls.length === 3 && stream.link.value.phase === "live");
    assert.deepEqual(source.taken, [1n, 2n, 9n]);
    assert.equal(stream.link.value.tries, 0);
    stream.close();
    assert.ok(source.calls[2]?.aborted);
});

test("a stream that has told all ends, and stays ended", async () => {
    const source = new Script(() => brings(1, 2));
    source.isOver = true;
    const stream = new Stream(source);
    stream.start();
    await until(() => stream.link.value.phase === "ended");
    stream.pause();
    stream.resume();
    assert.equal(source.calls.length, 1);
});

test("a refused stream waits for the reader", async () => {
    const source = new Script(() => breaks(Code.InvalidArgument));
    const stream = new Stream(source);
    stream.start();
    await until(() => stream.link.value.phase === "refused");
    stream.pause();
    stream.resume();
    assert.equal(source.calls.length, 1);
    stream.retryNow();
    await until(() => stream.link.value.phase === "live");
    assert.equal(source.calls.length, 2);
    stream.close();
});

test("a hidden page has no call, and a shown one goes on", async () => {
    const source = new Script();
    const stream = new Stream(source);
    stream.start();
    await until(() => stream.link.value.phase === "live");
    stream.pause();
    assert.ok(source.calls[0]?.aborted);
    assert.equal(stream.link.value.phase, "paused");
    stream.resume();
    await until(() => stream.link.value.phase === "live");
    assert.equal(source.calls.length, 2);
    stream.resume();
    assert.equal(source.calls.length, 2);
    stream.close();
});

test("a stream that carries a photo isn't closed", async () => {
    const source = new Script();
    source.isUpload = true;
    const stream = new Stream(source);
    stream.start();
    await until(() => stream.link.value.phase === "live");
    stream.pause();
    assert.equal(stream.link.value.phase, "live");
    stream.close();
});

test("a place that the server doesn't know is given up", async () => {
    const info = { domain: "facematch", reason: "TOKEN_EXPIRED" };
    const { ErrorInfoSchema } = await import("../src/gen/google/rpc/error_details_pb");
    const source = new Script(() => {
        throw new ConnectError("old", Code.OutOfRange, undefined, [
            { desc: ErrorInfoSchema, value: info },
        ]);
    });
    const stream = new Stream(source);
    stream.start();
    await until(() => stream.link.value.phase === "live");
    assert.equal(source.restarts, 1);
    stream.close();
});

test("a silent connection is dropped for a new one", async (context) => {
    context.mock.timers.enable({ apis: ["setInterval", "setTimeout", "Date"] });
    const source = new Script();
    const stream = new Stream(source);
    stream.start();
    const settle = async () => {
        for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
    };
    await settle();
    assert.equal(stream.link.value.phase, "live");
    // The interval isn't known: a minute of silence is allowed.
    context.mock.timers.tick(59_000);
    await settle();
    assert.equal(source.calls.length, 1);
    context.mock.timers.tick(3000);
    await settle();
    assert.ok(source.calls[0]?.aborted);
    assert.equal(stream.link.value.failure?.message, "the server is silent");
    context.mock.timers.tick(5000);
    await settle();
    assert.equal(source.calls.length, 2);
    stream.close();
});
