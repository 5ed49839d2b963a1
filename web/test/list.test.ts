import assert from "node:assert/strict";
import { test } from "node:test";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
    addPage,
    addUpdates,
    counts,
    EMPTY_LIST,
    type MatchList,
    ROWS_MAX,
    remove,
    shown,
    withoutExpired,
} from "../src/core/list";
import { type Match, MatchState } from "../src/gen/facematch/v1/face_match_pb";
import { BEGIN, match } from "./make";

const ALL = { labels: {} };
const names = (rows: readonly Match[]) => rows.map((row) => row.requestId);
const page = (next: string, ...matches: Match[]): MatchList => addPage(EMPTY_LIST, matches, next);

test("the newest match is first, however it came", () => {
    const list = addUpdates(page("", match(3), match(1)), [match(2), match(4)]);
    assert.deepEqual(names(list.rows), ["order-4", "order-3", "order-2", "order-1"]);
});

test("an older state of a match never replaces a newer one", () => {
    const old = match(1, { sequence: 2n });
    const ended = match(1, { sequence: 4n, state: MatchState.FINISHED });
    for (const list of [addUpdates(page("", ended), [old]), addPage(page("", ended), [old], "")]) {
        assert.equal(list.rows[0]?.state, MatchState.FINISHED);
    }
    assert.equal(addUpdates(page("", old), [ended]).rows[0]?.state, MatchState.FINISHED);
});

test("an update that comes before its page isn't lost", () => {
    const early = addUpdates(EMPTY_LIST, [match(2, { sequence: 3n })]);
    const list = addPage(early, [match(2), match(1)], "");
    assert.deepEqual(
        list.rows.map((row) => row.sequence),
        [3n, 1n],
    );
});

test("a match below the end of an open list waits for its page", () => {
    const list = addUpdates(page("next", match(9), match(8)), [match(3), match(10)]);
    assert.deepEqual(names(list.rows), ["order-10", "order-9", "order-8"]);
    const whole = addPage(list, [match(7), match(3)], "");
    assert.deepEqual(names(whole.rows), ["order-10", "order-9", "order-8", "order-7", "order-3"]);
});

test("an update of an old match that came before the first page makes no gap", () => {
    const list = addPage(addUpdates(EMPTY_LIST, [match(1)]), [match(9), match(8)], "next");
    assert.deepEqual(names(list.rows), ["order-9", "order-8"]);
    assert.equal(list.byId.size, 2);
});

test("the list is bounded, and says that older matches are missing", () => {
    const many = Array.from({ length: ROWS_MAX + 5 }, (_, index) => match(index));
    const list = addUpdates(page(""), many);
    assert.equal(list.rows.length, ROWS_MAX);
    assert.equal(list.rows[0]?.requestId, `order-${ROWS_MAX + 4}`);
    assert.ok(list.isCut);
    assert.equal(addUpdates(list, [match(0)]).rows.length, ROWS_MAX);
});

test("new matches wait above while the list is scrolled", () => {
    const before = page("", match(2), match(1));
    const list = addUpdates(before, [match(3), match(4)]);
    const held = shown(list, ALL, before.rows[0]);
    assert.equal(held.held, 2);
    assert.deepEqual(names(held.rows), ["order-2", "order-1"]);
    assert.equal(shown(list, ALL, undefined).held, 0);
    // The first row was erased meanwhile.
    assert.equal(shown(remove(list, match(2).matchId), ALL, match(2)).held, 2);
});

test("a match that ends leaves the running ones", () => {
    const running = page("", match(1), match(2));
    const list = addUpdates(running, [match(1, { sequence: 2n, state: MatchState.CANCELLED })]);
    const filters = { ...ALL, state: "running" as const };
    assert.deepEqual(names(shown(list, filters, undefined).rows), ["order-2"]);
    assert.deepEqual(counts(list), { running: 1, finished: 0, failed: 0, cancelled: 1 });
});

test("what the server has erased by its retention leaves the list", () => {
    const list = page("", match(2, { expireTime: timestampFromMs(BEGIN + 5000) }), match(1));
    assert.equal(withoutExpired(list, BEGIN + 4000), list);
    assert.deepEqual(names(withoutExpired(list, BEGIN + 5000).rows), ["order-1"]);
});
