package dev.facematch.errors;

/** The library refused its arguments or settings, and sent nothing. */
public final class UsageException extends FaceMatchException {
    private static final long serialVersionUID = 1L;

    /** @hidden */
    public UsageException(String message) {
        super(message, ErrorDetails.NONE);
    }

    /** @hidden */
    public UsageException(String message, Throwable cause) {
        super(message, ErrorDetails.NONE, cause);
    }
}
