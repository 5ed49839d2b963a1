package dev.facematch;

import dev.facematch.errors.CallCancelledException;
import dev.facematch.errors.ErrorDetails;
import dev.facematch.v1.Match;
import java.time.Duration;
import java.util.Optional;

/**
 * The updates of one match, each durable one once and in order. The stream ends after the match's last
 * update, also if the match FAILED.
 */
public final class MatchStream extends UpdateStream {
    private final Following following;

    MatchStream(Core core, Following following, Duration timeout) {
        super(core, following, timeout);
        this.following = following;
    }

    /**
     * The caller's id of the match, known before anything is sent. Empty if the stream watches by the
     * match's id.
     */
    public Optional<String> requestId() {
        return Optional.ofNullable(following.requestId());
    }

    /** The server's id of the match, from the first update on. */
    public Optional<String> matchId() {
        return Optional.ofNullable(following.matchId());
    }

    /** The match as of the last durable update that was received. */
    public Optional<Match> match() {
        return Optional.ofNullable(following.match());
    }

    /**
     * Reads the rest of the stream and returns the verdict.
     *
     * @throws dev.facematch.errors.NoVerdictException if the match ended without one
     */
    public Verdict verdict() {
        while (hasNext()) {
            next();
        }
        if (!following.hasEnded()) {
            ErrorDetails details = ErrorDetails.NONE.about(
                    following.requestId(), following.matchId(), following.matchContinues());
            throw new CallCancelledException("the stream was closed before the match had ended", details);
        }
        return Verdict.of(following.match());
    }
}
