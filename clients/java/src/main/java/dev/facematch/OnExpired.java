package dev.facematch;

/** What {@code watchAll} does when its token has expired. */
public enum OnExpired {
    /** Throws {@link dev.facematch.errors.TokenExpiredException}. */
    THROW,
    /** Begins again at the oldest retained update. */
    EARLIEST,
    /** Begins again with the next update. */
    NOW
}
