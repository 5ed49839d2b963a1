const assert = require("node:assert/strict");
const { MatchNotFoundError } = require("@facematch/client");
const { FakeFaceMatch } = require("@facematch/client/testing");

const client = new FakeFaceMatch().client();
assert
    .rejects(client.get("none"), MatchNotFoundError)
    // The same classes, whichever way they are loaded.
    .then(() => import("@facematch/client"))
    .then((imported) => assert.equal(imported.MatchNotFoundError, MatchNotFoundError))
    .finally(() => client.close());
