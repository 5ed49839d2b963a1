import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import type { Page } from "playwright-core";
import { choose, closeBrowser, Desk, row, setVisibility, stopClock, until } from "./chromium";
import { SLOW, SLOW_MS, TestServer } from "./server";

after(closeBrowser);

const live = (page: Page) => page.getByText("● Live").waitFor();
const rows = (page: Page) => page.locator("a.row .name").allTextContents();

test("the list is live: a match appears, and its verdict", async (context) => {
    const desk = await Desk.for(context);
    const page = await desk.page();
    await page.getByText("There are no matches yet").waitFor();
    await desk.server.match("order-1", await desk.server.folder());
    await row(page, "order-1").getByText("Success").waitFor();
    await page.getByRole("status").getByText("order-1: Success").waitFor({ state: "attached" });
    await desk.server.match("order-2", await desk.server.folder({ person: "stranger" }));
    await row(page, "order-2").getByText("Declined").waitFor();
    assert.deepEqual(await rows(page), ["order-2", "order-1"]);
});

test("a deep link shows a match with its steps, its numbers and its ids", async (context) => {
    const desk = await Desk.for(context);
    const folder = await desk.server.folder();
    const { matchId } = await desk.server.match("order-1", folder, { labels: { branch: "riga" } });
    await desk.server.ended("order-1");
    const page = await desk.page(`/?match=${matchId}`);
    const view = page.locator("section.match");
    await view.getByRole("heading", { name: "order-1" }).waitFor();
    await view.locator(".steps li").nth(3).waitFor();
    const titles = await view.locator(".steps .title").allTextContents();
    assert.deepEqual(titles, ["Accepted", "Photo is at Oz", "Analysis started", "Success"]);
    const text = await view.innerText();
    for (const word of ["decided by Oz", "Liveness: Success", "FINISHED", folder, "grpcurl"]) {
        assert.ok(text.includes(word), word);
    }
    await view.getByText("JSON", { exact: true }).click();
    await view.locator("pre", { hasText: '"requestId": "order-1"' }).waitFor();
    assert.equal(await page.title(), "order-1 · FaceMatch");
});

test("a match that doesn't exist is said to be gone", async (context) => {
    const desk = await Desk.for(context);
    const page = await desk.page("/?match=00000000-0000-7000-8000-000000000000");
    await page.getByText("doesn't exist, or it was erased").waitFor();
});

test("filters are in the address, and hold for what comes later", async (context) => {
    const desk = await Desk.for(context);
    const riga = { labels: { branch: "riga" } };
    await desk.server.match("order-1", await desk.server.folder(), riga);
    await desk.server.match("order-2", await desk.server.folder());
    await desk.server.match("order-3", await desk.server.folder(SLOW), riga);
    const page = await desk.page("/?label=branch%3Driga");
    await row(page, "order-3").waitFor();
    await desk.server.match("order-4", await desk.server.folder(SLOW), riga);
    await desk.server.match("order-5", await desk.server.folder(SLOW));
    await row(page, "order-4").waitFor();
    assert.deepEqual(await rows(page), ["order-4", "order-3", "order-1"]);
    await page.getByRole("button", { name: "Finished" }).click();
    await until(async () => (await rows(page)).join() === "order-1");
    assert.match(page.url(), /\?state=finished&label=branch%3Driga$/);
    await page.getByRole("button", { name: "Remove the filter branch=riga" }).click();
    await row(page, "order-2").waitFor();
    await page.reload();
    await row(page, "order-2").waitFor();
    assert.deepEqual(await rows(page), ["order-2", "order-1"]);
});

test("filters that can't be read are told, in the address and in the fields", async (context) => {
    const desk = await Desk.for(context);
    await desk.server.match("order-1", await desk.server.folder());
    const page = await desk.page("/?folder=my%20folder&state=done");
    const told = page.getByText("can't be read in the address: folder=my folder, state=done");
    await told.waitFor();
    await row(page, "order-1").waitFor();
    await page.getByText("Folder and labels").click();
    await page.getByLabel("Folder", { exact: true }).fill("my folder");
    await page.getByText("No whole UUID yet").waitFor();
    await page.getByLabel("Label", { exact: true }).fill("riga");
    await page.getByRole("button", { name: "Add" }).click();
    await page.getByText("A label is key=value").waitFor();
    assert.deepEqual(await rows(page), ["order-1"]);
    await page.getByLabel("Label", { exact: true }).fill("branch=riga");
    await page.getByRole("button", { name: "Add" }).click();
    await page.getByText("No match has these properties").waitFor();
    await told.waitFor({ state: "detached" });
    await page.getByLabel("Folder", { exact: true }).fill("00000000-0000-4000-8000-000000000001");
    await page.getByText("No whole UUID yet").waitFor({ state: "detached" });
});

test("after a cut the page says so, keeps what it has, and misses nothing", async (context) => {
    const desk = await Desk.for(context);
    await desk.server.match("order-1", await desk.server.folder());
    const { matchId } = await desk.server.match("order-2", await desk.server.folder(SLOW));
    const page = await desk.page(`/?match=${matchId}`);
    await page.locator(".steps").getByText("Analysis started").waitFor();
    await live(page);
    desk.line.cut();
    await page.getByText(/Reconnecting, .* try.*shown as of \d\d:\d\d:\d\d/).waitFor();
    await page.getByText("○ Not live").waitFor();
    assert.equal((await rows(page)).length, 2);
    await desk.server.match("order-3", await desk.server.folder());
    await desk.server.skip(SLOW_MS);
    await Promise.all(["order-2", "order-3"].map((id) => desk.server.ended(id)));
    desk.line.mend();
    await row(page, "order-3").getByText("Success").waitFor();
    await page.locator(".steps").getByText("Success").waitFor();
    assert.equal(await page.locator(".steps li").count(), 4);
    await live(page);
    await page.locator(".banner").waitFor({ state: "detached" });
});

test("a black hole is noticed, and the page goes on over a new connection", async (context) => {
    const desk = await Desk.for(context);
    const page = await desk.page();
    await live(page);
    desk.line.swallow();
    await page.getByText(/the server is silent/).waitFor();
    desk.line.mend();
    await desk.server.match("order-1", await desk.server.folder());
    await row(page, "order-1").waitFor();
    await live(page);
});

test("the page outlives the server, and goes on with the next one", async (context) => {
    const folder = await mkdtemp(join(tmpdir(), "facematch-page-"));
    context.after(() => rm(folder, { recursive: true }));
    const store = `sqlite:${folder}/store.db`;
    const desk = await Desk.for(context, "--store", store);
    await desk.server.match("order-1", await desk.server.folder());
    const page = await desk.page();
    await row(page, "order-1").waitFor();
    await desk.server.kill();
    await page.getByText(/Reconnecting, /).waitFor();
    const next = await TestServer.start("--store", store);
    context.after(() => next.kill());
    desk.line.mend(next);
    await next.match("order-2", await next.folder());
    await row(page, "order-2").waitFor();
    assert.deepEqual(await rows(page), ["order-2", "order-1"]);
    assert.equal(await page.getByText("read anew").count(), 0);
});

test("a server with another store is told, and its list is shown", async (context) => {
    const desk = await Desk.for(context);
    await desk.server.match("order-1", await desk.server.folder());
    const page = await desk.page();
    await row(page, "order-1").waitFor();
    await desk.server.kill();
    const next = await TestServer.start();
    context.after(() => next.kill());
    await next.match("order-9", await next.folder());
    desk.line.mend(next);
    await row(page, "order-9").waitFor();
    await page.getByText("The list was read anew").waitFor();
    assert.deepEqual(await rows(page), ["order-9"]);
});

test("a hidden page closes its streams, and resumes when it is shown", async (context) => {
    const desk = await Desk.for(context, "--heartbeat", "20s");
    const page = await desk.page();
    await live(page);
    await stopClock(page);
    await setVisibility(page, "hidden");
    await page.clock.runFor(29_000);
    await live(page);
    await page.clock.runFor(2000);
    await page.getByText("○ Not live").waitFor();
    await page.clock.resume();
    await desk.server.match("order-1", await desk.server.folder());
    assert.deepEqual(await rows(page), []);
    assert.equal(await page.locator(".banner").count(), 0);
    await setVisibility(page, "visible");
    await row(page, "order-1").waitFor();
});

test("seven pages of one browser work over HTTP/1.1", async (context) => {
    const desk = await Desk.for(context);
    let page = await desk.page();
    const pages = [page];
    await live(page);
    for (let number = 2; number <= 7; number += 1) {
        await setVisibility(page, "hidden");
        page = await desk.another(page);
        pages.push(page);
        await live(page);
    }
    await desk.server.match("order-1", await desk.server.folder());
    await row(page, "order-1").waitFor();
    await setVisibility(page, "hidden");
    const [first] = pages;
    assert.ok(first);
    await setVisibility(first, "visible");
    await row(first, "order-1").waitFor();
});

test("a photo is tried, and nothing of it stays in the browser", async (context) => {
    const desk = await Desk.for(context);
    const page = await desk.page();
    await live(page);
    const made = await page.evaluateHandle(() => {
        const urls = new Set<string>();
        const [make, revoke] = [URL.createObjectURL, URL.revokeObjectURL];
        URL.createObjectURL = (blob: Blob) => {
            const url = make.call(URL, blob);
            urls.add(url);
            return url;
        };
        URL.revokeObjectURL = (url) => {
            urls.delete(url);
            revoke.call(URL, url);
        };
        return urls;
    });
    await choose(page, desk, await desk.server.folder());
    assert.equal(await made.evaluate((urls) => urls.size), 1);
    await page.locator("#try-labels").fill("branch=riga\ndesk=4");
    await page.getByRole("button", { name: "Run the match" }).click();
    const view = page.locator("section.match");
    await view.locator(".summary").getByText("Success").waitFor();
    assert.match(await view.innerText(), /label desk\s+4/);
    assert.equal(await page.locator("dialog").count(), 0);
    assert.equal(await made.evaluate((urls) => urls.size), 0);
    assert.equal(await page.locator("img").count(), 0);
    const kept = await page.evaluate(async () => ({
        local: Object.keys(localStorage),
        session: Object.keys(sessionStorage),
        caches: await caches.keys(),
        databases: await indexedDB.databases(),
        workers: (await navigator.serviceWorker.getRegistrations()).length,
        cookies: document.cookie,
        state: history.state,
    }));
    assert.deepEqual(kept, {
        local: [],
        session: [],
        caches: [],
        databases: [],
        workers: 0,
        cookies: "",
        state: null,
    });
    assert.ok(!page.url().includes("portrait"));
});

test("a photo that is dropped anywhere opens the panel with it", async (context) => {
    const desk = await Desk.for(context);
    const page = await desk.page();
    await page.getByRole("button", { name: "Try a photo" }).first().waitFor();
    const photo = [...(await desk.server.photo())];
    await page.evaluate((bytes) => {
        const dataTransfer = new DataTransfer();
        const file = new File([new Uint8Array(bytes)], "x.jpg", { type: "image/jpeg" });
        dataTransfer.items.add(file);
        const init = { dataTransfer, bubbles: true, cancelable: true };
        document.body.dispatchEvent(new DragEvent("drop", init));
    }, photo);
    await page.getByRole("dialog").getByAltText("Your choice").waitFor();
    await page.getByRole("button", { name: "Close" }).click();
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await page.getByRole("button", { name: "Try a photo" }).first().click();
    await page.getByText("Drop a photo here").waitFor();
    assert.equal(await page.locator("img").count(), 0);
});

test("the chosen theme is kept, and nothing else", async (context) => {
    const desk = await Desk.for(context);
    const page = await desk.page();
    const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const light = await background();
    await page.getByLabel("Theme").selectOption("dark");
    await until(async () => (await background()) !== light);
    const stored = () => page.evaluate(() => ({ ...localStorage }));
    assert.deepEqual(await stored(), { theme: "dark" });
    await page.reload();
    await live(page);
    assert.notEqual(await background(), light);
    await page.getByLabel("Theme").selectOption("system");
    await until(async () => (await background()) === light);
    assert.deepEqual(await stored(), {});
});

test("an id is copied", async (context) => {
    const desk = await Desk.for(context);
    const { matchId } = await desk.server.match("order-1", await desk.server.folder());
    const permissions = ["clipboard-read", "clipboard-write"];
    const page = await desk.page(`/?match=${matchId}`, { permissions });
    await page.getByRole("button", { name: "Copy match id" }).waitFor();
    await stopClock(page);
    await page.getByRole("button", { name: "Copy match id" }).click();
    await page.getByText("Copied", { exact: true }).waitFor();
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), matchId);
    await page.clock.runFor(3000);
    await page.getByText("Copied", { exact: true }).waitFor({ state: "detached" });
});

test("a wrong folder is refused beside the form, and the photo is still there", async (context) => {
    const desk = await Desk.for(context);
    const page = await desk.page();
    await choose(page, desk, "my folder");
    await page.getByRole("button", { name: "Run the match" }).click();
    await page.locator("dialog").getByText("FIELD_INVALID").waitFor();
    await page
        .getByLabel("Folder", { exact: true })
        .last()
        .fill(await desk.server.folder());
    await page.getByRole("button", { name: "Run the match" }).click();
    await page.locator("section.match .summary").getByText("Success").waitFor();
});

test("the upload to Oz shows its progress", async (context) => {
    const desk = await Desk.for(context);
    const folder = await desk.server.folder();
    // Each upload waits until the service gives it up and repeats it, until the rule is gone.
    const upload = { endpoint: "add_media", folder };
    await desk.server.rule("slow", upload, { delay_ms: SLOW_MS });
    const page = await desk.page();
    await choose(page, desk, folder);
    await page.getByRole("button", { name: "Run the match" }).click();
    const view = page.locator("section.match");
    await view.getByText(/\d+ KB of \d+ KB sent to Oz/).waitFor();
    await desk.server.removeRule("slow");
    await view.locator(".summary").getByText("Success").waitFor();
    assert.equal(await view.locator("progress").count(), 0);
});

test("trouble at Oz has its cause and its next try", async (context) => {
    const desk = await Desk.for(context);
    const folder = await desk.server.folder();
    await desk.server.switches({ gateway: { status: 503 } });
    const page = await desk.page();
    await choose(page, desk, folder);
    await page.getByRole("button", { name: "Run the match" }).click();
    const view = page.locator("section.match");
    const words = /OZ_\w+.*(Next try in|being tried)/;
    await view.locator("p.trouble", { hasText: words }).waitFor();
    await view.locator(".steps .attention").first().waitFor();
    await desk.server.switches({ gateway: null });
    await view.locator(".summary").getByText("Success").waitFor();
    assert.equal(await view.locator("p.trouble").count(), 0);
});

test("cancel and delete ask once more", async (context) => {
    const desk = await Desk.for(context);
    const { matchId } = await desk.server.match("order-1", await desk.server.folder(SLOW));
    const page = await desk.page(`/?match=${matchId}`);
    await page.getByRole("button", { name: "Cancel the match" }).click();
    await page.getByRole("button", { name: "No", exact: true }).click();
    await page.getByRole("button", { name: "Cancel the match" }).click();
    await page.getByRole("button", { name: "Yes, cancel" }).click();
    await page.locator(".summary").getByText("Cancelled").waitFor();
    await page.getByRole("button", { name: "Delete the match" }).click();
    await page.getByRole("button", { name: "Yes, delete" }).click();
    await page.getByText("There are no matches yet").waitFor();
    assert.ok(!page.url().includes("match="));
});

test("everything works by keyboard alone", async (context) => {
    const desk = await Desk.for(context);
    for (const name of ["order-1", "order-2"]) {
        await desk.server.match(name, await desk.server.folder(SLOW));
    }
    const page = await desk.page();
    await row(page, "order-1").waitFor();
    const focused = () => page.evaluate(() => document.activeElement?.textContent ?? "");
    await page.keyboard.press("j");
    assert.match(await focused(), /order-2/);
    await page.keyboard.press("j");
    assert.match(await focused(), /order-1/);
    await page.keyboard.press("k");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "order-2" }).waitFor();
    await page.keyboard.press("Escape");
    await page.locator("section.match").waitFor({ state: "detached" });
    await until(async () => /order-2/.test(await focused()));
    await page.keyboard.press("/");
    await page.keyboard.type("order-1");
    await until(async () => (await rows(page)).join() === "order-1");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "order-1" }).waitFor();
    await until(async () => (await focused()) === "order-1");
    // The second key follows before the first is answered: the page waits for it for a moment.
    await Promise.all([page.keyboard.press("g"), page.keyboard.press("l")]);
    await page.locator("section.match").waitFor({ state: "detached" });
    await page.keyboard.press("?");
    await page.getByRole("dialog", { name: "Keyboard shortcuts" }).waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
});

test("a server that wants a credential is given one, which is kept in memory", async (context) => {
    const desk = await Desk.for(context, "--callers");
    await desk.server.match("order-1", await desk.server.folder());
    const page = await desk.page();
    await page.getByText("CREDENTIAL_MISSING").waitFor();
    await page.getByLabel("Token").fill("wrong");
    await page.keyboard.press("Enter");
    await page.getByText("CREDENTIAL_INVALID").waitFor();
    await page.getByLabel("Token").fill(desk.server.token ?? "");
    await page.keyboard.press("Enter");
    await row(page, "order-1").waitFor();
    await page.getByRole("button", { name: "Try a photo" }).waitFor();
    assert.equal(await page.evaluate(() => JSON.stringify({ ...localStorage })), "{}");
    assert.ok(!page.url().includes("fm_"));
    await page.reload();
    await page.getByText("CREDENTIAL_MISSING").waitFor();
});

test("a page that may only read offers nothing else", async (context) => {
    const desk = await Desk.for(context, "--web-read-only");
    const page = await desk.page();
    await page.getByText("There are no matches yet").waitFor();
    const answer = page.waitForResponse("**/page/access");
    await page.reload();
    assert.equal((await answer).status(), 200);
    await page.getByText("There are no matches yet").waitFor();
    assert.equal(await page.getByRole("button", { name: "Try a photo" }).count(), 0);
});

test("the key of a photo is asked for only where there is a library", async (context) => {
    const library = new URL("../src/simulator/sample/", `file://${process.cwd()}/`).href;
    const desk = await Desk.for(context, "--library", library);
    const page = await desk.page();
    await page.getByRole("button", { name: "Try a photo" }).first().click();
    const folder = await desk.server.folder();
    const folderField = page.getByLabel("Folder", { exact: true }).last();
    await folderField.fill(folder);
    await page.getByLabel("From the photo library").check();
    assert.equal(await folderField.inputValue(), folder, "what was typed stays in its field");
    await page.getByLabel("Reference key").fill("portrait.jpg");
    await page.getByRole("button", { name: "Run the match" }).click();
    await page.locator("section.match .summary").getByText("Success").waitFor();
    const without = await Desk.for(context);
    const other = await without.page();
    await other.getByRole("button", { name: "Try a photo" }).first().click();
    await other.locator("#try-photo").waitFor();
    assert.equal(await other.getByLabel("From the photo library").count(), 0);
});

test("new matches wait above a scrolled list", async (context) => {
    const desk = await Desk.for(context);
    const folder = "00000000-0000-4000-8000-000000000001";
    for (let number = 0; number < 40; number += 1) {
        await desk.server.match(`order-${number}`, folder);
    }
    const page = await desk.page();
    await row(page, "order-39").getByText("Failed").waitFor();
    await page.locator("section.list").evaluate((list) => list.scrollTo(0, 600));
    const before = await page.locator("a.row").first().innerText();
    await page.waitForFunction(() => (document.querySelector(".list")?.scrollTop ?? 0) > 60);
    await desk.server.match("new-1", folder);
    await desk.server.match("new-2", folder);
    await page.getByRole("button", { name: "2 new" }).waitFor();
    assert.equal(await page.locator("a.row").first().innerText(), before);
    await page.getByRole("button", { name: "2 new" }).click();
    await row(page, "new-2").waitFor();
    assert.equal(await page.locator("section.list").evaluate((list) => list.scrollTop), 0);
});
