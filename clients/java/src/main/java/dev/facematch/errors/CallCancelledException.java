package dev.facematch.errors;

/**
 * The caller cancelled the call: by the stream's {@code cancel}, by an interrupt of its thread, which
 * stays interrupted, or by closing the client.
 */
public final class CallCancelledException extends FaceMatchException {
    private static final long serialVersionUID = 1L;

    /** @hidden */
    public CallCancelledException(String message, ErrorDetails details) {
        super(message, details);
    }
}
