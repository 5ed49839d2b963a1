package dev.facematch.errors;

import dev.facematch.v1.Match;

/** The match has ended without a verdict. */
public abstract class NoVerdictException extends FaceMatchException {
    private static final long serialVersionUID = 1L;

    private final Match match;

    NoVerdictException(String message, Match match, ErrorDetails details) {
        super(message, details.about(emptyAsNull(match.getRequestId()), match.getMatchId(), false));
        this.match = match;
    }

    /** The match as it ended. Not part of the message, since it has the labels. */
    public final Match match() {
        return match;
    }

    private static String emptyAsNull(String text) {
        return text.isEmpty() ? null : text;
    }
}
