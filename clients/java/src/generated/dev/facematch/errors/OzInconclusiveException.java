// Made by generate-errors from clients/reasons.json.
package dev.facematch.errors;

import dev.facematch.v1.Match;

/** Oz's analysis ended without a usable score, or its words contradict each other. */
public final class OzInconclusiveException extends MatchFailedException {
    private static final long serialVersionUID = 1L;

    /** @hidden */
    public OzInconclusiveException(String message, Match match, ErrorDetails details) {
        super(message, match, details);
    }
}
