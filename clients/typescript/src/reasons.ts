/** The error class of each reason. `generate` makes it from clients/reasons.json. */
import { CallRefusedError, MatchFailedError } from "./errors.js";

/** A field is missing, malformed or too long, or has an unknown value. */
export class FieldInvalidError extends CallRefusedError {
    declare readonly reason: "FIELD_INVALID";
}

/**
 * The photo is not a complete JPEG or PNG that decoders accept, or its dimensions are out of
 * range; the message says which.
 */
export class PhotoUnreadableError extends CallRefusedError {
    declare readonly reason: "PHOTO_UNREADABLE";
}

/** The photo is over 10 MiB. */
export class PhotoTooLargeError extends CallRefusedError {
    declare readonly reason: "PHOTO_TOO_LARGE";
}

/**
 * A resume or page token was truncated or changed, comes from another store or from a time that
 * a restore undid, or is a page token of other filters.
 */
export class TokenInvalidError extends CallRefusedError {
    declare readonly reason: "TOKEN_INVALID";
}

/** No match has this id, or it was erased. */
export class MatchNotFoundError extends CallRefusedError {
    declare readonly reason: "MATCH_NOT_FOUND";
}

/**
 * The `request_id` names a match with other content; `field` in the metadata names the first
 * field that differs.
 */
export class RequestIdReusedError extends CallRefusedError {
    declare readonly reason: "REQUEST_ID_REUSED";
}

/** The match has ended as FINISHED or FAILED and can't be cancelled any more. */
export class MatchEndedError extends CallRefusedError {
    declare readonly reason: "MATCH_ENDED";
}

/** The match is still running and can't be erased. */
export class MatchRunningError extends CallRefusedError {
    declare readonly reason: "MATCH_RUNNING";
}

/** `after_sequence` is higher than the match's sequence, which is `reached` in the metadata. */
export class WatchAheadError extends CallRefusedError {
    declare readonly reason: "WATCH_AHEAD";
}

/** Retention has erased updates that would come after the token. */
export class TokenExpiredError extends CallRefusedError {
    declare readonly reason: "TOKEN_EXPIRED";
}

/** The tenant has no photo library (`reference_key`). */
export class NotAvailableError extends CallRefusedError {
    declare readonly reason: "NOT_AVAILABLE";
}

/**
 * The server is at one of its limits, and the call had no effect; `limit` in the metadata is one
 * of `unfinished-matches`, `photo-memory`, `request-memory`, `calls`.
 */
export class OverloadedError extends CallRefusedError {
    declare readonly reason: "OVERLOADED";
}

/**
 * The tenant is at one of its own limits, and the call had no effect; `limit` in the metadata is
 * one of `unfinished-matches`, `photo-memory`, `rate`, `streams`.
 */
export class QuotaExceededError extends CallRefusedError {
    declare readonly reason: "QUOTA_EXCEEDED";
}

/**
 * The caller didn't read the stream's updates for longer than `--stream-stall`; the match
 * continues.
 */
export class UpdatesUnreadError extends CallRefusedError {
    declare readonly reason: "UPDATES_UNREAD";
}

/**
 * The server authenticates callers, and the call has neither an `authorization` header nor a
 * client certificate.
 */
export class CredentialMissingError extends CallRefusedError {
    declare readonly reason: "CREDENTIAL_MISSING";
}

/** The credential is malformed, wrong, unknown or withdrawn; one wording for all. */
export class CredentialInvalidError extends CallRefusedError {
    declare readonly reason: "CREDENTIAL_INVALID";
}

/**
 * The credential has expired; a stream also ends with it when its credential expires or is
 * withdrawn.
 */
export class CredentialExpiredError extends CallRefusedError {
    declare readonly reason: "CREDENTIAL_EXPIRED";
}

/**
 * The caller lacks a permission, which is the `permission` in the metadata: `match`, `read` or
 * `erase`.
 */
export class CallForbiddenError extends CallRefusedError {
    declare readonly reason: "CALL_FORBIDDEN";
}

/**
 * The call's own deadline passed at the server, or the request did not arrive in time; a match
 * that was accepted continues.
 */
export class CallTimedOutError extends CallRefusedError {
    declare readonly reason: "CALL_TIMED_OUT";
}

/** The server's store can't be read or written. */
export class StoreUnavailableError extends CallRefusedError {
    declare readonly reason: "STORE_UNAVAILABLE";
}

/** The server can't write the call's audit record, and the call had no effect. */
export class AuditUnavailableError extends CallRefusedError {
    declare readonly reason: "AUDIT_UNAVAILABLE";
}

/** The server is shutting down. */
export class ServerDrainingError extends CallRefusedError {
    declare readonly reason: "SERVER_DRAINING";
}

/** A bug in FaceMatch. */
export class InternalError extends CallRefusedError {
    declare readonly reason: "INTERNAL";
}

/** Oz's analysis ended as FAILED, or Oz refused to start it. */
export class OzAnalysisFailedError extends MatchFailedError {
    declare readonly reason: "OZ_ANALYSIS_FAILED";
}

/** Oz's analysis ended without a usable score, or its words contradict each other. */
export class OzInconclusiveError extends MatchFailedError {
    declare readonly reason: "OZ_INCONCLUSIVE";
}

/** Oz's answers lack required fields, or Oz doesn't know the analysis that it has started. */
export class OzProtocolError extends MatchFailedError {
    declare readonly reason: "OZ_PROTOCOL";
}

/** Oz used a status word that this version doesn't know. */
export class OzUnknownStatusError extends MatchFailedError {
    declare readonly reason: "OZ_UNKNOWN_STATUS";
}

/** Oz has no such folder. */
export class OzFolderNotFoundError extends MatchFailedError {
    declare readonly reason: "OZ_FOLDER_NOT_FOUND";
}

/** The folder has no medium with that `folder_media_id`, or that medium is not an image. */
export class OzMediaNotFoundError extends MatchFailedError {
    declare readonly reason: "OZ_MEDIA_NOT_FOUND";
}

/** The folder has no liveness media, or lacks a named one. */
export class LivenessMediaNotFoundError extends MatchFailedError {
    declare readonly reason: "LIVENESS_MEDIA_NOT_FOUND";
}

/** `LIVENESS_POLICY_REQUIRE`, and the liveness analysis is missing or doesn't say SUCCESS. */
export class LivenessNotPassedError extends MatchFailedError {
    declare readonly reason: "LIVENESS_NOT_PASSED";
}

/** Oz refused the photo, and the folder holds 10 media or more. */
export class OzFolderFullError extends MatchFailedError {
    declare readonly reason: "OZ_FOLDER_FULL";
}

/** Oz refused the photo. */
export class OzRejectedPhotoError extends MatchFailedError {
    declare readonly reason: "OZ_REJECTED_PHOTO";
}

/** The Oz account lacks a permission. */
export class OzForbiddenError extends MatchFailedError {
    declare readonly reason: "OZ_FORBIDDEN";
}

/** Oz has refused this server's login for a minute. */
export class OzLoginRefusedError extends MatchFailedError {
    declare readonly reason: "OZ_LOGIN_REFUSED";
}

/** The match's time ran out; `cause` in the metadata is the last trouble, if there was one. */
export class MatchTimedOutError extends MatchFailedError {
    declare readonly reason: "MATCH_TIMED_OUT";
}

/** The server died before Oz had the photo, and no caller sent it again in time. */
export class PhotoLostError extends MatchFailedError {
    declare readonly reason: "PHOTO_LOST";
}

/** The photo library has no photo for the `reference_key`. */
export class ReferenceNotFoundError extends MatchFailedError {
    declare readonly reason: "REFERENCE_NOT_FOUND";
}

/** The photo library has several photos for the `reference_key`. */
export class ReferenceAmbiguousError extends MatchFailedError {
    declare readonly reason: "REFERENCE_AMBIGUOUS";
}

/**
 * The library's photo is not a complete JPEG or PNG, or its dimensions are out of range; the
 * message says which.
 */
export class ReferenceUnreadableError extends MatchFailedError {
    declare readonly reason: "REFERENCE_UNREADABLE";
}

/** The library's photo is over 10 MiB. */
export class ReferenceTooLargeError extends MatchFailedError {
    declare readonly reason: "REFERENCE_TOO_LARGE";
}

/** The photo library refuses this server. */
export class LibraryForbiddenError extends MatchFailedError {
    declare readonly reason: "LIBRARY_FORBIDDEN";
}

/**
 * The photo library answered with a redirect, with a length that isn't the photo's, or otherwise
 * than its kind does.
 */
export class LibraryProtocolError extends MatchFailedError {
    declare readonly reason: "LIBRARY_PROTOCOL";
}

/** The class of each reason of a refused call. */
export const callReasons: ReadonlyMap<string, typeof CallRefusedError> = new Map<string, typeof CallRefusedError>([
    ["FIELD_INVALID", FieldInvalidError],
    ["PHOTO_UNREADABLE", PhotoUnreadableError],
    ["PHOTO_TOO_LARGE", PhotoTooLargeError],
    ["TOKEN_INVALID", TokenInvalidError],
    ["MATCH_NOT_FOUND", MatchNotFoundError],
    ["REQUEST_ID_REUSED", RequestIdReusedError],
    ["MATCH_ENDED", MatchEndedError],
    ["MATCH_RUNNING", MatchRunningError],
    ["WATCH_AHEAD", WatchAheadError],
    ["TOKEN_EXPIRED", TokenExpiredError],
    ["NOT_AVAILABLE", NotAvailableError],
    ["OVERLOADED", OverloadedError],
    ["QUOTA_EXCEEDED", QuotaExceededError],
    ["UPDATES_UNREAD", UpdatesUnreadError],
    ["CREDENTIAL_MISSING", CredentialMissingError],
    ["CREDENTIAL_INVALID", CredentialInvalidError],
    ["CREDENTIAL_EXPIRED", CredentialExpiredError],
    ["CALL_FORBIDDEN", CallForbiddenError],
    ["CALL_TIMED_OUT", CallTimedOutError],
    ["STORE_UNAVAILABLE", StoreUnavailableError],
    ["AUDIT_UNAVAILABLE", AuditUnavailableError],
    ["SERVER_DRAINING", ServerDrainingError],
    ["INTERNAL", InternalError],
]);

/** The class of each reason of a match that FAILED. */
export const matchReasons: ReadonlyMap<string, typeof MatchFailedError> = new Map<string, typeof MatchFailedError>([
    ["OZ_ANALYSIS_FAILED", OzAnalysisFailedError],
    ["OZ_INCONCLUSIVE", OzInconclusiveError],
    ["OZ_PROTOCOL", OzProtocolError],
    ["OZ_UNKNOWN_STATUS", OzUnknownStatusError],
    ["OZ_FOLDER_NOT_FOUND", OzFolderNotFoundError],
    ["OZ_MEDIA_NOT_FOUND", OzMediaNotFoundError],
    ["LIVENESS_MEDIA_NOT_FOUND", LivenessMediaNotFoundError],
    ["LIVENESS_NOT_PASSED", LivenessNotPassedError],
    ["OZ_FOLDER_FULL", OzFolderFullError],
    ["OZ_REJECTED_PHOTO", OzRejectedPhotoError],
    ["OZ_FORBIDDEN", OzForbiddenError],
    ["OZ_LOGIN_REFUSED", OzLoginRefusedError],
    ["MATCH_TIMED_OUT", MatchTimedOutError],
    ["PHOTO_LOST", PhotoLostError],
    ["REFERENCE_NOT_FOUND", ReferenceNotFoundError],
    ["REFERENCE_AMBIGUOUS", ReferenceAmbiguousError],
    ["REFERENCE_UNREADABLE", ReferenceUnreadableError],
    ["REFERENCE_TOO_LARGE", ReferenceTooLargeError],
    ["LIBRARY_FORBIDDEN", LibraryForbiddenError],
    ["LIBRARY_PROTOCOL", LibraryProtocolError],
]);

/** The gRPC code of each reason. */
export const reasonCodes: ReadonlyMap<string, string> = new Map([
    ["FIELD_INVALID", "INVALID_ARGUMENT"],
    ["PHOTO_UNREADABLE", "INVALID_ARGUMENT"],
    ["PHOTO_TOO_LARGE", "INVALID_ARGUMENT"],
    ["TOKEN_INVALID", "INVALID_ARGUMENT"],
    ["MATCH_NOT_FOUND", "NOT_FOUND"],
    ["REQUEST_ID_REUSED", "ALREADY_EXISTS"],
    ["MATCH_ENDED", "FAILED_PRECONDITION"],
    ["MATCH_RUNNING", "FAILED_PRECONDITION"],
    ["WATCH_AHEAD", "OUT_OF_RANGE"],
    ["TOKEN_EXPIRED", "OUT_OF_RANGE"],
    ["NOT_AVAILABLE", "UNIMPLEMENTED"],
    ["OVERLOADED", "RESOURCE_EXHAUSTED"],
    ["QUOTA_EXCEEDED", "RESOURCE_EXHAUSTED"],
    ["UPDATES_UNREAD", "RESOURCE_EXHAUSTED"],
    ["CREDENTIAL_MISSING", "UNAUTHENTICATED"],
    ["CREDENTIAL_INVALID", "UNAUTHENTICATED"],
    ["CREDENTIAL_EXPIRED", "UNAUTHENTICATED"],
    ["CALL_FORBIDDEN", "PERMISSION_DENIED"],
    ["CALL_TIMED_OUT", "DEADLINE_EXCEEDED"],
    ["STORE_UNAVAILABLE", "UNAVAILABLE"],
    ["AUDIT_UNAVAILABLE", "UNAVAILABLE"],
    ["SERVER_DRAINING", "UNAVAILABLE"],
    ["INTERNAL", "INTERNAL"],
    ["OZ_ANALYSIS_FAILED", "INTERNAL"],
    ["OZ_INCONCLUSIVE", "INTERNAL"],
    ["OZ_PROTOCOL", "INTERNAL"],
    ["OZ_UNKNOWN_STATUS", "INTERNAL"],
    ["OZ_FOLDER_NOT_FOUND", "NOT_FOUND"],
    ["OZ_MEDIA_NOT_FOUND", "NOT_FOUND"],
    ["LIVENESS_MEDIA_NOT_FOUND", "FAILED_PRECONDITION"],
    ["LIVENESS_NOT_PASSED", "FAILED_PRECONDITION"],
    ["OZ_FOLDER_FULL", "FAILED_PRECONDITION"],
    ["OZ_REJECTED_PHOTO", "INVALID_ARGUMENT"],
    ["OZ_FORBIDDEN", "PERMISSION_DENIED"],
    ["OZ_LOGIN_REFUSED", "UNAVAILABLE"],
    ["MATCH_TIMED_OUT", "DEADLINE_EXCEEDED"],
    ["PHOTO_LOST", "UNAVAILABLE"],
    ["REFERENCE_NOT_FOUND", "NOT_FOUND"],
    ["REFERENCE_AMBIGUOUS", "FAILED_PRECONDITION"],
    ["REFERENCE_UNREADABLE", "INVALID_ARGUMENT"],
    ["REFERENCE_TOO_LARGE", "INVALID_ARGUMENT"],
    ["LIBRARY_FORBIDDEN", "INTERNAL"],
    ["LIBRARY_PROTOCOL", "INTERNAL"],
]);
