package dev.facematch;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.facematch.errors.CallCancelledException;
import dev.facematch.errors.ContractException;
import dev.facematch.errors.DeadlineException;
import dev.facematch.errors.FieldInvalidException;
import dev.facematch.errors.GaveUpException;
import dev.facematch.errors.MatchCancelledException;
import dev.facematch.errors.MatchNotFoundException;
import dev.facematch.errors.MatchRunningException;
import dev.facematch.errors.PhotoTooLargeException;
import dev.facematch.errors.UsageException;
import dev.facematch.testing.FaceMatchServer;
import dev.facematch.v1.ListMatchesRequest;
import dev.facematch.v1.Match;
import dev.facematch.v1.MatchRequest;
import dev.facematch.v1.MatchResult;
import dev.facematch.v1.MatchState;
import dev.facematch.v1.Resolution;
import dev.facematch.v1.WatchMatchesRequest;
import java.io.IOException;
import java.net.ServerSocket;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;

class ClientTest {
    private static final String SLOW = "{\"verdict\": {\"processing_ms\": 60000}}";

    @RegisterExtension
    static final FaceMatchServer server = FaceMatchServer.withFlags("--callers");

    private static MatchRequest request(String folder) {
        return MatchRequest.newBuilder().setFolderId(folder).setPhoto(server.photo()).build();
    }

    @Test
    void onlyTheSamePersonIsASuccess() {
        FaceMatchClient client = server.client();
        assertTrue(client.match(request(server.folder())).isSamePerson());
        String stranger = server.folder("{\"person\": \"stranger\"}");
        assertFalse(client.match(request(stranger)).isSamePerson());
        assertTrue(client.serverVersion().isPresent());
    }

    @Test
    void aStreamShowsItsRequestIdBeforeItIsRead() {
        List<String> kinds = new ArrayList<>();
        try (MatchStream stream = server.client().run(request(server.folder()))) {
            String requestId = stream.requestId().orElseThrow();
            stream.forEachRemaining(update -> kinds.add(update.getEventCase().name()));
            assertEquals(requestId, stream.match().orElseThrow().getRequestId());
        }
        assertEquals(List.of("ACCEPTED", "PHOTO_UPLOADED", "ANALYSIS_STARTED", "FINISHED"), kinds);
    }

    @Test
    void aMatchIsWaitedForCancelledAndErased() {
        FaceMatchClient client = server.client();
        Match match = client.create(request(server.folder(SLOW)));
        MatchRef ref = MatchRef.matchId(match.getMatchId());
        assertThrows(MatchRunningException.class, () -> client.delete(ref));
        assertThrows(DeadlineException.class, () -> client.await(ref, Duration.ofMillis(50)));
        assertEquals(MatchState.MATCH_STATE_CANCELLED, client.cancel(ref).getState());
        assertThrows(MatchCancelledException.class, () -> client.watch(ref).verdict());
        assertTrue(client.list(ListMatchesRequest.newBuilder().setPageSize(1).build())
                .anyMatch(it -> it.getMatchId().equals(match.getMatchId())));
        assertFalse(client.delete(ref).alreadyGone());
        assertThrows(MatchNotFoundException.class, () -> client.get(ref));
    }

    @Test
    void aTokenMovesWhenTheCallerIsDone() {
        FaceMatchClient client = server.client();
        String folder = server.folder();
        client.match(request(folder));
        WatchMatchesRequest all = WatchMatchesRequest.newBuilder()
                .setFolderId(folder).setResumeToken("earliest").build();
        String token;
        try (AllMatchesStream stream = client.watchAll(all)) {
            stream.next();
            assertNotEquals(stream.next().getResumeToken(), stream.resumeToken());
            stream.ack();
            token = stream.resumeToken();
        }
        try (AllMatchesStream rest = client.watchAll(all.toBuilder().setResumeToken(token).build())) {
            assertEquals(3, rest.next().getSequence());
        }
    }

    @Test
    void anotherThreadCancelsAStreamThatWaits() throws Exception {
        MatchStream stream = server.client().run(request(server.folder(SLOW)));
        stream.next();
        CompletableFuture<Verdict> verdict = CompletableFuture.supplyAsync(stream::verdict);
        stream.cancel();
        var error = assertThrows(Exception.class, verdict::get);
        var cancelled = assertInstanceOf(CallCancelledException.class, error.getCause());
        assertEquals(true, cancelled.matchContinues().orElseThrow());
    }

    @Test
    void anInterruptEndsACallAndStays() {
        MatchRequest request = request(server.folder(SLOW));
        Thread.currentThread().interrupt();
        assertThrows(CallCancelledException.class, () -> server.client().match(request));
        assertTrue(Thread.interrupted());
    }

    @Test
    void closingTheClientEndsItsCalls() {
        FaceMatchClient client =
                FaceMatchClient.builder(server.address()).token(server.token()).build();
        MatchStream stream = client.run(request(server.folder(SLOW)));
        stream.next();
        client.close();
        client.close();
        assertThrows(CallCancelledException.class, stream::verdict);
        MatchRef ref = MatchRef.matchId("none");
        assertThrows(CallCancelledException.class, () -> client.get(ref));
    }

    @Test
    void aConnectionThatFailsSaysWhy() throws IOException {
        int free;
        try (ServerSocket socket = new ServerSocket(0)) {
            free = socket.getLocalPort();
        }
        var refused = gaveUp(FaceMatchClient.builder("127.0.0.1:" + free));
        assertTrue(refused.getMessage().contains("Connection refused"), refused.getMessage());
        assertTrue(refused.getMessage().contains(":" + free), refused.getMessage());
        assertInstanceOf(IOException.class, refused.getCause());
        var noTls = gaveUp(FaceMatchClient.builder("https://" + server.address()));
        assertTrue(noTls.getMessage().contains("SSL"), noTls.getMessage());
        assertEquals(1, noTls.getMessage().lines().count());
    }

    private static GaveUpException gaveUp(FaceMatchClient.Builder builder) {
        RetryPolicy once = new RetryPolicy(Duration.ofMillis(1), Duration.ofMillis(1), Duration.ofMinutes(1), 0);
        try (FaceMatchClient client = builder.retry(once).build()) {
            return assertThrows(GaveUpException.class, () -> client.get(MatchRef.matchId("none")));
        }
    }

    @Test
    void allWrongFieldsAreNamed() {
        var error = assertThrows(FieldInvalidException.class, () -> server.client()
                .match(MatchRequest.newBuilder().setFolderId("no UUID").build()));
        assertTrue(error.fieldViolations().size() >= 2, error.fieldViolations().toString());
        assertEquals(false, error.matchContinues().orElseThrow());
        assertTrue(error.requestId().isPresent());
    }

    @Test
    void aPhotoThatIsTooLargeIsRefusedBeforeItIsSent() {
        byte[] large = new byte[Photos.BYTES_MAX + 1];
        assertThrows(PhotoTooLargeException.class, () -> Photos.bytes(large));
        var missing = assertThrows(UsageException.class,
                () -> Photos.file(Path.of("/nowhere/name-of-a-person.jpg")));
        assertFalse(missing.toString().contains("name-of-a-person"));
    }

    @Test
    void aVerdictWithoutAMeaningIsAnError() {
        for (MatchResult result : List.of(
                MatchResult.getDefaultInstance(),
                MatchResult.newBuilder().setResolutionValue(9).setMinConfidence(1).build(),
                MatchResult.newBuilder().setResolution(Resolution.RESOLUTION_SUCCESS).build())) {
            Match match = Match.newBuilder()
                    .setState(MatchState.MATCH_STATE_FINISHED).setResult(result).build();
            assertThrows(ContractException.class, () -> Verdict.of(match));
        }
        assertThrows(ContractException.class, () -> Verdict.of(Match.getDefaultInstance()));
    }

    @Test
    void settingsThatContradictEachOtherAreRefused() {
        for (FaceMatchClient.Builder wrong : List.of(
                FaceMatchClient.builder(" "),
                FaceMatchClient.builder("https://facematch/path"),
                FaceMatchClient.builder("https://facematch").plaintext(),
                FaceMatchClient.builder("facematch:1").plaintext().token("secret"),
                FaceMatchClient.builder("facematch:1").plaintext().serverName("name"),
                FaceMatchClient.builder("facematch:1").trust(Path.of("/nowhere/ca.pem")),
                FaceMatchClient.builder("facematch:1").header("no header", "a"))) {
            assertThrows(UsageException.class, wrong::build);
        }
        assertThrows(UsageException.class, () -> FaceMatchClient.builder("facematch:1").token("two words"));
    }

    @Test
    void onlyAnAddressOnThisMachineIsReachedInPlaintext() {
        for (String local : List.of("localhost:1", "127.0.0.1", "[::1]:1", "dns:///localhost:1")) {
            assertTrue(Endpoint.of(local, null, null, null, null, null).plaintext(), local);
        }
        for (String remote : List.of("facematch:1", "127.0.0.1.example:1", "dns://localhost/facematch")) {
            assertFalse(Endpoint.of(remote, null, null, null, null, null).plaintext(), remote);
        }
    }
}
