package dev.facematch.errors;

import java.io.Serializable;

/** A field of the request that the server refused, and why. */
public record FieldViolation(String field, String description) implements Serializable {}
