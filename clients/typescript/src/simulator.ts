/**
 * The control API of the simulated Oz. Keys and words are the simulator's own, as docs/simulator.md
 * of the server has them.
 */

/** A person in the simulator's sample pictures. */
export type Person = "portrait" | "stranger";

/** How an analysis ends. */
export interface Outcome {
    readonly resolution?: string;
    readonly state?: string;
    readonly min_confidence?: number;
    readonly max_confidence?: number;
    readonly confidence_spoofing?: number;
    /** How long the analysis takes. */
    readonly processing_ms?: number;
    readonly error_message?: string;
    readonly [key: string]: unknown;
}

/** What a folder holds, and how its analyses end. */
export interface FolderOptions {
    readonly person?: Person;
    readonly kind?: "shot_set" | "video" | "none";
    /** How every face matching in this folder ends. Default: by the pictures. */
    readonly verdict?: Outcome;
    /** How every liveness check ends. Default: SUCCESS. */
    readonly quality?: Outcome;
    readonly [key: string]: unknown;
}

/** Which requests a rule is about, and what happens to them. */
export interface Rule {
    readonly match?: {
        readonly endpoint?: string;
        readonly folder?: string;
        readonly nth?: number;
        readonly times?: number;
        readonly [key: string]: unknown;
    };
    readonly then: {
        readonly status?: number;
        readonly delay_ms?: number;
        readonly drop_before_acting?: boolean;
        readonly drop_after_acting?: boolean;
        readonly never_answer?: boolean;
        readonly outcome?: Outcome;
        readonly [key: string]: unknown;
    };
}

/** A request that the simulator received. */
export interface RecordedRequest {
    readonly n: number;
    readonly method: string;
    readonly path: string;
    readonly endpoint: string;
    readonly folder: string | null;
    readonly [key: string]: unknown;
}

/** The simulated Oz of a test server. */
export class Simulator {
    /** The base URL of Oz's API and of the control API below `/sim`. */
    readonly url: string;

    constructor(url: string) {
        this.url = url;
    }

    /** Makes a folder, and returns its id. A folder takes 10 media: make one for each test. */
    async folder(options: FolderOptions = {}): Promise<string> {
        const folder = await this.#ask<{ folder_id: string }>("POST", "/sim/folders", options);
        return folder.folder_id;
    }

    /** A sample photo. */
    async photo(person: Person = "portrait"): Promise<Uint8Array> {
        const response = await this.#fetch("GET", `/sim/samples/${person}.jpg`);
        return new Uint8Array(await response.arrayBuffer());
    }

    /** Changes switches for all folders, such as `{ processing_ms: 2_000 }`. */
    async switches(changes: Readonly<Record<string, unknown>>): Promise<void> {
        await this.#fetch("PATCH", "/sim/switches", changes);
    }

    /** Adds a rule, or replaces that of the same name. */
    async rule(name: string, rule: Rule): Promise<void> {
        await this.#fetch("PUT", `/sim/rules/${encodeURIComponent(name)}`, rule);
    }

    async removeRule(name: string): Promise<void> {
        await this.#fetch("DELETE", `/sim/rules/${encodeURIComponent(name)}`);
    }

    /** The first 1,000 requests that were received, of one folder or endpoint if it is named. */
    async record(filter: { folder?: string; endpoint?: string } = {}): Promise<RecordedRequest[]> {
        const query = new URLSearchParams({ limit: "1000", ...filter });
        const page = await this.#ask<{ items: RecordedRequest[] }>("GET", `/sim/record?${query}`);
        return page.items;
    }

    /** Moves the simulator's clock forward: analyses that are due end. */
    async skip(milliseconds: number): Promise<void> {
        await this.#fetch("POST", "/sim/clock", { skip_ms: milliseconds });
    }

    async #ask<Answer>(method: string, path: string, body?: unknown): Promise<Answer> {
        const response = await this.#fetch(method, path, body);
        return (await response.json()) as Answer;
    }

    async #fetch(method: string, path: string, body?: unknown): Promise<Response> {
        const response = await fetch(this.url + path, {
            method,
            ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        });
        if (response.ok) return response;
        throw new Error(`the simulator refused ${method} ${path}: ${await response.text()}`);
    }
}
