package dev.facematch;

import java.util.concurrent.Executor;
import java.util.concurrent.Executors;

/** Threads for calls that a caller doesn't wait for. */
final class Threads {
    /** Starts a thread for each task: a virtual one if Java has them, else a daemon. */
    static final Executor EACH = each();

    private Threads() {}

    private static Executor each() {
        try {
            return (Executor) Executors.class.getMethod("newVirtualThreadPerTaskExecutor").invoke(null);
        } catch (ReflectiveOperationException e) {
            // Java is older than 21.
            return Threads::startDaemon;
        }
    }

    private static void startDaemon(Runnable task) {
        Thread thread = new Thread(task, "facematch-call");
        thread.setDaemon(true);
        thread.start();
    }
}
