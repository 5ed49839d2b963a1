/** Every state of the page as axe judges it, in both colours, and 320 pixels wide too. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, type TestContext, test } from "node:test";
import type { Page } from "playwright-core";
import { choose, closeBrowser, Desk, row } from "./chromium";
import { SLOW, SLOW_MS, TestServer } from "./server";

after(closeBrowser);

/** The widths for each colour: what a narrow page lays out otherwise has no colours of its own. */
const WIDTHS = { light: [320, 1280], dark: [1280] };

/** A page of one width and colour. */
interface Screen {
    readonly page: Page;
    readonly width: number;
    /** Checks what the page shows now. */
    check(view: string): Promise<void>;
}

type Look = (desk: Desk, screen: Screen, context: TestContext) => Promise<void>;

/** Looks at the page in both colours and in their widths, each time with servers of its own. */
function accessible(name: string, look: Look, { address = "/", args = [] as string[] } = {}): void {
    for (const colorScheme of ["light", "dark"] as const) {
        test(`${name}: accessible in ${colorScheme} colours`, async (context) => {
            for (const width of WIDTHS[colorScheme]) {
                const desk = await Desk.for(context, ...args);
                await look(desk, await screen(desk, width, colorScheme, address), context);
            }
        });
    }
}

async function screen(
    desk: Desk,
    width: number,
    colorScheme: "light" | "dark",
    address: string,
): Promise<Screen> {
    const viewport = { width, height: 800 };
    // axe writes styles into the document, which the policy of the page forbids.
    const page = await desk.page(address, { colorScheme, viewport, bypassCSP: true });
    const check = async (view: string) => {
        assert.deepEqual(await findings(page), [], `${view} at ${width}`);
        const wide = () => document.documentElement.scrollWidth - innerWidth;
        assert.ok((await page.evaluate(wide)) <= 0, `${view} is wider than ${width}`);
        await shoot(page, `${view}-${colorScheme}-${width}`);
    };
    return { page, width, check };
}

accessible("lists and matches", async (desk, { page, width, check }) => {
    const labels = { branch: "riga", "a-label-with-a-rather-long-key": "x".repeat(60) };
    await desk.server.match("order-1", await desk.server.folder(), { labels });
    await desk.server.match("order-2", await desk.server.folder({ person: "stranger" }));
    await desk.server.match("order-3", "00000000-0000-4000-8000-000000000001");
    const { matchId } = await desk.server.match("order-4", await desk.server.folder(SLOW));
    await row(page, "order-4").waitFor();
    await check("list");
    await page.getByRole("button", { name: "Try a photo" }).click();
    await check("try");
    await page.keyboard.press("Escape");
    await page.keyboard.press("?");
    await check("keys");
    await page.keyboard.press("Escape");
    for (const name of ["order-1", "order-2", "order-3"]) {
        if (width === 320) await page.goto(desk.line.url);
        await row(page, name).click();
        await page.getByRole("heading", { name }).waitFor();
        await page.locator(".steps li").nth(1).waitFor();
        await check(`match-${name}`);
    }
    await page.getByText("JSON", { exact: true }).click();
    await page.locator("pre").waitFor();
    await check("match-json");
    await page.goto(`${desk.line.url}/?match=${matchId}`);
    await page.locator(".steps .waiting").waitFor();
    await check("match-running");
});

accessible("empty lists and filters", async (desk, { page, check }) => {
    await page.getByText("There are no matches yet").waitFor();
    await check("empty");
    await desk.server.match("order-1", await desk.server.folder(), { labels: { branch: "riga" } });
    await page.goto(
        `${desk.line.url}/?label=${encodeURIComponent(`a-long-key=${"x".repeat(90)}`)}`,
    );
    await page.getByText("No match has these properties").waitFor();
    await page.getByText("Folder and labels").click();
    await check("filtered");
    await page.goto(`${desk.line.url}/?folder=my%20folder&label=${"x".repeat(90)}`);
    await page.getByText("can't be read in the address").waitFor();
    await page.getByText("Folder and labels").click();
    await page.getByLabel("Folder", { exact: true }).fill("my folder");
    await page.getByText("No whole UUID yet").waitFor();
    await check("filters-unread");
    await page.getByLabel("Id", { exact: true }).fill("order-17");
    await page.keyboard.press("Enter");
    await page.getByText("No match has this id").waitFor();
    await check("not-found");
    await page.goto(`${desk.line.url}/?match=00000000-0000-7000-8000-000000000000`);
    await page.getByText("doesn't exist, or it was erased").waitFor();
    await check("gone");
});

accessible("questions before a match is cancelled or deleted", async (desk, { page, check }) => {
    const { matchId } = await desk.server.match("order-1", await desk.server.folder(SLOW));
    await page.goto(`${desk.line.url}/?match=${matchId}`);
    await page.getByRole("button", { name: "Cancel the match" }).click();
    await page.getByRole("button", { name: "Yes, cancel" }).waitFor();
    await check("cancel");
    await page.getByRole("button", { name: "Yes, cancel" }).click();
    await page.getByRole("button", { name: "Delete the match" }).click();
    await page.getByRole("button", { name: "Yes, delete" }).waitFor();
    await check("delete");
});

accessible("broken connections", async (desk, { page, width, check }) => {
    const { matchId } = await desk.server.match("order-1", await desk.server.folder(SLOW));
    await page.goto(`${desk.line.url}/?match=${matchId}`);
    await page.locator(".steps").getByText("Analysis started").waitFor();
    await page.getByText("● Live").waitFor();
    await page.getByRole("button", { name: "Cancel the match" }).waitFor();
    desk.line.cut();
    await page.getByText(/Reconnecting, /).waitFor();
    await check("reconnecting");
    await page.getByRole("button", { name: "Cancel the match" }).click();
    await page.getByRole("button", { name: "Yes, cancel" }).click();
    await page.locator(".actions .trouble").waitFor();
    await check("cancel-failed");
    if (width === 320) await page.getByRole("button", { name: "Close the match" }).click();
    await page.getByLabel("Id", { exact: true }).fill("order-17");
    await page.keyboard.press("Enter");
    await page.getByText("The server didn't answer").waitFor();
    await check("not-answered");
});

accessible("a list that was read anew", async (desk, { page, check }, context) => {
    await page.getByText("There are no matches yet").waitFor();
    const next = await TestServer.start();
    context.after(() => next.kill());
    desk.line.mend(next);
    await desk.server.kill();
    await page.getByText("The list was read anew").waitFor();
    await check("read-anew");
});

accessible(
    "the token",
    async (desk, { page, check }) => {
        await page.getByText("CREDENTIAL_MISSING").waitFor();
        await check("token");
        await page.getByLabel("Token").fill("wrong");
        await page.keyboard.press("Enter");
        await page.getByText("CREDENTIAL_INVALID").waitFor();
        await check("token-wrong");
        await desk.server.match("order-1", await desk.server.folder());
        await page.getByLabel("Token").fill(desk.server.token ?? "");
        await page.keyboard.press("Enter");
        await row(page, "order-1").waitFor();
        await check("token-right");
    },
    { args: ["--callers"] },
);

accessible(
    "a refused list",
    async (_, { page, check }) => {
        await page.locator("section.list .trouble").waitFor();
        await check("refused");
    },
    { address: `/?label=${"k".repeat(65)}%3Driga` },
);

const LIBRARY = new URL("../src/simulator/sample/", `file://${process.cwd()}/`).href;

accessible(
    "a match that is tried",
    async (desk, { page, check }) => {
        await choose(page, desk, "my folder");
        await page.getByRole("button", { name: "Run the match" }).click();
        await page.locator("dialog").getByText("FIELD_INVALID").waitFor();
        await check("try-refused");
        await page.getByLabel("From the photo library").check();
        await page.getByLabel("Reference key").waitFor();
        await check("try-key");
        await page.getByLabel("From this computer").check();
        await page.locator("#try-labels").fill("no label");
        await page.getByRole("button", { name: "Run the match" }).click();
        await page.getByText("A label is key=value").waitFor();
        await check("try-label");
        await page.locator("#try-labels").fill("");
        const folder = await desk.server.folder();
        const upload = { endpoint: "add_media", folder };
        await desk.server.rule("slow", upload, { delay_ms: SLOW_MS });
        await page.getByLabel("Folder", { exact: true }).last().fill(folder);
        await page.getByRole("button", { name: "Run the match" }).click();
        await page.getByText(/\d+ KB of \d+ KB sent to Oz/).waitFor();
        await check("uploading");
        await page.locator("p.trouble").waitFor();
        await check("trouble");
    },
    { args: ["--library", LIBRARY] },
);

accessible("new matches above a scrolled list", async (desk, { page, check }) => {
    const folder = "00000000-0000-4000-8000-000000000001";
    for (let number = 0; number < 40; number += 1) {
        await desk.server.match(`order-${number}`, folder);
    }
    await row(page, "order-39").waitFor();
    await page.locator("section.list").evaluate((list) => list.scrollTo(0, 600));
    await page.waitForFunction(() => (document.querySelector(".list")?.scrollTop ?? 0) > 60);
    await desk.server.match("new-1", folder);
    await page.getByRole("button", { name: "1 new" }).waitFor();
    await check("new-above");
});

/** What axe finds on a page, in its own words. */
async function findings(page: Page): Promise<string[]> {
    const axe = await readFile("node_modules/axe-core/axe.min.js", "utf8");
    await page.evaluate(axe);
    return page.evaluate(async () => {
        const { axe } = globalThis as unknown as { axe: typeof import("axe-core") };
        const { violations } = await axe.run(document, {
            runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
        });
        return violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html}`));
    });
}

/** Keeps a picture of a view for people to look at, if a folder is given. */
async function shoot(page: Page, name: string): Promise<void> {
    const folder = process.env.FACEMATCH_SCREENSHOTS;
    if (folder) await page.screenshot({ path: `${folder}/${name}.png` });
}
