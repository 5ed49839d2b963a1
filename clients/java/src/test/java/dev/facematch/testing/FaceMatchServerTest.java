package dev.facematch.testing;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.facematch.FaceMatchClient;
import dev.facematch.MatchRef;
import dev.facematch.errors.CredentialMissingException;
import dev.facematch.errors.MatchNotFoundException;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;

class FaceMatchServerTest {
    @RegisterExtension
    static final FaceMatchServer server = FaceMatchServer.withFlags("--callers");

    private static String address;

    @AfterAll
    static void theServerOutlivesNestedClasses() {
        assertEquals(address, server.address());
        assertThrows(MatchNotFoundException.class, () -> server.client().get(MatchRef.requestId("none")));
    }

    @Test
    void itsClientsHaveItsToken() {
        address = server.address();
        MatchRef none = MatchRef.requestId("none");
        try (FaceMatchClient client = server.clientBuilder().build();
                FaceMatchClient stranger = FaceMatchClient.connect(server.address())) {
            assertThrows(MatchNotFoundException.class, () -> client.get(none));
            assertThrows(CredentialMissingException.class, () -> stranger.get(none));
        }
    }

    @Test
    void aServerThatCannotStartFailsItsTests() {
        FaceMatchServer misspelt = FaceMatchServer.withFlags("--misspelt");
        var error = assertThrows(IllegalStateException.class, () -> misspelt.beforeAll(null));
        assertTrue(error.getMessage().contains("doesn't start"), error.getMessage());
        misspelt.afterAll(null);
    }

    @Nested
    class InANestedClass {
        @Test
        void theServerIsTheSame() {
            assertEquals(address, server.address());
        }
    }
}
