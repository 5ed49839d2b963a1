// Made by generate-errors from clients/reasons.json.
package dev.facematch.errors;

import dev.facematch.v1.Match;

/** The match's time ran out; `cause` in the metadata is the last trouble, if there was one. */
public final class MatchTimedOutException extends MatchFailedException {
    private static final long serialVersionUID = 1L;

    /** @hidden */
    public MatchTimedOutException(String message, Match match, ErrorDetails details) {
        super(message, match, details);
    }
}
