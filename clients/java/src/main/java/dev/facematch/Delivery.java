package dev.facematch;

import dev.facematch.v1.MatchUpdate;
import java.util.concurrent.Executor;
import java.util.concurrent.Flow;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.atomic.AtomicLong;

/**
 * A subscription to a stream. A task of the executor reads the stream while there is demand, so that
 * an idle subscription holds no thread, and signals never come at the same time.
 */
final class Delivery implements Flow.Subscription {
    private final UpdateStream stream;
    private final Executor executor;
    private final Flow.Subscriber<? super MatchUpdate> subscriber;
    /**
     * Updates that are asked for and not delivered. More than 0 while a task runs, and for ever after
     * the last signal, so that no further task begins.
     */
    private final AtomicLong demand = new AtomicLong();
    private volatile boolean isCancelled;
    /** What ends the subscription instead of a further update. */
    private volatile RuntimeException refusal;

    Delivery(UpdateStream stream, Executor executor, Flow.Subscriber<? super MatchUpdate> subscriber) {
        this.stream = stream;
        this.executor = executor;
        this.subscriber = subscriber;
    }

    @Override
    public void request(long count) {
        if (count <= 0) {
            end(new IllegalArgumentException("a subscriber asks for at least one update"));
        } else if (isFirst(count)) {
            try {
                executor.execute(this::deliver);
            } catch (RejectedExecutionException e) {
                refusal = e;
                deliver();
            }
        }
    }

    @Override
    public void cancel() {
        isCancelled = true;
        end(null);
    }

    private void end(RuntimeException why) {
        refusal = why;
        stream.cancel();
        if (isFirst(1)) {
            // No task runs that would end the stream. To end it doesn't wait.
            deliver();
        }
    }

    /** Adds to the demand. True if there was none, so that a task has to begin. */
    private boolean isFirst(long count) {
        return demand.getAndAccumulate(count, Delivery::sum) == 0;
    }

    private static long sum(long demanded, long count) {
        long sum = demanded + count;
        return sum < 0 ? Long.MAX_VALUE : sum;
    }

    private void deliver() {
        do {
            if (!deliverOne()) {
                return;
            }
        } while (demand.updateAndGet(it -> it == Long.MAX_VALUE ? it : it - 1) > 0);
    }

    /** Waits for an update and hands it over. False after the last signal. */
    private boolean deliverOne() {
        MatchUpdate update;
        try {
            if (isCancelled || refusal != null) {
                return fail(refusal);
            }
            update = stream.hasNext() ? stream.next() : null;
        } catch (Throwable e) {
            return fail(refusal == null ? e : refusal);
        }
        if (isCancelled) {
            return fail(null);
        }
        if (update != null && !handOver(update)) {
            return false;
        }
        if (!isCancelled && stream.isKnownToEnd()) {
            stream.close();
            subscriber.onComplete();
            return false;
        }
        return true;
    }

    /** False if the subscriber has thrown, which ends its subscription. */
    private boolean handOver(MatchUpdate update) {
        boolean isReceived = false;
        try {
            subscriber.onNext(update);
            isReceived = true;
        } finally {
            if (!isReceived) {
                isCancelled = true;
                stream.close();
            }
        }
        return isReceived;
    }

    private boolean fail(Throwable why) {
        stream.close();
        if (!isCancelled) {
            subscriber.onError(why);
        }
        return false;
    }
}
