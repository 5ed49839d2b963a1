import assert from "node:assert/strict";
import { test } from "node:test";
import { NOTHING, permissions } from "../src/core/permissions";

const CHANGES = ["RunMatch", "CreateMatch", "CancelMatch"];

test("what the server names is offered", () => {
    const reads = ["GetMatch", "ListMatches"];
    const of = (methods: string[], library = false) => permissions({ methods, library });
    assert.deepEqual(of(reads, true), NOTHING);
    assert.deepEqual(of([...reads, ...CHANGES]), { match: true, erase: false, library: false });
    assert.deepEqual(of([...CHANGES, "DeleteMatch"], true), {
        match: true,
        erase: true,
        library: true,
    });
    assert.deepEqual(of(["DeleteMatch"]), { match: false, erase: true, library: false });
    assert.deepEqual(of(["RunMatch", "CreateMatch"]), NOTHING);
});

test("an answer of another form offers nothing", () => {
    for (const answer of [undefined, null, "RunMatch", 7, {}, { methods: "RunMatch" }, []])
        assert.deepEqual(permissions(answer), NOTHING);
    assert.equal(permissions({ methods: CHANGES, library: "yes" }).library, false);
});
