// Made by generate-errors from clients/reasons.json.
package dev.facematch.errors;

import dev.facematch.v1.Match;

/**
 * The library's photo is not a complete JPEG or PNG, or its dimensions are out of range; the
 * message says which.
 */
public final class ReferenceUnreadableException extends MatchFailedException {
    private static final long serialVersionUID = 1L;

    /** @hidden */
    public ReferenceUnreadableException(String message, Match match, ErrorDetails details) {
        super(message, match, details);
    }
}
