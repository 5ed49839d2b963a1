package dev.facematch;

import dev.facematch.errors.FaceMatchException;
import java.time.Duration;

/**
 * A broken call that is about to be repeated.
 *
 * @param attempt the number of the retry, from 1; again from 1 after progress
 * @param error why the call broke: the exception that would be thrown without a retry
 * @param pause the time until the retry
 * @param rpc the rpc that broke, such as {@code RunMatch}
 */
public record Reconnect(int attempt, FaceMatchException error, Duration pause, String rpc) {}
