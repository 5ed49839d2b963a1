// Made by generate-errors from clients/reasons.json.
package dev.facematch.errors;

import dev.facematch.v1.Match;
import java.util.Optional;

/** Finds the exception and the code of a reason. */
public final class Reasons {
    private Reasons() {}

    /** The exception of a refused call; of the base class for a reason that this version doesn't know. */
    public static CallRefusedException refused(String message, ErrorDetails details) {
        return switch (details.reason() == null ? "" : details.reason()) {
            case "FIELD_INVALID" -> new FieldInvalidException(message, details);
            case "PHOTO_UNREADABLE" -> new PhotoUnreadableException(message, details);
            case "PHOTO_TOO_LARGE" -> new PhotoTooLargeException(message, details);
            case "TOKEN_INVALID" -> new TokenInvalidException(message, details);
            case "MATCH_NOT_FOUND" -> new MatchNotFoundException(message, details);
            case "REQUEST_ID_REUSED" -> new RequestIdReusedException(message, details);
            case "MATCH_ENDED" -> new MatchEndedException(message, details);
            case "MATCH_RUNNING" -> new MatchRunningException(message, details);
            case "WATCH_AHEAD" -> new WatchAheadException(message, details);
            case "TOKEN_EXPIRED" -> new TokenExpiredException(message, details);
            case "NOT_AVAILABLE" -> new NotAvailableException(message, details);
            case "OVERLOADED" -> new OverloadedException(message, details);
            case "QUOTA_EXCEEDED" -> new QuotaExceededException(message, details);
            case "UPDATES_UNREAD" -> new UpdatesUnreadException(message, details);
            case "CREDENTIAL_MISSING" -> new CredentialMissingException(message, details);
            case "CREDENTIAL_INVALID" -> new CredentialInvalidException(message, details);
            case "CREDENTIAL_EXPIRED" -> new CredentialExpiredException(message, details);
            case "CALL_FORBIDDEN" -> new CallForbiddenException(message, details);
            case "CALL_TIMED_OUT" -> new CallTimedOutException(message, details);
            case "STORE_UNAVAILABLE" -> new StoreUnavailableException(message, details);
            case "AUDIT_UNAVAILABLE" -> new AuditUnavailableException(message, details);
            case "SERVER_DRAINING" -> new ServerDrainingException(message, details);
            case "INTERNAL" -> new InternalException(message, details);
            default -> new CallRefusedException(message, details);
        };
    }

    /** The exception of a match that FAILED; of the base class for an unknown reason. */
    public static MatchFailedException failed(String message, Match match, ErrorDetails details) {
        return switch (details.reason() == null ? "" : details.reason()) {
            case "OZ_ANALYSIS_FAILED" -> new OzAnalysisFailedException(message, match, details);
            case "OZ_INCONCLUSIVE" -> new OzInconclusiveException(message, match, details);
            case "OZ_PROTOCOL" -> new OzProtocolException(message, match, details);
            case "OZ_UNKNOWN_STATUS" -> new OzUnknownStatusException(message, match, details);
            case "OZ_FOLDER_NOT_FOUND" -> new OzFolderNotFoundException(message, match, details);
            case "OZ_MEDIA_NOT_FOUND" -> new OzMediaNotFoundException(message, match, details);
            case "LIVENESS_MEDIA_NOT_FOUND" -> new LivenessMediaNotFoundException(message, match, details);
            case "LIVENESS_NOT_PASSED" -> new LivenessNotPassedException(message, match, details);
            case "OZ_FOLDER_FULL" -> new OzFolderFullException(message, match, details);
            case "OZ_REJECTED_PHOTO" -> new OzRejectedPhotoException(message, match, details);
            case "OZ_FORBIDDEN" -> new OzForbiddenException(message, match, details);
            case "OZ_LOGIN_REFUSED" -> new OzLoginRefusedException(message, match, details);
            case "MATCH_TIMED_OUT" -> new MatchTimedOutException(message, match, details);
            case "PHOTO_LOST" -> new PhotoLostException(message, match, details);
            case "REFERENCE_NOT_FOUND" -> new ReferenceNotFoundException(message, match, details);
            case "REFERENCE_AMBIGUOUS" -> new ReferenceAmbiguousException(message, match, details);
            case "REFERENCE_UNREADABLE" -> new ReferenceUnreadableException(message, match, details);
            case "REFERENCE_TOO_LARGE" -> new ReferenceTooLargeException(message, match, details);
            case "LIBRARY_FORBIDDEN" -> new LibraryForbiddenException(message, match, details);
            case "LIBRARY_PROTOCOL" -> new LibraryProtocolException(message, match, details);
            default -> new MatchFailedException(message, match, details);
        };
    }

    /** The name of the gRPC code of a reason, of a call or of a match; empty for an unknown reason. */
    public static Optional<String> code(String reason) {
        String code = switch (reason) {
            case "FIELD_INVALID", "PHOTO_UNREADABLE", "PHOTO_TOO_LARGE", "TOKEN_INVALID",
                    "OZ_REJECTED_PHOTO", "REFERENCE_UNREADABLE", "REFERENCE_TOO_LARGE" -> "INVALID_ARGUMENT";
            case "MATCH_NOT_FOUND", "OZ_FOLDER_NOT_FOUND", "OZ_MEDIA_NOT_FOUND",
                    "REFERENCE_NOT_FOUND" -> "NOT_FOUND";
            case "REQUEST_ID_REUSED" -> "ALREADY_EXISTS";
            case "MATCH_ENDED", "MATCH_RUNNING", "LIVENESS_MEDIA_NOT_FOUND", "LIVENESS_NOT_PASSED",
                    "OZ_FOLDER_FULL", "REFERENCE_AMBIGUOUS" -> "FAILED_PRECONDITION";
            case "WATCH_AHEAD", "TOKEN_EXPIRED" -> "OUT_OF_RANGE";
            case "NOT_AVAILABLE" -> "UNIMPLEMENTED";
            case "OVERLOADED", "QUOTA_EXCEEDED", "UPDATES_UNREAD" -> "RESOURCE_EXHAUSTED";
            case "CREDENTIAL_MISSING", "CREDENTIAL_INVALID", "CREDENTIAL_EXPIRED" -> "UNAUTHENTICATED";
            case "CALL_FORBIDDEN", "OZ_FORBIDDEN" -> "PERMISSION_DENIED";
            case "CALL_TIMED_OUT", "MATCH_TIMED_OUT" -> "DEADLINE_EXCEEDED";
            case "STORE_UNAVAILABLE", "AUDIT_UNAVAILABLE", "SERVER_DRAINING", "OZ_LOGIN_REFUSED",
                    "PHOTO_LOST" -> "UNAVAILABLE";
            case "INTERNAL", "OZ_ANALYSIS_FAILED", "OZ_INCONCLUSIVE", "OZ_PROTOCOL",
                    "OZ_UNKNOWN_STATUS", "LIBRARY_FORBIDDEN", "LIBRARY_PROTOCOL" -> "INTERNAL";
            default -> null;
        };
        return Optional.ofNullable(code);
    }
}
