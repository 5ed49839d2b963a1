package dev.facematch;

import dev.facematch.errors.UsageException;
import java.time.Duration;

/**
 * When a broken call is repeated, and when the client gives up.
 *
 * <p>The pause before retry number n (from 0) is random, from 0 to {@code first * 2^n}, and at most
 * {@code longest}. A delay that the server asks for takes its place.
 *
 * @param giveUpAfter the longest time from the first broken call without progress in between;
 *     {@code watchAll} has no such limit
 * @param tries the most retries in a row without progress
 */
public record RetryPolicy(Duration first, Duration longest, Duration giveUpAfter, int tries) {
    public static final RetryPolicy DEFAULT = new RetryPolicy(
            Duration.ofMillis(200), Duration.ofSeconds(5), Duration.ofMinutes(5), Integer.MAX_VALUE);

    public RetryPolicy {
        boolean isValid = first.compareTo(Duration.ZERO) > 0 && first.compareTo(longest) <= 0
                && giveUpAfter.compareTo(Duration.ZERO) > 0 && tries >= 0;
        if (!isValid) {
            throw new UsageException("a retry policy needs 0 < first <= longest, giveUpAfter > 0, tries >= 0");
        }
    }
}
