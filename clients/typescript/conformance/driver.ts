/** The driver of the conformance suite, whose README has the protocol. */
import { createReadStream, readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { inspect } from "node:util";
import * as facematch from "@facematch/client";

/** A line of JSON whose keys the suite has checked. */
// biome-ignore lint/suspicious/noExplicitAny: what a line holds is checked by what it is used for
type Json = any;

const OPTIONS = new Set([
    ...["tls", "token", "token_file", "allow_plaintext_token", "headers"],
    ...["backoff_first_ms", "backoff_longest_ms", "give_up_after_ms", "give_up_tries"],
    ...["silence_least_ms", "silence_unknown_ms", "call_timeout_ms", "wait_step_ms"],
    ...["receive_bytes_max", "send_bytes_max"],
]);
const COMMAND_KEYS = new Set(["do", "call", "client", "verb", "deadline_ms"]);
const ID_KEYS = ["id"];
const STREAM_KEYS = ["pause_after", "stop_after"];
const VERB_KEYS: Record<string, readonly string[]> = {
    match: ["request"],
    run: ["request", "heartbeats", ...STREAM_KEYS],
    create: ["request"],
    get: ID_KEYS,
    wait: ID_KEYS,
    watch: ["id", "after_sequence", "include_progress", "heartbeats", ...STREAM_KEYS],
    watch_all: ["resume_token", "folder_id", "labels", "on_expired", "heartbeats", ...STREAM_KEYS],
    list: ["folder_id", "labels", "states", "page_size", ...STREAM_KEYS],
    cancel: ID_KEYS,
    delete: ID_KEYS,
};

const reasons: string[] = JSON.parse(readFileSync("clients/reasons.json", "utf8")).reasons.map(
    (entry: Json) => entry.reason,
);
const clients = new Map<string, facematch.Client>();
const calls = new Map<string, Call>();

/** A call, as far as later commands control it. */
class Call {
    readonly abort = new AbortController();
    #go: (() => void) | undefined;

    constructor(
        readonly name: string,
        readonly command: Json,
        readonly client: facematch.Client,
    ) {}

    print(event: string, line: Json): void {
        print({ event, call: this.name, ...line });
    }

    go(): void {
        this.#go?.();
    }

    /** Waits for the command "go", if the call pauses after so many lines. */
    async pauseAfter(lines: number, token?: string): Promise<void> {
        if (!this.command.pause_after?.includes(lines)) return;
        const go = new Promise<void>((resolve) => {
            this.#go = resolve;
            this.abort.signal.addEventListener("abort", () => resolve());
        });
        this.print("paused", { resume_token: token });
        await go;
    }

    get options(): facematch.CallOptions {
        return { signal: this.abort.signal, timeoutMs: this.command.deadline_ms };
    }
}

function print(line: Json): void {
    process.stdout.write(`${JSON.stringify(line)}\n`);
}

function open(command: Json): void {
    const options = command.options ?? {};
    const unknown = Object.keys(options).find((key) => !OPTIONS.has(key));
    if (unknown !== undefined) {
        print({ event: "unsupported", client: command.client, what: unknown });
        return;
    }
    try {
        const client = new facematch.Client(command.target, clientOptions(command.client, options));
        clients.set(command.client, client);
        print({ event: "opened", client: command.client, text: shown(client) });
    } catch (error) {
        print({ event: "error", client: command.client, ...errorLine(error) });
    }
}

function clientOptions(name: string, given: Json): facematch.ClientOptions {
    const { tls, token_file: tokenFile } = given;
    return {
        plaintext: tls ? undefined : true,
        tls: tls && {
            ca: file(tls.ca_file),
            cert: file(tls.cert_file),
            key: file(tls.key_file),
            serverName: tls.server_name,
        },
        token: tokenFile ? () => readFile(tokenFile, "utf8") : given.token,
        allowPlaintextToken: given.allow_plaintext_token,
        headers: given.headers,
        retry: {
            firstMs: given.backoff_first_ms,
            longestMs: given.backoff_longest_ms,
            giveUpAfterMs: given.give_up_after_ms,
            tries: given.give_up_tries,
        },
        limits: {
            callTimeoutMs: given.call_timeout_ms,
            waitStepMs: given.wait_step_ms,
            silenceLeastMs: given.silence_least_ms,
            silenceUnknownMs: given.silence_unknown_ms,
            receiveBytes: given.receive_bytes_max,
            sendBytes: given.send_bytes_max,
        },
        onReconnect: ({ attempt, error, waitMs }) =>
            print({
                event: "reconnect",
                client: name,
                attempt,
                code: error.code,
                reason: error.reason,
                wait_ms: waitMs,
            }),
    };
}

function file(path: string | undefined): facematch.Pem | undefined {
    return path === undefined ? undefined : { file: path };
}

async function start(command: Json): Promise<void> {
    const { call: name, verb } = command;
    const keys = VERB_KEYS[verb];
    const unknown = Object.keys(command).find(
        (key) => !COMMAND_KEYS.has(key) && !keys?.includes(key),
    );
    const client = clients.get(command.client);
    if (keys === undefined || unknown !== undefined || client === undefined) {
        print({ event: "unsupported", call: name, what: unknown ?? verb });
        return;
    }
    const call = new Call(name, command, client);
    calls.set(name, call);
    try {
        call.print("result", await run(call, verb));
    } catch (error) {
        call.print("error", errorLine(error));
    } finally {
        calls.delete(name);
    }
}

async function run(call: Call, verb: string): Promise<Json> {
    const { client, command, options } = call;
    switch (verb) {
        case "match":
            return verdictLine(await client.match(requestOf(command.request), options));
        case "run":
            return await followRun(call);
        case "create":
            return matchLine(await client.create(requestOf(command.request), options));
        case "get":
            return matchLine(await client.get(nameOf(command.id), options));
        case "wait":
            return matchLine(await client.wait(nameOf(command.id), options));
        case "watch":
            return await followWatch(call);
        case "watch_all":
            return await followAll(call);
        case "list":
            return await list(call);
        case "cancel":
            return matchLine(await client.cancel(nameOf(command.id), options));
        default:
            return deletedLine(await client.delete(nameOf(command.id), options));
    }
}

async function followRun(call: Call): Promise<Json> {
    const { command } = call;
    const stream = call.client.run(requestOf(command.request), {
        ...call.options,
        progress: command.request.include_progress,
        heartbeats: command.heartbeats === true,
    });
    call.print("request_id", { request_id: stream.requestId });
    return await follow(call, stream);
}

async function followWatch(call: Call): Promise<Json> {
    const { command } = call;
    const stream = call.client.watch(nameOf(command.id), {
        ...call.options,
        afterSequence: command.after_sequence,
        progress: command.include_progress,
        heartbeats: command.heartbeats === true,
    });
    return await follow(call, stream);
}

async function follow(call: Call, stream: facematch.MatchStream<boolean>): Promise<Json> {
    const stopped = await printUpdates(call, stream);
    const match = stream.match;
    return {
        stopped,
        state: match && String(match.state),
        resolution: resolutionOf(match),
    };
}

async function followAll(call: Call): Promise<Json> {
    const { command } = call;
    const stream = call.client.watchAll({
        ...call.options,
        resumeToken: command.resume_token,
        folderId: command.folder_id,
        labels: command.labels,
        onExpired: command.on_expired === "raise" ? "throw" : command.on_expired,
        heartbeats: command.heartbeats === true,
    });
    const stopped = await printUpdates(call, stream);
    // The driver is done with the update that it has printed last.
    stream.ack();
    return { stopped, resume_token: stream.resumeToken };
}

/** Prints updates one by one. Returns true if the driver has left the stream. */
async function printUpdates(
    call: Call,
    stream: facematch.MatchStream<boolean> | facematch.AllMatchesStream<boolean>,
): Promise<true | undefined> {
    const token = () => ("resumeToken" in stream ? stream.resumeToken : undefined);
    let lines = 0;
    await call.pauseAfter(lines, token());
    for await (const update of stream) {
        call.print("update", updateLine(update));
        lines += 1;
        if (lines === call.command.stop_after) return true;
        await call.pauseAfter(lines, token());
    }
    return undefined;
}

async function list(call: Call): Promise<Json> {
    const { command } = call;
    const matches = call.client.list({
        ...call.options,
        folderId: command.folder_id,
        labels: command.labels,
        states: command.states,
        pageSize: command.page_size,
    });
    let lines = 0;
    await call.pauseAfter(lines);
    for await (const { matchId, requestId, state } of matches) {
        call.print("item", {
            match_id: matchId,
            request_id: requestId,
            state: String(state),
        });
        lines += 1;
        if (lines === command.stop_after) return { stopped: true };
        await call.pauseAfter(lines);
    }
    return {};
}

function nameOf(id: Json): facematch.MatchName {
    return id.match_id !== undefined ? { matchId: id.match_id } : { requestId: id.request_id };
}

function requestOf(given: Json): facematch.MatchRequest {
    return {
        folderId: given.folder_id,
        photo: photoOf(given.photo),
        photoKind: given.kind?.toUpperCase(),
        requestId: given.request_id,
        matchTimeoutMs: given.timeout_ms,
        livenessPolicy: given.liveness_policy?.toUpperCase(),
        livenessMediaIds: given.liveness_media_ids,
        labels: given.labels,
    };
}

function photoOf(given: Json): facematch.Photo {
    if (given.reference_key !== undefined) return { referenceKey: given.reference_key };
    if (given.folder_media_id !== undefined) return { folderMediaId: given.folder_media_id };
    if (given.as === "stream") return createReadStream(given.path);
    return given.as === "path" ? given.path : readFileSync(given.path);
}

function resolutionOf(match: facematch.Match | undefined): string | undefined {
    return match?.result && String(match.result.resolution);
}

function updateLine(update: facematch.Update | facematch.Heartbeat): Json {
    return {
        sequence: Number(update.sequence),
        match_id: update.matchId,
        resume_token: update.resumeToken,
        kind: update.kind,
        state: update.match && String(update.match.state),
        resolution: resolutionOf(update.match),
        cause: update.kind === "attempt_failed" ? update.cause : undefined,
    };
}

function verdictLine(verdict: facematch.Verdict): Json {
    return {
        resolution: verdict.resolution,
        same_person: verdict.samePerson,
        match_id: verdict.matchId,
        request_id: verdict.requestId,
        min_confidence: verdict.minConfidence,
    };
}

function matchLine(match: facematch.Match): Json {
    return {
        match_id: match.matchId,
        request_id: match.requestId,
        state: String(match.state),
        sequence: Number(match.sequence),
        resolution: resolutionOf(match),
        error_reason: match.error?.reason,
        folder_id: match.folderId,
    };
}

function deletedLine(deleted: facematch.Deleted): Json {
    return {
        match_id: deleted.matchId,
        photo_media_id: deleted.photoMediaId,
        already_gone: deleted.alreadyGone || undefined,
    };
}

function errorLine(error: unknown): Json {
    if (!(error instanceof facematch.FaceMatchError)) {
        return { kind: "not of the library", is: [], text: shown(error) };
    }
    return {
        kind: kindOf(error),
        code: error.code,
        reason: error.reason,
        message: error.message,
        metadata: error.metadata,
        is: reasons.filter((reason) => error instanceof classOf(reason)),
        retryable: error instanceof facematch.MatchFailedError ? error.retryable : undefined,
        retry_after_ms: error.retryAfterMs,
        violations: error.fieldViolations.map((violation) => violation.field),
        request_id: error.requestId,
        match_id: error.matchId,
        match_continues: error.matchContinues,
        text: shown(error),
    };
}

function kindOf(error: facematch.FaceMatchError): string {
    if (error instanceof facematch.MatchFailedError) return "failed";
    if (error instanceof facematch.MatchCancelledError) return "match_cancelled";
    if (error instanceof facematch.DeadlineError) return "deadline";
    if (error instanceof facematch.CallCancelledError) return "cancelled";
    if (error instanceof facematch.GaveUpError) return "gave_up";
    if (error instanceof facematch.ContractError) return "contract";
    if (error instanceof facematch.UsageError) return "usage";
    return "refused";
}

/** The class of a reason, by the rule of its name. */
function classOf(reason: string): new () => Error {
    const words = reason.toLowerCase().split("_");
    const name = words.map((word) => `${word[0]?.toUpperCase()}${word.slice(1)}`).join("");
    return (facematch as Json)[`${name}Error`];
}

/** All that a program may log of a value. */
function shown(value: unknown): string {
    const texts = [String(value), inspect(value, { depth: 10, showHidden: true })];
    if (value instanceof Error) texts.push(value.stack ?? "", value.message);
    texts.push(JSON.stringify(value) ?? "");
    return texts.join("\n");
}

function close(command: Json): void {
    const client = clients.get(command.client);
    client?.close();
    clients.delete(command.client);
    print({
        event: "closed",
        client: command.client,
        server_version: client?.serverVersion,
    });
}

function act(command: Json): void {
    switch (command.do) {
        case "open":
            open(command);
            break;
        case "call":
            void start(command);
            break;
        case "go":
            calls.get(command.call)?.go();
            break;
        case "cancel":
            calls.get(command.call)?.abort.abort();
            break;
        case "close":
            close(command);
            break;
        default:
            print({ event: "unsupported", ...command, what: command.do });
    }
}

const version: string = JSON.parse(
    readFileSync(new URL("../../package.json", import.meta.url), "utf8"),
).version;
print({ event: "ready", protocol: 1, library: version, features: [] });
for await (const line of createInterface({ input: process.stdin })) act(JSON.parse(line));
for (const client of clients.values()) client.close();
