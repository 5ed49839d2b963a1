// Made by generate-errors from clients/reasons.json.
package dev.facematch.errors;

import dev.facematch.v1.Match;

/** The Oz account lacks a permission. */
public final class OzForbiddenException extends MatchFailedException {
    private static final long serialVersionUID = 1L;

    /** @hidden */
    public OzForbiddenException(String message, Match match, ErrorDetails details) {
        super(message, match, details);
    }
}
