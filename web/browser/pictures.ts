/** Takes the pictures of the page that the documents show. */
import { after, test } from "node:test";
import { closeBrowser, Desk } from "./chromium";

const FOLDER = process.env.FACEMATCH_PICTURES ?? "../docs/pictures";

after(closeBrowser);

/** Matches as a reader of the documents may know them: of branches, with all kinds of ends. */
async function runMatches({ server }: Desk): Promise<string> {
    const kinds: readonly [string, object][] = [
        ["riga", {}],
        ["riga", { person: "stranger" }],
        ["tallinn", { verdict: { resolution: "OPERATOR_REQUIRED", min_confidence: 0.71 } }],
        ["vilnius", {}],
        ["riga", { verdict: { state: "FAILED" } }],
        ["tallinn", {}],
        ["vilnius", { verdict: { processing_ms: 60_000 } }],
    ];
    let last = "";
    for (const [index, [branch, folder]] of kinds.entries()) {
        const id = await server.folder(folder);
        const name = `order-${index + 1041}`;
        const { matchId } = await server.match(name, id, { labels: { branch } });
        if (name === "order-1046") last = matchId;
        if (branch !== "vilnius" || index < 4) await server.ended(name);
    }
    return last;
}

test("pictures", async (context) => {
    const desk = await Desk.for(context);
    const matchId = await runMatches(desk);
    for (const colorScheme of ["light", "dark"] as const) {
        const viewport = { width: 1200, height: 720 };
        const page = await desk.page("/", { colorScheme, viewport });
        await page.locator("a.row", { hasText: "order-1041" }).waitFor();
        await page.getByRole("button", { name: "Try a photo" }).waitFor();
        await page.screenshot({ path: `${FOLDER}/list-${colorScheme}.png` });
        await page.goto(`${desk.line.url}/?match=${matchId}`);
        await page.locator(".steps li").nth(3).waitFor();
        await page.getByRole("button", { name: "Delete the match" }).waitFor();
        await page.screenshot({ path: `${FOLDER}/match-${colorScheme}.png` });
    }
});
