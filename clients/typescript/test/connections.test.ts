import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { test } from "node:test";
import { CallCancelledError, Client, type ClientOptions, DeadlineError } from "@facematch/client";

/** Accepts connections and says nothing. */
class BlackHole {
    readonly #server = createServer((socket) => this.#sockets.push(socket));
    readonly #sockets: Socket[] = [];

    /** How many connections it has accepted. */
    get accepted(): number {
        return this.#sockets.length;
    }

    async client(options: ClientOptions): Promise<Client> {
        this.#server.listen(0, "127.0.0.1");
        await once(this.#server, "listening");
        return new Client(`127.0.0.1:${(this.#server.address() as AddressInfo).port}`, options);
    }

    /** Waits until a further connection is accepted, and aborts a call. */
    async abortAtNext(calls: AbortController): Promise<void> {
        await once(this.#server, "connection");
        calls.abort();
    }

    [Symbol.dispose](): void {
        for (const socket of this.#sockets) socket.destroy();
        this.#server.close();
    }
}

// A call that waits in vain for a new connection would wait for ever.
const LIMIT = { timeout: 30_000 };
const one = { matchId: "m" };
const AT_ONCE: ClientOptions = { limits: { silenceLeastMs: 0.001 } };

test(
    "calls that their callers end leave a connection that says nothing for long",
    LIMIT,
    async () => {
        using hole = new BlackHole();
        using client = await hole.client(AT_ONCE);
        const kinds: ((signal: AbortSignal) => Promise<unknown>)[] = [
            (signal) => client.get(one, { signal }),
            (signal) => client.watch(one, { signal }).next(),
            (signal) => client.create({ folderId: "f", photo: new Uint8Array([1]) }, { signal }),
        ];
        for (const call of kinds) {
            const caller = new AbortController();
            const aborted = hole.abortAtNext(caller);
            await assert.rejects(call(caller.signal), CallCancelledError);
            await aborted;
        }
        assert.equal(hole.accepted, kinds.length);
    },
);

test("a call with a short deadline says little of its connection", async () => {
    using hole = new BlackHole();
    using client = await hole.client({});
    for (let n = 0; n < 3; n++) {
        await assert.rejects(client.get(one, { timeoutMs: 100 }), DeadlineError);
        await assert.rejects(client.watch(one, { timeoutMs: 100 }).next(), DeadlineError);
    }
    assert.equal(hole.accepted, 1);
});

test("a call that ran into the library's own limit leaves its connection", async () => {
    using hole = new BlackHole();
    using client = await hole.client({ limits: { callTimeoutMs: 100 } });
    for (let n = 0; n < 2; n++) await assert.rejects(client.get(one), DeadlineError);
    assert.equal(hole.accepted, 2);
});
