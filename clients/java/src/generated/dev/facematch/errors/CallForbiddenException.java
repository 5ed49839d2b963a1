// Made by generate-errors from clients/reasons.json.
package dev.facematch.errors;

/**
 * The caller lacks a permission, which is the `permission` in the metadata: `match`, `read` or
 * `erase`.
 */
public final class CallForbiddenException extends CallRefusedException {
    private static final long serialVersionUID = 1L;

    /** @hidden */
    public CallForbiddenException(String message, ErrorDetails details) {
        super(message, details);
    }
}
