// Made by generate-errors from clients/reasons.json.
package dev.facematch.errors;

/** The match has ended as FINISHED or FAILED and can't be cancelled any more. */
public final class MatchEndedException extends CallRefusedException {
    private static final long serialVersionUID = 1L;

    /** @hidden */
    public MatchEndedException(String message, ErrorDetails details) {
        super(message, details);
    }
}
