package dev.facematch.errors;

import dev.facematch.v1.Match;

/** A caller has cancelled the match. */
public final class MatchCancelledException extends NoVerdictException {
    private static final long serialVersionUID = 1L;

    /** @hidden */
    public MatchCancelledException(Match match) {
        super("the match was cancelled", match, ErrorDetails.NONE);
    }
}
