// Made by generate-errors from clients/reasons.json.
package dev.facematch.errors;

import dev.facematch.v1.Match;

/** The folder has no medium with that `folder_media_id`, or that medium is not an image. */
public final class OzMediaNotFoundException extends MatchFailedException {
    private static final long serialVersionUID = 1L;

    /** @hidden */
    public OzMediaNotFoundException(String message, Match match, ErrorDetails details) {
        super(message, match, details);
    }
}
