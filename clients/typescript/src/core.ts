/** What the calls of a client share: its connections, its token, and the end of all of them. */
import type { DescMethodUnary, MessageShape } from "@bufbuild/protobuf";
import type { Interruption } from "./attempts.js";
import { UsageError } from "./errors.js";
import type { Failure } from "./failure.js";
import { Silence } from "./resume.js";
import type { ClientOptions, Limits, Reconnect, Retry } from "./settings.js";
import type { Incoming, StreamMethod, Transport, Try } from "./transport.js";

/** The longest time that Node's timers can wait. */
const TIMER_MAX_MS = 2 ** 31 - 1;

export const TIME_IS_UP = Symbol("time is up");

export class Core {
    readonly retry: Retry;
    readonly limits: Limits;
    readonly silence: Silence;
    readonly onReconnect: ((reconnect: Reconnect) => void) | undefined;
    readonly #transport: Transport;
    readonly #headers: Readonly<Record<string, string>>;
    readonly #token: ClientOptions["token"];
    readonly #calls = new Set<Call>();
    #isClosed = false;
    #serverVersion: string | undefined;

    constructor(transport: Transport, retry: Retry, limits: Limits, options: ClientOptions) {
        this.#transport = transport;
        this.retry = retry;
        this.limits = limits;
        this.silence = new Silence(limits);
        this.onReconnect = options.onReconnect;
        this.#headers = { ...options.headers };
        this.#token = options.token;
        if (typeof options.token === "string") checked(options.token);
    }

    get serverVersion(): string | undefined {
        return this.#serverVersion;
    }

    close(): void {
        this.#isClosed = true;
        for (const call of [...this.#calls]) call.interrupt({ kind: "closed" });
        this.#transport.close();
    }

    /** Begins a call, which ends early with the caller's signal and with the client. */
    begin(signal: AbortSignal | undefined): Call {
        const call = new Call(signal, () => this.#calls.delete(call));
        this.#calls.add(call);
        if (this.#isClosed) call.interrupt({ kind: "closed" });
        return call;
    }

    /** The present token; `undefined` without one. */
    async token(): Promise<string | undefined> {
        if (typeof this.#token !== "function") {
            return this.#token === undefined ? undefined : checked(this.#token);
        }
        let given: unknown;
        try {
            given = await this.#token();
        } catch (cause) {
            throw new UsageError("the function that gives the token failed", {
                cause,
            });
        }
        return checked(given);
    }

    /** Whether a call that was refused with an expired token has another one now. */
    async hasNewToken(failure: Failure, refused: string | undefined): Promise<boolean> {
        if (failure.reason !== "CREDENTIAL_EXPIRED" || typeof this.#token !== "function") {
            return false;
        }
        return (await this.token()) !== refused;
    }

    stream(
        attempt: Omit<Try<StreamMethod>, "headers" | "onVersion">,
        token: string | undefined,
    ): Incoming {
        return this.#transport.stream({ ...attempt, ...this.#common(token) });
    }

    /** One try of a unary call. Rejects with a `Failure`. */
    async unary<Method extends DescMethodUnary>(
        attempt: Omit<Try<Method>, "headers" | "onVersion">,
        token: string | undefined,
        call: Call,
    ): Promise<MessageShape<Method["output"]>> {
        const answer = this.#transport.unary({ ...attempt, ...this.#common(token) }, call.signal);
        return await call.wait(answer);
    }

    #common(token: string | undefined): Pick<Try, "headers" | "onVersion"> {
        const bearer = token === undefined ? {} : { authorization: `Bearer ${token}` };
        return {
            headers: { ...this.#headers, ...bearer },
            onVersion: (version) => {
                this.#serverVersion = version;
            },
        };
    }
}

/** One call of a verb, as far as it can be ended by the caller or by the client's end. */
export class Call {
    readonly #controller = new AbortController();
    readonly #callers: AbortSignal | undefined;
    readonly #onEnd: () => void;
    #interruption: Interruption | undefined;

    constructor(callers: AbortSignal | undefined, onEnd: () => void) {
        this.#callers = callers;
        this.#onEnd = onEnd;
        callers?.addEventListener("abort", this.#onAbort);
        if (callers?.aborted) this.#onAbort();
    }

    /** Aborted when the call is interrupted. */
    get signal(): AbortSignal {
        return this.#controller.signal;
    }

    get interruption(): Interruption | undefined {
        return this.#interruption;
    }

    interrupt(interruption: Interruption): void {
        if (this.#interruption !== undefined) return;
        this.#interruption = interruption;
        this.#controller.abort();
    }

    /** Forgets the caller's signal. */
    end(): void {
        this.#callers?.removeEventListener("abort", this.#onAbort);
        this.#onEnd();
    }

    /**
     * Settles like the promise, but with `TIME_IS_UP` if that takes longer than the limit, and
     * rejects with `Interrupted` if the call is interrupted before.
     */
    wait<Value>(promise: Promise<Value>): Promise<Value>;
    wait<Value>(promise: Promise<Value>, limitMs: number): Promise<Value | typeof TIME_IS_UP>;
    wait<Value>(promise: Promise<Value>, limitMs?: number): Promise<Value | typeof TIME_IS_UP> {
        return new Promise((resolve, reject) => {
            const settle = <Given>(how: (given: Given) => void) => {
                return (given: Given) => {
                    clearTimeout(timer);
                    this.signal.removeEventListener("abort", interrupted);
                    how(given);
                };
            };
            const interrupted = settle(() => reject(new Interrupted()));
            const timer =
                limitMs === undefined
                    ? undefined
                    : setTimeout(settle(resolve), Math.min(limitMs, TIMER_MAX_MS), TIME_IS_UP);
            promise.then(settle(resolve), settle(reject));
            this.signal.addEventListener("abort", interrupted);
            if (this.signal.aborted) interrupted(undefined);
        });
    }

    /** Waits for so long; rejects with `Interrupted` if the call is interrupted before. */
    async pause(milliseconds: number): Promise<void> {
        await this.wait(new Promise<never>(() => {}), milliseconds);
    }

    readonly #onAbort = () => this.interrupt({ kind: "signal", reason: this.#callers?.reason });
}

/** Thrown where a call waits, when it is interrupted; the verb throws the error of the caller. */
export class Interrupted extends Error {}

/** A token without the line break at its end. Errors don't quote it. */
function checked(token: unknown): string {
    if (typeof token !== "string") throw new UsageError("a token is a string");
    const word = token.trim();
    if (!/^[\x21-\x7e]+$/.test(word)) {
        throw new UsageError("a token is a word of printable ASCII characters");
    }
    return word;
}
