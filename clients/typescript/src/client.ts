/** The client: the verbs of FaceMatch. */
import type { DescMethodUnary, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { create } from "@bufbuild/protobuf";
import type { Subject } from "./attempts.js";
import { Attempts } from "./attempts.js";
import type { Call } from "./core.js";
import { Core, Interrupted } from "./core.js";
import { FaceMatchError } from "./errors.js";
import { Failure } from "./failure.js";
import { GrpcTransport } from "./grpc.js";
import type { Deleted, Match } from "./model.js";
import { deletedOf, matchOf } from "./model.js";
import type { CallOptions, Filter, ListFilter, MatchName, MatchRequest } from "./requests.js";
import {
    durationOf,
    encode,
    idOf,
    listRequestOf,
    matchRequestOf,
    requestIdOf,
    sequenceOf,
} from "./requests.js";
import type { OnExpired } from "./resume.js";
import { Acceptance, Following, FollowingAll, isOver } from "./resume.js";
import type { ClientOptions } from "./settings.js";
import { endpointOf, limitsOf, retryOf } from "./settings.js";
import { AllMatchesStream, MatchStream } from "./streams.js";
import type { Transport } from "./transport.js";
import type { Verdict } from "./verdict.js";
import * as wire from "./wire.js";

const { method } = wire.FaceMatch;

/** One try of CreateMatch may take so many times the limit of a read: it ends with the upload. */
const CREATE_FACTOR = 3;

/** How a stream of one match is read. */
export interface StreamOptions<Heartbeats extends boolean = false> extends CallOptions {
    /** Whether the server also sends progress, such as the bytes sent to Oz. */
    readonly progress?: boolean | undefined;
    /** Whether heartbeats are handed out, too. */
    readonly heartbeats?: Heartbeats | undefined;
}

export interface WatchOptions<Heartbeats extends boolean = false>
    extends StreamOptions<Heartbeats> {
    /** The sequence of the last update that the caller has. Default: 0, all updates. */
    readonly afterSequence?: bigint | number | undefined;
}

export interface WatchAllOptions<Heartbeats extends boolean = false> extends CallOptions, Filter {
    /**
     * Empty: only updates from now on. `earliest`: from the oldest retained update on. Otherwise a
     * stored `resumeToken`.
     */
    readonly resumeToken?: string | undefined;
    /** What an expired token does. Default: `throw`. */
    readonly onExpired?: OnExpired | undefined;
    readonly heartbeats?: Heartbeats | undefined;
}

/** The name under which a fake replaces the connections of a client. */
export const TRANSPORT = Symbol("transport");

/**
 * A client of FaceMatch. Make one and share it: it has one connection, which it opens with the first
 * call.
 *
 * All verbs repeat broken calls by themselves. Errors are subclasses of `FaceMatchError`.
 */
export class Client implements AsyncDisposable, Disposable {
    readonly #core: Core;
    readonly #address: string;

    /** `address` is `HOST:PORT`, a URL with `http://` or `https://`, or any target of gRPC. */
    constructor(address: string, options: ClientOptions & { [TRANSPORT]?: Transport } = {}) {
        const endpoint = endpointOf(address, options);
        const [retry, limits] = [retryOf(options.retry), limitsOf(options.limits)];
        const transport = options[TRANSPORT] ?? new GrpcTransport(endpoint, limits, options);
        this.#core = new Core(transport, retry, limits, options);
        this.#address = endpoint.target;
    }

    /** The server's version, as its last answer said. */
    get serverVersion(): string | undefined {
        return this.#core.serverVersion;
    }

    toString(): string {
        return `FaceMatch at ${this.#address}`;
    }

    /** Ends all calls and closes the connection. Matches go on. Closing twice is fine. */
    close(): void {
        this.#core.close();
    }

    [Symbol.dispose](): void {
        this.close();
    }

    async [Symbol.asyncDispose](): Promise<void> {
        this.close();
    }

    /**
     * Runs a match and returns its verdict: DECLINED and OPERATOR_REQUIRED are verdicts, too.
     * Throws `MatchFailedError` or `MatchCancelledError` if the match ended without one.
     */
    async match(request: MatchRequest, options: CallOptions = {}): Promise<Verdict> {
        return await this.run(request, {
            signal: options.signal,
            timeoutMs: options.timeoutMs,
        }).verdict();
    }

    /** Runs a match and streams its updates. Nothing is read or sent before the first is asked for. */
    run<Heartbeats extends boolean = false>(
        request: MatchRequest,
        options: StreamOptions<Heartbeats> = {},
    ): MatchStream<Heartbeats> {
        const requestId = requestIdOf(request);
        const includeProgress = options.progress ?? false;
        const following = Following.run(
            requestId,
            { includeProgress, heartbeats: options.heartbeats ?? false },
            () => matchRequestOf(request, requestId, includeProgress),
        );
        return new MatchStream(this.#core, options, following);
    }

    /** Starts a match and returns once a crash of the server can't lose its photo any more. */
    async create(request: MatchRequest, options: CallOptions = {}): Promise<Match> {
        const requestId = requestIdOf(request);
        const call = new Unary(this.#core, method.createMatch, options, {
            requestId,
            acceptance: new Acceptance(false),
        });
        return await call.run(async () => {
            const message = await call.wait(matchRequestOf(request, requestId, false));
            const tryLimitMs = CREATE_FACTOR * this.#core.limits.callTimeoutMs;
            return matchOf(await call.untilAnswer(message, tryLimitMs));
        });
    }

    /** Returns a match in its present state. */
    async get(name: MatchName, options: CallOptions = {}): Promise<Match> {
        const id = idOf(name);
        return matchOf(await this.#read(method.getMatch, { id }, options));
    }

    /** Waits until a match has ended, and returns it. Without `timeoutMs` it waits for ever. */
    async wait(name: MatchName, options: CallOptions = {}): Promise<Match> {
        const id = idOf(name);
        const call = new Unary(this.#core, method.waitMatch, options, {
            ...namedBy(id),
            acceptance: new Acceptance(true),
        });
        const { waitStepMs, callTimeoutMs } = this.#core.limits;
        return await call.run(async () => {
            for (;;) {
                const left = call.attempts.remainingMs() ?? waitStepMs;
                const asked = Math.max(0, Math.min(waitStepMs, left));
                const request = { id, timeout: durationOf(asked) };
                const match = await call.untilAnswer(
                    create(wire.WaitMatchRequestSchema, request),
                    asked + callTimeoutMs,
                );
                if (isOver(match)) return matchOf(match);
                call.attempts.outage.progress();
                call.attempts.checkDeadline();
            }
        });
    }

    /** Streams the updates of a match after a sequence: first the stored ones, then live ones. */
    watch<Heartbeats extends boolean = false>(
        name: MatchName,
        options: WatchOptions<Heartbeats> = {},
    ): MatchStream<Heartbeats> {
        const following = Following.watch(name, {
            afterSequence: sequenceOf(options.afterSequence),
            includeProgress: options.progress ?? false,
            heartbeats: options.heartbeats ?? false,
        });
        return new MatchStream(this.#core, options, following);
    }

    /** Streams the updates of all matches, or of those that a filter selects. */
    watchAll<Heartbeats extends boolean = false>(
        options: WatchAllOptions<Heartbeats> = {},
    ): AllMatchesStream<Heartbeats> {
        const request = create(wire.WatchMatchesRequestSchema, {
            resumeToken: options.resumeToken ?? "",
            folderId: options.folderId ?? "",
            labels: { ...options.labels },
        });
        const { onExpired = "throw", heartbeats = false } = options;
        const following = new FollowingAll(request, onExpired, heartbeats);
        return new AllMatchesStream(this.#core, options, following);
    }

    /** Lists matches, newest first. Asks for further pages while it is read. */
    async *list(options: ListFilter & CallOptions = {}): AsyncGenerator<Match, undefined> {
        const request = listRequestOf(options);
        for (;;) {
            const page = await this.#read(method.listMatches, request, options);
            for (const match of page.matches) yield matchOf(match);
            if (page.nextPageToken === "") return;
            request.pageToken = page.nextPageToken;
        }
    }

    /** Ends a match as CANCELLED. A match that is cancelled already is returned as it is. */
    async cancel(name: MatchName, options: CallOptions = {}): Promise<Match> {
        const id = idOf(name);
        return matchOf(await this.#read(method.cancelMatch, { id }, options));
    }

    /** Erases a match that has ended. */
    async delete(name: MatchName, options: CallOptions = {}): Promise<Deleted> {
        const id = idOf(name);
        const call = this.#reading(method.deleteMatch, id, options);
        return await call.run(async () => {
            try {
                const request = create(wire.DeleteMatchRequestSchema, { id });
                return deletedOf(await call.untilAnswer(request));
            } catch (error) {
                if (!(error instanceof FaceMatchError) || !call.mayHaveActed) throw error;
                if (error.reason !== "MATCH_NOT_FOUND") throw error;
                return {
                    matchId: id.case === "matchId" ? id.value : undefined,
                    deleteTime: undefined,
                    photoMediaId: undefined,
                    alreadyGone: true,
                };
            }
        });
    }

    async #read<Method extends DescMethodUnary>(
        rpc: Method,
        init: MessageInitShape<Method["input"]> & { readonly id?: Id },
        options: CallOptions,
    ): Promise<MessageShape<Method["output"]>> {
        const call = this.#reading(rpc, init.id, options);
        return await call.run(() => call.untilAnswer(create<Method["input"]>(rpc.input, init)));
    }

    #reading<Method extends DescMethodUnary>(
        rpc: Method,
        id: Id | undefined,
        options: CallOptions,
    ): Unary<Method> {
        const ownLimitMs = this.#core.limits.callTimeoutMs;
        return new Unary(this.#core, rpc, options, { ...(id && namedBy(id)), ownLimitMs });
    }
}

type Id = ReturnType<typeof idOf>;

function namedBy(id: Id): { matchId: string } | { requestId: string } {
    return id.case === "matchId" ? { matchId: id.value } : { requestId: id.value };
}

/** A unary call, with its retries. */
class Unary<Method extends DescMethodUnary> implements Subject {
    readonly attempts: Attempts;
    readonly requestId: string | undefined;
    readonly matchId: string | undefined;
    readonly #core: Core;
    readonly #rpc: Method;
    readonly #call: Call;
    readonly #acceptance: Acceptance | undefined;
    readonly #hasOwnLimit: boolean;
    #mayHaveActed = false;

    constructor(
        core: Core,
        rpc: Method,
        options: CallOptions,
        subject: {
            requestId?: string;
            matchId?: string;
            acceptance?: Acceptance;
            /** The limit of a call whose caller sets none. */
            ownLimitMs?: number;
        },
    ) {
        this.#core = core;
        this.#rpc = rpc;
        this.requestId = subject.requestId;
        this.matchId = subject.matchId;
        this.#acceptance = subject.acceptance;
        const { timeoutMs } = options;
        this.#hasOwnLimit = timeoutMs === undefined && subject.ownLimitMs !== undefined;
        this.attempts = new Attempts({
            retry: core.retry,
            onReconnect: core.onReconnect,
            subject: this,
            timeoutMs: timeoutMs ?? subject.ownLimitMs,
            hasEnd: true,
        });
        this.#call = core.begin(options.signal);
    }

    get matchContinues(): boolean | undefined {
        return this.#acceptance?.mayBe;
    }

    /** Whether the server may have acted on a try that failed. */
    get mayHaveActed(): boolean {
        return this.#mayHaveActed;
    }

    /** Runs the body of the verb, and turns an interruption into the caller's error. */
    async run<Value>(body: () => Promise<Value>): Promise<Value> {
        try {
            return await body();
        } catch (error) {
            const { interruption } = this.#call;
            if (!(error instanceof Interrupted) || interruption === undefined) throw error;
            throw this.attempts.interruptedError(interruption);
        } finally {
            this.#call.end();
        }
    }

    /** Waits for something that the call needs. */
    async wait<Value>(promise: Promise<Value>): Promise<Value> {
        return await this.#call.wait(promise);
    }

    /** Repeats the call until it is answered. A try that takes too long is repeated elsewhere. */
    async untilAnswer(
        message: MessageShape<Method["input"]>,
        tryLimitMs = Number.POSITIVE_INFINITY,
    ): Promise<MessageShape<Method["output"]>> {
        const request = encode<Method["input"]>(this.#rpc.input, message);
        for (;;) {
            if (this.#call.interruption) throw new Interrupted();
            this.attempts.checkDeadline();
            const token = await this.#call.wait(this.#core.token());
            const left = this.attempts.remainingMs() ?? Number.POSITIVE_INFINITY;
            const limitMs = Math.min(left, tryLimitMs);
            this.#acceptance?.sending();
            try {
                const isOwnLimit = this.#hasOwnLimit || tryLimitMs < left;
                const attempt = { method: this.#rpc, request, limitMs, isOwnLimit };
                const answer = await this.#core.unary(attempt, token, this.#call);
                this.#acceptance?.accepted();
                return answer;
            } catch (error) {
                if (!(error instanceof Failure)) throw error;
                const isTooSlow = error.isTimeout && tryLimitMs < left;
                await this.#recover(
                    isTooSlow ? Failure.broken("the server has not answered in time") : error,
                    token,
                );
            }
        }
    }

    async #recover(failure: Failure, token: string | undefined): Promise<void> {
        if (this.#call.interruption) throw new Interrupted();
        this.#acceptance?.failed(failure);
        const mayPass = failure.mayPass || (await this.#core.hasNewToken(failure, token));
        if (failure.mayHaveActed) this.#mayHaveActed = true;
        await this.#call.pause(this.attempts.pauseMs(failure, this.#rpc.name, mayPass));
    }
}
