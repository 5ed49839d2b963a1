// Made by generate-errors from clients/reasons.json.
package dev.facematch.errors;

/** No match has this id, or it was erased. */
public final class MatchNotFoundException extends CallRefusedException {
    private static final long serialVersionUID = 1L;

    /** @hidden */
    public MatchNotFoundException(String message, ErrorDetails details) {
        super(message, details);
    }
}
