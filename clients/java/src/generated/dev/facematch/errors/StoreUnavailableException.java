// Made by generate-errors from clients/reasons.json.
package dev.facematch.errors;

/** The server's store can't be read or written. */
public final class StoreUnavailableException extends CallRefusedException {
    private static final long serialVersionUID = 1L;

    /** @hidden */
    public StoreUnavailableException(String message, ErrorDetails details) {
        super(message, details);
    }
}
