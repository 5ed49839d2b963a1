package dev.facematch;

import dev.facematch.errors.CallCancelledException;
import dev.facematch.errors.DeadlineException;
import dev.facematch.errors.ErrorDetails;
import io.grpc.Status;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.ThreadLocalRandom;
import java.util.function.Consumer;

/** What one call of a verb knows, over all its retries: its deadline, its outage, how it fails. */
final class Attempts {
    final Outage outage;
    private final Subject subject;
    private final Consumer<Reconnect> onReconnect;
    /** In nanoseconds of the monotonic clock; null without one. */
    private final Long deadline;

    Attempts(Core core, Subject subject, Duration timeout, boolean hasEnd) {
        this.outage = new Outage(core.retry, hasEnd, () -> ThreadLocalRandom.current().nextDouble());
        this.subject = subject;
        this.onReconnect = core.onReconnect;
        this.deadline = timeout == null ? null : System.nanoTime() + Times.nanos(timeout);
    }

    /** The time to the caller's deadline; null without one. */
    Duration remaining() {
        return deadline == null ? null : Duration.ofNanos(deadline - System.nanoTime());
    }

    /** The shorter of a limit and the time to the caller's deadline. Null: no limit. */
    Duration within(Duration limit) {
        Duration left = remaining();
        if (limit == null || (left != null && left.compareTo(limit) < 0)) {
            return left;
        }
        return limit;
    }

    /** Throws once the caller's deadline has passed. */
    void checkDeadline() {
        Duration left = remaining();
        if (left != null && !isPositive(left)) {
            throw deadlineError(null);
        }
    }

    /**
     * The pause before the next try, of which the caller is told. Throws the exception of the call if
     * there is no further try.
     */
    Duration pauseAfter(Failure failure, String rpc, boolean mayPass) {
        boolean isDeadline = failure.code == Status.Code.DEADLINE_EXCEEDED && failure.retryAfter == null;
        if (isDeadline && deadline != null) {
            throw deadlineError(failure);
        }
        if (!mayPass) {
            throw failure.error(subject, false);
        }
        Optional<Duration> pause = outage.pause(failure, System.nanoTime());
        if (pause.isEmpty()) {
            throw failure.error(subject, true);
        }
        Duration left = remaining();
        if (left != null && pause.get().compareTo(left) >= 0) {
            throw deadlineError(failure);
        }
        onReconnect.accept(new Reconnect(outage.tries(), failure.error(subject, false), pause.get(), rpc));
        return pause.get();
    }

    /** The exception of a call whose deadline has passed, or would pass during a pause. */
    DeadlineException deadlineError(Failure last) {
        String message = "the time limit of the call has passed";
        if (last != null && !last.isTimeout()) {
            String word = last.reason == null ? last.code.name() : last.reason;
            message += "; before that: " + word + ": " + last.getMessage();
        }
        String reason = last == null ? null : last.reason;
        return new DeadlineException(message, details().withCode("DEADLINE_EXCEEDED", reason));
    }

    CallCancelledException cancelledError(String message) {
        return new CallCancelledException(message, details().withCode("CANCELLED", null));
    }

    private ErrorDetails details() {
        return ErrorDetails.NONE.about(subject.requestId(), subject.matchId(), subject.matchContinues());
    }

    private static boolean isPositive(Duration duration) {
        return !duration.isNegative() && !duration.isZero();
    }
}
