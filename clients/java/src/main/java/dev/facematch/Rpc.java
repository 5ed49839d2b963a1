package dev.facematch;

import io.grpc.CallOptions;
import io.grpc.ClientCall;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import java.time.Duration;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

/** One try of one call, read message by message. It asks gRPC for a message only when it is read. */
final class Rpc<Request, Answer> {
    private static final Metadata.Key<String> VERSION =
            Metadata.Key.of("facematch-version", Metadata.ASCII_STRING_MARSHALLER);

    /** A message, or the end of the call. */
    private record Event<Answer>(Answer message, Status status, Metadata trailers) {}

    private final BlockingQueue<Event<Answer>> events = new LinkedBlockingQueue<>();
    private final Connections.Connection connection;
    private final ClientCall<Request, Answer> call;
    private boolean isAsked;
    // The caller's doing, from any thread: the end of the call is then no sign of life.
    private volatile boolean isCancelled;

    Rpc(Connections.Connection connection, MethodDescriptor<Request, Answer> method, Request request,
            Metadata headers, Duration limit, Consumer<String> onVersion) {
        this.connection = connection;
        CallOptions options = limit == null
                ? CallOptions.DEFAULT
                : CallOptions.DEFAULT.withDeadlineAfter(Times.nanos(limit), TimeUnit.NANOSECONDS);
        call = connection.channel().newCall(method, options);
        call.start(new Listener(onVersion), headers);
        call.sendMessage(request);
        call.halfClose();
    }

    /**
     * The next message; null at the end.
     *
     * @param limit how long to wait; null: as long as it takes
     * @throws Failure if the call failed, or said nothing for so long
     */
    Answer read(Duration limit) throws Failure, InterruptedException {
        if (!isAsked) {
            isAsked = true;
            call.request(1);
        }
        Event<Answer> event = limit == null
                ? events.take()
                : events.poll(Math.max(0, Times.nanos(limit)), TimeUnit.NANOSECONDS);
        if (event == null) {
            throw Failure.silent(limit);
        }
        if (event.message != null) {
            isAsked = false;
            connection.heard();
            return event.message;
        }
        if (event.status.isOk()) {
            return null;
        }
        Failure failure = Failure.of(event.status, event.trailers);
        if (isCancelled) {
            connection.suspect();
        } else if (!failure.isTimeout()) {
            connection.heard();
        }
        throw failure;
    }

    /** The only message of a unary call. */
    Answer answer() throws Failure, InterruptedException {
        Answer answer = read(null);
        if (answer == null) {
            throw Failure.broken("the call ended without an answer");
        }
        // The status may still be an error.
        if (read(null) != null) {
            throw Failure.broken("the call had two answers");
        }
        return answer;
    }

    void cancel() {
        isCancelled = true;
        call.cancel("the client cancels the call", null);
    }

    /** Says that the connection seems dead: later calls use another one. */
    void retire() {
        connection.retire();
    }

    /** Says that the call ended unanswered by its caller's deadline. */
    void suspect() {
        connection.suspect();
    }

    private final class Listener extends ClientCall.Listener<Answer> {
        private final Consumer<String> onVersion;

        private Listener(Consumer<String> onVersion) {
            this.onVersion = onVersion;
        }

        @Override
        public void onHeaders(Metadata headers) {
            String version = headers.get(VERSION);
            if (version != null) {
                onVersion.accept(version);
            }
        }

        @Override
        public void onMessage(Answer message) {
            events.add(new Event<>(message, null, null));
        }

        @Override
        public void onClose(Status status, Metadata trailers) {
            events.add(new Event<>(null, status, trailers));
        }
    }
}
