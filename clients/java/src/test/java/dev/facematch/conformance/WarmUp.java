package dev.facematch.conformance;

import dev.facematch.FaceMatchClient;
import dev.facematch.v1.FaceMatchGrpc;
import dev.facematch.v1.Finished;
import dev.facematch.v1.Match;
import dev.facematch.v1.MatchRequest;
import dev.facematch.v1.MatchResult;
import dev.facematch.v1.MatchState;
import dev.facematch.v1.MatchUpdate;
import dev.facematch.v1.Resolution;
import io.grpc.Server;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;

/**
 * Runs a match once against a server of its own. The first call of a process loads gRPC's classes,
 * which takes a busy machine longer than scenarios allow.
 */
final class WarmUp extends FaceMatchGrpc.FaceMatchImplBase {
    private WarmUp() {}

    static void run() throws IOException {
        var address = new InetSocketAddress(InetAddress.getLoopbackAddress(), 0);
        Server server = NettyServerBuilder.forAddress(address).addService(new WarmUp()).build().start();
        try (var client = FaceMatchClient.connect("127.0.0.1:" + server.getPort())) {
            Lines.verdict(Driver.event("result"), client.match(MatchRequest.getDefaultInstance()));
        } finally {
            server.shutdownNow();
        }
    }

    @Override
    public void runMatch(MatchRequest request, StreamObserver<MatchUpdate> observer) {
        MatchResult result = MatchResult.newBuilder()
                .setResolution(Resolution.RESOLUTION_SUCCESS)
                .setMinConfidence(1)
                .build();
        Match match = Match.newBuilder()
                .setState(MatchState.MATCH_STATE_FINISHED)
                .setResult(result)
                .build();
        observer.onNext(MatchUpdate.newBuilder()
                .setSequence(1)
                .setMatch(match)
                .setFinished(Finished.newBuilder().setResult(result))
                .build());
        observer.onCompleted();
    }
}
