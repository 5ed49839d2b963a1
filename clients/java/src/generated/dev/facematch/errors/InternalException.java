// Made by generate-errors from clients/reasons.json.
package dev.facematch.errors;

/** A bug in FaceMatch. */
public final class InternalException extends CallRefusedException {
    private static final long serialVersionUID = 1L;

    /** @hidden */
    public InternalException(String message, ErrorDetails details) {
        super(message, details);
    }
}
