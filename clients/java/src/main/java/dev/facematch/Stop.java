package dev.facematch;

import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/** Ends one call of a verb from the caller's side: from another thread, or by the client's end. */
final class Stop {
    private final CountDownLatch stopped = new CountDownLatch(1);
    private String why;
    private Runnable onStop = () -> {};

    /** Ends the call. The first reason stays. */
    synchronized void stop(String reason) {
        if (why == null) {
            why = reason;
            stopped.countDown();
            onStop.run();
        }
    }

    /** Why the call was ended; null while it goes on. */
    synchronized String why() {
        return why;
    }

    /** What ends the rpc that is open; run at once if the call was ended already. */
    synchronized void onStop(Runnable action) {
        onStop = action;
        if (why != null) {
            action.run();
        }
    }

    /** Waits for so long, or until the call is ended. */
    void pause(Duration pause) throws InterruptedException {
        boolean ignored = stopped.await(Times.nanos(pause), TimeUnit.NANOSECONDS);
    }
}
