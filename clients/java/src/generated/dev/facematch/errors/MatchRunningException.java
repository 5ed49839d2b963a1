// Made by generate-errors from clients/reasons.json.
package dev.facematch.errors;

/** The match is still running and can't be erased. */
public final class MatchRunningException extends CallRefusedException {
    private static final long serialVersionUID = 1L;

    /** @hidden */
    public MatchRunningException(String message, ErrorDetails details) {
        super(message, details);
    }
}
