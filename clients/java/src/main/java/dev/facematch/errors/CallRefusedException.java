package dev.facematch.errors;

/**
 * The server refused the call, and would refuse it again; or the transport failed in a way that a
 * repeat doesn't mend. The exception of a known reason is a subclass.
 */
public class CallRefusedException extends FaceMatchException {
    private static final long serialVersionUID = 1L;

    /** @hidden */
    public CallRefusedException(String message, ErrorDetails details) {
        super(message, details);
    }
}
