// Made by generate-errors from clients/reasons.json.
package dev.facematch.errors;

import dev.facematch.v1.Match;

/** The server died before Oz had the photo, and no caller sent it again in time. */
public final class PhotoLostException extends MatchFailedException {
    private static final long serialVersionUID = 1L;

    /** @hidden */
    public PhotoLostException(String message, Match match, ErrorDetails details) {
        super(message, match, details);
    }
}
