package dev.facematch.conformance;

import com.google.gson.Gson;
import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import dev.facematch.FaceMatchClient;
import dev.facematch.errors.UsageException;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Consumer;

/** The driver of the conformance suite, whose README has the protocol. */
public final class Driver {
    private static final PrintStream OUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    private static final Gson GSON = new Gson();

    private final Map<String, FaceMatchClient> clients = new ConcurrentHashMap<>();
    private final Map<String, DriverCall> calls = new ConcurrentHashMap<>();

    private Driver() {}

    public static void main(String[] arguments) throws IOException {
        WarmUp.run();
        JsonObject ready = event("ready");
        ready.addProperty("protocol", 1);
        ready.addProperty("library", System.getProperty("library.version"));
        ready.add("features", new JsonArray());
        print(ready);
        new Driver().run();
        System.exit(0);
    }

    private void run() throws IOException {
        var input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            act(JsonParser.parseString(line).getAsJsonObject());
        }
        clients.values().forEach(FaceMatchClient::close);
    }

    private void act(JsonObject command) {
        switch (command.get("do").getAsString()) {
            case "open" -> open(command);
            case "call" -> call(command);
            case "go" -> with(command, DriverCall::go);
            case "cancel" -> with(command, DriverCall::cancel);
            case "close" -> close(command);
            default -> unsupported(command, command.get("do").getAsString());
        }
    }

    private void open(JsonObject command) {
        String name = command.get("client").getAsString();
        try {
            FaceMatchClient client = Options.client(name, command);
            clients.put(name, client);
            JsonObject opened = event("opened");
            opened.addProperty("client", name);
            opened.addProperty("text", client.toString());
            print(opened);
        } catch (UsageException e) {
            JsonObject error = Lines.error(e);
            error.addProperty("client", name);
            print(error);
        } catch (UnsupportedOperationException e) {
            unsupported(command, e.getMessage());
        }
    }

    private void call(JsonObject command) {
        String name = command.get("call").getAsString();
        FaceMatchClient client = clients.get(command.get("client").getAsString());
        DriverCall call = new DriverCall(name, command, client);
        calls.put(name, call);
        call.start();
    }

    private void close(JsonObject command) {
        FaceMatchClient client = clients.remove(command.get("client").getAsString());
        client.close();
        JsonObject closed = event("closed");
        closed.add("client", command.get("client"));
        client.serverVersion().ifPresent(it -> closed.addProperty("server_version", it));
        print(closed);
    }

    private void with(JsonObject command, Consumer<DriverCall> action) {
        DriverCall call = calls.get(command.get("call").getAsString());
        if (call != null) {
            action.accept(call);
        }
    }

    static void unsupported(JsonObject command, String what) {
        JsonObject line = event("unsupported");
        for (String key : new String[] {"client", "call"}) {
            JsonElement value = command.get(key);
            if (value != null) {
                line.add(key, value);
            }
        }
        line.addProperty("what", what);
        print(line);
    }

    static JsonObject event(String name) {
        JsonObject line = new JsonObject();
        line.addProperty("event", name);
        return line;
    }

    static synchronized void print(JsonObject line) {
        OUT.println(GSON.toJson(line));
    }
}
