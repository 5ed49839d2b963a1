// Made by generate-errors from clients/reasons.json.
package dev.facematch.errors;

/** The tenant has no photo library (`reference_key`). */
public final class NotAvailableException extends CallRefusedException {
    private static final long serialVersionUID = 1L;

    /** @hidden */
    public NotAvailableException(String message, ErrorDetails details) {
        super(message, details);
    }
}
