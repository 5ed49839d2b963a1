package dev.facematch;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.Any;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import io.grpc.Metadata;
import io.grpc.Status;
import java.io.IOException;
import java.net.UnknownHostException;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class OutageTest {
    private static final Failure BROKEN = Failure.broken("broken");

    private static Outage outage(int first, int longest, int giveUpAfter, int tries, double random) {
        RetryPolicy retry = new RetryPolicy(Duration.ofMillis(first), Duration.ofMillis(longest),
                Duration.ofMillis(giveUpAfter), tries);
        return new Outage(retry, true, () -> random);
    }

    private static Optional<Duration> millis(long count) {
        return Optional.of(Duration.ofMillis(count));
    }

    private static long at(long millis) {
        return Duration.ofMillis(millis).toNanos();
    }

    @Test
    void thePauseDoublesUpToTheLongest() {
        Outage outage = outage(100, 350, 10_000, 9, 1);
        assertEquals(millis(100), outage.pause(BROKEN, 0));
        assertEquals(millis(200), outage.pause(BROKEN, 0));
        assertEquals(millis(350), outage.pause(BROKEN, 0));
        assertEquals(millis(350), outage.pause(BROKEN, 0));
    }

    @Test
    void onlyProgressGivesTheTriesBack() {
        Outage outage = outage(1, 1_000, 10_000, 1, 0);
        assertEquals(millis(0), outage.pause(BROKEN, 0));
        outage.message(at(1));
        assertEquals(Optional.empty(), outage.pause(BROKEN, at(2)));
        outage.progress();
        assertEquals(millis(0), outage.pause(BROKEN, at(3)));
    }

    @Test
    void aStreamThatWorkedForAWhileGivesTheTriesBack() {
        Outage outage = outage(1, 1_000, 10_000, 1, 0);
        assertEquals(millis(0), outage.pause(BROKEN, 0));
        outage.opened();
        outage.message(at(10));
        assertEquals(millis(0), outage.pause(BROKEN, at(1_010)));
    }

    @Test
    void theTimeWithoutProgressBeginsWithTheFirstBrokenCall() {
        Outage outage = outage(1, 2, 1_000, 9, 0);
        assertEquals(millis(0), outage.pause(BROKEN, at(1_000_000)));
        assertEquals(millis(0), outage.pause(BROKEN, at(1_001_000)));
        assertEquals(Optional.empty(), outage.pause(BROKEN, at(1_001_001)));
    }

    private static Failure refused(Status code, String reason, Any... more) {
        var info = ErrorInfo.newBuilder().setDomain("facematch").setReason(reason).build();
        var status = com.google.rpc.Status.newBuilder()
                .addDetails(Any.pack(info)).addAllDetails(List.of(more)).build();
        Metadata trailers = new Metadata();
        trailers.put(Metadata.Key.of("grpc-status-details-bin", Metadata.BINARY_BYTE_MARSHALLER),
                status.toByteArray());
        return Failure.of(code, trailers);
    }

    @Test
    void aFailedCallMayHaveActedUnlessItSaysThatItHadNoEffect() {
        for (Status code : List.of(Status.UNAVAILABLE, Status.INTERNAL, Status.DEADLINE_EXCEEDED)) {
            assertTrue(Failure.of(code, new Metadata()).mayHaveActed(), code.toString());
            assertTrue(refused(code, "STORE_UNAVAILABLE").mayHaveActed(), code.toString());
            assertFalse(refused(code, "SERVER_DRAINING").mayHaveActed(), code.toString());
            assertFalse(refused(code, "AUDIT_UNAVAILABLE").mayHaveActed(), code.toString());
        }
        assertFalse(refused(Status.INVALID_ARGUMENT, "FIELD_INVALID").mayHaveActed());
        assertFalse(refused(Status.RESOURCE_EXHAUSTED, "OVERLOADED").mayHaveActed());
        assertTrue(Failure.of(Status.RESOURCE_EXHAUSTED, new Metadata()).mayHaveActed());
    }

    @Test
    void aDelayThatTheServerAsksForIsNeverShortened() {
        var retry = RetryInfo.newBuilder().setRetryDelay(Times.of(Duration.ofSeconds(1))).build();
        Failure failure = refused(Status.RESOURCE_EXHAUSTED, "OVERLOADED", Any.pack(retry));
        assertTrue(failure.mayPass());
        assertEquals(millis(1_000), outage(1, 2, 10_000, 9, 0).pause(failure, 0));
        assertEquals(millis(1_500), outage(1, 2, 10_000, 9, 1).pause(failure, 0));
    }

    @Test
    void aFailureHasTheWordsOfAllItsCauses() {
        var root = new UnknownHostException("some-host");
        Status unresolved = Status.UNAVAILABLE.withDescription("Unable to resolve host some-host");
        assertEquals("Unable to resolve host some-host: the resolver failed",
                Failure.of(unresolved.withCause(new IOException("the resolver failed", root)), new Metadata())
                        .getMessage());
        assertEquals("io exception: first", Failure.of(Status.UNAVAILABLE
                .withDescription("io exception\nChannel Pipeline: …")
                .withCause(new IOException("first\nsecond")), new Metadata()).getMessage());
        assertEquals("two\nlines",
                Failure.of(Status.INTERNAL.withDescription("two\nlines"), new Metadata()).getMessage());
    }

    @Test
    void aPushbackThatCannotBeReadForbidsARepeat() {
        for (String text : new String[] {"-1", "soon", "", "1e3"}) {
            Metadata trailers = new Metadata();
            trailers.put(Metadata.Key.of("grpc-retry-pushback-ms", Metadata.ASCII_STRING_MARSHALLER), text);
            assertEquals(false, Failure.of(Status.UNAVAILABLE, trailers).mayPass(), text);
        }
    }
}
