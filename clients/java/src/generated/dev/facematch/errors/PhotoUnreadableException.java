// Made by generate-errors from clients/reasons.json.
package dev.facematch.errors;

/**
 * The photo is not a complete JPEG or PNG that decoders accept, or its dimensions are out of
 * range; the message says which.
 */
public final class PhotoUnreadableException extends CallRefusedException {
    private static final long serialVersionUID = 1L;

    /** @hidden */
    public PhotoUnreadableException(String message, ErrorDetails details) {
        super(message, details);
    }
}
