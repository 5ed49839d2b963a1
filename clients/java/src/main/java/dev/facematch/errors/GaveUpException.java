package dev.facematch.errors;

/** The retries are used up. The code and the reason are those of the last failure. */
public final class GaveUpException extends FaceMatchException {
    private static final long serialVersionUID = 1L;

    /** @hidden */
    public GaveUpException(String message, ErrorDetails details) {
        super(message, details);
    }
}
