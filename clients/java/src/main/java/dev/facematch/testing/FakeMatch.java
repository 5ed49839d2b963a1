package dev.facematch.testing;

import com.google.protobuf.Timestamp;
import dev.facematch.Times;
import dev.facematch.v1.Accepted;
import dev.facematch.v1.AnalysisStarted;
import dev.facematch.v1.Cancelled;
import dev.facematch.v1.Failed;
import dev.facematch.v1.Finished;
import dev.facematch.v1.Match;
import dev.facematch.v1.MatchRequest;
import dev.facematch.v1.MatchState;
import dev.facematch.v1.MatchUpdate;
import dev.facematch.v1.PhotoUploaded;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;
import java.util.function.UnaryOperator;

/** A match of a fake, and its updates. The lock of its {@link FakeState} guards it. */
final class FakeMatch {
    final MatchRequest request;
    final List<MatchUpdate> updates = new ArrayList<>();
    /** Gives an update its token, and tells those that follow it. */
    private final UnaryOperator<MatchUpdate> publish;
    private Match present;

    FakeMatch(MatchRequest request, UnaryOperator<MatchUpdate> publish) {
        this.request = request;
        this.publish = publish;
        present = Match.newBuilder()
                .setMatchId(UUID.randomUUID().toString())
                .setRequestId(request.getRequestId())
                .setFolderId(request.getFolderId())
                .putAllLabels(request.getLabelsMap())
                .addAllLivenessMediaIds(request.getLivenessMediaIdsList())
                .setLivenessPolicy(request.getLivenessPolicy())
                .setPhotoKind(request.getPhoto().getKind())
                .setCreateTime(now())
                .build();
    }

    /** The match as it is now. */
    Match present() {
        return present;
    }

    boolean hasEnded() {
        return switch (present.getState()) {
            case MATCH_STATE_FINISHED, MATCH_STATE_FAILED, MATCH_STATE_CANCELLED -> true;
            default -> false;
        };
    }

    /** Brings the photo to Oz and starts its analysis. */
    void start() {
        add(change(MatchState.MATCH_STATE_ACCEPTED),
                MatchUpdate.newBuilder().setAccepted(Accepted.getDefaultInstance()));
        String named = request.getPhoto().getFolderMediaId();
        String photo = named.isEmpty() ? UUID.randomUUID().toString() : named;
        add(change(MatchState.MATCH_STATE_UPLOADED).setPhotoMediaId(photo), MatchUpdate.newBuilder()
                .setPhotoUploaded(PhotoUploaded.newBuilder().setPhotoMediaId(photo)));
        String analysis = UUID.randomUUID().toString();
        add(change(MatchState.MATCH_STATE_PROCESSING).setAnalysisId(analysis), MatchUpdate.newBuilder()
                .setAnalysisStarted(AnalysisStarted.newBuilder().setAnalysisId(analysis)));
    }

    /** Ends a match that runs. An outcome without a state leaves it running. */
    void decide(Match outcome) {
        if (hasEnded() || outcome.getState() == MatchState.MATCH_STATE_UNSPECIFIED) {
            return;
        }
        MatchUpdate.Builder last = outcome.hasResult()
                ? MatchUpdate.newBuilder().setFinished(Finished.newBuilder().setResult(outcome.getResult()))
                : MatchUpdate.newBuilder().setFailed(Failed.newBuilder().setError(outcome.getError()));
        add(change(outcome.getState()).mergeFrom(outcome).setEndTime(now()), last);
    }

    void cancel() {
        add(change(MatchState.MATCH_STATE_CANCELLED).setEndTime(now()),
                MatchUpdate.newBuilder().setCancelled(Cancelled.getDefaultInstance()));
    }

    private Match.Builder change(MatchState state) {
        return present.toBuilder()
                .setState(state)
                .setSequence(present.getSequence() + 1)
                .setUpdateTime(now());
    }

    private void add(Match.Builder changed, MatchUpdate.Builder event) {
        present = changed.build();
        updates.add(publish.apply(event.setMatchId(present.getMatchId())
                .setSequence(present.getSequence())
                .setTime(present.getUpdateTime())
                .setMatch(present)
                .build()));
    }

    static Timestamp now() {
        return Times.of(Instant.now());
    }
}
