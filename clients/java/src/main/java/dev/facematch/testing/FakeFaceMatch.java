package dev.facematch.testing;

import com.google.protobuf.Any;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import dev.facematch.FaceMatchClient;
import dev.facematch.RetryPolicy;
import dev.facematch.Times;
import dev.facematch.errors.Reasons;
import dev.facematch.v1.Match;
import dev.facematch.v1.MatchError;
import dev.facematch.v1.MatchRequest;
import dev.facematch.v1.MatchResult;
import dev.facematch.v1.MatchState;
import dev.facematch.v1.Resolution;
import io.grpc.Metadata;
import io.grpc.Server;
import io.grpc.Status;
import io.grpc.StatusException;
import io.grpc.inprocess.InProcessChannelBuilder;
import io.grpc.inprocess.InProcessServerBuilder;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Duration;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;

/**
 * A FaceMatch inside of the test's own process, for unit tests, with all verbs. Its matches end at
 * once, as SUCCESS or as their folder's outcome says. It looks at no photo, and knows every folder.
 * {@link FaceMatchServer} is the service itself. The program's tests bring
 * {@code io.grpc:grpc-inprocess}.
 */
public final class FakeFaceMatch implements AutoCloseable {
    private static final String SERVICE = "facematch.v1.FaceMatch";
    private static final double SIMILAR = 0.97;
    private static final double NOT_SIMILAR = 0.31;
    /** A client of a fake repeats calls at once: a test doesn't wait. */
    private static final RetryPolicy QUICK = new RetryPolicy(
            Duration.ofMillis(1), Duration.ofMillis(10), Duration.ofMinutes(1), Integer.MAX_VALUE);

    private final FakeState state = new FakeState();
    private final FakeFaults faults = new FakeFaults();
    private final String name = InProcessServerBuilder.generateName();
    private final Server server;

    public FakeFaceMatch() {
        try {
            server = InProcessServerBuilder.forName(name)
                    .addService(new FakeService(state))
                    .intercept(faults)
                    .directExecutor()
                    .build()
                    .start();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** A client of this fake. */
    public FaceMatchClient client() {
        return clientBuilder().build();
    }

    /** A client of this fake with settings of its own. */
    public FaceMatchClient.Builder clientBuilder() {
        return FaceMatchClient.builder("localhost:1")
                .retry(QUICK)
                .channels(() -> InProcessChannelBuilder.forName(name).directExecutor().build());
    }

    /** Matches in this folder end with this resolution, those that are held included. */
    public void finish(String folderId, Resolution resolution) {
        double similarity = resolution == Resolution.RESOLUTION_SUCCESS ? SIMILAR : NOT_SIMILAR;
        finish(folderId, MatchResult.newBuilder()
                .setResolution(resolution)
                .setMinConfidence(similarity)
                .build());
    }

    /** Matches in this folder end with this result, those that are held included. */
    public void finish(String folderId, MatchResult result) {
        state.decide(folderId, finished(result));
    }

    /**
     * Matches in this folder end as FAILED, those that are held included.
     *
     * @param reason such as {@code PHOTO_LOST}
     */
    public void fail(String folderId, String reason, boolean retryable) {
        MatchError error = MatchError.newBuilder()
                .setCode(code(reason).value())
                .setReason(reason)
                .setMessage("the fake was told to fail this match")
                .setRetryable(retryable)
                .build();
        state.decide(folderId, Match.newBuilder()
                .setState(MatchState.MATCH_STATE_FAILED)
                .setError(error)
                .build());
    }

    /** Matches in this folder stay PROCESSING until a test finishes, fails or cancels them. */
    public void hold(String folderId) {
        state.decide(folderId, Match.getDefaultInstance());
    }

    /**
     * The next call of an rpc is refused.
     *
     * @param rpc such as {@code RunMatch}
     * @param reason such as {@code STORE_UNAVAILABLE}
     */
    public void refuse(String rpc, String reason) {
        faults.add(checked(rpc), refusal(reason, null));
    }

    /** The next call of an rpc is refused, with a delay after which the client repeats it. */
    public void refuse(String rpc, String reason, Duration retryAfter) {
        faults.add(checked(rpc), refusal(reason, retryAfter));
    }

    /** The next call of an rpc breaks before it has an effect, as on a lost connection. */
    public void breakCall(String rpc) {
        faults.add(checked(rpc), broken());
    }

    /** All open calls break, as by a restart of the server. Matches stay. */
    public void cut() {
        state.cut(broken());
    }

    /** All requests of matches, oldest first, repeated ones included. */
    public List<MatchRequest> requests() {
        return state.requests();
    }

    @Override
    public void close() {
        server.shutdownNow();
    }

    static Match finished(MatchResult result) {
        return Match.newBuilder().setState(MatchState.MATCH_STATE_FINISHED).setResult(result).build();
    }

    /** The outcome of a folder of which the fake was told nothing. */
    static Match usual() {
        return finished(MatchResult.newBuilder()
                .setResolution(Resolution.RESOLUTION_SUCCESS)
                .setMinConfidence(SIMILAR)
                .build());
    }

    /** The error of a refused call. */
    static StatusException refusal(String reason, Duration retryAfter) {
        var info = ErrorInfo.newBuilder().setDomain("facematch").setReason(reason).build();
        var status = com.google.rpc.Status.newBuilder().addDetails(Any.pack(info));
        if (retryAfter != null) {
            status.addDetails(Any.pack(
                    RetryInfo.newBuilder().setRetryDelay(Times.of(retryAfter)).build()));
        }
        Metadata trailers = new Metadata();
        trailers.put(Metadata.Key.of("grpc-status-details-bin", Metadata.BINARY_BYTE_MARSHALLER),
                status.build().toByteArray());
        return code(reason).toStatus().withDescription("the fake refused the call").asException(trailers);
    }

    private static StatusException broken() {
        return Status.UNAVAILABLE.withDescription("the fake broke the call").asException();
    }

    private static Status.Code code(String reason) {
        return Reasons.code(reason).map(Status.Code::valueOf).orElseThrow(
                () -> new IllegalArgumentException("there is no reason " + reason));
    }

    private String checked(String rpc) {
        Set<String> rpcs = new TreeSet<>();
        server.getServices().stream()
                .filter(it -> it.getServiceDescriptor().getName().equals(SERVICE))
                .flatMap(it -> it.getServiceDescriptor().getMethods().stream())
                .forEach(it -> rpcs.add(it.getBareMethodName()));
        if (!rpcs.contains(rpc)) {
            throw new IllegalArgumentException("there is no rpc " + rpc + ", but " + rpcs);
        }
        return rpc;
    }
}
