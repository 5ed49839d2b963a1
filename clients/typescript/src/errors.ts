/**
 * The errors that don't belong to one reason of the service; reasons.ts has one class for each
 * reason. No error shows a photo, a file's name, a label, a token or a key.
 */
import type { Match } from "./model.js";

/** A field of the request that the server refused. */
export interface FieldViolation {
    readonly field: string;
    readonly description: string;
}

/** What an error tells beside its message. */
export interface ErrorParts {
    readonly code?: string | undefined;
    readonly reason?: string | undefined;
    readonly metadata?: Readonly<Record<string, string>> | undefined;
    readonly retryAfterMs?: number | undefined;
    readonly fieldViolations?: readonly FieldViolation[] | undefined;
    readonly requestId?: string | undefined;
    readonly matchId?: string | undefined;
    readonly matchContinues?: boolean | undefined;
    readonly cause?: unknown;
}

/** The base of all errors of this package. */
export class FaceMatchError extends Error {
    /** The name of a gRPC status code, such as `NOT_FOUND`. */
    declare readonly code: string | undefined;
    /**
     * The service's word for the cause, such as `MATCH_NOT_FOUND`. It may be a word that only a
     * later version knows.
     */
    declare readonly reason: string | undefined;
    /** Variable parts of the reason. */
    declare readonly metadata: Readonly<Record<string, string>>;
    /** The delay that the server asked for. */
    declare readonly retryAfterMs: number | undefined;
    /** All fields that the server refused. */
    declare readonly fieldViolations: readonly FieldViolation[];
    /** The id with which a match can be run again or looked up. */
    declare readonly requestId: string | undefined;
    declare readonly matchId: string | undefined;
    /**
     * Whether a match may go on although the call failed. `undefined` for calls that neither run
     * nor follow a match.
     */
    declare readonly matchContinues: boolean | undefined;

    constructor(message: string, parts: ErrorParts = {}) {
        super(message, "cause" in parts ? { cause: parts.cause } : undefined);
        hide(this, "name", new.target.name);
        hide(this, "metadata", {});
        hide(this, "fieldViolations", []);
        for (const [key, value] of Object.entries(parts)) {
            if (key !== "cause" && value !== undefined && !isEmpty(value)) {
                Object.defineProperty(this, key, {
                    value,
                    enumerable: true,
                    configurable: true,
                });
            }
        }
    }
}

/**
 * The server refused the call, and would refuse it again; or the transport failed in a way that a
 * repeat doesn't mend. The class of a known reason is a subclass.
 */
export class CallRefusedError extends FaceMatchError {}

/** The time limit of a call has passed: `timeoutMs`, an `AbortSignal.timeout`, or a default. */
export class DeadlineError extends FaceMatchError {}

/**
 * The caller cancelled the call, by its signal or by closing the client. Its `name` is
 * `AbortError`, like that of Node's own errors, and its `cause` the reason of the signal.
 */
export class CallCancelledError extends FaceMatchError {
    constructor(message: string, parts: ErrorParts = {}) {
        super(message, parts);
        hide(this, "name", "AbortError");
    }
}

/** The retries are used up. The code and the reason are those of the last failure. */
export class GaveUpError extends FaceMatchError {}

/** The server broke the contract: a gap in the sequence, or a verdict that means nothing. */
export class ContractError extends FaceMatchError {}

/** The client refused its arguments or settings, and sent nothing. */
export class UsageError extends FaceMatchError {}

/** The match has ended without a verdict. */
export class NoVerdictError extends FaceMatchError {
    readonly #match: Match;

    constructor(message: string, match: Match, parts: ErrorParts = {}) {
        super(message, {
            matchContinues: false,
            matchId: match.matchId,
            requestId: match.requestId,
            ...parts,
        });
        this.#match = match;
    }

    /** The match as it ended. Not shown when the error is printed, since it has the labels. */
    get match(): Match {
        return this.#match;
    }
}

/** The match FAILED. The class of a known reason is a subclass. */
export class MatchFailedError extends NoVerdictError {
    /** Whether a new match, with a new `requestId`, may succeed without any other change. */
    get retryable(): boolean {
        return this.match.error?.retryable ?? false;
    }
}

/** A caller has cancelled the match. */
export class MatchCancelledError extends NoVerdictError {}

function hide(error: Error, key: string, value: unknown): void {
    Object.defineProperty(error, key, {
        value,
        configurable: true,
        writable: true,
    });
}

function isEmpty(value: unknown): boolean {
    return typeof value === "object" && value !== null && Object.keys(value).length === 0;
}

/** The code of an error of the operating system, such as ENOENT. */
export function errorCode(error: unknown): string {
    return error instanceof Error && "code" in error ? String(error.code) : "unknown error";
}
