package dev.facematch;

import dev.facematch.v1.MatchUpdate;
import java.time.Duration;

/** How long the streams of a client may be silent. The heartbeats of one tell for all. */
final class Silence {
    /** A stream is dead after so many heartbeat intervals of silence: one heartbeat may be late. */
    private static final int INTERVALS = 3;

    private final Limits limits;
    private volatile Duration interval;

    Silence(Limits limits) {
        this.limits = limits;
    }

    void note(MatchUpdate update) {
        if (update.hasHeartbeat() && update.getHeartbeat().hasInterval()) {
            interval = Times.of(update.getHeartbeat().getInterval());
        }
    }

    /** During an upload the server has nothing to say yet. */
    Duration limit(boolean isUpload) {
        Duration told = interval;
        if (told == null) {
            return limits.silenceUnknown();
        }
        Duration known = longer(told.multipliedBy(INTERVALS), limits.silenceLeast());
        return isUpload ? longer(known, limits.silenceUnknown()) : known;
    }

    private static Duration longer(Duration one, Duration other) {
        return one.compareTo(other) > 0 ? one : other;
    }
}
