import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { Client, UsageError } from "@facematch/client";
import { endpointOf, isLoopback } from "#dist/settings.js";

test("an address on this machine is reached in plaintext, any other with TLS", () => {
    for (const address of [
        "localhost:1",
        "127.0.0.1:1",
        "127.9.9.9",
        "[::1]:1",
        "dns:///localhost:1",
        "ipv4:127.0.0.1:1",
        "unix:/run/facematch.sock",
    ]) {
        assert.equal(endpointOf(address, {}).plaintext, true, address);
    }
    for (const address of [
        "facematch:1",
        "10.0.0.1:1",
        "127.0.0.1.example:1",
        "localhost.example:1",
        "dns:///facematch:1",
        "dns://localhost/facematch:1",
        "[2001:db8::1]:1",
    ]) {
        assert.equal(endpointOf(address, {}).plaintext, false, address);
        assert.equal(isLoopback(address), false, address);
    }
});

test("a URL's scheme chooses TLS and the port", () => {
    assert.deepEqual(endpointOf("http://facematch/", {}), {
        target: "facematch:80",
        plaintext: true,
        tls: {},
    });
    assert.equal(endpointOf("https://facematch:50051", {}).target, "facematch:50051");
    assert.equal(endpointOf("https://[2001:db8::1]", {}).target, "[2001:db8::1]:443");
});

test("settings that contradict each other are refused", () => {
    const contradictions: [string, ConstructorParameters<typeof Client>[1]][] = [
        ["", {}],
        ["https://facematch/path", {}],
        ["https://facematch", { plaintext: true }],
        ["facematch:1", { plaintext: true, tls: {} }],
        ["facematch:1", { tls: { cert: "a" } }],
        ["facematch:1", { tls: { ca: "no PEM" } }],
        ["facematch:1", { tls: { ca: { file: "/nowhere/ca.pem" } } }],
        ["facematch:1", { plaintext: true, token: "secret" }],
        ["facematch:1", { token: "two words" }],
        ["facematch:1", { headers: { "no header": "a" } }],
        ["facematch:1", { retry: { firstMs: 10, longestMs: 5 } }],
        ["facematch:1", { limits: { callTimeoutMs: 0 } }],
        ["facematch:1", { limits: { callTimeoutMs: Number.NaN } }],
    ];
    for (const [address, options] of contradictions) {
        assert.throws(() => new Client(address, options), UsageError, inspect(options));
    }
});

test("a client shows neither its token nor its key", () => {
    using client = new Client("localhost:1", {
        token: "verysecret",
        headers: { "x-key": "verysecret" },
    });
    const shown = [inspect(client, { showHidden: true, depth: 9 }), `${client}`];
    assert.ok(!shown.join().includes("verysecret"));
    assert.equal(JSON.stringify(client), "{}");
});
