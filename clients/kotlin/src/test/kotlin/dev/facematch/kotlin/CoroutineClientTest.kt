package dev.facematch.kotlin

import dev.facematch.MatchRef
import dev.facematch.StreamOptions
import dev.facematch.Verdict
import dev.facematch.errors.CallCancelledException
import dev.facematch.errors.DeadlineException
import dev.facematch.errors.OzAnalysisFailedException
import dev.facematch.errors.OzFolderNotFoundException
import dev.facematch.testing.FaceMatchServer
import dev.facematch.v1.ListMatchesRequest
import dev.facematch.v1.Match
import dev.facematch.v1.MatchRequest
import dev.facematch.v1.MatchState
import dev.facematch.v1.MatchUpdate.EventCase
import dev.facematch.v1.WatchMatchesRequest
import java.util.UUID
import kotlin.time.Duration.Companion.milliseconds
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitAll
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.onEach
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.extension.RegisterExtension

class CoroutineClientTest {
    private val client get() = FaceMatchCoroutineClient(server.client())

    private fun request(folder: String = server.folder()): MatchRequest =
        MatchRequest.newBuilder().setFolderId(folder).setPhoto(server.photo()).build()

    private fun slow(): MatchRequest =
        request(server.folder("""{"verdict": {"processing_ms": 60000}}"""))

    private fun ref(match: Match) = MatchRef.matchId(match.matchId)

    @Test
    fun `a match runs to its verdict`() = runBlocking {
        assertTrue(client.match(request()).isSamePerson)
        assertFalse(client.match(request(server.folder("""{"person": "stranger"}"""))).isSamePerson)
    }

    @Test
    fun `a flow has all updates and ends`() = runBlocking {
        val updates = client.run(request()).toList()
        val events =
            listOf(EventCase.ACCEPTED, EventCase.PHOTO_UPLOADED, EventCase.ANALYSIS_STARTED, EventCase.FINISHED)
        assertEquals(events, updates.map { it.eventCase })
        assertTrue(Verdict.of(updates.last().match).isSamePerson)
    }

    @Test
    fun `a second collection is the same match`() = runBlocking {
        val run = client.run(request())
        assertEquals(run.first().matchId, run.first().matchId)
    }

    @Test
    fun `a match that fails throws, and its flow does not`() = runBlocking {
        val failing = request(server.folder("""{"verdict": {"state": "FAILED"}}"""))
        thrown<OzAnalysisFailedException> { client.match(failing) }
        assertEquals(MatchState.MATCH_STATE_FAILED, client.run(failing).toList().last().match.state)
        val unknown = failing.toBuilder().setFolderId(UUID.randomUUID().toString()).build()
        thrown<OzFolderNotFoundException> { client.match(unknown) }
        Unit
    }

    @Test
    fun `to cancel a coroutine ends its call and not the match`() = runBlocking {
        val request = slow().toBuilder().setRequestId(UUID.randomUUID().toString()).build()
        val isAccepted = CompletableDeferred<Unit>()
        val running = launch {
            client.run(request).collect { if (it.sequence == 3L) isAccepted.complete(Unit) }
        }
        val waiting = async(Dispatchers.Default) { client.match(request) }
        isAccepted.await()
        running.cancelAndJoin()
        waiting.cancel()
        thrown<CancellationException> { waiting.await() }
        val ref = MatchRef.requestId(request.requestId)
        assertEquals(MatchState.MATCH_STATE_PROCESSING, client.get(ref).state)
        assertEquals(MatchState.MATCH_STATE_CANCELLED, client.cancel(ref).state)
    }

    @Test
    fun `a scope that fails ends its calls`() = runBlocking {
        val request = slow()
        thrown<IllegalStateException> {
            coroutineScope {
                launch { client.match(request) }
                client.run(request).collect { error("the collector fails") }
            }
        }
        // A call that had gone on would have kept the scope open.
        Unit
    }

    @Test
    fun `a time limit ends the call with its own exception`() = runBlocking {
        val error = thrown<DeadlineException> { client.match(slow(), 300.milliseconds) }
        assertTrue(error.requestId().isPresent)
        Unit
    }

    @Test
    fun `a flow continues after its connection was cut`() = runBlocking {
        Proxy(server.address()).use { proxy ->
            val reconnects = mutableListOf<String>()
            val java = dev.facematch.FaceMatchClient.builder(proxy.address)
                .onReconnect { reconnects += it.rpc() }
                .build()
            FaceMatchCoroutineClient(java).use { client ->
                val sequences = client.run(request(server.folder("""{"verdict": {"processing_ms": 500}}""")))
                    .onEach { if (it.sequence == 3L) proxy.cut() }
                    .toList()
                    .map { it.sequence }
                assertEquals(listOf(1L, 2L, 3L, 4L), sequences)
            }
            assertTrue(reconnects.isNotEmpty())
            assertTrue(reconnects.all { it == "WatchMatch" || it == "RunMatch" })
            assertTrue(proxy.connections >= 2)
        }
    }

    @Test
    fun `closing the client ends its calls`() = runBlocking {
        val java = dev.facematch.FaceMatchClient.connect(server.address())
        val request = slow()
        FaceMatchCoroutineClient(java).use { closing ->
            thrown<CallCancelledException> {
                closing.run(request).collect { closing.close() }
            }
        }
        Unit
    }

    @Test
    fun `more calls wait at once than Dispatchers IO has threads`() = runBlocking {
        val match = client.create(slow())
        val waiting = List(WATCHERS) { async { client.await(ref(match)).state } }
        val watching = CompletableDeferred<Unit>()
        val watcher = launch { client.watch(ref(match)).collect { watching.complete(Unit) } }
        watching.await()
        client.cancel(ref(match))
        assertEquals(List(WATCHERS) { MatchState.MATCH_STATE_CANCELLED }, waiting.awaitAll())
        watcher.join()
    }

    @Test
    fun `matches are created, watched, listed and erased`() = runBlocking {
        val request = request()
        val match = client.create(request, 30_000.milliseconds)
        assertEquals(MatchState.MATCH_STATE_FINISHED, client.await(ref(match)).state)
        assertEquals(listOf(4L), client.watch(ref(match), afterSequence = 3).toList().map { it.sequence })
        val folder = ListMatchesRequest.newBuilder().setFolderId(request.folderId).build()
        assertEquals(listOf(match.matchId), client.list(folder).toList().map { it.matchId })
        assertFalse(client.delete(ref(match)).alreadyGone())
        assertTrue(client.list(folder).toList().isEmpty())
    }

    @Test
    fun `all matches are watched from a stored token`() = runBlocking {
        val request = request()
        client.match(request)
        val earliest = WatchMatchesRequest.newBuilder()
            .setFolderId(request.folderId).setResumeToken("earliest").build()
        val first = client.watchAll(earliest).take(2).toList()
        val rest = earliest.toBuilder().setResumeToken(first.last().resumeToken).build()
        assertEquals(listOf(3L, 4L), client.watchAll(rest).take(2).toList().map { it.sequence })
        val heartbeat = client.watchAll(rest, StreamOptions.DEFAULT.withHeartbeats()).first()
        assertTrue(heartbeat.hasHeartbeat())
    }

    /** What a suspending call throws; not a copy that coroutines make to show both stacks. */
    private suspend inline fun <reified E : Throwable> thrown(crossinline call: suspend () -> Unit): E {
        val result = runCatching { call() }
        return assertThrows(E::class.java) { result.getOrThrow() }
    }

    private companion object {
        private const val WATCHERS = 100

        @JvmField
        @RegisterExtension
        val server: FaceMatchServer = FaceMatchServer.withFlags()
    }
}
