package dev.facematch.examples;

import dev.facematch.FaceMatchClient;
import dev.facematch.MatchStream;
import dev.facematch.Photos;
import dev.facematch.Verdict;
import dev.facematch.errors.FaceMatchException;
import dev.facematch.errors.MatchFailedException;
import dev.facematch.errors.OzFolderNotFoundException;
import dev.facematch.v1.MatchRequest;
import dev.facematch.v1.MatchUpdate;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Flow;

/** What the README shows. */
final class Examples {
    private Examples() {}

    static boolean verdict(String server, String folderId, Path photo) {
        // begin: verdict
        try (FaceMatchClient client = FaceMatchClient.connect(server)) {
            MatchRequest request = MatchRequest.newBuilder()
                    .setFolderId(folderId)
                    .setPhoto(Photos.file(photo))
                    .build();
            Verdict verdict = client.match(request);
            return verdict.isSamePerson();
        }
        // end
    }

    static void progress(FaceMatchClient client, MatchRequest request) {
        // begin: progress
        try (MatchStream stream = client.run(request.toBuilder().setIncludeProgress(true).build())) {
            stream.forEachRemaining(update ->
                    System.out.println(update.getEventCase() + " " + update.getMatch().getState()));
        }
        // end
    }

    static boolean async(FaceMatchClient client, MatchRequest request, Flow.Subscriber<MatchUpdate> subscriber) {
        // begin: async
        CompletableFuture<Verdict> verdict = client.matchAsync(request);
        Flow.Publisher<MatchUpdate> updates = client.run(request).publisher();
        // end
        updates.subscribe(subscriber);
        return verdict.join().isSamePerson();
    }

    static Verdict resume(FaceMatchClient client, MatchRequest request, String stored) {
        // begin: resume
        // FaceMatchClient.newRequestId(), stored before the first call. After a crash, the same call
        // continues the same match, or returns its verdict again.
        return client.match(request.toBuilder().setRequestId(stored).build());
        // end
    }

    static String errors(FaceMatchClient client, MatchRequest request) {
        // begin: errors
        try {
            return client.match(request, Duration.ofMinutes(1)).toString();
        } catch (OzFolderNotFoundException e) {
            return "check the folder's id";
        } catch (MatchFailedException e) {
            return e.reason().orElse("") + ", may be retried: " + e.isRetryable();
        } catch (FaceMatchException e) {
            return e.code().orElse("") + " of the request " + e.requestId().orElse("");
        }
        // end
    }
}
