// Made by generate-errors from clients/reasons.json.
package dev.facematch.errors;

import dev.facematch.v1.Match;

/** Oz has refused this server's login for a minute. */
public final class OzLoginRefusedException extends MatchFailedException {
    private static final long serialVersionUID = 1L;

    /** @hidden */
    public OzLoginRefusedException(String message, Match match, ErrorDetails details) {
        super(message, match, details);
    }
}
