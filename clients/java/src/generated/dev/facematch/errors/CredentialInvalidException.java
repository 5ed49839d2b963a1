// Made by generate-errors from clients/reasons.json.
package dev.facematch.errors;

/** The credential is malformed, wrong, unknown or withdrawn; one wording for all. */
public final class CredentialInvalidException extends CallRefusedException {
    private static final long serialVersionUID = 1L;

    /** @hidden */
    public CredentialInvalidException(String message, ErrorDetails details) {
        super(message, details);
    }
}
