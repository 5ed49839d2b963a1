/**
 * How one try of a call failed: what gRPC's error says, and whether a repeat may help. Makes no
 * call, and reads no clock.
 */
import { fromBinary } from "@bufbuild/protobuf";
import type { Duration } from "@bufbuild/protobuf/wkt";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { status } from "@grpc/grpc-js";
import type { ErrorParts, FaceMatchError, FieldViolation } from "./errors.js";
import { CallRefusedError } from "./errors.js";
import {
    BadRequestSchema,
    ErrorInfoSchema,
    RetryInfoSchema,
} from "./gen/google/rpc/error_details_pb.js";
import { StatusSchema } from "./gen/google/rpc/status_pb.js";
import { callReasons } from "./reasons.js";
import { codeName } from "./verdict.js";

const DOMAIN = "facematch";

/** What transports say of a broken connection, each library and each proxy in its own way. */
const BROKEN: readonly status[] = [
    status.UNAVAILABLE,
    status.UNKNOWN,
    status.INTERNAL,
    status.ABORTED,
    status.CANCELLED,
];

/** How a call may fail although the server has carried it out. */
const UNSETTLED: readonly status[] = [...BROKEN, status.DEADLINE_EXCEEDED, status.DATA_LOSS];

/** Reasons with such a code that say that the call had no effect. */
const WITHOUT_EFFECT: readonly string[] = ["SERVER_DRAINING", "AUDIT_UNAVAILABLE"];

interface Parts {
    readonly code: status;
    readonly message: string;
    readonly reason?: string | undefined;
    readonly metadata?: Readonly<Record<string, string>> | undefined;
    readonly retryAfterMs?: number | undefined;
    readonly isFinal?: boolean;
    readonly violations?: readonly FieldViolation[] | undefined;
    readonly isSilence?: boolean;
}

/** Thrown where a call breaks, and caught where it is repeated or given up. */
export class Failure extends Error {
    readonly code: status;
    /** The service's own word. `undefined` if the transport, a proxy or this library speaks. */
    readonly reason: string | undefined;
    readonly retryAfterMs: number | undefined;
    /** Whether the connection seems to be dead, although it is open. */
    readonly isSilence: boolean;
    readonly #parts: Parts;

    constructor(parts: Parts) {
        super(parts.message);
        this.code = parts.code;
        this.reason = parts.reason;
        this.retryAfterMs = parts.retryAfterMs;
        this.isSilence = parts.isSilence ?? false;
        this.#parts = parts;
    }

    /** Reads the status of a call: its details and its trailers. */
    static read(code: status, message: string, trailers: Trailers): Failure {
        const details = readDetails(trailers("grpc-status-details-bin"));
        const pushback =
            details.retryAfterMs === undefined
                ? readPushback(trailers("grpc-retry-pushback-ms"))
                : {};
        return new Failure({ code, message, ...details, ...pushback });
    }

    /** A call that the library itself takes for broken. */
    static broken(message: string, options: { isSilence?: boolean } = {}): Failure {
        return new Failure({ code: status.UNAVAILABLE, message, ...options });
    }

    /** Whether the time limit of the try has passed, without a word of the server. */
    get isTimeout(): boolean {
        const isDeadline = this.code === status.DEADLINE_EXCEEDED;
        return isDeadline && this.reason === undefined && this.retryAfterMs === undefined;
    }

    /** Whether the same call may succeed later. */
    get mayPass(): boolean {
        if (this.#parts.isFinal) return false;
        if (this.reason === undefined) return BROKEN.includes(this.code);
        return this.retryAfterMs !== undefined || this.code === status.UNAVAILABLE;
    }

    /** Whether the server may have carried out the call nevertheless. */
    get mayHaveActed(): boolean {
        // Without a reason it is the limit of this client, which may have met the answer.
        if (this.code === status.RESOURCE_EXHAUSTED) return this.reason === undefined;
        return UNSETTLED.includes(this.code) && !WITHOUT_EFFECT.includes(this.reason ?? "");
    }

    /** The error to throw; by default, of the class of its reason. */
    error(parts: ErrorParts, Kind?: new (text: string, parts: ErrorParts) => FaceMatchError) {
        const ByReason = callReasons.get(this.reason ?? "") ?? CallRefusedError;
        return new (Kind ?? ByReason)(this.message, {
            code: codeName(this.code),
            reason: this.reason,
            metadata: this.#parts.metadata,
            retryAfterMs: this.retryAfterMs,
            fieldViolations: this.#parts.violations,
            ...parts,
        });
    }
}

/** Gives the first value of a trailer. */
export type Trailers = (key: string) => string | Uint8Array | undefined;

type Details = Pick<Parts, "reason" | "metadata" | "retryAfterMs" | "violations">;

/** The service's details; none if they can't be read. Another service's delay is kept. */
function readDetails(packed: string | Uint8Array | undefined): Details {
    if (!(packed instanceof Uint8Array)) return {};
    let read: Details = {};
    try {
        for (const detail of fromBinary(StatusSchema, packed).details) {
            const info = anyUnpack(detail, ErrorInfoSchema);
            const retry = anyUnpack(detail, RetryInfoSchema);
            const request = anyUnpack(detail, BadRequestSchema);
            if (info?.domain === DOMAIN) {
                read = { ...read, reason: info.reason, metadata: info.metadata };
            }
            if (retry?.retryDelay) read = { ...read, retryAfterMs: delayOf(retry.retryDelay) };
            if (request) read = { ...read, violations: request.fieldViolations.map(violation) };
        }
    } catch {
        return {};
    }
    return read;
}

/** In milliseconds, rounded up: a retry must not come too early. */
function delayOf({ seconds, nanos }: Duration): number {
    return Number(seconds) * 1_000 + Math.ceil(nanos / 1_000_000);
}

function violation({ field, description }: FieldViolation): FieldViolation {
    return { field, description };
}

/** The delay of the pushback trailer; a negative or unreadable one forbids a repeat. */
function readPushback(text: string | Uint8Array | undefined): Partial<Parts> {
    if (text === undefined) return {};
    const delay = /^\d+$/.test(String(text)) ? Number(text) : Number.NaN;
    return Number.isSafeInteger(delay) ? { retryAfterMs: delay } : { isFinal: true };
}
