package dev.facematch.kotlin.examples

import dev.facematch.kotlin.FaceMatchCoroutineClient
import dev.facematch.testing.FaceMatchServer
import dev.facematch.v1.MatchRequest
import java.nio.file.Files
import java.nio.file.Path
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.extension.RegisterExtension
import org.junit.jupiter.api.io.TempDir

class ExamplesTest {
    @Test
    fun `the examples run`(@TempDir folder: Path) = runBlocking {
        val photo = folder.resolve("portrait.jpg")
        Files.write(photo, server.photo().content.toByteArray())
        assertTrue(verdict(server.address(), server.folder(), photo))

        val client = FaceMatchCoroutineClient(server.client())
        val request = MatchRequest.newBuilder().setFolderId(server.folder()).setPhoto(server.photo()).build()
        progress(client, request)
        val hasStored = CompletableDeferred<String>()
        val watcher = launch { all(client, "earliest", {}, { hasStored.complete(it) }) }
        assertTrue(hasStored.await().isNotEmpty())
        watcher.cancel()
    }

    @Test
    fun `the README shows the examples as they are`() {
        val readme = Files.readString(Path.of("README.md"))
        val source = Files.readString(Path.of("src/test/kotlin/dev/facematch/kotlin/examples/Examples.kt"))
        val blocks = Regex("<!-- (\\S+) -->\n\n```kotlin\n(.*?)```", RegexOption.DOT_MATCHES_ALL).findAll(readme)
        val shown = blocks.associate { it.groupValues[1] to it.groupValues[2] }
        assertEquals(setOf("verdict", "progress", "all"), shown.keys)
        for ((name, text) in shown) {
            val example = source.substringAfter("// begin: $name\n").substringBefore("// end")
            assertEquals(example.trimEnd().trimIndent() + "\n", text, name)
        }
        assertEquals(shown.size, Regex("```kotlin").findAll(readme).count())
    }

    private companion object {
        @JvmField
        @RegisterExtension
        val server: FaceMatchServer = FaceMatchServer.withFlags()
    }
}
