package dev.facematch.examples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.facematch.FaceMatchClient;
import dev.facematch.Photos;
import dev.facematch.testing.FaceMatchServer;
import dev.facematch.testing.FakeFaceMatch;
import dev.facematch.v1.MatchRequest;
import dev.facematch.v1.Resolution;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;

class PortraitTest {
    // begin: server
    @RegisterExtension
    static final FaceMatchServer server = FaceMatchServer.withFlags();

    @Test
    void thePortraitIsTheSamePerson() {
        MatchRequest request = MatchRequest.newBuilder()
                .setFolderId(server.folder("{\"verdict\": {\"processing_ms\": 100}}"))
                .setPhoto(server.photo())
                .build();
        assertTrue(server.client().match(request).isSamePerson());
    }
    // end

    // begin: fake
    @Test
    void anotherPersonIsDeclined() {
        try (FakeFaceMatch fake = new FakeFaceMatch(); FaceMatchClient client = fake.client()) {
            fake.finish("some-folder", Resolution.RESOLUTION_DECLINED);
            MatchRequest request = MatchRequest.newBuilder()
                    .setFolderId("some-folder")
                    .setPhoto(Photos.library("some-key"))
                    .build();
            assertFalse(client.match(request).isSamePerson());
            assertEquals(1, fake.requests().size());
        }
    }
    // end
}
