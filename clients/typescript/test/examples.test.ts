import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { noServer, startServer } from "@facematch/client/testing";

/** Tests run from build/test. */
const root = new URL("../../", import.meta.url);
const run = promisify(execFile);

async function example(name: string, ...args: string[]): Promise<string> {
    const program = fileURLToPath(new URL(`build/examples/${name}.js`, root));
    // A process that doesn't end by itself is ended, and fails the test.
    const { stdout } = await run(process.execPath, [program, ...args], { timeout: 20_000 });
    return stdout;
}

test("the README shows the examples as they are", async () => {
    const readme = await readFile(new URL("README.md", root), "utf8");
    const blocks = readme.matchAll(/<!-- (examples\/\S+) -->\n\n```ts\n(.*?)```/gs);
    const shown = new Map([...blocks].map((block) => [block[1], block[2]]));
    for (const name of await readdir(new URL("examples", root))) {
        const text = await readFile(new URL(`examples/${name}`, root), "utf8");
        assert.equal(shown.get(`examples/${name}`), text, name);
    }
    assert.equal(shown.size, readme.split("```ts").length - 1, "each block names its file");
});

test("the examples run, and end", { skip: noServer() }, async () => {
    await using server = await startServer();
    const folder = await mkdtemp(join(tmpdir(), "facematch-examples-"));
    try {
        const photo = join(folder, "portrait.jpg");
        await writeFile(photo, await server.photo());
        const call = [server.address, await server.folder(), photo];
        assert.equal(await example("verdict", ...call), "the same person, by 1\n");
        assert.match(await example("progress", ...call), /4n finished FINISHED\n$/);
        assert.equal(await example("resume", ...call), "true\n");
        assert.match(await example("watch-all", server.address), /finished\nstored true\n$/);
        const unknown = [server.address, "8d0e7c51-6c86-4d7b-9b5e-0e3b6a0c1f11", photo];
        assert.equal(await example("errors", ...unknown), "check the folder's id\n");
    } finally {
        await rm(folder, { recursive: true });
    }
});
