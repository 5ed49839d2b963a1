package dev.facematch;

import dev.facematch.errors.UsageException;

/** Names a match by one of its ids. */
public final class MatchRef {
    final String matchId;
    final String requestId;

    private MatchRef(String matchId, String requestId) {
        String id = matchId == null ? requestId : matchId;
        if (id == null || id.isEmpty()) {
            throw new UsageException("a match is named by its match id or its request id");
        }
        this.matchId = matchId;
        this.requestId = requestId;
    }

    /** By the server's id. */
    public static MatchRef matchId(String matchId) {
        return new MatchRef(matchId, null);
    }

    /** By the caller's own id. */
    public static MatchRef requestId(String requestId) {
        return new MatchRef(null, requestId);
    }

    @Override
    public String toString() {
        return matchId == null ? "requestId " + requestId : "matchId " + matchId;
    }
}
