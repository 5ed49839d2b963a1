package dev.facematch;

import com.google.protobuf.Message;
import dev.facematch.errors.UsageException;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import java.time.Duration;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executor;
import java.util.function.Consumer;
import java.util.function.Supplier;

/** What the calls of a client share: its connections, its token, and the end of all of them. */
final class Core {
    private static final Metadata.Key<String> AUTHORIZATION = key("authorization");

    final RetryPolicy retry;
    final Limits limits;
    final Silence silence;
    final Consumer<Reconnect> onReconnect;
    final Executor executor;
    private final Connections connections;
    private final Supplier<String> token;
    private final Map<String, String> headers;
    private final Set<Stop> open = ConcurrentHashMap.newKeySet();
    private volatile boolean isClosed;
    private volatile String serverVersion;

    Core(FaceMatchClient.Builder builder) {
        retry = builder.retry;
        limits = builder.limits;
        silence = new Silence(limits);
        onReconnect = builder.onReconnect;
        executor = builder.executor;
        connections = new Connections(builder.connect(), limits.silenceLeast());
        token = builder.token;
        headers = Map.copyOf(builder.headers);
    }

    String serverVersion() {
        return serverVersion;
    }

    /** Begins a call, which ends early with the client. */
    void begin(Stop stop) {
        open.add(stop);
        if (isClosed) {
            stop.stop("the client was closed");
        }
    }

    /** Calls that have begun and not ended. */
    int openCalls() {
        return open.size();
    }

    void end(Stop stop) {
        open.remove(stop);
    }

    void close() {
        isClosed = true;
        open.forEach(stop -> stop.stop("the client was closed"));
        connections.close();
    }

    /** The present token; null without one. */
    String token() {
        if (token == null) {
            return null;
        }
        String given;
        try {
            given = token.get();
        } catch (UsageException e) {
            throw e;
        } catch (RuntimeException e) {
            throw new UsageException("the function that gives the token failed", e);
        }
        return checked(given);
    }

    /** Whether a call that was refused with an expired token has another one now. */
    boolean hasNewToken(Failure failure, String refused) {
        return "CREDENTIAL_EXPIRED".equals(failure.reason) && token != null && !token().equals(refused);
    }

    <Request extends Message, Answer> Rpc<Request, Answer> call(
            MethodDescriptor<Request, Answer> method, Request request, String bearer, Duration limit) {
        if (request.getSerializedSize() > limits.sendBytes()) {
            throw new UsageException("the request is larger than the limit sendBytes");
        }
        Metadata metadata = metadataOf(headers);
        if (bearer != null) {
            metadata.put(AUTHORIZATION, "Bearer " + bearer);
        }
        return new Rpc<>(connections.get(), method, request, metadata, limit,
                version -> serverVersion = version);
    }

    static Metadata metadataOf(Map<String, String> headers) {
        Metadata metadata = new Metadata();
        headers.forEach((name, value) -> metadata.put(key(name), value));
        return metadata;
    }

    /** The token without the line break at its end. Exceptions don't quote it. */
    static String checked(String token) {
        String word = token == null ? "" : token.strip();
        if (!word.matches("[!-~]+")) {
            throw new UsageException("a token is a word of printable ASCII characters");
        }
        return word;
    }

    private static Metadata.Key<String> key(String name) {
        return Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER);
    }
}
