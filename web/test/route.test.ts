import assert from "node:assert/strict";
import { test } from "node:test";
import {
    isFiltered,
    parseRoute,
    selectSame,
    selects,
    toAddress,
    unreadFilters,
} from "../src/core/route";
import { MatchState } from "../src/gen/facematch/v1/face_match_pb";
import { match } from "./make";

const FOLDER = "00a76c46-0c7c-432c-98fa-1ce6eb0c14fe";

test("an address is read as it was written", () => {
    const route = {
        filters: {
            state: "failed" as const,
            folder: FOLDER,
            labels: { branch: "riga & co", a: "b=c" },
            id: "order-17",
        },
        match: match(1).matchId,
    };
    const address = toAddress(route);
    assert.deepEqual(parseRoute(address.slice(1)), route);
});

test("an address without filters is short", () => {
    assert.equal(toAddress(parseRoute("")), "/");
    assert.equal(isFiltered(parseRoute("").filters), false);
});

test("what an address says wrongly is left out", () => {
    const { filters } = parseRoute("?state=constructor&folder=x&label=novalue&label==v&id=%20");
    assert.deepEqual(
        { ...filters },
        { state: undefined, folder: undefined, labels: {}, id: undefined },
    );
});

test("filters that can't be read are named, and no others", () => {
    const wrong = ["state=constructor", "folder=my folder", "label=novalue"];
    const search = `?${wrong.join("&")}&label=branch=riga&id=%20&other=x&folder=`;
    assert.deepEqual(unreadFilters(search), wrong);
    assert.deepEqual(unreadFilters(`?state=failed&folder=${FOLDER}&label=a=b`), []);
});

test("a filter selects by state, folder, all labels and a part of either id", () => {
    const one = match(17, {
        folderId: FOLDER,
        labels: { branch: "riga" },
        state: MatchState.FAILED,
    });
    const select = (search: string) => selects(parseRoute(search).filters, one);
    assert.ok(select("?state=failed"));
    assert.ok(!select("?state=running"));
    assert.ok(select(`?folder=${FOLDER}&label=branch=riga`));
    assert.ok(!select("?label=branch=riga&label=desk=4"));
    assert.ok(select("?id=ORDER-17"));
    assert.ok(select(`?id=${one.matchId.slice(-5)}`));
    assert.ok(!select("?id=order-18"));
    assert.ok(selects({ labels: {}, id: "order-17 " }, one));
});

test("the server is asked again only for other matches", () => {
    const filters = (search: string) => parseRoute(search).filters;
    assert.ok(selectSame(filters("?id=a&label=a=1&label=b=2"), filters("?label=b=2&label=a=1")));
    assert.ok(!selectSame(filters("?state=failed"), filters("")));
});
