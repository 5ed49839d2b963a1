// Made by generate-errors from clients/reasons.json.
package dev.facematch.errors;

/**
 * The call's own deadline passed at the server, or the request did not arrive in time; a match
 * that was accepted continues.
 */
public final class CallTimedOutException extends CallRefusedException {
    private static final long serialVersionUID = 1L;

    /** @hidden */
    public CallTimedOutException(String message, ErrorDetails details) {
        super(message, details);
    }
}
