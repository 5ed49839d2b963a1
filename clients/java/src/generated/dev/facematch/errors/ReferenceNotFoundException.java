// Made by generate-errors from clients/reasons.json.
package dev.facematch.errors;

import dev.facematch.v1.Match;

/** The photo library has no photo for the `reference_key`. */
public final class ReferenceNotFoundException extends MatchFailedException {
    private static final long serialVersionUID = 1L;

    /** @hidden */
    public ReferenceNotFoundException(String message, Match match, ErrorDetails details) {
        super(message, match, details);
    }
}
