// Made by generate-errors from clients/reasons.json.
package dev.facematch.errors;

import dev.facematch.v1.Match;

/** Oz used a status word that this version doesn't know. */
public final class OzUnknownStatusException extends MatchFailedException {
    private static final long serialVersionUID = 1L;

    /** @hidden */
    public OzUnknownStatusException(String message, Match match, ErrorDetails details) {
        super(message, match, details);
    }
}
