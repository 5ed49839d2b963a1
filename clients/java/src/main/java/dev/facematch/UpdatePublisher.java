package dev.facematch;

import dev.facematch.v1.MatchUpdate;
import java.util.Objects;
import java.util.concurrent.Executor;
import java.util.concurrent.Flow;

/** Publishes the updates of a stream to one subscriber. */
final class UpdatePublisher implements Flow.Publisher<MatchUpdate> {
    private final UpdateStream stream;
    private final Executor executor;

    UpdatePublisher(UpdateStream stream, Executor executor) {
        this.stream = stream;
        this.executor = executor;
    }

    @Override
    public void subscribe(Flow.Subscriber<? super MatchUpdate> subscriber) {
        Objects.requireNonNull(subscriber);
        if (stream.takeSubscriber()) {
            subscriber.onSubscribe(new Delivery(stream, executor, subscriber));
            return;
        }
        subscriber.onSubscribe(new Refused());
        subscriber.onError(new IllegalStateException("the stream has a subscriber already"));
    }

    /** The subscription of a subscriber that gets nothing. */
    private static final class Refused implements Flow.Subscription {
        @Override
        public void request(long count) {
            // There is nothing to ask for.
        }

        @Override
        public void cancel() {
            // There is nothing to end.
        }
    }
}
