/** The service, its simulated Oz, and a line to it that a test cuts. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { createInterface } from "node:readline";

const BINARY = process.env.FACEMATCH_BIN ?? "../target/debug/facematch";

/** A verdict that comes when the test moves the clock of the simulated Oz, and not before. */
export const SLOW_MS = 3_600_000;
export const SLOW = { verdict: { processing_ms: SLOW_MS } };

/** What `facematch testserver` prints. */
interface Ready {
    readonly grpc: string;
    readonly web: string;
    readonly simulator: string;
    readonly token: string | null;
}

/** A running `facematch testserver`. */
export class TestServer {
    readonly grpc: string;
    readonly web: string;
    readonly simulator: string;
    readonly token: string | null;
    readonly #process: ChildProcess;

    private constructor(process: ChildProcess, ready: Ready) {
        this.#process = process;
        this.grpc = ready.grpc;
        this.web = ready.web;
        this.simulator = ready.simulator;
        this.token = ready.token;
    }

    static async start(...args: string[]): Promise<TestServer> {
        const child = spawn(BINARY, ["testserver", ...args], {
            stdio: ["pipe", "pipe", "inherit"],
        });
        const failed = once(child, "exit").then(() => {
            throw new Error("the test server ended before it was ready");
        });
        failed.catch(() => {});
        const line = once(createInterface(child.stdout), "line");
        const [text] = await Promise.race([line, failed]);
        return new TestServer(child, JSON.parse(text));
    }

    /** Ends at once, as by a crash. */
    async kill(): Promise<void> {
        if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
        const exit = once(this.#process, "exit");
        this.#process.kill("SIGKILL");
        await exit;
    }

    /** Makes a folder at the simulated Oz: its id. */
    async folder(body: object = {}): Promise<string> {
        const answer = await this.#post(`${this.simulator}/sim/folders`, body);
        return (answer as { folder_id: string }).folder_id;
    }

    /** Changes how the simulated Oz behaves. */
    async switches(change: object): Promise<void> {
        await this.#simulate("PATCH", "switches", change);
    }

    /** Adds a rule to the script of the simulated Oz. */
    async rule(name: string, match: object, then: object): Promise<void> {
        await this.#simulate("PUT", `rules/${name}`, { match, then });
    }

    /** Removes a rule. Requests that wait because of it go on waiting. */
    async removeRule(name: string): Promise<void> {
        await this.#simulate("DELETE", `rules/${name}`);
    }

    /** Moves the clock of the simulated Oz, by which its analyses end. */
    async skip(milliseconds: number): Promise<void> {
        await this.#simulate("POST", "clock", { skip_ms: milliseconds });
    }

    /** A sample picture of the simulator. */
    async photo(): Promise<Buffer> {
        const answer = await fetch(`${this.simulator}/sim/samples/portrait.jpg`);
        return Buffer.from(await answer.arrayBuffer());
    }

    /** Makes a match. */
    async match(
        requestId: string,
        folderId: string,
        more: object = {},
    ): Promise<{ matchId: string }> {
        const content = (await this.photo()).toString("base64");
        const request = { requestId, folderId, photo: { content }, ...more };
        return (await this.call("CreateMatch", request)) as { matchId: string };
    }

    /** Waits until a match has ended. */
    async ended(requestId: string): Promise<void> {
        const match = await this.call("WaitMatch", { requestId, timeout: "60s" });
        if (!(match as { endTime?: string }).endTime) throw new Error(`${requestId} goes on`);
    }

    async call(method: string, request: object): Promise<unknown> {
        return this.#post(`${this.web}/facematch.v1.FaceMatch/${method}`, request);
    }

    async #simulate(method: string, path: string, body?: object): Promise<void> {
        const init = { method, ...(body && { body: JSON.stringify(body) }) };
        const answer = await fetch(`${this.simulator}/sim/${path}`, init);
        if (!answer.ok) throw new Error(await answer.text());
    }

    async #post(url: string, body: object): Promise<unknown> {
        const headers: Record<string, string> = { "content-type": "application/json" };
        if (this.token) headers.authorization = `Bearer ${this.token}`;
        const answer = await fetch(url, { method: "POST", headers, body: JSON.stringify(body) });
        if (!answer.ok) throw new Error(`${url}: ${answer.status} ${await answer.text()}`);
        return answer.json();
    }
}

/** A TCP proxy in front of a server, whose port stays while servers come and go. */
export class Line {
    #target: number;
    #isSilent = false;
    #isCut = false;
    readonly #server: Server;
    readonly #sockets = new Set<Socket>();
    /** How many connections from browsers are open. */
    open = 0;

    private constructor(target: number) {
        this.#target = target;
        this.#server = createServer((socket) => this.#accept(socket));
    }

    static async to({ web }: { web: string }): Promise<Line> {
        const line = new Line(Number(new URL(web).port));
        line.#server.listen(0, "127.0.0.1");
        await once(line.#server, "listening");
        return line;
    }

    get url(): string {
        return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
    }

    /** Breaks all connections, and refuses new ones until `mend`. */
    cut(): void {
        this.#isCut = true;
        this.#drop();
    }

    /** Keeps all connections, and passes nothing on until `mend`. */
    swallow(): void {
        this.#isSilent = true;
    }

    /** Passes new connections on, to another server if one is given. What was swallowed is lost. */
    mend(server?: TestServer): void {
        if (server) this.#target = Number(new URL(server.web).port);
        this.#isCut = false;
        this.#isSilent = false;
    }

    async close(): Promise<void> {
        this.#drop();
        this.#server.close();
        await once(this.#server, "close");
    }

    #drop(): void {
        for (const socket of this.#sockets) socket.destroy();
        this.#sockets.clear();
    }

    #accept(near: Socket): void {
        if (this.#isCut) {
            near.destroy();
            return;
        }
        const far = connect(this.#target, "127.0.0.1");
        // A connection that has swallowed something stays broken.
        let isDead = this.#isSilent;
        const pass = (from: Socket, to: Socket) => {
            this.#sockets.add(from);
            from.on("data", (bytes) => {
                isDead ||= this.#isSilent;
                if (!isDead) to.write(bytes);
            });
            from.on("error", () => {});
            from.on("close", () => {
                this.#sockets.delete(from);
                to.destroy();
            });
        };
        this.open += 1;
        near.on("close", () => {
            this.open -= 1;
        });
        pass(near, far);
        pass(far, near);
    }
}
