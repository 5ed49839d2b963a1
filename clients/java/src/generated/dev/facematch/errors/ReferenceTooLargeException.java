// Made by generate-errors from clients/reasons.json.
package dev.facematch.errors;

import dev.facematch.v1.Match;

/** The library's photo is over 10 MiB. */
public final class ReferenceTooLargeException extends MatchFailedException {
    private static final long serialVersionUID = 1L;

    /** @hidden */
    public ReferenceTooLargeException(String message, Match match, ErrorDetails details) {
        super(message, match, details);
    }
}
