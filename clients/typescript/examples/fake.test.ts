import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeFaceMatch } from "@facematch/client/testing";

test("another person is declined", async () => {
    const fake = new FakeFaceMatch();
    fake.outcome("some-folder", { resolution: "DECLINED" });
    await using client = fake.client();
    const verdict = await client.match({ folderId: "some-folder", photo: new Uint8Array([1]) });
    assert.equal(verdict.samePerson, false);
    assert.equal(fake.calls[0]?.rpc, "RunMatch");
});
