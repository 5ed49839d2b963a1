package dev.facematch.testing;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.facematch.AllMatchesStream;
import dev.facematch.FaceMatchClient;
import dev.facematch.MatchRef;
import dev.facematch.MatchStream;
import dev.facematch.Photos;
import dev.facematch.Verdict;
import dev.facematch.errors.DeadlineException;
import dev.facematch.errors.FieldInvalidException;
import dev.facematch.errors.MatchCancelledException;
import dev.facematch.errors.MatchEndedException;
import dev.facematch.errors.MatchNotFoundException;
import dev.facematch.errors.MatchRunningException;
import dev.facematch.errors.OverloadedException;
import dev.facematch.errors.PhotoLostException;
import dev.facematch.errors.RequestIdReusedException;
import dev.facematch.errors.TokenInvalidException;
import dev.facematch.errors.WatchAheadException;
import dev.facematch.StreamOptions;
import dev.facematch.v1.ListMatchesRequest;
import dev.facematch.v1.Match;
import dev.facematch.v1.MatchRequest;
import dev.facematch.v1.MatchState;
import dev.facematch.v1.MatchUpdate;
import dev.facematch.v1.Resolution;
import dev.facematch.v1.WatchMatchesRequest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class FakeFaceMatchTest {
    private final FakeFaceMatch fake = new FakeFaceMatch();
    private final FaceMatchClient client = fake.client();

    @AfterEach
    void close() {
        client.close();
        fake.close();
    }

    private static MatchRequest request(String folder) {
        return MatchRequest.newBuilder()
                .setFolderId(folder)
                .setPhoto(Photos.bytes(new byte[] {1}))
                .putLabels("folder", folder)
                .build();
    }

    private static MatchRef ref(Match match) {
        return MatchRef.matchId(match.getMatchId());
    }

    @Test
    void aMatchEndsAsItsFolderSays() {
        fake.finish("stranger", Resolution.RESOLUTION_DECLINED);
        fake.fail("lost", "PHOTO_LOST", true);
        assertTrue(client.match(request("usual")).isSamePerson());
        assertFalse(client.match(request("stranger")).isSamePerson());
        var error = assertThrows(PhotoLostException.class, () -> client.match(request("lost")));
        assertTrue(error.isRetryable());
        assertEquals("UNAVAILABLE", error.code().orElseThrow());
    }

    @Test
    void aRunHasAllUpdatesOfTheService() {
        List<MatchUpdate.EventCase> events = new ArrayList<>();
        try (MatchStream stream = client.run(request("folder"))) {
            stream.forEachRemaining(update -> events.add(update.getEventCase()));
            assertTrue(stream.match().orElseThrow().hasEndTime());
        }
        assertEquals(List.of(MatchUpdate.EventCase.ACCEPTED, MatchUpdate.EventCase.PHOTO_UPLOADED,
                MatchUpdate.EventCase.ANALYSIS_STARTED, MatchUpdate.EventCase.FINISHED), events);
    }

    @Test
    void aHeldMatchIsWaitedForUntilATestEndsIt() {
        fake.hold("folder");
        Match match = client.create(request("folder"));
        assertEquals(MatchState.MATCH_STATE_PROCESSING, match.getState());
        assertThrows(DeadlineException.class, () -> client.await(ref(match), Duration.ofMillis(20)));
        CompletableFuture<Match> waited = CompletableFuture.supplyAsync(() -> client.await(ref(match), null));
        CompletableFuture<Verdict> watched =
                CompletableFuture.supplyAsync(() -> client.watch(ref(match)).verdict());
        fake.finish("folder", Resolution.RESOLUTION_OPERATOR_REQUIRED);
        assertEquals(MatchState.MATCH_STATE_FINISHED, waited.join().getState());
        assertEquals(Resolution.RESOLUTION_OPERATOR_REQUIRED, watched.join().resolution());
        assertEquals(4, client.get(ref(match)).getSequence());
    }

    @Test
    void aWaitOfTheServiceEndsWithItsTime() {
        fake.hold("folder");
        Match match = client.create(request("folder"));
        try (FaceMatchClient impatient = fake.clientBuilder()
                .limits(new dev.facematch.Limits(Duration.ofSeconds(30), Duration.ofMillis(5),
                        Duration.ofSeconds(15), Duration.ofSeconds(60), 1 << 20, 1 << 20))
                .build()) {
            CompletableFuture<Match> waited =
                    CompletableFuture.supplyAsync(() -> impatient.await(ref(match), null));
            client.cancel(ref(match));
            assertEquals(MatchState.MATCH_STATE_CANCELLED, waited.join().getState());
        }
    }

    @Test
    void aMatchIsCancelledAndErased() {
        fake.hold("folder");
        Match match = client.create(request("folder"));
        assertThrows(MatchRunningException.class, () -> client.delete(ref(match)));
        assertEquals(MatchState.MATCH_STATE_CANCELLED, client.cancel(ref(match)).getState());
        assertEquals(MatchState.MATCH_STATE_CANCELLED, client.cancel(ref(match)).getState());
        assertThrows(MatchCancelledException.class, () -> client.watch(ref(match)).verdict());
        assertEquals(match.getMatchId(), client.delete(ref(match)).matchId().orElseThrow());
        assertThrows(MatchNotFoundException.class, () -> client.get(ref(match)));
        assertThrows(MatchNotFoundException.class, () -> client.watch(ref(match)).next());

        String finished = client.match(request("other")).matchId();
        assertThrows(MatchEndedException.class, () -> client.cancel(MatchRef.matchId(finished)));
    }

    @Test
    void matchesAreListedNewestFirst() {
        fake.hold("held");
        Match first = client.create(request("held"));
        String second = client.match(request("folder")).matchId();
        assertEquals(List.of(second, first.getMatchId()), ids(ListMatchesRequest.newBuilder()));
        assertEquals(List.of(first.getMatchId()), ids(ListMatchesRequest.newBuilder().setFolderId("held")));
        assertEquals(List.of(second), ids(ListMatchesRequest.newBuilder().putLabels("folder", "folder")));
        assertEquals(List.of(second),
                ids(ListMatchesRequest.newBuilder().addStates(MatchState.MATCH_STATE_FINISHED)));
    }

    private List<String> ids(ListMatchesRequest.Builder request) {
        return client.list(request.build()).map(Match::getMatchId).toList();
    }

    @Test
    void allMatchesAreWatchedFromAToken() {
        String first = client.match(request("one")).matchId();
        client.delete(MatchRef.matchId(first));
        client.match(request("two"));
        String token;
        WatchMatchesRequest all = WatchMatchesRequest.newBuilder().setResumeToken("earliest").build();
        try (AllMatchesStream stream = client.watchAll(all)) {
            assertEquals("two", stream.next().getMatch().getFolderId());
            stream.ack();
            token = stream.resumeToken();
        }
        try (AllMatchesStream stream = client.watchAll(all.toBuilder().setResumeToken(token).build())) {
            assertEquals(2, stream.next().getSequence());
            stream.next();
            assertEquals(MatchUpdate.EventCase.FINISHED, stream.next().getEventCase());
            client.match(request("three"));
            assertEquals("three", stream.next().getMatch().getFolderId());
        }
        var wrong = all.toBuilder().setResumeToken("another").build();
        assertThrows(TokenInvalidException.class, () -> client.watchAll(wrong).next());
    }

    @Test
    void allMatchesAreWatchedByLabelsFromNowOn() {
        client.match(request("one"));
        var request = WatchMatchesRequest.newBuilder().putLabels("folder", "two").build();
        try (AllMatchesStream stream = client.watchAll(request, StreamOptions.DEFAULT.withHeartbeats())) {
            assertTrue(stream.next().hasHeartbeat());
            client.match(request("one"));
            client.match(request("two"));
            assertEquals("two", stream.next().getMatch().getFolderId());
        }
    }

    @Test
    void aRequestIdIsOneMatch() {
        MatchRequest request = request("folder").toBuilder().setRequestId("order 4711").build();
        assertEquals(client.match(request).matchId(), client.match(request).matchId());
        assertEquals(2, fake.requests().size());
        MatchRequest other = request.toBuilder().setFolderId("other").build();
        assertThrows(RequestIdReusedException.class, () -> client.match(other));
        assertThrows(WatchAheadException.class, () -> client.watch(
                MatchRef.requestId("order 4711"), 9, false, StreamOptions.DEFAULT).next());
        assertThrows(FieldInvalidException.class,
                () -> client.match(MatchRequest.newBuilder().setFolderId("folder").build()));
    }

    @Test
    void aCallIsRefusedOrBreaksAsATestSays() {
        List<String> retried = new ArrayList<>();
        try (FaceMatchClient told = fake.clientBuilder()
                .onReconnect(it -> retried.add(it.rpc() + " " + it.error().code().orElse("")))
                .build()) {
            fake.refuse("RunMatch", "OVERLOADED");
            assertThrows(OverloadedException.class, () -> told.match(request("folder")));
            fake.refuse("RunMatch", "OVERLOADED", Duration.ofMillis(1));
            fake.breakCall("RunMatch");
            assertTrue(told.match(request("folder")).isSamePerson());
            fake.breakCall("GetMatch");
            assertThrows(MatchNotFoundException.class, () -> told.get(MatchRef.matchId("none")));
        }
        assertEquals(List.of("RunMatch RESOURCE_EXHAUSTED", "RunMatch UNAVAILABLE",
                "GetMatch UNAVAILABLE"), retried);
        assertEquals(1, fake.requests().size());
        assertThrows(IllegalArgumentException.class, () -> fake.refuse("RunMatch", "MISSPELT"));
        assertThrows(IllegalArgumentException.class, () -> fake.breakCall("Misspelt"));
    }

    @Test
    void openStreamsAreCutAndContinue() throws Exception {
        fake.hold("folder");
        CompletableFuture<Void> isCut = new CompletableFuture<>();
        try (FaceMatchClient told =
                fake.clientBuilder().onReconnect(it -> isCut.complete(null)).build()) {
            MatchStream stream = told.run(request("folder"));
            for (int sequence = 1; sequence <= 3; sequence++) {
                assertEquals(sequence, stream.next().getSequence());
            }
            fake.cut();
            fake.finish("folder", Resolution.RESOLUTION_SUCCESS);
            assertInstanceOf(MatchUpdate.class, stream.next());
            assertTrue(stream.verdict().isSamePerson());
            assertTrue(isCut.isDone());
        }
        assertEquals(1, fake.requests().size());
    }
}
