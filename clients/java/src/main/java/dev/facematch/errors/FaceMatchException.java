package dev.facematch.errors;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * The base of all exceptions of this library. None shows a photo, a file's name, a label, a token or
 * a key. The cause is the transport's exception, if it has one.
 */
public class FaceMatchException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    private final ErrorDetails details;

    /** @hidden */
    public FaceMatchException(String message, ErrorDetails details) {
        super(message);
        this.details = details;
    }

    /** @hidden */
    public FaceMatchException(String message, ErrorDetails details, Throwable cause) {
        super(message, cause);
        this.details = details;
    }

    /** The name of a gRPC status code, such as {@code NOT_FOUND}. */
    public final Optional<String> code() {
        return Optional.ofNullable(details.code());
    }

    /** The service's word for the cause. It may be a word that only a later version knows. */
    public final Optional<String> reason() {
        return Optional.ofNullable(details.reason());
    }

    /** Variable parts of the reason. */
    public final Map<String, String> metadata() {
        return details.metadata();
    }

    /** The delay that the server asked for. */
    public final Optional<Duration> retryAfter() {
        return Optional.ofNullable(details.retryAfter());
    }

    /** All fields that the server refused. */
    public final List<FieldViolation> fieldViolations() {
        return details.fieldViolations();
    }

    /** The id with which a match can be run again or looked up. */
    public final Optional<String> requestId() {
        return Optional.ofNullable(details.requestId());
    }

    /** The server's id of the match. */
    public final Optional<String> matchId() {
        return Optional.ofNullable(details.matchId());
    }

    /**
     * Whether a match may go on although the call failed. Empty for calls that neither run nor
     * follow a match.
     */
    public final Optional<Boolean> matchContinues() {
        return Optional.ofNullable(details.matchContinues());
    }
}
