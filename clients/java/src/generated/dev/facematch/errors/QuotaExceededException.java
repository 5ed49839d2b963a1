// Made by generate-errors from clients/reasons.json.
package dev.facematch.errors;

/**
 * The tenant is at one of its own limits, and the call had no effect; `limit` in the metadata is
 * one of `unfinished-matches`, `photo-memory`, `rate`, `streams`.
 */
public final class QuotaExceededException extends CallRefusedException {
    private static final long serialVersionUID = 1L;

    /** @hidden */
    public QuotaExceededException(String message, ErrorDetails details) {
        super(message, details);
    }
}
