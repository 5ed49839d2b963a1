// Made by generate-errors from clients/reasons.json.
package dev.facematch.errors;

/** A field is missing, malformed or too long, or has an unknown value. */
public final class FieldInvalidException extends CallRefusedException {
    private static final long serialVersionUID = 1L;

    /** @hidden */
    public FieldInvalidException(String message, ErrorDetails details) {
        super(message, details);
    }
}
