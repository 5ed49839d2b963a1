package dev.facematch;

import java.time.Duration;

/**
 * The updates of all matches of the caller, or of those that a filter selects. It doesn't end by
 * itself.
 *
 * <p>To ask for the next update says that the caller is done with the one that it has: only then does
 * {@link #resumeToken} move past it.
 */
public final class AllMatchesStream extends UpdateStream {
    private final FollowingAll following;

    AllMatchesStream(Core core, FollowingAll following, Duration timeout) {
        super(core, following, timeout);
        this.following = following;
    }

    /**
     * The token after the last message that the caller is done with, heartbeats included. Stored, it
     * continues the stream after a restart. Empty before the first message of a stream that begins now.
     */
    public String resumeToken() {
        return following.token();
    }

    /** Says that the caller is done with the update that it has, before it asks for the next one. */
    public void ack() {
        following.finished();
    }
}
