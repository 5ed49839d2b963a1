package dev.facematch;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import dev.facematch.errors.ErrorDetails;
import dev.facematch.errors.FaceMatchException;
import dev.facematch.errors.FieldViolation;
import dev.facematch.errors.GaveUpException;
import dev.facematch.errors.Reasons;
import io.grpc.Metadata;
import io.grpc.Status;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * How one try of a call failed: what gRPC's error says, and whether a repeat may help. Makes no call,
 * and reads no clock.
 */
final class Failure extends Exception {
    private static final long serialVersionUID = 1L;
    /** Of the transport's exceptions, so many are shown, each with so many characters. */
    private static final int CAUSES_MAX = 5;
    private static final int CAUSE_CHARS = 200;
    private static final String DOMAIN = "facematch";
    private static final Metadata.Key<byte[]> DETAILS =
            Metadata.Key.of("grpc-status-details-bin", Metadata.BINARY_BYTE_MARSHALLER);
    private static final Metadata.Key<String> PUSHBACK =
            Metadata.Key.of("grpc-retry-pushback-ms", Metadata.ASCII_STRING_MARSHALLER);

    /** What transports say of a broken connection, each library and each proxy in its own way. */
    private static final Set<Status.Code> BROKEN = Set.of(Status.Code.UNAVAILABLE, Status.Code.UNKNOWN,
            Status.Code.INTERNAL, Status.Code.ABORTED, Status.Code.CANCELLED);
    /** How a call may fail, besides those, although the server has carried it out. */
    private static final Set<Status.Code> UNSETTLED =
            Set.of(Status.Code.DEADLINE_EXCEEDED, Status.Code.DATA_LOSS);
    /** Reasons with such a code that say that the call had no effect. */
    private static final Set<String> WITHOUT_EFFECT = Set.of("SERVER_DRAINING", "AUDIT_UNAVAILABLE");

    final Status.Code code;
    /** The service's own word; null if the transport, a proxy or this library speaks. */
    final String reason;
    final Duration retryAfter;
    /** Whether the connection seems to be dead, although it is open. */
    final boolean isSilence;
    private final boolean isFinal;
    private final Map<String, String> metadata;
    private final List<FieldViolation> violations;

    private Failure(
            Status.Code code, String message, Throwable cause, Parts parts, boolean isSilence) {
        super(message, cause, false, false);
        this.code = code;
        this.reason = parts.reason;
        this.retryAfter = parts.retryAfter;
        this.isSilence = isSilence;
        this.isFinal = parts.isFinal;
        this.metadata = parts.metadata;
        this.violations = parts.violations;
    }

    /** Reads the end of a call: its details and its trailers. */
    static Failure of(Status status, Metadata trailers) {
        Parts parts = new Parts();
        byte[] packed = trailers.get(DETAILS);
        if (packed != null && !parts.read(packed)) {
            parts = new Parts();
        }
        if (parts.retryAfter == null) {
            parts.readPushback(trailers.get(PUSHBACK));
        }
        return new Failure(status.getCode(), message(status), status.getCause(), parts, false);
    }

    /** The status's words, and those of its causes: "io exception" alone doesn't say what happened. */
    private static String message(Status status) {
        Throwable cause = status.getCause();
        if (cause == null) {
            return status.getDescription() == null ? "" : status.getDescription();
        }
        String words = firstLine(status.getDescription());
        for (int depth = 0; cause != null && depth < CAUSES_MAX; depth++) {
            String why = firstLine(cause.getMessage());
            if (!words.contains(why)) {
                words = words.isEmpty() ? why : words + ": " + why;
            }
            cause = cause.getCause();
        }
        return words;
    }

    private static String firstLine(String text) {
        String line = text == null ? "" : text.lines().findFirst().orElse("");
        return line.length() > CAUSE_CHARS ? line.substring(0, CAUSE_CHARS) + "…" : line;
    }

    /** A call that the library itself takes for broken. */
    static Failure broken(String message) {
        return new Failure(Status.Code.UNAVAILABLE, message, null, new Parts(), false);
    }

    static Failure silent(Duration limit) {
        String message = "the stream was silent for " + limit.toMillis() + " ms";
        return new Failure(Status.Code.UNAVAILABLE, message, null, new Parts(), true);
    }

    /** Whether the time limit of the try has passed, without a word of the server. */
    boolean isTimeout() {
        return code == Status.Code.DEADLINE_EXCEEDED && reason == null && retryAfter == null;
    }

    /** Whether the same call may succeed later. */
    boolean mayPass() {
        if (isFinal) {
            return false;
        }
        if (reason == null) {
            return BROKEN.contains(code);
        }
        return retryAfter != null || code == Status.Code.UNAVAILABLE;
    }

    /** Whether the server may have carried out the call nevertheless. */
    boolean mayHaveActed() {
        if (code == Status.Code.RESOURCE_EXHAUSTED) {
            // Without a reason it is the limit of this client, which may have met the answer.
            return reason == null;
        }
        boolean isUnsettled = BROKEN.contains(code) || UNSETTLED.contains(code);
        return isUnsettled && (reason == null || !WITHOUT_EFFECT.contains(reason));
    }

    /** The exception of its reason, about a match. */
    FaceMatchException error(Subject subject, boolean gaveUp) {
        Boolean continues = subject.matchContinues();
        if (continues != null && "MATCH_NOT_FOUND".equals(reason)) {
            continues = false;
        }
        ErrorDetails details = new ErrorDetails(code.name(), reason, metadata, retryAfter, violations,
                subject.requestId(), subject.matchId(), continues);
        FaceMatchException error = gaveUp
                ? new GaveUpException(getMessage(), details)
                : Reasons.refused(getMessage(), details);
        if (getCause() != null) {
            error.initCause(getCause());
        }
        return error;
    }

    private static final class Parts {
        private String reason;
        private Map<String, String> metadata = Map.of();
        private Duration retryAfter;
        private List<FieldViolation> violations = List.of();
        private boolean isFinal;

        /** Reads the service's details; another service's delay is kept, its words are not. */
        private boolean read(byte[] packed) {
            try {
                for (Any detail : com.google.rpc.Status.parseFrom(packed).getDetailsList()) {
                    take(detail);
                }
                return true;
            } catch (InvalidProtocolBufferException e) {
                return false;
            }
        }

        private void take(Any detail) throws InvalidProtocolBufferException {
            if (detail.is(ErrorInfo.class)) {
                ErrorInfo info = detail.unpack(ErrorInfo.class);
                if (info.getDomain().equals(DOMAIN)) {
                    reason = info.getReason();
                    metadata = Map.copyOf(info.getMetadataMap());
                }
            } else if (detail.is(RetryInfo.class)) {
                var delay = detail.unpack(RetryInfo.class).getRetryDelay();
                retryAfter = Duration.ofSeconds(delay.getSeconds(), delay.getNanos());
            } else if (detail.is(BadRequest.class)) {
                violations = detail.unpack(BadRequest.class).getFieldViolationsList().stream()
                        .map(it -> new FieldViolation(it.getField(), it.getDescription()))
                        .toList();
            }
        }

        /** A negative or unreadable pushback forbids a repeat. */
        private void readPushback(String text) {
            if (text == null) {
                return;
            }
            if (text.matches("\\d{1,15}")) {
                retryAfter = Duration.ofMillis(Long.parseLong(text));
            } else {
                isFinal = true;
            }
        }
    }
}
