/** Pages in a real Chromium, watched for what no page may do. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import type { TestContext } from "node:test";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { Line, TestServer } from "./server";

/** How long a test waits for what it expects: much longer than it takes on a slow machine. */
export const PATIENCE_MS = 60_000;

/** The files of the page, by their paths. */
const FILES: Readonly<Record<string, readonly [string, string]>> = {
    "/": ["index.html", "text/html; charset=utf-8"],
    "/app.js": ["app.js", "text/javascript; charset=utf-8"],
    "/app.css": ["app.css", "text/css; charset=utf-8"],
    "/icon.svg": ["icon.svg", "image/svg+xml"],
};

/**
 * Where the page's files come from: the server, or the folder that this variable names, with the
 * headers of the server. The second tries changes of the page without a build of the server.
 */
const FOLDER = process.env.FACEMATCH_PAGE;

let browser: Browser | undefined;

/** The browser that all tests of this process share. */
export async function launched(): Promise<Browser> {
    browser ??= await chromium.launch({
        executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
        args: ["--no-sandbox", "--disable-background-networking", "--disable-gpu"],
    });
    return browser;
}

export async function closeBrowser(): Promise<void> {
    await browser?.close();
    browser = undefined;
}

/** A server, a line to it, and pages over that line, for one test. */
export class Desk {
    readonly server: TestServer;
    readonly line: Line;
    readonly #pages: Page[] = [];
    readonly #violations: string[] = [];
    readonly #closers: (() => Promise<void>)[] = [];

    private constructor(server: TestServer, line: Line) {
        this.server = server;
        this.line = line;
    }

    /** Starts what a test needs. When the test ends, no page may have broken its policy. */
    static async for(test: TestContext, ...args: string[]): Promise<Desk> {
        // A match that a test keeps running outlives the test, on a slow machine too.
        const server = await TestServer.start("--match-timeout", "2h", ...args);
        const desk = new Desk(server, await Line.to(server));
        test.after(async () => {
            for (const close of desk.#closers) await close();
            await desk.line.close();
            await server.kill();
            assert.deepEqual(desk.#violations, []);
        });
        return desk;
    }

    /** Opens the page at an address in a browser profile of its own. */
    async page(address = "/", options: BrowserContextOptions = {}): Promise<Page> {
        const context = await (await launched()).newContext({
            reducedMotion: "reduce",
            ...options,
        });
        context.setDefaultTimeout(PATIENCE_MS);
        this.#closers.push(() => context.close());
        await this.#watch(context);
        const page = await context.newPage();
        await page.goto(this.line.url + address);
        this.#pages.push(page);
        return page;
    }

    /** Opens the page once more in the same browser profile. */
    async another(page: Page): Promise<Page> {
        const next = await page.context().newPage();
        await next.goto(`${this.line.url}/`);
        return next;
    }

    async #watch(context: Awaited<ReturnType<Browser["newContext"]>>): Promise<void> {
        context.on("console", (message) => {
            const text = message.text();
            if (/Content Security Policy|Trusted/i.test(text)) this.#violations.push(text);
        });
        context.on("weberror", (error) => this.#violations.push(String(error.error().stack)));
        // A test hides a page by this: pages without a window are never hidden.
        await context.addInitScript(() => {
            let state = "visible";
            Object.defineProperty(document, "visibilityState", { get: () => state });
            Object.assign(globalThis, {
                setVisibility(next: string) {
                    state = next;
                    document.dispatchEvent(new Event("visibilitychange"));
                },
            });
        });
        if (FOLDER) await this.#serveFrom(FOLDER, context);
    }

    async #serveFrom(folder: string, context: Awaited<ReturnType<Browser["newContext"]>>) {
        const { headers } = await fetch(`${this.server.web}/openapi.json`);
        const kept = ["content-security-policy", "cache-control", "cross-origin-opener-policy"];
        const shared = Object.fromEntries(kept.map((name) => [name, headers.get(name) ?? ""]));
        await context.route(
            (url) => FILES[url.pathname] !== undefined,
            async (route) => {
                const file = FILES[new URL(route.request().url()).pathname];
                assert.ok(file);
                const body = await readFile(`${folder}/${file[0]}`);
                await route.fulfill({ body, headers: { ...shared, "content-type": file[1] } });
            },
        );
    }
}

/** Hides or shows a page, as another tab in front of it does. */
export async function setVisibility(page: Page, state: "hidden" | "visible"): Promise<void> {
    await page.evaluate((next) => {
        (globalThis as unknown as { setVisibility(state: string): void }).setVisibility(next);
    }, state);
}

/** Stops the clock of a page, so that what is shown for a moment stays until the clock is moved. */
export async function stopClock(page: Page): Promise<void> {
    await page.clock.install();
    await page.clock.pauseAt(await page.evaluate(() => Date.now() + 1000));
}

/** Waits until a condition of the test itself holds. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
    const end = Date.now() + PATIENCE_MS;
    while (!(await condition())) {
        assert.ok(Date.now() < end, "waited in vain");
        await new Promise((resolve) => setTimeout(resolve, 50));
    }
}

/** The row of a match in the list. */
export const row = (page: Page, name: string) => page.locator("a.row", { hasText: name });

/** Opens the panel, and fills in a photo and a folder. */
export async function choose(page: Page, desk: Desk, folder: string): Promise<void> {
    await page.getByRole("button", { name: "Try a photo" }).first().click();
    const buffer = await desk.server.photo();
    const file = { name: "portrait-of-a-person.jpg", mimeType: "image/jpeg", buffer };
    await page.locator("#try-photo").setInputFiles(file);
    await page.getByAltText("Your choice").waitFor();
    await page.getByLabel("Folder", { exact: true }).last().fill(folder);
}
