// Made by generate-errors from clients/reasons.json.
package dev.facematch.errors;

import dev.facematch.v1.Match;

/** The photo library refuses this server. */
public final class LibraryForbiddenException extends MatchFailedException {
    private static final long serialVersionUID = 1L;

    /** @hidden */
    public LibraryForbiddenException(String message, Match match, ErrorDetails details) {
        super(message, match, details);
    }
}
