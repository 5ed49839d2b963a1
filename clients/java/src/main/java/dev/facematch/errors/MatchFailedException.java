package dev.facematch.errors;

import dev.facematch.v1.Match;

/** The match FAILED. The exception of a known reason is a subclass. */
public class MatchFailedException extends NoVerdictException {
    private static final long serialVersionUID = 1L;

    /** @hidden */
    public MatchFailedException(String message, Match match, ErrorDetails details) {
        super(message, match, details);
    }

    /** Whether a new match, with a new request id, may succeed without any other change. */
    public final boolean isRetryable() {
        return match().getError().getRetryable();
    }
}
