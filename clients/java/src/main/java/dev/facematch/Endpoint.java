package dev.facematch;

import dev.facematch.errors.UsageException;
import io.grpc.ChannelCredentials;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannelBuilder;
import io.grpc.TlsChannelCredentials;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** A server's address, and how to connect to it. Certificates are read at each connect. */
record Endpoint(
        String target, boolean plaintext, Path ca, Path certificate, Path key, String serverName) {
    private static final Pattern URL = Pattern.compile("(https?)://([^/]+)/?");
    private static final Pattern HAS_PORT = Pattern.compile("(\\[.*\\]|[^:]*):\\d+");
    private static final Pattern HOST = Pattern.compile("\\[(.+)\\](?::\\d+)?|([^:]+)(?::\\d+)?");

    static Endpoint of(
            String address, Boolean asked, Path ca, Path certificate, Path key, String serverName) {
        need(address != null && !address.isBlank(), "an address, as HOST:PORT");
        Matcher url = URL.matcher(address);
        Boolean scheme = null;
        String target = address;
        if (url.matches()) {
            scheme = url.group(1).equals("http");
            String port = scheme ? ":80" : ":443";
            target = url.group(2) + (HAS_PORT.matcher(url.group(2)).matches() ? "" : port);
        }
        need(url.matches() || !address.matches("https?:.*"), "an address without a path");
        boolean asksTls = ca != null || certificate != null || serverName != null;
        Boolean given = asked != null ? asked : scheme;
        boolean plaintext = given != null ? given : !asksTls && isLoopback(target);
        need(scheme == null || scheme == plaintext, "plaintext as the address's scheme says");
        need(!plaintext || !asksTls, "TLS for certificates and a server name");
        need((certificate == null) == (key == null), "a certificate and its key");
        Endpoint endpoint = new Endpoint(target, plaintext, ca, certificate, key, serverName);
        endpoint.credentials();
        return endpoint;
    }

    boolean isLoopback() {
        return isLoopback(target);
    }

    ManagedChannelBuilder<?> channel() {
        ManagedChannelBuilder<?> channel;
        try {
            channel = Grpc.newChannelBuilder(target, credentials());
        } catch (IllegalArgumentException e) {
            throw new UsageException("the client needs: an address that gRPC knows");
        }
        if (serverName != null) {
            channel.overrideAuthority(serverName);
        }
        if (target.startsWith("dns:")) {
            channel.defaultLoadBalancingPolicy("round_robin");
        }
        return channel;
    }

    /** Whether a target of gRPC is on this machine for certain. */
    static boolean isLoopback(String target) {
        if (target.startsWith("unix:")) {
            return true;
        }
        String hostPort = target.replaceFirst("^(dns|ipv4|ipv6):", "").replaceFirst("^//[^/]*/", "");
        Matcher matcher = HOST.matcher(hostPort);
        String host = hostPort;
        if (matcher.matches()) {
            host = matcher.group(1) != null ? matcher.group(1) : matcher.group(2);
        }
        return host.equals("localhost") || host.equals("::1")
                || host.matches("127(\\.\\d{1,3}){3}");
    }

    private ChannelCredentials credentials() {
        if (plaintext) {
            return InsecureChannelCredentials.create();
        }
        TlsChannelCredentials.Builder tls = TlsChannelCredentials.newBuilder();
        try {
            if (ca != null) {
                tls.trustManager(readable(ca));
            }
            if (certificate != null) {
                tls.keyManager(readable(certificate), readable(key));
            }
        } catch (IOException e) {
            throw new UsageException("a file of certificates can't be read: " + e.getClass().getSimpleName());
        }
        return tls.build();
    }

    private static File readable(Path file) throws IOException {
        if (!Files.readString(file).contains("-----BEGIN ")) {
            throw new UsageException("certificates and keys are expected as PEM");
        }
        return file.toFile();
    }

    private static void need(boolean holds, String rule) {
        if (!holds) {
            throw new UsageException("the client needs: " + rule);
        }
    }
}
