// Made by generate-errors from clients/reasons.json.
package dev.facematch.errors;

/** The photo is over 10 MiB. */
public final class PhotoTooLargeException extends CallRefusedException {
    private static final long serialVersionUID = 1L;

    /** @hidden */
    public PhotoTooLargeException(String message, ErrorDetails details) {
        super(message, details);
    }
}
