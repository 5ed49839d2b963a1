package dev.facematch.kotlin.examples

import dev.facematch.FaceMatchClient
import dev.facematch.Photos
import dev.facematch.kotlin.FaceMatchCoroutineClient
import dev.facematch.v1.MatchRequest
import dev.facematch.v1.MatchUpdate
import dev.facematch.v1.WatchMatchesRequest
import java.nio.file.Path

suspend fun verdict(server: String, folderId: String, photo: Path): Boolean {
    // begin: verdict
    FaceMatchCoroutineClient(FaceMatchClient.connect(server)).use { client ->
        val request = MatchRequest.newBuilder()
            .setFolderId(folderId)
            .setPhoto(Photos.file(photo))
            .build()
        return client.match(request).isSamePerson
    }
    // end
}

suspend fun progress(client: FaceMatchCoroutineClient, request: MatchRequest) {
    // begin: progress
    client.run(request).collect { update ->
        println("${update.sequence} ${update.eventCase} ${update.match.state}")
    }
    // end
}

suspend fun all(client: FaceMatchCoroutineClient, token: String, handle: (MatchUpdate) -> Unit, store: (String) -> Unit) {
    // begin: all
    val request = WatchMatchesRequest.newBuilder().setResumeToken(token).build()
    client.watchAll(request).collect { update ->
        handle(update)
        store(update.resumeToken)
    }
    // end
}
