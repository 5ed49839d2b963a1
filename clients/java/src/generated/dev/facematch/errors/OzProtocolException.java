// Made by generate-errors from clients/reasons.json.
package dev.facematch.errors;

import dev.facematch.v1.Match;

/** Oz's answers lack required fields, or Oz doesn't know the analysis that it has started. */
public final class OzProtocolException extends MatchFailedException {
    private static final long serialVersionUID = 1L;

    /** @hidden */
    public OzProtocolException(String message, Match match, ErrorDetails details) {
        super(message, match, details);
    }
}
