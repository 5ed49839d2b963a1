package dev.facematch;

import com.google.protobuf.Message;
import dev.facematch.v1.Match;
import dev.facematch.v1.MatchState;
import dev.facematch.v1.MatchUpdate;
import io.grpc.MethodDescriptor;

/**
 * The resume algorithm of a stream: which call comes next, and which messages are new. Makes no call,
 * doesn't wait and reads no clock. clients/conformance has it in words.
 */
interface Followed extends Subject {
    /** A call that a stream makes. */
    record NextCall<Request extends Message>(
            MethodDescriptor<Request, MatchUpdate> method, Request request, boolean isUpload) {}

    /** What a message means for its stream. */
    record Taken(boolean isProgress, boolean isForCaller) {}

    /** Whether the stream ends by itself. */
    boolean hasEnd();

    /** Whether the last update was an end. */
    boolean hasEnded();

    NextCall<?> nextCall();

    Taken take(MatchUpdate update);

    /** Notes that the caller is done with the update that it has. */
    void finished();

    void failed(Failure failure);

    /** Whether the stream goes on after a failure that would end others, by the caller's policy. */
    boolean restartsAfter(Failure failure);

    /** Whether a match of the server has ended, or is in a state that this version doesn't know. */
    static boolean isOver(Match match) {
        return switch (match.getState()) {
            case MATCH_STATE_FINISHED, MATCH_STATE_FAILED, MATCH_STATE_CANCELLED, UNRECOGNIZED -> true;
            default -> false;
        };
    }

    static boolean isEnd(Match match) {
        return isOver(match) && match.getState() != MatchState.UNRECOGNIZED;
    }
}
