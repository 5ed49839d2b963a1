// Made by generate-errors from clients/reasons.json.
package dev.facematch.errors;

/**
 * The caller didn't read the stream's updates for longer than `--stream-stall`; the match
 * continues.
 */
public final class UpdatesUnreadException extends CallRefusedException {
    private static final long serialVersionUID = 1L;

    /** @hidden */
    public UpdatesUnreadException(String message, ErrorDetails details) {
        super(message, details);
    }
}
