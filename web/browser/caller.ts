/**
 * A page of another site that calls the service by connect-web. The test names the calls in JSON,
 * and reads what the page was told in JSON. It judges nothing.
 */
import {
    createRegistry,
    fromJson,
    type JsonObject,
    type JsonValue,
    toJson,
} from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import {
    FaceMatch,
    type MatchUpdate,
    MatchUpdateSchema,
} from "../src/gen/facematch/v1/face_match_pb";
import { file_google_rpc_error_details } from "../src/gen/google/rpc/error_details_pb";

const DETAILS = createRegistry(file_google_rpc_error_details);

/** How long a call may take that isn't a stream. The browser must be allowed to send it. */
const TIMEOUT_MS = 60_000;

/** Where calls go, and what authorizes them. */
export interface Door {
    readonly url: string;
    readonly token: string;
}

export type Unary = Exclude<keyof typeof FaceMatch.method, Streaming>;
export type Streaming = "runMatch" | "watchMatch" | "watchMatches";

/** What a page learns from a refused call. */
export interface Refusal {
    readonly code: string;
    readonly message: string;
    /** The details, each decoded. */
    readonly details: readonly JsonValue[];
    /** The metadata of the service itself. */
    readonly metadata: Readonly<Record<string, string>>;
}

export interface Told {
    readonly messages: readonly JsonObject[];
    readonly refusal?: Refusal | undefined;
    readonly version?: string | null | undefined;
}

function clientOf({ url, token }: Door) {
    const client = createClient(FaceMatch, createGrpcWebTransport({ baseUrl: url }));
    const headers: HeadersInit = token === "" ? {} : { authorization: `Bearer ${token}` };
    return { client, headers };
}

function refusalOf(thrown: unknown): Refusal {
    const error = ConnectError.from(thrown);
    const details = error.details.map((it) => {
        if (!("type" in it)) throw new Error("the page itself made a detail");
        const any = { typeUrl: `type.googleapis.com/${it.type}`, value: it.value };
        const message = anyUnpack({ $typeName: "google.protobuf.Any", ...any }, DETAILS);
        const schema = DETAILS.getMessage(it.type);
        if (!message || !schema) throw new Error(`unknown detail ${it.type}`);
        return { type: it.type, ...(toJson(schema, message) as JsonObject) };
    });
    const own = [...error.metadata].filter(([name]) => /^(facematch|grpc-retry)-/.test(name));
    return {
        code: Code[error.code],
        message: error.rawMessage,
        details,
        metadata: Object.fromEntries(own),
    };
}

/** Makes a call that doesn't stream. */
async function ask(door: Door, name: Unary, request: JsonObject): Promise<Told> {
    const { client, headers } = clientOf(door);
    const { input, output } = FaceMatch.method[name];
    let version: string | null | undefined;
    const onHeader = (answer: Headers) => {
        version = answer.get("facematch-version");
    };
    try {
        const call = client[name] as (request: unknown, options: object) => Promise<never>;
        const options = { headers, onHeader, timeoutMs: TIMEOUT_MS };
        const message = await call(fromJson(input, request), options);
        return { messages: [toJson(output, message) as JsonObject], version };
    } catch (thrown) {
        return { messages: [], refusal: refusalOf(thrown), version };
    }
}

/** Reads a stream to its end, or until it has told so many updates. */
async function read(
    door: Door,
    name: Streaming,
    request: JsonObject,
    limit = Number.POSITIVE_INFINITY,
): Promise<Told> {
    const messages: JsonObject[] = [];
    try {
        for await (const update of open(door, name, request)) {
            if (update.event.case === "heartbeat") continue;
            messages.push(toJson(MatchUpdateSchema, update) as JsonObject);
            if (messages.length >= limit) break;
        }
        return { messages };
    } catch (thrown) {
        return { messages, refusal: refusalOf(thrown) };
    }
}

function open(door: Door, name: Streaming, request: JsonObject): AsyncIterable<MatchUpdate> {
    const { client, headers } = clientOf(door);
    const call = client[name] as (request: unknown, options: object) => AsyncIterable<MatchUpdate>;
    return call(fromJson(FaceMatch.method[name].input, request), { headers });
}

/** A match that is followed through cuts. */
export interface Followed {
    readonly sequences: number[];
    readonly cuts: string[];
    isOver: boolean;
}

const AGAIN_MS = 100;

/** Follows a match to its end, after each break from the last update on. Returns at once. */
function follow(door: Door, matchId: string): Followed {
    const followed: Followed = { sequences: [], cuts: [], isOver: false };
    const once = async () => {
        const afterSequence = String(followed.sequences.at(-1) ?? 0);
        for await (const update of open(door, "watchMatch", { matchId, afterSequence })) {
            if (update.event.case !== "heartbeat") followed.sequences.push(Number(update.sequence));
        }
        followed.isOver = true;
    };
    const retry = (thrown: unknown) => {
        followed.cuts.push(Code[ConnectError.from(thrown).code]);
        setTimeout(() => once().catch(retry), AGAIN_MS);
    };
    once().catch(retry);
    return followed;
}

export const caller = { ask, read, follow };
export type Caller = typeof caller;

Object.assign(globalThis, { caller });
