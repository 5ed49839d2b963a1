package dev.facematch.testing;

import dev.facematch.FaceMatchClient;
import dev.facematch.Photos;
import dev.facematch.v1.ReferencePhoto;
import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.extension.AfterAllCallback;
import org.junit.jupiter.api.extension.BeforeAllCallback;
import org.junit.jupiter.api.extension.ExtensionContext;

/**
 * Runs {@code facematch testserver}, the service with a simulated Oz, for the tests of a class:
 *
 * <pre>{@code
 * @RegisterExtension
 * static final FaceMatchServer server = FaceMatchServer.withFlags();
 * }</pre>
 *
 * <p>The program is named by {@code FACEMATCH_BIN}, else found in the path. Without it the tests are
 * skipped, or fail if the environment variable {@code CI} is set. The server ends with the class,
 * those that are nested in it included, and with this process.
 */
public final class FaceMatchServer implements BeforeAllCallback, AfterAllCallback, AutoCloseable {
    private static final int START_SECONDS = 60;
    private static final int STOP_SECONDS = 20;

    private final List<String> flags;
    private final HttpClient http = HttpClient.newHttpClient();
    /** Classes that use the server: that of the field, and those nested in it. */
    private int users;
    private Process process;
    private FaceMatchClient client;
    private String address;
    private String simulator;
    private String token;

    private FaceMatchServer(List<String> flags) {
        this.flags = flags;
    }

    /** @param flags of {@code facematch testserver}, such as {@code --callers} */
    public static FaceMatchServer withFlags(String... flags) {
        return new FaceMatchServer(List.of(flags));
    }

    @Override
    public void beforeAll(ExtensionContext context) throws IOException {
        users += 1;
        if (users > 1) {
            return;
        }
        String program = program();
        if (program == null) {
            String sentence = "The program facematch is needed: put it in the PATH or set FACEMATCH_BIN.";
            Assumptions.assumeFalse(System.getenv("CI") == null, sentence);
            throw new IllegalStateException(sentence);
        }
        start(program);
    }

    @Override
    public void afterAll(ExtensionContext context) {
        users -= 1;
        if (users == 0) {
            close();
        }
    }

    /** A client of the server, with its token if it has one. */
    public FaceMatchClient client() {
        return client;
    }

    /** A client of the server with settings of its own. */
    public FaceMatchClient.Builder clientBuilder() {
        FaceMatchClient.Builder builder = FaceMatchClient.builder(address);
        return token == null ? builder : builder.token(token);
    }

    /** Where callers connect, as {@code HOST:PORT}. */
    public String address() {
        return address;
    }

    /** The token that calls need, with {@code --callers}; null without. */
    public String token() {
        return token;
    }

    /** Makes a folder with the liveness media of the sample person, and returns its id. */
    public String folder() {
        return folder("{}");
    }

    /**
     * Makes a folder as the simulator's {@code POST /sim/folders} does, such as
     * {@code {"person": "stranger"}}. A folder takes 10 media: make one for each test.
     */
    public String folder(String json) {
        return value(simulator("POST", "/sim/folders", json), "folder_id");
    }

    /** The sample photo of the person whose liveness media a folder has. */
    public ReferencePhoto photo() {
        return Photos.bytes(ask("GET", "/sim/samples/portrait.jpg", null, BodyHandlers.ofByteArray()));
    }

    /**
     * A request to the simulator's control API, with its switches, its rules and what Oz was asked.
     *
     * @param json the body; null: none
     * @return the answer's JSON
     */
    public String simulator(String method, String path, String json) {
        return ask(method, path, json, BodyHandlers.ofString());
    }

    /** Ends the server. Closing twice is fine. */
    @Override
    public void close() {
        if (process == null) {
            return;
        }
        client.close();
        try {
            process.getOutputStream().close();
            if (!process.waitFor(STOP_SECONDS, TimeUnit.SECONDS) || process.exitValue() != 0) {
                throw new IllegalStateException("facematch testserver didn't end with 0");
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } finally {
            process.destroyForcibly();
            process = null;
        }
    }

    private void start(String program) throws IOException {
        List<String> command = new ArrayList<>(List.of(program, "testserver"));
        command.addAll(flags);
        process = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
        String ready = readyLine(process);
        if (ready == null) {
            process.destroyForcibly();
            process = null;
            throw new IllegalStateException("facematch testserver doesn't start; its log says why");
        }
        address = value(ready, "grpc");
        simulator = value(ready, "simulator");
        token = ready.contains("\"token\":null") ? null : value(ready, "token");
        client = clientBuilder().build();
    }

    /** The line with the addresses; null if it doesn't come. */
    private static String readyLine(Process process) {
        var output = new BufferedReader(
                new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8));
        return CompletableFuture.supplyAsync(() -> {
            try {
                return output.readLine();
            } catch (IOException e) {
                return null;
            }
        }).completeOnTimeout(null, START_SECONDS, TimeUnit.SECONDS).join();
    }

    private <Body> Body ask(
            String method, String path, String json, HttpResponse.BodyHandler<Body> handler) {
        HttpRequest request = HttpRequest.newBuilder(URI.create(simulator + path))
                .method(method, json == null ? BodyPublishers.noBody() : BodyPublishers.ofString(json))
                .build();
        try {
            HttpResponse<Body> response = http.send(request, handler);
            if (response.statusCode() >= 300) {
                throw new IllegalStateException(
                        "the simulator refused " + method + " " + path + ": " + response.body());
            }
            return response.body();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted", e);
        }
    }

    /** The path of the program; null if there is none. */
    private static String program() {
        String named = System.getenv("FACEMATCH_BIN");
        if (named != null && !named.isEmpty()) {
            return named;
        }
        for (String folder : System.getenv().getOrDefault("PATH", "").split(File.pathSeparator)) {
            File file = new File(folder, "facematch");
            if (!folder.isEmpty() && file.canExecute()) {
                return file.getPath();
            }
        }
        return null;
    }

    /** A text of a flat JSON object, whose texts need no escapes. */
    private static String value(String json, String key) {
        Matcher matcher = Pattern.compile("\"" + key + "\"\\s*:\\s*\"([^\"\\\\]*)\"").matcher(json);
        if (!matcher.find()) {
            throw new IllegalStateException("no " + key + " in " + json);
        }
        return matcher.group(1);
    }
}
