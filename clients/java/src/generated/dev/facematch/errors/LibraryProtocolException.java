// Made by generate-errors from clients/reasons.json.
package dev.facematch.errors;

import dev.facematch.v1.Match;

/**
 * The photo library answered with a redirect, with a length that isn't the photo's, or otherwise
 * than its kind does.
 */
public final class LibraryProtocolException extends MatchFailedException {
    private static final long serialVersionUID = 1L;

    /** @hidden */
    public LibraryProtocolException(String message, Match match, ErrorDetails details) {
        super(message, match, details);
    }
}
