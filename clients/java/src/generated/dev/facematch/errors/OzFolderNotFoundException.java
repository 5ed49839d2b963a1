// Made by generate-errors from clients/reasons.json.
package dev.facematch.errors;

import dev.facematch.v1.Match;

/** Oz has no such folder. */
public final class OzFolderNotFoundException extends MatchFailedException {
    private static final long serialVersionUID = 1L;

    /** @hidden */
    public OzFolderNotFoundException(String message, Match match, ErrorDetails details) {
        super(message, match, details);
    }
}
