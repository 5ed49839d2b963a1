// Made by generate-errors from clients/reasons.json.
package dev.facematch.errors;

/** The server can't write the call's audit record, and the call had no effect. */
public final class AuditUnavailableException extends CallRefusedException {
    private static final long serialVersionUID = 1L;

    /** @hidden */
    public AuditUnavailableException(String message, ErrorDetails details) {
        super(message, details);
    }
}
