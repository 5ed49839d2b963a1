/** Starts `facematch testserver`: the service and a simulated Oz in one process, for one test. */
import type { ChildProcessByStdio } from "node:child_process";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { Client } from "./client.js";
import type { ClientOptions } from "./settings.js";
import type { FolderOptions, Person } from "./simulator.js";
import { Simulator } from "./simulator.js";

/** How long the server may take to print its addresses, or to end. */
const PATIENCE_MS = 30_000;

export interface ServerOptions {
    /** Flags of `facematch testserver`, such as `--callers` or `--heartbeat=50ms`. */
    readonly args?: readonly string[] | undefined;
    /** Settings of the client. Its token is that of the server, if it has one. */
    readonly client?: ClientOptions | undefined;
}

/** The line that the server prints. */
interface Ready {
    readonly grpc: string;
    readonly simulator: string;
    readonly admin: string;
    readonly token: string | null;
}

/**
 * The reason to skip a test that needs the server, in one sentence; `false` if the server is there.
 * In CI, where the environment variable `CI` is set, it is always `false`, so that a missing server
 * fails the test instead.
 */
export function noServer(): string | false {
    // A variable that names no program is a mistake, and no reason to skip.
    if (process.env["CI"] || process.env["FACEMATCH_BIN"]) return false;
    const found = findServer();
    return typeof found === "string" ? false : found.missing;
}

/** Starts a server of its own. It ends with `await using`, with `stop`, or with this process. */
export async function startServer(options: ServerOptions = {}): Promise<TestServer> {
    const found = findServer();
    if (typeof found !== "string") throw new Error(found.missing);
    const child = spawn(found, ["testserver", ...(options.args ?? [])], {
        stdio: ["pipe", "pipe", "pipe"],
    });
    const log: string[] = [];
    child.stderr.setEncoding("utf8").on("data", (text) => log.push(text));
    const ready = await firstLine(child, log);
    return new TestServer(child, ready, options.client ?? {});
}

type Child = ChildProcessByStdio<Writable, Readable, Readable>;

/** A running server, with a client of it. */
export class TestServer implements AsyncDisposable {
    readonly client: Client;
    /** Where callers connect, as `HOST:PORT`. */
    readonly address: string;
    /** The base URL of `/livez`, `/readyz` and `/metrics`. */
    readonly adminUrl: string;
    /** The token that calls need, with `--callers`. */
    readonly token: string | undefined;
    /** The simulated Oz: its switches, its rules, and what it was asked. */
    readonly oz: Simulator;
    readonly #child: Child;

    /** @internal */
    constructor(child: Child, ready: Ready, options: ClientOptions) {
        this.#child = child;
        this.address = ready.grpc;
        this.adminUrl = ready.admin;
        this.token = ready.token ?? undefined;
        this.oz = new Simulator(ready.simulator);
        this.client = new Client(ready.grpc, { token: this.token, ...options });
        // A server that a test forgets must not keep its process alive.
        child.unref();
        for (const pipe of [child.stdin, child.stdout, child.stderr]) {
            if ("unref" in pipe && typeof pipe.unref === "function") pipe.unref();
        }
    }

    /** Makes a folder with the liveness media of the sample person, and returns its id. */
    folder(options: FolderOptions = {}): Promise<string> {
        return this.oz.folder(options);
    }

    /** The sample photo of a person: `portrait` is the one whose liveness media a folder has. */
    photo(person: Person = "portrait"): Promise<Uint8Array> {
        return this.oz.photo(person);
    }

    /** Closes the client and ends the server. */
    async stop(): Promise<void> {
        this.client.close();
        const child = this.#child;
        if (child.exitCode !== null || child.signalCode !== null) return;
        child.ref();
        const ended = once(child, "exit", {
            signal: AbortSignal.timeout(PATIENCE_MS),
        });
        child.stdin.end();
        try {
            const [code] = await ended;
            if (code !== 0) throw new Error(`facematch testserver ended with ${code}`);
        } finally {
            child.kill("SIGKILL");
        }
    }

    async [Symbol.asyncDispose](): Promise<void> {
        await this.stop();
    }
}

function findServer(): string | { readonly missing: string } {
    const named = process.env["FACEMATCH_BIN"];
    if (named) {
        if (isProgram(named)) return named;
        return { missing: "FACEMATCH_BIN doesn't name a program that can be run." };
    }
    for (const folder of (process.env["PATH"] ?? "").split(delimiter)) {
        const path = join(folder, "facematch");
        if (folder !== "" && isProgram(path)) return path;
    }
    return {
        missing: "The program facematch is needed: put it in the PATH or set FACEMATCH_BIN.",
    };
}

function isProgram(path: string): boolean {
    try {
        accessSync(path, constants.X_OK);
        return true;
    } catch {
        return false;
    }
}

async function firstLine(child: Child, log: readonly string[]): Promise<Ready> {
    const lines = createInterface({ input: child.stdout });
    const failed = new AbortController();
    child.once("error", (error) => failed.abort(error));
    child.once("close", (code) =>
        failed.abort(new Error(`facematch testserver ended with ${code}: ${log.join("").trim()}`)),
    );
    const timer = setTimeout(
        () => failed.abort(new Error("facematch testserver printed nothing in time")),
        PATIENCE_MS,
    );
    try {
        const [line] = await once(lines, "line", { signal: failed.signal });
        return JSON.parse(line);
    } catch (error) {
        child.kill("SIGKILL");
        throw failed.signal.aborted ? failed.signal.reason : error;
    } finally {
        clearTimeout(timer);
    }
}
