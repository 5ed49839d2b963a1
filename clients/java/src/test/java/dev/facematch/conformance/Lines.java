package dev.facematch.conformance;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import dev.facematch.Deleted;
import dev.facematch.Verdict;
import dev.facematch.errors.CallCancelledException;
import dev.facematch.errors.ContractException;
import dev.facematch.errors.DeadlineException;
import dev.facematch.errors.FaceMatchException;
import dev.facematch.errors.FieldViolation;
import dev.facematch.errors.GaveUpException;
import dev.facematch.errors.MatchCancelledException;
import dev.facematch.errors.MatchFailedException;
import dev.facematch.errors.UsageException;
import dev.facematch.v1.Match;
import dev.facematch.v1.MatchState;
import dev.facematch.v1.MatchUpdate;
import dev.facematch.v1.Resolution;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** The lines that show what the library hands out. */
final class Lines {
    private static final List<String> REASONS = reasons();

    private Lines() {}

    static JsonObject update(MatchUpdate update) {
        JsonObject line = Driver.event("update");
        line.addProperty("sequence", update.getSequence());
        line.addProperty("match_id", update.getMatchId());
        line.addProperty("resume_token", update.getResumeToken());
        line.addProperty("kind", kind(update));
        if (update.hasMatch()) {
            line.addProperty("state", state(update.getMatch()));
            line.addProperty("resolution", resolution(update.getMatch()));
        }
        if (update.hasAttemptFailed()) {
            line.addProperty("cause", update.getAttemptFailed().getCause());
        }
        return line;
    }

    static JsonObject match(JsonObject line, Match match) {
        line.addProperty("match_id", match.getMatchId());
        line.addProperty("request_id", match.getRequestId());
        line.addProperty("state", state(match));
        line.addProperty("sequence", match.getSequence());
        line.addProperty("resolution", resolution(match));
        line.addProperty("folder_id", match.getFolderId());
        if (match.hasError()) {
            line.addProperty("error_reason", match.getError().getReason());
        }
        return line;
    }

    static JsonObject verdict(JsonObject line, Verdict verdict) {
        line.addProperty("resolution", resolution(verdict.match()));
        line.addProperty("same_person", verdict.isSamePerson());
        line.addProperty("match_id", verdict.matchId());
        line.addProperty("request_id", verdict.requestId());
        line.addProperty("min_confidence", verdict.minConfidence());
        return line;
    }

    static JsonObject deleted(JsonObject line, Deleted deleted) {
        deleted.matchId().ifPresent(it -> line.addProperty("match_id", it));
        deleted.photoMediaId().ifPresent(it -> line.addProperty("photo_media_id", it));
        if (deleted.alreadyGone()) {
            line.addProperty("already_gone", true);
        }
        return line;
    }

    static JsonObject error(Throwable thrown) {
        JsonObject line = Driver.event("error");
        line.addProperty("text", shown(thrown));
        if (!(thrown instanceof FaceMatchException error)) {
            line.addProperty("kind", "not of the library");
            return line;
        }
        line.addProperty("kind", kind(error));
        error.code().ifPresent(it -> line.addProperty("code", it));
        error.reason().ifPresent(it -> line.addProperty("reason", it));
        line.addProperty("message", error.getMessage());
        JsonObject metadata = new JsonObject();
        error.metadata().forEach(metadata::addProperty);
        line.add("metadata", metadata);
        JsonArray is = new JsonArray();
        REASONS.stream().filter(reason -> classOf(reason).isInstance(error)).forEach(is::add);
        line.add("is", is);
        if (error instanceof MatchFailedException failed) {
            line.addProperty("retryable", failed.isRetryable());
        }
        error.retryAfter().ifPresent(it -> line.addProperty("retry_after_ms", it.toMillis()));
        JsonArray violations = new JsonArray();
        error.fieldViolations().stream().map(FieldViolation::field).forEach(violations::add);
        line.add("violations", violations);
        error.requestId().ifPresent(it -> line.addProperty("request_id", it));
        error.matchId().ifPresent(it -> line.addProperty("match_id", it));
        error.matchContinues().ifPresent(it -> line.addProperty("match_continues", it));
        return line;
    }

    static String state(Match match) {
        return match.getState() == MatchState.UNRECOGNIZED
                ? String.valueOf(match.getStateValue())
                : match.getState().name().replaceFirst("^MATCH_STATE_", "");
    }

    /** Null without a result. */
    static String resolution(Match match) {
        if (!match.hasResult()) {
            return null;
        }
        Resolution resolution = match.getResult().getResolution();
        return resolution == Resolution.UNRECOGNIZED
                ? String.valueOf(match.getResult().getResolutionValue())
                : resolution.name().replaceFirst("^RESOLUTION_", "");
    }

    private static String kind(MatchUpdate update) {
        String name = update.getEventCase().name().toLowerCase(Locale.ROOT);
        return name.equals("event_not_set") ? "unknown" : name;
    }

    private static String kind(FaceMatchException error) {
        if (error instanceof MatchFailedException) {
            return "failed";
        } else if (error instanceof MatchCancelledException) {
            return "match_cancelled";
        } else if (error instanceof DeadlineException) {
            return "deadline";
        } else if (error instanceof CallCancelledException) {
            return "cancelled";
        } else if (error instanceof GaveUpException) {
            return "gave_up";
        } else if (error instanceof ContractException) {
            return "contract";
        } else if (error instanceof UsageException) {
            return "usage";
        }
        return "refused";
    }

    /** All that a program may log of an exception. */
    private static String shown(Throwable thrown) {
        StringWriter text = new StringWriter();
        thrown.printStackTrace(new PrintWriter(text));
        return thrown + "\n" + text;
    }

    /** The class of a reason, by the rule of its name. */
    private static Class<?> classOf(String reason) {
        StringBuilder name = new StringBuilder("dev.facematch.errors.");
        for (String word : reason.split("_")) {
            name.append(word.charAt(0)).append(word.substring(1).toLowerCase(Locale.ROOT));
        }
        try {
            return Class.forName(name.append("Exception").toString());
        } catch (ClassNotFoundException e) {
            throw new IllegalStateException(e);
        }
    }

    private static List<String> reasons() {
        try {
            List<String> reasons = new ArrayList<>();
            String text = Files.readString(Path.of("clients/reasons.json"));
            for (var entry : JsonParser.parseString(text).getAsJsonObject().getAsJsonArray("reasons")) {
                reasons.add(entry.getAsJsonObject().get("reason").getAsString());
            }
            return reasons;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
