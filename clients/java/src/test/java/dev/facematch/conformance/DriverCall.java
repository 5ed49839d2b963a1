package dev.facematch.conformance;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import dev.facematch.AllMatchesStream;
import dev.facematch.FaceMatchClient;
import dev.facematch.MatchRef;
import dev.facematch.MatchStream;
import dev.facematch.OnExpired;
import dev.facematch.Photos;
import dev.facematch.StreamOptions;
import dev.facematch.Times;
import dev.facematch.UpdateStream;
import dev.facematch.errors.CallCancelledException;
import dev.facematch.errors.ErrorDetails;
import dev.facematch.v1.ListMatchesRequest;
import dev.facematch.v1.LivenessPolicy;
import dev.facematch.v1.Match;
import dev.facematch.v1.MatchRequest;
import dev.facematch.v1.MatchState;
import dev.facematch.v1.PhotoKind;
import dev.facematch.v1.ReferencePhoto;
import dev.facematch.v1.WatchMatchesRequest;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Iterator;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Semaphore;
import java.util.stream.Stream;

/** One call of the suite, in a thread of its own. */
final class DriverCall {
    private static final Set<String> COMMAND_KEYS =
            Set.of("do", "call", "client", "verb", "deadline_ms");
    private static final Map<String, Set<String>> VERB_KEYS = Map.of(
            "match", Set.of("request"),
            "run", Set.of("request", "heartbeats", "pause_after", "stop_after"),
            "create", Set.of("request"),
            "get", Set.of("id"),
            "wait", Set.of("id"),
            "watch", Set.of("id", "after_sequence", "include_progress", "heartbeats", "pause_after",
                    "stop_after"),
            "watch_all", Set.of("resume_token", "folder_id", "labels", "on_expired", "heartbeats",
                    "pause_after", "stop_after"),
            "list", Set.of("folder_id", "labels", "states", "page_size", "pause_after", "stop_after"),
            "cancel", Set.of("id"),
            "delete", Set.of("id"));

    private final String name;
    private final JsonObject command;
    private final FaceMatchClient client;
    private final Semaphore goes = new Semaphore(0);
    private final Thread thread = new Thread(this::run);
    private volatile UpdateStream stream;
    private volatile boolean isCancelled;

    DriverCall(String name, JsonObject command, FaceMatchClient client) {
        this.name = name;
        this.command = command;
        this.client = client;
    }

    void start() {
        thread.setDaemon(true);
        thread.start();
    }

    void go() {
        goes.release();
    }

    void cancel() {
        isCancelled = true;
        UpdateStream open = stream;
        if (open == null) {
            thread.interrupt();
        } else {
            open.cancel();
            goes.release();
        }
    }

    private void run() {
        String verb = command.get("verb").getAsString();
        Set<String> keys = VERB_KEYS.get(verb);
        String unknown = command.keySet().stream()
                .filter(key -> !COMMAND_KEYS.contains(key) && (keys == null || !keys.contains(key)))
                .findFirst().orElse(keys == null ? verb : null);
        if (unknown != null) {
            Driver.unsupported(command, unknown);
            return;
        }
        try {
            JsonObject result = Driver.event("result");
            play(verb, result);
            print(result);
        } catch (IOException | InterruptedException | RuntimeException e) {
            print(Lines.error(e));
        }
    }

    private void play(String verb, JsonObject result) throws IOException, InterruptedException {
        switch (verb) {
            case "match" -> Lines.verdict(result, client.match(request(), timeout()));
            case "run" -> {
                MatchStream run = client.run(request(), options());
                JsonObject line = Driver.event("request_id");
                line.addProperty("request_id", run.requestId().orElse(null));
                print(line);
                follow(run, result);
            }
            case "create" -> Lines.match(result, client.create(request(), timeout()));
            case "get" -> Lines.match(result, client.get(ref(), timeout()));
            case "wait" -> Lines.match(result, client.await(ref(), timeout()));
            case "watch" -> follow(client.watch(ref(), number("after_sequence", 0),
                    flag(command, "include_progress"), options()), result);
            case "watch_all" -> followAll(result);
            case "list" -> list(result);
            case "cancel" -> Lines.match(result, client.cancel(ref(), timeout()));
            default -> Lines.deleted(result, client.delete(ref(), timeout()));
        }
    }

    private void follow(MatchStream run, JsonObject result) throws InterruptedException {
        printUpdates(run, result);
        run.match().ifPresent(match -> {
            result.addProperty("state", Lines.state(match));
            result.addProperty("resolution", Lines.resolution(match));
        });
    }

    private void followAll(JsonObject result) throws InterruptedException {
        WatchMatchesRequest.Builder request = WatchMatchesRequest.newBuilder();
        if (command.has("resume_token")) {
            request.setResumeToken(command.get("resume_token").getAsString());
        }
        if (command.has("folder_id")) {
            request.setFolderId(command.get("folder_id").getAsString());
        }
        labels(command).forEach(it -> request.putLabels(it.getKey(), it.getValue().getAsString()));
        AllMatchesStream all = client.watchAll(request.build(), options());
        printUpdates(all, result);
        // The driver is done with the update that it has printed last.
        all.ack();
        result.addProperty("resume_token", all.resumeToken());
    }

    private void printUpdates(UpdateStream updates, JsonObject result) throws InterruptedException {
        stream = updates;
        if (isCancelled) {
            updates.cancel();
        }
        try (updates) {
            long lines = 0;
            pauseAfter(lines);
            while (updates.hasNext()) {
                print(Lines.update(updates.next()));
                lines += 1;
                if (lines == number("stop_after", -1)) {
                    result.addProperty("stopped", true);
                    return;
                }
                pauseAfter(lines);
            }
        }
    }

    private void list(JsonObject result) throws InterruptedException {
        ListMatchesRequest.Builder request = ListMatchesRequest.newBuilder();
        if (command.has("folder_id")) {
            request.setFolderId(command.get("folder_id").getAsString());
        }
        if (command.has("states")) {
            for (JsonElement state : command.getAsJsonArray("states")) {
                request.addStates(MatchState.valueOf("MATCH_STATE_" + state.getAsString()));
            }
        }
        labels(command).forEach(it -> request.putLabels(it.getKey(), it.getValue().getAsString()));
        request.setPageSize((int) number("page_size", 0));
        try (Stream<Match> matches = client.list(request.build(), timeout())) {
            Iterator<Match> iterator = matches.iterator();
            long lines = 0;
            pauseAfter(lines);
            while (iterator.hasNext()) {
                Match match = iterator.next();
                JsonObject item = Driver.event("item");
                item.addProperty("match_id", match.getMatchId());
                item.addProperty("request_id", match.getRequestId());
                item.addProperty("state", Lines.state(match));
                print(item);
                lines += 1;
                if (lines == number("stop_after", -1)) {
                    result.addProperty("stopped", true);
                    return;
                }
                pauseAfter(lines);
            }
        }
    }

    /** Waits for the command "go", if the call pauses after so many lines. */
    private void pauseAfter(long lines) throws InterruptedException {
        if (!command.has("pause_after")) {
            return;
        }
        for (JsonElement pause : command.getAsJsonArray("pause_after")) {
            if (pause.getAsLong() == lines) {
                JsonObject paused = Driver.event("paused");
                if (stream instanceof AllMatchesStream all) {
                    paused.addProperty("resume_token", all.resumeToken());
                }
                print(paused);
                try {
                    goes.acquire();
                } catch (InterruptedException e) {
                    throw new CallCancelledException("interrupted", ErrorDetails.NONE);
                }
            }
        }
    }

    private MatchRequest request() throws IOException {
        JsonObject given = command.getAsJsonObject("request");
        MatchRequest.Builder request = MatchRequest.newBuilder()
                .setFolderId(given.get("folder_id").getAsString())
                .setIncludeProgress(flag(given, "include_progress"))
                .setPhoto(photo(given));
        if (given.has("request_id")) {
            request.setRequestId(given.get("request_id").getAsString());
        }
        if (given.has("timeout_ms")) {
            request.setTimeout(Times.of(Duration.ofMillis(given.get("timeout_ms").getAsLong())));
        }
        if (given.has("liveness_policy")) {
            String policy = given.get("liveness_policy").getAsString().toUpperCase(Locale.ROOT);
            request.setLivenessPolicy(LivenessPolicy.valueOf("LIVENESS_POLICY_" + policy));
        }
        if (given.has("liveness_media_ids")) {
            given.getAsJsonArray("liveness_media_ids")
                    .forEach(it -> request.addLivenessMediaIds(it.getAsString()));
        }
        labels(given).forEach(it -> request.putLabels(it.getKey(), it.getValue().getAsString()));
        return request.build();
    }

    private static ReferencePhoto photo(JsonObject given) throws IOException {
        ReferencePhoto photo = source(given.getAsJsonObject("photo"));
        if (!given.has("kind")) {
            return photo;
        }
        String kind = given.get("kind").getAsString().toUpperCase(Locale.ROOT);
        return photo.toBuilder().setKind(PhotoKind.valueOf("PHOTO_KIND_" + kind)).build();
    }

    private static ReferencePhoto source(JsonObject photo) throws IOException {
        if (photo.has("reference_key")) {
            return Photos.library(photo.get("reference_key").getAsString());
        }
        if (photo.has("folder_media_id")) {
            return Photos.inFolder(photo.get("folder_media_id").getAsString());
        }
        Path path = Path.of(photo.get("path").getAsString());
        return switch (photo.get("as").getAsString()) {
            case "path" -> Photos.file(path);
            case "bytes" -> Photos.bytes(Files.readAllBytes(path));
            default -> {
                try (InputStream stream = Files.newInputStream(path)) {
                    yield Photos.read(stream);
                }
            }
        };
    }

    private StreamOptions options() {
        StreamOptions options = StreamOptions.DEFAULT.withTimeout(timeout());
        if (flag(command, "heartbeats")) {
            options = options.withHeartbeats();
        }
        String expired = command.has("on_expired") ? command.get("on_expired").getAsString() : "raise";
        return options.withOnExpired(switch (expired) {
            case "earliest" -> OnExpired.EARLIEST;
            case "now" -> OnExpired.NOW;
            default -> OnExpired.THROW;
        });
    }

    private MatchRef ref() {
        JsonObject id = command.getAsJsonObject("id");
        return id.has("match_id")
                ? MatchRef.matchId(id.get("match_id").getAsString())
                : MatchRef.requestId(id.get("request_id").getAsString());
    }

    private Duration timeout() {
        return command.has("deadline_ms") ? Duration.ofMillis(number("deadline_ms", 0)) : null;
    }

    private long number(String key, long usual) {
        return command.has(key) ? command.get(key).getAsLong() : usual;
    }

    private static boolean flag(JsonObject given, String key) {
        return given.has(key) && !given.get(key).isJsonNull() && given.get(key).getAsBoolean();
    }

    private static Set<Map.Entry<String, JsonElement>> labels(JsonObject given) {
        return given.has("labels") ? given.getAsJsonObject("labels").entrySet() : Set.of();
    }

    private void print(JsonObject line) {
        line.addProperty("call", name);
        Driver.print(line);
    }
}
