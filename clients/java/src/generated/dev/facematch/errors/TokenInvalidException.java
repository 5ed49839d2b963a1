// Made by generate-errors from clients/reasons.json.
package dev.facematch.errors;

/**
 * A resume or page token was truncated or changed, comes from another store or from a time that
 * a restore undid, or is a page token of other filters.
 */
public final class TokenInvalidException extends CallRefusedException {
    private static final long serialVersionUID = 1L;

    /** @hidden */
    public TokenInvalidException(String message, ErrorDetails details) {
        super(message, details);
    }
}
