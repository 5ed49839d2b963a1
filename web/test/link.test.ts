import assert from "node:assert/strict";
import { test } from "node:test";
import { broken, type Failure } from "../src/core/failure";
import * as links from "../src/core/link";
import { connection, ordinal } from "../src/core/words";

const NOW = new Date(2026, 0, 2, 14, 3, 22).getTime();
const CUT = broken("the connection broke");
const live = links.heard(links.opened(links.NEW_LINK, NOW), NOW, true, 20_000);
const pause = (link: links.Link) => (link.retryAt ?? 0) - NOW;

test("pauses grow to a longest one, and news resets them", () => {
    let link = live;
    const pauses = [];
    for (let tries = 0; tries < 8; tries += 1) {
        link = links.failed(link, CUT, NOW, 1);
        pauses.push(pause(link));
    }
    assert.deepEqual(pauses, [200, 400, 800, 1600, 3200, 5000, 5000, 5000]);
    assert.equal(links.heard(link, NOW, false).tries, 8);
    assert.equal(links.heard(link, NOW, true).tries, 0);
});

test("a stream that worked for a while, without news, begins anew with its tries", () => {
    const tired = { ...live, tries: 4 };
    assert.equal(links.failed(tired, CUT, NOW + 1000, 1).tries, 5);
    assert.equal(links.failed(tired, CUT, NOW + links.LONGEST_PAUSE_MS, 1).tries, 1);
});

test("a pause that the server asks for is never shortened", () => {
    const asked: Failure = { ...CUT, retryAfterMs: 7000 };
    assert.equal(pause(links.failed(live, asked, NOW, 0)), 7000);
    assert.equal(pause(links.failed(live, asked, NOW, 1)), 10_500);
});

test("silence of several intervals is a dead connection, and one late heartbeat isn't", () => {
    assert.ok(!links.isDead(live, NOW + 59_000));
    assert.ok(links.isDead(live, NOW + 60_001));
    const quick = links.heard(live, NOW, true, 200);
    assert.ok(!links.isDead(quick, NOW + links.LEAST_SILENCE_MS));
    assert.ok(links.isDead(quick, NOW + links.LEAST_SILENCE_MS + 1));
    const first = links.opened(links.NEW_LINK, NOW);
    assert.ok(links.isDead(first, NOW + links.UNKNOWN_SILENCE_MS + 1));
});

test("a stream that isn't open can't be dead", () => {
    const later = NOW + 1e9;
    for (const link of [links.paused(live), links.ended(live), links.failed(live, CUT, NOW, 0)]) {
        assert.ok(!links.isDead(link, later));
    }
});

test("a refusal that no repeat changes ends the tries", () => {
    const forbidden: Failure = { ...CUT, remedy: "forbidden" };
    assert.equal(links.failed(live, forbidden, NOW, 0).phase, "refused");
    assert.equal(links.failed(live, { ...CUT, remedy: "restart" }, NOW, 0).phase, "waiting");
});

test("the banner says which try comes when, and how old the page is", () => {
    const third = { ...links.failed(live, CUT, NOW, 0), tries: 3, retryAt: NOW + 2000 };
    assert.equal(
        connection(third, NOW),
        "Reconnecting, 3rd try in 2 s; shown as of 14:03:22 (the connection broke)",
    );
    const first = links.failed(links.NEW_LINK, CUT, NOW, 0);
    assert.match(connection(first, NOW) ?? "", /^Connecting, 1st try; nothing was read yet/);
    assert.equal(connection(live, NOW + 1e6), undefined);
    assert.equal(connection(links.paused(live), NOW), undefined);
});

test("the banner explains a call without an answer", () => {
    const link = links.opened(links.NEW_LINK, NOW);
    assert.equal(connection(link, NOW + 4000), undefined);
    assert.match(connection(link, NOW + 6000) ?? "", /six connections/);
});

test("ordinals are English", () => {
    assert.deepEqual([1, 2, 3, 4, 11, 12, 13, 21, 102, 111].map(ordinal), [
        "1st",
        "2nd",
        "3rd",
        "4th",
        "11th",
        "12th",
        "13th",
        "21st",
        "102nd",
        "111th",
    ]);
});
