// Made by generate-errors from clients/reasons.json.
package dev.facematch.errors;

/** `after_sequence` is higher than the match's sequence, which is `reached` in the metadata. */
public final class WatchAheadException extends CallRefusedException {
    private static final long serialVersionUID = 1L;

    /** @hidden */
    public WatchAheadException(String message, ErrorDetails details) {
        super(message, details);
    }
}
