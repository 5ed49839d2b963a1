// Made by generate-errors from clients/reasons.json.
package dev.facematch.errors;

/** The server is shutting down. */
public final class ServerDrainingException extends CallRefusedException {
    private static final long serialVersionUID = 1L;

    /** @hidden */
    public ServerDrainingException(String message, ErrorDetails details) {
        super(message, details);
    }
}
