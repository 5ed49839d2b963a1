import assert from "node:assert/strict";
import { test } from "node:test";
import { noServer, startServer } from "@facematch/client/testing";

test("the portrait is the same person", { skip: noServer() }, async () => {
    await using server = await startServer();
    const folderId = await server.folder({ verdict: { processing_ms: 100 } });
    const verdict = await server.client.match({ folderId, photo: await server.photo() });
    assert.equal(verdict.samePerson, true);
});
