package dev.facematch;

import dev.facematch.errors.ContractException;
import dev.facematch.errors.ErrorDetails;
import dev.facematch.errors.MatchCancelledException;
import dev.facematch.errors.Reasons;
import dev.facematch.v1.LivenessResult;
import dev.facematch.v1.Match;
import dev.facematch.v1.MatchError;
import dev.facematch.v1.MatchResult;
import dev.facematch.v1.Resolution;
import io.grpc.Status;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;

/** Oz's decision about a photo and the liveness media of a folder. It fails closed. */
public final class Verdict {
    private final Match match;

    private Verdict(Match match) {
        this.match = match;
    }

    /**
     * The verdict of a match that has ended.
     *
     * @throws dev.facematch.errors.NoVerdictException if the match FAILED or was CANCELLED
     * @throws ContractException if the match has no verdict that this version knows
     */
    public static Verdict of(Match match) {
        return switch (match.getState()) {
            case MATCH_STATE_FINISHED -> ofFinished(match);
            case MATCH_STATE_FAILED -> throw failed(match);
            case MATCH_STATE_CANCELLED -> throw new MatchCancelledException(match);
            default -> throw meaningless(match, "the match hasn't ended, as far as this version knows");
        };
    }

    /** SUCCESS, DECLINED or OPERATOR_REQUIRED. */
    public Resolution resolution() {
        return result().getResolution();
    }

    /** True only for SUCCESS. It says nothing of liveness. */
    public boolean isSamePerson() {
        return resolution() == Resolution.RESOLUTION_SUCCESS;
    }

    /** The similarity of the least similar pair, from 0 to 1. This number decides. */
    public double minConfidence() {
        return result().getMinConfidence();
    }

    /** The similarity of the most similar pair, from 0 to 1. */
    public OptionalDouble maxConfidence() {
        return result().hasMaxConfidence()
                ? OptionalDouble.of(result().getMaxConfidence())
                : OptionalDouble.empty();
    }

    /** The folder's liveness result, if there is one. The verdict doesn't include it. */
    public Optional<LivenessResult> liveness() {
        return result().hasLiveness() ? Optional.of(result().getLiveness()) : Optional.empty();
    }

    /** Whether the folder's liveness result is a SUCCESS; false if there is none. */
    public boolean isLivenessPassed() {
        return result().getLiveness().getResolution() == Resolution.RESOLUTION_SUCCESS;
    }

    public String matchId() {
        return match.getMatchId();
    }

    public String requestId() {
        return match.getRequestId();
    }

    /** The match as it ended. */
    public Match match() {
        return match;
    }

    /** Without the match, since it has the labels. */
    @Override
    public String toString() {
        return "Verdict[" + resolution() + ", minConfidence=" + minConfidence() + ", matchId="
                + matchId() + "]";
    }

    private MatchResult result() {
        return match.getResult();
    }

    private static Verdict ofFinished(Match match) {
        switch (match.getResult().getResolution()) {
            case RESOLUTION_SUCCESS, RESOLUTION_DECLINED, RESOLUTION_OPERATOR_REQUIRED -> {
                if (match.getResult().hasMinConfidence()) {
                    return new Verdict(match);
                }
                throw meaningless(match, "the match has a resolution without a score");
            }
            default -> throw meaningless(match, "the match has no resolution that this version knows");
        }
    }

    private static RuntimeException failed(Match match) {
        MatchError error = match.getError();
        String reason = error.getReason().isEmpty() ? null : error.getReason();
        ErrorDetails details = new ErrorDetails(codeName(error.getCode()), reason,
                error.getMetadataMap(), null, List.of(), null, null, null);
        return Reasons.failed(error.getMessage(), match, details);
    }

    private static ContractException meaningless(Match match, String message) {
        String requestId = match.getRequestId().isEmpty() ? null : match.getRequestId();
        return new ContractException(message, ErrorDetails.NONE.about(requestId, match.getMatchId(), false));
    }

    /** The name of a gRPC status code; the number itself for an unknown one. */
    private static String codeName(int number) {
        Status.Code code = Status.fromCodeValue(number).getCode();
        return code.value() == number ? code.name() : String.valueOf(number);
    }
}
