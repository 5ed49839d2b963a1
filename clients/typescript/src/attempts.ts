/** What one call of a verb knows, over all its retries: its deadline, its outage, how it fails. */
import { status } from "@grpc/grpc-js";
import type { ErrorParts, FaceMatchError } from "./errors.js";
import { CallCancelledError, DeadlineError, GaveUpError } from "./errors.js";
import type { Failure } from "./failure.js";
import { Outage } from "./resume.js";
import type { Reconnect, Retry } from "./settings.js";

/** The match that a call is about, as far as it is about one. */
export interface Subject {
    readonly requestId: string | undefined;
    readonly matchId: string | undefined;
    readonly matchContinues: boolean | undefined;
}

/** Why a call is ended from the caller's side. */
export type Interruption =
    | { readonly kind: "closed" }
    | { readonly kind: "left" }
    | { readonly kind: "signal"; readonly reason: unknown };

export class Attempts {
    readonly outage: Outage;
    readonly #subject: Subject;
    readonly #onReconnect: ((reconnect: Reconnect) => void) | undefined;
    readonly #deadline: number | undefined;

    constructor(options: {
        retry: Retry;
        onReconnect: ((reconnect: Reconnect) => void) | undefined;
        subject: Subject;
        timeoutMs: number | undefined;
        hasEnd: boolean;
    }) {
        this.outage = new Outage(options.retry, options.hasEnd);
        this.#subject = options.subject;
        this.#onReconnect = options.onReconnect;
        if (options.timeoutMs !== undefined) this.#deadline = now() + options.timeoutMs;
    }

    /** The time to the caller's deadline; `undefined` without one. */
    remainingMs(): number | undefined {
        return this.#deadline === undefined ? undefined : this.#deadline - now();
    }

    /** Throws once the caller's deadline has passed. */
    checkDeadline(): void {
        const left = this.remainingMs();
        if (left !== undefined && left <= 0) throw this.deadlineError();
    }

    /**
     * The pause before the next try, of which the caller is told. Throws the error of the call if
     * there is no further try.
     */
    pauseMs(failure: Failure, rpc: string, mayPass: boolean): number {
        if (this.#isDeadline(failure)) throw this.deadlineError(failure);
        if (!mayPass) throw this.#error(failure);
        const pause = this.outage.pauseMs(failure, now());
        if (pause === undefined) throw this.#error(failure, GaveUpError);
        const left = this.remainingMs();
        if (left !== undefined && pause >= left) throw this.deadlineError(failure);
        this.#onReconnect?.({
            attempt: this.outage.tries,
            error: this.#error(failure),
            waitMs: pause,
            rpc,
            matchId: this.#subject.matchId,
            requestId: this.#subject.requestId,
        });
        return pause;
    }

    /** The error of a call whose deadline has passed, or would pass during a pause. */
    deadlineError(last?: Failure, cause?: unknown): DeadlineError {
        const before =
            last === undefined || last.isTimeout
                ? ""
                : `; before that: ${last.reason ?? status[last.code]}: ${last.message}`;
        return new DeadlineError(`the time limit of the call has passed${before}`, {
            code: "DEADLINE_EXCEEDED",
            reason: last?.reason,
            ...this.#ids(),
            ...(cause === undefined ? {} : { cause }),
        });
    }

    /** The error of a call that its caller has ended. */
    interruptedError(interruption: Interruption): FaceMatchError {
        if (interruption.kind === "signal") {
            const cause = interruption.reason;
            if (cause instanceof DOMException && cause.name === "TimeoutError") {
                return this.deadlineError(undefined, cause);
            }
            return this.#cancelled("the caller cancelled the call", { cause });
        }
        return this.#cancelled(
            interruption.kind === "closed" ? "the client was closed" : "the caller left the stream",
        );
    }

    #cancelled(message: string, parts: ErrorParts = {}): CallCancelledError {
        return new CallCancelledError(message, {
            code: "CANCELLED",
            ...this.#ids(),
            ...parts,
        });
    }

    #isDeadline(failure: Failure): boolean {
        const isDeadline = failure.code === status.DEADLINE_EXCEEDED;
        return isDeadline && failure.retryAfterMs === undefined && this.#deadline !== undefined;
    }

    #error(failure: Failure, Kind?: typeof GaveUpError): FaceMatchError {
        const ids = this.#ids();
        const isGone = failure.reason === "MATCH_NOT_FOUND" && ids.matchContinues !== undefined;
        return failure.error(isGone ? { ...ids, matchContinues: false } : ids, Kind);
    }

    #ids() {
        const { requestId, matchId, matchContinues } = this.#subject;
        return { requestId, matchId, matchContinues };
    }
}

/** Milliseconds of a monotonic clock. */
export function now(): number {
    return performance.now();
}
