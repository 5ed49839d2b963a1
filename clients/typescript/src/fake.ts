/**
 * A FaceMatch in memory, for unit tests without a process. The client is the real one; only the
 * connection is replaced. A match ends as its folder's outcome says, at once.
 */
import { randomUUID } from "node:crypto";
import type { DescMethodUnary, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { clone, create, equals, fromBinary } from "@bufbuild/protobuf";
import { timestampNow } from "@bufbuild/protobuf/wkt";
import { status } from "@grpc/grpc-js";
import { Client, TRANSPORT } from "./client.js";
import { Failure } from "./failure.js";
import { matchReasons, reasonCodes } from "./reasons.js";
import { isOver } from "./resume.js";
import type { ClientOptions } from "./settings.js";
import type { Incoming, StreamMethod, Transport, Try } from "./transport.js";
import type { Verdict } from "./verdict.js";
import * as wire from "./wire.js";

/** How a match of the fake ends; `running`: not until `end` is called. */
export type FakeOutcome =
    | "running"
    | {
          readonly resolution: Verdict["resolution"];
          readonly minConfidence?: number;
      }
    | {
          readonly reason: string;
          readonly message?: string;
          readonly retryable?: boolean;
      };

/** A call that the fake received. */
export interface FakeCall {
    /** The name of the rpc, such as `RunMatch`. */
    readonly rpc: string;
    readonly headers: Readonly<Record<string, string>>;
    readonly request: unknown;
}

interface Entry {
    readonly request: wire.MatchRequest;
    match: wire.Match;
    updates: wire.MatchUpdate[];
}

/** Where a stream of the fake stands. */
type Source = () => wire.MatchUpdate | Failure | "end" | undefined;

export class FakeFaceMatch {
    /** All calls, oldest first. */
    readonly calls: FakeCall[] = [];
    readonly #outcomes = new Map<string, FakeOutcome>();
    readonly #refusals: Failure[] = [];
    readonly #entries: Entry[] = [];
    readonly #log: wire.MatchUpdate[] = [];
    readonly #waiting = new Set<() => void>();

    /** A client of this fake. */
    client(options: ClientOptions = {}): Client {
        return new Client("localhost:1", {
            ...options,
            [TRANSPORT]: this.#transport(),
        });
    }

    /** Says how matches in a folder end. Default: SUCCESS, with a similarity of 0.97. */
    outcome(folderId: string, outcome: FakeOutcome): void {
        this.#outcomes.set(folderId, outcome);
    }

    /** Ends a match that is running. */
    end(matchId: string, outcome: Exclude<FakeOutcome, "running">): void {
        const entry = this.#entries.find(({ match }) => match.matchId === matchId);
        if (entry === undefined) throw new Error("the fake has no such match");
        this.#end(entry, outcome);
    }

    /** Refuses the next call with a reason of the service, such as `OVERLOADED`. */
    refuseNext(reason: string, options: { message?: string; retryAfterMs?: number } = {}): void {
        this.#refusals.push(refusal(reason, options));
    }

    #transport(): Transport {
        return {
            stream: (attempt) => this.#stream(attempt),
            unary: async (attempt, signal) => await this.#unary(attempt, signal),
            close: () => {},
        };
    }

    #note(attempt: Try): void {
        const { method, headers } = attempt;
        const request = fromBinary(method.input, attempt.request);
        this.calls.push({ rpc: method.name, headers, request });
        const refused = this.#refusals.shift();
        if (refused !== undefined) throw refused;
    }

    #stream(attempt: Try<StreamMethod>): Incoming {
        try {
            this.#note(attempt);
            return this.#incoming(this.#source(attempt));
        } catch (failure) {
            if (!(failure instanceof Failure)) throw failure;
            return this.#incoming(() => failure);
        }
    }

    #source(attempt: Try<StreamMethod>): Source {
        switch (attempt.method.name) {
            case "RunMatch":
                return this.#updatesOf(
                    this.#accept(fromBinary(wire.MatchRequestSchema, attempt.request)),
                    0,
                );
            case "WatchMatch": {
                const request = fromBinary(wire.WatchMatchRequestSchema, attempt.request);
                const entry = this.#find(request.id);
                if (request.afterSequence > entry.match.sequence) throw refusal("WATCH_AHEAD");
                return this.#updatesOf(entry, Number(request.afterSequence));
            }
            default:
                return this.#allUpdates(
                    fromBinary(wire.WatchMatchesRequestSchema, attempt.request),
                );
        }
    }

    #updatesOf(entry: Entry, after: number): Source {
        let position = after;
        return () => {
            if (!this.#entries.includes(entry)) return refusal("MATCH_NOT_FOUND");
            const update = entry.updates[position];
            if (update === undefined) return isOver(entry.match) ? "end" : undefined;
            position += 1;
            return update;
        };
    }

    #allUpdates(request: wire.WatchMatchesRequest): Source {
        let position = this.#positionOf(request.resumeToken);
        let hasBegun = false;
        return () => {
            if (!hasBegun) {
                hasBegun = true;
                return heartbeat(position);
            }
            for (;;) {
                const update = this.#log[position];
                if (update === undefined) return undefined;
                position += 1;
                if (update.match && isSelected(update.match, request)) return update;
            }
        };
    }

    #positionOf(token: string): number {
        if (token === "") return this.#log.length;
        if (token === "earliest") return 0;
        const position = Number(/^fake-(\d+)$/.exec(token)?.[1] ?? Number.NaN);
        if (position <= this.#log.length) return position;
        throw refusal("TOKEN_INVALID");
    }

    #incoming(source: Source): Incoming {
        let wake: (() => void) | undefined;
        return {
            next: async () => {
                for (;;) {
                    const given = source();
                    if (given instanceof Failure) throw given;
                    if (given === "end") return undefined;
                    if (given !== undefined) return given;
                    await new Promise<void>((resolve) => {
                        wake = resolve;
                        this.#waiting.add(resolve);
                    });
                }
            },
            cancel: () => {
                if (wake !== undefined) this.#waiting.delete(wake);
            },
            retire: () => {},
            suspect: () => {},
        };
    }

    async #unary<Method extends DescMethodUnary>(
        attempt: Try<Method>,
        signal: AbortSignal,
    ): Promise<MessageShape<Method["output"]>> {
        this.#note(attempt);
        return (await this.#answer(attempt, signal)) as MessageShape<Method["output"]>;
    }

    async #answer({ method, request }: Try, signal: AbortSignal): Promise<unknown> {
        switch (method.name) {
            case "CreateMatch":
                return this.#accept(fromBinary(wire.MatchRequestSchema, request)).match;
            case "GetMatch":
                return this.#find(fromBinary(wire.GetMatchRequestSchema, request).id).match;
            case "WaitMatch":
                return await this.#wait(fromBinary(wire.WaitMatchRequestSchema, request), signal);
            case "ListMatches":
                return this.#list(fromBinary(wire.ListMatchesRequestSchema, request));
            case "CancelMatch":
                return this.#cancel(fromBinary(wire.CancelMatchRequestSchema, request).id);
            default:
                return this.#delete(fromBinary(wire.DeleteMatchRequestSchema, request).id);
        }
    }

    #accept(request: wire.MatchRequest): Entry {
        const known = this.#entries.find((it) => it.request.requestId === request.requestId);
        if (known !== undefined) {
            const repeated = { ...clone(wire.MatchRequestSchema, request) };
            repeated.includeProgress = known.request.includeProgress;
            if (equals(wire.MatchRequestSchema, known.request, repeated)) return known;
            throw refusal("REQUEST_ID_REUSED");
        }
        const entry: Entry = {
            request,
            match: create(wire.MatchSchema, {
                matchId: randomUUID(),
                requestId: request.requestId,
                folderId: request.folderId,
                labels: request.labels,
                livenessPolicy: request.livenessPolicy || wire.LivenessPolicy.REPORT,
                photoKind: request.photo?.kind || wire.PhotoKind.SELFIE,
                livenessMediaIds: request.livenessMediaIds,
                createTime: timestampNow(),
            }),
            updates: [],
        };
        this.#entries.push(entry);
        this.#run(entry);
        return entry;
    }

    #run(entry: Entry): void {
        const { ACCEPTED, UPLOADED, PROCESSING } = wire.MatchState;
        this.#update(entry, { state: ACCEPTED }, { case: "accepted", value: {} });
        const photoMediaId = randomUUID();
        this.#update(
            entry,
            { state: UPLOADED, photoMediaId },
            { case: "photoUploaded", value: { photoMediaId } },
        );
        const analysisId = randomUUID();
        this.#update(
            entry,
            { state: PROCESSING, analysisId },
            { case: "analysisStarted", value: { analysisId } },
        );
        const outcome = this.#outcomes.get(entry.request.folderId) ?? {
            resolution: "SUCCESS",
        };
        if (outcome !== "running") this.#end(entry, outcome);
    }

    #end(entry: Entry, outcome: Exclude<FakeOutcome, "running">): void {
        if (isOver(entry.match)) throw new Error("the match has ended already");
        const endTime = timestampNow();
        if ("resolution" in outcome) {
            const result = create(wire.MatchResultSchema, {
                resolution: wire.Resolution[outcome.resolution],
                minConfidence:
                    outcome.minConfidence ?? (outcome.resolution === "SUCCESS" ? 0.97 : 0.31),
            });
            const event = { case: "finished", value: { result } } as const;
            this.#update(entry, { state: wire.MatchState.FINISHED, result, endTime }, event);
            return;
        }
        if (!matchReasons.has(outcome.reason)) throw new Error("no reason of a match");
        const error = create(wire.MatchErrorSchema, {
            code: codeOf(outcome.reason),
            reason: outcome.reason,
            message: outcome.message ?? "the fake was told to fail this match",
            retryable: outcome.retryable ?? false,
        });
        const event = { case: "failed", value: { error } } as const;
        this.#update(entry, { state: wire.MatchState.FAILED, error, endTime }, event);
    }

    #update(
        entry: Entry,
        changes: MessageInitShape<typeof wire.MatchSchema>,
        event: MessageInitShape<typeof wire.MatchUpdateSchema>["event"] & object,
    ): void {
        const sequence = BigInt(entry.updates.length + 1);
        const time = timestampNow();
        entry.match = create(wire.MatchSchema, {
            ...entry.match,
            ...changes,
            sequence,
            updateTime: time,
        } as MessageInitShape<typeof wire.MatchSchema>);
        const update = create(wire.MatchUpdateSchema, {
            matchId: entry.match.matchId,
            sequence,
            time,
            match: entry.match,
            resumeToken: `fake-${this.#log.length + 1}`,
            event,
        });
        entry.updates.push(update);
        this.#log.push(update);
        this.#wake();
    }

    #find(id: wire.GetMatchRequest["id"]): Entry {
        const entry = this.#entries.find(({ match }) =>
            id.case === "matchId" ? match.matchId === id.value : match.requestId === id.value,
        );
        if (entry === undefined) throw refusal("MATCH_NOT_FOUND");
        return entry;
    }

    async #wait(request: wire.WaitMatchRequest, signal: AbortSignal): Promise<wire.Match> {
        const { seconds = 30n, nanos = 0 } = request.timeout ?? {};
        const timer = new AbortController();
        const ends = AbortSignal.any([signal, timer.signal]);
        const timeout = setTimeout(
            () => timer.abort(),
            Number(seconds) * 1_000 + nanos / 1_000_000,
        );
        try {
            for (;;) {
                const { match } = this.#find(request.id);
                if (isOver(match) || ends.aborted) return match;
                await new Promise<void>((resolve) => {
                    this.#waiting.add(resolve);
                    ends.addEventListener("abort", () => resolve(), { once: true });
                });
            }
        } finally {
            clearTimeout(timeout);
        }
    }

    #list(request: wire.ListMatchesRequest): wire.ListMatchesResponse {
        const matches = this.#entries
            .map(({ match }) => match)
            .filter((match) => isSelected(match, request))
            .filter(({ state }) => request.states.length === 0 || request.states.includes(state))
            .reverse();
        return create(wire.ListMatchesResponseSchema, { matches });
    }

    #cancel(id: wire.GetMatchRequest["id"]): wire.Match {
        const entry = this.#find(id);
        if (entry.match.state === wire.MatchState.CANCELLED) return entry.match;
        if (isOver(entry.match)) throw refusal("MATCH_ENDED");
        const changes = {
            state: wire.MatchState.CANCELLED,
            endTime: timestampNow(),
        };
        this.#update(entry, changes, { case: "cancelled", value: {} });
        return entry.match;
    }

    #delete(id: wire.GetMatchRequest["id"]): wire.DeleteMatchResponse {
        const entry = this.#find(id);
        if (!isOver(entry.match)) throw refusal("MATCH_RUNNING");
        this.#entries.splice(this.#entries.indexOf(entry), 1);
        this.#wake();
        const { matchId, photoMediaId } = entry.match;
        const deleteTime = timestampNow();
        return create(wire.DeleteMatchResponseSchema, {
            matchId,
            photoMediaId,
            deleteTime,
        });
    }

    #wake(): void {
        const waiting = [...this.#waiting];
        this.#waiting.clear();
        for (const wake of waiting) wake();
    }
}

function heartbeat(position: number): wire.MatchUpdate {
    return create(wire.MatchUpdateSchema, {
        resumeToken: `fake-${position}`,
        time: timestampNow(),
        event: { case: "heartbeat", value: {} },
    });
}

function isSelected(
    match: wire.Match,
    { folderId, labels }: { folderId: string; labels: Record<string, string> },
): boolean {
    if (folderId !== "" && folderId !== match.folderId) return false;
    return Object.entries(labels).every(([key, value]) => match.labels[key] === value);
}

function refusal(
    reason: string,
    options: { message?: string; retryAfterMs?: number } = {},
): Failure {
    return new Failure({
        code: codeOf(reason),
        message: options.message ?? `the fake refuses the call: ${reason}`,
        reason,
        retryAfterMs: options.retryAfterMs,
    });
}

function codeOf(reason: string): number {
    const code = status[(reasonCodes.get(reason) ?? "") as keyof typeof status];
    if (code === undefined) throw new Error("no reason of the service");
    return code;
}
