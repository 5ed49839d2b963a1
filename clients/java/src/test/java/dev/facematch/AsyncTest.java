package dev.facematch;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.facematch.errors.PhotoLostException;
import dev.facematch.errors.PhotoTooLargeException;
import dev.facematch.testing.FakeFaceMatch;
import dev.facematch.v1.Match;
import dev.facematch.v1.MatchRequest;
import dev.facematch.v1.MatchState;
import dev.facematch.v1.MatchUpdate;
import dev.facematch.v1.ReferencePhoto;
import dev.facematch.v1.Resolution;
import dev.facematch.v1.WatchMatchesRequest;
import com.google.protobuf.ByteString;
import java.time.Duration;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Flow;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class AsyncTest {
    private final FakeFaceMatch fake = new FakeFaceMatch();
    /** Threads that work for callers at this moment. */
    private final AtomicInteger working = new AtomicInteger();
    /** What subscribers threw. */
    private final BlockingQueue<RuntimeException> thrown = new LinkedBlockingQueue<>();
    private final FaceMatchClient client = fake.clientBuilder().executor(this::start).build();

    private void start(Runnable task) {
        working.incrementAndGet();
        Threads.EACH.execute(() -> {
            try {
                task.run();
            } catch (RuntimeException e) {
                thrown.add(e);
            } finally {
                working.decrementAndGet();
            }
        });
    }

    private void allIdle() {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
        while (working.get() > 0) {
            assertTrue(System.nanoTime() < deadline, "a call goes on");
            Thread.onSpinWait();
        }
    }

    @AfterEach
    void allThreadsEnd() {
        allIdle();
        assertEquals(0, client.openCalls());
        client.close();
        fake.close();
    }

    private static MatchRequest request(String folder) {
        return MatchRequest.newBuilder().setFolderId(folder).setPhoto(Photos.bytes(new byte[] {1})).build();
    }

    private Match running() {
        fake.hold("held");
        return client.create(request("held"));
    }

    /** Notes all signals. */
    private static final class Recorder implements Flow.Subscriber<MatchUpdate> {
        private final BlockingQueue<Object> signals = new LinkedBlockingQueue<>();
        private Consumer<MatchUpdate> onNext = update -> {};
        private Flow.Subscription subscription;

        private Object take() throws InterruptedException {
            Object signal = signals.poll(30, TimeUnit.SECONDS);
            assertTrue(signal != null, "no signal");
            return signal;
        }

        private long sequence() throws InterruptedException {
            return assertInstanceOf(MatchUpdate.class, take()).getSequence();
        }

        @Override
        public void onSubscribe(Flow.Subscription given) {
            subscription = given;
        }

        @Override
        public void onNext(MatchUpdate update) {
            signals.add(update);
            onNext.accept(update);
        }

        @Override
        public void onError(Throwable error) {
            signals.add(error);
        }

        @Override
        public void onComplete() {
            signals.add("complete");
        }
    }

    @Test
    void aVerdictComesWithoutAWaitingThread() throws Exception {
        running();
        MatchRequest request = request("held");
        CompletableFuture<Verdict> verdict = client.matchAsync(request);
        assertFalse(verdict.isDone());
        fake.finish("held", Resolution.RESOLUTION_DECLINED);
        assertFalse(verdict.get().isSamePerson());
    }

    @Test
    void aFutureFailsWithTheExceptionOfTheCall() {
        fake.fail("lost", "PHOTO_LOST", true);
        CompletableFuture<Verdict> lost = client.matchAsync(request("lost"));
        assertInstanceOf(PhotoLostException.class,
                assertThrows(ExecutionException.class, lost::get).getCause());
        ReferencePhoto large = ReferencePhoto.newBuilder()
                .setContent(ByteString.copyFrom(new byte[Photos.BYTES_MAX + 1])).build();
        CompletableFuture<Verdict> refused =
                client.matchAsync(request("folder").toBuilder().setPhoto(large).build());
        assertInstanceOf(PhotoTooLargeException.class,
                assertThrows(CompletionException.class, refused::join).getCause());
    }

    @Test
    void aCancelledFutureEndsTheCallAndNotTheMatch() {
        fake.hold("held");
        MatchRequest request = request("held").toBuilder().setRequestId("kept").build();
        CompletableFuture<Verdict> cancelled = client.matchAsync(request);
        CompletableFuture<Verdict> late = client.matchAsync(request).orTimeout(1, TimeUnit.MILLISECONDS);
        cancelled.cancel(true);
        assertThrows(CancellationException.class, cancelled::join);
        assertThrows(CompletionException.class, late::join);
        client.create(request);
        assertEquals(MatchState.MATCH_STATE_PROCESSING, client.get(MatchRef.requestId("kept")).getState());
        // allThreadsEnd sees a call that goes on.
    }

    @Test
    void anExecutorThatRefusesFailsTheCall() throws Exception {
        try (FaceMatchClient busy = fake.clientBuilder().executor(task -> {
            throw new RejectedExecutionException("busy");
        }).build()) {
            CompletableFuture<Verdict> verdict = busy.matchAsync(request("folder"));
            assertInstanceOf(RejectedExecutionException.class,
                    assertThrows(ExecutionException.class, verdict::get).getCause());
            Recorder recorder = new Recorder();
            busy.run(request("folder")).publisher().subscribe(recorder);
            recorder.subscription.request(1);
            assertInstanceOf(RejectedExecutionException.class, recorder.take());
        }
    }

    @Test
    void aSubscriberGetsAsManyUpdatesAsItAsksFor() throws Exception {
        MatchStream stream = client.run(request("folder"));
        Recorder recorder = new Recorder();
        stream.publisher().subscribe(recorder);
        assertTrue(fake.requests().isEmpty());
        recorder.subscription.request(1);
        assertEquals(1, recorder.sequence());
        recorder.subscription.request(2);
        assertEquals(2, recorder.sequence());
        assertEquals(3, recorder.sequence());
        // Nothing works for a subscriber that asks for nothing.
        allIdle();
        assertTrue(recorder.signals.isEmpty());
        recorder.subscription.request(1);
        assertEquals(4, recorder.sequence());
        assertEquals("complete", recorder.take());
        assertTrue(stream.verdict().isSamePerson());
    }

    @Test
    void aSubscriberMayAskForEverything() throws Exception {
        fake.fail("lost", "PHOTO_LOST", false);
        Recorder recorder = new Recorder();
        client.run(request("lost")).publisher().subscribe(recorder);
        recorder.subscription.request(Long.MAX_VALUE);
        recorder.subscription.request(Long.MAX_VALUE);
        for (int sequence = 1; sequence <= 4; sequence++) {
            assertEquals(sequence, recorder.sequence());
        }
        assertEquals("complete", recorder.take());
    }

    @Test
    void aSubscriberAsksWhileItTakesAnUpdate() throws Exception {
        Recorder recorder = new Recorder();
        recorder.onNext = update -> recorder.subscription.request(1);
        client.watch(MatchRef.matchId(client.match(request("folder")).matchId())).publisher()
                .subscribe(recorder);
        recorder.subscription.request(1);
        List<Long> sequences = new ArrayList<>();
        for (int count = 0; count < 4; count++) {
            sequences.add(recorder.sequence());
        }
        assertEquals(List.of(1L, 2L, 3L, 4L), sequences);
        assertEquals("complete", recorder.take());
    }

    @Test
    void aSubscriberCancelsWhileTheStreamWaits() throws Exception {
        Match match = running();
        Recorder recorder = new Recorder();
        client.watch(MatchRef.matchId(match.getMatchId())).publisher().subscribe(recorder);
        recorder.subscription.request(10);
        for (int sequence = 1; sequence <= 3; sequence++) {
            assertEquals(sequence, recorder.sequence());
        }
        recorder.subscription.cancel();
        recorder.subscription.cancel();
        recorder.subscription.request(1);
        allIdle();
        fake.finish("held", Resolution.RESOLUTION_SUCCESS);
        assertTrue(recorder.signals.isEmpty());
    }

    @Test
    void aSubscriberCancelsWhileItTakesAnUpdate() throws Exception {
        Recorder recorder = new Recorder();
        recorder.onNext = update -> recorder.subscription.cancel();
        client.run(request("folder")).publisher().subscribe(recorder);
        recorder.subscription.request(Long.MAX_VALUE);
        assertEquals(1, recorder.sequence());
        allIdle();
        assertTrue(recorder.signals.isEmpty());
    }

    @Test
    void aSubscriberThatThrowsEndsItsSubscription() throws Exception {
        Recorder recorder = new Recorder();
        recorder.onNext = update -> {
            throw new IllegalStateException("the subscriber fails");
        };
        running();
        client.run(request("held")).publisher().subscribe(recorder);
        recorder.subscription.request(Long.MAX_VALUE);
        assertEquals(1, recorder.sequence());
        allIdle();
        recorder.subscription.request(1);
        assertTrue(recorder.signals.isEmpty());
        assertEquals("the subscriber fails", thrown.take().getMessage());
    }

    @Test
    void aCancelledSubscriptionThatNeverAskedSendsNothing() {
        Recorder recorder = new Recorder();
        MatchStream stream = client.run(request("folder"));
        stream.publisher().subscribe(recorder);
        recorder.subscription.cancel();
        recorder.subscription.request(1);
        allIdle();
        assertTrue(recorder.signals.isEmpty());
        assertTrue(fake.requests().isEmpty());
    }

    @Test
    void aStreamHasOneSubscriberWhichAsksForAtLeastOne() throws Exception {
        Flow.Publisher<MatchUpdate> publisher = client.run(request("folder")).publisher();
        Recorder first = new Recorder();
        Recorder second = new Recorder();
        publisher.subscribe(first);
        publisher.subscribe(second);
        assertInstanceOf(IllegalStateException.class, second.take());
        first.subscription.request(0);
        assertInstanceOf(IllegalArgumentException.class, first.take());
        first.subscription.request(1);
        allIdle();
        assertTrue(first.signals.isEmpty());
        assertThrows(NullPointerException.class, () -> publisher.subscribe(null));
    }

    @Test
    void aStreamThatFailsTellsItsSubscriber() throws Exception {
        fake.refuse("WatchMatches", "CALL_FORBIDDEN");
        Recorder recorder = new Recorder();
        client.watchAll(WatchMatchesRequest.getDefaultInstance()).publisher().subscribe(recorder);
        recorder.subscription.request(1);
        assertInstanceOf(dev.facematch.errors.CallForbiddenException.class, recorder.take());
    }

    @Test
    void theTokenMovesWithTheSubscriber() throws Exception {
        client.match(request("folder"));
        AllMatchesStream stream = client.watchAll(
                WatchMatchesRequest.newBuilder().setResumeToken("earliest").build());
        Recorder recorder = new Recorder();
        stream.publisher().subscribe(recorder);
        recorder.subscription.request(1);
        MatchUpdate first = (MatchUpdate) recorder.take();
        allIdle();
        assertEquals("fake-0", stream.resumeToken());
        recorder.subscription.request(1);
        recorder.take();
        allIdle();
        assertEquals(first.getResumeToken(), stream.resumeToken());
        recorder.subscription.cancel();
    }

    @Test
    void aStreamThatIsNotReadLeavesNothingInItsClient() {
        for (int count = 0; count < 3; count++) {
            client.run(request("folder"));
        }
        assertEquals(0, client.openCalls());
        client.match(request("folder"));
        assertEquals(0, client.openCalls());
    }

    @Test
    void aTimeoutMayBeLongerThanTheClockCounts() {
        assertTrue(client.match(request("folder"), ChronoUnit.FOREVER.getDuration()).isSamePerson());
        Duration forever = ChronoUnit.FOREVER.getDuration();
        Limits none = new Limits(forever, Duration.ofMinutes(1), forever, forever, 1 << 20, 1 << 20);
        RetryPolicy endless = new RetryPolicy(Duration.ofMillis(1), forever, forever, 9);
        try (FaceMatchClient patient = fake.clientBuilder().limits(none).retry(endless).build()) {
            fake.breakCall("CreateMatch");
            MatchRef ref = MatchRef.matchId(patient.create(request("folder"), forever).getMatchId());
            assertEquals(MatchState.MATCH_STATE_FINISHED, patient.await(ref, forever).getState());
            assertTrue(patient.watch(ref).verdict().isSamePerson());
        }
        assertEquals(36_500, Duration.ofNanos(Times.nanos(Duration.ofSeconds(Long.MAX_VALUE))).toDays());
        assertEquals(-36_500, Duration.ofNanos(Times.nanos(Duration.ofSeconds(Long.MIN_VALUE))).toDays());
    }
}
