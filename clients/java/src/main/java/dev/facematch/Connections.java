package dev.facematch;

import io.grpc.ManagedChannel;
import java.time.Duration;
import java.util.function.Supplier;

/** One channel at a time, and those that are retired until their calls have ended. */
final class Connections {
    /** A channel, as a call uses it. */
    interface Connection {
        ManagedChannel channel();

        /** Notes a sign of life. */
        void heard();

        /** Says that the connection seems dead: later calls use another one. */
        void retire();

        /**
         * Says that a call ended unanswered by its caller's deadline, which may be short: later
         * calls use another connection only if this one has left calls unanswered for long.
         */
        void suspect();
    }

    private final Supplier<ManagedChannel> connect;
    private final Duration patience;
    private ManagedChannel current;
    // Since when the current channel has left calls unanswered, by nanoTime; null after an answer.
    private Long unansweredSince;
    private boolean isClosed;

    Connections(Supplier<ManagedChannel> connect, Duration patience) {
        this.connect = connect;
        this.patience = patience;
    }

    /** The channel of the next call. After the end of the client its calls fail. */
    synchronized Connection get() {
        if (current == null) {
            current = connect.get();
            unansweredSince = null;
            if (isClosed) {
                current.shutdownNow();
            }
        }
        // gRPC waits up to two minutes before it connects again; the client's pauses are enough.
        current.resetConnectBackoff();
        if (unansweredSince == null) {
            unansweredSince = System.nanoTime();
        }
        ManagedChannel channel = current;
        return new Connection() {
            @Override
            public ManagedChannel channel() {
                return channel;
            }

            @Override
            public void heard() {
                Connections.this.heard(channel);
            }

            @Override
            public void retire() {
                Connections.this.retire(channel);
            }

            @Override
            public void suspect() {
                Connections.this.suspect(channel);
            }
        };
    }

    synchronized void close() {
        isClosed = true;
        if (current != null) {
            current.shutdownNow();
        }
    }

    private synchronized void heard(ManagedChannel channel) {
        if (current == channel) {
            unansweredSince = null;
        }
    }

    private synchronized void suspect(ManagedChannel channel) {
        if (current == channel && unansweredSince != null
                && System.nanoTime() - unansweredSince >= Times.nanos(patience)) {
            retire(channel);
        }
    }

    private synchronized void retire(ManagedChannel channel) {
        if (current == channel && !isClosed) {
            // Calls that are open on it continue.
            current.shutdown();
            current = null;
        }
    }
}
