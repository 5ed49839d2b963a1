package dev.facematch;

/** The match that a call is about, as far as it is about one. Null stands for what isn't known. */
interface Subject {
    String requestId();

    String matchId();

    Boolean matchContinues();
}
