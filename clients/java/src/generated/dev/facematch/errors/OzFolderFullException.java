// Made by generate-errors from clients/reasons.json.
package dev.facematch.errors;

import dev.facematch.v1.Match;

/** Oz refused the photo, and the folder holds 10 media or more. */
public final class OzFolderFullException extends MatchFailedException {
    private static final long serialVersionUID = 1L;

    /** @hidden */
    public OzFolderFullException(String message, Match match, ErrorDetails details) {
        super(message, match, details);
    }
}
