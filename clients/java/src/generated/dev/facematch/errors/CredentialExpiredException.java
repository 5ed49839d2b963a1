// Made by generate-errors from clients/reasons.json.
package dev.facematch.errors;

/**
 * The credential has expired; a stream also ends with it when its credential expires or is
 * withdrawn.
 */
public final class CredentialExpiredException extends CallRefusedException {
    private static final long serialVersionUID = 1L;

    /** @hidden */
    public CredentialExpiredException(String message, ErrorDetails details) {
        super(message, details);
    }
}
