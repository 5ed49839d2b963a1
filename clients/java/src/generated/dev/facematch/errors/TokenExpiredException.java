// Made by generate-errors from clients/reasons.json.
package dev.facematch.errors;

/** Retention has erased updates that would come after the token. */
public final class TokenExpiredException extends CallRefusedException {
    private static final long serialVersionUID = 1L;

    /** @hidden */
    public TokenExpiredException(String message, ErrorDetails details) {
        super(message, details);
    }
}
