/** Streams that resume by themselves: one rpc after the other, until the end. */
import { create } from "@bufbuild/protobuf";
import { Attempts } from "./attempts.js";
import type { Call, Core } from "./core.js";
import { Interrupted, TIME_IS_UP } from "./core.js";
import { CallCancelledError } from "./errors.js";
import { Failure } from "./failure.js";
import type { Handed, Match } from "./model.js";
import { matchOf, updateOf } from "./model.js";
import type { CallOptions } from "./requests.js";
import { encode, idOf } from "./requests.js";
import type { Followed, FollowingAll, NextCall } from "./resume.js";
import { Following } from "./resume.js";
import type { Incoming } from "./transport.js";
import { Verdict } from "./verdict.js";
import * as wire from "./wire.js";

/** The rpc that a stream has open. */
interface Open {
    readonly next: NextCall;
    readonly token: string | undefined;
    readonly incoming: Incoming;
    hasAnswered: boolean;
}

/** What both kinds of streams share. */
abstract class Stream<Item> implements AsyncIterableIterator<Item> {
    readonly #core: Core;
    readonly #options: CallOptions;
    readonly #followed: Followed;
    readonly #items: AsyncGenerator<Item, undefined>;
    #call: Call | undefined;
    #isLeft = false;

    constructor(core: Core, options: CallOptions, followed: Followed) {
        this.#core = core;
        this.#options = options;
        this.#followed = followed;
        this.#items = this.#read();
    }

    [Symbol.asyncIterator](): this {
        return this;
    }

    /** The next update. The first one begins the call. */
    async next(): Promise<IteratorResult<Item, undefined>> {
        return await this.#items.next();
    }

    /** Ends the stream, as leaving a loop does, also while `next` waits. A match goes on. */
    async return(): Promise<IteratorReturnResult<undefined>> {
        this.#isLeft = true;
        this.#call?.interrupt({ kind: "left" });
        await this.#items.return(undefined);
        return { done: true, value: undefined };
    }

    async [Symbol.asyncDispose](): Promise<void> {
        await this.return();
    }

    async *#read(): AsyncGenerator<Item, undefined> {
        if (this.#isLeft) return;
        const call = this.#core.begin(this.#options.signal);
        this.#call = call;
        const attempts = new Attempts({
            retry: this.#core.retry,
            onReconnect: this.#core.onReconnect,
            subject: this.#followed,
            timeoutMs: this.#options.timeoutMs,
            hasEnd: this.#followed.hasEnd,
        });
        try {
            yield* new Reading<Item>(this.#core, call, this.#followed, attempts);
        } catch (error) {
            const { interruption } = call;
            if (!(error instanceof Interrupted) || interruption === undefined) throw error;
            if (interruption.kind !== "left") throw attempts.interruptedError(interruption);
        } finally {
            call.end();
        }
    }
}

/** The reading of a stream, over all its rpcs. */
class Reading<Item> implements AsyncIterable<Item> {
    readonly #core: Core;
    readonly #call: Call;
    readonly #followed: Followed;
    readonly #attempts: Attempts;
    #open: Open | undefined;

    constructor(core: Core, call: Call, followed: Followed, attempts: Attempts) {
        this.#core = core;
        this.#call = call;
        this.#followed = followed;
        this.#attempts = attempts;
        // Also while the caller works on an update, and asks for no further one.
        call.signal.addEventListener("abort", () => this.#open?.incoming.cancel());
    }

    async *[Symbol.asyncIterator](): AsyncGenerator<Item, undefined> {
        try {
            await this.#call.wait(this.#followed.prepare());
            while (!this.#followed.hasEnded) {
                const update = await this.#next();
                if (update === undefined) return;
                yield updateOf(update) as Item;
                this.#followed.finished();
            }
        } finally {
            this.#open?.incoming.cancel();
        }
    }

    /** The next message for the caller, over as many rpcs as that takes; `undefined` at the end. */
    async #next(): Promise<wire.MatchUpdate | undefined> {
        for (;;) {
            try {
                const update = await this.#receive();
                if (update === undefined) {
                    if (await this.#isComplete()) return undefined;
                    throw Failure.broken("the stream ended before the match did");
                }
                const { isProgress, isForCaller } = this.#followed.take(update);
                if (isProgress) this.#attempts.outage.progress();
                if (isForCaller) return update;
            } catch (error) {
                if (error instanceof Interrupted) this.#open?.incoming.suspect();
                if (!(error instanceof Failure)) throw error;
                await this.#recover(error);
            }
        }
    }

    async #receive(): Promise<wire.MatchUpdate | undefined> {
        if (this.#call.interruption) throw new Interrupted();
        this.#attempts.checkDeadline();
        this.#open ??= await this.#begin();
        const open = this.#open;
        const silenceMs = this.#core.silence.limitMs(open.next.isUpload && !open.hasAnswered);
        const left = this.#attempts.remainingMs() ?? Number.POSITIVE_INFINITY;
        const update = await this.#call.wait(open.incoming.next(), Math.min(silenceMs, left));
        if (update === TIME_IS_UP) {
            if (left <= silenceMs) {
                open.incoming.suspect();
                throw this.#attempts.deadlineError();
            }
            throw Failure.broken(`the stream was silent for ${silenceMs} ms`, { isSilence: true });
        }
        if (update === undefined) return undefined;
        open.hasAnswered = true;
        this.#attempts.outage.message(performance.now());
        this.#core.silence.note(update);
        return update;
    }

    async #begin(): Promise<Open> {
        const token = await this.#call.wait(this.#core.token());
        const next = this.#followed.nextCall();
        this.#attempts.outage.opened();
        const limitMs = this.#attempts.remainingMs();
        const incoming = this.#core.stream({ ...next, limitMs, isOwnLimit: false }, token);
        return { next, token, incoming, hasAnswered: false };
    }

    /** Looks at the match, since its stream ended without an ending update. */
    async #isComplete(): Promise<boolean> {
        const followed = this.#followed;
        if (!(followed instanceof Following)) return false;
        const { callTimeoutMs } = this.#core.limits;
        const left = this.#attempts.remainingMs() ?? Number.POSITIVE_INFINITY;
        const request = create(wire.GetMatchRequestSchema, {
            id: idOf(followed.name()),
        });
        const attempt = {
            method: wire.FaceMatch.method.getMatch,
            request: encode(wire.GetMatchRequestSchema, request),
            limitMs: Math.min(callTimeoutMs, left),
            isOwnLimit: callTimeoutMs < left,
        };
        const token = await this.#call.wait(this.#core.token());
        return followed.isCompleteWith(await this.#core.unary(attempt, token, this.#call));
    }

    /** Waits before the next rpc; throws if there is none. */
    async #recover(failure: Failure): Promise<void> {
        const open = this.#open;
        this.#open = undefined;
        open?.incoming.cancel();
        if (failure.isSilence) open?.incoming.retire();
        else if (failure.isTimeout) open?.incoming.suspect();
        if (this.#call.interruption) throw new Interrupted();
        this.#followed.failed(failure);
        const goesOn =
            this.#followed.restartsAfter(failure) ||
            (await this.#core.hasNewToken(failure, open?.token)) ||
            failure.mayPass;
        const rpc = open?.next.method.name ?? "GetMatch";
        await this.#call.pause(this.#attempts.pauseMs(failure, rpc, goesOn));
    }
}

/**
 * The updates of one match, each durable one once and in order, across broken connections.
 *
 * Nothing is sent before the first update is asked for. The stream ends after the match's last
 * update, also if the match FAILED. Leaving the loop ends the stream, and the match goes on.
 */
export class MatchStream<Heartbeats extends boolean = false> extends Stream<Handed<Heartbeats>> {
    readonly #following: Following;

    /** @internal */
    constructor(core: Core, options: CallOptions, following: Following) {
        super(core, options, following);
        this.#following = following;
    }

    /**
     * The caller's id of the match, known before anything is sent. `undefined` if the stream
     * watches by `matchId`.
     */
    get requestId(): string | undefined {
        return this.#following.requestId;
    }

    /** The server's id of the match, from the first update on. */
    get matchId(): string | undefined {
        return this.#following.matchId;
    }

    /** The match as of the last durable update that was received. */
    get match(): Match | undefined {
        const match = this.#following.match;
        return match && matchOf(match);
    }

    /**
     * Reads the rest of the stream and returns the verdict. Throws `MatchFailedError` or
     * `MatchCancelledError` if there is none.
     */
    async verdict(): Promise<Verdict> {
        for await (const _ of this);
        const match = this.match;
        if (match === undefined || !this.#following.hasEnded) {
            throw new CallCancelledError("the stream was left before the match had ended");
        }
        return Verdict.of(match);
    }
}

/**
 * The updates of all matches of the caller, or of those that a filter selects, across broken
 * connections. It doesn't end by itself: leave the loop.
 *
 * To ask for the next update says that the caller is done with the one that it has: only then does
 * `resumeToken` move past it.
 */
export class AllMatchesStream<Heartbeats extends boolean = false> extends Stream<
    Handed<Heartbeats>
> {
    readonly #following: FollowingAll;

    /** @internal */
    constructor(core: Core, options: CallOptions, following: FollowingAll) {
        super(core, options, following);
        this.#following = following;
    }

    /**
     * The token after the last message that the caller is done with, heartbeats included. Store it,
     * and `watchAll({ resumeToken })` continues after a restart. Empty before the first message of
     * a stream that begins now.
     */
    get resumeToken(): string {
        return this.#following.token;
    }

    /** Says that the caller is done with the update that it has, before it asks for the next one. */
    ack(): void {
        this.#following.finished();
    }
}
