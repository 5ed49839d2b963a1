package dev.facematch;

import java.time.Instant;
import java.util.Optional;

/**
 * A match that is erased.
 *
 * @param matchId empty if the answer was lost and the match had been named by its request id
 * @param photoMediaId Oz's id of the photo, which stays at Oz
 * @param alreadyGone whether the answer was lost, and a repeat found no match any more
 */
public record Deleted(
        Optional<String> matchId,
        Optional<String> photoMediaId,
        Optional<Instant> deleteTime,
        boolean alreadyGone) {}
