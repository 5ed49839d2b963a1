package dev.facematch.errors;

/** The time limit of a call has passed: the caller's, or a default. */
public final class DeadlineException extends FaceMatchException {
    private static final long serialVersionUID = 1L;

    /** @hidden */
    public DeadlineException(String message, ErrorDetails details) {
        super(message, details);
    }
}
