package dev.facematch.kotlin

import dev.facematch.Deleted
import dev.facematch.FaceMatchClient
import dev.facematch.MatchRef
import dev.facematch.StreamOptions
import dev.facematch.UpdateStream
import dev.facematch.Verdict
import dev.facematch.errors.CallCancelledException
import dev.facematch.v1.ListMatchesRequest
import dev.facematch.v1.Match
import dev.facematch.v1.MatchRequest
import dev.facematch.v1.MatchUpdate
import dev.facematch.v1.WatchMatchesRequest
import kotlin.time.Duration
import kotlin.time.toJavaDuration
import kotlinx.coroutines.CoroutineDispatcher
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.currentCoroutineContext
import kotlinx.coroutines.ensureActive
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.runInterruptible

/**
 * The verbs of a [FaceMatchClient] for coroutines: functions that suspend, and flows.
 *
 * Cancelling a coroutine ends its call, and never the match; only [cancel] ends a match. A `timeout`
 * limits the call, all its retries included, and ends as a [dev.facematch.errors.DeadlineException].
 * The exceptions are those of the Java client.
 *
 * Flows are cold: each collection makes its own calls, and resumes them by itself. The next update is
 * asked for when the collector has processed the last one.
 *
 * @param client is shared with other callers, if there are any; [close] closes it
 * @param dispatcher runs the calls, each of which takes a thread while it waits
 */
public class FaceMatchCoroutineClient @JvmOverloads constructor(
    private val client: FaceMatchClient,
    private val dispatcher: CoroutineDispatcher = WAITING,
) : AutoCloseable {
    /** Runs a match and returns its verdict. A match that FAILED or was CANCELLED throws. */
    public suspend fun match(request: MatchRequest, timeout: Duration? = null): Verdict =
        waiting { client.match(request, timeout?.toJavaDuration()) }

    /**
     * Runs a match. Its flow ends after the match's last update, also if the match FAILED.
     *
     * Without a request id the flow has one of its own, so that a second collection is the same match.
     */
    public fun run(request: MatchRequest, options: StreamOptions = StreamOptions.DEFAULT): Flow<MatchUpdate> {
        val named = when {
            request.requestId.isNotEmpty() -> request
            else -> request.toBuilder().setRequestId(FaceMatchClient.newRequestId()).build()
        }
        return updates { client.run(named, options) }
    }

    /** Starts a match and returns once a crash of the server can't lose its photo any more. */
    public suspend fun create(request: MatchRequest, timeout: Duration? = null): Match =
        waiting { client.create(request, timeout?.toJavaDuration()) }

    /** Returns a match in its present state. */
    public suspend fun get(ref: MatchRef, timeout: Duration? = null): Match =
        waiting { client.get(ref, timeout?.toJavaDuration()) }

    /** Waits until a match has ended, and returns it, also if it FAILED. */
    public suspend fun await(ref: MatchRef, timeout: Duration? = null): Match =
        waiting { client.await(ref, timeout?.toJavaDuration()) }

    /** The updates of a match after a sequence: first the stored ones, then live ones. */
    public fun watch(
        ref: MatchRef,
        afterSequence: Long = 0,
        includeProgress: Boolean = false,
        options: StreamOptions = StreamOptions.DEFAULT,
    ): Flow<MatchUpdate> = updates { client.watch(ref, afterSequence, includeProgress, options) }

    /**
     * The updates of all matches, or of those that the request selects. It doesn't end by itself.
     *
     * An update's `resumeToken`, stored once the update is processed, continues the stream after a
     * restart. A second collection begins where the request says.
     */
    public fun watchAll(
        request: WatchMatchesRequest,
        options: StreamOptions = StreamOptions.DEFAULT,
    ): Flow<MatchUpdate> = updates { client.watchAll(request, options) }

    /** Lists matches, newest first. The timeout limits each page. */
    public fun list(request: ListMatchesRequest, timeout: Duration? = null): Flow<Match> = flow {
        val matches = client.list(request, timeout?.toJavaDuration()).iterator()
        while (waiting { matches.hasNext() }) {
            emit(matches.next())
        }
    }

    /** Ends a match as CANCELLED. A match that is cancelled already is returned as it is. */
    public suspend fun cancel(ref: MatchRef, timeout: Duration? = null): Match =
        waiting { client.cancel(ref, timeout?.toJavaDuration()) }

    /** Erases a match that has ended. */
    public suspend fun delete(ref: MatchRef, timeout: Duration? = null): Deleted =
        waiting { client.delete(ref, timeout?.toJavaDuration()) }

    /** Ends all calls and closes the Java client. Closing twice is fine. */
    override fun close() {
        client.close()
    }

    override fun toString(): String = "FaceMatchCoroutineClient[$client]"

    private fun updates(open: () -> UpdateStream): Flow<MatchUpdate> = flow {
        open().use { stream ->
            while (waiting { stream.hasNext() }) {
                emit(stream.next())
            }
        }
    }

    private suspend fun <T> waiting(call: () -> T): T =
        try {
            runInterruptible(dispatcher, call)
        } catch (e: CallCancelledException) {
            // The coroutine's own end comes first; the client may have been closed instead.
            currentCoroutineContext().ensureActive()
            throw e
        }

    private companion object {
        /** As many threads as calls that wait: the 64 of Dispatchers.IO would limit the matches. */
        private val WAITING = Dispatchers.IO.limitedParallelism(Int.MAX_VALUE)
    }
}
