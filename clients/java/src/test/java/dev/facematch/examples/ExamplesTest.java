package dev.facematch.examples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.facematch.FaceMatchClient;
import dev.facematch.testing.FaceMatchServer;
import dev.facematch.v1.MatchRequest;
import dev.facematch.v1.MatchUpdate;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Flow;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;

class ExamplesTest {
    @RegisterExtension
    static final FaceMatchServer server = FaceMatchServer.withFlags();

    @Test
    void theExamplesRun(@TempDir Path folder) throws IOException {
        Path photo = folder.resolve("portrait.jpg");
        Files.write(photo, server.photo().getContent().toByteArray());
        assertTrue(Examples.verdict(server.address(), server.folder(), photo));

        FaceMatchClient client = server.client();
        MatchRequest request = MatchRequest.newBuilder()
                .setFolderId(server.folder()).setPhoto(server.photo()).build();
        Examples.progress(client, request);
        FirstUpdate first = new FirstUpdate();
        assertTrue(Examples.async(client, request, first));
        assertEquals(1, first.update.join().getSequence());
        String stored = FaceMatchClient.newRequestId();
        assertEquals(Examples.resume(client, request, stored).matchId(),
                Examples.resume(client, request, stored).matchId());
        MatchRequest unknown = request.toBuilder()
                .setFolderId("8d0e7c51-6c86-4d7b-9b5e-0e3b6a0c1f11").build();
        assertEquals("check the folder's id", Examples.errors(client, unknown));
    }

    @Test
    void theReadmeShowsTheExamplesAsTheyAre() throws IOException {
        String readme = Files.readString(Path.of("README.md"));
        Set<String> shown = new TreeSet<>();
        var block = Pattern.compile("<!-- (\\S+) -->\n\n```java\n(.*?)```", Pattern.DOTALL).matcher(readme);
        while (block.find()) {
            shown.add(block.group(1));
            assertEquals(source(block.group(1)), block.group(2), block.group(1));
        }
        assertEquals(Set.of("async", "errors", "fake", "progress", "resume", "server", "verdict"), shown);
        assertFalse(readme.replaceAll("-->\n\n```java", "").contains("```java"));
    }

    /** Takes one update. */
    private static final class FirstUpdate implements Flow.Subscriber<MatchUpdate> {
        private final CompletableFuture<MatchUpdate> update = new CompletableFuture<>();
        private Flow.Subscription subscription;

        @Override
        public void onSubscribe(Flow.Subscription given) {
            subscription = given;
            subscription.request(1);
        }

        @Override
        public void onNext(MatchUpdate given) {
            subscription.cancel();
            update.complete(given);
        }

        @Override
        public void onError(Throwable error) {
            update.completeExceptionally(error);
        }

        @Override
        public void onComplete() {
            update.completeExceptionally(new IllegalStateException("the stream ended"));
        }
    }

    private static String source(String name) throws IOException {
        Path folder = Path.of("src/test/java/dev/facematch/examples");
        String file = Set.of("server", "fake").contains(name) ? "PortraitTest.java" : "Examples.java";
        String text = Files.readString(folder.resolve(file));
        String begin = "// begin: " + name + "\n";
        String rest = text.substring(text.indexOf(begin) + begin.length());
        return rest.substring(0, rest.indexOf("// end")).stripTrailing().stripIndent() + "\n";
    }
}
