import assert from "node:assert/strict";
import { Client, MatchNotFoundError } from "@facematch/client";
import { FakeFaceMatch, noServer, startServer } from "@facematch/client/testing";
import { MatchSchema } from "@facematch/client/wire";

assert.equal(MatchSchema.typeName, "facematch.v1.Match");
const client = new FakeFaceMatch().client();
assert.ok(client instanceof Client);
await assert.rejects(client.get("none"), MatchNotFoundError);
client.close();

assert.equal(noServer(), false);
const server = await startServer();
const photo = await server.photo();
const verdict = await server.client.match({ folderId: await server.folder(), photo });
assert.equal(verdict.samePerson, true);
await server.stop();
