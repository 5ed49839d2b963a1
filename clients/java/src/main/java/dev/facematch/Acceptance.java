package dev.facematch;

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

    /** Notes how a try failed. */
    void failed(Failure failure) {
        if (isSent && failure.mayHaveActed()) {
            accepted = true;
        }
        isSent = false;
    }
}
