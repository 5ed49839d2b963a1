/** How a call failed, and what the page does about it. Makes no call. */
import { durationMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import {
    BadRequestSchema,
    ErrorInfoSchema,
    RetryInfoSchema,
} from "../gen/google/rpc/error_details_pb";

const DOMAIN = "facematch";

/** What transports say of a broken connection. Browsers say UNKNOWN. */
const BROKEN: readonly Code[] = [
    Code.Unavailable,
    Code.Unknown,
    Code.Internal,
    Code.Aborted,
    Code.Canceled,
    Code.DeadlineExceeded,
];

/** What to do about a failure. */
export type Remedy =
    /** The same call may succeed later. */
    | "retry"
    /** The server doesn't know the place where the stream was: begin anew. */
    | "restart"
    /** The server wants a credential, or another one. */
    | "credential"
    /** The caller may not do this. */
    | "forbidden"
    /** The match doesn't exist, or was erased. */
    | "gone"
    /** Nothing but another request helps. */
    | "none";

/** A failed call. */
export interface Failure {
    readonly remedy: Remedy;
    /** The service's own word, else that of gRPC. */
    readonly word: string;
    /** A sentence for people. */
    readonly message: string;
    readonly retryAfterMs?: number | undefined;
    /** What is wrong with which field of the request. */
    readonly fields: Readonly<Record<string, string>>;
}

const REMEDIES: Readonly<Record<string, Remedy>> = {
    TOKEN_EXPIRED: "restart",
    TOKEN_INVALID: "restart",
    WATCH_AHEAD: "restart",
    CREDENTIAL_MISSING: "credential",
    CREDENTIAL_INVALID: "credential",
    CREDENTIAL_EXPIRED: "credential",
    CALL_FORBIDDEN: "forbidden",
    MATCH_NOT_FOUND: "gone",
    UPDATES_UNREAD: "retry",
};

/** Reads what a call threw. */
export function readFailure(thrown: unknown): Failure {
    const error = ConnectError.from(thrown);
    const info = error.findDetails(ErrorInfoSchema).find((it) => it.domain === DOMAIN);
    const [retry] = error.findDetails(RetryInfoSchema);
    const violations = error.findDetails(BadRequestSchema).flatMap((it) => it.fieldViolations);
    const retryAfterMs = retry?.retryDelay && durationMs(retry.retryDelay);
    return {
        remedy: remedy(error.code, info?.reason, retryAfterMs),
        word: info?.reason ?? Code[error.code]?.toUpperCase() ?? "UNKNOWN",
        message: info || error.code !== Code.Unknown ? error.rawMessage : "the connection broke",
        retryAfterMs,
        fields: Object.fromEntries(violations.map((it) => [it.field, it.description])),
    };
}

/** A stream that the page itself takes for broken. */
export function broken(message: string): Failure {
    return { remedy: "retry", word: "UNAVAILABLE", message, fields: {} };
}

function remedy(code: Code, reason: string | undefined, retryAfterMs?: number): Remedy {
    const known = REMEDIES[reason ?? ""];
    if (known) return known;
    if (code === Code.Unauthenticated) return "credential";
    if (code === Code.PermissionDenied) return "forbidden";
    if (retryAfterMs !== undefined || code === Code.Unavailable) return "retry";
    if (reason === undefined && BROKEN.includes(code)) return "retry";
    return "none";
}
