package dev.facematch;

import com.google.protobuf.Message;
import dev.facematch.errors.FaceMatchException;
import io.grpc.MethodDescriptor;
import java.time.Duration;

/** A unary call, with its retries. */
final class Unary<Request extends Message, Answer> implements Subject, AutoCloseable {
    final Attempts attempts;
    private final Core core;
    private final MethodDescriptor<Request, Answer> method;
    private final MatchRef ref;
    private final Acceptance acceptance;
    private final boolean hasCallersLimit;
    private final Stop stop = new Stop();
    private boolean mayHaveActed;

    /**
     * @param timeout the caller's; null: none
     * @param usual the time limit instead of it; null: none
     */
    Unary(Core core, MethodDescriptor<Request, Answer> method, MatchRef ref, Acceptance acceptance,
            Duration timeout, Duration usual) {
        this.core = core;
        this.method = method;
        this.ref = ref;
        this.acceptance = acceptance;
        this.hasCallersLimit = timeout != null;
        this.attempts = new Attempts(core, this, hasCallersLimit ? timeout : usual, true);
        core.begin(stop);
    }

    @Override
    public String requestId() {
        return ref == null ? null : ref.requestId;
    }

    @Override
    public String matchId() {
        return ref == null ? null : ref.matchId;
    }

    @Override
    public Boolean matchContinues() {
        return acceptance == null ? null : acceptance.mayBe();
    }

    /** Whether the server may have acted on a try that failed. */
    boolean mayHaveActed() {
        return mayHaveActed;
    }

    /** Repeats the call until it is answered. A try that takes too long is repeated elsewhere. */
    Answer untilAnswer(Request request, Duration tryLimit) {
        try {
            while (true) {
                check();
                attempts.checkDeadline();
                String token = core.token();
                try {
                    return once(request, tryLimit, token);
                } catch (Failure failure) {
                    recover(failure, token);
                }
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw attempts.cancelledError("the thread was interrupted");
        }
    }

    @Override
    public void close() {
        core.end(stop);
    }

    private Answer once(Request request, Duration tryLimit, String token)
            throws Failure, InterruptedException {
        Duration left = attempts.remaining();
        boolean isLast = tryLimit == null || (left != null && left.compareTo(tryLimit) <= 0);
        if (acceptance != null) {
            acceptance.sending();
        }
        Rpc<Request, Answer> rpc = core.call(method, request, token, isLast ? left : tryLimit);
        stop.onStop(rpc::cancel);
        try {
            Answer answer = rpc.answer();
            if (acceptance != null) {
                acceptance.answered();
            }
            return answer;
        } catch (Failure failure) {
            if (!failure.isTimeout()) {
                throw failure;
            }
            if (isLast && hasCallersLimit) {
                rpc.suspect();
            } else {
                rpc.retire();
            }
            throw isLast ? failure : Failure.broken("the server has not answered in time");
        } finally {
            rpc.cancel();
        }
    }

    private void recover(Failure failure, String token) throws InterruptedException {
        check();
        if (acceptance != null) {
            acceptance.failed(failure);
        }
        boolean mayPass = failure.mayPass() || core.hasNewToken(failure, token);
        if (failure.mayHaveActed()) {
            mayHaveActed = true;
        }
        stop.pause(attempts.pauseAfter(failure, method.getBareMethodName(), mayPass));
    }

    /** Throws if the client was closed. */
    private void check() throws FaceMatchException {
        String why = stop.why();
        if (why != null) {
            throw attempts.cancelledError(why);
        }
    }
}
