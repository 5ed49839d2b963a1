package dev.facematch;

import dev.facematch.errors.UsageException;
import java.time.Duration;
import java.util.stream.Stream;

/**
 * Limits of single calls and messages.
 *
 * @param callTimeout of get, list, cancel and delete, retries included, if the caller gives none
 * @param waitStep how long one request of {@code await} asks the server to wait; at most 10 minutes
 * @param silenceLeast a stream is dead after three heartbeat intervals of silence, but at least this
 *     long
 * @param silenceUnknown the same, before the first heartbeat has told the interval
 * @param receiveBytes of one answer
 * @param sendBytes of one request; a photo has at most 10 MiB
 */
public record Limits(
        Duration callTimeout,
        Duration waitStep,
        Duration silenceLeast,
        Duration silenceUnknown,
        int receiveBytes,
        int sendBytes) {
    private static final int MIB = 1 << 20;

    public static final Limits DEFAULT = new Limits(Duration.ofSeconds(30), Duration.ofSeconds(30),
            Duration.ofSeconds(15), Duration.ofSeconds(60), 16 * MIB, 12 * MIB);

    public Limits {
        boolean isValid = Stream.of(callTimeout, waitStep, silenceLeast, silenceUnknown)
                .allMatch(it -> it.compareTo(Duration.ZERO) > 0);
        if (!isValid || receiveBytes <= 0 || sendBytes <= 0
                || waitStep.compareTo(Duration.ofMinutes(10)) > 0) {
            throw new UsageException("limits are more than 0, and waitStep is at most 10 minutes");
        }
        // They are added and multiplied.
        callTimeout = Duration.ofNanos(Times.nanos(callTimeout));
        silenceLeast = Duration.ofNanos(Times.nanos(silenceLeast));
        silenceUnknown = Duration.ofNanos(Times.nanos(silenceUnknown));
    }
}
