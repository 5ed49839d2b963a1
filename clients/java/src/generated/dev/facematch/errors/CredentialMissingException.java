// Made by generate-errors from clients/reasons.json.
package dev.facematch.errors;

/**
 * The server authenticates callers, and the call has neither an `authorization` header nor a
 * client certificate.
 */
public final class CredentialMissingException extends CallRefusedException {
    private static final long serialVersionUID = 1L;

    /** @hidden */
    public CredentialMissingException(String message, ErrorDetails details) {
        super(message, details);
    }
}
