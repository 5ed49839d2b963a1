// Made by generate-errors from clients/reasons.json.
package dev.facematch.errors;

import dev.facematch.v1.Match;

/** The folder has no liveness media, or lacks a named one. */
public final class LivenessMediaNotFoundException extends MatchFailedException {
    private static final long serialVersionUID = 1L;

    /** @hidden */
    public LivenessMediaNotFoundException(String message, Match match, ErrorDetails details) {
        super(message, match, details);
    }
}
