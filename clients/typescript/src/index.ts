/** The client of FaceMatch. README.md shows how it is used. */
export type { StreamOptions, WatchAllOptions, WatchOptions } from "./client.js";
export { Client } from "./client.js";
export type { FieldViolation } from "./errors.js";
export {
    CallCancelledError,
    CallRefusedError,
    ContractError,
    DeadlineError,
    FaceMatchError,
    GaveUpError,
    MatchCancelledError,
    MatchFailedError,
    NoVerdictError,
    UsageError,
} from "./errors.js";
export type * from "./model.js";
export type { Photo } from "./photo.js";
export { PHOTO_BYTES_MAX } from "./photo.js";
export * from "./reasons.js";
export type {
    CallOptions,
    Filter,
    ListFilter,
    MatchName,
    MatchRequest,
} from "./requests.js";
export { newRequestId } from "./requests.js";
export type { OnExpired } from "./resume.js";
export type {
    ClientOptions,
    LimitOptions,
    Pem,
    Reconnect,
    RetryOptions,
    TlsOptions,
} from "./settings.js";
export type { AllMatchesStream, MatchStream } from "./streams.js";
export type { Verdict } from "./verdict.js";
