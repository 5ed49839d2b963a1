package dev.facematch;

import io.grpc.Status;

/** Whether the server may have accepted a match, as far as its client can know. */
final class Acceptance {
    private volatile boolean accepted;
    private volatile boolean isSent;

    Acceptance(boolean accepted) {
        this.accepted = accepted;
    }

    boolean mayBe() {
        return accepted || isSent;
    }

    /** Notes that the request is sent. From here on the match may be accepted. */
    void sending() {
        isSent = true;
    }

    /** Notes that the server has answered with the match. */
    void answered() {
        accepted = true;
    }

    /** Notes how a try failed. What the server refused was not accepted; what broke off may be. */
    void failed(Failure failure) {
        boolean isLost = failure.mayPass() || failure.code == Status.Code.DEADLINE_EXCEEDED;
        if (isSent && failure.reason == null && isLost) {
            accepted = true;
        }
        isSent = false;
    }
}
