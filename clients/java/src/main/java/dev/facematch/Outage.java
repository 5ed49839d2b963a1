package dev.facematch;

import java.time.Duration;
import java.util.Optional;
import java.util.function.DoubleSupplier;

/** The retries of one call, and when there is none left. Times are nanoseconds of one clock. */
final class Outage {
    /** A delay doubles no further. */
    private static final int DOUBLINGS_MAX = 30;

    private final RetryPolicy retry;
    private final boolean hasEnd;
    private final DoubleSupplier random;
    private Long since;
    private Long firstMessage;
    private int tries;

    Outage(RetryPolicy retry, boolean hasEnd, DoubleSupplier random) {
        this.retry = retry;
        this.hasEnd = hasEnd;
        this.random = random;
    }

    /** Retries in a row without progress. */
    int tries() {
        return tries;
    }

    /** Notes that a call begins. */
    void opened() {
        firstMessage = null;
    }

    /** Notes a message, new or not. */
    void message(long now) {
        if (firstMessage == null) {
            firstMessage = now;
        }
    }

    /** Notes something new. */
    void progress() {
        tries = 0;
        since = null;
    }

    /** The pause before the next retry; empty if there is no retry left. */
    Optional<Duration> pause(Failure failure, long now) {
        if (firstMessage != null && now - firstMessage >= Times.nanos(retry.longest())) {
            // The stream worked for a while: this is no outage, but a proxy that limits calls.
            progress();
        }
        if (since == null) {
            since = now;
        }
        if (tries >= retry.tries()) {
            return Optional.empty();
        }
        Duration pause = failure.retryAfter != null ? asked(failure.retryAfter) : backoff();
        Duration without = Duration.ofNanos(now - since).plus(pause);
        if (hasEnd && without.compareTo(retry.giveUpAfter()) > 0) {
            return Optional.empty();
        }
        tries += 1;
        return Optional.of(pause);
    }

    /** Never earlier than asked, and not all callers at once. */
    private Duration asked(Duration delay) {
        return delay.plusNanos((long) (Times.nanos(delay) * random.getAsDouble() / 2));
    }

    private Duration backoff() {
        double doubled = Times.nanos(retry.first()) * Math.pow(2, Math.min(tries, DOUBLINGS_MAX));
        double longest = Math.min(Times.nanos(retry.longest()), doubled);
        return Duration.ofNanos((long) (longest * random.getAsDouble()));
    }
}
