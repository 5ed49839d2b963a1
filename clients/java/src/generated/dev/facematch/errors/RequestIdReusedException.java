// Made by generate-errors from clients/reasons.json.
package dev.facematch.errors;

/**
 * The `request_id` names a match with other content; `field` in the metadata names the first
 * field that differs.
 */
public final class RequestIdReusedException extends CallRefusedException {
    private static final long serialVersionUID = 1L;

    /** @hidden */
    public RequestIdReusedException(String message, ErrorDetails details) {
        super(message, details);
    }
}
