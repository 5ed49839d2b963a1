package dev.facematch;

import dev.facematch.v1.FaceMatchGrpc;
import dev.facematch.v1.MatchUpdate;
import dev.facematch.v1.WatchMatchesRequest;

/** Follows all matches that a filter selects, across calls. */
final class FollowingAll implements Followed {
    private final WatchMatchesRequest request;
    private final OnExpired onExpired;
    private final boolean heartbeats;
    private volatile String token;
    /** The token of the update that the caller has, until it is done with it. */
    private String pending;
    private String latest;

    FollowingAll(WatchMatchesRequest request, OnExpired onExpired, boolean heartbeats) {
        this.request = request;
        this.onExpired = onExpired;
        this.heartbeats = heartbeats;
        this.token = request.getResumeToken();
        this.latest = token;
    }

    /** The token of the last message that the caller has finished with. */
    String token() {
        return token;
    }

    @Override
    public String requestId() {
        return null;
    }

    @Override
    public String matchId() {
        return null;
    }

    @Override
    public Boolean matchContinues() {
        return null;
    }

    @Override
    public boolean hasEnd() {
        return false;
    }

    @Override
    public boolean hasEnded() {
        return false;
    }

    @Override
    public NextCall<?> nextCall() {
        return new NextCall<>(FaceMatchGrpc.getWatchMatchesMethod(),
                request.toBuilder().setResumeToken(token).build(), false);
    }

    @Override
    public Taken take(MatchUpdate update) {
        String given = update.getResumeToken();
        boolean isProgress = !given.isEmpty() && !given.equals(latest);
        boolean isForCaller = update.hasHeartbeat() ? heartbeats : !update.hasProgress();
        if (!given.isEmpty()) {
            latest = given;
            if (isForCaller) {
                pending = given;
            } else {
                token = given;
            }
        }
        return new Taken(isProgress, isForCaller);
    }

    @Override
    public void finished() {
        if (pending != null) {
            token = pending;
            pending = null;
        }
    }

    @Override
    public void failed(Failure failure) {
        // No match is accepted here.
    }

    @Override
    public boolean restartsAfter(Failure failure) {
        if (!"TOKEN_EXPIRED".equals(failure.reason) || onExpired == OnExpired.THROW) {
            return false;
        }
        token = onExpired == OnExpired.EARLIEST ? "earliest" : "";
        return true;
    }
}
