package dev.facematch;

import java.time.Duration;

/**
 * How a stream is read. Immutable.
 *
 * @param timeout the time limit of the whole stream, from its first read on; null: none
 * @param heartbeats whether heartbeats are handed out, too
 * @param onExpired what {@code watchAll} does when its token has expired
 */
public record StreamOptions(Duration timeout, boolean heartbeats, OnExpired onExpired) {
    public static final StreamOptions DEFAULT = new StreamOptions(null, false, OnExpired.THROW);

    public StreamOptions withTimeout(Duration newTimeout) {
        return new StreamOptions(newTimeout, heartbeats, onExpired);
    }

    public StreamOptions withHeartbeats() {
        return new StreamOptions(timeout, true, onExpired);
    }

    public StreamOptions withOnExpired(OnExpired policy) {
        return new StreamOptions(timeout, heartbeats, policy);
    }
}
