package dev.facematch.errors;

/** The server broke the contract: a gap in the sequence, or a verdict that means nothing. */
public final class ContractException extends FaceMatchException {
    private static final long serialVersionUID = 1L;

    /** @hidden */
    public ContractException(String message, ErrorDetails details) {
        super(message, details);
    }
}
