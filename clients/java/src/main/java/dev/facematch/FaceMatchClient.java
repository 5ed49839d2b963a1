package dev.facematch;

import com.google.protobuf.Message;
import dev.facematch.errors.FaceMatchException;
import dev.facematch.errors.MatchNotFoundException;
import dev.facematch.errors.UsageException;
import dev.facematch.v1.CancelMatchRequest;
import dev.facematch.v1.DeleteMatchRequest;
import dev.facematch.v1.DeleteMatchResponse;
import dev.facematch.v1.FaceMatchGrpc;
import dev.facematch.v1.GetMatchRequest;
import dev.facematch.v1.ListMatchesRequest;
import dev.facematch.v1.ListMatchesResponse;
import dev.facematch.v1.Match;
import dev.facematch.v1.MatchRequest;
import dev.facematch.v1.WaitMatchRequest;
import dev.facematch.v1.WatchMatchesRequest;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.MethodDescriptor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.Iterator;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import java.util.function.Consumer;
import java.util.function.Supplier;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;

/**
 * A client of FaceMatch. Threads share it: it has one connection, which it opens with the first call.
 *
 * <p>All verbs block, and repeat broken calls by themselves. A {@code timeout} limits the call, all
 * its retries included, and never the match; so does an interrupt of the calling thread. Exceptions
 * are subclasses of {@link dev.facematch.errors.FaceMatchException}.
 */
public final class FaceMatchClient implements AutoCloseable {
    /** One try of CreateMatch may take so many times the limit of a read: it ends with the upload. */
    private static final int CREATE_FACTOR = 3;

    private final Core core;
    private final String target;

    private FaceMatchClient(Builder builder) {
        core = new Core(builder);
        target = builder.endpoint.target();
    }

    /** A client with the default settings. */
    public static FaceMatchClient connect(String target) {
        return builder(target).build();
    }

    /** @param target {@code HOST:PORT}, a URL with {@code http://} or {@code https://}, or any other
     *     target of gRPC */
    public static Builder builder(String target) {
        return new Builder(target);
    }

    /** A new id for a match. Stored before the first call, it keeps a crash from doubling the match. */
    public static String newRequestId() {
        return UUID.randomUUID().toString();
    }

    /** The server's version, as its last answer said. */
    public Optional<String> serverVersion() {
        return Optional.ofNullable(core.serverVersion());
    }

    /** Ends all calls and closes the connection. Matches go on. Closing twice is fine. */
    @Override
    public void close() {
        core.close();
    }

    @Override
    public String toString() {
        return "FaceMatchClient[" + target + "]";
    }

    /** Runs a match without a time limit of the call. */
    public Verdict match(MatchRequest request) {
        return match(request, null);
    }

    /**
     * Runs a match and returns its verdict: DECLINED and OPERATOR_REQUIRED are verdicts, too. Without
     * a request id, the client makes one, which exceptions show.
     *
     * @throws dev.facematch.errors.NoVerdictException if the match ended without one
     */
    public Verdict match(MatchRequest request, Duration timeout) {
        try (MatchStream stream = quiet(request, timeout)) {
            return stream.verdict();
        }
    }

    private MatchStream quiet(MatchRequest request, Duration timeout) {
        MatchRequest quiet = request.toBuilder().setIncludeProgress(false).build();
        return run(quiet, StreamOptions.DEFAULT.withTimeout(timeout));
    }

    /** Runs a match without a time limit of the call, and doesn't wait for its verdict. */
    public CompletableFuture<Verdict> matchAsync(MatchRequest request) {
        return matchAsync(request, null);
    }

    /**
     * Runs a match and doesn't wait for its verdict: {@link #match} in the executor of the client. If
     * the future is completed in another way, such as by {@code cancel} or {@code orTimeout}, the call
     * ends, and never the match.
     */
    public CompletableFuture<Verdict> matchAsync(MatchRequest request, Duration timeout) {
        MatchStream stream;
        try {
            stream = quiet(request, timeout);
        } catch (FaceMatchException e) {
            return CompletableFuture.failedFuture(e);
        }
        CompletableFuture<Verdict> future = new CompletableFuture<>();
        future.whenComplete((verdict, error) -> stream.cancel());
        try {
            core.executor.execute(() -> complete(future, stream));
        } catch (RejectedExecutionException e) {
            future.completeExceptionally(e);
        }
        return future;
    }

    private static void complete(CompletableFuture<Verdict> future, MatchStream stream) {
        Verdict verdict;
        try (stream) {
            verdict = stream.verdict();
        } catch (Throwable e) {
            future.completeExceptionally(e);
            return;
        }
        future.complete(verdict);
    }

    /** Runs a match and streams its updates. */
    public MatchStream run(MatchRequest request) {
        return run(request, StreamOptions.DEFAULT);
    }

    /** Runs a match and streams its updates. Nothing is sent before the first one is asked for. */
    public MatchStream run(MatchRequest request, StreamOptions options) {
        Following following = Following.run(named(request), options.heartbeats());
        return new MatchStream(core, following, options.timeout());
    }

    /** Starts a match without a time limit of the call. */
    public Match create(MatchRequest request) {
        return create(request, null);
    }

    /** Starts a match and returns once a crash of the server can't lose its photo any more. */
    public Match create(MatchRequest request, Duration timeout) {
        MatchRequest named = named(request);
        MatchRef ref = MatchRef.requestId(named.getRequestId());
        Duration tryLimit = core.limits.callTimeout().multipliedBy(CREATE_FACTOR);
        try (var call = new Unary<>(core, FaceMatchGrpc.getCreateMatchMethod(), ref,
                new Acceptance(false), timeout, null)) {
            return call.untilAnswer(named, tryLimit);
        }
    }

    /** Returns a match in its present state. */
    public Match get(MatchRef ref) {
        return get(ref, null);
    }

    /** Returns a match in its present state. */
    public Match get(MatchRef ref, Duration timeout) {
        GetMatchRequest.Builder request = GetMatchRequest.newBuilder();
        if (ref.matchId != null) {
            request.setMatchId(ref.matchId);
        } else {
            request.setRequestId(ref.requestId);
        }
        return read(FaceMatchGrpc.getGetMatchMethod(), request.build(), ref, timeout);
    }

    /**
     * Waits until a match has ended, and returns it.
     *
     * @param timeout how long to wait; null: as long as it takes
     * @throws dev.facematch.errors.DeadlineException if the timeout passes before
     */
    public Match await(MatchRef ref, Duration timeout) {
        try (var call = new Unary<>(core, FaceMatchGrpc.getWaitMatchMethod(), ref,
                new Acceptance(true), timeout, null)) {
            while (true) {
                Duration asked = call.attempts.within(core.limits.waitStep());
                Duration step = asked.isNegative() ? Duration.ZERO : asked;
                WaitMatchRequest.Builder request =
                        WaitMatchRequest.newBuilder().setTimeout(Times.of(step));
                if (ref.matchId != null) {
                    request.setMatchId(ref.matchId);
                } else {
                    request.setRequestId(ref.requestId);
                }
                Match match = call.untilAnswer(request.build(), step.plus(core.limits.callTimeout()));
                if (Followed.isOver(match)) {
                    return match;
                }
                call.attempts.outage.progress();
                call.attempts.checkDeadline();
            }
        }
    }

    /** Streams all updates of a match: first the stored ones, then live ones. */
    public MatchStream watch(MatchRef ref) {
        return watch(ref, 0, false, StreamOptions.DEFAULT);
    }

    /**
     * Streams the updates of a match after a sequence.
     *
     * @param afterSequence the sequence of the last update that the caller has
     * @param includeProgress whether the server also sends progress
     */
    public MatchStream watch(
            MatchRef ref, long afterSequence, boolean includeProgress, StreamOptions options) {
        Following following =
                Following.watch(ref, afterSequence, includeProgress, options.heartbeats());
        return new MatchStream(core, following, options.timeout());
    }

    /** Streams the updates of all matches, or of those that the request selects. */
    public AllMatchesStream watchAll(WatchMatchesRequest request) {
        return watchAll(request, StreamOptions.DEFAULT);
    }

    /**
     * Streams the updates of all matches, or of those that the request selects: from now on, from
     * {@code earliest} on, or from a stored token on.
     */
    public AllMatchesStream watchAll(WatchMatchesRequest request, StreamOptions options) {
        FollowingAll following = new FollowingAll(request, options.onExpired(), options.heartbeats());
        return new AllMatchesStream(core, following, options.timeout());
    }

    /** Lists matches, newest first. Asks for further pages while it is read. */
    public Stream<Match> list(ListMatchesRequest request) {
        return list(request, null);
    }

    /** Lists matches, newest first. The timeout limits each page. */
    public Stream<Match> list(ListMatchesRequest request, Duration timeout) {
        Iterable<ListMatchesResponse> pages = () -> new Pages(request, timeout);
        return StreamSupport.stream(pages.spliterator(), false)
                .flatMap(page -> page.getMatchesList().stream());
    }

    /** Ends a match as CANCELLED. A match that is cancelled already is returned as it is. */
    public Match cancel(MatchRef ref) {
        return cancel(ref, null);
    }

    /** Ends a match as CANCELLED. A match that is cancelled already is returned as it is. */
    public Match cancel(MatchRef ref, Duration timeout) {
        CancelMatchRequest.Builder request = CancelMatchRequest.newBuilder();
        if (ref.matchId != null) {
            request.setMatchId(ref.matchId);
        } else {
            request.setRequestId(ref.requestId);
        }
        return read(FaceMatchGrpc.getCancelMatchMethod(), request.build(), ref, timeout);
    }

    /** Erases a match that has ended. */
    public Deleted delete(MatchRef ref) {
        return delete(ref, null);
    }

    /** Erases a match that has ended. */
    public Deleted delete(MatchRef ref, Duration timeout) {
        DeleteMatchRequest.Builder request = DeleteMatchRequest.newBuilder();
        if (ref.matchId != null) {
            request.setMatchId(ref.matchId);
        } else {
            request.setRequestId(ref.requestId);
        }
        try (var call = reading(FaceMatchGrpc.getDeleteMatchMethod(), ref, timeout)) {
            try {
                return deleted(call.untilAnswer(request.build(), null));
            } catch (MatchNotFoundException e) {
                if (!call.mayHaveActed()) {
                    throw e;
                }
                Optional<String> matchId = Optional.ofNullable(ref.matchId);
                return new Deleted(matchId, Optional.empty(), Optional.empty(), true);
            }
        }
    }

    private static Deleted deleted(DeleteMatchResponse answer) {
        Optional<String> photo =
                Optional.of(answer.getPhotoMediaId()).filter(id -> !id.isEmpty());
        return new Deleted(Optional.of(answer.getMatchId()), photo,
                Optional.of(Times.of(answer.getDeleteTime())), false);
    }

    private <Request extends Message, Answer> Answer read(
            MethodDescriptor<Request, Answer> method, Request request, MatchRef ref, Duration timeout) {
        try (var call = reading(method, ref, timeout)) {
            return call.untilAnswer(request, null);
        }
    }

    private <Request extends Message, Answer> Unary<Request, Answer> reading(
            MethodDescriptor<Request, Answer> method, MatchRef ref, Duration timeout) {
        return new Unary<>(core, method, ref, null, timeout, core.limits.callTimeout());
    }

    int openCalls() {
        return core.openCalls();
    }

    private MatchRequest named(MatchRequest request) {
        Photos.check(request.getPhoto());
        if (!request.getRequestId().isEmpty()) {
            return request;
        }
        return request.toBuilder().setRequestId(newRequestId()).build();
    }

    /** The pages of a list. */
    private final class Pages implements Iterator<ListMatchesResponse> {
        private final Duration timeout;
        /** The request of the next page; null after the last one. */
        private ListMatchesRequest request;

        private Pages(ListMatchesRequest request, Duration timeout) {
            this.request = request;
            this.timeout = timeout;
        }

        @Override
        public boolean hasNext() {
            return request != null;
        }

        @Override
        public ListMatchesResponse next() {
            ListMatchesResponse page =
                    read(FaceMatchGrpc.getListMatchesMethod(), request, null, timeout);
            String token = page.getNextPageToken();
            request = token.isEmpty() ? null : request.toBuilder().setPageToken(token).build();
            return page;
        }
    }

    /** The settings of a client. */
    public static final class Builder {
        private final String address;
        private Boolean plaintext;
        private Path ca;
        private Path certificate;
        private Path key;
        private String serverName;
        private boolean allowPlaintextToken;
        private Consumer<ManagedChannelBuilder<?>> configure = channel -> {};
        private Supplier<ManagedChannel> channels;
        Supplier<String> token;
        final Map<String, String> headers = new HashMap<>();
        RetryPolicy retry = RetryPolicy.DEFAULT;
        Limits limits = Limits.DEFAULT;
        Consumer<Reconnect> onReconnect = reconnect -> {};
        Executor executor = Threads.EACH;
        Endpoint endpoint;

        private Builder(String address) {
            this.address = address;
        }

        /** Connects without TLS. By default only to an address on this machine, or to http://. */
        public Builder plaintext() {
            plaintext = true;
            return this;
        }

        /** Connects with TLS, also to this machine. */
        public Builder tls() {
            plaintext = false;
            return this;
        }

        /** The authorities of the server, PEM. Default: Java's own. */
        public Builder trust(Path caFile) {
            ca = caFile;
            return this;
        }

        /** The client's own certificate with its chain, and its key, both PEM. */
        public Builder clientCertificate(Path certificateFile, Path keyFile) {
            certificate = certificateFile;
            key = keyFile;
            return this;
        }

        /** The name to check in the server's certificate, instead of the target's. */
        public Builder serverName(String name) {
            serverName = name;
            return this;
        }

        /** The bearer token of all calls. */
        public Builder token(String word) {
            String checked = Core.checked(word);
            return token(() -> checked);
        }

        /** Gives the bearer token, and is asked for each call. */
        public Builder token(Supplier<String> source) {
            token = source;
            return this;
        }

        /** Allows to send the token in plaintext to another machine. */
        public Builder allowPlaintextToken() {
            allowPlaintextToken = true;
            return this;
        }

        /** A file with the bearer token, which is read for each call. */
        public Builder tokenFile(Path file) {
            return token(() -> {
                try {
                    return Files.readString(file);
                } catch (IOException e) {
                    throw new UsageException("the token's file can't be read: " + e.getClass().getSimpleName());
                }
            });
        }

        /** Further metadata of every call. */
        public Builder header(String name, String value) {
            headers.put(name, value);
            return this;
        }

        public Builder retry(RetryPolicy policy) {
            retry = policy;
            return this;
        }

        public Builder limits(Limits newLimits) {
            limits = newLimits;
            return this;
        }

        /** Called before each retry, by the thread of the call. The client logs nothing itself. */
        public Builder onReconnect(Consumer<Reconnect> listener) {
            onReconnect = listener;
            return this;
        }

        /**
         * Runs {@code matchAsync} and the publishers of streams, which take a thread while they wait.
         * Default: a new thread for each, virtual if Java has such threads (21 and later).
         */
        public Builder executor(Executor newExecutor) {
            executor = newExecutor;
            return this;
        }

        /** Settings of gRPC's channel, such as keepalive pings, which are off by default. */
        public Builder channel(Consumer<ManagedChannelBuilder<?>> settings) {
            configure = settings;
            return this;
        }

        /**
         * Makes the channels instead of the builder, such as in-process ones. Each call gives a new
         * channel, which doesn't share its connection and repeats nothing; the client closes it.
         */
        public Builder channels(Supplier<ManagedChannel> source) {
            channels = source;
            return this;
        }

        /** @throws UsageException if the settings contradict each other, or a file can't be read */
        public FaceMatchClient build() {
            endpoint = Endpoint.of(address, plaintext, ca, certificate, key, serverName);
            boolean mayBeRead = token != null && endpoint.plaintext() && !endpoint.isLoopback();
            if (mayBeRead && !allowPlaintextToken) {
                throw new UsageException("a token that leaves this machine needs TLS, or allowPlaintextToken");
            }
            try {
                Core.metadataOf(headers);
            } catch (IllegalArgumentException e) {
                throw new UsageException("a header has a name that gRPC doesn't send");
            }
            return new FaceMatchClient(this);
        }

        Supplier<ManagedChannel> connect() {
            if (channels != null) {
                return channels;
            }
            // The builder may change, or build another client.
            Endpoint reached = endpoint;
            int receiveBytes = limits.receiveBytes();
            Consumer<ManagedChannelBuilder<?>> configured = configure;
            return () -> {
                ManagedChannelBuilder<?> channel = reached.channel()
                        // The client repeats calls itself, by the reasons of their errors.
                        .disableRetry()
                        .disableServiceConfigLookUp()
                        // Callbacks only fill queues.
                        .directExecutor()
                        .maxInboundMessageSize(receiveBytes);
                configured.accept(channel);
                return channel.build();
            };
        }
    }
}
