package dev.facematch.conformance;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import dev.facematch.FaceMatchClient;
import dev.facematch.Limits;
import dev.facematch.Reconnect;
import dev.facematch.RetryPolicy;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashSet;
import java.util.Set;

/** The options of the command "open". */
final class Options {
    private final JsonObject given;
    private final Set<String> known = new HashSet<>();

    private Options(JsonObject given) {
        this.given = given;
    }

    static FaceMatchClient client(String name, JsonObject command) {
        JsonObject given = command.has("options") ? command.getAsJsonObject("options") : new JsonObject();
        return new Options(given).build(name, command.get("target").getAsString());
    }

    private FaceMatchClient build(String name, String target) {
        FaceMatchClient.Builder builder = FaceMatchClient.builder(target)
                .retry(retry())
                .limits(limits())
                .onReconnect(it -> print(name, it));
        JsonElement tls = take("tls");
        if (tls == null) {
            builder.plaintext();
        } else {
            tls(builder, tls.getAsJsonObject());
        }
        String token = text(take("token"));
        String tokenFile = text(take("token_file"));
        if (token != null) {
            builder.token(token);
        }
        if (tokenFile != null) {
            builder.tokenFile(Path.of(tokenFile));
        }
        JsonElement allow = take("allow_plaintext_token");
        if (allow != null && allow.getAsBoolean()) {
            builder.allowPlaintextToken();
        }
        JsonElement headers = take("headers");
        if (headers != null) {
            headers.getAsJsonObject().entrySet()
                    .forEach(it -> builder.header(it.getKey(), it.getValue().getAsString()));
        }
        given.keySet().stream().filter(key -> !known.contains(key)).findFirst().ifPresent(key -> {
            throw new UnsupportedOperationException(key);
        });
        return builder.build();
    }

    private static void tls(FaceMatchClient.Builder builder, JsonObject tls) {
        builder.tls();
        if (tls.has("ca_file")) {
            builder.trust(Path.of(tls.get("ca_file").getAsString()));
        }
        if (tls.has("cert_file")) {
            builder.clientCertificate(Path.of(tls.get("cert_file").getAsString()),
                    Path.of(tls.get("key_file").getAsString()));
        }
        if (tls.has("server_name")) {
            builder.serverName(tls.get("server_name").getAsString());
        }
    }

    private RetryPolicy retry() {
        RetryPolicy usual = RetryPolicy.DEFAULT;
        JsonElement tries = take("give_up_tries");
        return new RetryPolicy(
                duration("backoff_first_ms", usual.first()),
                duration("backoff_longest_ms", usual.longest()),
                duration("give_up_after_ms", usual.giveUpAfter()),
                tries == null ? usual.tries() : tries.getAsInt());
    }

    private Limits limits() {
        Limits usual = Limits.DEFAULT;
        JsonElement receive = take("receive_bytes_max");
        JsonElement send = take("send_bytes_max");
        return new Limits(
                duration("call_timeout_ms", usual.callTimeout()),
                duration("wait_step_ms", usual.waitStep()),
                duration("silence_least_ms", usual.silenceLeast()),
                duration("silence_unknown_ms", usual.silenceUnknown()),
                receive == null ? usual.receiveBytes() : receive.getAsInt(),
                send == null ? usual.sendBytes() : send.getAsInt());
    }

    private static void print(String client, Reconnect reconnect) {
        JsonObject line = Driver.event("reconnect");
        line.addProperty("client", client);
        line.addProperty("attempt", reconnect.attempt());
        reconnect.error().code().ifPresent(it -> line.addProperty("code", it));
        reconnect.error().reason().ifPresent(it -> line.addProperty("reason", it));
        line.addProperty("wait_ms", reconnect.pause().toNanos() / 1e6);
        Driver.print(line);
    }

    private Duration duration(String key, Duration usual) {
        JsonElement value = take(key);
        return value == null ? usual : Duration.ofMillis(value.getAsLong());
    }

    private JsonElement take(String key) {
        known.add(key);
        JsonElement value = given.get(key);
        return value == null || value.isJsonNull() ? null : value;
    }

    private static String text(JsonElement value) {
        return value == null ? null : value.getAsString();
    }
}
