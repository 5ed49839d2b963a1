package dev.facematch;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.facematch.errors.CallCancelledException;
import dev.facematch.testing.FaceMatchServer;
import dev.facematch.v1.MatchRequest;
import dev.facematch.v1.ReferencePhoto;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;

/** The threads of matchAsync: virtual ones, where Java has them. */
class ThreadsTest {
    private static final int MATCHES = 40;
    private static final String SLOW = "{\"verdict\": {\"processing_ms\": 60000}}";

    @RegisterExtension
    static final FaceMatchServer server = FaceMatchServer.withFlags();

    private static MatchRequest request(String folder, ReferencePhoto photo) {
        return MatchRequest.newBuilder().setFolderId(folder).setPhoto(photo).build();
    }

    @Test
    void manyMatchesRunAtOnce() {
        ReferencePhoto photo = server.photo();
        List<CompletableFuture<Verdict>> verdicts = new ArrayList<>();
        for (int count = 0; count < MATCHES; count++) {
            verdicts.add(server.client().matchAsync(request(server.folder(), photo)));
        }
        assertEquals(MATCHES,
                verdicts.stream().filter(it -> it.join().isSamePerson()).count());
        assertEquals(0, server.client().openCalls());
    }

    @Test
    void aThreadPerCallIsVirtualSinceJava21AndADaemonBefore() throws Exception {
        var threads = new LinkedBlockingQueue<Thread>();
        Threads.EACH.execute(() -> threads.add(Thread.currentThread()));
        Thread thread = threads.take();
        assertTrue(thread.isDaemon());
        boolean isVirtual = !thread.getClass().equals(Thread.class);
        assertEquals(Runtime.version().feature() >= 21, isVirtual);
    }

    @Test
    void anInterruptOfAWaitingThreadEndsItsCall() throws Exception {
        MatchRequest request = request(server.folder(SLOW), server.photo());
        MatchStream stream = server.client().run(request);
        stream.next();
        var ended = new CompletableFuture<RuntimeException>();
        var threads = new LinkedBlockingQueue<Thread>();
        Threads.EACH.execute(() -> {
            threads.add(Thread.currentThread());
            try {
                stream.verdict();
            } catch (CallCancelledException e) {
                ended.complete(Thread.currentThread().isInterrupted() ? e : null);
            }
        });
        threads.take().interrupt();
        var error = (CallCancelledException) ended.get();
        assertEquals(true, error.matchContinues().orElseThrow());
        assertEquals(0, server.client().openCalls());
    }
}
