package dev.facematch;

import dev.facematch.errors.ContractException;
import dev.facematch.errors.ErrorDetails;
import dev.facematch.v1.FaceMatchGrpc;
import dev.facematch.v1.GetMatchRequest;
import dev.facematch.v1.Match;
import dev.facematch.v1.MatchRequest;
import dev.facematch.v1.MatchUpdate;
import dev.facematch.v1.WatchMatchRequest;

/** Follows one match, across calls. */
final class Following implements Followed {
    private final String requestId;
    private final boolean includeProgress;
    private final boolean heartbeats;
    private final Acceptance acceptance;
    /** The request of RunMatch; null once the photo is at Oz. */
    private MatchRequest run;
    private long seen;
    private volatile String matchId;
    private volatile Match match;
    private volatile boolean hasEnded;

    private Following(MatchRequest run, MatchRef ref, long seen, boolean includeProgress,
            boolean heartbeats) {
        this.run = run;
        this.requestId = ref.requestId;
        this.matchId = ref.matchId;
        this.seen = seen;
        this.includeProgress = includeProgress;
        this.heartbeats = heartbeats;
        this.acceptance = new Acceptance(run == null);
    }

    /** Runs a match. */
    static Following run(MatchRequest request, boolean heartbeats) {
        MatchRef ref = MatchRef.requestId(request.getRequestId());
        return new Following(request, ref, 0, request.getIncludeProgress(), heartbeats);
    }

    /** Watches a match after a sequence. */
    static Following watch(MatchRef ref, long afterSequence, boolean progress, boolean heartbeats) {
        return new Following(null, ref, afterSequence, progress, heartbeats);
    }

    @Override
    public String requestId() {
        return requestId;
    }

    @Override
    public String matchId() {
        return matchId;
    }

    /** The match as of the last durable update; null before the first one. */
    Match match() {
        return match;
    }

    @Override
    public Boolean matchContinues() {
        return !hasEnded && acceptance.mayBe();
    }

    @Override
    public boolean hasEnd() {
        return true;
    }

    @Override
    public boolean hasEnded() {
        return hasEnded;
    }

    @Override
    public NextCall<?> nextCall() {
        if (run != null) {
            acceptance.sending();
            return new NextCall<>(FaceMatchGrpc.getRunMatchMethod(), run, true);
        }
        WatchMatchRequest.Builder request = WatchMatchRequest.newBuilder()
                .setAfterSequence(seen)
                .setIncludeProgress(includeProgress);
        if (matchId != null) {
            request.setMatchId(matchId);
        } else {
            request.setRequestId(requestId);
        }
        return new NextCall<>(FaceMatchGrpc.getWatchMatchMethod(), request.build(), false);
    }

    /** A look at the match. */
    GetMatchRequest look() {
        GetMatchRequest.Builder request = GetMatchRequest.newBuilder();
        return (matchId != null ? request.setMatchId(matchId) : request.setRequestId(requestId)).build();
    }

    @Override
    public Taken take(MatchUpdate update) {
        acceptance.answered();
        if (update.hasProgress()) {
            return new Taken(false, true);
        }
        if (update.hasHeartbeat()) {
            return new Taken(false, heartbeats);
        }
        followId(update.getMatchId());
        long sequence = update.getSequence();
        if (Long.compareUnsigned(sequence, seen) <= 0) {
            return new Taken(false, false);
        }
        if (sequence != seen + 1) {
            throw gap(sequence);
        }
        seen = sequence;
        note(update.getMatch());
        return new Taken(true, true);
    }

    @Override
    public void finished() {
        // A match is followed by its sequence, not by a token.
    }

    @Override
    public void failed(Failure failure) {
        acceptance.failed(failure);
    }

    @Override
    public boolean restartsAfter(Failure failure) {
        return false;
    }

    /** Whether a stream that ended before an ending update was complete, by a look at the match. */
    boolean isCompleteWith(Match present) {
        if (!Followed.isOver(present)) {
            return false;
        }
        if (Followed.isEnd(present) && present.getSequence() != seen) {
            return false;
        }
        if (!present.getMatchId().isEmpty()) {
            matchId = present.getMatchId();
        }
        match = present;
        hasEnded = true;
        return true;
    }

    private void followId(String id) {
        if (id.isEmpty() || id.equals(matchId)) {
            return;
        }
        if (matchId != null && run != null) {
            // The store was lost, and the repeated request made a new match.
            seen = 0;
        }
        matchId = id;
    }

    private void note(Match present) {
        match = present;
        if (!present.getPhotoMediaId().isEmpty()) {
            // The photo isn't needed any more.
            run = null;
        }
        hasEnded = Followed.isEnd(present);
    }

    private ContractException gap(long sequence) {
        String message = "update " + Long.toUnsignedString(sequence) + " came after update "
                + Long.toUnsignedString(seen);
        return new ContractException(message, ErrorDetails.NONE.about(requestId, matchId, true));
    }
}
