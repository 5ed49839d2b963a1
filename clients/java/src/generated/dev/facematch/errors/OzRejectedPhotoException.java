// Made by generate-errors from clients/reasons.json.
package dev.facematch.errors;

import dev.facematch.v1.Match;

/** Oz refused the photo. */
public final class OzRejectedPhotoException extends MatchFailedException {
    private static final long serialVersionUID = 1L;

    /** @hidden */
    public OzRejectedPhotoException(String message, Match match, ErrorDetails details) {
        super(message, match, details);
    }
}
