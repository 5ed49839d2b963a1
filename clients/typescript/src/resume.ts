/**
 * The resume algorithm: which call comes next, which messages are new, when to give up. Makes no
 * call, doesn't wait and reads no clock; streams.ts does. clients/conformance has it in words.
 */
import { create } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import { ContractError, UsageError } from "./errors.js";
import type { Failure } from "./failure.js";
import { encode, idOf, type MatchName } from "./requests.js";
import type { Limits, Retry } from "./settings.js";
import type { StreamMethod } from "./transport.js";
import * as wire from "./wire.js";

const ENDS: readonly wire.MatchState[] = [
    wire.MatchState.FINISHED,
    wire.MatchState.FAILED,
    wire.MatchState.CANCELLED,
];

/** A stream is dead after this many heartbeat intervals of silence: one heartbeat may be late. */
const SILENT_INTERVALS = 3;

/** What `watchAll` does when its token has expired: throw, or begin again and miss updates. */
export type OnExpired = "throw" | "earliest" | "now";

/** Whether a match of the server has ended, or is in a state that this version doesn't know. */
export function isOver(match: wire.Match): boolean {
    return ENDS.includes(match.state) || wire.MatchState[match.state] === undefined;
}

/** The call that a stream makes next. */
export interface NextCall {
    readonly method: StreamMethod;
    readonly request: Uint8Array;
    /** Whether the call brings a photo, so that the server has nothing to say at first. */
    readonly isUpload: boolean;
}

/** What a message means for its stream. */
export interface Taken {
    readonly isProgress: boolean;
    readonly isForCaller: boolean;
}

/** How long the streams of a client may be silent. The heartbeats of one tell for all. */
export class Silence {
    readonly #limits: Limits;
    #intervalMs: number | undefined;

    constructor(limits: Limits) {
        this.#limits = limits;
    }

    note({ event }: wire.MatchUpdate): void {
        if (event.case === "heartbeat" && event.value.interval) {
            this.#intervalMs = durationMs(event.value.interval);
        }
    }

    limitMs(isUpload: boolean): number {
        const unknown = this.#limits.silenceUnknownMs;
        if (this.#intervalMs === undefined) return unknown;
        const known = Math.max(SILENT_INTERVALS * this.#intervalMs, this.#limits.silenceLeastMs);
        return isUpload ? Math.max(known, unknown) : known;
    }
}

/** The retries of one call, and when there is none left. Times are of one monotonic clock. */
export class Outage {
    readonly #retry: Retry;
    readonly #giveUpAfterMs: number;
    readonly #random: () => number;
    #since: number | undefined;
    #firstMessage: number | undefined;
    #tries = 0;

    constructor(retry: Retry, hasEnd: boolean, random: () => number = Math.random) {
        this.#retry = retry;
        this.#giveUpAfterMs = hasEnd ? retry.giveUpAfterMs : Number.POSITIVE_INFINITY;
        this.#random = random;
    }

    /** Retries in a row without progress. */
    get tries(): number {
        return this.#tries;
    }

    /** Notes that a call begins. */
    opened(): void {
        this.#firstMessage = undefined;
    }

    /** Notes a message, new or not. */
    message(now: number): void {
        this.#firstMessage ??= now;
    }

    /** Notes something new. */
    progress(): void {
        this.#tries = 0;
        this.#since = undefined;
    }

    /** The pause before the next retry; `undefined` if there is no retry left. */
    pauseMs(failure: Failure, now: number): number | undefined {
        // A stream that worked for a while: this is no outage, but a proxy that limits calls.
        const first = this.#firstMessage;
        if (first !== undefined && now - first >= this.#retry.longestMs) this.progress();
        this.#since ??= now;
        if (this.#tries >= this.#retry.tries) return undefined;
        const pause = this.#pauseMs(failure.retryAfterMs);
        if (now + pause - this.#since > this.#giveUpAfterMs) return undefined;
        this.#tries += 1;
        return pause;
    }

    #pauseMs(asked: number | undefined): number {
        // Never earlier than asked, and not all callers at once.
        if (asked !== undefined) return asked * (1 + this.#random() / 2);
        const longest = Math.min(this.#retry.longestMs, this.#retry.firstMs * 2 ** this.#tries);
        return longest * this.#random();
    }
}

/** Whether the server may have accepted a match, as far as its client can know. */
export class Acceptance {
    #accepted: boolean;
    #isSent = false;

    constructor(accepted: boolean) {
        this.#accepted = accepted;
    }

    get mayBe(): boolean {
        return this.#accepted || this.#isSent;
    }

    /** Notes that the request is sent. From here on the match may be accepted. */
    sending(): void {
        this.#isSent = true;
    }

    /** Notes that the server has answered with the match. */
    accepted(): void {
        this.#accepted = true;
    }

    /** Notes how a try failed. */
    failed(failure: Failure): void {
        if (this.#isSent && failure.mayHaveActed) this.#accepted = true;
        this.#isSent = false;
    }
}

/** What both kinds of streams follow, across calls. */
export interface Followed {
    readonly requestId: string | undefined;
    readonly matchId: string | undefined;
    readonly matchContinues: boolean | undefined;
    /** Whether the stream ends by itself. */
    readonly hasEnd: boolean;
    /** Whether the last update was an end. */
    readonly hasEnded: boolean;
    /** Makes the request ready, once, before the first call. */
    prepare(): Promise<void>;
    nextCall(): NextCall;
    take(update: wire.MatchUpdate): Taken;
    /** Notes that the caller is done with the update that it has. */
    finished(): void;
    failed(failure: Failure): void;
    /** Whether the stream goes on after a failure that would end others, by the caller's policy. */
    restartsAfter(failure: Failure): boolean;
}

/** Follows one match. */
export class Following implements Followed {
    readonly hasEnd = true;
    readonly requestId: string | undefined;
    readonly #includeProgress: boolean;
    readonly #heartbeats: boolean;
    readonly #acceptance: Acceptance;
    readonly #load: (() => Promise<wire.MatchRequest>) | undefined;
    /** The request of RunMatch, until the photo is at Oz. */
    #run: Uint8Array | undefined;
    #seen: bigint;
    #matchId: string | undefined;
    #match: wire.Match | undefined;
    #hasEnded = false;

    private constructor(start: {
        load?: () => Promise<wire.MatchRequest>;
        seen: bigint;
        requestId: string | undefined;
        matchId: string | undefined;
        includeProgress: boolean;
        heartbeats: boolean;
    }) {
        this.#load = start.load;
        this.#acceptance = new Acceptance(start.load === undefined);
        this.#seen = start.seen;
        this.requestId = start.requestId;
        this.#matchId = start.matchId;
        this.#includeProgress = start.includeProgress;
        this.#heartbeats = start.heartbeats;
    }

    /** Runs a match, whose request is loaded before the first call. */
    static run(
        requestId: string,
        options: { includeProgress: boolean; heartbeats: boolean },
        load: () => Promise<wire.MatchRequest>,
    ): Following {
        return new Following({ load, seen: 0n, requestId, matchId: undefined, ...options });
    }

    /** Watches a match after a sequence. */
    static watch(
        name: MatchName,
        options: {
            afterSequence: bigint;
            includeProgress: boolean;
            heartbeats: boolean;
        },
    ): Following {
        const id = idOf(name);
        return new Following({
            seen: options.afterSequence,
            requestId: id.case === "requestId" ? id.value : undefined,
            matchId: id.case === "matchId" ? id.value : undefined,
            includeProgress: options.includeProgress,
            heartbeats: options.heartbeats,
        });
    }

    get matchId(): string | undefined {
        return this.#matchId;
    }

    /** The match as of the last durable update. */
    get match(): wire.Match | undefined {
        return this.#match;
    }

    get hasEnded(): boolean {
        return this.#hasEnded;
    }

    get matchContinues(): boolean {
        return !this.#hasEnded && this.#acceptance.mayBe;
    }

    async prepare(): Promise<void> {
        if (this.#load !== undefined)
            this.#run = encode(wire.MatchRequestSchema, await this.#load());
    }

    nextCall(): NextCall {
        if (this.#run !== undefined) {
            this.#acceptance.sending();
            return {
                method: wire.FaceMatch.method.runMatch,
                request: this.#run,
                isUpload: true,
            };
        }
        const request = create(wire.WatchMatchRequestSchema, {
            id: idOf(this.name()),
            afterSequence: this.#seen,
            includeProgress: this.#includeProgress,
        });
        return {
            method: wire.FaceMatch.method.watchMatch,
            request: encode(wire.WatchMatchRequestSchema, request),
            isUpload: false,
        };
    }

    /** The best known name of the match. */
    name(): MatchName {
        if (this.#matchId !== undefined) return { matchId: this.#matchId };
        return { requestId: this.requestId ?? "" };
    }

    take(update: wire.MatchUpdate): Taken {
        this.#acceptance.accepted();
        const event = update.event.case;
        if (event === "progress") return { isProgress: false, isForCaller: true };
        if (event === "heartbeat") return { isProgress: false, isForCaller: this.#heartbeats };
        this.#followId(update.matchId);
        if (update.sequence <= this.#seen) return { isProgress: false, isForCaller: false };
        if (update.sequence !== this.#seen + 1n) throw this.#gap(update.sequence);
        this.#seen = update.sequence;
        if (update.match) this.#note(update.match);
        return { isProgress: true, isForCaller: true };
    }

    finished(): void {
        // A match is followed by its sequence, not by a token.
    }

    failed(failure: Failure): void {
        this.#acceptance.failed(failure);
    }

    restartsAfter(): boolean {
        return false;
    }

    /** Whether a stream that ended before an ending update was complete, by a look at the match. */
    isCompleteWith(match: wire.Match): boolean {
        if (!isOver(match)) return false;
        if (ENDS.includes(match.state) && match.sequence !== this.#seen) return false;
        this.#matchId = match.matchId || this.#matchId;
        this.#match = match;
        this.#hasEnded = true;
        return true;
    }

    #followId(matchId: string): void {
        if (matchId === "" || matchId === this.#matchId) return;
        // The store was lost, and the repeated request made a new match.
        if (this.#matchId !== undefined && this.#run !== undefined) this.#seen = 0n;
        this.#matchId = matchId;
    }

    #note(match: wire.Match): void {
        this.#match = match;
        // The photo isn't needed any more.
        if (match.photoMediaId !== "") this.#run = undefined;
        this.#hasEnded = ENDS.includes(match.state);
    }

    #gap(sequence: bigint): ContractError {
        return new ContractError(`update ${sequence} came after update ${this.#seen}`, {
            requestId: this.requestId,
            matchId: this.#matchId,
            matchContinues: true,
        });
    }
}

/** Follows all matches that a filter selects. */
export class FollowingAll implements Followed {
    readonly hasEnd = false;
    readonly hasEnded = false;
    readonly requestId = undefined;
    readonly matchId = undefined;
    readonly matchContinues = undefined;
    readonly #request: wire.WatchMatchesRequest;
    readonly #onExpired: OnExpired;
    readonly #heartbeats: boolean;
    #token: string;
    /** The token of the update that the caller has, until it is done with it. */
    #pending: string | undefined;
    #latest: string;

    constructor(request: wire.WatchMatchesRequest, onExpired: OnExpired, heartbeats: boolean) {
        if (!["throw", "earliest", "now"].includes(onExpired)) {
            throw new UsageError("onExpired is throw, earliest or now");
        }
        this.#request = request;
        this.#onExpired = onExpired;
        this.#heartbeats = heartbeats;
        this.#token = request.resumeToken;
        this.#latest = request.resumeToken;
    }

    /** The token of the last message that the caller has finished with. */
    get token(): string {
        return this.#token;
    }

    async prepare(): Promise<void> {
        // The request is there already.
    }

    nextCall(): NextCall {
        const request = create(wire.WatchMatchesRequestSchema, {
            ...this.#request,
            resumeToken: this.#token,
        });
        return {
            method: wire.FaceMatch.method.watchMatches,
            request: encode(wire.WatchMatchesRequestSchema, request),
            isUpload: false,
        };
    }

    take(update: wire.MatchUpdate): Taken {
        const token = update.resumeToken;
        const isProgress = token !== "" && token !== this.#latest;
        if (token !== "") this.#latest = token;
        const event = update.event.case;
        const isForCaller = event === "heartbeat" ? this.#heartbeats : event !== "progress";
        if (token !== "" && isForCaller) this.#pending = token;
        else if (token !== "") this.#token = token;
        return { isProgress, isForCaller };
    }

    finished(): void {
        this.#token = this.#pending ?? this.#token;
        this.#pending = undefined;
    }

    failed(): void {
        // No match is accepted here.
    }

    restartsAfter(failure: Failure): boolean {
        if (failure.reason !== "TOKEN_EXPIRED" || this.#onExpired === "throw") return false;
        this.#token = this.#onExpired === "earliest" ? "earliest" : "";
        return true;
    }
}
