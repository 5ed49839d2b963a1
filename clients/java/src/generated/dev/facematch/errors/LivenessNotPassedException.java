// Made by generate-errors from clients/reasons.json.
package dev.facematch.errors;

import dev.facematch.v1.Match;

/** `LIVENESS_POLICY_REQUIRE`, and the liveness analysis is missing or doesn't say SUCCESS. */
public final class LivenessNotPassedException extends MatchFailedException {
    private static final long serialVersionUID = 1L;

    /** @hidden */
    public LivenessNotPassedException(String message, Match match, ErrorDetails details) {
        super(message, match, details);
    }
}
