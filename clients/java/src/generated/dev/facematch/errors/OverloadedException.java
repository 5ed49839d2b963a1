// Made by generate-errors from clients/reasons.json.
package dev.facematch.errors;

/**
 * The server is at one of its limits, and the call had no effect; `limit` in the metadata is one
 * of `unfinished-matches`, `photo-memory`, `request-memory`, `calls`.
 */
public final class OverloadedException extends CallRefusedException {
    private static final long serialVersionUID = 1L;

    /** @hidden */
    public OverloadedException(String message, ErrorDetails details) {
        super(message, details);
    }
}
