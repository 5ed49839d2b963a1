package dev.facematch;

import com.google.protobuf.Timestamp;
import java.time.Duration;
import java.time.Instant;

/** Converts between the times of the contract's messages and those of Java. */
public final class Times {
    /** Longer times are cut to this one, in days: the clock counts nanoseconds in 64 bits. */
    private static final long DAYS_MAX = 36_500;

    private Times() {}

    public static Instant of(Timestamp time) {
        return Instant.ofEpochSecond(time.getSeconds(), time.getNanos());
    }

    public static Timestamp of(Instant time) {
        return Timestamp.newBuilder().setSeconds(time.getEpochSecond()).setNanos(time.getNano()).build();
    }

    /** A duration in nanoseconds; a century for a longer one, such as that of FOREVER. */
    static long nanos(Duration duration) {
        Duration longest = Duration.ofDays(DAYS_MAX);
        if (duration.compareTo(longest) > 0) {
            return longest.toNanos();
        }
        if (duration.compareTo(longest.negated()) < 0) {
            return -longest.toNanos();
        }
        return duration.toNanos();
    }

    public static Duration of(com.google.protobuf.Duration duration) {
        return Duration.ofSeconds(duration.getSeconds(), duration.getNanos());
    }

    public static com.google.protobuf.Duration of(Duration duration) {
        long seconds = duration.getSeconds();
        int nanos = duration.getNano();
        if (seconds < 0 && nanos > 0) {
            // The contract's parts have the same sign.
            seconds += 1;
            nanos -= 1_000_000_000;
        }
        return com.google.protobuf.Duration.newBuilder().setSeconds(seconds).setNanos(nanos).build();
    }
}
