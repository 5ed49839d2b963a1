package dev.facematch.errors;

import java.io.Serializable;
import java.time.Duration;
import java.util.List;
import java.util.Map;

/**
 * What an exception tells beside its message. Null stands for what there is none of.
 *
 * @param code the name of a gRPC status code, such as {@code NOT_FOUND}
 * @param reason the service's word for the cause, such as {@code MATCH_NOT_FOUND}
 * @param metadata variable parts of the reason
 * @param retryAfter the delay that the server asked for
 * @param fieldViolations all fields that the server refused
 * @param matchContinues whether a match may go on although the call failed
 */
public record ErrorDetails(
        String code,
        String reason,
        Map<String, String> metadata,
        Duration retryAfter,
        List<FieldViolation> fieldViolations,
        String requestId,
        String matchId,
        Boolean matchContinues)
        implements Serializable {

    /** Of an error that has nothing but its message. */
    public static final ErrorDetails NONE =
            new ErrorDetails(null, null, Map.of(), null, List.of(), null, null, null);

    public ErrorDetails {
        metadata = Map.copyOf(metadata);
        fieldViolations = List.copyOf(fieldViolations);
    }

    /** The same with a code and a reason. */
    public ErrorDetails withCode(String newCode, String newReason) {
        return new ErrorDetails(newCode, newReason, metadata, retryAfter, fieldViolations,
                requestId, matchId, matchContinues);
    }

    /** The same about a match. */
    public ErrorDetails about(String newRequestId, String newMatchId, Boolean continues) {
        return new ErrorDetails(code, reason, metadata, retryAfter, fieldViolations,
                newRequestId, newMatchId, continues);
    }
}
