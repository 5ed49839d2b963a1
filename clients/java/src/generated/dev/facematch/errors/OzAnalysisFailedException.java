// Made by generate-errors from clients/reasons.json.
package dev.facematch.errors;

import dev.facematch.v1.Match;

/** Oz's analysis ended as FAILED, or Oz refused to start it. */
public final class OzAnalysisFailedException extends MatchFailedException {
    private static final long serialVersionUID = 1L;

    /** @hidden */
    public OzAnalysisFailedException(String message, Match match, ErrorDetails details) {
        super(message, match, details);
    }
}
