package dev.facematch;

import com.google.protobuf.Message;
import dev.facematch.errors.FaceMatchException;
import dev.facematch.v1.FaceMatchGrpc;
import dev.facematch.v1.Match;
import dev.facematch.v1.MatchUpdate;
import java.time.Duration;
import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.concurrent.Flow;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * Updates that come across broken connections: one rpc after the other, until the end.
 *
 * <p>Nothing is sent before {@link #hasNext} or {@link #next}, which block; an interrupt of their
 * thread ends the stream. One thread reads a stream; {@link #cancel} may be called from another.
 * Closing a stream ends its call, and a match goes on.
 */
public abstract sealed class UpdateStream implements Iterator<MatchUpdate>, AutoCloseable
        permits MatchStream, AllMatchesStream {
    private final Core core;
    private final Followed followed;
    private final Duration timeout;
    private final Stop stop = new Stop();
    private final AtomicBoolean isSubscribed = new AtomicBoolean();
    private Attempts attempts;
    private Rpc<?, MatchUpdate> rpc;
    private Followed.NextCall<?> call;
    private boolean hasAnswered;
    private String token;
    private MatchUpdate next;
    private boolean isOver;

    UpdateStream(Core core, Followed followed, Duration timeout) {
        this.core = core;
        this.followed = followed;
        this.timeout = timeout;
    }

    /** Waits for the next update. False after the last one. */
    @Override
    public boolean hasNext() {
        if (next == null && !isOver) {
            followed.finished();
            next = followed.hasEnded() ? null : advance();
            if (next == null) {
                close();
            }
        }
        return next != null;
    }

    @Override
    public MatchUpdate next() {
        if (!hasNext()) {
            throw new NoSuchElementException("the stream has ended");
        }
        MatchUpdate update = next;
        next = null;
        return update;
    }

    /**
     * The same updates for one subscriber, instead of for a thread that reads the stream. The stream
     * is read by the executor of the client, only while the subscriber asks for more, and from the
     * second update on only once {@code onNext} has returned. To cancel the subscription ends the
     * call, never the match. A second subscriber is refused.
     */
    public Flow.Publisher<MatchUpdate> publisher() {
        return new UpdatePublisher(this, core.executor);
    }

    /** True for the first subscriber. */
    final boolean takeSubscriber() {
        return isSubscribed.compareAndSet(false, true);
    }

    /** Whether no update follows, as far as that is known without waiting. */
    final boolean isKnownToEnd() {
        return next == null && (isOver || followed.hasEnded());
    }

    /**
     * Ends the stream, also from another thread: a thread that waits gets a
     * {@link dev.facematch.errors.CallCancelledException}.
     */
    public void cancel() {
        stop.stop("the caller cancelled the call");
    }

    /** Ends the stream. Closing twice is fine. */
    @Override
    public void close() {
        isOver = true;
        endRpc(false);
        core.end(stop);
    }

    /** The next update for the caller, over as many rpcs as that takes; null at the end. */
    private MatchUpdate advance() {
        if (attempts == null) {
            // Not before: a stream that isn't read leaves nothing behind in its client.
            core.begin(stop);
            attempts = new Attempts(core, followed, timeout, followed.hasEnd());
        }
        try {
            while (true) {
                MatchUpdate update = tryRead();
                if (update == null) {
                    return null;
                }
                Followed.Taken taken = followed.take(update);
                if (taken.isProgress()) {
                    attempts.outage.progress();
                }
                if (taken.isForCaller()) {
                    return update;
                }
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            close();
            throw attempts.cancelledError("the thread was interrupted");
        } catch (FaceMatchException e) {
            close();
            throw e;
        }
    }

    /** The next message; null at the end. */
    private MatchUpdate tryRead() throws InterruptedException {
        while (true) {
            try {
                MatchUpdate update = receive();
                if (update != null) {
                    return update;
                }
                if (isComplete()) {
                    return null;
                }
                throw Failure.broken("the stream ended before the match did");
            } catch (Failure failure) {
                recover(failure);
            }
        }
    }

    private MatchUpdate receive() throws Failure, InterruptedException {
        check();
        attempts.checkDeadline();
        if (rpc == null) {
            open();
        }
        Duration limit = core.silence.limit(call.isUpload() && !hasAnswered);
        Duration shorter = attempts.within(limit);
        MatchUpdate update;
        try {
            update = rpc.read(shorter);
        } catch (Failure failure) {
            if (failure.isSilence && shorter.compareTo(limit) < 0) {
                rpc.suspect();
                throw attempts.deadlineError(null);
            }
            throw failure;
        }
        if (update != null) {
            hasAnswered = true;
            attempts.outage.message(System.nanoTime());
            core.silence.note(update);
        }
        return update;
    }

    private void open() {
        token = core.token();
        call = followed.nextCall();
        hasAnswered = false;
        attempts.outage.opened();
        rpc = begin(call);
        stop.onStop(rpc::cancel);
    }

    private <Request extends Message> Rpc<Request, MatchUpdate> begin(
            Followed.NextCall<Request> next) {
        return core.call(next.method(), next.request(), token, attempts.remaining());
    }

    /** Looks at the match, since its stream ended without an ending update. */
    private boolean isComplete() throws Failure, InterruptedException {
        endRpc(false);
        if (!(followed instanceof Following following)) {
            return false;
        }
        Rpc<?, Match> look = core.call(FaceMatchGrpc.getGetMatchMethod(), following.look(),
                core.token(), attempts.within(core.limits.callTimeout()));
        stop.onStop(look::cancel);
        return following.isCompleteWith(look.answer());
    }

    /** Waits before the next rpc; throws if there is none. */
    private void recover(Failure failure) throws InterruptedException {
        if (rpc != null && failure.isTimeout()) {
            rpc.suspect();
        }
        endRpc(failure.isSilence);
        check();
        followed.failed(failure);
        boolean goesOn = followed.restartsAfter(failure)
                || core.hasNewToken(failure, token)
                || failure.mayPass();
        String name = call.method().getBareMethodName();
        stop.pause(attempts.pauseAfter(failure, name, goesOn));
    }

    /** Throws if the caller has ended the call. */
    private void check() {
        String why = stop.why();
        if (why != null) {
            throw attempts.cancelledError(why);
        }
    }

    private void endRpc(boolean retire) {
        if (rpc != null) {
            rpc.cancel();
            if (retire) {
                rpc.retire();
            }
            rpc = null;
        }
    }
}
