/** A real Envoy in front of the service, with the settings that docs/proxies.md prints. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "./chromium";

/** The program, as `check` installs it. */
const BINARY = process.env.FACEMATCH_ENVOY ?? "../target/test-tools/envoy/bin/envoy";
const DOCUMENT = "../docs/proxies.md";

/** What the document names, and a test replaces by its own. */
const SERVICE = "address: 127.0.0.1, port_value: 50051";
const PROXY = "address: 127.0.0.1, port_value: 50052";
const ORIGIN = "https://desk.example";

/** The settings of the document for a proxy, before the addresses of a test are in them. */
export interface Settings {
    readonly text: string;
}

/** Envoy as it stands before any port, for callers with HTTP/1.1 as well. */
export async function plain(): Promise<Settings> {
    return { text: replaceOnce(await block("static_resources:"), "codec_type: HTTP2", AUTO) };
}

const AUTO = "codec_type: AUTO";

/** Envoy that translates gRPC-Web by its own filter, for pages of an origin. */
export async function translating(origin: string): Promise<Settings> {
    const [base, keys] = [await block("static_resources:"), await block(AUTO)];
    const [codec, rest] = [keys.slice(0, AUTO.length), keys.slice(AUTO.length + 1)];
    const from = base.indexOf("                route_config:");
    const to = base.indexOf("  clusters:");
    assert.ok(from > 0 && to > from && rest.startsWith("route_config:"), "unknown settings");
    const indented = rest.replace(/^(?=.)/gm, " ".repeat(16));
    const text = base.slice(0, from) + indented + base.slice(to);
    return { text: replaceOnce(replaceOnce(text, "codec_type: HTTP2", codec), ORIGIN, origin) };
}

/** The processes that a test has started. They end with the process of the test. */
const running = new Set<ChildProcess>();
process.once("exit", () => {
    for (const child of running) child.kill("SIGKILL");
});

/** A running Envoy. */
export class Envoy {
    readonly web: string;
    readonly #process: ChildProcess;
    readonly #folder: string;

    private constructor(web: string, process: ChildProcess, folder: string) {
        this.web = web;
        this.#process = process;
        this.#folder = folder;
    }

    /** Starts it in front of an address, such as `127.0.0.1:50051`. */
    static async start({ text }: Settings, service: string): Promise<Envoy> {
        const port = await freePort();
        const folder = await mkdtemp(join(tmpdir(), "facematch-envoy-"));
        const target = SERVICE.replace("50051", service.replace(/^.*:/, ""));
        const own = PROXY.replace("50052", String(port));
        const file = join(folder, "envoy.yaml");
        await writeFile(file, replaceOnce(replaceOnce(text, SERVICE, target), PROXY, own));
        const quiet = ["--log-level", "error", "--disable-hot-restart", "--concurrency", "1"];
        const child = spawn(BINARY, ["-c", file, ...quiet], { stdio: ["ignore", 2, 2] });
        await once(child, "spawn");
        running.add(child);
        const envoy = new Envoy(`http://127.0.0.1:${port}`, child, folder);
        await until(() => {
            assert.equal(child.exitCode, null, "Envoy has ended");
            return listens(port);
        });
        return envoy;
    }

    async stop(): Promise<void> {
        if (this.#process.exitCode === null && this.#process.signalCode === null) {
            const exit = once(this.#process, "exit");
            this.#process.kill("SIGKILL");
            await exit;
        }
        running.delete(this.#process);
        await rm(this.#folder, { recursive: true });
    }
}

/** The only block of the document that begins with these words. */
async function block(beginning: string): Promise<string> {
    const text = await readFile(DOCUMENT, "utf8");
    const blocks = [...text.matchAll(/^```yaml\n(.*?)^```$/gms)].map(([, it]) => it ?? "");
    const [found, ...others] = blocks.filter((it) => it.startsWith(beginning));
    assert.ok(found && others.length === 0, `${DOCUMENT}: not one block ${beginning}`);
    return found;
}

function replaceOnce(text: string, before: string, after: string): string {
    assert.equal(text.split(before).length, 2, `${before} is not once in ${text}`);
    return text.replace(before, after);
}

async function freePort(): Promise<number> {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, "close");
    return port;
}

function listens(port: number): Promise<boolean> {
    return new Promise((resolve) => {
        const socket = connect(port, "127.0.0.1");
        const tell = (answer: boolean) => {
            socket.destroy();
            resolve(answer);
        };
        socket.once("connect", () => tell(true));
        socket.once("error", () => tell(false));
    });
}
